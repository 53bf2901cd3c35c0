package flow

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/e2e/platform"
	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// On storage that acts as a cloud's block store does, a refresh and previews in
// both modes come through: its snapshots are ready late, volumes take seconds to
// attach and are slow at first, requests are refused above a rate, and all of it
// is in one zone.
func TestStorageLikeEBS(t *testing.T) {
	ctx := alone(t, 20*time.Minute)
	other, err := upload(ctx, 7)
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		if _, err := world.Refresh(ctx, world.Dump); err != nil {
			t.Errorf("give the seed its first dump again: %v", err)
		}
	})
	t.Cleanup(func() {
		if err := world.Cluster.Storage(context.Background()); err != nil {
			t.Error(err)
		}
	})
	must(t, world.Cluster.Storage(ctx, "--like=ebs"))
	taken, err := world.Refresh(ctx, other)
	must(t, err)
	if took := taken.Status.CompletionTimestamp.Sub(taken.Status.StartTimestamp.Time); took < 10*time.Second {
		t.Errorf("the Backup took %v: its snapshot was not late, so that this test shows nothing", took)
	}
	want := fmt.Sprint(query(ctx, t, platform.Seed, counts))
	for _, mode := range []string{"direct", "velero"} {
		t.Run(mode, func(t *testing.T) {
			world.Configure(ctx, t, func(config string) string { return strings.Replace(config, "mode: velero", "mode: "+mode, 1) })
			pr, v := firstQueries(ctx, t, mode)
			if got := fmt.Sprint(query(ctx, t, v.Namespace, counts)); got != want || v.Snapshot != taken.Name {
				t.Errorf("the preview has %s users, orders and events of %s, the seed %s of %s", got, v.Snapshot, want, taken.Name)
			}
			if zone := zoneOf(ctx, t, v.Namespace); zone != "zone-a" {
				t.Errorf("its volume is in %q", zone)
			}
			query(ctx, t, v.Namespace, writeRow)
			// The driver is killed with its volumes in use.
			must(t, world.Cluster.KillProcess(ctx, "csi-btrfs"))
			if got := query(ctx, t, v.Namespace, readRow); got[0][0] != "1" {
				t.Error("the developer's row went with the driver")
			}
			must(t, pr.Unlabel(ctx, platform.LabelPreview))
			must(t, world.WaitGone(ctx, v.Namespace))
		})
	}
	noLeftFolders(ctx, t)
}

const counts = "select (select count(*) from public.users), (select count(*) from public.orders), (select count(*) from public.events)"

// firstQueries makes a preview, and prints when it answered, and what a query of
// whole tables took when their blocks were first read, and what it took again.
func firstQueries(ctx context.Context, t *testing.T, mode string) (*platform.PullRequest, platform.Preview) {
	t.Helper()
	pr := world.Open(ctx, t, "", nil)
	line, err := world.Watch(ctx, pr)
	must(t, err)
	defer line.Stop()
	line.Mark(platform.Labelled)
	must(t, pr.Label(ctx, platform.LabelPreview))
	must(t, line.Wait(ctx, platform.PostgresAnswers))
	namespace := line.Namespace(ctx)
	for _, figure := range []string{"cold", "warm"} {
		began := time.Now()
		query(ctx, t, namespace, counts)
		fmt.Fprintf(os.Stdout, "FIGURE ebs_like_query_%s_%s %.2f s\n", figure, mode, time.Since(began).Seconds())
	}
	if took, ok := line.Between(platform.Labelled, platform.PostgresAnswers); ok {
		fmt.Fprintf(os.Stdout, "FIGURE ebs_like_label_to_first_query_%s %.1f s\n", mode, took.Seconds())
	}
	v, err := world.WaitPreview(ctx, pr, "")
	must(t, err)
	return pr, v
}

// zoneOf is the zone in which the volume of a preview is kept.
func zoneOf(ctx context.Context, t *testing.T, namespace string) string {
	t.Helper()
	var claim corev1.PersistentVolumeClaim
	must(t, world.Kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: snapshot.SeedPVC}, &claim))
	var volume corev1.PersistentVolume
	must(t, world.Kube.Get(ctx, client.ObjectKey{Name: claim.Spec.VolumeName}, &volume))
	if volume.Spec.NodeAffinity == nil || volume.Spec.NodeAffinity.Required == nil {
		return ""
	}
	for _, term := range volume.Spec.NodeAffinity.Required.NodeSelectorTerms {
		for _, e := range term.MatchExpressions {
			if strings.HasPrefix(e.Key, "topology.") && len(e.Values) == 1 {
				return e.Values[0]
			}
		}
	}
	return ""
}
