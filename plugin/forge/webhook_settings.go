package forge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Webhook is one by which a forge calls the plugin.
type Webhook struct {
	// Wrong is why its calls do not do what they should, and what to click; nil
	// for no reason that was seen.
	Wrong error
	// Unknown says what the forge does not tell of it, and where it can be seen;
	// empty where its last call arrived.
	Unknown string
}

// Webhooks are those by which a forge calls the plugin about a repository.
type Webhooks struct {
	Found []Webhook
	// Unseen says which other places may have one, and what it needs to see them;
	// empty where all were seen.
	Unseen string
	// Add says what to click where there is none.
	Add string
}

// Hooking is a Forge that tells of webhooks, which every host here does. Nothing
// is changed, and nothing is called, by asking.
type Hooking interface {
	// Webhooks are those whose address is the plugin's for this forge.
	Webhooks(ctx context.Context, repository string) (Webhooks, error)
}

// hook is a webhook as a forge has it, whoever it calls.
type hook struct {
	url string
	// off says that it is switched off, and by whom or why where that is known.
	off string
	// lacks are events that the plugin looks at, as they are called where they are
	// chosen.
	lacks []string
	// wrong is what else keeps its calls from being taken.
	wrong string
	// failed is how its last call ended, empty for well. untold says that this is
	// not told, and where it can be seen.
	failed, untold string
}

// hooked are the webhooks that call this forge's address at the plugin. place is
// where they are changed.
func hooked(c Config, place string, hooks []hook) []Webhook {
	var found []Webhook
	for _, h := range hooks {
		if !callsUs(h.url, c.Name) {
			continue
		}
		wrong := ""
		switch {
		case h.off != "":
			wrong = h.off + ": switch it on"
		case h.wrong != "":
			wrong = h.wrong
		case len(h.lacks) > 0:
			wrong = "it does not call at " + strings.Join(h.lacks, ", ") + ": choose them"
		case h.failed != "":
			wrong = "its last call failed: " + h.failed
		}
		if wrong != "" {
			found = append(found, Webhook{Wrong: fmt.Errorf("%s, under %s", wrong, place)})
			continue
		}
		found = append(found, Webhook{Unknown: h.untold})
	}
	return found
}

// callsUs says whether an address is the plugin's for a forge of that name. How
// its host is called outside of the cluster nobody tells us.
func callsUs(address, name string) bool {
	u, err := url.Parse(address)
	return err == nil && strings.HasSuffix(strings.TrimRight(u.Path, "/"), "/webhook/"+name)
}

// lacking are those of the wanted events that are not there. The wanted ones are
// pairs of what the API and what people call them.
func lacking(there []string, wanted [][2]string) []string {
	var lacks []string
	for _, w := range wanted {
		if !slices.Contains(there, w[0]) {
			lacks = append(lacks, w[1])
		}
	}
	return lacks
}

// callFailed is how a call ended that was answered with a status, or not at all:
// then said is what the forge makes of it.
func callFailed(status int, said string) string {
	switch {
	case status >= 200 && status < 300:
		return ""
	case status == 401:
		return "401, because its secret is not the content of webhookSecretFile: give it that one"
	case status == 404:
		return "404, because its address leads to something else: let the Ingress lead to the plugin's webhooks"
	case status > 0:
		return fmt.Sprintf("HTTP status %d: let the Ingress lead to the plugin's webhooks", status)
	}
	return cut(cmp.Or(said, "no answer")) + ": let the forge reach the Ingress"
}

// hiddenHooks is what a 404 means of a place that is there: forges hide it from
// whoever may not see it.
func hiddenHooks(err error) error {
	if errors.Is(err, errNotFound) {
		return errForbidden
	}
	return err
}

// unseenHooks adds to what was not seen, where the credential is what it lacks. A
// place that is not there has none.
func unseenHooks(unseen *string, what string, err error) error {
	switch {
	case errors.Is(err, ErrCredential):
		if *unseen != "" {
			*unseen += "; "
		}
		*unseen += what
		return nil
	case errors.Is(err, errNotFound):
		return nil
	}
	return err
}
