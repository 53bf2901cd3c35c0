package flow

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/e2e/platform"
	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// In direct mode previews hold the seed's rows without a Restore. When they have
// ended nothing of what stood for the snapshot is left, and the snapshot is: the
// next preview comes from it. The platform's Postgres comes up in this mode, too.
func TestDirectMode(t *testing.T) {
	ctx := alone(t, 20*time.Minute)
	recordedSnapshot(ctx, t)
	world.Configure(ctx, t, func(config string) string {
		return strings.Replace(config, "mode: velero", "mode: direct", 1)
	})
	t.Run("previews", func(t *testing.T) {
		t.Parallel()
		directPreviews(ctx, t)
	})
	t.Run("platforms Postgres", func(t *testing.T) {
		t.Parallel()
		migratedPreview(ctx, t)
	})
}

func directPreviews(ctx context.Context, t *testing.T) {
	t.Helper()
	counts := "select (select count(*) from public.users), (select count(*) from public.orders), (select count(*) from public.events)"
	want := query(ctx, t, platform.Seed, counts)
	direct := func(pr *platform.PullRequest) platform.Preview {
		t.Helper()
		v, err := world.WaitPreview(ctx, pr, "")
		must(t, err)
		if got := query(ctx, t, v.Namespace, counts); fmt.Sprint(got) != fmt.Sprint(want) || got[0][0] == "0" {
			t.Errorf("preview %s has %v users, orders and events, the seed %v", v.Namespace, got, want)
		}
		var claim corev1.PersistentVolumeClaim
		must(t, world.Kube.Get(ctx, client.ObjectKey{Namespace: v.Namespace, Name: snapshot.SeedPVC}, &claim))
		if restore := claim.Labels[snapshot.VeleroRestoreLabel]; !snapshot.RestoredInto(restore, v.Namespace) || claim.Annotations[snapshot.AnnotationSnapshot] != v.Snapshot {
			t.Errorf("the claim says it is of %q and snapshot %q", restore, claim.Annotations[snapshot.AnnotationSnapshot])
		}
		var restores velerov1.RestoreList
		must(t, world.Kube.List(ctx, &restores, client.InNamespace(platform.VeleroNamespace), client.MatchingLabels{snapshot.LabelNamespace: v.Namespace}))
		if n := len(restores.Items); n > 0 {
			t.Errorf("Velero made %d Restores for preview %s", n, v.Namespace)
		}
		return v
	}
	one, two := labelled(ctx, t, "-one", nil), labelled(ctx, t, "-two", nil)
	v1, v2 := direct(one), direct(two)
	query(ctx, t, v1.Namespace, writeRow)
	if got := query(ctx, t, v2.Namespace, readRow); got[0][0] != "0" {
		t.Error("one preview's row is in the other")
	}
	sha, err := one.Push(ctx, "A push", platform.Change{"PUSHED.md": "pushed\n"})
	must(t, err)
	if _, err := world.WaitPreview(ctx, one, sha); err != nil {
		t.Fatal(err)
	}
	if got := query(ctx, t, v1.Namespace, readRow); got[0][0] != "1" {
		t.Error("a push lost the row that a developer wrote")
	}

	must(t, one.Unlabel(ctx, platform.LabelPreview))
	must(t, two.Unlabel(ctx, platform.LabelPreview))
	must(t, world.WaitGone(ctx, v1.Namespace))
	must(t, world.WaitGone(ctx, v2.Namespace))
	noLeftFolders(ctx, t)
	direct(labelled(ctx, t, "-next", nil))
}

// recordedSnapshot sees to a snapshot whose handle seed-backup recorded: the
// newest one of an installation from before it did has none.
func recordedSnapshot(ctx context.Context, t *testing.T) {
	t.Helper()
	recorded := func() bool {
		var handles corev1.ConfigMap
		must(t, world.Kube.Get(ctx, client.ObjectKey{Namespace: platform.PluginNamespace, Name: snapshot.HandlesConfigMap}, &handles))
		backups, err := seedBackups(ctx)
		must(t, err)
		newest := slices.MaxFunc(backups, func(a, b velerov1.Backup) int { return strings.Compare(a.Name, b.Name) })
		_, ok := handles.Data[newest.Name]
		return ok
	}
	if recorded() {
		return
	}
	other, err := upload(ctx, 9)
	must(t, err)
	_, err = world.Refresh(ctx, other)
	must(t, err)
	if !recorded() {
		t.Fatal("seed-backup recorded no handle of the snapshot it took: see the log of its Job")
	}
}
