package preview

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Close lets nothing run in the namespace of a preview that ended and keeps its
// data: no pod is let in, and nothing speaks to anything. Prepare opens it.
func (n *Namespaces) Close(ctx context.Context, p Preview) error {
	meta := metav1.ObjectMeta{Namespace: p.Namespace, Name: GuardName, Labels: n.labels()}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(caught(func() error {
		hard, err := n.quota(ctx, p)
		if err != nil {
			return err
		}
		hard["pods"] = resource.MustParse("0")
		return keep(ctx, n.Client, &corev1.ResourceQuota{ObjectMeta: *meta.DeepCopy(), Spec: corev1.ResourceQuotaSpec{Hard: hard}},
			func(is, want *corev1.ResourceQuota) bool { return replace(&is.Spec, want.Spec) })
	}))
	group.Go(caught(func() error {
		policy := &networkingv1.NetworkPolicy{ObjectMeta: *meta.DeepCopy(), Spec: shutNetwork()}
		// Without the digest of open guards, whoever looks at those makes it anew.
		return keep(ctx, n.Client, policy, func(is, want *networkingv1.NetworkPolicy) bool {
			_, had := is.Annotations[AnnotationGuards]
			delete(is.Annotations, AnnotationGuards)
			return replace(&is.Spec, want.Spec) || had
		})
	}))
	if err := group.Wait(); err != nil {
		return fmt.Errorf("close namespace %s: %w", p.Namespace, err)
	}
	return nil
}

// shutNetwork lets nobody in or out.
func shutNetwork() networkingv1.NetworkPolicySpec {
	return networkingv1.NetworkPolicySpec{
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
	}
}
