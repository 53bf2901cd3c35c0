package check

import (
	"strings"
	"testing"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What of Velero's other work touches seeds and previews is said, and is no error.
func TestVelerosOtherWork(t *testing.T) {
	t.Parallel()
	schedule := func(edit func(*velerov1.Schedule)) func(*world) {
		return func(w *world) {
			s := &velerov1.Schedule{ObjectMeta: object("velero", "nightly")}
			edit(s)
			w.more = append(w.more, s)
		}
	}
	names := func(included, excluded []string) func(*world) {
		return schedule(func(s *velerov1.Schedule) {
			s.Spec.Template.IncludedNamespaces, s.Spec.Template.ExcludedNamespaces = included, excluded
		})
	}
	restore := func(phase velerov1.RestorePhase, began time.Duration) func(*world) {
		return func(w *world) {
			r := &velerov1.Restore{ObjectMeta: object("velero", "shop-again")}
			r.Status = velerov1.RestoreStatus{Phase: phase, StartTimestamp: &metav1.Time{Time: time.Now().Add(-began)}}
			w.more = append(w.more, r)
		}
	}
	flags := func(args ...string) func(*world) {
		return func(w *world) { w.velero.Spec.Template.Spec.Containers[0].Args = append([]string{"server"}, args...) }
	}
	const seedToo, previewsToo = "Schedule nightly backs namespace seed up", "Schedule nightly covers previews' namespaces"
	const slow, waits, goneWaits = "Velero has been at Restore shop-again for 6 minutes", "set --resource-timeout=2m0s", "set --terminating-resource-timeout=2m0s"
	for name, test := range map[string]struct {
		change func(*world)
		direct bool
		says   []string
	}{
		"everything":                   {names(nil, nil), false, []string{seedToo, previewsToo}},
		"everything by a star":         {names([]string{"*"}, nil), false, []string{seedToo, previewsToo}},
		"another namespace":            {names([]string{"shop"}, nil), false, nil},
		"the seed":                     {names([]string{"shop", "seed"}, nil), false, []string{seedToo}},
		"a pattern of previews":        {names([]string{"preview-*"}, nil), false, []string{previewsToo}},
		"everything but them":          {names(nil, []string{"seed", "preview-*"}), false, nil},
		"everything but the seed":      {names([]string{"*"}, []string{"seed*"}), false, []string{previewsToo}},
		"another seed":                 {names([]string{"seed-b"}, nil), false, nil},
		"a paused one":                 {schedule(func(s *velerov1.Schedule) { s.Spec.Paused = true }), false, nil},
		"one of another Velero":        {schedule(func(s *velerov1.Schedule) { s.Namespace = "velero-two" }), false, nil},
		"a long Restore":               {restore(velerov1.RestorePhaseInProgress, 6*time.Minute), false, []string{slow}},
		"a long Restore, direct":       {restore(velerov1.RestorePhaseInProgress, 6*time.Minute), true, nil},
		"a Restore of a moment":        {restore(velerov1.RestorePhaseInProgress, time.Minute), false, nil},
		"a Restore that ended":         {restore(velerov1.RestorePhaseCompleted, 6*time.Minute), false, nil},
		"short timeouts":               {flags("--resource-timeout=2m", "--terminating-resource-timeout", "60s"), false, nil},
		"one short timeout":            {flags("--resource-timeout=1m"), false, []string{goneWaits}},
		"a timeout that cannot be one": {flags("--resource-timeout=long", "--terminating-resource-timeout=1m"), false, []string{waits}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			w.direct = test.direct
			if len(w.velero.Spec.Template.Spec.Containers[0].Args) == 0 {
				flags("--resource-timeout=1m", "--terminating-resource-timeout=1m")(w)
			}
			test.change(w)
			out, err := w.look(t)
			if err != nil && !test.direct {
				t.Fatalf("%v:\n%s", err, out)
			}
			for _, note := range []string{seedToo, previewsToo, slow, waits, goneWaits} {
				want := false
				for _, s := range test.says {
					want = want || s == note
				}
				if strings.Contains(out, note) != want {
					t.Errorf("%q is said: %v, want %v:\n%s", note, !want, want, out)
				}
			}
		})
	}
}
