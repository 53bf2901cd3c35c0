package platform

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/postgres"
	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// seedCertificates makes the Secret that `seed-import certificates` makes, where
// it is not there. An installation whose seed took passwords, as earlier ones
// did, gets a fresh volume, which refillSeed fills.
func (p *Platform) seedCertificates(ctx context.Context) error {
	fail := func(err error) error {
		return fmt.Errorf("make the certificates of the seed: %w", err)
	}
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: Seed, Name: postgres.Secret}}
	err := p.Kube.Get(ctx, client.ObjectKeyFromObject(s), s)
	switch {
	case err == nil && len(s.Data["password"]) == 0 && len(s.Data[postgres.AuthorityFile]) > 0:
		return nil
	case err == nil:
		p.refill = true
		if err := p.Kube.Delete(ctx, s); err != nil {
			return fail(err)
		}
	case !apierrors.IsNotFound(err):
		return fail(err)
	}
	files, err := postgres.NewCertificates(time.Now(), 3650*24*time.Hour)
	if err != nil {
		return fail(err)
	}
	s = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: Seed, Name: postgres.Secret}, Data: files}
	if err := p.Kube.Create(ctx, s); err != nil || !p.refill {
		return err
	}
	// The StatefulSet makes both again.
	for _, o := range []client.Object{
		&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: Seed, Name: snapshot.SeedPVC}},
		&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: Seed, Name: PostgresPod}},
	} {
		if err := p.Kube.Delete(ctx, o); client.IgnoreNotFound(err) != nil {
			return fail(err)
		}
	}
	return nil
}

// refillSeed imports again what a renewed seed held.
func (p *Platform) refillSeed(ctx context.Context) error {
	if !p.refill {
		return nil
	}
	_, err := p.Application(ctx, seedData)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err == nil {
		err = p.SyncSeed(ctx)
	}
	return err
}

// seedTLS is how the seed's superuser logs in.
func (p *Platform) seedTLS(ctx context.Context) (*tls.Config, error) {
	var s corev1.Secret
	if err := p.Kube.Get(ctx, client.ObjectKey{Namespace: Seed, Name: postgres.Secret}, &s); err != nil {
		return nil, err
	}
	own, err := tls.X509KeyPair(s.Data[postgres.ImportCertificateFile], s.Data[postgres.ImportKeyFile])
	if err != nil {
		return nil, fmt.Errorf("read Secret %s/%s: %w", Seed, postgres.Secret, err)
	}
	authority := x509.NewCertPool()
	if !authority.AppendCertsFromPEM(s.Data[postgres.AuthorityFile]) {
		return nil, errors.New("read Secret " + Seed + "/" + postgres.Secret + ": its authority is no certificate")
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, ServerName: "postgres", RootCAs: authority, Certificates: []tls.Certificate{own}}, nil
}
