package backup_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seedling-dev/seedling/hooks/backup"
	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// taken are the objects that name a snapshot while Velero works on a Backup.
func taken(backupName string) (*snapshotv1.VolumeSnapshot, *snapshotv1.VolumeSnapshotContent) {
	pvc, content, class, handle, size := "data-postgres-0", "snapcontent-1", "btrfs-snapshots", "snap-1", int64(2<<30)
	vs := &snapshotv1.VolumeSnapshot{
		ObjectMeta: metav1.ObjectMeta{Namespace: "seed", Name: "velero-data-postgres-0-x", UID: "uid-vs", Labels: map[string]string{"velero.io/backup-name": backupName}},
		Spec:       snapshotv1.VolumeSnapshotSpec{Source: snapshotv1.VolumeSnapshotSource{PersistentVolumeClaimName: &pvc}},
		Status:     &snapshotv1.VolumeSnapshotStatus{BoundVolumeSnapshotContentName: &content},
	}
	return vs, &snapshotv1.VolumeSnapshotContent{
		ObjectMeta: metav1.ObjectMeta{Name: content},
		Spec: snapshotv1.VolumeSnapshotContentSpec{
			Driver: "csi.example.com", VolumeSnapshotClassName: &class,
			VolumeSnapshotRef: corev1.ObjectReference{Namespace: "seed", Name: "velero-data-postgres-0-x", UID: "uid-vs"},
		},
		Status: &snapshotv1.VolumeSnapshotContentStatus{SnapshotHandle: &handle, RestoreSize: &size},
	}
}

// Velero removes what names a snapshot before a Backup is Completed: the handle
// is read in between, and written down once the Backup is accepted.
func TestHandleIsRecorded(t *testing.T) {
	t.Parallel()
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, snapshot.HandlesConfigMap, errors.New("no right"))
	const volume = "csi.example.com snap-1 2Gi fast btrfs-snapshots"
	for _, test := range []struct {
		name string
		// recorded is what the ConfigMap holds before, nil where there is none.
		recorded map[string]string
		edit     func(*snapshotv1.VolumeSnapshot, *snapshotv1.VolumeSnapshotContent)
		end      []change
		api      interceptor.Funcs
		// want is what it holds afterwards; NEW is the snapshot's name.
		want map[string]string
		says string
	}{
		{name: "recorded", recorded: map[string]string{}, want: map[string]string{"NEW": volume}, says: "handle is recorded"},
		{
			name: "those of snapshots that are gone are taken out, another seed's and the others stay",
			recorded: map[string]string{
				"seed-20200101000000-aaaaa": "gone", "seed-x-20200101000000-aaaaa": "another seed's", "seed-19990101000000-bbbbb": "there", "note": "a person's",
			},
			want: map[string]string{"seed-x-20200101000000-aaaaa": "another seed's", "seed-19990101000000-bbbbb": "there", "note": "a person's", "NEW": volume},
		},
		{name: "direct mode is not installed", says: "direct mode is not installed"},
		{
			name: "seed-backup has no right", recorded: map[string]string{}, want: map[string]string{}, says: "direct mode is not installed",
			api: interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
				if _, ok := o.(*corev1.ConfigMap); ok {
					return forbidden
				}
				return c.Get(ctx, key, o, opts...)
			}},
		},
		{
			name: "no right to read contents", recorded: map[string]string{}, want: map[string]string{}, says: "handle could not be read",
			api: interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
				if _, ok := o.(*snapshotv1.VolumeSnapshotContent); ok {
					return forbidden
				}
				return c.Get(ctx, key, o, opts...)
			}},
		},
		{
			name: "it cannot be written", recorded: map[string]string{}, want: map[string]string{}, says: "handle could not be recorded",
			api: interceptor.Funcs{Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
				if _, ok := o.(*corev1.ConfigMap); ok {
					return forbidden
				}
				return c.Patch(ctx, o, p, opts...)
			}},
		},
		{
			name: "of another Backup", recorded: map[string]string{}, want: map[string]string{}, says: "before the snapshot's handle could be read",
			edit: func(vs *snapshotv1.VolumeSnapshot, _ *snapshotv1.VolumeSnapshotContent) {
				vs.Labels["velero.io/backup-name"] = "seed-20200101000000-other"
			},
		},
		{
			name: "of another claim", recorded: map[string]string{}, want: map[string]string{}, says: "before the snapshot's handle could be read",
			edit: func(vs *snapshotv1.VolumeSnapshot, _ *snapshotv1.VolumeSnapshotContent) {
				*vs.Spec.Source.PersistentVolumeClaimName = "data-mongo-0"
			},
		},
		{
			name: "a content of another VolumeSnapshot", recorded: map[string]string{}, want: map[string]string{}, says: "before the snapshot's handle could be read",
			edit: func(_ *snapshotv1.VolumeSnapshot, c *snapshotv1.VolumeSnapshotContent) {
				c.Spec.VolumeSnapshotRef.UID = "other"
			},
		},
		{
			name: "a handle that cannot be written down", recorded: map[string]string{}, want: map[string]string{}, says: "has a space in it",
			edit: func(_ *snapshotv1.VolumeSnapshot, c *snapshotv1.VolumeSnapshotContent) {
				*c.Status.SnapshotHandle = "snap-1 production-snap-2"
			},
		},
		{
			name: "a Backup that is not accepted", recorded: map[string]string{}, want: map[string]string{},
			end: []change{{time.Second, completed(1, 0)}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				scheme := runtime.NewScheme()
				for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, velerov1.AddToScheme, snapshotv1.AddToScheme} {
					if err := add(scheme); err != nil {
						t.Fatal(err)
					}
				}
				pvc, class := claim("data-postgres-0", nil), "fast"
				pvc.Spec.StorageClassName = &class
				pvc.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
				objects := []client.Object{location(), pvc, older("seed-19990101000000-bbbbb", importID("another"))}
				if test.recorded != nil {
					objects = append(objects, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "seedling", Name: "seedling-handles"}, Data: test.recorded})
				}
				cluster := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
				apply := func(do func(o client.Object) error, backupName string) {
					vs, content := taken(backupName)
					if test.edit != nil {
						test.edit(vs, content)
					}
					if err := errors.Join(do(content), do(vs)); err != nil {
						t.Error(err)
					}
				}
				end := test.end
				if end == nil {
					end = []change{{time.Second, completed(1, 1)}}
				}
				v := &velero{client: cluster, made: make(chan string, 1), changes: append([]change{
					{time.Second, phase(velerov1.BackupPhaseInProgress)},
					{time.Second, func(b *velerov1.Backup) {
						apply(func(o client.Object) error { return cluster.Create(ctx, o) }, b.Name)
						phase(velerov1.BackupPhaseWaitingForPluginOperations)(b)
					}},
					{time.Second, func(b *velerov1.Backup) {
						apply(func(o client.Object) error { return cluster.Delete(ctx, o) }, b.Name)
						phase(velerov1.BackupPhaseFinalizing)(b)
					}},
				}, end...)}
				funcs := test.api
				funcs.Create = func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
					defer v.sees(o.GetName())
					return c.Create(ctx, o, opts...)
				}
				go v.run(ctx, t)
				o := options
				o.HandlesNamespace = "seedling"
				var log bytes.Buffer
				b, err := backup.Run(ctx, command.NewLog(&log), o, interceptor.NewClient(cluster, funcs), &server{contents: contents})
				if (err != nil) != (test.end != nil) {
					t.Fatal(err)
				}
				if !strings.Contains(log.String(), test.says) {
					t.Errorf("the log does not say %q:\n%s", test.says, log.String())
				}
				var recorded corev1.ConfigMap
				err = cluster.Get(ctx, client.ObjectKey{Namespace: "seedling", Name: "seedling-handles"}, &recorded)
				if client.IgnoreNotFound(err) != nil {
					t.Fatal(err)
				}
				if text, ok := test.want["NEW"]; ok {
					delete(test.want, "NEW")
					test.want[b.Name] = text
				}
				if diff := cmp.Diff(test.want, recorded.Data); diff != "" && len(test.want)+len(recorded.Data) > 0 {
					t.Errorf("recorded differs (-want +got):\n%s", diff)
				}
			})
		})
	}
}
