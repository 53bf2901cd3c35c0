package forge

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Rights implements Righter. GitLab tells what a token may, and as what.
func (g *GitLab) Rights(ctx context.Context, repository string) ([]Right, error) {
	fail := func(err error) ([]Right, error) {
		return nil, fmt.Errorf("forge %s: ask for the rights in %s: %w", g.Name(), repository, err)
	}
	path, err := gitlabProject(repository)
	if err != nil {
		return fail(err)
	}
	type access struct {
		Level int `json:"access_level"`
	}
	var project struct {
		Permissions struct {
			Project *access `json:"project_access"`
			Group   *access `json:"group_access"`
		} `json:"permissions"`
	}
	err = g.read(ctx, path, &project)
	if errors.Is(err, errNotFound) {
		err = fmt.Errorf("%w: the project is not there, or the token's user is no member: add it under Manage > Members", ErrCredential)
	}
	if err != nil {
		return fail(err)
	}
	var token struct {
		Scopes []string `json:"scopes"`
	}
	if err := g.read(ctx, "/personal_access_tokens/self", &token); err != nil {
		return fail(err)
	}
	scope, role := Right{Name: "scope api"}, Right{Name: "role Developer"}
	if !slices.Contains(token.Scopes, "api") {
		scope.Missing = fmt.Errorf("%w: make a token with scope api: a token's scopes are for ever", ErrCredential)
	}
	level := 0
	for _, a := range []*access{project.Permissions.Project, project.Permissions.Group} {
		if a != nil {
			level = max(level, a.Level)
		}
	}
	if level < gitlabDeveloper {
		role.Missing = fmt.Errorf("%w: give the token's user, or the project token, the role Developer under Manage > Members", ErrCredential)
	}
	return []Right{scope, role}, nil
}
