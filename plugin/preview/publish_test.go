package preview

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestLostState: previews whose state was lost are not left out of the first
// answer because they are not decided about yet.
func TestLostState(t *testing.T) {
	t.Parallel()
	w := lived(t, 5)
	if err := w.cluster.DeleteAllOf(t.Context(), &corev1.ConfigMap{}, client.InNamespace("seedling")); err != nil {
		t.Fatal(err)
	}
	w.host.with(func(h *host) { h.askErr = errDown })
	w.restart()
	for range 3 {
		_ = w.roundOf()
		if got := w.answered(); got != nil {
			t.Fatalf("%v are answered while nobody tells who labelled", got)
		}
	}
	w.host.with(func(h *host) { h.askErr = nil })
	w.mustRound()
	if n := len(w.answered()); n != 5 {
		t.Errorf("%d are answered", n)
	}
}

// TestLiveWithoutOwner: a live preview that nothing was decided about is an
// error, never an omission.
func TestLiveWithoutOwner(t *testing.T) {
	t.Parallel()
	subs := []subscription{{set: "previews", in: mustInput(t, asksForShop)}}
	rec := &record{Previews: []*Preview{{Key: key1, Namespace: key1.Namespace(), Phase: Live, HeadSHA: sha1, PullRequest: pull(1)}}}
	if answers, _, err := assembleAnswers(rec, subs, nil, nil); err == nil {
		t.Errorf("answered %v", answers)
	}
	items := []*item{{key: key1, in: subs[0].in}}
	if answers, _, err := assembleAnswers(rec, subs, items, nil); err != nil || len(parse(t, answers[subs[0].id()].body)) != 1 {
		t.Errorf("%s, error %v", answers[subs[0].id()].body, err)
	}
}
