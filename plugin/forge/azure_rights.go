package forge

import (
	"context"
	"fmt"
	"net/url"
)

// Rights implements Righter, by calls that need each right and change nothing.
// They are called as a personal access token's scopes are.
func (a *Azure) Rights(ctx context.Context, repository string) ([]Right, error) {
	path, err := azureRepository(repository)
	if err != nil {
		return nil, fmt.Errorf("forge %s: ask for the rights in %s: %w", a.Name(), repository, err)
	}
	const click = "edit the token under User settings > Personal access tokens"
	err = a.read(ctx, path+"/pullrequests", azureVersion, url.Values{"$top": {"1"}}, &struct{}{})
	rights := []Right{triedRight("Code: read", click+", and let its user read the repository", err)}
	_, err = a.writers(ctx)
	rights = append(rights, triedRight("Identity: read", click+", and write writersGroup as [project]\\name of a group that is there", err))
	_, err = a.Private(ctx, repository)
	rights = append(rights, triedRight("Project and Team: read", click, err))
	for _, name := range []string{"Code: status", "Pull Request Threads: read and write"} {
		rights = append(rights, Right{Name: name, Unknown: "nothing but a status, or a comment, tells whether it is there"})
	}
	return rights, nil
}
