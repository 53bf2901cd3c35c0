package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// permits judges what snapshots under other policies let through by the policy
// that a seed asks for today, the one of that digest. While it cannot be had (an
// import runs and the ConfigMap is that of another digest, or the plugin may not
// read it) only snapshots of the very digest may be used. err means that nobody
// could tell.
func (s Snapshots) permits(ctx context.Context, seed, digest string) (func(string, bool) error, error) {
	var cm corev1.ConfigMap
	err := s.Client.Get(ctx, types.NamespacedName{Namespace: seed, Name: snapshot.PolicyConfigMap}, &cm)
	switch {
	case apierrors.IsNotFound(err) || apierrors.IsForbidden(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read ConfigMap %s/%s: %w", seed, snapshot.PolicyConfigMap, err)
	}
	// It is parsed where a snapshot asks for that, which is seldom.
	parse := sync.OnceValues(func() (*mask.Policy, error) {
		policy, err := mask.ParsePolicy([]byte(cm.Data[snapshot.PolicyKey]))
		if err != nil || policy.Digest() != digest {
			return nil, fmt.Errorf("ConfigMap %s/%s is not the policy that the seed asks for", seed, snapshot.PolicyConfigMap)
		}
		return policy, nil
	})
	return func(packed string, sameKey bool) error {
		policy, err := parse()
		if err != nil {
			return err
		}
		revealed, err := mask.UnpackRevealed(packed)
		if err != nil {
			return err
		}
		if wrong := policy.Permits(revealed, sameKey); len(wrong) > 0 {
			const most = 3
			if len(wrong) > most {
				wrong = append(wrong[:most:most], fmt.Sprintf("and %d more", len(wrong)-most))
			}
			return errors.New(strings.Join(wrong, "; "))
		}
		return nil
	}, nil
}
