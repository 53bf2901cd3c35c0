package janitor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/preview"
)

// rest brings an ended preview that keeps its data to rest: its Application
// gone, its namespace closed, and nothing in it but its guards and the claim
// with the data. It says whether that is done.
func (j *Janitor) rest(ctx context.Context, h *hand, p preview.Preview) (done bool, err error) {
	if p.Rests || h.dry {
		return true, nil
	}
	if !strings.HasPrefix(p.Namespace, "preview-") {
		return false, errors.New("its namespace has no name of a preview")
	}
	gone, err := j.applicationGone(ctx, h, p.Namespace)
	if err != nil || !gone {
		return false, err
	}
	ns, err := j.namespace(ctx, p.Namespace)
	if err != nil {
		return false, err
	}
	if ns == nil || !j.ours(ns, p) || ns.DeletionTimestamp != nil {
		return true, nil // there is nothing to keep; it goes when its time is over
	}
	if err := j.Close(ctx, p); err != nil {
		return false, err
	}
	const why = "its preview ended, and only its data is kept for a while"
	if err := j.haltPostgres(ctx, h, p.Namespace, why); err != nil {
		return false, err
	}
	left := false
	var pods corev1.PodList
	if err := j.Client.List(ctx, &pods, client.InNamespace(p.Namespace)); err != nil {
		return false, fmt.Errorf("list its Pods: %w", err)
	}
	for i := range pods.Items {
		gone, err := h.remove(ctx, "Pod", &pods.Items[i], why, client.GracePeriodSeconds(1))
		if err != nil {
			return false, err
		}
		left = left || !gone
	}
	var claims corev1.PersistentVolumeClaimList
	if err := j.Client.List(ctx, &claims, client.InNamespace(p.Namespace)); err != nil {
		return false, fmt.Errorf("list its PersistentVolumeClaims: %w", err)
	}
	for i := range claims.Items {
		if claims.Items[i].Name == snapshot.SeedPVC {
			continue
		}
		gone, err := h.remove(ctx, "PersistentVolumeClaim", &claims.Items[i], why)
		if err != nil {
			return false, err
		}
		left = left || !gone
	}
	if left {
		return false, nil
	}
	if err := j.Previews.Rest(ctx, p.Namespace); err != nil {
		return false, err
	}
	j.Log.InfoContext(ctx, "a preview is at rest; its data is kept", "preview", p.Namespace, "until", p.LingersUntil)
	return true, nil
}
