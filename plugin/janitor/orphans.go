package janitor

import (
	"context"
	"fmt"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/preview"
)

const (
	// orphanAge is how old something unknown must be.
	orphanAge = 24 * time.Hour
	// orphanSeen is how long this process must have seen it unknown: a state
	// that was lost is filled again from the forge long before.
	orphanSeen = time.Hour
)

// sweep removes what this plugin made and no preview knows: it outlived the
// state. The mass guard holds here as for pull requests: when a large part of
// everything seems to be orphaned, then the state is wrong and not the world.
//
// What no plugin has marked as its own stays, for it may be another one's: a
// person marks or removes it.
func (j *Janitor) sweep(ctx context.Context, h *hand, ending map[string]bool) (more bool, err error) {
	j.found = map[string]int{"Namespace": 0, "Restore": 0, "VolumeSnapshotContent": 0}
	if h.dry {
		return j.sweepAll(ctx, h, ending)
	}
	more, err = j.sweepAll(ctx, h, ending)
	if err != nil {
		j.leaked.Store(nil)
		return more, err
	}
	found := j.found
	j.leaked.Store(&found)
	return more, nil
}

func (j *Janitor) sweepAll(ctx context.Context, h *hand, ending map[string]bool) (more bool, err error) {
	var namespaces corev1.NamespaceList
	if err := j.Client.List(ctx, &namespaces, client.HasLabels{snapshot.LabelPreview, snapshot.LabelKey}); err != nil {
		return false, fmt.Errorf("list preview Namespaces: %w", err)
	}
	lost := func(namespace string) bool { return !ending[namespace] && !j.Known(namespace) }
	exists := map[string]bool{}
	mine := 0
	var orphans []*corev1.Namespace
	for i := range namespaces.Items {
		ns := &namespaces.Items[i]
		exists[ns.Name] = true
		if snapshot.IsPreview(ns.Name) && lost(ns.Name) && !snapshot.Others(ns.Labels, j.Owner) {
			j.found["Namespace"]++
		}
		switch {
		case !snapshot.IsPreview(ns.Name):
		case j.marked(ns.Labels, false):
			mine++
			if j.old(h, "Namespace", ns, lost(ns.Name)) {
				orphans = append(orphans, ns)
			}
		default:
			j.sayUnmarked(ctx, h, "Namespace", ns, lost(ns.Name))
		}
	}
	// What is left of namespaces that are gone is harmless and needs no guard
	// of its own; what is left of one that is there goes with it.
	before := j.refuses
	if j.refuses = preview.Massive(len(orphans), mine); j.refuses {
		if !before {
			j.refused.Add(1)
		}
		return false, fmt.Errorf("%d of %d preview namespaces are unknown to the state, which looks like a mistake: nothing is removed; see the plugin's ConfigMaps",
			len(orphans), mine)
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
		gone, err := j.remove(ctx, h, remains{name: ns.Name, uid: ns.UID, namespace: ns}, unknown)
		if err != nil {
			return false, err
		}
		if gone {
			delete(j.began, ns.Name)
		}
		more = more || !gone
	}
	gone := func(namespace string) bool { return lost(namespace) && !exists[namespace] }
	left, err := j.sweepRestores(ctx, h, gone)
	if err != nil {
		return false, err
	}
	return more || left, j.sweepContents(ctx, h, gone)
}

// unknown is why the sweep removes something.
const unknown = "no preview knows it"

// sweepRestores removes the Restores of namespaces that are gone, each after the
// contents it made: they do not say themselves whose they are.
func (j *Janitor) sweepRestores(ctx context.Context, h *hand, lost func(namespace string) bool) (left bool, err error) {
	var restores velerov1.RestoreList
	if err := j.Client.List(ctx, &restores, client.InNamespace(j.VeleroNamespace), client.HasLabels{snapshot.LabelNamespace}); err != nil {
		return false, fmt.Errorf("list Restores: %w", err)
	}
	contents, err := j.contents(ctx)
	if err != nil {
		return false, err
	}
	made := map[string][]*snapshotv1.VolumeSnapshotContent{}
	for i := range contents {
		restore := contents[i].Labels[snapshot.VeleroRestoreLabel]
		made[restore] = append(made[restore], &contents[i])
	}
	for i := range restores.Items {
		r := &restores.Items[i]
		if lost(r.Labels[snapshot.LabelNamespace]) && !snapshot.Others(r.Labels, j.Owner) {
			j.found["Restore"]++
		}
		j.sayUnmarked(ctx, h, "Restore", r, lost(r.Labels[snapshot.LabelNamespace]))
		if !j.marked(r.Labels, false) || !j.old(h, "Restore", r, lost(r.Labels[snapshot.LabelNamespace])) {
			continue
		}
		waits := false
		for _, c := range made[r.Name] {
			gone, err := h.remove(ctx, "VolumeSnapshotContent", c, unknown)
			if err != nil {
				return false, err
			}
			waits = waits || !gone
		}
		if waits {
			left = true
			continue
		}
		if _, err := h.remove(ctx, "Restore", r, unknown); err != nil {
			return false, err
		}
	}
	return left, nil
}

// sweepContents removes what direct mode made for namespaces that are gone. There
// is no Restore for it; it says itself whose it is.
func (j *Janitor) sweepContents(ctx context.Context, h *hand, lost func(namespace string) bool) error {
	contents, err := j.contents(ctx)
	if err != nil {
		return err
	}
	for i := range contents {
		c := &contents[i]
		if lost(c.Spec.VolumeSnapshotRef.Namespace) && !snapshot.Others(c.Labels, j.Owner) {
			j.found["VolumeSnapshotContent"]++
		}
		j.sayUnmarked(ctx, h, "VolumeSnapshotContent", c, lost(c.Spec.VolumeSnapshotRef.Namespace))
		if !j.marked(c.Labels, false) || !j.old(h, "VolumeSnapshotContent", c, lost(c.Spec.VolumeSnapshotRef.Namespace)) {
			continue
		}
		if _, err := h.remove(ctx, "VolumeSnapshotContent", c, unknown); err != nil {
			return err
		}
	}
	return nil
}

// sayUnmarked names what has long been an orphan and is marked by no plugin: it
// stays until a person decides.
func (j *Janitor) sayUnmarked(ctx context.Context, h *hand, kind string, obj client.Object, lost bool) {
	if _, marked := obj.GetLabels()[snapshot.LabelOwner]; marked || obj.GetDeletionTimestamp() != nil || !j.old(h, kind, obj, lost) {
		return
	}
	j.Log.WarnContext(ctx, "something of a preview says of no plugin that it is its own, and this one does not remember it: it is left alone. "+
		"Remove it, or label it "+snapshot.LabelOwner+"="+j.Owner+" if it is this one's", "kind", kind, "name", obj.GetName())
}

// old says whether something has been an orphan for long enough. A list does not
// ask for how long it was seen to be one: it is made once.
func (j *Janitor) old(h *hand, kind string, obj client.Object, lost bool) bool {
	age := j.Now().Sub(obj.GetCreationTimestamp().Time)
	if h.dry {
		return lost && age >= orphanAge
	}
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
	return j.Now().Sub(seen) >= orphanSeen && age >= orphanAge
}
