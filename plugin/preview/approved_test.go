package preview

import (
	"encoding/json"
	"errors"
	"testing"

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
