package broker

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/preview"
)

const (
	// hookFor is how long a hook waits where its Job does not say.
	hookFor = 35 * time.Minute
	// unknownFor is how long a namespace of ours may be no live preview before its
	// hook is refused: the state is read before hooks are, so it is not to wait for.
	unknownFor = 10 * time.Second
	// writeEvery is how often it is tried to write a hook's end down.
	writeEvery = 2 * time.Second
)

// Why a hook's Job ended, as its conditions say.
const (
	reasonRestored = "VolumeRestored"
	reasonRefused  = "RestoreRefused"
	reasonLate     = "DeadlineExceeded"
)

// hooks are the Jobs that are being answered, by UID.
type hooks struct {
	mu   sync.Mutex
	runs map[types.UID]context.CancelFunc
	all  sync.WaitGroup
}

// RunHooks ends the hook Jobs of previews that say `managedBy:
// seedling.dev/broker`, until ctx ends. The cluster starts no pod for such a Job
// and leaves its status to us, so it is complete the moment the volume is there: a
// pod costs three seconds to start and to be seen to have ended. Clusters before
// Kubernetes 1.32 drop the field, and there the Job's pod asks over HTTP.
//
// No token says who asks, and none is needed: all that a Job in a preview's
// namespace can bring about is that preview's own restore.
func (b *Broker) RunHooks(ctx context.Context) error {
	preview.Watch(ctx, b.Log, b.Client, &batchv1.JobList{}, func(o client.Object, deleted bool) {
		if job, ok := o.(*batchv1.Job); ok {
			b.hook(ctx, job, deleted)
		}
	}, client.MatchingFields{"metadata.name": snapshot.HookJob})
	b.hooks.all.Wait()
	return nil
}

// hook takes in what the watch shows of a Job.
func (b *Broker) hook(ctx context.Context, job *batchv1.Job, deleted bool) {
	if job.Name != snapshot.HookJob || job.Spec.ManagedBy == nil || *job.Spec.ManagedBy != snapshot.HookManager {
		return
	}
	b.hooks.mu.Lock()
	defer b.hooks.mu.Unlock()
	cancel, runs := b.hooks.runs[job.UID]
	switch over := deleted || job.DeletionTimestamp != nil || finished(job); {
	case over && runs:
		cancel()
	case !over && !runs:
		if b.hooks.runs == nil {
			b.hooks.runs = map[types.UID]context.CancelFunc{}
		}
		ctx, cancel := context.WithCancel(ctx)
		b.hooks.runs[job.UID] = cancel
		b.hooks.all.Go(func() {
			defer func() {
				b.hooks.mu.Lock()
				defer b.hooks.mu.Unlock()
				cancel()
				delete(b.hooks.runs, job.UID)
			}()
			b.end(ctx, job)
		})
	}
}

func finished(job *batchv1.Job) bool {
	for _, c := range job.Status.Conditions {
		if (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}

// end brings one hook to its end.
func (b *Broker) end(ctx context.Context, job *batchv1.Job) {
	verdict := b.verdict(ctx, job)
	for verdict != nil {
		written, err := b.write(ctx, job, verdict)
		switch {
		case err != nil:
			b.Log.InfoContext(ctx, "the end of a hook could not be written down, which is tried again", "preview", job.Namespace, "error", err)
			if !sleep(ctx, writeEvery) {
				return
			}
			continue
		case written && b.Ended != nil:
			b.Ended(job.Namespace)
		}
		return
	}
}

// write writes a verdict down, but for a Job that is gone or has another one.
func (b *Broker) write(ctx context.Context, of *batchv1.Job, verdict func(*batchv1.JobStatus)) (bool, error) {
	job := &batchv1.Job{}
	if err := b.Client.Get(ctx, client.ObjectKeyFromObject(of), job); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	if job.UID != of.UID || finished(job) {
		return false, nil
	}
	before := client.MergeFromWithOptions(job.DeepCopy(), client.MergeFromWithOptimisticLock{})
	verdict(&job.Status)
	if err := b.Client.Status().Patch(ctx, job, before); err != nil {
		return false, err
	}
	return true, nil
}

// verdict waits until it is known how a hook ends; nil where it is not ours to
// say, or not any more.
func (b *Broker) verdict(ctx context.Context, job *batchv1.Job) func(*batchv1.JobStatus) {
	began := job.CreationTimestamp.Time
	late := began.Add(hookFor)
	if s := job.Spec.ActiveDeadlineSeconds; s != nil {
		late = began.Add(time.Duration(*s) * time.Second)
	}
	ours := false
	for ctx.Err() == nil {
		status, after, reply := http.StatusForbidden, time.Second, snapshot.RestoreReply{Message: fmt.Sprintf("namespace %s is no live preview", job.Namespace)}
		p, live := b.Previews.Live(job.Namespace)
		switch {
		case live:
			ours = true
			round, cancel := context.WithTimeout(ctx, b.Hold+grace)
			status, after, reply = b.answer(round, p)
			cancel()
		case !ours && !b.owns(ctx, job.Namespace):
			return nil
		case b.Now().Sub(began) < unknownFor:
			status = http.StatusServiceUnavailable
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case status == http.StatusOK:
			return concluded(began, b.Now(), batchv1.JobSuccessCriteriaMet, batchv1.JobComplete, reasonRestored, reply.Message)
		case final(status):
			return concluded(began, b.Now(), batchv1.JobFailureTarget, batchv1.JobFailed, reasonRefused, reply.Message)
		case b.Now().After(late):
			return concluded(began, b.Now(), batchv1.JobFailureTarget, batchv1.JobFailed, reasonLate,
				fmt.Sprintf("%s; the time is up after %s: sync again, or set the label preview-reset", reply.Message, late.Sub(began)))
		case status != http.StatusAccepted && !sleep(ctx, after):
			return nil
		}
	}
	return nil
}

// final says whether asking again does not help: what preview-restore ends with
// exit code 2 at.
func final(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusConflict, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

// owns says whether a namespace is one of this plugin's. Where that cannot be
// read it is asked again.
func (b *Broker) owns(ctx context.Context, namespace string) bool {
	for {
		var ns corev1.Namespace
		err := b.Client.Get(ctx, types.NamespacedName{Name: namespace}, &ns)
		if err == nil || apierrors.IsNotFound(err) {
			return err == nil && ns.Labels[snapshot.LabelOwner] == b.Owner
		}
		if !sleep(ctx, writeEvery) {
			return false
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// concluded is what the status of a Job says at its end. The API server wants both
// conditions, in this order, and times that follow each other.
func concluded(began, now time.Time, first, last batchv1.JobConditionType, reason, message string) func(*batchv1.JobStatus) {
	return func(s *batchv1.JobStatus) {
		at := metav1.NewTime(now)
		if now.Before(began) {
			at = metav1.NewTime(began)
		}
		start := metav1.NewTime(began)
		s.StartTime = &start
		for _, kind := range []batchv1.JobConditionType{first, last} {
			s.Conditions = append(s.Conditions, batchv1.JobCondition{
				Type: kind, Status: corev1.ConditionTrue, LastProbeTime: at, LastTransitionTime: at, Reason: reason, Message: message,
			})
		}
		if last == batchv1.JobComplete {
			s.CompletionTime, s.Succeeded = &at, 1
		}
	}
}
