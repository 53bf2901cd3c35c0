package hostile

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/e2e/platform"
	"github.com/seedling-dev/seedling/e2e/platform/platformtest"
	"github.com/seedling-dev/seedling/plugin/fences"
)

// rounds is how many previews of each kind a median is of.
const rounds = 10

// What enforcing network policies costs a preview: from its label to Healthy, with
// enforcement and without, in turn.
func BenchmarkEnforcement(b *testing.B) {
	ctx := platformtest.Begin(b, 40*time.Minute)
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		platformtest.Must(b, world.Cluster.EnforceNetworkPolicies(ctx, true))
	})
	took := map[bool][]time.Duration{}
	for i := range rounds {
		for _, on := range []bool{i%2 == 0, i%2 != 0} {
			platformtest.Must(b, world.Cluster.EnforceNetworkPolicies(ctx, on))
			t := measured(ctx, b, fmt.Sprintf("-%d-%t", i, on))
			took[on] = append(took[on], between(b, t, platform.Labelled, platform.ApplicationHealthy))
		}
	}
	fmt.Fprintf(os.Stdout, "FIGURE label_to_healthy_enforced %.2f s\n", median(took[true]).Seconds())
	fmt.Fprintf(os.Stdout, "FIGURE label_to_healthy_unenforced %.2f s\n", median(took[false]).Seconds())
}

// What a flood of the broker from one preview costs the restores of others: the
// time of their hook, with the flood over that without, in turn.
func BenchmarkFlood(b *testing.B) {
	ctx := platformtest.Begin(b, 40*time.Minute)
	flooder := world.Open(ctx, b, "-flooder", nil)
	files, err := fences.Files("flood-of-the-broker", "", fences.Values{Preview: "preview-shop-1-0000000000", Bystander: "preview-shop-2-0000000000", Image: world.Image("seed-postgres")})
	platformtest.Must(b, err)
	// Without pods at first.
	usual, err := world.ShopFile(previewFolder + "/" + fences.Kustomization)
	platformtest.Must(b, err)
	withFlood := func(replicas int) platform.Change {
		return platform.Change{
			previewFolder + "/flood.yaml":              strings.Replace(files["flood.yaml"], "spec:\n", fmt.Sprintf("spec:\n  replicas: %d\n", replicas), 1),
			previewFolder + "/" + fences.Kustomization: strings.Replace(usual, "resources:\n", "resources:\n  - flood.yaml\n", 1),
		}
	}
	flood := func(on bool) {
		b.Helper()
		replicas := map[bool]int{true: 1}[on]
		sha, err := flooder.Push(ctx, fmt.Sprintf("%d flooding pods", replicas), withFlood(replicas))
		platformtest.Must(b, err)
		v, err := world.WaitPreview(ctx, flooder, sha)
		platformtest.Must(b, err)
		waitFlood(ctx, b, v.Namespace, replicas)
	}
	_, err = flooder.Push(ctx, "A flood", withFlood(0))
	platformtest.Must(b, err)
	platformtest.Must(b, flooder.Label(ctx, platform.LabelPreview))

	took := map[bool][]time.Duration{}
	for i := range rounds {
		for _, on := range []bool{i%2 == 0, i%2 != 0} {
			flood(on)
			t := measured(ctx, b, fmt.Sprintf("-%d-%t", i, on))
			took[on] = append(took[on], between(b, t, platform.HookMade, platform.HookDone))
		}
	}
	calm, flooded := median(took[false]), median(took[true])
	fmt.Fprintf(os.Stdout, "FIGURE restore_calm %.2f s\nFIGURE restore_flooded %.2f s\n", calm.Seconds(), flooded.Seconds())
	fmt.Fprintf(os.Stdout, "FIGURE restore_under_flood %.2f ratio\n", flooded.Seconds()/calm.Seconds())
	fmt.Fprintf(os.Stdout, "FIGURE plugin_memory_under_flood %s MB\n", pluginMemory(ctx, b))
}

// waitFlood waits until so many pods flood.
func waitFlood(ctx context.Context, b *testing.B, namespace string, want int) {
	b.Helper()
	platformtest.Must(b, world.Wait(ctx, "wait for the flood", func(ctx context.Context) error {
		var pods corev1.PodList
		if err := world.Kube.List(ctx, &pods, client.InNamespace(namespace), client.MatchingLabels{"app": "flood"}); err != nil {
			return err
		}
		running := 0
		for _, pod := range pods.Items {
			if pod.Status.Phase == corev1.PodRunning || pod.DeletionTimestamp != nil {
				running++
			}
		}
		if running != want {
			return fmt.Errorf("%d pods flood, not %d", running, want)
		}
		return nil
	}))
}

// measured is the timeline of a new preview, which is gone when it returns.
func measured(ctx context.Context, b *testing.B, suffix string) *platform.Timeline {
	b.Helper()
	pr := world.Open(ctx, b, suffix, nil)
	t, err := world.Watch(ctx, pr)
	platformtest.Must(b, err)
	defer t.Stop()
	t.Mark(platform.Labelled)
	platformtest.Must(b, pr.Label(ctx, platform.LabelPreview))
	platformtest.Must(b, t.Wait(ctx, platform.HookDone, platform.ApplicationHealthy))
	v, err := world.WaitPreview(ctx, pr, "")
	platformtest.Must(b, err)
	platformtest.Must(b, pr.Close(ctx))
	platformtest.Must(b, world.WaitGone(ctx, v.Namespace))
	return t
}

func between(b *testing.B, t *platform.Timeline, from, to platform.Moment) time.Duration {
	b.Helper()
	d, ok := t.Between(from, to)
	if !ok {
		b.Fatalf("%s or %s never came", from, to)
	}
	return d
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

// pluginMemory is the most that the plugin's process has had in memory, in MB.
func pluginMemory(ctx context.Context, b *testing.B) string {
	b.Helper()
	out, err := world.Cluster.Exec(ctx, "sh", "-c",
		`for p in /proc/[0-9]*; do case "$(tr '\0' ' ' <$p/cmdline 2>/dev/null)" in "plugin serve "*|*/plugin\ serve\ *) awk '/VmHWM/ {print int($2/1000)}' $p/status;; esac; done | sort -n | tail -1`)
	platformtest.Must(b, err)
	return strings.TrimSpace(out)
}
