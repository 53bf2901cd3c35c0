package forge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Webhooks implements Hooking: those of the project, and of the groups that it is
// in, where GitLab has such.
// https://docs.gitlab.com/api/project_webhooks/
// https://docs.gitlab.com/api/group_webhooks/
func (g *GitLab) Webhooks(ctx context.Context, repository string) (Webhooks, error) {
	fail := func(err error) (Webhooks, error) {
		return Webhooks{}, fmt.Errorf("forge %s: list the webhooks of %s: %w", g.Name(), repository, err)
	}
	path, err := gitlabProject(repository)
	if err != nil {
		return fail(err)
	}
	const place = "Settings > Webhooks"
	found := Webhooks{Add: "add one under " + place + " of the project"}
	hooks, err := g.hooks(ctx, path)
	if err := unseenHooks(&found.Unseen, "those of the project are listed for the role Maintainer", hiddenHooks(err)); err != nil {
		return fail(err)
	}
	found.Found = hooked(g.config, place+" of the project", hooks)
	for group := repository; strings.Contains(group, "/"); {
		group = group[:strings.LastIndexByte(group, '/')]
		hooks, err := g.hooks(ctx, "/groups/"+url.PathEscape(group))
		if err := unseenHooks(&found.Unseen, "those of group "+group+" are listed for its owners", err); err != nil {
			return fail(err)
		}
		found.Found = append(found.Found, hooked(g.config, place+" of group "+group, hooks)...)
	}
	return found, nil
}

func (g *GitLab) hooks(ctx context.Context, of string) ([]hook, error) {
	var hooks []hook
	err := g.pages(ctx, of+"/hooks", nil, func(e json.RawMessage) error {
		var h struct {
			ID            int64  `json:"id"`
			URL           string `json:"url"`
			MergeRequests bool   `json:"merge_requests_events"`
			AlertStatus   string `json:"alert_status"`
			Template      string `json:"custom_webhook_template"`
		}
		if err := json.Unmarshal(e, &h); err != nil {
			return quiet(err)
		}
		one := hook{url: h.URL}
		if !h.MergeRequests {
			one.lacks = []string{"Merge request events"}
		}
		if h.Template != "" {
			one.wrong = "its custom template makes something else of an event: leave it empty"
		}
		switch h.AlertStatus {
		case "disabled", "temporarily_disabled":
			one.off = "GitLab has switched it off after calls that failed (" + strings.ReplaceAll(h.AlertStatus, "_", " ") + "): see its Recent events"
		default:
			if callsUs(h.URL, g.Name()) {
				var err error
				if one.failed, one.untold, err = g.lastCall(ctx, of+"/hooks/"+strconv.FormatInt(h.ID, 10)); err != nil {
					return err
				}
			}
		}
		hooks = append(hooks, one)
		return nil
	})
	return hooks, err
}

// errLast ends the reading of a webhook's calls.
var errLast = errors.New("that is the last one")

// lastCall says how a webhook's last call about a merge request ended. The last
// one comes first, for a week; before 17.3 there is no such list.
func (g *GitLab) lastCall(ctx context.Context, of string) (failed, untold string, err error) {
	const see = ": see Recent events of the webhook, and Resend"
	res, err := g.ask(ctx, http.MethodGet, of+"/events?per_page=20", nil)
	if errors.Is(err, errNotFound) {
		return "", "this GitLab's API does not tell whether its calls arrive" + see, nil
	}
	if err != nil {
		return "", "", fmt.Errorf("the calls of a webhook: %w", err)
	}
	defer res.Body.Close()
	untold = "none of its last 20 calls is about a merge request" + see
	err = elements(res.Body, func(e json.RawMessage) error {
		var c struct {
			Trigger string          `json:"trigger"`
			Status  json.RawMessage `json:"response_status"`
		}
		if err := json.Unmarshal(e, &c); err != nil {
			return quiet(err)
		}
		if c.Trigger != "merge_request_hooks" {
			return nil
		}
		untold = ""
		said := strings.Trim(string(c.Status), `"`)
		status, _ := strconv.Atoi(said) // otherwise it is what went wrong
		failed = callFailed(status, said)
		return errLast
	})
	if err != nil && !errors.Is(err, errLast) {
		return "", "", fmt.Errorf("the calls of a webhook: %w", err)
	}
	return failed, untold, nil
}
