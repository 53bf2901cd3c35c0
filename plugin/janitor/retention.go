package janitor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/preview"
)

const (
	// retentionEvery is the pace of looks at each seed's snapshots. Each look
	// asks for the deletion of one at most: Velero takes them one at a time too,
	// and whoever sees that too many go can stop it.
	retentionEvery = time.Minute
	// failedFor is how long a Backup that failed is kept, for whoever asks why.
	failedFor = 24 * time.Hour
	// requestHangs is how long Velero may be at one deletion before others are
	// asked for.
	requestHangs = time.Hour
)

// Retention removes old snapshots of seeds, by Velero's DeleteBackupRequests:
// what is beyond the newest Keep, and what is older than data may be. It never
// takes the newest usable one of a seed, one that the broker would choose now,
// or one that a preview or a Restore names; nor a Backup that is none of ours by
// its labels, its name and what it holds. When anything of that cannot be told,
// it takes nothing of that seed.
type Retention struct {
	Client          client.Client // uncached
	VeleroNamespace string
	// Keep is how many of a seed's newest snapshots stay; 0 for all, of any age.
	Keep int
	// MaxDataAge is how old the data of a seed's snapshot may be; 0 for any age.
	MaxDataAge func(seed string) time.Duration
	// Seeds are those that are asked for now: nobody else's snapshots are looked at.
	Seeds func() []string
	// Previews are all that are remembered.
	Previews func() []preview.Preview
	// Choices are the snapshots that may be chosen for a preview now: the newest
	// usable ones, none where no snapshot is usable.
	Choices func(ctx context.Context, seed string) ([]*velerov1.Backup, error)
	// Exclude keeps the broker from choosing until it is released.
	Exclude func(ctx context.Context) (release func(), err error)
	// Ready is nil when this process leads and has loaded its state.
	Ready func() error
	Log   *slog.Logger
	Now   func() time.Time
}

// Run looks until ctx ends. It is for the leader only.
func (r *Retention) Run(ctx context.Context) error {
	tick := time.NewTicker(retentionEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if r.Ready() != nil {
			continue
		}
		look, cancel := context.WithTimeout(ctx, retentionEvery)
		if err := r.Pass(look); err != nil && ctx.Err() == nil {
			r.Log.ErrorContext(ctx, "old snapshots are kept for now", "error", err)
		}
		cancel()
	}
}

// Pass asks for the deletion of one snapshot of each seed at most. An error about
// one seed does not keep the others.
func (r *Retention) Pass(ctx context.Context) error {
	return r.each(ctx, func(ctx context.Context, seed string) error { return r.take(ctx, seed) })
}

// List says what would be deleted now if nothing else happened, and deletes
// nothing.
func (r *Retention) List(ctx context.Context) ([]Action, error) {
	var actions []Action
	err := r.each(ctx, func(ctx context.Context, seed string) error {
		taken, err := r.expendable(ctx, seed)
		for _, e := range taken {
			actions = append(actions, Action{"delete", "Backup", e.backup.Namespace, e.backup.Name, e.why})
		}
		return err
	})
	return actions, err
}

func (r *Retention) each(ctx context.Context, do func(ctx context.Context, seed string) error) error {
	if r.Keep == 0 {
		return nil
	}
	var wrong []error
	for _, seed := range r.Seeds() {
		if err := do(ctx, seed); err != nil {
			wrong = append(wrong, fmt.Errorf("snapshots of seed %s: %w", seed, err))
		}
	}
	return errors.Join(wrong...)
}

// take asks for the deletion of the oldest snapshot that may go, while the
// broker chooses none.
func (r *Retention) take(ctx context.Context, seed string) error {
	release, err := r.Exclude(ctx)
	if err != nil {
		return err
	}
	defer release()
	taken, err := r.expendable(ctx, seed)
	if err != nil || len(taken) == 0 {
		return err
	}
	asked, err := r.asked(ctx, seed)
	if err != nil {
		return err
	}
	for _, e := range taken {
		done, found := asked[e.backup.Name]
		if found && !done {
			return nil // Velero is at it
		}
		if found {
			continue // it failed, which asked has said; Velero forgets the request within a day
		}
		return r.ask(ctx, seed, e)
	}
	return nil
}

// asked are the deletions of a seed's snapshots that were asked for, and whether
// Velero is done with each. Where it is and the Backup is still there, it failed.
func (r *Retention) asked(ctx context.Context, seed string) (map[string]bool, error) {
	var list velerov1.DeleteBackupRequestList
	if err := r.Client.List(ctx, &list, client.InNamespace(r.VeleroNamespace), client.MatchingLabels{snapshot.LabelSeed: seed}); err != nil {
		return nil, fmt.Errorf("list DeleteBackupRequests: %w", err)
	}
	asked := map[string]bool{}
	for i := range list.Items {
		d := &list.Items[i]
		// One that Velero's restart cut off stays in progress for ever.
		asked[d.Spec.BackupName] = d.Status.Phase == velerov1.DeleteBackupRequestPhaseProcessed || r.Now().Sub(d.CreationTimestamp.Time) >= requestHangs
		if len(d.Status.Errors) > 0 {
			r.Log.WarnContext(ctx, "Velero could not delete a snapshot; it is tried again in a day", "snapshot", d.Spec.BackupName, "seed", seed,
				"error", strings.Join(d.Status.Errors, "; "))
		}
	}
	return asked, nil
}

// ask asks Velero for one deletion. Its name is that of the Backup, so that it is
// asked once.
func (r *Retention) ask(ctx context.Context, seed string, e expendable) error {
	err := r.Client.Create(ctx, &velerov1.DeleteBackupRequest{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: r.VeleroNamespace, Name: e.backup.Name,
			Labels: map[string]string{
				snapshot.LabelSeed:          seed,
				velerov1.BackupNameLabel:    e.backup.Name,
				velerov1.BackupUIDLabel:     string(e.backup.UID),
				"app.kubernetes.io/part-of": "seedling",
			},
		},
		Spec: velerov1.DeleteBackupRequestSpec{BackupName: e.backup.Name},
	})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("ask for the deletion of Backup %s: %w", e.backup.Name, err)
	}
	r.Log.InfoContext(ctx, "a snapshot's deletion is asked for", "snapshot", e.backup.Name, "seed", seed, "why", e.why)
	return nil
}

// expendable is a snapshot that may go, and why in half a sentence.
type expendable struct {
	backup *velerov1.Backup
	why    string
}

// expendable reads what there is, and judges.
func (r *Retention) expendable(ctx context.Context, seed string) ([]expendable, error) {
	needed, err := r.needed(ctx)
	if err != nil {
		return nil, err
	}
	choices, err := r.Choices(ctx, seed)
	if err != nil {
		return nil, err
	}
	for _, b := range choices {
		needed[b.Name] = true
	}
	var list velerov1.BackupList
	if err := r.Client.List(ctx, &list, client.InNamespace(r.VeleroNamespace), client.MatchingLabels{snapshot.LabelSeed: seed}); err != nil {
		return nil, fmt.Errorf("list Backups: %w", err)
	}
	taken := judge(list.Items, seed, r.Keep, r.MaxDataAge(seed), needed, r.Now())
	if len(taken) == 0 {
		return nil, nil
	}
	writable, err := r.writable(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(taken, func(e expendable) bool { return !writable[e.backup.Spec.StorageLocation] }), nil
}

// writable are the storage locations that Velero can delete from now. At any
// other it gives a request up, which then stands for a day.
func (r *Retention) writable(ctx context.Context) (map[string]bool, error) {
	var locations velerov1.BackupStorageLocationList
	if err := r.Client.List(ctx, &locations, client.InNamespace(r.VeleroNamespace)); err != nil {
		return nil, fmt.Errorf("list BackupStorageLocations: %w", err)
	}
	writable := map[string]bool{}
	for _, l := range locations.Items {
		writable[l.Name] = l.Status.Phase == velerov1.BackupStorageLocationPhaseAvailable && l.Spec.AccessMode != velerov1.BackupStorageLocationAccessModeReadOnly
	}
	return writable, nil
}

// needed are the snapshots that are in use: of every preview's namespace in the
// cluster, whosever it is, of what is remembered, and of Restores that have not
// ended.
func (r *Retention) needed(ctx context.Context) (map[string]bool, error) {
	var namespaces corev1.NamespaceList
	if err := r.Client.List(ctx, &namespaces, client.HasLabels{snapshot.LabelPreview}); err != nil {
		return nil, fmt.Errorf("list preview Namespaces: %w", err)
	}
	var restores velerov1.RestoreList
	if err := r.Client.List(ctx, &restores, client.InNamespace(r.VeleroNamespace)); err != nil {
		return nil, fmt.Errorf("list Restores: %w", err)
	}
	needed := map[string]bool{}
	for i := range namespaces.Items {
		needed[namespaces.Items[i].Annotations[snapshot.AnnotationSnapshot]] = true
	}
	for i := range restores.Items {
		switch restores.Items[i].Status.Phase {
		case velerov1.RestorePhaseCompleted, velerov1.RestorePhasePartiallyFailed, velerov1.RestorePhaseFailed, velerov1.RestorePhaseFailedValidation:
		default:
			needed[restores.Items[i].Spec.BackupName] = true
		}
	}
	for _, p := range r.Previews() {
		needed[p.Snapshot] = true
	}
	return needed, nil
}

// judge says which of a seed's Backups may go, oldest first. It is pure.
func judge(backups []velerov1.Backup, seed string, keep int, most time.Duration, needed map[string]bool, now time.Time) (taken []expendable) {
	var mine []*velerov1.Backup
	for i := range backups {
		b := &backups[i]
		if snapshot.Of(b, seed) && snapshot.BackupOf(b.Name, seed) && b.DeletionTimestamp == nil {
			mine = append(mine, b)
		}
	}
	slices.SortFunc(mine, func(a, b *velerov1.Backup) int {
		return cmp.Or(begun(b).Compare(begun(a)), strings.Compare(b.Name, a.Name))
	})
	accepted := 0
	for _, b := range mine {
		ok := snapshot.Accept(b) == nil
		if ok {
			accepted++
		}
		switch {
		case needed[b.Name]:
		case b.Status.Phase == velerov1.BackupPhaseDeleting:
			taken = append(taken, expendable{b, "its deletion has begun and did not end"})
		case !ok && finished(b) && accepted > 0 && now.Sub(begun(b)) >= failedFor:
			taken = append(taken, expendable{b, "it failed, and a newer snapshot is there"})
		case !ok, accepted == 1: // the newest accepted one stays whatever is asked for today
		case accepted > keep:
			taken = append(taken, expendable{b, fmt.Sprintf("%d newer snapshots are kept", keep)})
		case most > 0 && now.Sub(snapshot.DataTime(b)) >= most:
			taken = append(taken, expendable{b, "its data is older than " + preview.Span(most).String() + " (maxDataAge)"})
		}
	}
	slices.Reverse(taken)
	return taken
}

// begun is when a Backup began, or was made where it never did.
func begun(b *velerov1.Backup) time.Time {
	if b.Status.StartTimestamp != nil {
		return b.Status.StartTimestamp.Time
	}
	return b.CreationTimestamp.Time
}

// finished says whether Velero will do nothing more for a Backup.
func finished(b *velerov1.Backup) bool {
	switch b.Status.Phase {
	case velerov1.BackupPhaseCompleted, velerov1.BackupPhasePartiallyFailed, velerov1.BackupPhaseFailed, velerov1.BackupPhaseFailedValidation:
		return true
	default:
		return false
	}
}
