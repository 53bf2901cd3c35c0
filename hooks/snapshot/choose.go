package snapshot

import (
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
)

// ErrNone is wrapped by the error of Newest when no Backup is usable.
var ErrNone = errors.New("no usable snapshot")

// expiryMargin keeps a Backup that is about to expire from being chosen:
// Velero's collection would remove it under a restore.
const expiryMargin = time.Hour

// Accept says whether a Backup is a snapshot: Completed, without an error or a
// failed hook, and with as many CSI snapshots completed as attempted and as
// its annotation seedling.dev/volumes expects. Completed alone is not enough:
// without Velero's EnableCSI feature a Backup completes with no snapshot.
//
// The error says what is wrong in words for a platform engineer.
func Accept(b *velerov1.Backup) error {
	s := &b.Status
	switch s.Phase {
	case velerov1.BackupPhaseCompleted:
	case velerov1.BackupPhaseFailedValidation:
		return fmt.Errorf("phase is %s: %s", s.Phase, strings.Join(s.ValidationErrors, "; "))
	case velerov1.BackupPhaseFailed:
		return fmt.Errorf("phase is %s: %s", s.Phase, s.FailureReason)
	case "":
		return errors.New("phase is empty: Velero has not seen it yet")
	default:
		return fmt.Errorf("phase is %s, not %s", s.Phase, velerov1.BackupPhaseCompleted)
	}
	if s.Errors != 0 {
		return fmt.Errorf("it has %d errors", s.Errors)
	}
	if h := s.HookStatus; h != nil && h.HooksFailed != 0 {
		return fmt.Errorf("%d of its hooks failed", h.HooksFailed)
	}
	want, err := strconv.Atoi(b.Annotations[AnnotationVolumes])
	if err != nil || want < 1 {
		return fmt.Errorf("its annotation %s is %q, not a positive number", AnnotationVolumes, b.Annotations[AnnotationVolumes])
	}
	if s.CSIVolumeSnapshotsAttempted == 0 {
		return fmt.Errorf("it holds no CSI snapshot, expected %d: does Velero run with --features=EnableCSI, and has the driver a VolumeSnapshotClass labelled velero.io/csi-volumesnapshot-class", want)
	}
	if s.CSIVolumeSnapshotsCompleted != s.CSIVolumeSnapshotsAttempted {
		return fmt.Errorf("%d of %d CSI snapshots completed", s.CSIVolumeSnapshotsCompleted, s.CSIVolumeSnapshotsAttempted)
	}
	if s.CSIVolumeSnapshotsCompleted != want {
		return fmt.Errorf("%d CSI snapshots completed, expected %d", s.CSIVolumeSnapshotsCompleted, want)
	}
	return nil
}

// Usable says whether a Backup may be restored for a preview: it is accepted,
// stays for a while, and was made under the policy and key that want names, or
// under a policy that let through no more than that one permits, or with the key
// before that is not withdrawn. Among says when that one's time is over.
// The dump may be another one: an older snapshot is still masked as asked.
func Usable(b *velerov1.Backup, want Request, now time.Time) error {
	if b.DeletionTimestamp != nil {
		return errors.New("it is being deleted")
	}
	if err := Accept(b); err != nil {
		return err
	}
	if b.Status.StartTimestamp == nil {
		return errors.New("it has no start time")
	}
	if e := b.Status.Expiration; e != nil && !e.After(now.Add(expiryMargin)) {
		return fmt.Errorf("it expires at %s", e.UTC().Format(time.RFC3339))
	}
	if want.PolicyDigest == "" || want.KeyID == "" {
		return fmt.Errorf("%s names no policy digest or no key id", RequestConfigMap)
	}
	if err := want.agrees(b); err != nil {
		return err
	}
	if got := b.Annotations[AnnotationKeyID]; got != want.KeyID && (got == "" || got != want.PreviousKeyID) {
		return fmt.Errorf("it was masked with key %s, the seed asks for %s", brief(got), brief(want.KeyID))
	}
	return nil
}

// agrees is nil where a Backup's data is masked as the policy asks, or where the
// policy permits all that another one let through. Every doubt is an error.
func (r Request) agrees(b *velerov1.Backup) error {
	got, revealed := b.Annotations[AnnotationPolicyDigest], b.Annotations[AnnotationRevealed]
	if got == r.PolicyDigest {
		return nil
	}
	masked := fmt.Sprintf("it was masked under policy %s, the seed asks for %s", brief(got), brief(r.PolicyDigest))
	switch {
	case got == "" || revealed == "" || r.Permits == nil:
		return errors.New(masked)
	default:
		if err := r.Permits(revealed, b.Annotations[AnnotationKeyID] == r.KeyID); err != nil {
			return fmt.Errorf("%s: %w", masked, err)
		}
		return nil
	}
}

// Among is the request once a seed's Backups are known: the key before is of no
// use any more when there is a snapshot with the key itself.
func (r Request) Among(backups []velerov1.Backup, seed string) Request {
	for i := range backups {
		if b := &backups[i]; Of(b, seed) && b.DeletionTimestamp == nil && b.Annotations[AnnotationKeyID] == r.KeyID && Accept(b) == nil {
			r.PreviousKeyID = ""
		}
	}
	return r
}

// Newest chooses the newest usable snapshot of a seed: the one that started
// last, by name where two started in the same second. Backups of other seeds,
// and those that claim the label but hold another namespace, are no candidates.
//
// Without one the error wraps ErrNone and says why each candidate fell, newest
// first, a handful of them.
func Newest(backups []velerov1.Backup, seed string, want Request, now time.Time) (*velerov1.Backup, error) {
	want = want.Among(backups, seed)
	var candidates []*velerov1.Backup
	for i := range backups {
		if b := &backups[i]; Of(b, seed) {
			candidates = append(candidates, b)
		}
	}
	sort.Slice(candidates, func(i, j int) bool { return later(candidates[i], candidates[j]) })

	var fell []string
	for _, b := range candidates {
		err := Usable(b, want, now)
		if err == nil {
			return b, nil
		}
		fell = append(fell, b.Name+": "+err.Error())
	}
	const most = 5
	switch {
	case len(fell) == 0:
		return nil, fmt.Errorf("%w of seed %s: it has no Backup yet", ErrNone, seed)
	case len(fell) > most:
		fell = append(fell[:most], fmt.Sprintf("and %d older ones", len(fell)-most))
	}
	return nil, fmt.Errorf("%w of seed %s: %s", ErrNone, seed, strings.Join(fell, "; "))
}

// Of says whether a Backup is one of the given seed's: our label names it, and
// the Backup holds that namespace and no other.
func Of(b *velerov1.Backup, seed string) bool {
	return seed != "" && b.Labels[LabelSeed] == seed &&
		len(b.Spec.IncludedNamespaces) == 1 && b.Spec.IncludedNamespaces[0] == seed
}

// DataTime is when the import behind a Backup finished, or when the Backup began
// where it does not say so; zero for one that never ran.
func DataTime(b *velerov1.Backup) time.Time {
	if at, err := time.Parse(time.RFC3339, b.Annotations[AnnotationDataTime]); err == nil {
		return at
	}
	if b.Status.StartTimestamp != nil {
		return b.Status.StartTimestamp.Time
	}
	return time.Time{}
}

// later orders by start time and then by name, later first. A Backup without a
// start time has not run: it is newer than those that have, so that it is the
// first to be named in an error.
func later(a, b *velerov1.Backup) bool {
	s, t := a.Status.StartTimestamp, b.Status.StartTimestamp
	switch {
	case s == nil && t == nil, s != nil && t != nil && s.Time.Equal(t.Time):
		return a.Name > b.Name
	case s == nil || t == nil:
		return s == nil
	default:
		return s.After(t.Time)
	}
}

// brief shortens a digest for a sentence.
func brief(digest string) string {
	switch {
	case digest == "":
		return "(none)"
	case len(digest) > 12:
		return digest[:12]
	default:
		return digest
	}
}
