package preview

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seedling-dev/seedling/plugin/forge"
)

// labelless is a forge whose pull requests have approvals and nothing else.
type labelless struct{ approving }

func (labelless) Labelless() {}

// TestNobodyIsToldToSetALabel: where there are no labels nothing that is said through
// a life asks for one, and each way out is one that is there.
func TestNobodyIsToldToSetALabel(t *testing.T) {
	t.Parallel()
	by := func(name string) forge.PullRequest {
		return pull(1, func(p *forge.PullRequest) { p.Labels, p.Approvals = []string{forge.Approved}, name })
	}
	w := talking(t, by("stranger"))
	w.host.labelled[1] = "stranger"
	w.Forges["gitea"] = labelless{approving{w.host}}
	w.asks(map[string]json.RawMessage{"forge": asksForShop["forge"], "repo": asksForShop["repo"], "label": json.RawMessage(`"approved"`)})
	said := map[string]bool{}
	wants := func(text string) {
		t.Helper()
		p, _ := w.preview(1)
		now := []string{p.Reason, w.comment(1), w.host.statuses[sha1].Description}
		for _, one := range now {
			said[one] = true
		}
		if !slices.ContainsFunc(now, func(one string) bool { return strings.Contains(one, text) }) {
			t.Errorf("%q is missing in %q", text, now)
		}
	}
	w.mustRound()
	wants("it was approved by somebody without write access")
	w.host.with(func(h *host) { h.pulls[1], h.labelled[1] = by("maintainer"), "maintainer" })
	for range 3 {
		w.mustRound()
	}
	wants("is starting")
	p, _ := w.preview(1)
	(&model{world: w}).restored(p)
	if err := w.Store.RecordData(t.Context(), p.Namespace, w.now.Add(-time.Hour), time.Time{}); err != nil {
		t.Fatal(err)
	}
	w.mustRound()
	w.Reconciler.seeds.saw("seed", "seed-2", w.now)
	w.mustRound()
	wants("there is newer data, of 2026-11-21")
	wants("UTC: take the approval back, and give it again when the preview is gone")
	wants("when its time is over: push\n")
	w.pass(6*dayLong+time.Hour, time.Hour, nil)
	w.mustRound()
	wants("Ends 2026-11-")
	w.pass(2*dayLong, time.Hour, func() bool { return w.phase(1) == Ending })
	if p, _ = w.preview(1); p.Phase != Ending {
		t.Fatalf("%s: %s", p.Phase, p.Reason)
	}
	(&model{world: w}).wipe(p)
	w.remove(1)
	w.mustRound()
	wants("it comes back with a push, or with an approval that is taken back and given again")
	w.host.set(pull(1, push(sha2), func(p *forge.PullRequest) { p.Labels, p.Approvals = []string{forge.Approved}, "maintainer" }))
	w.mustRound()
	w.mustRound()
	w.host.with(func(h *host) {
		h.pulls[1], h.labelled[1] = pull(1, push(sha2), func(p *forge.PullRequest) { p.Labels = nil }), ""
	})
	for range 4 {
		w.mustRound()
	}
	wants(reasonUnapproved)
	for text := range said {
		if strings.Contains(text, "label") {
			t.Errorf("it says %s", text)
		}
	}
}

// TestAsking: each thing that people can ask for is asked for as the forge has it.
func TestAsking(t *testing.T) {
	t.Parallel()
	for _, reason := range []string{reasonUnlabelled, reasonUnapproved, reasonWithdrawn} {
		if told := (&Report{Preview: Preview{Phase: Ending, Reason: reason}}).Told(); told.Why != reason {
			t.Errorf("%s: nobody is told why it ended", reason)
		}
	}
	h := newHost()
	asleep := Preview{Phase: Live, AsleepSince: time.Unix(0, 0), AsleepFor: "nobody used it"}
	foreign := Preview{Phase: Live, Foreign: true}
	old := Preview{ExpiresFor: reasonDataAge}
	for name, test := range map[string]struct {
		forge                   forge.Forge
		wake, mend, data, again string
		unrecorded, unasked     string
	}{
		"labels": {
			h, "set label preview-wake", "set label preview-reset for a fresh preview, or delete", "set label preview-reset for fresh data", "its label taken off and set again",
			"who set label x: take it off", "does not have label x",
		},
		"approvals, and other labels": {
			approving{h},
			"set label preview-wake", "set label preview-reset for a fresh preview, or delete", "set label preview-reset for fresh data", "an approval that is taken back",
			"who approved it: take the approval back", "nobody approves it",
		},
		"approvals alone": {
			labelless{approving{h}},
			"Push to wake it", "not the restored one: delete claim", "take the approval back, and give it again when the preview is gone for fresh data", "an approval that is taken back",
			"who approved it: take the approval back", "nobody approves it",
		},
		"nobody asks": {nil, "set label preview-wake", "set label preview-reset", "set label preview-reset", "its label taken off", "who set label x", "does not have label x"},
	} {
		in := Input{asking: askingOf(test.forge)}
		status := commitStatus(&foreign, &item{in: in}, sentence{})
		if len(status.Description) > 140 {
			t.Errorf("%s: %s", name, status.Description)
		}
		for got, want := range map[string]string{
			sleepSentence(&asleep, in): test.wake, status.Description: test.mend, remedy(&old, in): test.data, in.asking.again(): test.again,
			in.asking.unrecorded("x"): test.unrecorded, in.asking.unasked("x"): test.unasked,
		} {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %q is missing in %q", name, want, got)
			}
		}
	}
}
