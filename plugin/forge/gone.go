package forge

import "fmt"

// gone judges a 404 for one pull request, with which forges answer for what we may
// not see too: only a repository that we do see, and whose pull requests we do see,
// lets us say that this one is gone.
func gone(repository, pullRequests func() error) error {
	if err := repository(); err != nil {
		return fmt.Errorf("%w, and so is the repository: %w", errNotFound, err)
	}
	if err := pullRequests(); err != nil {
		return fmt.Errorf("%w, and so are the repository's pull requests: %w", errNotFound, err)
	}
	return ErrGone
}
