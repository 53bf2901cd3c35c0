package flow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/e2e/cluster/clustertest"
	"github.com/seedling-dev/seedling/e2e/platform"
	"github.com/seedling-dev/seedling/e2e/shop"
	"github.com/seedling-dev/seedling/hooks/snapshot"
)

const marker = "select import_id, policy_digest, key_id from seedling.marker"

// A snapshot carries the identity of the import that it holds.
func TestSnapshotNamesItsImport(t *testing.T) {
	ctx := beside(t, 2*time.Minute)
	got := query(ctx, t, platform.Seed, marker)
	if len(got) != 1 {
		t.Fatalf("the seed has %d markers, not one", len(got))
	}
	want, err := world.Request(world.Dump)
	must(t, err)
	newest, err := world.NewestSnapshot(ctx, want)
	must(t, err)
	a := newest.Annotations
	if says := []string{a[snapshot.AnnotationImportID], a[snapshot.AnnotationPolicyDigest], a[snapshot.AnnotationKeyID]}; !slices.Equal(got[0], says) {
		t.Errorf("the marker says %q, the snapshot %q", got[0], says)
	}
}

// A schedule that syncs the seed with nothing new takes no second snapshot.
func TestSyncWithNothingNewTakesNoSnapshot(t *testing.T) {
	ctx := beside(t, 10*time.Minute)
	t.Cleanup(func() { clustertest.Evidence(t, world.Cluster, platform.Seed) })
	before, err := seedBackups(ctx)
	must(t, err)
	importBefore := query(ctx, t, platform.Seed, marker)
	must(t, world.SyncSeed(ctx))
	after, err := seedBackups(ctx)
	must(t, err)
	if len(before) != len(after) {
		t.Errorf("there were %d snapshots, and are %d", len(before), len(after))
	}
	if now := query(ctx, t, platform.Seed, marker); fmt.Sprint(now) != fmt.Sprint(importBefore) {
		t.Errorf("the seed was imported again: %v, then %v", importBefore, now)
	}
}

// The schedule refreshes the seed from where exports write each night, while nothing
// in Git changes: with the newest dump, once its digest says that it is whole.
func TestScheduleTakesTheNewestWholeDump(t *testing.T) {
	ctx := alone(t, 15*time.Minute)
	t.Cleanup(func() { clustertest.Evidence(t, world.Cluster, platform.Seed) })
	store := world.Cluster.S3()
	folder := fmt.Sprintf("nightly-%d/", time.Now().UnixNano())
	export := func(night string, megabytes int) (digest string, whole func()) {
		t.Helper()
		dump, err := shop.OfMB(megabytes).Dump(ctx, slog.New(slog.DiscardHandler))
		must(t, err)
		must(t, shop.Put(ctx, store, folder+night+".dump", dump.Path))
		return dump.SHA256, func() {
			t.Helper()
			path := filepath.Join(t.TempDir(), night)
			must(t, os.WriteFile(path, []byte(dump.SHA256+"  "+night+".dump\n"), 0o600))
			must(t, shop.Put(ctx, store, folder+night+".dump.sha256", path))
		}
	}
	holds := func(digest string) {
		t.Helper()
		if is := query(ctx, t, platform.Seed, "select dump_digest from seedling.marker"); len(is) != 1 || is[0][0] != digest {
			t.Fatalf("the seed is of dump %v, not of %s", is, digest)
		}
	}

	first, whole := export("monday", 9)
	whole()
	nightly := platform.Refresh{Dump: shop.URL(store, folder+"*.dump"), SHA256: snapshot.DigestBeside, Args: []string{"--dump-min-age=0s"}}
	want, err := world.Request(nightly)
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		if _, err := world.Refresh(ctx, world.Dump); err != nil {
			t.Errorf("give the seed its dump back: %v", err)
		}
	})
	_, err = world.Refresh(ctx, nightly)
	must(t, err)
	holds(first)

	second, whole := export("tuesday", 10)
	must(t, world.SyncSeed(ctx))
	holds(first)
	whole()
	must(t, world.SyncSeed(ctx))
	holds(second)
	newest, err := world.NewestSnapshot(ctx, want)
	must(t, err)
	if got := newest.Annotations[snapshot.AnnotationDumpDigest]; got != second {
		t.Errorf("the newest snapshot is of dump %s, not of %s", got, second)
	}
}

// Planted personal values of the raw dump are nowhere in the files of the
// seed's volume, the write-ahead log included; values that are kept are.
func TestRawValuesNeverReachTheVolume(t *testing.T) {
	ctx := beside(t, 5*time.Minute)
	query(ctx, t, platform.Seed, "checkpoint")
	volume := seedVolume(t)
	find := func(value string) string {
		t.Helper()
		// grep ends with 1 where it found nothing; anything else is an error.
		out, err := world.Cluster.Exec(ctx, "sh", "-c", `grep -rlaF -e "$1" "$2"; test $? -le 1`, "find", value, volume)
		must(t, err)
		return strings.TrimSpace(out)
	}
	kept := query(ctx, t, platform.Seed, "select sku from public.products order by id limit 1")[0][0]
	if find(kept) == "" {
		t.Fatalf("the search finds nothing: %q is a kept value and in no file of %s", kept, volume)
	}
	if out, err := world.Cluster.Exec(ctx, "sh", "-c", "ls "+volume+"/pgdata/pg_wal | grep -c '^0'"); err != nil || strings.TrimSpace(out) == "0" {
		t.Fatalf("there is no write-ahead log to search: %q, %v", out, err)
	}
	for _, c := range shop.Canaries() {
		if files := find(c.Value); files != "" {
			t.Errorf("a raw value of %s is in %s", c.Where, files)
		}
	}
	// Neither is what a password of the seed's could be guessed from.
	if files := find("SCRAM-SHA-256$"); files != "" {
		t.Errorf("verifiers of passwords are in %s", files)
	}
}

// seedVolume is the folder of the seed's volume on the node.
func seedVolume(t *testing.T) string {
	t.Helper()
	ctx := t.Context()
	var claim corev1.PersistentVolumeClaim
	must(t, world.Kube.Get(ctx, client.ObjectKey{Namespace: platform.Seed, Name: snapshot.SeedPVC}, &claim))
	var volume corev1.PersistentVolume
	must(t, world.Kube.Get(ctx, client.ObjectKey{Name: claim.Spec.VolumeName}, &volume))
	out, err := world.Cluster.Exec(ctx, "sh", "-c", `find /var/lib/csi-btrfs -maxdepth 2 -type d -name "$1"`, "find", volume.Spec.CSI.VolumeHandle)
	must(t, err)
	dir := strings.TrimSpace(out)
	if dir == "" || strings.Contains(dir, "\n") {
		t.Fatalf("volume %s of the seed is not one folder on the node: %q", volume.Spec.CSI.VolumeHandle, out)
	}
	return dir
}

// An import that fails leaves the old seed answering, and takes no snapshot;
// the next good one goes through.
func TestFailingImportLeavesTheOldSeed(t *testing.T) {
	ctx := alone(t, 15*time.Minute)
	t.Cleanup(func() { clustertest.Evidence(t, world.Cluster, platform.Seed) })
	backups, err := seedBackups(ctx)
	must(t, err)
	before := query(ctx, t, platform.Seed, marker)
	users := query(ctx, t, platform.Seed, "select count(*) from public.users")

	uncovered := strings.Replace(string(shop.Policy), "      phone: phone\n", "", 1)
	if uncovered == string(shop.Policy) {
		t.Fatal("the shop's policy has no line for users.phone to leave out")
	}
	_, err = world.Refresh(ctx, platform.Refresh{Dump: world.Dump.Dump, SHA256: world.Dump.SHA256, Policy: []byte(uncovered)})
	if _, ok := errors.AsType[*platform.SyncError](err); !ok {
		t.Fatalf("a policy that leaves out users.phone gave %v, not a failed sync", err)
	}
	code, message, err := world.JobFailure(ctx, platform.Seed, "seed-import")
	must(t, err)
	if code != 2 || !strings.Contains(message, "public.users") || !strings.Contains(message, "phone") {
		t.Errorf("the Job ended with %d and does not name the uncovered column: %q", code, message)
	}

	if now := query(ctx, t, platform.Seed, marker); fmt.Sprint(now) != fmt.Sprint(before) {
		t.Errorf("the seed changed: %v, then %v", before, now)
	}
	if now := query(ctx, t, platform.Seed, "select count(*) from public.users"); fmt.Sprint(now) != fmt.Sprint(users) {
		t.Errorf("the seed has %v users, and had %v", now, users)
	}
	if left := query(ctx, t, platform.Seed, "select datname from pg_database where datname not in ('postgres', 'app', 'template0', 'template1')"); len(left) > 0 {
		t.Errorf("databases are left: %v", left)
	}
	after, err := seedBackups(ctx)
	must(t, err)
	if len(after) != len(backups) {
		t.Errorf("there were %d snapshots, and are %d", len(backups), len(after))
	}

	good, err := upload(ctx, 9)
	must(t, err)
	taken, err := world.Refresh(ctx, good)
	if err != nil {
		t.Fatalf("the next good refresh: %v", err)
	}
	if now := query(ctx, t, platform.Seed, marker); fmt.Sprint(now) == fmt.Sprint(before) || slices.ContainsFunc(backups, func(b velerov1.Backup) bool { return b.Name == taken.Name }) {
		t.Errorf("the next good refresh changed nothing: import %v, snapshot %s", now, taken.Name)
	}
}
