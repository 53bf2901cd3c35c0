package preview

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/seedling-dev/seedling/plugin/forge"
)

// granting is a forge whose record tells when labels were set, and whose
// webhooks are signed.
type granting struct {
	*host
	at map[int64]time.Time
}

func (granting) CannotGrant() string { return "" }

func (g granting) Labelled(ctx context.Context, repository string, n int64, label string) (forge.Labelled, error) {
	l, err := g.host.Labelled(ctx, repository, n, label)
	l.At = g.at[n]
	return l, err
}

var forksToo = map[string]json.RawMessage{
	"forge": json.RawMessage(`"gitea"`), "repo": json.RawMessage(`"acme/shop"`), "filters": json.RawMessage(`{"forks":true}`),
}

// forked is a world with one pull request from a fork, labelled at that time.
func forked(t *testing.T, change func(*forge.PullRequest)) (*world, granting, time.Time) {
	t.Helper()
	h := newHost(pull(1, func(p *forge.PullRequest) {
		p.Fork, p.HeadRepository = true, "stranger/shop"
		if change != nil {
			change(p)
		}
	}))
	w := newWorld(t, h)
	set := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	g := granting{host: h, at: map[int64]time.Time{1: set}}
	w.Forges["gitea"] = g
	w.asks(forksToo)
	return w, g, set
}

// head is the commit that is emitted; empty for none.
func (w *world) emits() string {
	w.t.Helper()
	w.mustRound()
	body, err := w.Answer(w.t.Context(), "previews", forksToo)
	if err != nil {
		w.t.Fatal(err)
	}
	if list := parse(w.t, body); len(list) == 1 {
		return list[0]["head_sha"]
	}
	return ""
}

// Nothing but a signed event about this very commit, by whom the forge's record
// tells to have set the label, gives a fork data.
func TestForksThatNobodyApproved(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		grant  func(g *forge.Grant)
		none   bool
		change func(p *forge.PullRequest)
		host   func(h *host)
	}{
		"no event, only polling":            {none: true},
		"a title, a branch":                 {none: true, change: func(p *forge.PullRequest) { p.Title, p.Branch = "preview", "preview" }},
		"another commit":                    {grant: func(g *forge.Grant) { g.HeadSHA = sha2 }},
		"another pull request":              {grant: func(g *forge.Grant) { g.Number = 2 }},
		"by a stranger":                     {grant: func(g *forge.Grant) { g.By = "stranger" }},
		"by a stranger, as the record says": {grant: func(g *forge.Grant) { g.By = "stranger" }, host: func(h *host) { h.labelled[1] = "stranger" }},
		"set again by a stranger":           {host: func(h *host) { h.labelled[1] = "stranger" }},
		"by one who was removed":            {host: func(h *host) { h.writers["maintainer"] = false }},
		"by one who is no more":             {host: func(h *host) { h.labelled[1] = "" }},
		"of an earlier setting":             {grant: func(g *forge.Grant) { g.At = g.At.Add(-time.Minute) }},
		"of a later event":                  {grant: func(g *forge.Grant) { g.At = g.At.Add(time.Minute) }},
		"no label":                          {change: unlabelled},
	} {
		w, _, set := forked(t, test.change)
		if test.host != nil {
			w.host.with(test.host)
		}
		g := forge.Grant{Number: 1, HeadSHA: sha1, By: "maintainer", At: set}
		if test.grant != nil {
			test.grant(&g)
		}
		if !test.none {
			w.Grant("gitea", "acme/shop", g)
		}
		if got := w.emits(); got != "" {
			t.Errorf("%s: emitted %s", name, got)
		}
		if p, ok := w.preview(1); ok && (p.Phase != Held || p.NamespaceUID != "") {
			t.Errorf("%s: %s, namespace %q", name, p.Phase, p.NamespaceUID)
		}
	}
}

// A commit that was approved is emitted, and nothing that is pushed after it,
// until that is approved itself.
func TestForkCommitByCommit(t *testing.T) {
	t.Parallel()
	w, g, set := forked(t, nil)
	if got := w.emits(); got != "" {
		t.Fatalf("emitted %s", got)
	}
	if p, _ := w.preview(1); p.Reason != reasonForkHead {
		t.Errorf("%s", p.Reason)
	}
	w.Grant("gitea", "acme/shop", forge.Grant{Number: 1, HeadSHA: sha1, By: "maintainer", At: set.Add(time.Second)})
	w.Grant("gitea", "acme/other", forge.Grant{Number: 1, HeadSHA: sha1, By: "maintainer", At: set})
	w.Grant("gitlab", "acme/shop", forge.Grant{Number: 1, HeadSHA: sha1, By: "maintainer", At: set})
	if got := w.emits(); got != sha1 {
		t.Fatalf("emitted %q once it is approved", got)
	}
	pushed := pull(1, func(p *forge.PullRequest) {
		p.Fork, p.HeadRepository, p.HeadSHA, p.UpdatedAt = true, "stranger/shop", sha2, p.UpdatedAt.Add(time.Minute)
	})
	w.host.set(pushed)
	for range 3 {
		if got := w.emits(); got != sha1 {
			t.Errorf("emitted %q after a push", got)
		}
	}
	// The old event, and one of the old setting, say nothing of the new commit.
	w.Grant("gitea", "acme/shop", forge.Grant{Number: 1, HeadSHA: sha1, By: "maintainer", At: set})
	w.Grant("gitea", "acme/shop", forge.Grant{Number: 1, HeadSHA: sha2, By: "maintainer", At: set.Add(time.Hour)})
	if got := w.emits(); got != sha1 {
		t.Errorf("emitted %q", got)
	}
	// Set again, with its event.
	w.host.with(func(*host) { g.at[1] = set.Add(time.Hour) })
	w.host.set(pull(1, func(p *forge.PullRequest) {
		p.Fork, p.HeadRepository, p.HeadSHA, p.UpdatedAt = true, "stranger/shop", sha2, p.UpdatedAt.Add(time.Hour)
	}))
	if got := w.emits(); got != sha2 {
		t.Errorf("emitted %q once the new commit is approved", got)
	}
	// What is emitted stays over a restart; what is pushed then waits.
	w.restart()
	w.Forges["gitea"] = g
	w.asks(forksToo)
	if got := w.emits(); got != sha2 {
		t.Errorf("emitted %q after a restart", got)
	}
	w.host.set(pull(1, func(p *forge.PullRequest) {
		p.Fork, p.HeadRepository, p.UpdatedAt = true, "stranger/shop", p.UpdatedAt.Add(2*time.Hour)
	}))
	if got := w.emits(); got != sha2 {
		t.Errorf("emitted %q after a restart and a push", got)
	}
	// Once forks are not allowed any more, no event moves what runs.
	w.asks(asksForShop)
	w.Grant("gitea", "acme/shop", forge.Grant{Number: 1, HeadSHA: sha1, By: "maintainer", At: set.Add(time.Hour)})
	w.mustRound()
	w.mustRound()
	if p, _ := w.preview(1); p.HeadSHA != sha2 {
		t.Errorf("%s, head %s", p.Phase, p.HeadSHA)
	}
}

// What somebody without rights does after an approval, or a bot, neither takes it
// away nor gives one: not with another label, not many times, and not from many
// accounts.
func TestForkGrantStays(t *testing.T) {
	t.Parallel()
	grant := func(head, by string, at time.Time) forge.Grant {
		return forge.Grant{Number: 1, HeadSHA: head, By: by, At: at}
	}
	for name, later := range map[string]func(w *world, set time.Time){
		"a stranger's label": func(w *world, set time.Time) {
			w.Grant("gitea", "acme/shop", grant(sha1, "stranger", set.Add(time.Minute)))
		},
		"a stranger, of one moment": func(w *world, set time.Time) { w.Grant("gitea", "acme/shop", grant(sha1, "stranger", set)) },
		"an older commit": func(w *world, set time.Time) {
			w.Grant("gitea", "acme/shop", grant(sha2, "stranger", set.Add(time.Minute)))
		},
		"other labels of the same": func(w *world, set time.Time) {
			w.Grant("gitea", "acme/shop", grant(sha1, "maintainer", set.Add(time.Hour)))
		},
		"a flood by one": func(w *world, set time.Time) {
			for n := range 10_000 {
				w.Grant("gitea", "acme/shop", grant(sha1, "stranger", set.Add(time.Duration(n)*time.Minute)))
			}
		},
		"a flood by many": func(w *world, set time.Time) {
			for n := range 10_000 {
				w.Grant("gitea", "acme/shop", grant(sha1, fmt.Sprint("bot-", n%200), set.Add(time.Duration(n)*time.Minute)))
			}
		},
	} {
		w, _, set := forked(t, nil)
		w.Grant("gitea", "acme/shop", grant(sha1, "maintainer", set))
		later(w, set)
		if got := w.emits(); got != sha1 {
			t.Errorf("%s: emitted %q, and the commit was approved", name, got)
		}
		if n := len(w.repo().grants[1]); n > grantsOfAll {
			t.Errorf("%s: %d events are remembered", name, n)
		}
		// The same without the approval.
		w, _, set = forked(t, nil)
		later(w, set)
		if got := w.emits(); got != "" && name != "other labels of the same" {
			t.Errorf("%s: emitted %q, and nobody approved it", name, got)
		}
	}
}

func TestForksThatCannotBeTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newHost(pull(1)))
	var input *InputError
	if _, err := w.Answer(t.Context(), "previews", forksToo); !errors.As(err, &input) || input.Field != "filters.forks" {
		t.Errorf("error %v", err)
	}
}
