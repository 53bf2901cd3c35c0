package events

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"

	"github.com/seedling-dev/seedling/plugin/argocd"
	"github.com/seedling-dev/seedling/plugin/preview"
)

// Component is who these events say that they are from. An admission policy reads
// it.
const Component = "seedling"

// every is how often the states are looked at. What comes and goes in between is
// not told.
const every = 5 * time.Second

// The reasons of events.
const (
	Created   = "Created"
	Restoring = "Restoring"
	Ready     = "Ready"
	Degraded  = "Degraded"
	Failed    = "Failed"
	Queued    = "Queued"
	Asleep    = "Asleep"
	Expiring  = "Expiring"
	Ended     = "Ended"
)

// Teller tells what becomes of previews.
type Teller struct {
	// Reports are what is known of all previews.
	Reports func() []preview.Report
	// Recorder writes events, and drops what is too much.
	Recorder record.EventRecorder
	// UID is an Application's; empty where there is none, or it cannot be read.
	UID func(ctx context.Context, name string) types.UID
	// Namespace is Argo CD's.
	Namespace string

	said map[string]told
}

// told is what was said of a preview last.
type told struct {
	live            bool
	reason, message string
}

// Run tells until ctx ends. What there is at its begin was told before, or will not
// be.
func (t *Teller) Run(ctx context.Context) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		t.Look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Look compares the states with those that were told last, and tells what is new.
// Of a live preview nothing is told before it has an Application, where its events
// are looked for by UID.
func (t *Teller) Look(ctx context.Context) {
	first := t.said == nil
	now := map[string]told{}
	reports := t.Reports()
	for i := range reports {
		r := &reports[i]
		was, is := t.said[r.Namespace], told{live: r.Phase == preview.Live}
		is.reason, is.message = say(r.Told())
		if is.reason == "" {
			is.reason, is.message = was.reason, was.message
		}
		now[r.Namespace] = is
		if first || is == was || ctx.Err() != nil {
			continue
		}
		uid := t.UID(ctx, r.Namespace)
		if is.live && uid == "" {
			now[r.Namespace] = was
			continue
		}
		if is.live && !was.live {
			t.tell(r.Namespace, uid, Created, "Argo CD is asked to make the preview")
		}
		if is.reason != was.reason || is.reason == Expiring && is.message != was.message {
			t.tell(r.Namespace, uid, is.reason, is.message)
		}
	}
	t.said = now
}

// say is the event for a state; none where it is not worth one.
func say(t preview.Told) (reason, message string) {
	switch {
	case t.Restoring && t.State == preview.StateStarting:
		return Restoring, "Its volume is made from snapshot " + t.Snapshot
	case t.State == preview.StateAsleep:
		return Asleep, "Nothing of it runs, and its data stays" + because(t.Asleep)
	case t.State == preview.StateReady && t.Ends != "":
		return Expiring, "It ends " + t.Ends + because(t.Why)
	case t.State == preview.StateReady:
		return Ready, "It is Healthy, with the masked data of snapshot " + t.Snapshot
	case t.State == preview.StateDegraded:
		return Degraded, "It was Healthy, and is not any more"
	case t.State == preview.StateFailed:
		return Failed, "It could not be made as it is asked for: the pull request's commit status says why"
	case t.State == preview.StateQueued:
		return Queued, "It waits for a place: there are as many previews as there may be"
	case t.State == preview.StateEnding || t.State == preview.StateRemoving || t.State == preview.StateExpired:
		return Ended, "It has ended" + because(t.Why)
	}
	return "", ""
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

func (t *Teller) tell(name string, uid types.UID, reason, message string) {
	kind := corev1.EventTypeNormal
	if reason == Failed || reason == Degraded {
		kind = corev1.EventTypeWarning
	}
	t.Recorder.Event(&corev1.ObjectReference{
		APIVersion: argocd.SchemeGroupVersion.String(), Kind: "Application", Namespace: t.Namespace, Name: name, UID: uid,
	}, kind, reason, message)
}
