package probe

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	kube "sigs.k8s.io/controller-runtime/pkg/client"
)

// ConfigMap is where what was found is recorded, in the plugin's namespace.
const ConfigMap = "plugin-probe"

const (
	keyEgress, keyIngress, keyAt = "egress", "ingress", "at"
	enforced, open               = "enforced", "open"
)

// Recorded is what a probe found, and when; At is zero where none was recorded.
type Recorded struct {
	Found
	At time.Time
	// Unread says why it is not known; whoever reads it sets it.
	Unread string
}

// Record keeps what was found for the status page.
func Record(ctx context.Context, c kube.Client, namespace string, found Found, at time.Time) error {
	said := func(is bool) string {
		if is {
			return enforced
		}
		return open
	}
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: ConfigMap, Labels: map[string]string{"app.kubernetes.io/part-of": "seedling"}}}
	err := c.Get(ctx, kube.ObjectKeyFromObject(cm), cm)
	cm.Data = map[string]string{keyEgress: said(found.Egress), keyIngress: said(found.Ingress), keyAt: at.UTC().Format(time.RFC3339)}
	switch {
	case apierrors.IsNotFound(err):
		err = c.Create(ctx, cm)
	case err == nil:
		err = c.Update(ctx, cm)
	}
	if err != nil {
		return fmt.Errorf("record it in ConfigMap %s/%s: %w", namespace, ConfigMap, err)
	}
	return nil
}

// ReadRecord reads what was found last.
func ReadRecord(ctx context.Context, c kube.Client, namespace string) (Recorded, error) {
	var cm corev1.ConfigMap
	err := c.Get(ctx, types.NamespacedName{Namespace: namespace, Name: ConfigMap}, &cm)
	if apierrors.IsNotFound(err) {
		return Recorded{}, nil
	}
	if err != nil {
		return Recorded{}, fmt.Errorf("read ConfigMap %s/%s: %w", namespace, ConfigMap, err)
	}
	at, err := time.Parse(time.RFC3339, cm.Data[keyAt])
	if err != nil {
		return Recorded{}, fmt.Errorf("read ConfigMap %s/%s: %s: %w", namespace, ConfigMap, keyAt, err)
	}
	return Recorded{Found: Found{Egress: cm.Data[keyEgress] == enforced, Ingress: cm.Data[keyIngress] == enforced}, At: at}, nil
}
