package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/preview"
)

// Snapshots chooses among a seed's snapshots: usable ones (see package
// snapshot) in storage that Velero can read now.
type Snapshots struct {
	Client          client.Client
	VeleroNamespace string
	// MaxDataAge is how old the data of a seed's snapshot may be; 0, or nil, for
	// any age.
	MaxDataAge func(seed string) time.Duration
	// Handles is the plugin's own namespace in direct mode: snapshots whose handle
	// is recorded there need no storage location of Velero's. "" in Velero mode.
	Handles string
	Now     func() time.Time
}

// ErrStorage is wrapped when snapshots may exist but no storage location is
// available to read them from.
var ErrStorage = errors.New("no storage location is Available")

// Newest returns the newest usable snapshot of a seed. Without one the error
// wraps snapshot.ErrNone or ErrStorage and says why; any other error means that
// nobody could tell.
func (s Snapshots) Newest(ctx context.Context, seed string) (*velerov1.Backup, error) {
	newest, _, err := s.choose(ctx, seed)
	return newest, err
}

// Choices are the snapshots that one might be chosen from for a preview now, or
// once storage can be read again or older data is permitted: the newest usable
// one, by each of these. There are none where no snapshot is usable.
func (s Snapshots) Choices(ctx context.Context, seed string) ([]*velerov1.Backup, error) {
	ofAnyAge := s
	ofAnyAge.MaxDataAge = nil
	var choices []*velerov1.Backup
	for _, s := range []Snapshots{s, ofAnyAge} {
		newest, passed, err := s.choose(ctx, seed)
		if err != nil && (errors.Is(err, ErrStorage) || !errors.Is(err, snapshot.ErrNone)) {
			return nil, err
		}
		for _, b := range []*velerov1.Backup{newest, passed} {
			if err == nil && b != nil {
				choices = append(choices, b)
			}
		}
	}
	return choices, nil
}

// choose is Newest, and also returns the newest snapshot that would be usable
// if Velero could read its storage, where that is a newer one; nil otherwise.
func (s Snapshots) choose(ctx context.Context, seed string) (newest, passed *velerov1.Backup, err error) {
	want, err := s.request(ctx, seed)
	if err != nil {
		return nil, nil, err
	}
	available, err := s.available(ctx)
	if err != nil {
		return nil, nil, err
	}
	var backups velerov1.BackupList
	if err := s.Client.List(ctx, &backups, client.InNamespace(s.VeleroNamespace), client.MatchingLabels{snapshot.LabelSeed: seed}); err != nil {
		return nil, nil, fmt.Errorf("list the Backups of seed %s: %w", seed, err)
	}
	want = want.Among(backups.Items, seed)
	items, old := s.young(backups.Items, seed, want)
	defer func() {
		if err != nil && old != nil && errors.Is(err, snapshot.ErrNone) && !errors.Is(err, ErrStorage) {
			newest, passed, err = nil, nil, fmt.Errorf("%w of seed %s: %w: import again", snapshot.ErrNone, seed, old)
		}
	}()
	var readable []velerov1.Backup
	unread := ""
	recorded, err := s.recorded(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, b := range items {
		// A Backup that never ran names no location; it is no candidate, and
		// package snapshot says so better.
		if b.Spec.StorageLocation == "" || available[b.Spec.StorageLocation] || recorded[b.Name] {
			readable = append(readable, b)
		} else {
			unread = b.Spec.StorageLocation
		}
	}
	newest, err = snapshot.Newest(readable, seed, want, s.Now())
	if err != nil && unread != "" {
		return nil, nil, fmt.Errorf("%w: Velero cannot read %s, where snapshots of seed %s are (%w); see `kubectl -n %s get backupstoragelocation`",
			ErrStorage, unread, seed, err, s.VeleroNamespace)
	}
	if err != nil || unread == "" {
		return newest, nil, err
	}
	if all, err := snapshot.Newest(items, seed, want, s.Now()); err == nil && all.Name != newest.Name {
		passed = all
	}
	return newest, passed, nil
}

// Usable returns the named snapshot if it may still be restored, and an error
// that wraps snapshot.ErrNone if it may not.
func (s Snapshots) Usable(ctx context.Context, seed, name string) (*velerov1.Backup, error) {
	var b velerov1.Backup
	err := s.Client.Get(ctx, types.NamespacedName{Namespace: s.VeleroNamespace, Name: name}, &b)
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("%w: Backup %s is gone", snapshot.ErrNone, name)
	}
	if err != nil {
		return nil, fmt.Errorf("read Backup %s: %w", name, err)
	}
	want, err := s.request(ctx, seed)
	if err != nil {
		return nil, err
	}
	if !snapshot.Of(&b, seed) {
		return nil, fmt.Errorf("%w: Backup %s is not of seed %s", snapshot.ErrNone, name, seed)
	}
	if want.PreviousKeyID != "" && b.Annotations[snapshot.AnnotationKeyID] == want.PreviousKeyID {
		var all velerov1.BackupList
		if err := s.Client.List(ctx, &all, client.InNamespace(s.VeleroNamespace), client.MatchingLabels{snapshot.LabelSeed: seed}); err != nil {
			return nil, fmt.Errorf("list the Backups of seed %s: %w", seed, err)
		}
		want = want.Among(all.Items, seed)
	}
	if err := snapshot.Usable(&b, want, s.Now()); err != nil {
		return nil, fmt.Errorf("%w: Backup %s: %w", snapshot.ErrNone, name, err)
	}
	if err := s.tooOld(&b, seed); err != nil {
		return nil, fmt.Errorf("%w: %w", snapshot.ErrNone, err)
	}
	available, err := s.available(ctx)
	if err != nil {
		return nil, err
	}
	recorded, err := s.recorded(ctx)
	if err != nil {
		return nil, err
	}
	if !available[b.Spec.StorageLocation] && !recorded[name] {
		return nil, fmt.Errorf("%w: Velero cannot read %s, where snapshot %s is; see `kubectl -n %s get backupstoragelocation`",
			ErrStorage, b.Spec.StorageLocation, name, s.VeleroNamespace)
	}
	return &b, nil
}

// young leaves out those whose data is too old, and says why of the newest of
// them that would be usable otherwise.
func (s Snapshots) young(backups []velerov1.Backup, seed string, want snapshot.Request) (young []velerov1.Backup, why error) {
	var old []velerov1.Backup
	for _, b := range backups {
		if s.tooOld(&b, seed) != nil {
			old = append(old, b)
		} else {
			young = append(young, b)
		}
	}
	if newest, err := snapshot.Newest(old, seed, want, s.Now()); err == nil {
		why = s.tooOld(newest, seed)
	}
	return young, why
}

// tooOld says that the data of a Backup is older than it may be; nil where it is
// not.
func (s Snapshots) tooOld(b *velerov1.Backup, seed string) error {
	if s.MaxDataAge == nil {
		return nil
	}
	most, at := s.MaxDataAge(seed), snapshot.DataTime(b)
	if age := s.Now().Sub(at); most > 0 && !at.IsZero() && age >= most {
		return fmt.Errorf("the data of snapshot %s is %d days old, and maxDataAge is %s", b.Name, int(age.Hours()/24), preview.Span(most))
	}
	return nil
}

// request reads what the seed asks for today.
func (s Snapshots) request(ctx context.Context, seed string) (snapshot.Request, error) {
	var cm corev1.ConfigMap
	err := s.Client.Get(ctx, types.NamespacedName{Namespace: seed, Name: snapshot.RequestConfigMap}, &cm)
	if apierrors.IsNotFound(err) {
		return snapshot.Request{}, fmt.Errorf("%w of seed %s: ConfigMap %s/%s does not exist yet; it comes with the seed's data Application",
			snapshot.ErrNone, seed, seed, snapshot.RequestConfigMap)
	}
	if err != nil {
		return snapshot.Request{}, fmt.Errorf("read ConfigMap %s/%s: %w", seed, snapshot.RequestConfigMap, err)
	}
	want, err := snapshot.RequestFrom(&cm)
	if err != nil {
		return snapshot.Request{}, fmt.Errorf("%w of seed %s: %w", snapshot.ErrNone, seed, err)
	}
	if want.Permits, err = s.permits(ctx, seed, want.PolicyDigest); err != nil {
		return snapshot.Request{}, err
	}
	return want, nil
}

// recorded are the snapshots that direct mode restores without Velero.
func (s Snapshots) recorded(ctx context.Context) (map[string]bool, error) {
	if s.Handles == "" {
		return nil, nil
	}
	var cm corev1.ConfigMap
	err := s.Client.Get(ctx, types.NamespacedName{Namespace: s.Handles, Name: snapshot.HandlesConfigMap}, &cm)
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("read ConfigMap %s/%s: %w", s.Handles, snapshot.HandlesConfigMap, err)
	}
	recorded := map[string]bool{}
	for name, text := range cm.Data {
		_, err := snapshot.ParseVolume(text)
		recorded[name] = err == nil
	}
	return recorded, nil
}

// available lists the storage locations that Velero could read at its last
// look. A Restore from any other fails validation.
func (s Snapshots) available(ctx context.Context) (map[string]bool, error) {
	var locations velerov1.BackupStorageLocationList
	if err := s.Client.List(ctx, &locations, client.InNamespace(s.VeleroNamespace)); err != nil {
		return nil, fmt.Errorf("list Velero's storage locations: %w", err)
	}
	available := map[string]bool{}
	for _, l := range locations.Items {
		if l.Status.Phase == velerov1.BackupStorageLocationPhaseAvailable {
			available[l.Name] = true
		}
	}
	return available, nil
}
