package preview

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/seedling-dev/seedling/plugin/forge"
)

// approving is a forge without labels.
type approving struct{ *host }

func (approving) Approving() string { return "must be approved" }

// Where a forge has no record of who set a label, an input that asks for one is
// wrong, and what it had stays.
func TestLabelThatNobodyCanTell(t *testing.T) {
	t.Parallel()
	h := newHost(pull(1))
	w := newWorld(t, h)
	w.mustRound()
	w.Forges["gitea"] = approving{h}
	var input *InputError
	if _, err := w.Answer(t.Context(), "previews", asksForShop); !errors.As(err, &input) || input.Field != "label" {
		t.Errorf("error %v", err)
	}
	w.asks(asksForShop)
	w.mustRound()
	if p, _ := w.preview(1); p.Phase != Live {
		t.Errorf("%s: %s", p.Phase, p.Reason)
	}
	right := map[string]json.RawMessage{"forge": asksForShop["forge"], "repo": asksForShop["repo"], "label": json.RawMessage(`"approved"`)}
	w.asks(right)
	w.mustRound()
	if _, err := w.Answer(t.Context(), "previews", right); err != nil {
		t.Error(err)
	}
}

// Whoever approves after one who may not is asked about at once; that alone is
// nothing to write down.
func TestApprovals(t *testing.T) {
	t.Parallel()
	a, b := pull(1), pull(1)
	a.Approvals, b.Approvals = "stranger", "maintainer\nstranger"
	if consentKey(&a, "approved") == consentKey(&b, "approved") {
		t.Error("another approval is no news")
	}
	if !same(&Preview{PullRequest: a}, &Preview{PullRequest: b}) {
		t.Error("another approval is written down")
	}
	if consentKey(&a, "approved") != consentKey(&forge.PullRequest{Labels: a.Labels, UpdatedAt: a.UpdatedAt, Approvals: a.Approvals}, "approved") {
		t.Error("something else is news")
	}
}

// A live preview ends when nobody approves it any more who may write, whoever else
// still does, and not on one answer.
func TestApprovalIsWithdrawn(t *testing.T) {
	t.Parallel()
	asked := map[string]json.RawMessage{"forge": asksForShop["forge"], "repo": asksForShop["repo"], "label": json.RawMessage(`"approved"`)}
	by := func(names string) forge.PullRequest {
		return pull(1, func(p *forge.PullRequest) { p.Labels, p.Approvals = []string{"approved"}, names })
	}
	for name, test := range map[string]struct {
		then func(h *host) // once it is live
		// later is what the forge says after one answer.
		later func(h *host)
		ends  bool
		// consent is who has given it at last.
		consent string
	}{
		"a stranger approves too":          {then: func(h *host) { h.pulls[1] = by("maintainer\nstranger") }, consent: "maintainer"},
		"another one who may approves too": {then: func(h *host) { h.pulls[1] = by("maintainer\nother") }, consent: "maintainer"},
		"a stranger's stays":               {then: func(h *host) { h.pulls[1], h.labelled[1] = by("stranger"), "stranger" }, ends: true},
		"another one's who may stays":      {then: func(h *host) { h.pulls[1], h.labelled[1] = by("other\nstranger"), "other" }, consent: "other"},
		"of one who is nobody any more":    {then: func(h *host) { h.pulls[1], h.labelled[1] = by(""), "" }, ends: true},
		"who may is not told": {then: func(h *host) {
			h.pulls[1], h.askErr = by("stranger"), errDown
		}, consent: "maintainer"},
		"one wrong answer": {
			then:  func(h *host) { h.pulls[1], h.labelled[1] = by("stranger"), "stranger" },
			later: func(h *host) { h.pulls[1], h.labelled[1] = by("maintainer"), "maintainer" }, consent: "maintainer",
		},
	} {
		h := newHost(by("maintainer"))
		h.writers["other"] = true
		w := newWorld(t, h)
		w.linger = 15 * time.Minute
		w.restart()
		w.Forges["gitea"] = approving{h}
		w.asks(asked)
		w.mustRound()
		p, _ := w.preview(1)
		if p.Phase != Live {
			t.Fatalf("%s: %s: %s", name, p.Phase, p.Reason)
		}
		(&model{world: w}).restored(p)
		h.with(test.then)
		w.mustRound()
		if p, _ := w.preview(1); p.Phase != Live {
			t.Errorf("%s: it ended at one answer: %s", name, p.Reason)
		}
		if test.later != nil {
			h.with(test.later)
		}
		for range 3 {
			w.now = w.now.Add(pollEvery)
			_ = w.quickRound() // the forge may not answer
		}
		p, _ = w.preview(1)
		switch {
		case test.ends && (p.Phase != Ending || p.Reason != reasonWithdrawn || !p.Lingers(w.now)):
			t.Errorf("%s: %s: %s", name, p.Phase, p.Reason)
		case !test.ends && (p.Phase != Live || p.ConsentBy != test.consent):
			t.Errorf("%s: %s: %s, by %s", name, p.Phase, p.Reason, p.ConsentBy)
		}
	}
}
