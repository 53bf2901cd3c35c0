package platform

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/e2e/cluster"
)

//go:embed ondemand.yaml
var onDemandManifests []byte

// OnDemand restores a dump the way a preview would without Seedling: pg_restore
// into a fresh volume in the given namespace. url is one that needs no
// credentials. It returns the time from the creation of its objects to the
// answer of a first query; the database stays, unmasked, until
// [Platform.RemoveNamespace].
func (p *Platform) OnDemand(ctx context.Context, namespace, url string) (time.Duration, error) {
	if err := p.RemoveNamespace(ctx, namespace); err != nil {
		return 0, err
	}
	for _, o := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "postgres"},
			StringData: map[string]string{"username": "postgres", "password": rand.Text(), "database": "shop"},
		},
		&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "dump"},
			StringData: map[string]string{"url": url},
		},
	} {
		if err := p.Kube.Create(ctx, o); err != nil {
			return 0, fmt.Errorf("restore on demand: %w", err)
		}
	}
	filled, err := fill("ondemand.yaml", onDemandManifests, map[string]string{
		"Namespace": namespace, "Postgres": p.images[seedPostgres], "Storage": "8Gi",
	})
	if err != nil {
		return 0, err
	}
	all, err := cluster.Objects(filled)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := p.apply(ctx, all); err != nil {
		return 0, fmt.Errorf("restore on demand: %w", err)
	}
	err = p.Wait(ctx, "restore on demand", func(ctx context.Context) error {
		var job batchv1.Job
		if err := p.Kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "pg-restore"}, &job); err != nil {
			return err
		}
		if job.Status.Failed > 0 {
			return Final(errors.New("pg_restore failed: see the log of its pod"))
		}
		if job.Status.Succeeded == 0 {
			return errors.New("pg_restore is running")
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	if err := p.WaitAnswer(ctx, namespace, "SELECT count(*) FROM public.users"); err != nil {
		return 0, err
	}
	return time.Since(began), nil
}

// RemoveNamespace deletes a namespace and waits until it is gone.
func (p *Platform) RemoveNamespace(ctx context.Context, name string) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := p.Kube.Delete(ctx, ns); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove namespace %s: %w", name, err)
	}
	return p.Wait(ctx, "remove namespace "+name, func(ctx context.Context) error {
		err := p.Kube.Get(ctx, client.ObjectKey{Name: name}, ns)
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(err, errors.New("it is still there"))
	})
}
