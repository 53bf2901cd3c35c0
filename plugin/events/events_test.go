package events

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/seedling-dev/seedling/plugin/forge"
	"github.com/seedling-dev/seedling/plugin/preview"
)

// recorder writes down what is told.
type recorder struct{ said []string }

func (r *recorder) Event(o runtime.Object, kind, reason, message string) {
	of := o.(*corev1.ObjectReference)
	r.said = append(r.said, fmt.Sprintf("%s/%s %s %s: %s", of.Namespace, of.Name, kind, reason, message))
}

func (r *recorder) Eventf(o runtime.Object, kind, reason, format string, args ...any) {
	r.Event(o, kind, reason, fmt.Sprintf(format, args...))
}

func (r *recorder) AnnotatedEventf(o runtime.Object, _ map[string]string, kind, reason, format string, args ...any) {
	r.Eventf(o, kind, reason, format, args...)
}

// A life is told once, step by step; and nothing of what its author wrote.
func TestLife(t *testing.T) {
	t.Parallel()
	const evil = "EVIL"
	base := func(state preview.State) preview.Report {
		r := preview.Report{State: state, Sentence: "Argo CD could not sync it: " + evil, Address: "https://" + evil}
		r.Namespace, r.Phase, r.Reason = "preview-shop-7-ab", preview.Live, "its labels do not fit: "+evil
		r.PullRequest = forge.PullRequest{Title: evil, Branch: evil, Author: evil}
		r.Start.Restore, r.PVCUID, r.Snapshot = time.Now(), "volume", "seed-1"
		return r
	}
	held := func(state preview.State) preview.Report {
		r := base(state)
		r.Phase, r.PVCUID, r.Snapshot, r.Start = preview.Held, "", "", preview.Start{}
		return r
	}
	restoring := base(preview.StateStarting)
	restoring.PVCUID = ""
	warned := base(preview.StateReady)
	warned.WarnedAt, warned.ExpiresAt, warned.ExpiresFor = time.Now(), time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC), "its data is too old"
	asleep := base(preview.StateAsleep)
	asleep.AsleepSince, asleep.AsleepFor = time.Now(), "nobody pushed or woke it for 8h"
	ended := base(preview.StateRemoving)
	ended.Phase, ended.Reason = preview.Ending, "the pull request is closed"
	refused := base(preview.StateRemoving)
	refused.Phase = preview.Ending

	for _, c := range []struct {
		name  string
		lives []preview.Report
		says  []string // how each event begins, and words of it
	}{
		{
			"from queue to end",
			[]preview.Report{
				held(preview.StateWaiting), held(preview.StateQueued), held(preview.StateQueued), restoring, restoring, base(preview.StateStarting),
				base(preview.StateReady), base(preview.StateReady), warned, warned, ended, ended,
			},
			[]string{
				"Normal Queued: It waits for a place", "Normal Created: ", "Normal Restoring: Its volume is made from snapshot seed-1",
				"Normal Ready: It is Healthy, with the masked data of snapshot seed-1", "Normal Expiring: It ends", "Normal Ended: It has ended: the pull request is closed",
			},
		},
		{
			"sleeps and wakes",
			[]preview.Report{base(preview.StateReady), asleep, asleep, base(preview.StateReady)},
			[]string{"Normal Created: ", "Normal Ready: ", "Normal Asleep: Nothing of it runs, and its data stays: nobody pushed or woke it for 8h", "Normal Ready: "},
		},
		{
			"fails, is mended, and is not wanted any more",
			[]preview.Report{base(preview.StateFailed), base(preview.StateFailed), base(preview.StateReady), base(preview.StateDegraded), base(preview.StateReady), refused},
			[]string{"Normal Created: ", "Warning Failed: ", "Normal Ready: ", "Warning Degraded: ", "Normal Ready: ", "Normal Ended: It has ended"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var now []preview.Report
			told := &recorder{}
			teller := &Teller{
				Reports: func() []preview.Report { return now }, Recorder: told, Namespace: "argocd",
				UID: func(context.Context, string) types.UID { return "uid" },
			}
			teller.Look(t.Context())
			for _, r := range c.lives {
				now = []preview.Report{r}
				teller.Look(t.Context())
			}
			now = nil
			teller.Look(t.Context())
			if len(told.said) != len(c.says) {
				t.Fatalf("it says %d things, not %d:\n%s", len(told.said), len(c.says), strings.Join(told.said, "\n"))
			}
			for i, says := range c.says {
				if !strings.HasPrefix(told.said[i], "argocd/preview-shop-7-ab "+says) {
					t.Errorf("it says %q, not %q", told.said[i], says)
				}
			}
			if all := strings.Join(told.said, "\n"); strings.Contains(all, evil) {
				t.Errorf("it repeats what others wrote:\n%s", all)
			}
		})
	}
}

// What is told before there is an Application would be shown nowhere: it is told
// when there is one.
func TestApplication(t *testing.T) {
	t.Parallel()
	r := preview.Report{State: preview.StateStarting}
	r.Namespace, r.Phase, r.Start.Restore, r.Snapshot = "preview-shop-7-ab", preview.Live, time.Now(), "seed-1"
	reports := []preview.Report{}
	told, uid := &recorder{}, types.UID("")
	teller := &Teller{
		Reports: func() []preview.Report { return reports }, Recorder: told, Namespace: "argocd",
		UID: func(context.Context, string) types.UID { return uid },
	}
	teller.Look(t.Context())
	reports = append(reports, r)
	teller.Look(t.Context())
	if len(told.said) > 0 {
		t.Errorf("without an Application it says %q", told.said)
	}
	uid = "uid"
	teller.Look(t.Context())
	uid = ""
	reports[0].Phase, reports[0].State = preview.Ending, preview.StateRemoving
	teller.Look(t.Context())
	for i, says := range []string{"Created", "Restoring", "Ended"} {
		if len(told.said) != 3 || !strings.Contains(told.said[i], " "+says+": ") {
			t.Fatalf("it says %q", told.said)
		}
	}
}

// What is there at the begin was told before.
func TestBegin(t *testing.T) {
	t.Parallel()
	r := preview.Report{State: preview.StateReady}
	r.Namespace, r.Phase = "preview-shop-7-ab", preview.Live
	told := &recorder{}
	teller := &Teller{Reports: func() []preview.Report { return []preview.Report{r} }, Recorder: told, UID: func(context.Context, string) types.UID { return "" }}
	teller.Look(t.Context())
	teller.Look(t.Context())
	if len(told.said) > 0 {
		t.Errorf("it says %q", told.said)
	}
}
