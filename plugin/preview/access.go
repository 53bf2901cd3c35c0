package preview

import (
	"context"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// accessRole is the ClusterRole of manifests/plugin that says what people may do
	// in a preview: look, read logs, forward ports and read its database login.
	accessRole = "seedling-preview-access"
	// mostGroups is how many groups may have it.
	mostGroups = 50
)

// Access is who may do what in previews, beside Argo CD.
type Access struct {
	// Groups are the names, as the API server knows them, of those who may look
	// into every preview, read its logs and forward its ports.
	Groups []string `json:"groups"`
}

// Validate says what is wrong with it.
func (a Access) Validate() error {
	if len(a.Groups) > mostGroups {
		return fmt.Errorf("guards.access.groups: %d are more than %d", len(a.Groups), mostGroups)
	}
	for _, group := range a.Groups {
		switch {
		case group == "" || !visible(group, 253):
			return fmt.Errorf("guards.access.groups: %q is no group's name", group)
		// Everybody, every pod, or whoever administers.
		case strings.HasPrefix(group, "system:"):
			return fmt.Errorf("guards.access.groups: %s is one of Kubernetes' own, and no group of people", group)
		}
	}
	return nil
}

// access binds the groups that may look into a preview. Without any there is
// nothing to bind; revoke takes away what was bound before.
func (n *Namespaces) access(ctx context.Context, meta metav1.ObjectMeta) error {
	groups := slices.Compact(slices.Sorted(slices.Values(n.Guards.Access.Groups)))
	if len(groups) == 0 {
		return nil
	}
	binding := &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: accessRole}}
	for _, group := range groups {
		binding.Subjects = append(binding.Subjects, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: group})
	}
	return keep(ctx, n.Client, binding, func(is, want *rbacv1.RoleBinding) bool { return replace(&is.Subjects, want.Subjects) })
}

// revoke takes away the binding of a preview where nobody has access any more.
func (n *Namespaces) revoke(ctx context.Context, namespace string) error {
	if len(n.Guards.Access.Groups) > 0 {
		return nil
	}
	err := n.Client.Delete(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: GuardName}})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("take away the RoleBinding %s/%s, which guards.access names no group for: %w", namespace, GuardName, err)
	}
	return nil
}
