package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// The rights that the calls of gitea.go need, as a token's scopes are called.
const (
	giteaUser       = "read:user"
	giteaAdmin      = "administration of the repository"
	giteaRepository = "write:repository"
	giteaIssue      = "write:issue"
)

// Rights implements Righter. Gitea does not tell what a token may: calls are made
// that need each right, and change nothing.
// https://docs.gitea.com/development/oauth2-provider#scopes
func (g *Gitea) Rights(ctx context.Context, repository string) ([]Right, error) {
	fail := func(err error) ([]Right, error) {
		return nil, fmt.Errorf("forge %s: ask for the rights in %s: %w", g.Name(), repository, err)
	}
	owner, repo, err := split(repository)
	if err != nil {
		return fail(err)
	}
	const scope = "make another token with it, under Settings > Applications of the plugin's user"
	path := "/repos/" + url.PathEscape(owner) + "/" + url.PathEscape(repo)
	rights := []Right{triedRight(giteaUser, scope, g.read(ctx, "/user", &struct{}{}))}

	var r struct {
		Permissions *struct {
			Admin bool `json:"admin"`
		} `json:"permissions"`
	}
	err = g.read(ctx, path, &r)
	admin := triedRight(giteaAdmin, "give the token the scope "+giteaRepository+", and its user access to the repository", err)
	switch {
	case err != nil:
	case r.Permissions == nil:
		admin.Unknown = "the answer does not say what its user may"
	case !r.Permissions.Admin:
		admin.Missing = fmt.Errorf("%w: Gitea tells only who administers a repository who may write to it: make the plugin's user an Administrator under Settings > Collaborators", ErrCredential)
	}
	rights = append(rights, admin)
	for _, call := range []struct{ name, method, path string }{
		{giteaRepository, http.MethodPost, path + "/statuses/" + strings.Repeat("0", 40)},
		{giteaIssue, http.MethodPatch, path + "/issues/comments/0"},
	} {
		rights = append(rights, triedRight(call.name, scope, g.refusedBody(ctx, call.method, call.path)))
	}
	return rights, nil
}

// refusedBody makes a call whose body is none: Gitea looks at that last, when
// whoever calls may.
func (g *Gitea) refusedBody(ctx context.Context, method, path string) error {
	res, err := askRaw(ctx, g.http, g.config.CredentialFile, method, g.config.URL+"/api/v1"+path, strings.NewReader("["), func(r *http.Request, token string) {
		r.Header.Set("Authorization", "token "+token)
	})
	if err != nil {
		return err
	}
	res.Body.Close()
	if res.StatusCode == http.StatusUnprocessableEntity {
		return nil
	}
	if err := statusError(res.StatusCode); err != nil {
		return err
	}
	return errors.New("a call without a body was taken")
}
