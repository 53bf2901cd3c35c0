package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// LeaseName is the Lease in the plugin's namespace.
const LeaseName = "plugin"

// ErrLeaseLost is returned when the Lease could not be kept. The process ends
// and begins anew, because another one may lead by now.
var ErrLeaseLost = errors.New("the Lease was lost")

// Lead waits for the Lease and calls run while it is held. It gives the Lease
// back only after run has returned, so that two runs never overlap.
func Lead(ctx context.Context, log *slog.Logger, c kubernetes.Interface, namespace, identity string, run func(context.Context) error) error {
	// The election outlives ctx, until run has returned.
	election, resign := context.WithCancel(context.WithoutCancel(ctx))
	defer resign()
	work, stop := context.WithCancel(ctx)
	defer stop()

	started, done := make(chan struct{}), make(chan struct{})
	var result error
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: namespace, Name: LeaseName},
			Client:     c.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
		},
		Name:            LeaseName,
		LeaseDuration:   15 * time.Second,
		RenewDeadline:   10 * time.Second,
		RetryPeriod:     2 * time.Second,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) {
				log.InfoContext(ctx, "leading", "lease", namespace+"/"+LeaseName)
				close(started)
				result = run(work)
				close(done)
				resign()
			},
			OnStoppedLeading: stop,
			OnNewLeader: func(leader string) {
				if leader != identity {
					log.InfoContext(ctx, "another plugin leads; waiting for it to end", "leader", leader)
				}
			},
		},
	})
	if err != nil {
		return fmt.Errorf("set up the election: %w", err)
	}
	go func() {
		<-ctx.Done()
		select {
		case <-started: // resigns when run has returned
		default:
			resign()
		}
	}()
	elector.Run(election)

	// A run that ends well while ctx goes on was ended by the loss of the Lease,
	// before we saw that. Without an error the process would live on and lead no more.
	over := func(err error) error {
		if err == nil && ctx.Err() == nil {
			return ErrLeaseLost
		}
		return err
	}
	select {
	case <-started:
	default:
		return over(nil) // ctx ended while we waited
	}
	select {
	case <-done:
		return over(result)
	default:
	}
	// The election ended before run did.
	select {
	case <-done:
	case <-time.After(drain):
	}
	return ErrLeaseLost
}
