package janitor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/janitor"
	"github.com/seedling-dev/seedling/plugin/preview"
)

const day = 24 * time.Hour

// backupOf is an accepted snapshot of seed `seed`, so many days old, and named by
// them.
func backupOf(days int, edits ...func(*velerov1.Backup)) *velerov1.Backup {
	at := now.Add(-time.Duration(days) * day)
	b := &velerov1.Backup{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "velero", Name: snapshot.BackupName("seed", at, fmt.Sprintf("d%d", days)), UID: "uid-backup",
			Labels:      map[string]string{snapshot.LabelSeed: "seed"},
			Annotations: map[string]string{snapshot.AnnotationVolumes: "1"},
		},
		Spec: velerov1.BackupSpec{IncludedNamespaces: []string{"seed"}, StorageLocation: "default"},
		Status: velerov1.BackupStatus{
			Phase: velerov1.BackupPhaseCompleted, StartTimestamp: &metav1.Time{Time: at}, CSIVolumeSnapshotsAttempted: 1, CSIVolumeSnapshotsCompleted: 1,
		},
	}
	for _, edit := range edits {
		edit(b)
	}
	return b
}

func inPhase(p velerov1.BackupPhase) func(*velerov1.Backup) {
	return func(b *velerov1.Backup) { b.Status.Phase = p }
}

// daysOf are the names' last parts, without their d.
func daysOf(names []string) (days []string) {
	for _, n := range names {
		days = append(days, n[strings.LastIndex(n, "-")+2:])
	}
	return days
}

func available() *velerov1.BackupStorageLocation {
	return &velerov1.BackupStorageLocation{
		ObjectMeta: metav1.ObjectMeta{Namespace: "velero", Name: "default"},
		Status:     velerov1.BackupStorageLocationStatus{Phase: velerov1.BackupStorageLocationPhaseAvailable},
	}
}

type keeping struct {
	client.WithWatch
	r       *janitor.Retention
	choices []*velerov1.Backup
	holds   int
	chooses error
}

func newKeeping(t *testing.T, fail func(runtime.Object) error, objects ...client.Object) *keeping {
	t.Helper()
	k := &keeping{WithWatch: fake.NewClientBuilder().WithScheme(scheme()).WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if err := fail(list); err != nil {
				return err
			}
			return c.List(ctx, list, opts...)
		},
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			obj.SetCreationTimestamp(metav1.Time{Time: now})
			return c.Create(ctx, obj, opts...)
		},
		Delete: func(context.Context, client.WithWatch, client.Object, ...client.DeleteOption) error {
			t.Error("a Backup that is deleted by hand comes back, and its snapshot stays: only Velero deletes it")
			return nil
		},
	}).Build()}
	k.r = &janitor.Retention{
		Client: k, VeleroNamespace: "velero", Keep: 3, MaxDataAge: func(string) time.Duration { return 30 * day },
		Seeds:    func() []string { return []string{"seed"} },
		Previews: func() []preview.Preview { return nil },
		Choices:  func(context.Context, string) ([]*velerov1.Backup, error) { return k.choices, k.chooses },
		Exclude: func(context.Context) (func(), error) {
			k.holds++
			return func() { k.holds-- }, nil
		},
		Ready: func() error { return nil }, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now },
	}
	return k
}

func never(runtime.Object) error { return nil }

// asked are the Backups whose deletion was asked for.
func (k *keeping) asked(t *testing.T) (names []string) {
	t.Helper()
	var list velerov1.DeleteBackupRequestList
	if err := k.List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	for _, d := range list.Items {
		names = append(names, d.Spec.BackupName)
	}
	slices.Sort(names)
	return names
}

func TestWhichSnapshotsGo(t *testing.T) {
	t.Parallel()
	using := func(days int) client.Object {
		n := namespace()
		n.Annotations = map[string]string{snapshot.AnnotationSnapshot: backupOf(days).Name}
		return n
	}
	from := func(days int, phase velerov1.RestorePhase) client.Object {
		r := restore("preview-x-1-0123456789", phase)
		r.Labels = nil // somebody's, by hand
		r.Spec.BackupName = backupOf(days).Name
		return r
	}
	row := func(days ...int) (out []client.Object) {
		for _, d := range days {
			out = append(out, backupOf(d))
		}
		return out
	}
	for name, test := range map[string]struct {
		objects []client.Object
		edit    func(*keeping)
		gone    []string // by days, oldest first
	}{
		"as many as are kept":       {objects: row(1, 2, 3)},
		"more than are kept":        {objects: row(1, 2, 3, 4, 5), gone: []string{"5", "4"}},
		"all are kept":              {objects: row(1, 2, 3, 4, 40), edit: func(k *keeping) { k.r.Keep = 0 }},
		"data that is too old":      {objects: row(1, 29, 30), gone: []string{"30"}},
		"data of any age":           {objects: row(1, 29, 300), edit: func(k *keeping) { k.r.MaxDataAge = func(string) time.Duration { return 0 } }},
		"the newest is too old too": {objects: row(31, 32), gone: []string{"32"}},
		"one only, far too old":     {objects: row(300)},
		"a seed that nobody asks for": {objects: row(1, 2, 3, 4, 5), edit: func(k *keeping) {
			k.r.Seeds = func() []string { return []string{"seed-b"} }
		}},
		"the newest usable one is an old one": {objects: row(1, 2, 3, 4, 5), gone: []string{"4"}, edit: func(k *keeping) {
			k.choices = []*velerov1.Backup{backupOf(5)}
		}},
		"one that a namespace names":                {objects: append(row(1, 2, 3, 4, 5), using(5)), gone: []string{"4"}},
		"one that another plugin's namespace names": {objects: append(row(1, 2, 3, 4, 5), others(using(5))), gone: []string{"4"}},
		"one that is remembered": {objects: row(1, 2, 3, 4, 5), gone: []string{"4"}, edit: func(k *keeping) {
			k.r.Previews = func() []preview.Preview { return []preview.Preview{{Snapshot: backupOf(5).Name}} }
		}},
		"one that is being restored": {objects: append(row(1, 2, 3, 4, 5), from(5, velerov1.RestorePhaseInProgress)), gone: []string{"4"}},
		"one that waits for Velero":  {objects: append(row(1, 2, 3, 4, 5), from(5, "")), gone: []string{"4"}},
		"one that was restored":      {objects: append(row(1, 2, 3, 4, 5), from(5, velerov1.RestorePhaseCompleted)), gone: []string{"5", "4"}},
		"a failed one of today":      {objects: append(row(1), backupOf(0, inPhase(velerov1.BackupPhasePartiallyFailed)))},
		"a failed one without newer": {objects: append(row(5), backupOf(4, inPhase(velerov1.BackupPhaseFailed)))},
		"a failed one":               {objects: append(row(1), backupOf(2, inPhase(velerov1.BackupPhasePartiallyFailed))), gone: []string{"2"}},
		"an empty one": {objects: append(row(1), backupOf(2, func(b *velerov1.Backup) {
			b.Status.CSIVolumeSnapshotsAttempted, b.Status.CSIVolumeSnapshotsCompleted = 0, 0
		})), gone: []string{"2"}},
		"one that runs since long":    {objects: append(row(1, 2, 3, 4), backupOf(5, inPhase(velerov1.BackupPhaseInProgress))), gone: []string{"4"}},
		"one whose deletion was left": {objects: append(row(1), backupOf(2, inPhase(velerov1.BackupPhaseDeleting))), gone: []string{"2"}},
		"look-alikes": {objects: append(row(1, 2, 3),
			backupOf(4, func(b *velerov1.Backup) { b.Labels = nil }),
			backupOf(5, func(b *velerov1.Backup) { b.Spec.IncludedNamespaces = []string{"seed", "shop"} }),
			backupOf(6, func(b *velerov1.Backup) { b.Name = "nightly-seed-d6" }),
			backupOf(7, func(b *velerov1.Backup) { b.Namespace = "velero-two" }),
			backupOf(8, func(b *velerov1.Backup) { b.Labels[snapshot.LabelSeed] = "seed-b" }))},
		"storage that cannot be written": {objects: append(row(1, 2, 3, 4),
			backupOf(5, func(b *velerov1.Backup) { b.Spec.StorageLocation = "gone" })), gone: []string{"4"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKeeping(t, never, append(test.objects, available())...)
			if test.edit != nil {
				test.edit(k)
			}
			actions, err := k.r.List(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, a := range actions {
				names = append(names, a.Name)
			}
			if diff := cmp.Diff(test.gone, daysOf(names)); diff != "" {
				t.Errorf("what goes differs (-want +got):\n%s", diff)
			}
			if asked := k.asked(t); len(asked) > 0 {
				t.Errorf("a list asked for the deletion of %v", asked)
			}
		})
	}
}

// One after the other, while nobody chooses, and what Velero could not delete is
// passed over.
func TestSnapshotsGoOneByOne(t *testing.T) {
	t.Parallel()
	k := newKeeping(t, never, available(), backupOf(1), backupOf(2), backupOf(3), backupOf(4), backupOf(5))
	k.r.Exclude = func(context.Context) (func(), error) { return nil, errors.New("somebody chooses") }
	if err := k.r.Pass(t.Context()); err == nil || len(k.asked(t)) > 0 {
		t.Fatalf("asked for %v while somebody chooses: %v", k.asked(t), err)
	}
	k = newKeeping(t, never, available(), backupOf(1), backupOf(2), backupOf(3), backupOf(4), backupOf(5), backupOf(6))
	pass := func(want ...string) {
		t.Helper()
		if err := k.r.Pass(t.Context()); err != nil || k.holds != 0 {
			t.Fatalf("held %d times: %v", k.holds, err)
		}
		got := daysOf(k.asked(t))
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("asked for (-want +got):\n%s", diff)
		}
	}
	pass("6")
	pass("6") // Velero is at it
	var d velerov1.DeleteBackupRequest
	if err := k.Get(t.Context(), client.ObjectKey{Namespace: "velero", Name: backupOf(6).Name}, &d); err != nil {
		t.Fatal(err)
	}
	if d.Labels[snapshot.LabelSeed] != "seed" || d.Labels[velerov1.BackupNameLabel] != d.Spec.BackupName || d.Labels[velerov1.BackupUIDLabel] != "uid-backup" {
		t.Errorf("its labels are %v", d.Labels)
	}
	d.Status = velerov1.DeleteBackupRequestStatus{Phase: velerov1.DeleteBackupRequestPhaseProcessed, Errors: []string{"the bucket said no"}}
	if err := k.Update(t.Context(), &d); err != nil {
		t.Fatal(err)
	}
	pass("5", "6")
	pass("5", "6")
	k.r.Now = func() time.Time { return now.Add(time.Hour) } // it was cut off by a restart
	pass("4", "5", "6")
}

// What cannot be told keeps everything.
func TestNothingGoesOnADoubt(t *testing.T) {
	t.Parallel()
	broken := errors.New("the API server is away")
	for _, of := range []client.ObjectList{
		&velerov1.BackupList{}, &velerov1.RestoreList{}, &velerov1.BackupStorageLocationList{}, &velerov1.DeleteBackupRequestList{},
	} {
		k := newKeeping(t, func(o runtime.Object) error {
			if fmt.Sprintf("%T", o) == fmt.Sprintf("%T", of) {
				return broken
			}
			return nil
		}, available(), backupOf(1), backupOf(2), backupOf(3), backupOf(4))
		if err := k.r.Pass(t.Context()); !errors.Is(err, broken) {
			t.Errorf("without %T: %v", of, err)
		}
		if _, ok := of.(*velerov1.DeleteBackupRequestList); !ok && len(k.asked(t)) > 0 {
			t.Errorf("without %T: asked for %v", of, k.asked(t))
		}
	}
	k := newKeeping(t, never, available(), backupOf(1), backupOf(2), backupOf(3), backupOf(4))
	k.chooses = broken
	if err := k.r.Pass(t.Context()); !errors.Is(err, broken) || len(k.asked(t)) > 0 {
		t.Errorf("asked for %v, error %v", k.asked(t), err)
	}
}
