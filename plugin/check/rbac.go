package check

import (
	"context"
	"fmt"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// access is what the plugin does to a kind of object.
type access struct {
	group, resource string
	// verbs are apart by a comma.
	verbs string
	// name is the only object it is done to; empty for any.
	name string
}

// place is where the plugin does things, which its configuration names.
type place string

const (
	everyNamespace place = ""
	pluginsOwn     place = "the plugin's own namespace"
	argoCDs        place = "Argo CD's namespace"
	veleros        place = "Velero's namespace"
)

// accesses are the rights of manifests/plugin/rbac.yaml, but for those in
// namespaces of the cluster's own, which the line on DNS tells of.
var accesses = map[place][]access{
	everyNamespace: {
		{"", "namespaces", "create,get,list,watch,patch,delete", ""},
		{"", "serviceaccounts", "create,get,update", ""},
		{"", "secrets", "create,delete", ""},
		{"rbac.authorization.k8s.io", "rolebindings", "create,get,update,delete", ""},
		{"rbac.authorization.k8s.io", "clusterroles", "bind", "seedling-preview-access"},
		{"", "resourcequotas", "create,get,update", ""},
		{"", "limitranges", "create,get,update", ""},
		{"networking.k8s.io", "networkpolicies", "create,get,list,update", ""},
		{"", "nodes", "list,watch", ""},
		{"", "pods", "list,delete", ""},
		{"batch", "jobs", "get,list,watch,patch", ""},
		{"batch", "jobs/status", "patch", ""},
		{"batch", "cronjobs", "list,patch", ""},
		{"apps", "deployments", "list,patch", ""},
		{"apps", "statefulsets", "create,get,list,watch,patch,delete", ""},
		{"", "services", "create,get,list,watch,patch,delete", ""},
		{"networking.k8s.io", "ingresses", "list,patch", ""},
		{"autoscaling", "horizontalpodautoscalers", "list,patch", ""},
		{"policy", "poddisruptionbudgets", "list,patch", ""},
		{"", "persistentvolumeclaims", "get,list,watch,patch,delete", ""},
		{"snapshot.storage.k8s.io", "volumesnapshots", "get,list,watch,delete", ""},
		{"snapshot.storage.k8s.io", "volumesnapshotcontents", "get,list,delete", ""},
		{"storage.k8s.io", "storageclasses", "get", ""},
		{"authentication.k8s.io", "tokenreviews", "create", ""},
		{"", "configmaps", "get", "seed-request"},
		{"", "configmaps", "get", "seed-policy"},
	},
	pluginsOwn: {
		{"", "configmaps", "create,get,list,update", ""},
		{"", "podtemplates", "get", ""},
		{"coordination.k8s.io", "leases", "create,get,update", ""},
	},
	argoCDs: {
		{"argoproj.io", "applicationsets", "get,list,watch,patch", ""},
		{"argoproj.io", "applications", "get,list,watch,patch", ""},
		{"", "events", "create,patch", ""},
	},
	veleros: {
		{"velero.io", "backups", "get,list,watch", ""},
		{"velero.io", "backupstoragelocations", "get,list,watch", ""},
		{"velero.io", "restores", "create,get,list,watch,delete", ""},
		{"velero.io", "deletebackuprequests", "create,list", ""},
	},
}

// directAccesses are those of manifests/plugin/direct/rbac.yaml beside them.
var directAccesses = []access{
	{"snapshot.storage.k8s.io", "volumesnapshotcontents", "create", ""},
	{"snapshot.storage.k8s.io", "volumesnapshots", "create", ""},
	{"", "persistentvolumeclaims", "create", ""},
}

// pluginRights asks the API server about each thing that the plugin does: in its pod
// about itself, elsewhere about its ServiceAccount.
func (c *Cluster) pluginRights(ctx context.Context) {
	const what = "rights of the plugin in the cluster"
	var missing []string
	var direct []access
	with := ""
	if c.Direct {
		direct, with = directAccesses, ", with the component direct"
	}
	n := 0
	for _, at := range []struct {
		namespace string
		accesses  []access
	}{
		{"", accesses[everyNamespace]},
		{"", direct},
		{c.Namespace, accesses[pluginsOwn]},
		{c.ArgoCD, accesses[argoCDs]},
		{c.Velero, accesses[veleros]},
	} {
		for _, a := range at.accesses {
			for verb := range strings.SplitSeq(a.verbs, ",") {
				n++
				allowed, err := c.allowed(ctx, at.namespace, a, verb)
				if !c.may(what, "ask what the plugin's ServiceAccount may", err) {
					return
				}
				if !allowed {
					missing = append(missing, describe(at.namespace, a, verb))
				}
			}
		}
	}
	if len(missing) > 0 {
		c.Report.Wrong(what, "ServiceAccount %s/plugin may not %s: kubectl apply --server-side -k your overlay of manifests/plugin%s", c.Namespace, strings.Join(missing, ", "), with)
		return
	}
	c.Report.Say(what, fmt.Sprintf(": all %d", n), nil)
}

func describe(namespace string, a access, verb string) string {
	text := verb + " " + schema.GroupResource{Group: a.group, Resource: a.resource}.String()
	if a.name != "" {
		text += " " + a.name
	}
	if namespace != "" {
		text += " in namespace " + namespace
	}
	return text
}

// allowed asks about one verb.
func (c *Cluster) allowed(ctx context.Context, namespace string, a access, verb string) (bool, error) {
	resource, subresource, _ := strings.Cut(a.resource, "/")
	of := &authorizationv1.ResourceAttributes{Namespace: namespace, Group: a.group, Resource: resource, Subresource: subresource, Name: a.name, Verb: verb}
	if c.InPod {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: of}}
		err := c.Kube.Create(ctx, review)
		return review.Status.Allowed, err
	}
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		ResourceAttributes: of, User: "system:serviceaccount:" + c.Namespace + ":plugin",
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + c.Namespace, "system:authenticated"},
	}}
	err := c.Kube.Create(ctx, review)
	return review.Status.Allowed, err
}
