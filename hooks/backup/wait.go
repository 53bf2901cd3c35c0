package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/snapshot"
)

const (
	// relistEvery is how often Backups are listed although the watch is silent.
	relistEvery = 5 * time.Second
	// orphanAfter is how long a Backup may stay ReadyToStart before it counts as
	// orphaned: a Velero that restarted does not look at it until it changes.
	orphanAfter = 90 * time.Second
	// untakenAfter is how long Velero may take to look at a new Backup.
	untakenAfter = 15 * time.Second
	// wedgedAfter is how long a Backup may stay Queued while none runs.
	wedgedAfter = 5 * time.Minute
)

// errAgain marks an end of a Backup after which another one may succeed.
var errAgain = errors.New("another Backup may succeed")

// terminal says whether Velero is done with a Backup.
func terminal(p velerov1.BackupPhase) bool {
	switch p {
	case velerov1.BackupPhaseCompleted, velerov1.BackupPhasePartiallyFailed, velerov1.BackupPhaseFailed,
		velerov1.BackupPhaseFailedValidation, velerov1.BackupPhaseDeleting:
		return true
	}
	return false
}

// wait follows a Backup to its end and accepts it. A watch wakes it; what it
// decides on is listed, so a watch that is lost costs seconds and nothing else.
func (r *backupRun) wait(ctx context.Context, name string) (*velerov1.Backup, error) {
	f := follower{backupRun: r, name: name, start: time.Now(), ready: map[string]time.Time{}, nudged: map[string]time.Time{}}
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	wake := make(chan struct{}, 1)
	go r.watch(watching, wake, &velerov1.BackupList{}, client.InNamespace(r.VeleroNamespace), client.MatchingLabels{snapshot.LabelSeed: r.Seed})
	if f.handle = r.handle(ctx, name); f.handle != nil {
		go r.watch(watching, wake, &snapshotv1.VolumeSnapshotList{}, client.InNamespace(r.Seed), client.MatchingLabels{snapshot.VeleroBackupLabel: name})
	}
	w := command.Wait{
		Status:  command.NewStatus(r.log),
		Every:   relistEvery,
		Timeout: r.Timeout,
		Wake:    wake,
	}
	err := w.Until(ctx, f.step)
	switch {
	case errors.Is(err, command.ErrTimeout):
		return nil, fmt.Errorf("wait for Backup %s: %w; it goes on, and the next run waits for it again", name, err)
	case err != nil:
		return nil, fmt.Errorf("wait for Backup %s: %w", name, err)
	}
	f.handle.record(ctx)
	return f.accepted, nil
}

// watch sends a value after changes of what list is of.
func (r *backupRun) watch(ctx context.Context, wake chan<- struct{}, list client.ObjectList, opts ...client.ListOption) {
	for ctx.Err() == nil {
		w, err := r.client.Watch(ctx, list, opts...)
		if err == nil {
			forward(ctx, w.ResultChan(), wake)
			w.Stop()
		}
		select { // the API server closes watches every few minutes
		case <-ctx.Done():
		case <-time.After(relistEvery):
		}
	}
}

func forward[E any](ctx context.Context, events <-chan E, wake chan<- struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case _, open := <-events:
			if !open {
				return
			}
			select {
			case wake <- struct{}{}:
			default: // one is waiting already
			}
		}
	}
}

// follower is the state of a wait.
type follower struct {
	*backupRun

	name  string
	start time.Time
	// seen says that the Backup was there once, so that it is gone if it is not.
	seen bool
	// ready and nudged say since when which Backup is ReadyToStart, and when it
	// was last nudged.
	ready, nudged map[string]time.Time
	// handle is nil where nobody wants the snapshot's handle.
	handle *handle
	// idle is since when the Backup is Queued while none of Velero's runs.
	idle time.Time

	accepted *velerov1.Backup
}

// step looks once at the Backups.
func (f *follower) step(ctx context.Context) (pending string, err error) {
	var list velerov1.BackupList
	if err := f.client.List(ctx, &list, client.InNamespace(f.VeleroNamespace)); err != nil {
		return f.pending("list Backups in namespace "+f.VeleroNamespace, err)
	}
	var b *velerov1.Backup
	for i := range list.Items {
		if list.Items[i].Name == f.name {
			b = &list.Items[i]
		}
	}
	switch {
	case b == nil && f.seen:
		return "", fmt.Errorf("it was deleted while it ran: %w", errAgain)
	case b == nil:
		return "it is not listed yet", nil
	}
	f.seen = true
	nudge := f.nudge(ctx, list.Items)

	phase := b.Status.Phase
	if phase != velerov1.BackupPhaseQueued {
		f.idle = time.Time{}
	}
	switch phase {
	case "", velerov1.BackupPhaseNew:
		if time.Since(f.start) < untakenAfter {
			return "Velero has not taken it up yet", nil
		}
		return "Velero has not taken it up yet: is it running?", nil
	case velerov1.BackupPhaseQueued:
		if err := f.wedged(list.Items); err != nil {
			return "", err
		}
		return fmt.Sprintf("it is in Velero's queue, at place %d%s", b.Status.QueuePosition, nudge), nil
	case velerov1.BackupPhaseReadyToStart:
		return "it is ready to start" + nudge, nil
	}
	if !terminal(phase) {
		f.handle.look(ctx)
		return fmt.Sprintf("it is %s", phase), nil
	}

	fault := snapshot.Accept(b)
	switch {
	case b.DeletionTimestamp != nil || phase == velerov1.BackupPhaseDeleting:
		return "", fmt.Errorf("it was deleted while it ran: %w", errAgain)
	case fault == nil:
		f.accepted = b
		return "", nil
	case phase == velerov1.BackupPhaseFailed, phase == velerov1.BackupPhaseFailedValidation:
		return "", fmt.Errorf("not accepted: %w: %w", fault, errAgain)
	case phase == velerov1.BackupPhaseCompleted:
		return "", command.Misconfiguredf("not accepted although Velero completed it: %w", fault)
	default:
		return "", fmt.Errorf("not accepted: %w; see `velero backup logs %s`", fault, f.name)
	}
}

// nudge wakes Velero for the seed's Backups that are ReadyToStart for too long:
// ours, and older ones, for which ours would wait in the queue without end.
func (f *follower) nudge(ctx context.Context, backups []velerov1.Backup) string {
	var nudged []string
	now := time.Now()
	for i := range backups {
		b := &backups[i]
		if !snapshot.Of(b, f.Seed) {
			continue
		}
		if b.Status.Phase != velerov1.BackupPhaseReadyToStart {
			delete(f.ready, b.Name)
			continue
		}
		since, ok := f.ready[b.Name]
		if !ok {
			f.ready[b.Name], since = now, now
		}
		if now.Sub(since) < orphanAfter {
			continue
		}
		if now.Sub(f.nudged[b.Name]) >= orphanAfter {
			f.nudged[b.Name] = now
			if err := f.touch(ctx, b, now); err != nil {
				f.log.Warn("an orphaned Backup could not be nudged", "backup", b.Name, "error", command.OneLine(err.Error()))
				continue
			}
			f.log.Info("nudged a Backup that Velero forgot", "backup", b.Name)
		}
		nudged = append(nudged, b.Name)
	}
	if len(nudged) == 0 {
		return ""
	}
	return "; Velero was nudged for " + strings.Join(nudged, ", ")
}

// touch changes an annotation of ours, and nothing else: whoever could change
// more could make Velero's status say anything.
func (f *follower) touch(ctx context.Context, b *velerov1.Backup, now time.Time) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"annotations": map[string]string{snapshot.AnnotationNudge: now.UTC().Format(time.RFC3339Nano)},
	}})
	if err != nil {
		return err
	}
	target := &velerov1.Backup{}
	target.Namespace, target.Name = b.Namespace, b.Name
	return client.IgnoreNotFound(f.client.Patch(ctx, target, client.RawPatch(types.MergePatchType, patch)))
}

// wedged says that Velero's queue stands still (velero#10519): our Backup is
// Queued for long while none is running or about to.
func (f *follower) wedged(backups []velerov1.Backup) error {
	for i := range backups {
		switch backups[i].Status.Phase {
		case velerov1.BackupPhaseInProgress, velerov1.BackupPhaseReadyToStart:
			f.idle = time.Time{}
			return nil
		}
	}
	now := time.Now()
	if f.idle.IsZero() {
		f.idle = now
	}
	if now.Sub(f.idle) < wedgedAfter {
		return nil
	}
	return fmt.Errorf("it is queued for %s while no Backup runs: Velero's queue is wedged (velero#10519); restart the Deployment velero in namespace %s", wedgedAfter, f.VeleroNamespace)
}
