package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/preview"
)

const (
	// attempts bound the Restores of one snapshot into one namespace within
	// attemptsFor, and not for its life: what broke them may be mended.
	attempts    = 3
	attemptsFor = time.Hour
	// attemptNames is how many names attempts have. Those that failed longer ago
	// are removed before the next one, and their names are taken again.
	attemptNames = 8
	// attemptPause grows with each attempt.
	attemptPause = 5 * time.Second
	// itemTimeout is how long Velero may wait for one item.
	itemTimeout = 10 * time.Minute

	// New Restores a second, all previews together. Velero takes one at a
	// time, so more would only make its list longer.
	restoresPerSecond = 5
	restoresAtOnce    = 20
)

// errNoSource: the claim names a VolumeSnapshot that does not exist.
var errNoSource = errors.New("the claim's VolumeSnapshot does not exist")

// restoredResources is the list that works with every Velero from 1.14 on:
// newer ones add the two snapshot kinds by themselves.
var restoredResources = []string{
	"persistentvolumeclaims",
	"volumesnapshots.snapshot.storage.k8s.io",
	"volumesnapshotcontents.snapshot.storage.k8s.io",
}

// Velero restores what Velero has backed up: through Velero's Restores, or in
// direct mode, where it can, without them. It reads the claim's own state,
// not the Restore's phase: Completed may mean that nothing or an empty volume
// was restored, and comes ten seconds late where claims bind at once.
type Velero struct {
	client    client.WithWatch
	previews  Previews
	namespace string
	owner     string
	direct    bool
	restored  func(p preview.Preview, from preview.Origin)
	log       *slog.Logger
	now       func() time.Time

	volumes   volumes
	choices   *Choices
	line      *line
	snapshots Snapshots
	restores  *restores
	creations *rate.Limiter
}

// VeleroOptions are the parts of both modes. Now is time.Now where nil.
type VeleroOptions struct {
	Client          client.WithWatch // uncached
	Previews        Previews
	VeleroNamespace string
	// Owner is the plugin's own namespace, which marks what is this plugin's.
	Owner string
	// Direct is direct mode: no Restore is made where seed-backup recorded what
	// the storage driver calls the snapshot.
	Direct bool
	// Restored is told that a preview has its volume, and where its data is from. It
	// may be nil, and may be told twice.
	Restored func(p preview.Preview, from preview.Origin)
	// MaxDataAge is that of Snapshots.
	MaxDataAge func(seed string) time.Duration
	// Choices keeps those away who remove snapshots; nil where nobody does.
	Choices *Choices
	Log     *slog.Logger
	Now     func() time.Time
}

// NewVelero makes either mode.
func NewVelero(o VeleroOptions) *Velero {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Choices == nil {
		o.Choices = NewChoices()
	}
	if o.Restored == nil {
		o.Restored = func(preview.Preview, preview.Origin) {}
	}
	return &Velero{
		restored:  o.Restored,
		client:    o.Client,
		previews:  o.Previews,
		namespace: o.VeleroNamespace,
		log:       o.Log,
		now:       o.Now,
		owner:     o.Owner,
		direct:    o.Direct,
		choices:   o.Choices,
		line:      newLine(),
		volumes:   volumes{client: o.Client, owner: o.Owner},
		snapshots: Snapshots{Client: o.Client, VeleroNamespace: o.VeleroNamespace, MaxDataAge: o.MaxDataAge, Handles: handlesOf(o), Now: o.Now},
		restores:  &restores{client: o.Client, namespace: o.VeleroNamespace, signals: &signals{to: map[string]map[chan struct{}]bool{}}},
		creations: rate.NewLimiter(restoresPerSecond, restoresAtOnce),
	}
}

// handlesOf is where handles are recorded, in direct mode.
func handlesOf(o VeleroOptions) string {
	if o.Direct {
		return o.Owner
	}
	return ""
}

// Step implements Restorer.
func (v *Velero) Step(ctx context.Context, p preview.Preview) (Progress, error) {
	// While Velero has not taken its Restore up nothing can have changed, and
	// hundreds may wait: they cost no call.
	if restore := v.queued(p); restore != nil {
		return v.inLine(ctx, restore)
	}
	// Nor can it have while Velero has enough to do for others.
	if v.line.has(p.Namespace) {
		if progress, ok := v.turn(p, p.Snapshot); !ok {
			return progress, nil
		}
	}
	ns, err := v.volumes.namespace(ctx, p.Namespace, p.NamespaceUID)
	if err != nil {
		return Progress{}, err
	}
	pvc, err := v.volumes.claim(ctx, p.Namespace)
	if err != nil {
		return Progress{}, err
	}
	chosen := ns.Annotations[snapshot.AnnotationSnapshot]
	restored := types.UID(ns.Annotations[snapshot.AnnotationPVC])
	switch {
	case pvc != nil && restored == pvc.UID:
		// Its data is the developer's now. An earlier request may have been cut
		// off before the state had it.
		if p.PVCUID != pvc.UID {
			if err := v.previews.Record(ctx, p.Namespace, chosen, pvc.UID); err != nil {
				return Progress{Snapshot: chosen}, fmt.Errorf("record the volume of %s: %w", p.Namespace, err)
			}
			v.restored(p, data(ns, chosen, pvc))
		}
		return Progress{Done: true, Snapshot: chosen, Message: "the volume is there, from " + origin(ns, chosen)}, nil
	case pvc != nil && pvc.DeletionTimestamp != nil:
		return Progress{Snapshot: chosen, Message: "waiting until a volume that is being deleted is gone"}, nil
	case pvc != nil && restored != "":
		return Progress{Snapshot: chosen}, &ForeignError{Namespace: pvc.Namespace, PVC: pvc.Name, Reason: "the restored volume was deleted and this one took its place"}
	case pvc != nil:
		return v.adopt(ctx, p, ns, pvc)
	case restored != "":
		// One that came with its volume is not known to have had it yet.
		if p.PVCUID == "" {
			if err := v.previews.Record(ctx, p.Namespace, chosen, restored); err != nil {
				return Progress{Snapshot: chosen}, fmt.Errorf("record the volume of %s: %w", p.Namespace, err)
			}
		}
		return Progress{Snapshot: chosen, Message: "the restored volume was deleted: the preview is being reset"}, nil
	default:
		return v.restore(ctx, p, ns)
	}
}

// queued is the Restore of ours that Velero has not taken up yet, if the watch
// knows of one.
func (v *Velero) queued(p preview.Preview) *velerov1.Restore {
	for _, r := range v.restores.known(p.Namespace) {
		if v.ours(r, p) && r.DeletionTimestamp == nil && !started(r) {
			return r
		}
	}
	return nil
}

// adopt takes a claim that is there without being recorded: from a Restore of
// ours it is finished as soon as it is ready, from anybody else it is foreign.
func (v *Velero) adopt(ctx context.Context, p preview.Preview, ns *corev1.Namespace, pvc *corev1.PersistentVolumeClaim) (Progress, error) {
	name := pvc.Labels[snapshot.VeleroRestoreLabel]
	chosen, restore, err := v.provenance(ctx, p, ns, name)
	if err != nil {
		return Progress{}, err
	}
	switch {
	case name == "":
		return Progress{}, &ForeignError{Namespace: pvc.Namespace, PVC: pvc.Name, Reason: "it was made without a restore, so it is empty or somebody else's"}
	case chosen == "":
		return Progress{}, &ForeignError{Namespace: pvc.Namespace, PVC: pvc.Name, Reason: fmt.Sprintf("it was made by Restore %s, which is none for this preview", name)}
	case source(pvc) == "":
		return Progress{}, &ForeignError{Namespace: pvc.Namespace, PVC: pvc.Name, Reason: fmt.Sprintf("Restore %s made it without a volume snapshot behind it, so it is empty", name)}
	}
	wait, err := v.volumes.ready(ctx, pvc, name)
	switch {
	case errors.Is(err, errNoSource) && (restore != nil && ended(restore) || restore == nil && v.direct):
		// Velero stopped between its objects, or somebody deleted what it or we
		// had made. Nobody uses this claim: it has no volume and cannot get one.
		v.log.WarnContext(ctx, "removing the half-made volume of a failed restore", "preview", p.Namespace, "restore", name)
		if err := v.volumes.remove(ctx, pvc); err != nil {
			return Progress{}, fmt.Errorf("remove the half-made PersistentVolumeClaim %s/%s: %w", pvc.Namespace, pvc.Name, err)
		}
		return Progress{Snapshot: chosen, Message: "the restore failed half-way and starts anew"}, nil
	case err != nil && !errors.Is(err, errNoSource):
		return Progress{Snapshot: chosen}, err
	case wait != "":
		return Progress{Snapshot: chosen, Message: wait}, nil
	}
	if err := v.volumes.finish(ctx, pvc, chosen); err != nil {
		return Progress{Snapshot: chosen}, err
	}
	if err := v.volumes.annotate(ctx, ns, map[string]any{snapshot.AnnotationPVC: pvc.UID, snapshot.AnnotationSnapshot: chosen}); err != nil {
		return Progress{Snapshot: chosen}, err
	}
	if err := v.previews.Record(ctx, p.Namespace, chosen, pvc.UID); err != nil {
		return Progress{Snapshot: chosen}, fmt.Errorf("record the volume of %s: %w", p.Namespace, err)
	}
	v.restored(p, data(ns, chosen, pvc))
	return Progress{Done: true, Snapshot: chosen, Message: "restored from " + origin(ns, chosen)}, nil
}

// data is where the data of a restored claim is from, as its namespace says.
func data(ns *corev1.Namespace, chosen string, pvc *corev1.PersistentVolumeClaim) preview.Origin {
	return preview.Origin{
		Snapshot: chosen, Volume: pvc.UID,
		DataTime: ns.Annotations[snapshot.AnnotationSnapshotTime], DumpTime: ns.Annotations[snapshot.AnnotationDumpTime],
	}
}

// origin says which snapshot the data is from, and that it is not the newest
// where that is so.
func origin(ns *corev1.Namespace, chosen string) string {
	if newer := ns.Annotations[snapshot.AnnotationNewer]; newer != "" && newer != chosen {
		return fmt.Sprintf("snapshot %s; Velero could not read the newer one, %s", chosen, newer)
	}
	return "snapshot " + chosen
}

// provenance says which snapshot a Restore's name stands for, "" where it is
// none of ours for this namespace. The name alone proves it, because it is
// computed from the namespace's UID and only Velero and we may write the
// label; so a volume outlives its Restore. The Restore is returned if it is
// still there.
func (v *Velero) provenance(ctx context.Context, p preview.Preview, ns *corev1.Namespace, name string) (string, *velerov1.Restore, error) {
	if name == "" {
		return "", nil, nil
	}
	restore, err := v.get(ctx, name)
	if err != nil {
		return "", nil, err
	}
	if restore != nil {
		if !v.ours(restore, p) {
			return "", nil, nil
		}
		return restore.Spec.BackupName, restore, nil
	}
	chosen := ns.Annotations[snapshot.AnnotationSnapshot]
	for attempt := range attemptNames {
		if chosen != "" && name == snapshot.RestoreName(p.Namespace, p.NamespaceUID, chosen, attempt) {
			return chosen, nil, nil
		}
	}
	return "", nil, nil
}

// restore goes through the attempts at the recorded snapshot: waits for the
// one that runs, makes the next where there is none and the hour has room for
// one.
func (v *Velero) restore(ctx context.Context, p preview.Preview, ns *corev1.Namespace) (Progress, error) {
	chosen := ns.Annotations[snapshot.AnnotationSnapshot]
	if chosen == "" {
		return v.choose(ctx, p, ns, "")
	}
	if progress, able, err := v.directly(ctx, p, ns, chosen, false); able {
		return progress, err
	}
	made, err := v.restores.of(ctx, p.Namespace)
	if err != nil {
		return Progress{Snapshot: chosen}, err
	}
	t := tried{free: -1}
	for attempt := range attemptNames {
		restore := made[snapshot.RestoreName(p.Namespace, p.NamespaceUID, chosen, attempt)]
		switch {
		case restore == nil:
			if t.free < 0 {
				t.free = attempt
			}
		case !v.ours(restore, p) || restore.Spec.BackupName != chosen:
			v.log.WarnContext(ctx, "a Restore has a name of ours and is not ours", "restore", restore.Name)
		case restore.DeletionTimestamp == nil && !ended(restore):
			return v.inLine(ctx, restore)
		default:
			t.add(restore, v.now())
		}
	}
	if t.last != nil {
		// The claim was read before the Restores: the last may have made it since.
		if pvc, err := v.volumes.claim(ctx, p.Namespace); err != nil || pvc != nil {
			return Progress{Snapshot: chosen, Message: "looking again"}, err
		}
	}
	if len(t.recent) < attempts {
		return v.create(ctx, p, ns, chosen, t)
	}
	failed := fmt.Errorf("Velero failed %d times within an hour to restore snapshot %s into %s, last: %s; see `velero restore describe %s --details`. The next attempt is possible at %s: sync again then, or set the label preview-reset",
		len(t.recent), chosen, p.Namespace, failure(t.last), t.last.Name, t.again().UTC().Format("15:04:05 UTC"))
	newest, err := v.snapshots.Newest(ctx, p.Seed)
	if err != nil || newest.Name == chosen {
		return Progress{Snapshot: chosen}, failed
	}
	v.log.WarnContext(ctx, "turning to a newer snapshot", "preview", p.Namespace, "error", failed)
	return v.choose(ctx, p, ns, chosen)
}

// tried are the attempts at one snapshot that ended without a volume.
type tried struct {
	// free is the first attempt's number that no Restore has, -1 for none.
	free int
	// last is the newest, recent are the times of those within attemptsFor.
	last   *velerov1.Restore
	recent []time.Time
	// old are those from before, which nobody needs any more.
	old []*velerov1.Restore
}

func (t *tried) add(r *velerov1.Restore, now time.Time) {
	if t.last == nil || r.CreationTimestamp.After(t.last.CreationTimestamp.Time) {
		t.last = r
	}
	if now.Sub(r.CreationTimestamp.Time) < attemptsFor {
		t.recent = append(t.recent, r.CreationTimestamp.Time)
	} else {
		t.old = append(t.old, r)
	}
}

// again is when the hour has room for another attempt.
func (t *tried) again() time.Time {
	return slices.MinFunc(t.recent, time.Time.Compare).Add(attemptsFor)
}

// choose writes the newest usable snapshot on the namespace and in the state.
// Nothing is restored before that is written.
func (v *Velero) choose(ctx context.Context, p preview.Preview, ns *corev1.Namespace, before string) (Progress, error) {
	newest, err := v.record(ctx, p, ns)
	if err != nil {
		return Progress{}, err
	}
	v.log.InfoContext(ctx, "snapshot chosen", "preview", p.Namespace, "snapshot", newest.Name, "before", before)
	if progress, able, err := v.directly(ctx, p, ns, newest.Name, true); able {
		return progress, err
	}
	return v.request(ctx, p, newest.Name, 0)
}

// record chooses and writes the choice down, while nobody removes a snapshot.
func (v *Velero) record(ctx context.Context, p preview.Preview, ns *corev1.Namespace) (*velerov1.Backup, error) {
	release, err := v.choices.Choose(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	newest, passed, err := v.snapshots.choose(ctx, p.Seed)
	if err != nil {
		return nil, err
	}
	dataTime := newest.Annotations[snapshot.AnnotationDataTime]
	if dataTime == "" && newest.Status.StartTimestamp != nil {
		dataTime = newest.Status.StartTimestamp.UTC().Format(time.RFC3339)
	}
	annotations := map[string]any{
		snapshot.AnnotationSnapshot: newest.Name, snapshot.AnnotationSnapshotTime: dataTime, snapshot.AnnotationNewer: nil, snapshot.AnnotationDumpTime: nil,
	}
	if dumpTime := newest.Annotations[snapshot.AnnotationDumpTime]; dumpTime != "" {
		annotations[snapshot.AnnotationDumpTime] = dumpTime
	}
	if passed != nil {
		annotations[snapshot.AnnotationNewer] = passed.Name
		v.log.WarnContext(ctx, "an older snapshot is chosen: Velero cannot read the storage location of the newest one",
			"preview", p.Namespace, "snapshot", newest.Name, "newest", passed.Name, "location", passed.Spec.StorageLocation)
	}
	if err := v.volumes.annotate(ctx, ns, annotations); err != nil {
		return nil, err
	}
	if err := v.previews.Record(ctx, p.Namespace, newest.Name, ""); err != nil {
		return nil, fmt.Errorf("record the snapshot of %s: %w", p.Namespace, err)
	}
	return newest, nil
}

// create makes the Restore of the next attempt, after the last one has rested
// and if the recorded snapshot may still be used.
func (v *Velero) create(ctx context.Context, p preview.Preview, ns *corev1.Namespace, chosen string, t tried) (Progress, error) {
	if n := len(t.recent); n > 0 && v.now().Before(t.last.CreationTimestamp.Add(time.Duration(n)*attemptPause)) {
		return Progress{Snapshot: chosen, Message: fmt.Sprintf("Restore %s failed (%s), the next attempt comes shortly", t.last.Name, failure(t.last))}, nil
	}
	for _, r := range t.old {
		if r.DeletionTimestamp != nil {
			continue
		}
		if err := v.volumes.remove(ctx, r); err != nil {
			return Progress{Snapshot: chosen}, fmt.Errorf("remove Restore %s, which failed long ago: %w", r.Name, err)
		}
	}
	if t.free < 0 {
		return Progress{Snapshot: chosen, Message: "waiting until Restores that failed before are removed"}, nil
	}
	if progress, instead, err := v.reconsider(ctx, p, ns, chosen); err != nil || instead {
		return progress, err
	}
	return v.request(ctx, p, chosen, t.free)
}

// reconsider looks again at the recorded snapshot before something is made from
// it: it may have expired, or the policy may have been tightened, since it was
// chosen. Nothing was made from it, so a newer one does as well; instead says
// that one was chosen.
func (v *Velero) reconsider(ctx context.Context, p preview.Preview, ns *corev1.Namespace, chosen string) (progress Progress, instead bool, err error) {
	_, err = v.snapshots.Usable(ctx, p.Seed, chosen)
	if err == nil {
		return Progress{Snapshot: chosen}, false, nil
	}
	if errors.Is(err, snapshot.ErrNone) && !errors.Is(err, ErrStorage) {
		newest, newestErr := v.snapshots.Newest(ctx, p.Seed)
		if newestErr != nil {
			return Progress{Snapshot: chosen}, false, newestErr
		}
		if newest.Name != chosen {
			v.log.WarnContext(ctx, "the chosen snapshot cannot be used any more", "preview", p.Namespace, "error", err)
			progress, err := v.choose(ctx, p, ns, chosen)
			return progress, true, err
		}
	}
	return Progress{Snapshot: chosen}, false, err
}

// request makes the Restore of an attempt from a snapshot that may be used.
func (v *Velero) request(ctx context.Context, p preview.Preview, chosen string, attempt int) (Progress, error) {
	if progress, ok := v.turn(p, chosen); !ok {
		return progress, nil
	}
	if !v.creations.Allow() {
		return Progress{Snapshot: chosen, Message: "many previews restore at once, waiting for a turn"}, nil
	}
	restore := v.manifest(p, chosen, attempt)
	err := v.client.Create(ctx, restore)
	switch {
	case apierrors.IsAlreadyExists(err):
		// Made by a request that did not live to see it; the next step reads it.
		return Progress{Snapshot: chosen, Message: "the restore is already there"}, nil
	case err != nil:
		return Progress{Snapshot: chosen}, fmt.Errorf("create Restore %s: %w", restore.Name, err)
	}
	v.log.InfoContext(ctx, "restore requested", "preview", p.Namespace, "restore", restore.Name, "snapshot", chosen, "attempt", attempt+1)
	return Progress{Snapshot: chosen, Message: fmt.Sprintf("Restore %s from snapshot %s was requested", restore.Name, chosen)}, nil
}

// turn says whether it is a preview's turn to have a Restore made, and its place
// in the line otherwise. Without the watch nobody knows what Velero has to do, and
// everybody's turn it is.
func (v *Velero) turn(p preview.Preview, chosen string) (Progress, bool) {
	atWork, known := v.atWork()
	if !known {
		return Progress{}, true
	}
	place, ok := v.line.turn(p, atWork, v.now())
	if ok {
		return Progress{}, true
	}
	return Progress{Snapshot: chosen, Place: place, Message: fmt.Sprintf("waiting for a turn, place %d: Velero restores one preview after the other", place)}, false
}

// manifest is the one shape of Restore that the admission policy lets us make.
func (v *Velero) manifest(p preview.Preview, chosen string, attempt int) *velerov1.Restore {
	yes := true
	return &velerov1.Restore{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: v.namespace,
			Name:      snapshot.RestoreName(p.Namespace, p.NamespaceUID, chosen, attempt),
			Labels: map[string]string{
				snapshot.LabelOwner:     v.owner,
				snapshot.LabelPreview:   strconv.FormatInt(p.Key.Number, 10),
				snapshot.LabelKey:       p.Key.Hash(),
				snapshot.LabelNamespace: p.Namespace,
				snapshot.LabelSeed:      p.Seed,
				snapshot.LabelSnapshot:  chosen,
			},
			Annotations: map[string]string{snapshot.AnnotationNamespaceUID: string(p.NamespaceUID)},
		},
		Spec: velerov1.RestoreSpec{
			BackupName:             chosen,
			IncludedNamespaces:     []string{p.Seed},
			IncludedResources:      restoredResources,
			NamespaceMapping:       map[string]string{p.Seed: p.Namespace},
			RestorePVs:             &yes,
			ExistingResourcePolicy: velerov1.PolicyTypeNone,
			ItemOperationTimeout:   metav1.Duration{Duration: itemTimeout},
		},
	}
}

// inLine describes a Restore that has not ended.
func (v *Velero) inLine(ctx context.Context, restore *velerov1.Restore) (Progress, error) {
	progress := Progress{Snapshot: restore.Spec.BackupName}
	if started(restore) {
		progress.Message = fmt.Sprintf("Restore %s is %s", restore.Name, restore.Status.Phase)
		return progress, nil
	}
	all, err := v.restores.all(ctx)
	if err != nil {
		return progress, err
	}
	progress.Place = 1
	for _, r := range all {
		if r.Name != restore.Name && !ended(r) && r.CreationTimestamp.Before(&restore.CreationTimestamp) {
			progress.Place++
		}
	}
	progress.Message = fmt.Sprintf("Restore %s waits for Velero, place %d", restore.Name, progress.Place)
	return progress, nil
}

// Watch implements Restorer.
func (v *Velero) Watch(ctx context.Context, p preview.Preview) <-chan struct{} {
	return v.restores.signals.of(ctx, p.Namespace)
}

// Wake lets those step again who wait for something in a namespace.
func (v *Velero) Wake(namespace string) { v.restores.signals.send(namespace) }

// Run follows what restores depend on until ctx ends, by one watch for all
// previews. Without it the broker works, and asks the API server each time.
func (v *Velero) Run(ctx context.Context) error { return v.restores.run(ctx, v.log) }

// Waiting is how many Restores Velero has to do, of whomever, and whether that
// is known.
func (v *Velero) Waiting() (n int, known bool) {
	all, ok := v.restores.cached()
	for _, r := range all {
		if !ended(r) {
			n++
		}
	}
	return n, ok
}

// OldestWaiting is for how long the longest of our Restores that Velero has not
// ended waits; zero where none does, or that is not known.
func (v *Velero) OldestWaiting() (oldest time.Duration) {
	all, _ := v.restores.cached()
	for _, r := range all {
		if !ended(r) && r.Labels[snapshot.LabelNamespace] != "" && !snapshot.Others(r.Labels, v.owner) {
			oldest = max(oldest, v.now().Sub(r.CreationTimestamp.Time))
		}
	}
	return oldest
}

func (v *Velero) get(ctx context.Context, name string) (*velerov1.Restore, error) {
	var r velerov1.Restore
	err := v.client.Get(ctx, types.NamespacedName{Namespace: v.namespace, Name: name}, &r)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read Restore %s: %w", name, err)
	}
	return &r, nil
}

// ours says whether a Restore fills exactly this preview's namespace from its
// seed, and is not another plugin's.
func (v *Velero) ours(r *velerov1.Restore, p preview.Preview) bool {
	return !snapshot.Others(r.Labels, v.owner) && r.Labels[snapshot.LabelNamespace] == p.Namespace &&
		r.Annotations[snapshot.AnnotationNamespaceUID] == string(p.NamespaceUID) &&
		len(r.Spec.NamespaceMapping) == 1 && r.Spec.NamespaceMapping[p.Seed] == p.Namespace &&
		len(r.Spec.IncludedNamespaces) == 1 && r.Spec.IncludedNamespaces[0] == p.Seed
}

// started says whether Velero has taken a Restore up. It has no phase for one
// that waits.
func started(r *velerov1.Restore) bool {
	return r.Status.Phase != "" && r.Status.Phase != velerov1.RestorePhaseNew
}

// ended says whether Velero will do nothing more for a Restore.
func ended(r *velerov1.Restore) bool {
	switch r.Status.Phase {
	case velerov1.RestorePhaseFailedValidation, velerov1.RestorePhaseCompleted,
		velerov1.RestorePhasePartiallyFailed, velerov1.RestorePhaseFailed:
		return true
	default:
		return false
	}
}

// failure says in half a sentence how a Restore ended without a volume.
func failure(r *velerov1.Restore) string {
	switch {
	case r == nil:
		return "it was removed"
	case len(r.Status.ValidationErrors) > 0:
		return fmt.Sprintf("%s: %s", r.Status.Phase, strings.Join(r.Status.ValidationErrors, "; "))
	case r.Status.FailureReason != "":
		return fmt.Sprintf("%s: %s", r.Status.Phase, r.Status.FailureReason)
	case r.DeletionTimestamp != nil:
		return "it is being deleted"
	default:
		return fmt.Sprintf("%s with %d errors and %d warnings, and no volume", r.Status.Phase, r.Status.Errors, r.Status.Warnings)
	}
}
