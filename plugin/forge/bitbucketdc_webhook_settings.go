package forge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
)

// bitbucketDCEvents are those that the plugin looks at.
var bitbucketDCEvents = [][2]string{
	{"pr:opened", "Opened"},
	{"pr:from_ref_updated", "Source branch updated"},
	{"pr:modified", "Modified"},
	{"pr:reviewer:updated", "Reviewers updated"},
	{"pr:reviewer:approved", "Approved"},
	{"pr:reviewer:unapproved", "Unapproved"},
	{"pr:reviewer:needs_work", "Needs work"},
	{"pr:merged", "Merged"},
	{"pr:declined", "Declined"},
	{"pr:deleted", "Deleted"},
}

// Webhooks implements Hooking: those of the repository and of its project.
// https://developer.atlassian.com/server/bitbucket/rest/latest/api-group-repository/#api-api-latest-projects-projectkey-repos-repositoryslug-webhooks-get
// https://developer.atlassian.com/server/bitbucket/rest/latest/api-group-project/#api-api-latest-projects-projectkey-webhooks-get
func (b *BitbucketDC) Webhooks(ctx context.Context, repository string) (Webhooks, error) {
	fail := func(err error) (Webhooks, error) {
		return Webhooks{}, fmt.Errorf("forge %s: list the webhooks of %s: %w", b.Name(), repository, err)
	}
	path, err := bitbucketDCRepository(repository)
	if err != nil {
		return fail(err)
	}
	key, _, err := split(repository)
	if err != nil {
		return fail(err)
	}
	const place = "Repository settings > Webhooks"
	found := Webhooks{Add: "add one under " + place}
	for i, of := range []struct{ path, place, unseen string }{
		{path, place, "those of the repository are listed for who administers it (Repository permissions: Admin)"},
		{"/api/latest/projects/" + url.PathEscape(key), "Project settings > Webhooks", "those of the project are listed for who administers it (Project permissions: Admin)"},
	} {
		hooks, err := b.hooks(ctx, of.path+"/webhooks")
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

func (b *BitbucketDC) hooks(ctx context.Context, path string) ([]hook, error) {
	var hooks []hook
	err := b.pages(ctx, path, nil, func(e json.RawMessage) (bool, error) {
		var h struct {
			ID     int64    `json:"id"`
			URL    string   `json:"url"`
			Active bool     `json:"active"`
			Events []string `json:"events"`
		}
		if err := json.Unmarshal(e, &h); err != nil {
			return false, quiet(err)
		}
		one := hook{url: h.URL, lacks: lacking(h.Events, bitbucketDCEvents)}
		if !h.Active {
			one.off = "it is not active"
		}
		if callsUs(h.URL, b.Name()) {
			var err error
			if one.failed, one.untold, err = b.lastCall(ctx, path+"/"+strconv.FormatInt(h.ID, 10)); err != nil {
				return false, err
			}
		}
		hooks = append(hooks, one)
		return false, nil
	})
	return hooks, err
}

// bitbucketDCCall is a call of a webhook: answered well, answered otherwise, or
// not at all.
type bitbucketDCCall struct {
	Finish int64 `json:"finish"` // milliseconds
	Result struct {
		// Description is the status of an answer, or what went wrong.
		Description string `json:"description"`
	} `json:"result"`
}

// lastCall says how a webhook's last call ended, of whichever event.
// https://developer.atlassian.com/server/bitbucket/rest/latest/api-group-repository/#api-api-latest-projects-projectkey-repos-repositoryslug-webhooks-webhookid-statistics-get
func (b *BitbucketDC) lastCall(ctx context.Context, path string) (failed, untold string, err error) {
	var calls struct {
		Success *bitbucketDCCall `json:"lastSuccess"`
		Failure *bitbucketDCCall `json:"lastFailure"`
		Error   *bitbucketDCCall `json:"lastError"`
	}
	const see = ": see View details of the webhook"
	switch err := b.read(ctx, path+"/statistics", &calls); {
	case errors.Is(err, errNotFound):
		return "", "this Bitbucket's API does not tell whether its calls arrive" + see, nil
	case err != nil:
		return "", "", fmt.Errorf("the calls of a webhook: %w", err)
	}
	var last *bitbucketDCCall
	for _, c := range []*bitbucketDCCall{calls.Failure, calls.Error} {
		if c != nil && (last == nil || c.Finish > last.Finish) {
			last = c
		}
	}
	switch ok := calls.Success; {
	case last == nil && ok == nil:
		return "", "there was no call yet" + see, nil
	case last == nil, ok != nil && ok.Finish >= last.Finish:
		return "", "", nil
	}
	status, _ := strconv.Atoi(last.Result.Description) // otherwise it is what went wrong
	return callFailed(status, last.Result.Description), "", nil
}
