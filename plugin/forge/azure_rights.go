package forge

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
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
	code := triedRight("Code: read", click+", and let its user read the repository", err)
	rights := []Right{code}
	for _, call := range []struct {
		name, method, path string
		body               any
	}{
		{"Code: write", http.MethodDelete, "/pullrequests/0/labels/seedling-check", nil},
		{"Code: status", http.MethodPost, "/commits/" + strings.Repeat("0", 40) + "/statuses", map[string]any{"state": "pending", "context": map[string]string{"name": "seedling/check"}}},
		{"Pull Request Threads: read and write", http.MethodPost, "/pullrequests/0/threads", map[string]any{}},
	} {
		rights = append(rights, code.absent(call.name, click+", and let its user contribute to pull requests of the repository", func() (*http.Response, error) {
			return a.ask(ctx, call.method, path+call.path, azureVersion, nil, call.body)
		}))
	}
	_, err = a.writers(ctx)
	rights = append(rights, triedRight("Identity: read", click+", and write writersGroup as [project]\\name of a group that is there", err))
	_, err = a.Private(ctx, repository)
	return append(rights, triedRight("Project and Team: read", click, err)), nil
}
