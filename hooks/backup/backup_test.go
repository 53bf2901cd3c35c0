package backup_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seedling-dev/seedling/hooks/backup"
	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/postgres"
	"github.com/seedling-dev/seedling/hooks/snapshot"
)

var (
	policyDigest = strings.Repeat("ab", 32)
	options      = backup.Options{
		Seed: "seed", VeleroNamespace: "velero", PolicyDigest: policyDigest, KeyID: "00aa", Timeout: 10 * time.Minute,
	}
	contents = backup.Contents{
		VolumeID: "11111111-1111-1111-1111-111111111111",
		Marker: postgres.Marker{
			Kept:     []string{"public.users.city", "public.users.prefs within /theme"},
			ImportID: "22222222-2222-2222-2222-222222222222", DumpID: "dump", PolicyDigest: policyDigest, KeyID: "00aa",
			MaskerVersion: "1", VolumeID: "11111111-1111-1111-1111-111111111111",
			FinishedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Verified: "sampled", Record: "{}",
		},
	}
)

// server is a seed's Postgres that is busy for a while.
type server struct {
	contents    backup.Contents
	busyUntil   time.Time
	err         error
	checkpoints int
}

func (g *server) Lock(context.Context) (string, error) {
	if time.Now().Before(g.busyUntil) {
		return "wait for an import", nil
	}
	return "", nil
}

func (g *server) Inspect(context.Context) (backup.Contents, error) { return g.contents, g.err }

func (g *server) Checkpoint(context.Context) error { g.checkpoints++; return nil }

// change is something that Velero does to the newest Backup of the seed.
type change struct {
	after time.Duration // since the change before, or since the Backup was created
	to    func(*velerov1.Backup)
}

func phase(p velerov1.BackupPhase) func(*velerov1.Backup) {
	return func(b *velerov1.Backup) {
		b.Status.Phase = p
		if p == velerov1.BackupPhaseInProgress {
			b.Status.StartTimestamp = &metav1.Time{Time: time.Now()}
		}
	}
}

func completed(attempted, done int) func(*velerov1.Backup) {
	return func(b *velerov1.Backup) {
		phase(velerov1.BackupPhaseCompleted)(b)
		b.Status.CSIVolumeSnapshotsAttempted, b.Status.CSIVolumeSnapshotsCompleted = attempted, done
	}
}

func failed(reason string) func(*velerov1.Backup) {
	return func(b *velerov1.Backup) {
		b.Status.Phase, b.Status.FailureReason = velerov1.BackupPhaseFailed, reason
	}
}

// remove deletes the Backup.
func remove(*velerov1.Backup) {}

// normally is what Velero does when nothing is wrong.
func normally() []change {
	return []change{
		{100 * time.Millisecond, phase(velerov1.BackupPhaseQueued)},
		{100 * time.Millisecond, phase(velerov1.BackupPhaseReadyToStart)},
		{time.Second, phase(velerov1.BackupPhaseInProgress)},
		{3 * time.Second, phase(velerov1.BackupPhaseFinalizing)},
		{time.Second, completed(1, 1)},
	}
}

func location(edits ...func(*velerov1.BackupStorageLocation)) *velerov1.BackupStorageLocation {
	bsl := &velerov1.BackupStorageLocation{
		ObjectMeta: metav1.ObjectMeta{Namespace: "velero", Name: "default"},
		Spec:       velerov1.BackupStorageLocationSpec{Default: true},
		Status:     velerov1.BackupStorageLocationStatus{Phase: velerov1.BackupStorageLocationPhaseAvailable},
	}
	for _, edit := range edits {
		edit(bsl)
	}
	return bsl
}

func unavailable(bsl *velerov1.BackupStorageLocation) {
	bsl.Status.Phase, bsl.Status.Message = velerov1.BackupStorageLocationPhaseUnavailable, "no such bucket"
}

func claim(name string, labels map[string]string) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "seed", Name: name, Labels: labels},
		Status:     corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound},
	}
}

// older is a Backup of the seed that is there before the run.
func older(name string, edits ...func(*velerov1.Backup)) *velerov1.Backup {
	b := &velerov1.Backup{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "velero", Name: name,
			Labels: map[string]string{snapshot.LabelSeed: "seed"},
			Annotations: map[string]string{
				snapshot.AnnotationImportID:     contents.Marker.ImportID,
				snapshot.AnnotationPolicyDigest: policyDigest,
				snapshot.AnnotationKeyID:        "00aa",
				snapshot.AnnotationVolumes:      "1",
			},
		},
		Spec: velerov1.BackupSpec{IncludedNamespaces: []string{"seed"}, StorageLocation: "default"},
	}
	// A synctest bubble's clock starts at this midnight.
	b.Status.StartTimestamp = &metav1.Time{Time: time.Date(1999, 12, 31, 20, 0, 0, 0, time.UTC)}
	completed(1, 1)(b)
	for _, edit := range edits {
		edit(b)
	}
	return b
}

func importID(id string) func(*velerov1.Backup) {
	return func(b *velerov1.Backup) { b.Annotations[snapshot.AnnotationImportID] = id }
}

var standard = []client.Object{location(), claim("data-postgres-0", nil)}

func with(objects ...client.Object) []client.Object { return append(objects, standard...) }

type scenario struct {
	name    string
	server  server
	busy    time.Duration
	options func(*backup.Options)
	objects []client.Object
	velero  []change
	// api changes what the API server answers.
	api func(start time.Time) interceptor.Funcs
	// later happens in the cluster at a time.
	later map[time.Duration]func(context.Context, client.Client) error
	stop  time.Duration

	code    int
	fault   string // "" where it succeeds
	chosen  string // the Backup's name, where it is known
	elapsed time.Duration
	created int
	nudged  map[string]bool
	says    []string
}

func TestRun(t *testing.T) {
	t.Parallel()
	forbidden := apierrors.NewForbidden(schema.GroupResource{Group: "velero.io", Resource: "backups"}, "", errors.New("no right"))
	down := apierrors.NewServiceUnavailable("etcd is away")
	tests := []scenario{
		{
			name: "snapshot", velero: normally(), created: 1, elapsed: 5200 * time.Millisecond,
			says: []string{"Backup created", "it is in Velero's queue", "it is InProgress", "it is Finalizing", "snapshot accepted"},
		},
		{
			name: "the newest snapshot holds this import", objects: with(older("seed-1")),
			chosen: "seed-1", says: []string{"nothing to do"},
		},
		{
			name: "an older one holds it, a newer one another", velero: normally(), created: 1, elapsed: 5200 * time.Millisecond,
			objects: with(older("seed-1"), older("seed-2", importID("other"), func(b *velerov1.Backup) {
				b.Status.StartTimestamp = &metav1.Time{Time: b.Status.StartTimestamp.Add(time.Hour)}
			})),
		},
		{
			name: "this import's Backup was never accepted", velero: normally(), created: 1, elapsed: 5200 * time.Millisecond,
			objects: with(older("seed-1", completed(0, 0))),
		},
		{
			name: "this import's snapshot expires", velero: normally(), created: 1, elapsed: 5200 * time.Millisecond,
			objects: with(older("seed-1", func(b *velerov1.Backup) {
				b.Status.Expiration = &metav1.Time{Time: time.Date(2000, 1, 1, 0, 30, 0, 0, time.UTC)}
			})),
		},
		{
			name: "this import's snapshot lies in a location that is gone", velero: normally(), created: 1, elapsed: 5200 * time.Millisecond,
			objects: with(older("seed-1", func(b *velerov1.Backup) { b.Spec.StorageLocation = "former" })),
		},
		{
			name: "a Backup of this import runs already", chosen: "seed-1", elapsed: 2 * time.Second,
			objects: with(older("seed-1", phase(velerov1.BackupPhaseInProgress))),
			velero:  []change{{2 * time.Second, completed(1, 1)}},
			says:    []string{"is running already"},
		},
		{
			name: "a Backup of another import runs", velero: normally(), created: 1, elapsed: 5200 * time.Millisecond,
			objects: with(older("seed-1", importID("other"), phase(velerov1.BackupPhaseInProgress))),
		},
		{
			name: "an import ends in time", busy: 30 * time.Second, velero: normally(), created: 1, elapsed: 35200 * time.Millisecond,
			says: []string{"wait for an import"},
		},
		{
			name: "an import does not end", busy: time.Hour, code: 1, elapsed: 2 * time.Minute,
			fault: "lock seed seed: wait for an import; the time is up after 2m0s",
		},
		{
			name: "the location becomes available", velero: normally(), created: 1, elapsed: 25200 * time.Millisecond,
			objects: []client.Object{location(unavailable), claim("data-postgres-0", nil)},
			later: map[time.Duration]func(context.Context, client.Client) error{
				19 * time.Second: func(ctx context.Context, c client.Client) error {
					return c.Patch(ctx, location(), client.RawPatch(types.MergePatchType, []byte(`{"status":{"phase":"Available"}}`)))
				},
			},
			says: []string{"BackupStorageLocation velero/default to be Available: it is Unavailable, no such bucket"},
		},
		{
			name: "the location stays unavailable", code: 1, elapsed: 2 * time.Minute, fault: "it is Unavailable, no such bucket",
			objects: []client.Object{location(unavailable), claim("data-postgres-0", nil)},
		},
		{
			name: "the location was never validated", code: 1, elapsed: 2 * time.Minute, fault: "it is not validated yet",
			objects: []client.Object{
				location(func(bsl *velerov1.BackupStorageLocation) { bsl.Status.Phase = "" }), claim("data-postgres-0", nil),
			},
		},
		{
			name: "no location", code: 2, fault: "namespace velero has no BackupStorageLocation: create one",
			objects: []client.Object{claim("data-postgres-0", nil)},
		},
		{
			name: "a read-only location", code: 2, fault: "is read-only",
			objects: []client.Object{location(func(bsl *velerov1.BackupStorageLocation) {
				bsl.Spec.AccessMode = velerov1.BackupStorageLocationAccessModeReadOnly
			}), claim("data-postgres-0", nil)},
		},
		{
			name: "no default location among several", code: 2, fault: "none of the 2 BackupStorageLocations",
			objects: []client.Object{
				location(func(bsl *velerov1.BackupStorageLocation) { bsl.Name, bsl.Spec.Default = "a", false }),
				location(func(bsl *velerov1.BackupStorageLocation) { bsl.Name, bsl.Spec.Default = "b", false }),
				claim("data-postgres-0", nil),
			},
		},
		{
			name: "no claim", code: 2, fault: "namespace seed has no claim data-postgres-0",
			objects: []client.Object{location()},
		},
		{
			name: "a claim that is not bound", code: 1, elapsed: 2 * time.Minute, fault: "it is Pending",
			objects: []client.Object{location(), func() client.Object {
				pvc := claim("data-postgres-0", nil)
				pvc.Status.Phase = corev1.ClaimPending
				return pvc
			}()},
		},
		{
			name: "another claim", code: 2, fault: "namespace seed has other claims (spool)",
			objects: with(claim("spool", nil)),
		},
		{
			name: "another claim that Velero leaves out", velero: normally(), created: 1, elapsed: 5200 * time.Millisecond,
			objects: with(claim("spool", map[string]string{"velero.io/exclude-from-backup": "true"})),
		},
		{
			name: "the seed's claim is left out", code: 2, fault: "remove the label",
			objects: []client.Object{location(), claim("data-postgres-0", map[string]string{"velero.io/exclude-from-backup": "true"})},
		},

		{
			name: "Velero completes without a snapshot", code: 2, fault: "EnableCSI", created: 1, elapsed: time.Second,
			velero: []change{{time.Second, completed(0, 0)}},
		},
		{
			name: "partially failed", code: 1, fault: "phase is PartiallyFailed", created: 1, elapsed: time.Second,
			velero: []change{{time.Second, phase(velerov1.BackupPhasePartiallyFailed)}},
		},
		{
			name: "Velero restarts in between", created: 2, elapsed: time.Second + 5200*time.Millisecond,
			velero: append([]change{{time.Second, failed("found a backup with status InProgress during the server starting")}}, normally()...),
			says:   []string{"try once more"},
		},
		{
			name: "Velero fails twice", code: 1, created: 2, elapsed: 2 * time.Second, fault: "phase is Failed: no disk",
			velero: []change{{time.Second, failed("no disk")}, {time.Second, failed("no disk")}},
		},
		{
			name: "validation fails once", created: 2, elapsed: time.Second + 5200*time.Millisecond,
			velero: append([]change{{time.Second, phase(velerov1.BackupPhaseFailedValidation)}}, normally()...),
		},
		{
			name: "somebody deletes it", created: 2, elapsed: time.Second + 5200*time.Millisecond,
			velero: append([]change{{time.Second, remove}}, normally()...),
		},
		{
			name: "it is slow", code: 1, created: 1, elapsed: 10 * time.Minute, fault: "it is InProgress; the time is up after 10m0s; it goes on",
			velero: []change{{time.Second, phase(velerov1.BackupPhaseInProgress)}},
		},
		{
			name: "Velero is away", code: 1, created: 1, elapsed: 10 * time.Minute, fault: "Velero has not taken it up yet: is it running?",
		},
		{
			name: "a signal", code: 1, created: 1, stop: time.Minute, elapsed: time.Minute, fault: "stopped while waiting (it is InProgress): terminated",
			velero: []change{{time.Second, phase(velerov1.BackupPhaseInProgress)}},
		},
		{
			name: "an orphan is nudged, and again", created: 1, elapsed: 200*time.Second + 1200*time.Millisecond,
			velero: []change{
				{100 * time.Millisecond, phase(velerov1.BackupPhaseQueued)},
				{100 * time.Millisecond, phase(velerov1.BackupPhaseReadyToStart)},
				{200 * time.Second, phase(velerov1.BackupPhaseInProgress)},
				{time.Second, completed(1, 1)},
			},
			nudged: map[string]bool{"": true}, says: []string{"nudged a Backup that Velero forgot"},
		},
		{
			name: "an older orphan that blocks the queue is nudged", created: 1, elapsed: 101 * time.Second,
			objects: with(older("seed-1", importID("other"), phase(velerov1.BackupPhaseReadyToStart))),
			velero: []change{
				{100 * time.Millisecond, phase(velerov1.BackupPhaseQueued)},
				{100900 * time.Millisecond, completed(1, 1)},
			},
			nudged: map[string]bool{"seed-1": true},
		},
		{
			name: "a stranger's orphan is left alone", created: 1, elapsed: 200 * time.Second,
			objects: with(older("nightly", phase(velerov1.BackupPhaseReadyToStart), func(b *velerov1.Backup) { b.Labels = nil })),
			velero: []change{
				{100 * time.Millisecond, phase(velerov1.BackupPhaseQueued)},
				{199900 * time.Millisecond, completed(1, 1)},
			},
		},
		{
			name: "the queue is wedged", code: 1, created: 1, elapsed: 5*time.Minute + 100*time.Millisecond, fault: "wedged (velero#10519); restart",
			velero: []change{{100 * time.Millisecond, phase(velerov1.BackupPhaseQueued)}},
		},
		{
			name: "the queue is long, not wedged", created: 1, elapsed: 8*time.Minute + 100*time.Millisecond,
			objects: with(older("nightly", phase(velerov1.BackupPhaseInProgress), func(b *velerov1.Backup) { b.Labels = nil })),
			velero: []change{
				{100 * time.Millisecond, phase(velerov1.BackupPhaseQueued)},
				{8 * time.Minute, completed(1, 1)},
			},
		},

		{
			name: "watches fail", velero: normally(), created: 1, elapsed: 10 * time.Second,
			api: func(time.Time) interceptor.Funcs {
				return interceptor.Funcs{Watch: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) (watch.Interface, error) {
					return nil, down
				}}
			},
		},
		{
			name: "the API server is away for a minute", velero: normally(), created: 1, elapsed: time.Minute + 5200*time.Millisecond,
			api: func(start time.Time) interceptor.Funcs {
				return interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
					if time.Since(start) < time.Minute {
						return down
					}
					return c.List(ctx, list, opts...)
				}}
			},
			says: []string{"etcd is away"},
		},
		{
			name: "creating needs a second try", velero: normally(), created: 1, elapsed: 7200 * time.Millisecond,
			api: func(start time.Time) interceptor.Funcs {
				return interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
					if time.Since(start) < time.Second {
						return down
					}
					return c.Create(ctx, o, opts...)
				}}
			},
		},
		{
			name: "creating succeeded although it said otherwise", velero: normally(), created: 1, elapsed: 5200 * time.Millisecond,
			api: func(start time.Time) interceptor.Funcs {
				return interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
					_ = c.Create(ctx, o, opts...)
					o.SetResourceVersion("")
					if time.Since(start) < time.Second {
						return down
					}
					return apierrors.NewAlreadyExists(schema.GroupResource{}, o.GetName())
				}}
			},
		},
		{
			name: "no right to list Backups", code: 2, fault: "no right",
			api: func(time.Time) interceptor.Funcs {
				return interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
					if _, ok := list.(*velerov1.BackupList); ok {
						return forbidden
					}
					return c.List(ctx, list, opts...)
				}}
			},
		},
		{
			name: "an admission policy refuses it", code: 2, fault: "no right",
			api: func(time.Time) interceptor.Funcs {
				return interceptor.Funcs{Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error { return forbidden }}
			},
		},
		{
			name: "no Velero", code: 2, fault: "is Velero installed?",
			api: func(time.Time) interceptor.Funcs {
				return interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
					if _, ok := list.(*velerov1.BackupList); ok {
						return &meta.NoKindMatchError{GroupKind: schema.GroupKind{Group: "velero.io", Kind: "Backup"}}
					}
					return c.List(ctx, list, opts...)
				}}
			},
		},

		{
			name: "another policy", code: 2, fault: "its data was masked under policy " + policyDigest + " and --policy-digest asks for 00",
			options: func(o *backup.Options) { o.PolicyDigest = strings.Repeat("00", 32) },
		},
		{
			name: "another key", code: 2, fault: "its data was masked with key 00aa and --key-id asks for ff",
			options: func(o *backup.Options) { o.KeyID = "ff" },
		},
		{
			name: "an import that nobody verified", code: 2, fault: `its import was not verified ("")`,
			server: server{contents: func() backup.Contents {
				c := contents
				c.Marker.Verified = ""
				return c
			}()},
		},
		{
			name: "another volume", code: 2, fault: "its data was imported into volume 33",
			server: server{contents: func() backup.Contents {
				c := contents
				c.Marker.VolumeID = "33333333-3333-3333-3333-333333333333"
				return c
			}()},
		},
		{
			name: "another database", code: 2, fault: "its Postgres has other databases (raw, scratch)",
			server: server{contents: func() backup.Contents {
				c := contents
				c.Others = []string{"raw", "scratch"}
				return c
			}()},
		},
		{
			name: "a role with a password", code: 2, fault: "roles of the seed have passwords (app, postgres)",
			server: server{contents: func() backup.Contents {
				c := contents
				c.Passwords = []string{"app", "postgres"}
				return c
			}()},
		},
		{
			name: "no marker", code: 2, fault: "inspect seed seed: there is none",
			server: server{contents: contents, err: command.Misconfiguredf("there is none")},
		},
		{
			name: "everything wrong with the options", code: 2,
			fault: `--seed: "prod" must be`,
			options: func(o *backup.Options) {
				*o = backup.Options{Seed: "prod", PolicyDigest: "x", KeyID: "AA"}
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { test.run(t) })
		})
	}
}

func (s *scenario) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	start := time.Now()

	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, velerov1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	objects := s.objects
	if objects == nil {
		objects = standard
	}
	// The tracker is the cluster; what seed-backup sees passes the interceptor.
	builder := fake.NewClientBuilder().WithScheme(scheme)
	for _, o := range objects {
		builder = builder.WithRuntimeObjects(o.DeepCopyObject())
	}
	cluster := builder.Build()
	v := &velero{client: cluster, changes: s.velero, made: make(chan string, 10)}
	funcs := interceptor.Funcs{}
	if s.api != nil {
		funcs = s.api(start)
	}
	create := funcs.Create
	funcs.Create = func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) (err error) {
		if create != nil {
			err = create(ctx, c, o, opts...)
		} else {
			err = c.Create(ctx, o, opts...)
		}
		if c.Get(ctx, client.ObjectKeyFromObject(o), &velerov1.Backup{}) == nil {
			v.sees(o.GetName())
		}
		return err
	}
	seen := interceptor.NewClient(cluster, funcs)
	go v.run(ctx, t)
	for _, o := range objects {
		if b, ok := o.(*velerov1.Backup); ok && b.Status.Phase == velerov1.BackupPhaseInProgress && b.Labels != nil &&
			b.Annotations[snapshot.AnnotationImportID] == contents.Marker.ImportID {
			v.sees(b.Name)
		}
	}
	for after, do := range s.later {
		time.AfterFunc(after, func() {
			if err := do(ctx, cluster); err != nil {
				t.Error(err)
			}
		})
	}
	if s.stop > 0 {
		time.AfterFunc(s.stop, func() { cancel(errors.New("terminated")) })
	}

	g := s.server
	if g.contents.VolumeID == "" {
		g.contents = contents
	}
	g.busyUntil = start.Add(s.busy)
	o := options
	if s.options != nil {
		s.options(&o)
	}
	var log bytes.Buffer
	b, err := backup.Run(ctx, command.NewLog(&log), o, seen, &g)
	elapsed := time.Since(start)
	cancel(nil)
	synctest.Wait()

	if code := command.ExitCode(err); code != s.code {
		t.Errorf("exit code %d, want %d: %v", code, s.code, err)
	}
	switch {
	case s.code == 0 && err == nil && b == nil:
		t.Error("neither a snapshot nor an error")
	case s.code == 0 && err == nil && s.chosen != "" && b.Name != s.chosen:
		t.Errorf("snapshot %s, want %s", b.Name, s.chosen)
	case s.fault != "" && (err == nil || !strings.Contains(command.OneLine(err.Error()), s.fault)):
		t.Errorf("error %v does not say %q", err, s.fault)
	}
	if elapsed != s.elapsed {
		t.Errorf("took %s, want %s", elapsed, s.elapsed)
	}
	if len(v.created) != s.created || g.checkpoints < s.created {
		t.Errorf("created %d Backups after %d checkpoints, want %d", len(v.created), g.checkpoints, s.created)
	}
	for _, line := range s.says {
		if !strings.Contains(log.String(), line) {
			t.Errorf("the log does not say %q", line)
		}
	}

	var list velerov1.BackupList
	if err := cluster.List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	nudged := map[string]bool{}
	for _, b := range list.Items {
		if b.Annotations[snapshot.AnnotationNudge] != "" {
			name := b.Name
			if _, ours := v.created[name]; ours {
				name = ""
			}
			nudged[name] = true
		}
	}
	if len(nudged)+len(s.nudged) > 0 && !cmp.Equal(nudged, s.nudged) {
		t.Errorf("nudged %v, want %v", nudged, s.nudged)
	}
	if t.Failed() {
		t.Log(log.String())
	}
}

// velero plays the phases of the Backups it sees.
type velero struct {
	client  client.Client
	changes []change
	made    chan string

	mu      sync.Mutex
	created map[string]struct{}
	known   map[string]struct{}
}

// sees tells of a Backup that is to be worked on.
func (v *velero) sees(name string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.known == nil {
		v.known, v.created = map[string]struct{}{}, map[string]struct{}{}
	}
	if _, again := v.known[name]; again {
		return
	}
	v.known[name] = struct{}{}
	if strings.HasPrefix(name, "seed-2000") { // the bubble's year: made in this run
		v.created[name] = struct{}{}
	}
	v.made <- name
}

func (v *velero) run(ctx context.Context, t *testing.T) {
	t.Helper()
	var name string
	select {
	case name = <-v.made:
	case <-ctx.Done():
		return
	}
	for _, c := range v.changes {
		select {
		case <-time.After(c.after):
		case <-ctx.Done():
			return
		}
		b := &velerov1.Backup{}
		if err := v.client.Get(ctx, client.ObjectKey{Namespace: "velero", Name: name}, b); err != nil {
			t.Error(err)
			return
		}
		was := b.Status.Phase
		c.to(b)
		if b.Status.Phase == was { // remove
			if err := v.client.Delete(ctx, b); err != nil {
				t.Error(err)
			}
		} else if err := v.client.Update(ctx, b); err != nil {
			t.Error(err)
		}
		switch b.Status.Phase {
		case was, velerov1.BackupPhaseFailed, velerov1.BackupPhaseFailedValidation:
			select {
			case name = <-v.made:
			case <-ctx.Done():
				return
			}
		}
	}
}

func TestBackupIsWhatTheMarkerSays(t *testing.T) {
	t.Parallel()
	for name, revealed := range map[string]struct{ marker, annotation string }{
		"what it lets through":          {"H4sIAAAA", "H4sIAAAA"},
		"an older seed-import":          {"", ""},
		"too much for an annotation":    {strings.Repeat("x", 192<<10+1), ""},
		"just not too much for one yet": {strings.Repeat("x", 192<<10), strings.Repeat("x", 192<<10)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			backupIsWhatTheMarkerSays(t, revealed.marker, revealed.annotation)
		})
	}
}

func backupIsWhatTheMarkerSays(t *testing.T, revealed, annotation string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		scheme := runtime.NewScheme()
		_ = corev1.AddToScheme(scheme)
		_ = velerov1.AddToScheme(scheme)
		v := &velero{changes: normally(), made: make(chan string, 1)}
		c := interceptor.NewClient(fake.NewClientBuilder().WithScheme(scheme).WithObjects(location(), claim("data-postgres-0", nil)).Build(), interceptor.Funcs{
			Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
				defer v.sees(o.GetName())
				return c.Create(ctx, o, opts...)
			},
		})
		v.client = c
		go v.run(ctx, t)
		g := &server{contents: contents}
		g.contents.Marker.DumpDigest = strings.Repeat("0f", 32)
		g.contents.Marker.Record = `{"record":1,"dumpCreated":"2026-01-01T23:00:00Z"}`
		g.contents.Marker.Revealed = revealed
		var log bytes.Buffer
		patient := options
		patient.Timeout = 2 * time.Hour
		b, err := backup.Run(ctx, command.NewLog(&log), patient, c, g)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(b.Name, "seed-20000101000000-") || len(b.Name) > 63 {
			t.Errorf("name is %s", b.Name)
		}
		yes, no := true, false
		want := velerov1.Backup{
			ObjectMeta: metav1.ObjectMeta{
				Labels: map[string]string{
					"seedling.dev/seed":          "seed",
					"seedling.dev/policy-digest": policyDigest[:32],
					"seedling.dev/key-id":        "00aa",
					"seedling.dev/dump-digest":   strings.Repeat("0f", 16),
				},
				Annotations: map[string]string{
					"seedling.dev/import-id":      contents.Marker.ImportID,
					"seedling.dev/dump-id":        "dump",
					"seedling.dev/dump-digest":    strings.Repeat("0f", 32),
					"seedling.dev/policy-digest":  policyDigest,
					"seedling.dev/key-id":         "00aa",
					"seedling.dev/masker-version": "1",
					"seedling.dev/volume-id":      contents.VolumeID,
					"seedling.dev/verified":       "sampled",
					"seedling.dev/record-digest":  fmt.Sprintf("%x", sha256.Sum256([]byte(g.contents.Marker.Record))),
					"seedling.dev/kept":           "public.users.city\npublic.users.prefs within /theme",
					"seedling.dev/volumes":        "1",
					"seedling.dev/data-time":      "2026-01-02T03:04:05Z",
					"seedling.dev/dump-time":      "2026-01-01T23:00:00Z",
				},
			},
			Spec: velerov1.BackupSpec{
				IncludedNamespaces:       []string{"seed"},
				IncludedResources:        []string{"persistentvolumeclaims", "persistentvolumes"},
				StorageLocation:          "default",
				SnapshotVolumes:          &yes,
				SnapshotMoveData:         &no,
				DefaultVolumesToFsBackup: &no,
				CSISnapshotTimeout:       metav1.Duration{Duration: 5 * time.Minute},
				ItemOperationTimeout:     metav1.Duration{Duration: 125 * time.Minute},
				TTL:                      metav1.Duration{Duration: 8760 * time.Hour},
			},
		}
		if annotation != "" {
			want.Annotations["seedling.dev/revealed"] = annotation
		}
		got := velerov1.Backup{ObjectMeta: metav1.ObjectMeta{Labels: b.Labels, Annotations: b.Annotations}, Spec: b.Spec}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Backup differs (-want +got):\n%s", diff)
		}
	})
}
