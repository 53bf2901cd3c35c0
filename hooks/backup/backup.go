package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/postgres"
	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// Options is what seed-backup is asked for.
type Options struct {
	// Seed is the seed's name, which is its namespace.
	Seed string
	// VeleroNamespace is where Velero and its Backups live.
	VeleroNamespace string
	// HandlesNamespace is the plugin's, where a snapshot's handle is recorded if
	// there is the ConfigMap for it; nothing is recorded where it is empty.
	HandlesNamespace string
	// PolicyDigest and KeyID are what the data must have been masked with.
	PolicyDigest, KeyID string
	// Timeout bounds the wait for one Backup.
	Timeout time.Duration
}

var hexText = regexp.MustCompile(`^[0-9a-f]+$`)

// Validate says everything that is wrong with the options at once.
func (o Options) Validate() error {
	var wrong []error
	if err := snapshot.CheckSeedName(o.Seed); err != nil {
		wrong = append(wrong, fmt.Errorf("--seed: %w", err))
	}
	if o.VeleroNamespace == "" {
		wrong = append(wrong, errors.New("--velero-namespace is empty"))
	}
	if !hexText.MatchString(o.PolicyDigest) || len(o.PolicyDigest) != 64 {
		wrong = append(wrong, fmt.Errorf("--policy-digest is %q: it must be 64 hex digits, as `seed-import request` prints them", o.PolicyDigest))
	}
	if !hexText.MatchString(o.KeyID) {
		wrong = append(wrong, fmt.Errorf("--key-id is %q: it must be hex, as `seed-import request` prints it", o.KeyID))
	}
	if o.Timeout <= 0 {
		wrong = append(wrong, fmt.Errorf("--timeout is %s: it must be positive", o.Timeout))
	}
	return command.Misconfigured(errors.Join(wrong...))
}

// Server is the seed's Postgres.
type Server interface {
	// Lock keeps imports and other seed-backups away until the connection ends.
	// While one of them is at work it returns a sentence that says so.
	Lock(context.Context) (busy string, err error)
	// Inspect reads what the seed holds.
	Inspect(context.Context) (Contents, error)
	// Checkpoint writes everything to the volume, so that a restored copy has
	// little to recover.
	Checkpoint(context.Context) error
}

// Contents is what a seed's Postgres holds.
type Contents struct {
	// VolumeID is the stamp of the volume.
	VolumeID string
	// Others are the databases that should not be there.
	Others []string
	// Passwords are the roles that have one.
	Passwords []string
	// Marker is what the import left.
	Marker postgres.Marker
}

const (
	// busyTimeout bounds the wait for an import, a storage location, or the API
	// server.
	busyTimeout = 2 * time.Minute
	pollEvery   = 2 * time.Second
	// mostRevealed leaves room for Velero's own annotations: all of an object's may
	// have 256 KiB.
	mostRevealed = 192 << 10
	// attempts is how many Backups one run makes when Velero fails one: its
	// restart fails all that are in progress.
	attempts = 2
)

// Run takes a snapshot, unless the newest one already holds this import, and
// returns its Backup.
func Run(ctx context.Context, log *slog.Logger, o Options, c client.WithWatch, server Server) (*velerov1.Backup, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	r := &backupRun{Options: o, log: log, client: c}

	if err := r.until(ctx, server.Lock); err != nil {
		return nil, fmt.Errorf("lock seed %s: %w", o.Seed, err)
	}
	contents, err := server.Inspect(ctx)
	if err != nil {
		return nil, fmt.Errorf("inspect seed %s: %w", o.Seed, err)
	}
	if err := o.check(contents); err != nil {
		return nil, fmt.Errorf("refuse a snapshot of seed %s: %w", o.Seed, err)
	}
	r.marker = contents.Marker
	if err := r.checkClaims(ctx); err != nil {
		return nil, fmt.Errorf("refuse a snapshot of seed %s: %w", o.Seed, err)
	}

	done, running, err := r.look(ctx)
	switch {
	case err != nil:
		return nil, err
	case done != nil:
		log.Info("nothing to do: the newest snapshot holds this import", "snapshot", done.Name, "import", r.marker.ImportID)
		return done, nil
	}
	for attempt := 1; ; attempt++ {
		if running == nil {
			if running, err = r.create(ctx, server); err != nil {
				return nil, err
			}
		} else {
			log.Info("a Backup of this import is running already: wait for it", "backup", running.Name)
		}
		start := time.Now()
		b, err := r.wait(ctx, running.Name)
		if err == nil {
			log.Info("snapshot accepted", "snapshot", b.Name, "volumes", b.Status.CSIVolumeSnapshotsCompleted,
				"took", time.Since(start).Round(100*time.Millisecond))
			return b, nil
		}
		if !errors.Is(err, errAgain) || attempt == attempts {
			return nil, err
		}
		log.Warn("try once more", "because", command.OneLine(err.Error()))
		running = nil
	}
}

type backupRun struct {
	Options

	log    *slog.Logger
	client client.WithWatch
	marker postgres.Marker
}

// until waits for try, bounded as everything before the Backup is.
func (r *backupRun) until(ctx context.Context, try func(context.Context) (string, error)) error {
	w := command.Wait{Status: command.NewStatus(r.log), Every: pollEvery, Timeout: busyTimeout}
	return w.Until(ctx, try)
}

// check refuses contents that are not one finished import made as asked.
func (o Options) check(c Contents) error {
	m := c.Marker
	var wrong []error
	if m.PolicyDigest != o.PolicyDigest {
		wrong = append(wrong, fmt.Errorf("its data was masked under policy %s and --policy-digest asks for %s: import again", m.PolicyDigest, o.PolicyDigest))
	}
	if m.KeyID != o.KeyID {
		wrong = append(wrong, fmt.Errorf("its data was masked with key %s and --key-id asks for %s: import again", m.KeyID, o.KeyID))
	}
	if c.VolumeID == "" || m.VolumeID != c.VolumeID {
		wrong = append(wrong, fmt.Errorf("its data was imported into volume %s and this is volume %q: the volume may hold raw data; use a fresh one and import again", m.VolumeID, c.VolumeID))
	}
	if m.ImportID == "" {
		wrong = append(wrong, errors.New("its marker has no import-id: import again"))
	}
	switch m.Verified {
	case "sampled", "full", "off": // as package seed calls them; off says that somebody wanted it so
	default:
		wrong = append(wrong, fmt.Errorf("its import was not verified (%q), as those of an older seed-import: import again", m.Verified))
	}
	if len(c.Others) > 0 {
		wrong = append(wrong, fmt.Errorf("its Postgres has other databases (%s), which would be in the snapshot unmasked: drop them; if they held raw data, use a fresh volume", strings.Join(c.Others, ", ")))
	}
	if len(c.Passwords) > 0 {
		wrong = append(wrong, postgres.HasPasswords(c.Passwords, o.Seed))
	}
	return command.Misconfigured(errors.Join(wrong...))
}

// checkClaims makes sure that the seed's one volume is there and that nothing
// else would be in the Backup.
func (r *backupRun) checkClaims(ctx context.Context) error {
	return r.until(ctx, func(ctx context.Context) (string, error) {
		var claims corev1.PersistentVolumeClaimList
		if err := r.client.List(ctx, &claims, client.InNamespace(r.Seed)); err != nil {
			return r.pending("list the claims of namespace "+r.Seed, err)
		}
		var seed *corev1.PersistentVolumeClaim
		var others []string
		for i := range claims.Items {
			switch pvc := &claims.Items[i]; {
			case pvc.Name == snapshot.SeedPVC:
				seed = pvc
			case pvc.Labels[snapshot.VeleroExcludeLabel] != "true":
				others = append(others, pvc.Name)
			}
		}
		switch {
		case len(others) > 0:
			return "", command.Misconfiguredf("namespace %s has other claims (%s), which would be in the snapshot: move them, or label them %s=true",
				r.Seed, strings.Join(others, ", "), snapshot.VeleroExcludeLabel)
		case seed == nil:
			return "", command.Misconfiguredf("namespace %s has no claim %s: the seed's Postgres is a StatefulSet `postgres` with the claim template `data`", r.Seed, snapshot.SeedPVC)
		case seed.Labels[snapshot.VeleroExcludeLabel] == "true":
			return "", command.Misconfiguredf("claim %s/%s is labelled %s: remove the label", r.Seed, seed.Name, snapshot.VeleroExcludeLabel)
		case seed.Status.Phase != corev1.ClaimBound:
			return fmt.Sprintf("wait for claim %s/%s to be bound: it is %s", r.Seed, seed.Name, seed.Status.Phase), nil
		}
		return "", nil
	})
}

// look finds what is already there of this import: a snapshot that is the
// newest usable one, or a Backup that runs.
func (r *backupRun) look(ctx context.Context) (done, running *velerov1.Backup, err error) {
	err = r.until(ctx, func(ctx context.Context) (string, error) {
		var list velerov1.BackupList
		if err := r.client.List(ctx, &list, client.InNamespace(r.VeleroNamespace), client.MatchingLabels{snapshot.LabelSeed: r.Seed}); err != nil {
			return r.pending("list Backups in namespace "+r.VeleroNamespace, err)
		}
		want := snapshot.Request{PolicyDigest: r.PolicyDigest, KeyID: r.KeyID}
		newest, err := snapshot.Newest(list.Items, r.Seed, want, time.Now())
		if err != nil && !errors.Is(err, snapshot.ErrNone) {
			return "", err
		}
		if newest != nil && newest.Annotations[snapshot.AnnotationImportID] == r.marker.ImportID {
			gone, err := r.locationGone(ctx, newest.Spec.StorageLocation)
			switch {
			case err != nil:
				return r.pending("read the BackupStorageLocation of "+newest.Name, err)
			case !gone:
				done = newest
				return "", nil
			}
		}
		for i := range list.Items {
			b := &list.Items[i]
			if snapshot.Of(b, r.Seed) && b.DeletionTimestamp == nil && !terminal(b.Status.Phase) &&
				b.Annotations[snapshot.AnnotationImportID] == r.marker.ImportID {
				running = b
			}
		}
		return "", nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("look for snapshots of seed %s: %w", r.Seed, err)
	}
	return done, running, nil
}

func (r *backupRun) locationGone(ctx context.Context, name string) (bool, error) {
	var bsl velerov1.BackupStorageLocation
	err := r.client.Get(ctx, client.ObjectKey{Namespace: r.VeleroNamespace, Name: name}, &bsl)
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	return false, err
}

// create makes a Backup, once its storage location is available and everything
// is on the volume.
func (r *backupRun) create(ctx context.Context, server Server) (*velerov1.Backup, error) {
	location, err := r.location(ctx)
	if err != nil {
		return nil, fmt.Errorf("find where Velero stores Backups: %w", err)
	}
	if err := server.Checkpoint(ctx); err != nil {
		return nil, fmt.Errorf("checkpoint seed %s: %w", r.Seed, err)
	}
	b := r.backup(location, time.Now())
	err = r.until(ctx, func(ctx context.Context) (string, error) {
		err := r.client.Create(ctx, b)
		switch {
		case err == nil, apierrors.IsAlreadyExists(err): // the name is random: an earlier try reached the server
			return "", nil
		case apierrors.IsInvalid(err):
			return "", command.Misconfigured(err)
		}
		return r.pending("create Backup "+b.Name, err)
	})
	if err != nil {
		return nil, fmt.Errorf("create Backup %s/%s: %w", b.Namespace, b.Name, err)
	}
	r.log.Info("Backup created", "backup", b.Name, "location", location, "import", r.marker.ImportID)
	return b, nil
}

// location is the storage location that Velero takes by default, when it is
// available. Velero would fail a Backup for another one at once, and with it
// (velero#10519) every Backup after.
func (r *backupRun) location(ctx context.Context) (name string, err error) {
	err = r.until(ctx, func(ctx context.Context) (string, error) {
		var list velerov1.BackupStorageLocationList
		if err := r.client.List(ctx, &list, client.InNamespace(r.VeleroNamespace)); err != nil {
			return r.pending("list BackupStorageLocations in namespace "+r.VeleroNamespace, err)
		}
		var bsl *velerov1.BackupStorageLocation
		for i := range list.Items {
			if b := &list.Items[i]; b.Spec.Default || bsl == nil && (b.Name == "default" || len(list.Items) == 1) {
				bsl = b
			}
		}
		switch {
		case len(list.Items) == 0:
			return "", command.Misconfiguredf("namespace %s has no BackupStorageLocation: create one", r.VeleroNamespace)
		case bsl == nil:
			return "", command.Misconfiguredf("none of the %d BackupStorageLocations in namespace %s is the default one: set spec.default on one", len(list.Items), r.VeleroNamespace)
		case bsl.Spec.AccessMode == velerov1.BackupStorageLocationAccessModeReadOnly:
			return "", command.Misconfiguredf("BackupStorageLocation %s/%s is read-only", bsl.Namespace, bsl.Name)
		case bsl.Status.Phase != velerov1.BackupStorageLocationPhaseAvailable:
			state := string(bsl.Status.Phase)
			if state == "" {
				state = "not validated yet"
			}
			if bsl.Status.Message != "" {
				state += ", " + command.OneLine(bsl.Status.Message)
			}
			return fmt.Sprintf("wait for BackupStorageLocation %s/%s to be Available: it is %s", bsl.Namespace, bsl.Name, state), nil
		}
		name = bsl.Name
		return "", nil
	})
	return name, err
}

// backup is the Backup of the seed's claim, with what the marker says on it.
func (r *backupRun) backup(location string, now time.Time) *velerov1.Backup {
	yes, no := true, false
	b := &velerov1.Backup{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: r.VeleroNamespace,
			Name:      snapshot.BackupName(r.Seed, now, rand.String(5)),
			Labels: map[string]string{
				snapshot.LabelSeed:         r.Seed,
				snapshot.LabelPolicyDigest: snapshot.LabelValue(r.marker.PolicyDigest),
				snapshot.LabelKeyID:        snapshot.LabelValue(r.marker.KeyID),
			},
			Annotations: map[string]string{
				snapshot.AnnotationImportID:      r.marker.ImportID,
				snapshot.AnnotationDumpID:        r.marker.DumpID,
				snapshot.AnnotationPolicyDigest:  r.marker.PolicyDigest,
				snapshot.AnnotationKeyID:         r.marker.KeyID,
				snapshot.AnnotationMaskerVersion: r.marker.MaskerVersion,
				snapshot.AnnotationVolumeID:      r.marker.VolumeID,
				snapshot.AnnotationVerified:      r.marker.Verified,
				snapshot.AnnotationRecordDigest:  recordDigest(r.marker.Record),
				snapshot.AnnotationKept:          snapshot.KeptValue(r.marker.Kept),
				snapshot.AnnotationVolumes:       strconv.Itoa(1),
				snapshot.AnnotationDataTime:      r.marker.FinishedAt.UTC().Format(time.RFC3339),
			},
		},
		Spec: velerov1.BackupSpec{
			IncludedNamespaces:       []string{r.Seed},
			IncludedResources:        []string{"persistentvolumeclaims", "persistentvolumes"},
			StorageLocation:          location,
			SnapshotVolumes:          &yes,
			SnapshotMoveData:         &no,
			DefaultVolumesToFsBackup: &no,
			CSISnapshotTimeout:       metav1.Duration{Duration: 5 * time.Minute},
			// Until the snapshot is ready, which is hours for a large one on some clouds: Velero must not give up before we do.
			ItemOperationTimeout: metav1.Duration{Duration: r.Timeout + 5*time.Minute},
			// A year: which snapshots stay is decided by the plugin's retention.
			TTL: metav1.Duration{Duration: 8760 * time.Hour},
		},
	}
	switch at, err := r.marker.DumpedAt(); {
	case err != nil:
		// It is told, and decides nothing.
		r.log.Warn("the snapshot does not say when its source was dumped", "because", command.OneLine(err.Error()))
	case !at.IsZero():
		b.Annotations[snapshot.AnnotationDumpTime] = at.UTC().Format(time.RFC3339)
	}
	if d := r.marker.DumpDigest; d != "" {
		b.Labels[snapshot.LabelDumpDigest] = snapshot.LabelValue(d)
		b.Annotations[snapshot.AnnotationDumpDigest] = d
	}
	switch revealed := r.marker.Revealed; {
	case len(revealed) > mostRevealed:
		r.log.Warn("what the import lets through of its originals is too much for an annotation: when the policy changes this snapshot is unusable at once", "bytes", len(revealed))
	case revealed != "":
		b.Annotations[snapshot.AnnotationRevealed] = revealed
	}
	return b
}

func recordDigest(record string) string {
	sum := sha256.Sum256([]byte(record))
	return hex.EncodeToString(sum[:])
}

// pending sorts the API server's errors: a right or a kind that is missing
// needs a person, anything else passes.
func (r *backupRun) pending(step string, err error) (string, error) {
	switch {
	case meta.IsNoMatchError(err):
		return "", command.Misconfiguredf("%s: the cluster has no such kind: is Velero installed? %w", step, err)
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		return "", command.Misconfiguredf("%s: %w", step, err)
	default:
		return step + ": " + command.OneLine(err.Error()), nil
	}
}
