package cluster_test

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"testing"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/seedling-dev/seedling/e2e/cluster"
	"github.com/seedling-dev/seedling/e2e/cluster/clustertest"
)

//go:embed testdata/postgres.yaml
var postgresManifest string

// A row written to Postgres in one namespace is answered by Postgres in
// another, after Velero has backed up and restored the volume.
func TestVeleroRestoresPostgresIntoAnotherNamespace(t *testing.T) {
	t.Parallel()
	suffix := fmt.Sprint(time.Now().UnixNano() % 1e9)
	from, to := "velero-from-"+suffix, "velero-to-"+suffix
	c := clustertest.Up(t, from, to)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	kube := connect(t, c)

	image, err := cluster.BuildImage(ctx, "seed-postgres")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Load(ctx, image); err != nil {
		t.Fatal(err)
	}
	for _, namespace := range []string{from, to} {
		create(t, kube, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	}
	for document := range strings.SplitSeq(strings.ReplaceAll(postgresManifest, "IMAGE", image), "\n---\n") {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), object); err != nil {
			t.Fatal(err)
		}
		object.SetNamespace(from)
		create(t, kube, object)
	}
	rollout(ctx, t, c, from)
	query(ctx, t, c, from, "create table kept (word text); insert into kept values ('hello from the backup'); checkpoint")

	backup := &velerov1.Backup{
		ObjectMeta: metav1.ObjectMeta{Name: from, Namespace: "velero"},
		Spec: velerov1.BackupSpec{
			IncludedNamespaces: []string{from}, StorageLocation: "default", TTL: metav1.Duration{Duration: time.Hour},
		},
	}
	create(t, kube, backup)
	began := time.Now()
	wait(ctx, t, kube, backup, func() (done bool, state string) {
		return backup.Status.CompletionTimestamp != nil, string(backup.Status.Phase)
	})
	if s := backup.Status; s.Phase != velerov1.BackupPhaseCompleted || s.CSIVolumeSnapshotsCompleted != 1 {
		t.Fatalf("backup is %s with %d of %d snapshots: %s", s.Phase, s.CSIVolumeSnapshotsCompleted, s.CSIVolumeSnapshotsAttempted, s.FailureReason)
	}
	t.Logf("backup took %s", time.Since(began).Round(time.Millisecond))

	restore := &velerov1.Restore{
		ObjectMeta: metav1.ObjectMeta{Name: to, Namespace: "velero"},
		Spec: velerov1.RestoreSpec{
			BackupName: backup.Name, IncludedNamespaces: []string{from}, NamespaceMapping: map[string]string{from: to},
		},
	}
	create(t, kube, restore)
	began = time.Now()
	wait(ctx, t, kube, restore, func() (done bool, state string) {
		return restore.Status.CompletionTimestamp != nil, string(restore.Status.Phase)
	})
	if restore.Status.Phase != velerov1.RestorePhaseCompleted {
		t.Fatalf("restore is %s: %s", restore.Status.Phase, restore.Status.FailureReason)
	}
	t.Logf("restore took %s", time.Since(began).Round(time.Millisecond))
	rollout(ctx, t, c, to)
	if got := query(ctx, t, c, to, "select word from kept"); got != "hello from the backup" {
		t.Errorf("the restored Postgres answers %q", got)
	}
	t.Logf("restore to answer took %s", time.Since(began).Round(time.Millisecond))
}

func connect(t *testing.T, c *cluster.Cluster) client.Client {
	t.Helper()
	s := runtime.NewScheme()
	if err := scheme.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	if err := velerov1.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	kube, err := client.New(c.REST(), client.Options{Scheme: s})
	if err != nil {
		t.Fatal(err)
	}
	return kube
}

// create makes an object that goes with the test; a Backup takes its snapshots
// with it only when Velero is asked.
func create(t *testing.T, kube client.Client, object client.Object) {
	t.Helper()
	if err := kube.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if backup, ok := object.(*velerov1.Backup); ok {
			object = &velerov1.DeleteBackupRequest{
				ObjectMeta: metav1.ObjectMeta{GenerateName: backup.Name + "-", Namespace: backup.Namespace},
				Spec:       velerov1.DeleteBackupRequestSpec{BackupName: backup.Name},
			}
			if err := kube.Create(ctx, object); err != nil {
				t.Error(err)
			}
			return
		}
		if err := client.IgnoreNotFound(kube.Delete(ctx, object)); err != nil {
			t.Error(err)
		}
	})
}

// wait reads the object until it is done.
func wait(ctx context.Context, t *testing.T, kube client.Client, object client.Object, done func() (bool, string)) {
	t.Helper()
	for {
		if err := kube.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
			t.Fatal(err)
		}
		finished, state := done()
		if finished {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%T %s is still %q", object, object.GetName(), state)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// appears reads the object until it is there.
func appears(ctx context.Context, t *testing.T, kube client.Client, object client.Object) {
	t.Helper()
	for {
		err := kube.Get(ctx, client.ObjectKeyFromObject(object), object)
		if err == nil {
			return
		}
		if client.IgnoreNotFound(err) != nil || ctx.Err() != nil {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func rollout(ctx context.Context, t *testing.T, c *cluster.Cluster, namespace string) {
	t.Helper()
	if _, err := c.Kubectl(ctx, "--namespace", namespace, "rollout", "status", "statefulset/postgres", "--timeout=3m"); err != nil {
		t.Fatal(err)
	}
}

func query(ctx context.Context, t *testing.T, c *cluster.Cluster, namespace, sql string) string {
	t.Helper()
	out, err := c.Kubectl(ctx, "--namespace", namespace, "exec", "postgres-0", "--",
		"env", "PGPASSWORD=test-only", "psql", "-h", "127.0.0.1", "-U", "postgres", "-v", "ON_ERROR_STOP=1", "-Atqc", sql)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}
