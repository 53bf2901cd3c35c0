package janitor

import (
	"context"
	"fmt"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

const (
	// orphanAge is how old something unknown must be.
	orphanAge = 24 * time.Hour
	// orphanSeen is how long this process must have seen it unknown: a state
	// that was lost is filled again from the forge long before.
	orphanSeen = time.Hour
)

// sweep removes what carries our labels and no preview knows: it outlived the
// state. The mass guard holds here as for pull requests: when a large part of
// everything seems to be orphaned, then the state is wrong and not the world.
func (j *Janitor) sweep(ctx context.Context, h *hand, ending map[string]bool) (more bool, err error) {
	const why = "no preview knows it"

	var namespaces corev1.NamespaceList
	if err := j.Client.List(ctx, &namespaces, client.HasLabels{snapshot.LabelPreview, snapshot.LabelKey}); err != nil {
		return false, fmt.Errorf("list preview Namespaces: %w", err)
	}
	var restores velerov1.RestoreList
	if err := j.Client.List(ctx, &restores, client.InNamespace(j.VeleroNamespace), client.HasLabels{snapshot.LabelNamespace}); err != nil {
		return false, fmt.Errorf("list Restores: %w", err)
	}
	contents, err := j.contents(ctx)
	if err != nil {
		return false, err
	}

	lost := func(namespace string) bool { return !ending[namespace] && !j.Known(namespace) }
	exists := map[string]bool{}
	var orphans []*corev1.Namespace
	for i := range namespaces.Items {
		ns := &namespaces.Items[i]
		exists[ns.Name] = true
		if snapshot.IsPreview(ns.Name) && j.old("Namespace", ns, lost(ns.Name)) {
			orphans = append(orphans, ns)
		}
	}
	// What is left of namespaces that are gone is harmless and needs no guard
	// of its own; what is left of one that is there goes with it.
	if most := max(2, len(namespaces.Items)*3/10); len(orphans) > most {
		return false, fmt.Errorf("%d of %d preview namespaces are unknown to the state, more than %d: nothing is removed; see the plugin's ConfigMaps",
			len(orphans), len(namespaces.Items), most)
	}
	for _, ns := range orphans {
		app, err := j.application(ctx, ns.Name)
		if err != nil {
			return false, err
		}
		if app != nil {
			j.Log.WarnContext(ctx, "an unknown preview still has an Application: left alone", "preview", ns.Name)
			continue
		}
		gone, err := j.remove(ctx, h, ns.Name, ns, why)
		if err != nil {
			return false, err
		}
		if gone {
			delete(j.began, ns.Name)
		}
		more = more || !gone
	}
	for i := range restores.Items {
		r := &restores.Items[i]
		namespace := r.Labels[snapshot.LabelNamespace]
		if j.old("Restore", r, lost(namespace) && !exists[namespace]) {
			if _, err := h.remove(ctx, "Restore", r, why); err != nil {
				return false, err
			}
		}
	}
	for i := range contents {
		c := &contents[i]
		namespace := c.Spec.VolumeSnapshotRef.Namespace
		if j.old("VolumeSnapshotContent", c, lost(namespace) && !exists[namespace]) {
			if _, err := h.remove(ctx, "VolumeSnapshotContent", c, why); err != nil {
				return false, err
			}
		}
	}
	return more, nil
}

// old says whether something has been an orphan for long enough.
func (j *Janitor) old(kind string, obj client.Object, lost bool) bool {
	id := kind + "/" + string(obj.GetUID())
	if !lost {
		delete(j.orphan, id)
		return false
	}
	seen, ok := j.orphan[id]
	if !ok {
		seen = j.Now()
		j.orphan[id] = seen
	}
	return j.Now().Sub(seen) >= orphanSeen && j.Now().Sub(obj.GetCreationTimestamp().Time) >= orphanAge
}
