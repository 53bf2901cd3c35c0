package preview

import (
	"encoding/json"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/forge"
)

// restored is a world with one live preview that has data, and lingers.
func restored(t *testing.T) (*world, Preview) {
	t.Helper()
	w := newWorld(t, newHost())
	w.linger = 15 * time.Minute
	w.restart()
	w.host.set(pull(1))
	w.mustRound()
	p, _ := w.preview(1)
	w.restored(p.Namespace)
	w.mustRound()
	p, _ = w.preview(1)
	return w, p
}

// restored gives a preview its volume.
func (w *world) restored(namespace string) {
	w.t.Helper()
	pvc := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: snapshot.SeedPVC, Labels: map[string]string{snapshot.VeleroRestoreLabel: "x"}}}
	if err := w.cluster.Create(w.t.Context(), pvc); err != nil {
		w.t.Fatal(err)
	}
	if err := w.Store.Record(w.t.Context(), namespace, "seed-1", pvc.UID); err != nil {
		w.t.Fatal(err)
	}
}

// TestLinger: a preview that ended keeps its data for a while, and comes back
// with it only if everything is as it must be.
func TestLinger(t *testing.T) {
	t.Parallel()
	other := map[string]json.RawMessage{"forge": asksForShop["forge"], "repo": asksForShop["repo"], "seed": json.RawMessage(`"seed-other"`)}
	tests := []struct {
		name string
		end  func(w *world)
		// lingers: it keeps its data when it ended.
		lingers bool
		rests   bool
		again   func(w *world)
		phase   Phase
		// keeps its data to the end.
		keeps bool
	}{
		{"closed and opened again", func(w *world) { w.host.set(pull(1, closed)) }, true, true, func(w *world) { w.host.set(pull(1)) }, Live, true},
		{"unlabelled and labelled again", func(w *world) { w.host.set(pull(1, unlabelled)) }, true, true, func(w *world) { w.host.set(pull(1)) }, Live, true},
		{"not asked for again", func(w *world) { w.host.set(pull(1, closed)) }, true, true, func(*world) {}, Ending, true},
		{"its pods are still there", func(w *world) { w.host.set(pull(1, closed)) }, true, false, func(w *world) { w.host.set(pull(1)) }, Ending, true},
		{"labelled again by a stranger", func(w *world) { w.host.set(pull(1, unlabelled)) }, true, true, func(w *world) {
			w.host.set(pull(1))
			w.host.with(func(h *host) { h.labelled[1] = "stranger" })
		}, Held, true},
		{"too late", func(w *world) { w.host.set(pull(1, closed)) }, true, true, func(w *world) {
			w.now = w.now.Add(15 * time.Minute)
			w.host.set(pull(1))
		}, Ending, false},
		{"with another seed", func(w *world) { w.host.set(pull(1, closed)) }, true, true, func(w *world) {
			w.asks(other)
			w.host.set(pull(1))
		}, Ending, false},
		{"with the reset label", func(w *world) { w.host.set(pull(1, closed)) }, true, true, func(w *world) {
			w.host.set(pull(1, func(p *forge.PullRequest) { p.Labels = []string{"preview", "preview-reset"} }))
		}, Ending, false},
		{"reset", func(w *world) {
			w.host.set(pull(1, func(p *forge.PullRequest) { p.Labels = []string{"preview", "preview-reset"} }))
		}, false, false, func(*world) {}, Ending, false},
		{"nobody asks for the repository", func(w *world) { w.SetApplicationSets(map[string]Asked{}) }, false, false, func(*world) {}, Ending, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w, before := restored(t)
			test.end(w)
			w.mustRound()
			p, _ := w.preview(1)
			if p.Phase != Ending || p.Lingers(w.now) != test.lingers || p.Rests {
				t.Fatalf("%s (%s), lingers until %s, rests %v", p.Phase, p.Reason, p.LingersUntil, p.Rests)
			}
			if test.rests {
				if err := w.Store.Rest(t.Context(), p.Namespace); err != nil {
					t.Fatal(err)
				}
			}
			w.restart()
			if test.lingers {
				w.mustRound()
			}
			asked := w.host.asked
			test.again(w)
			w.mustRound()
			p, _ = w.preview(1)
			if p.Phase != test.phase {
				t.Fatalf("%s: %s", p.Phase, p.Reason)
			}
			if keeps := p.PVCUID == before.PVCUID && (p.Phase != Ending || p.Lingers(w.now)); keeps != test.keeps {
				t.Errorf("%+v", p)
			}
			if p.Phase == Live && (w.host.asked == asked || p.NamespaceUID != before.NamespaceUID || p.Snapshot != "seed-1" || !p.LingersUntil.IsZero() || p.Rests) {
				t.Errorf("asked %d times for consent, %+v", w.host.asked-asked, p)
			}
		})
	}
}

// TestReturnIsBounded: one that may not come back does not keep its data for
// ever because it waits.
func TestReturnIsBounded(t *testing.T) {
	t.Parallel()
	w, _ := restored(t)
	w.host.set(pull(1, unlabelled))
	w.mustRound()
	p, _ := w.preview(1)
	if err := w.Store.Rest(t.Context(), p.Namespace); err != nil {
		t.Fatal(err)
	}
	w.host.set(pull(1))
	w.host.with(func(h *host) { h.labelled[1] = "stranger" })
	for range 20 {
		w.mustRound()
	}
	if p, _ := w.preview(1); p.Phase != Ending || p.Lingers(w.now) {
		t.Errorf("%s until %s", p.Phase, p.LingersUntil)
	}
}

// TestConsentIsOfNow: whoever labelled must still have, and may still write, at
// the moment the preview begins.
func TestConsentIsOfNow(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(h *host){
		"labelled again by somebody else": func(h *host) { h.labelled[1] = "stranger" },
		"who labelled may write no more":  func(h *host) { h.writers = nil },
		"nobody answers":                  func(h *host) { h.askErr = errDown },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, newHost(pull(1)))
			w.seeds.set("seed", true)
			w.mustRound()
			if p, _ := w.preview(1); p.ConsentBy != "maintainer" {
				t.Fatalf("%+v", p)
			}
			w.host.with(change)
			w.seeds.set("seed", false)
			for range 3 {
				w.mustRound()
				if p, _ := w.preview(1); p.Phase != Held {
					t.Fatalf("%s: %s", p.Phase, p.Reason)
				}
			}
		})
	}
}
