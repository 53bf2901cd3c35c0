package forge

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-github/v89/github"
)

// githubEvent is what the plugin looks at, githubEvents what stands for it.
const githubEvent = "pull_request"

var githubEvents = [][2]string{{githubEvent, "Pull requests"}}

// Webhooks implements Hooking: the App's own, those of the repository and those
// of its organization.
// https://docs.github.com/en/rest/repos/webhooks
// https://docs.github.com/en/rest/orgs/webhooks
func (g *GitHub) Webhooks(ctx context.Context, repository string) (Webhooks, error) {
	found, err := g.readWebhooks(ctx, repository)
	if err != nil {
		return Webhooks{}, fmt.Errorf("forge %s: list the webhooks of %s: %w", g.Name(), repository, err)
	}
	return found, nil
}

func (g *GitHub) readWebhooks(ctx context.Context, repository string) (Webhooks, error) {
	const add = "Settings > Webhooks of the repository"
	found := Webhooks{Add: "add one under " + add}
	c, owner, repo, err := g.client(ctx, repository)
	if err != nil {
		return found, err
	}
	r, res, err := c.Repositories.Get(ctx, owner, repo)
	if err := githubOutcome(res, err); err != nil {
		return found, err
	}
	if g.app != nil {
		const app = "Webhook on the App's page"
		found.Add = "write its address and its secret under " + app
		h, err := g.app.hook(ctx, r.GetID())
		if err != nil {
			return found, err
		}
		if found.Found = hooked(g.config, app+", or Permissions & events there", []hook{h}); len(found.Found) > 0 {
			return found, nil
		}
	}
	hooks, err := githubHooks(func(o *github.ListOptions) ([]*github.Hook, *github.Response, error) {
		return c.Repositories.ListHooks(ctx, owner, repo, o)
	})
	if err := unseenHooks(&found.Unseen, "those of the repository are listed with the repository permission Webhooks: read", hiddenHooks(err)); err != nil {
		return found, err
	}
	found.Found = append(found.Found, hooked(g.config, add, hooks)...)
	if r.GetOwner().GetType() != "Organization" {
		return found, nil
	}
	hooks, err = githubHooks(func(o *github.ListOptions) ([]*github.Hook, *github.Response, error) {
		return c.Organizations.ListHooks(ctx, owner, o)
	})
	if err := unseenHooks(&found.Unseen, "those of the organization are listed with the organization permission Webhooks: read", hiddenHooks(err)); err != nil {
		return found, err
	}
	found.Found = append(found.Found, hooked(g.config, "Settings > Webhooks of the organization", hooks)...)
	return found, nil
}

// githubHooks reads a list of webhooks.
func githubHooks(list func(*github.ListOptions) ([]*github.Hook, *github.Response, error)) ([]hook, error) {
	var hooks []hook
	options := &github.ListOptions{Page: 1, PerPage: githubPage}
	for range maxPages {
		got, res, err := list(options)
		if err := githubOutcome(res, err); err != nil {
			return nil, fmt.Errorf("page %d: %w", options.Page, err)
		}
		for _, h := range got {
			if h == nil {
				continue
			}
			hooks = append(hooks, githubHook(h))
		}
		if res.NextPage == 0 {
			return hooks, nil
		}
		options.Page = res.NextPage
	}
	return nil, fmt.Errorf("more than %d pages", maxPages)
}

func githubHook(h *github.Hook) hook {
	events := h.Events
	if slices.Contains(events, "*") {
		events = []string{githubEvent}
	}
	one := hook{url: h.GetConfig().GetURL(), lacks: lacking(events, githubEvents)}
	if !h.GetActive() {
		one.off = "it is not active"
	}
	one.wrong = githubSends(h.GetConfig())
	// The number of the answer; null where there was no call in 30 days.
	code, ok := h.LastResponse["code"].(float64)
	said, _ := h.LastResponse["message"].(string)
	status, _ := h.LastResponse["status"].(string)
	switch {
	case ok && code > 0:
		one.failed = callFailed(int(code), "")
	case status != "" && status != "unused" && status != "active":
		one.failed = callFailed(0, said)
	default:
		one.untold = "there was no call in 30 days: see Recent Deliveries of the webhook, and Redeliver"
	}
	return one
}

// githubSends says what is wrong with how a webhook calls; empty for nothing. The
// secret itself nobody is told.
func githubSends(c *github.HookConfig) string {
	switch {
	case c.GetSecret() == "":
		return "it has no secret, so its calls are refused: give it the content of webhookSecretFile"
	case c.GetContentType() != "json":
		return "it does not send JSON: choose application/json"
	}
	return ""
}

// hook is the App's own webhook, with its last call about a repository.
// https://docs.github.com/en/rest/apps/webhooks
func (a *githubApp) hook(ctx context.Context, repository int64) (hook, error) {
	c, err := a.client()
	if err != nil {
		return hook{}, err
	}
	config, res, err := c.Apps.GetHookConfig(ctx)
	if err := githubOutcome(res, err); errors.Is(err, errNotFound) {
		return hook{}, nil
	} else if err != nil {
		return hook{}, fmt.Errorf("the App's webhook: %w", err)
	}
	one := hook{url: config.GetURL(), wrong: githubSends(config)}
	if !callsUs(one.url, a.config.Name) {
		return one, nil
	}
	app, res, err := c.Apps.Get(ctx, "")
	if err := githubOutcome(res, err); err != nil {
		return hook{}, fmt.Errorf("the App's events: %w", err)
	}
	one.lacks = lacking(app.Events, [][2]string{{githubEvent, "Pull request"}})
	calls, res, err := c.Apps.ListHookDeliveries(ctx, &github.ListCursorOptions{PerPage: githubPage})
	if err := githubOutcome(res, err); err != nil {
		return hook{}, fmt.Errorf("the calls of the App's webhook: %w", err)
	}
	// The last one comes first.
	for _, d := range calls {
		if d.GetRepositoryID() == repository && d.GetEvent() == githubEvent {
			one.failed = callFailed(d.GetStatusCode(), d.GetStatus())
			return one, nil
		}
	}
	one.untold = fmt.Sprintf("none of its last %d calls is about a pull request there: see Advanced > Recent Deliveries on the App's page, and Redeliver", len(calls))
	return one, nil
}
