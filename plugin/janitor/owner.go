package janitor

import (
	"context"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// remains are what is left of one preview.
type remains struct {
	name string
	uid  types.UID
	// namespace is nil where it is gone. others: another plugin has one of that
	// name, and what is in it is not ours.
	namespace *corev1.Namespace
	others    bool
}

// marked says whether an object is this plugin's by its labels. One that no
// plugin has marked is from before they did, and is ours where we remember it.
func (j *Janitor) marked(labels map[string]string, remembered bool) bool {
	owner, ok := labels[snapshot.LabelOwner]
	return ok && owner == j.Owner || !ok && remembered
}

// made says whether this plugin made a Restore, for the namespace of that UID.
func (j *Janitor) made(r *velerov1.Restore, uid types.UID) bool {
	return j.marked(r.Labels, uid != "" && r.Annotations[snapshot.AnnotationNamespaceUID] == string(uid))
}

// owned says of namespaces, each read once, whether they are this plugin's.
type owned struct {
	j    *Janitor
	seen map[string]bool
}

func (o *owned) is(ctx context.Context, name string) (bool, error) {
	mine, ok := o.seen[name]
	if ok {
		return mine, nil
	}
	ns, err := o.j.namespace(ctx, name)
	if err != nil {
		return false, err
	}
	mine = ns != nil && o.j.marked(ns.Labels, false)
	o.seen[name] = mine
	return mine, nil
}
