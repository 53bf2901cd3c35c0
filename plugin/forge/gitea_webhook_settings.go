package forge

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
)

// giteaEvents are those that the plugin looks at.
var giteaEvents = [][2]string{
	{"pull_request", "Pull request"}, {"pull_request_label", "Pull request labeled"}, {"pull_request_sync", "Pull request synchronized"},
}

// Webhooks implements Hooking: those of the repository and of its organization.
// https://docs.gitea.com/api/1.26/#tag/repository/operation/repoListHooks
// https://docs.gitea.com/api/1.26/#tag/organization/operation/orgListHooks
func (g *Gitea) Webhooks(ctx context.Context, repository string) (Webhooks, error) {
	fail := func(err error) (Webhooks, error) {
		return Webhooks{}, fmt.Errorf("forge %s: list the webhooks of %s: %w", g.Name(), repository, err)
	}
	owner, repo, err := split(repository)
	if err != nil {
		return fail(err)
	}
	const place = "Settings > Webhooks"
	found := Webhooks{Add: "add one under " + place + " of the repository"}
	for i, of := range []struct{ path, place, unseen string }{
		{
			"/repos/" + url.PathEscape(owner) + "/" + url.PathEscape(repo), place + " of the repository",
			"those of the repository are listed for who administers it, with the scope " + giteaRepository,
		},
		{
			"/orgs/" + url.PathEscape(owner), place + " of the organization",
			"those of the organization are listed for its owners, with the scope read:organization",
		},
	} {
		hooks, err := g.hooks(ctx, of.path+"/hooks")
		if i == 0 {
			err = hiddenHooks(err)
		}
		if err := unseenHooks(&found.Unseen, of.unseen, err); err != nil {
			return fail(err)
		}
		found.Found = append(found.Found, hooked(g.config, of.place, hooks)...)
	}
	return found, nil
}

func (g *Gitea) hooks(ctx context.Context, path string) ([]hook, error) {
	var hooks []hook
	for page := 1; page <= maxPages; page++ {
		res, err := g.ask(ctx, path+"?page="+strconv.Itoa(page)+"&limit="+strconv.Itoa(pageSize))
		if err != nil {
			return nil, err
		}
		count := 0
		err = elements(res.Body, func(e json.RawMessage) error {
			count++
			var h struct {
				Type   string `json:"type"`
				Active bool   `json:"active"`
				Config struct {
					URL         string `json:"url"`
					ContentType string `json:"content_type"`
				} `json:"config"`
				Events []string `json:"events"`
			}
			if err := json.Unmarshal(e, &h); err != nil {
				return quiet(err)
			}
			one := hook{
				url: h.Config.URL, lacks: lacking(h.Events, giteaEvents),
				untold: "Gitea's API does not tell whether its calls arrive: see Recent Deliveries of the webhook",
			}
			if !h.Active {
				one.off = "it is not active"
			}
			switch {
			case h.Type != "gitea" && h.Type != "forgejo":
				one.wrong = "it is of another type than Gitea, and not signed: make one of that type"
			case h.Config.ContentType != "json":
				one.wrong = "it does not send JSON: choose application/json"
			}
			hooks = append(hooks, one)
			return nil
		})
		total, countErr := strconv.Atoi(res.Header.Get("X-Total-Count"))
		res.Body.Close()
		if err != nil {
			return nil, fmt.Errorf("page %d: %w", page, err)
		}
		if count == 0 || countErr == nil && len(hooks) >= total {
			return hooks, nil
		}
	}
	return nil, fmt.Errorf("more than %d pages", maxPages)
}
