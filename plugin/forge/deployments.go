package forge

import (
	"context"
	"slices"
)

// Deployment is that a preview runs a commit of a pull request.
type Deployment struct {
	// Group is what its previews have in common, Name its own, which nobody else has
	// in the repository. A forge shows one of them or both as an environment.
	Group, Name string
	// SHA is the commit, the head of pull request Number, on Branch; of one from a
	// fork that is a branch of another repository.
	SHA    string
	Number int64
	Branch string
	Fork   bool
	// URL is where people open it, LogURL where they see how it is doing; empty for
	// none.
	URL, LogURL string
}

// Deployer is a Forge that has deployments or environments, and lets others than
// its own pipelines make them. None of them is counted by waitForStatus, and
// webhooks of them are ignored.
type Deployer interface {
	// Deploy says that a deployment is there and ready, and that no other one of its
	// name is. What is said already is not said again. ErrCredential: the right is
	// missing.
	Deploy(ctx context.Context, repository string, d Deployment) error
	// EndDeployments says that none of that name is there any more. There need not
	// have been one.
	EndDeployments(ctx context.Context, repository, group, name string) error
}

// CheckDeployments says why a forge shows no deployments; empty where it does.
func CheckDeployments(f Forge) string {
	switch f.(type) {
	case Deployer:
		return ""
	case *Bitbucket, *Azure:
		return "must not be true: this forge lets its own pipelines alone make deployments"
	case *BitbucketDC:
		// They belong to commits, cannot be listed, and have no end.
		return "must not be true: deployments of Bitbucket Data Center cannot be ended"
	}
	return "must not be true: this forge has no deployments"
}

// notEnded are those of a list, the newest first, that were made after the last one
// that has ended; the oldest comes first. They are ended in that order, so that what
// is before one that has ended has, whenever that was broken off.
func notEnded[T any](list []T, ended func(T) (bool, error)) ([]T, error) {
	for i, one := range list {
		is, err := ended(one)
		if err != nil {
			return nil, err
		}
		if is {
			list = list[:i]
			break
		}
	}
	list = slices.Clone(list)
	slices.Reverse(list)
	return list, nil
}
