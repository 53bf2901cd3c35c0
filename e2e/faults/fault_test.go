package faults

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/e2e/platform"
	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// fault is something that happens to the whole cluster. It is over when do
// returns, but for the time that a part needs to start again.
type fault struct {
	name string
	// slow ones take half a minute or more to be over.
	slow bool
	do   func(context.Context) error
}

var faults = []fault{
	{name: "plugin", do: killPod(platform.PluginNamespace, "plugin-")},
	{name: "Velero", do: killPod(platform.VeleroNamespace, "velero-")},
	{name: "Argo CD's application-controller", do: killPod(platform.ArgoCDNamespace, "argocd-application-controller-")},
	{name: "Argo CD's applicationset-controller", do: killPod(platform.ArgoCDNamespace, "argocd-applicationset-controller-")},
	{name: "Argo CD's repo-server", do: killPod(platform.ArgoCDNamespace, "argocd-repo-server-")},
	{name: "snapshot-controller", do: killProcess("snapshot-controller")},
	{name: "csi-snapshotter", do: killProcess("csi-snapshotter")},
	{name: "csi-provisioner", do: killProcess("csi-provisioner")},
	{name: "CSI driver", do: killProcess("csi-btrfs")},
	{name: "kubelet", do: killProcess("kubelet")},
	{name: "kube-controller-manager", do: killProcess("kube-controller-manager")},
	{name: "object store away", do: storeAway},
	{name: "storage location deleted", slow: true, do: locationDeleted},
	{name: "newest Backup deleted", slow: true, do: backupDeleted},
	{name: "node out of space", slow: true, do: outOfSpace},
}

// errDown says that there is nothing to kill: it has not come up again yet.
var errDown = errors.New("it is down already")

// killPod ends the containers of the pods whose names begin so. The kubelet waits
// longer each time before it starts a container again; that is its matter, so a
// pod that fell before is replaced.
func killPod(namespace, prefix string) func(context.Context) error {
	return func(ctx context.Context) error {
		var pods corev1.PodList
		if err := world.Kube.List(ctx, &pods, client.InNamespace(namespace)); err != nil {
			return err
		}
		killed := false
		for _, pod := range pods.Items {
			if !strings.HasPrefix(pod.Name, prefix) || pod.DeletionTimestamp != nil {
				continue
			}
			for _, s := range pod.Status.ContainerStatuses {
				if s.State.Running == nil {
					continue
				}
				if err := world.Cluster.KillContainer(ctx, s.ContainerID); err != nil {
					return fmt.Errorf("%w: %w", errDown, err)
				}
				killed = true
				if s.RestartCount > 0 {
					if err := world.Kube.Delete(ctx, &pod, client.GracePeriodSeconds(0)); client.IgnoreNotFound(err) != nil {
						return err
					}
				}
			}
		}
		if !killed {
			return errDown
		}
		return nil
	}
}

func killProcess(name string) func(context.Context) error {
	return func(ctx context.Context) error {
		err := world.Cluster.KillProcess(ctx, name)
		if err != nil && strings.Contains(err.Error(), "does not run") {
			return errDown
		}
		return err
	}
}

// storeAway ends the object store for some seconds.
func storeAway(ctx context.Context) error {
	if err := world.Cluster.StopProcess(ctx, "s3"); err != nil {
		return err
	}
	return errors.Join(pause(ctx, 5*time.Second), world.Cluster.StartProcess(context.WithoutCancel(ctx), "s3"))
}

func locationDeleted(ctx context.Context) error {
	putBack, err := world.RemoveStorageLocation(ctx)
	if err != nil {
		return err
	}
	return errors.Join(pause(ctx, 5*time.Second), putBack(context.WithoutCancel(ctx)))
}

// backupDeleted deletes the newest Backup as people do, with kubectl. Velero finds
// it in the object store, and makes it again within a minute.
func backupDeleted(ctx context.Context) error {
	var all velerov1.BackupList
	err := world.Kube.List(ctx, &all, client.InNamespace(platform.VeleroNamespace), client.MatchingLabels{snapshot.LabelSeed: platform.Seed})
	if err != nil || len(all.Items) == 0 {
		return errors.Join(err, errDown)
	}
	newest := slices.MaxFunc(all.Items, func(a, b velerov1.Backup) int { return cmp.Compare(a.Name, b.Name) })
	if err := world.Kube.Delete(ctx, &newest); err != nil {
		return err
	}
	return world.Wait(ctx, "wait until Velero has found Backup "+newest.Name+" again", func(ctx context.Context) error {
		return world.Kube.Get(ctx, client.ObjectKeyFromObject(&newest), &velerov1.Backup{})
	})
}

// outOfSpace takes all room of the node's volumes for some seconds.
func outOfSpace(ctx context.Context) error {
	const fill = `cd /var/lib/csi-btrfs && size=$(df --output=avail -B1 . | tail -n 1) && while [ "$size" -gt 65536 ]; do
		fallocate -l "$size" "filler-$size" || rm -f "filler-$size"; size=$((size / 2)); done`
	_, err := world.Cluster.Exec(ctx, "sh", "-c", fill)
	if err == nil {
		err = pause(ctx, 8*time.Second)
	}
	_, emptied := world.Cluster.Exec(context.WithoutCancel(ctx), "sh", "-c", "rm -f /var/lib/csi-btrfs/filler-*")
	return errors.Join(err, emptied)
}

// pause is the time for which something is away.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// happen lets one fault after the other happen, until stop is called, which waits
// for the last to be over.
func happen(ctx context.Context, t *testing.T, random *rand.Rand) (stop func()) {
	t.Helper()
	can := slices.DeleteFunc(slices.Clone(faults), func(f fault) bool { return f.slow && !*all })
	ctx, cancel := context.WithCancel(ctx)
	var going sync.WaitGroup
	going.Go(func() {
		for {
			wait := 2*time.Second + time.Duration(random.Int64N(int64(5*time.Second)))
			f := can[random.IntN(len(can))]
			if pause(ctx, wait) != nil {
				return
			}
			began := time.Now()
			err := f.do(context.WithoutCancel(ctx))
			switch {
			case errors.Is(err, errDown):
				t.Logf("%s %s: %v", began.Format(time.TimeOnly), f.name, err)
			case err != nil:
				t.Errorf("%s %s: %v", began.Format(time.TimeOnly), f.name, err)
			default:
				t.Logf("%s %s: fell for %v", began.Format(time.TimeOnly), f.name, time.Since(began).Round(100*time.Millisecond))
			}
		}
	})
	return func() { cancel(); going.Wait() }
}
