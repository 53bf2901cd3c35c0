package broker_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/broker"
	"github.com/seedling-dev/seedling/plugin/preview"
)

// scripted answers each step with the next of its answers, and the last for ever.
type scripted struct {
	answers []scriptedAnswer
	n       atomic.Int64
}

type scriptedAnswer struct {
	progress broker.Progress
	err      error
}

func (s *scripted) Step(context.Context, preview.Preview) (broker.Progress, error) {
	a := s.answers[min(int(s.n.Add(1)), len(s.answers))-1]
	return a.progress, a.err
}

func (*scripted) Watch(context.Context, preview.Preview) <-chan struct{} { return nil }

// hookJob is the Job as Argo CD makes it of manifests/preview.
func hookJob(edits ...func(*batchv1.Job)) *batchv1.Job {
	manager, deadline := snapshot.HookManager, int64(2100)
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: ns, Name: snapshot.HookJob, UID: "uid-job", CreationTimestamp: metav1.NewTime(time.Now()),
		},
		Spec: batchv1.JobSpec{ManagedBy: &manager, ActiveDeadlineSeconds: &deadline},
	}
	for _, edit := range edits {
		edit(job)
	}
	return job
}

func TestHookJobs(t *testing.T) {
	t.Parallel()
	done := scriptedAnswer{progress: broker.Progress{Done: true, Message: "restored from snapshot seed-1"}}
	waits := scriptedAnswer{progress: broker.Progress{Message: "Restore x waits for Velero"}}
	passing := scriptedAnswer{err: errors.New("the API server does not answer")}
	foreign := scriptedAnswer{err: &broker.ForeignError{Namespace: ns, PVC: snapshot.SeedPVC, Reason: "it is empty"}}
	owned := func(owner string) func(map[string]client.Object) {
		return change("namespace", func(n *corev1.Namespace) { n.Labels = map[string]string{snapshot.LabelOwner: owner} })
	}
	unmanaged := func(j *batchv1.Job) { j.Spec.ManagedBy = nil }
	tests := map[string]struct {
		answers []scriptedAnswer
		job     func(*batchv1.Job)
		owner   string
		ended   bool // the preview
		after   time.Duration
		want    batchv1.JobConditionType // "" for no end
		says    string
	}{
		"its volume is there":                {answers: []scriptedAnswer{done}, after: time.Second, want: batchv1.JobComplete, says: "restored from snapshot seed-1"},
		"it is on its way":                   {answers: []scriptedAnswer{waits}, after: time.Minute},
		"it comes after a while":             {answers: []scriptedAnswer{waits, waits, waits, waits, waits, waits, done}, after: time.Minute, want: batchv1.JobComplete},
		"what passes is tried again":         {answers: []scriptedAnswer{passing, passing, waits, done}, after: time.Minute, want: batchv1.JobComplete},
		"a foreign volume":                   {answers: []scriptedAnswer{foreign}, after: time.Second, want: batchv1.JobFailed, says: "it is empty; set the label preview-reset"},
		"too late":                           {answers: []scriptedAnswer{waits}, after: 36 * time.Minute, want: batchv1.JobFailed, says: "waits for Velero; the time is up after 35m0s"},
		"too late, and nothing answers":      {answers: []scriptedAnswer{passing}, after: 36 * time.Minute, want: batchv1.JobFailed, says: "the API server does not answer; the time is up"},
		"a shorter deadline":                 {answers: []scriptedAnswer{waits}, job: func(j *batchv1.Job) { *j.Spec.ActiveDeadlineSeconds = 60 }, after: 70 * time.Second, want: batchv1.JobFailed, says: "after 1m0s"},
		"a pod does it":                      {answers: []scriptedAnswer{done}, job: unmanaged, after: time.Minute},
		"somebody else does it":              {answers: []scriptedAnswer{done}, job: func(j *batchv1.Job) { *j.Spec.ManagedBy = "example.com/other" }, after: time.Minute},
		"another Job":                        {answers: []scriptedAnswer{done}, job: func(j *batchv1.Job) { j.Name = "migrate" }, after: time.Minute},
		"a preview of ours that has ended":   {answers: []scriptedAnswer{done}, owner: "seedling", ended: true, after: 15 * time.Second, want: batchv1.JobFailed, says: "no live preview"},
		"it may be read in a moment":         {answers: []scriptedAnswer{done}, owner: "seedling", ended: true, after: 5 * time.Second},
		"a preview of another plugin":        {answers: []scriptedAnswer{done}, owner: "seedling-too", ended: true, after: time.Hour},
		"a namespace that nobody has marked": {answers: []scriptedAnswer{done}, ended: true, after: time.Hour},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, interceptor.Funcs{}, owned(test.owner))
				if test.ended {
					w.state.end(ns)
				}
				told := runHooks(t, w, &scripted{answers: test.answers})
				job := hookJob(func(j *batchv1.Job) {
					if test.job != nil {
						test.job(j)
					}
				})
				if err := w.Create(t.Context(), job); err != nil {
					t.Fatal(err)
				}
				time.Sleep(test.after)
				synctest.Wait()
				kind, says := conclusion(t, w, job.Name)
				if kind != test.want || !strings.Contains(says, test.says) {
					t.Errorf("the Job ended as %q and says %q", kind, says)
				}
				if n := told(); (test.want != "") != (n == 1) {
					t.Errorf("its end was told %d times", n)
				}
			})
		})
	}
}

// runHooks runs a broker's hooks for as long as the test, and counts what ended.
func runHooks(t *testing.T, w *world, r broker.Restorer) (told func() int64) {
	t.Helper()
	told, stop := startHooks(t, w, r)
	t.Cleanup(stop)
	return told
}

func startHooks(t *testing.T, w *world, r broker.Restorer) (told func() int64, stop func()) {
	t.Helper()
	var n atomic.Int64
	b := newBroker(w, func(o *broker.Options) {
		o.Restorer, o.Hold, o.Owner = r, 4*time.Second, "seedling"
		o.Ended = func(string) { n.Add(1) }
	})
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- b.RunHooks(ctx) }()
	synctest.Wait()
	return n.Load, func() {
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	}
}

// A plugin that is killed leaves the Job as it is, and the next one ends it: also
// where the first knew the end and had not written it down.
func TestHookJobOutlivesThePlugin(t *testing.T) {
	t.Parallel()
	done := scriptedAnswer{progress: broker.Progress{Done: true}}
	for name, first := range map[string]scriptedAnswer{
		"killed while the volume is on its way": {progress: broker.Progress{Message: "waits"}},
		"killed before the end is written down": done,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				killed := false
				w := newWorld(t, interceptor.Funcs{
					// A watch begins with what there is.
					Watch: func(ctx context.Context, c client.WithWatch, _ client.ObjectList, _ ...client.ListOption) (watch.Interface, error) {
						var jobs batchv1.JobList
						if err := c.List(ctx, &jobs); err != nil {
							return nil, err
						}
						w := watch.NewFakeWithChanSize(len(jobs.Items), false)
						for i := range jobs.Items {
							w.Add(&jobs.Items[i])
						}
						return w, nil
					},
					SubResourcePatch: func(ctx context.Context, c client.Client, sub string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
						if !killed {
							return errors.New("no route to host")
						}
						return c.SubResource(sub).Patch(ctx, obj, patch, opts...)
					},
				})
				if err := w.Create(t.Context(), hookJob()); err != nil {
					t.Fatal(err)
				}
				_, kill := startHooks(t, w, &scripted{answers: []scriptedAnswer{first}})
				kill()
				if kind, _ := conclusion(t, w, snapshot.HookJob); kind != "" {
					t.Fatalf("it ended as %q", kind)
				}
				killed = true
				told := runHooks(t, w, &scripted{answers: []scriptedAnswer{done}})
				if kind, _ := conclusion(t, w, snapshot.HookJob); kind != batchv1.JobComplete || told() != 1 {
					t.Errorf("it ended as %q, told %d times", kind, told())
				}
			})
		})
	}
}

// conclusion is how a Job has ended, "" if it has not.
func conclusion(t *testing.T, w *world, name string) (kind batchv1.JobConditionType, says string) {
	t.Helper()
	var job batchv1.Job
	if err := w.Get(t.Context(), types.NamespacedName{Namespace: ns, Name: name}, &job); err != nil {
		t.Fatal(err)
	}
	for _, c := range job.Status.Conditions {
		kind, says = c.Type, c.Message
	}
	if kind == batchv1.JobComplete && (job.Status.CompletionTime == nil || job.Status.StartTime == nil || len(job.Status.Conditions) != 2) {
		t.Errorf("an API server would refuse this status: %+v", job.Status)
	}
	return kind, says
}

// What is written down is tried again where the API server does not take it; a Job
// that went meanwhile is nobody's.
func TestHookJobIsWrittenAgain(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fail error
		want batchv1.JobConditionType
	}{
		"a conflict": {apierrors.NewConflict(schema.GroupResource{Resource: "jobs"}, snapshot.HookJob, errors.New("changed")), batchv1.JobComplete},
		"an outage":  {errors.New("no route to host"), batchv1.JobComplete},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var tries atomic.Int64
				w := newWorld(t, interceptor.Funcs{
					SubResourcePatch: func(ctx context.Context, c client.Client, sub string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
						if tries.Add(1) <= 3 {
							return test.fail
						}
						return c.SubResource(sub).Patch(ctx, obj, patch, opts...)
					},
				})
				told := runHooks(t, w, &scripted{answers: []scriptedAnswer{{progress: broker.Progress{Done: true}}}})
				if err := w.Create(t.Context(), hookJob()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				if kind, _ := conclusion(t, w, snapshot.HookJob); kind != test.want || told() != 1 {
					t.Errorf("it ended as %q, told %d times", kind, told())
				}
			})
		})
	}
	t.Run("it went meanwhile", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := &scripted{answers: []scriptedAnswer{{progress: broker.Progress{Message: "waits"}}}}
			w := newWorld(t, interceptor.Funcs{})
			told := runHooks(t, w, s)
			job := hookJob()
			if err := w.Create(t.Context(), job); err != nil {
				t.Fatal(err)
			}
			time.Sleep(3 * time.Second)
			if err := w.Delete(t.Context(), job); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			n := s.n.Load()
			time.Sleep(time.Minute)
			if more := s.n.Load() - n; more != 0 || told() != 0 {
				t.Errorf("%d steps more for a Job that is gone, and %d told", more, told())
			}
		})
	})
}
