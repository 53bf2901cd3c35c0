package forge

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
)

// bitbucketEvents are those that the plugin looks at.
var bitbucketEvents = [][2]string{
	{"pullrequest:created", "Created"},
	{"pullrequest:updated", "Updated"},
	{"pullrequest:approved", "Approved"},
	{"pullrequest:unapproved", "Approval removed"},
	{"pullrequest:changes_request_created", "Changes request created"},
	{"pullrequest:changes_request_removed", "Changes request removed"},
	{"pullrequest:fulfilled", "Merged"},
	{"pullrequest:rejected", "Declined"},
}

// Webhooks implements Hooking: those of the repository and of its workspace.
// https://developer.atlassian.com/cloud/bitbucket/rest/api-group-repositories/#api-repositories-workspace-repo-slug-hooks-get
// https://developer.atlassian.com/cloud/bitbucket/rest/api-group-workspaces/#api-workspaces-workspace-hooks-get
func (b *Bitbucket) Webhooks(ctx context.Context, repository string) (Webhooks, error) {
	fail := func(err error) (Webhooks, error) {
		return Webhooks{}, fmt.Errorf("forge %s: list the webhooks of %s: %w", b.Name(), repository, err)
	}
	path, err := bitbucketRepository(repository)
	if err != nil {
		return fail(err)
	}
	workspace, _, err := split(repository)
	if err != nil {
		return fail(err)
	}
	const place = "Repository settings > Webhooks"
	found := Webhooks{Add: "add one under " + place}
	for i, of := range []struct{ path, place, unseen string }{
		{path, place, "those of the repository are listed with the scope read:webhook:bitbucket"},
		{
			"/workspaces/" + url.PathEscape(workspace), "Workspace settings > Webhooks",
			"those of the workspace are listed for its administrators, with the scope read:webhook:bitbucket",
		},
	} {
		hooks, err := b.hooks(ctx, of.path+"/hooks?pagelen=50")
		if i == 0 {
			err = hiddenHooks(err)
		}
		if err := unseenHooks(&found.Unseen, of.unseen, err); err != nil {
			return fail(err)
		}
		found.Found = append(found.Found, hooked(b.config, of.place, hooks)...)
	}
	return found, nil
}

func (b *Bitbucket) hooks(ctx context.Context, path string) ([]hook, error) {
	var hooks []hook
	err := b.pages(ctx, path, func(e json.RawMessage) (bool, error) {
		var h struct {
			URL       string   `json:"url"`
			Active    bool     `json:"active"`
			SecretSet *bool    `json:"secret_set"`
			Events    []string `json:"events"`
		}
		if err := json.Unmarshal(e, &h); err != nil {
			return false, quiet(err)
		}
		one := hook{
			url: h.URL, lacks: lacking(h.Events, bitbucketEvents),
			untold: "Bitbucket's API does not tell whether its calls arrive: see View requests of the webhook",
		}
		if !h.Active {
			one.off = "it is not active"
		}
		if h.SecretSet != nil && !*h.SecretSet {
			one.wrong = "it has no secret, so its calls are refused: give it the content of webhookSecretFile"
		}
		hooks = append(hooks, one)
		return false, nil
	})
	return hooks, err
}
