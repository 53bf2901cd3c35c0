package preview

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/plugin/forge"
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

// TestLostStateWithoutSnapshot: previews whose state was lost come back to their
// data while their seed has no snapshot, and are not left out while the checks of
// their newest commit run.
func TestLostStateWithoutSnapshot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newHost(pull(1), pull(2)))
	asked := asksWith(map[string]string{"waitForStatus": `"ci"`})
	w.host.green[sha1] = true
	w.asks(asked)
	w.mustRound()
	if got := w.answeredTo(asked); len(got) != 2 {
		t.Fatal(got)
	}
	if err := w.cluster.DeleteAllOf(t.Context(), &corev1.ConfigMap{}, client.InNamespace("seedling")); err != nil {
		t.Fatal(err)
	}
	w.seeds.set("seed", true)
	w.host.set(pull(1, func(p *forge.PullRequest) { p.HeadSHA = strings.Repeat("9", 40) }))
	w.restart()
	w.asks(asked)
	for range 3 {
		_ = w.roundOf()
		if got := w.answeredTo(asked); got != nil {
			t.Fatalf("%v are answered while the checks of one run", got)
		}
	}
	w.host.with(func(h *host) { h.green[strings.Repeat("9", 40)] = true })
	w.mustRound()
	w.mustRound()
	if got := w.answeredTo(asked); len(got) != 2 {
		t.Errorf("answered are %v", got)
	}
	// One that begins now has to wait for a snapshot.
	w.host.set(pull(3))
	w.mustRound()
	if got := w.answeredTo(asked); len(got) != 2 {
		t.Errorf("without a snapshot answered are %v", got)
	}
}

// TestEditedState: a preview that somebody takes out of the state of a running
// plugin stays in the answer until it is known anew.
func TestEditedState(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newHost(pull(1), pull(2), pull(3)))
	w.mustRound()
	var all corev1.ConfigMapList
	if err := w.cluster.List(t.Context(), &all, client.InNamespace("seedling")); err != nil || len(all.Items) != 1 {
		t.Fatal(all.Items, err)
	}
	cm := &all.Items[0]
	d, err := decode(cm)
	if err != nil {
		t.Fatal(err)
	}
	d.Previews = slices.DeleteFunc(d.Previews, func(p *Preview) bool { return p.Number == 2 })
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	cm.Data[stateKey] = string(text)
	if err := w.cluster.Update(t.Context(), cm); err != nil {
		t.Fatal(err)
	}
	w.host.with(func(h *host) { h.askErr = errDown })
	w.host.set(pull(1, func(p *forge.PullRequest) { p.HeadSHA = strings.Repeat("9", 40) })) // which is written
	for range 3 {
		_ = w.roundOf()
		if _, known := w.preview(2); !slices.Contains(w.answered(), "2") {
			t.Fatalf("2 left the answer, which is %v; the state knows of it: %v", w.answered(), known)
		}
	}
	// One list that lacks it says as little as for any other.
	w.host.with(func(h *host) { h.hidden[2] = true })
	_ = w.roundOf()
	if !slices.Contains(w.answered(), "2") {
		t.Error("2 left the answer for one list that lacks it")
	}
	w.host.with(func(h *host) { h.askErr = nil; clear(h.hidden) })
	w.mustRound()
	w.mustRound()
	if p, _ := w.preview(2); p.Phase != Live || len(w.answered()) != 3 {
		t.Errorf("%+v, answered are %v", p, w.answered())
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
