package forge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// azureEvents are those that the plugin looks at, each of which is a
// subscription.
var azureEvents = [][2]string{
	{"git.pullrequest.created", "Pull request created"},
	{"git.pullrequest.updated", "Pull request updated"},
	{"git.pullrequest.merged", "Pull request merge attempted"},
}

// azureSubscription is a service hook.
type azureSubscription struct {
	ID       string `json:"id"`
	Event    string `json:"eventType"`
	Consumer string `json:"consumerId"`
	Status   string `json:"status"`
	Of       struct {
		Project    string `json:"projectId"`
		Repository string `json:"repository"`
	} `json:"publisherInputs"`
	To struct {
		URL     string `json:"url"`
		User    string `json:"basicAuthUsername"`
		Details string `json:"resourceDetailsToSend"`
	} `json:"consumerInputs"`
}

// Webhooks implements Hooking: the subscriptions of the project, one for each
// event. Azure lists those that whoever asks may see.
// https://learn.microsoft.com/en-us/rest/api/azure/devops/hooks/subscriptions/list
func (a *Azure) Webhooks(ctx context.Context, repository string) (Webhooks, error) {
	fail := func(err error) (Webhooks, error) {
		return Webhooks{}, fmt.Errorf("forge %s: list the service hooks of %s: %w", a.Name(), repository, err)
	}
	path, err := azureRepository(repository)
	if err != nil {
		return fail(err)
	}
	var r struct {
		ID      string `json:"id"`
		Project struct {
			ID string `json:"id"`
		} `json:"project"`
	}
	if err := a.read(ctx, path, azureVersion, nil, &r); err != nil {
		return fail(err)
	}
	const place = "Project settings > Service hooks"
	found := Webhooks{Add: "create the subscriptions under " + place}
	const unseen = "service hooks are listed for who may see them in the project (its administrators, unless others were given View subscriptions)"
	var all azureList
	err = a.read(ctx, "/_apis/hooks/subscriptions", azureVersion, url.Values{"publisherId": {"tfs"}, "consumerId": {"webHooks"}}, &all)
	if err := unseenHooks(&found.Unseen, unseen, err); err != nil {
		return fail(err)
	}
	// Those of one address are one webhook.
	byAddress := map[string][]azureSubscription{}
	for _, v := range all.Value {
		var s azureSubscription
		if err := json.Unmarshal(v, &s); err != nil {
			return fail(quiet(err))
		}
		if s.Consumer == "webHooks" && callsUs(s.To.URL, a.Name()) && among(s.Of.Project, r.Project.ID) && among(s.Of.Repository, r.ID) {
			byAddress[s.To.URL] = append(byAddress[s.To.URL], s)
		}
	}
	for _, address := range slices.Sorted(maps.Keys(byAddress)) {
		h, err := a.hook(ctx, byAddress[address])
		if err != nil {
			return fail(err)
		}
		found.Found = append(found.Found, hooked(a.config, place, []hook{h})...)
	}
	if len(found.Found) == 0 && found.Unseen == "" {
		found.Unseen = unseen // what was left out is not said
	}
	return found, nil
}

// among says whether a subscription for one of them, or for all, is for that one.
func among(of, id string) bool { return of == "" || strings.EqualFold(of, id) }

// hook brings the subscriptions of one address to our form.
func (a *Azure) hook(ctx context.Context, subscriptions []azureSubscription) (hook, error) {
	h := hook{url: subscriptions[0].To.URL}
	var events []string
	told := false
	for _, s := range subscriptions {
		if !slices.ContainsFunc(azureEvents, func(e [2]string) bool { return e[0] == s.Event }) {
			continue
		}
		events = append(events, s.Event)
		switch {
		case s.Status != "enabled" && s.Status != "onProbation":
			h.off = "the subscription for " + s.Event + " is " + azureStatus(s.Status)
		case s.To.User == "":
			h.wrong = "the subscription for " + s.Event + " has no basic authentication, so its calls are refused: give it any username, and the content of webhookSecretFile as password"
		case s.To.Details != "" && !strings.EqualFold(s.To.Details, "all"):
			h.wrong = "the subscription for " + s.Event + " does not send all of the resource's details: choose All"
		}
		failed, called, err := a.lastCall(ctx, s)
		if err != nil {
			return hook{}, err
		}
		told = told || called
		if failed != "" {
			h.failed = failed
		}
	}
	h.lacks = lacking(events, azureEvents)
	if !told {
		h.untold = "it does not tell of a call: see History of the subscription, or change a pull request"
	}
	return h, nil
}

// azureStatus is a subscription's status in words.
func azureStatus(status string) string {
	switch status {
	case "disabledBySystem":
		return "switched off after calls that failed (see its History)"
	case "disabledByInactiveIdentity":
		return "switched off because whoever made it is not active any more"
	}
	return "switched off"
}

// lastCall says how the last call of a subscription ended, and whether there was
// one.
// https://learn.microsoft.com/en-us/rest/api/azure/devops/hooks/notifications/list
func (a *Azure) lastCall(ctx context.Context, s azureSubscription) (failed string, called bool, err error) {
	var calls struct {
		Value []struct {
			Status string `json:"status"`
			Result string `json:"result"`
		} `json:"value"`
	}
	err = a.read(ctx, "/_apis/hooks/subscriptions/"+url.PathEscape(s.ID)+"/notifications", azureVersion, url.Values{"maxResults": {"10"}}, &calls)
	switch {
	case errors.Is(err, ErrCredential), errors.Is(err, errNotFound):
		if s.Status == "onProbation" {
			return callFailed(0, "Azure tries it less often after calls that failed, see its History"), true, nil
		}
		return "", false, nil
	case err != nil:
		return "", false, fmt.Errorf("the calls of a subscription: %w", err)
	}
	// The last one comes first; one that is under way has no result.
	for _, c := range calls.Value {
		switch {
		case strings.EqualFold(c.Status, "completed") && strings.EqualFold(c.Result, "succeeded"):
			return "", true, nil
		case strings.EqualFold(c.Status, "completed") && strings.EqualFold(c.Result, "failed"):
			return callFailed(0, "see History of the subscription for "+s.Event), true, nil
		}
	}
	return "", false, nil
}
