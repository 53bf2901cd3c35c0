package postgres

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/broker"
	"github.com/seedling-dev/seedling/plugin/preview"
)

const (
	ns    = "preview-shop-7-0123456789"
	image = "ghcr.io/seedling-dev/seed-postgres:dev"
)

// world is a cluster with one live preview that has its volume.
type world struct {
	t *testing.T
	client.WithWatch
	keeper  *Keeper
	live    preview.Preview
	lives   bool
	volume  broker.Progress
	failed  error
	applied []string
	woken   int
	refuse  error
}

// restorer is the world's, behind the keeper.
type restorer struct{ *world }

func (r restorer) Step(context.Context, preview.Preview) (broker.Progress, error) {
	return r.volume, r.failed
}

func (restorer) Watch(context.Context, preview.Preview) <-chan struct{} { return nil }

func newWorld(t *testing.T, objects ...client.Object) *world {
	t.Helper()
	w := &world{t: t, lives: true, volume: broker.Progress{Done: true, Snapshot: "seed-1", Message: "restored from snapshot seed-1"}}
	w.live = preview.Preview{Namespace: ns, Seed: "seed", Postgres: preview.PostgresPlatform, NamespaceUID: "uid-ns", PVCUID: "uid-claim", Phase: preview.Live}
	objects = append(objects,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns, UID: "uid-ns"}},
		&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: snapshot.SeedPVC, UID: "uid-claim"}},
	)
	w.WithWatch = fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{Patch: w.apply}).Build()
	w.keeper = New(Options{
		Restorer: restorer{w}, Client: w.WithWatch, Owner: "seedling", Log: slog.New(slog.DiscardHandler),
		Live: func(string) (preview.Preview, bool) { return w.live, w.lives }, Wake: func(string) { w.woken++ },
	})
	return w
}

// apply is as much of server-side apply as is needed, which the fake has not.
func (w *world) apply(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
	options := (&client.PatchOptions{}).ApplyOptions(opts)
	if patch.Type() != types.ApplyPatchType || options.FieldManager != FieldManager || options.Force == nil || !*options.Force {
		w.t.Errorf("patched %s by %s as %q", obj.GetName(), patch.Type(), options.FieldManager)
	}
	u, ok := obj.(*unstructured.Unstructured)
	if !ok || u.Object["status"] != nil {
		w.t.Errorf("applied with a status: %v", obj)
		return nil
	}
	if w.refuse != nil {
		return w.refuse
	}
	w.applied = append(w.applied, u.GetKind())
	is := &unstructured.Unstructured{}
	is.SetGroupVersionKind(u.GroupVersionKind())
	err := c.Get(ctx, client.ObjectKeyFromObject(u), is)
	if apierrors.IsNotFound(err) {
		u.SetUID(types.UID("uid-" + u.GetKind()))
		u.SetGeneration(1)
		return c.Create(ctx, u)
	}
	if err != nil {
		return err
	}
	if u.GetUID() != is.GetUID() {
		w.t.Errorf("%s was applied without its UID", u.GetKind())
	}
	is.Object["spec"] = u.Object["spec"]
	is.SetLabels(u.GetLabels())
	is.SetAnnotations(u.GetAnnotations())
	is.SetGeneration(is.GetGeneration() + 1)
	err = c.Update(ctx, is)
	u.Object = is.Object
	return err
}

func podTemplate(name string, edits ...func(*corev1.PodTemplate)) *corev1.PodTemplate {
	t := &corev1.PodTemplate{
		ObjectMeta: metav1.ObjectMeta{Namespace: "seedling", Name: name},
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"team": "data"}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "postgres", Image: image, Args: []string{"serve"}}}},
		},
	}
	for _, edit := range edits {
		edit(t)
	}
	return t
}

func (w *world) step() (broker.Progress, error) {
	w.t.Helper()
	return w.keeper.Step(w.t.Context(), w.live)
}

func (w *world) set() *appsv1.StatefulSet {
	w.t.Helper()
	set := &appsv1.StatefulSet{}
	if err := w.Get(w.t.Context(), types.NamespacedName{Namespace: ns, Name: "postgres"}, set); err != nil {
		w.t.Fatal(err)
	}
	return set
}

func (w *world) change(obj client.Object) {
	w.t.Helper()
	if err := w.Update(w.t.Context(), obj); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) report(set *appsv1.StatefulSet) {
	w.t.Helper()
	if err := w.Status().Update(w.t.Context(), set); err != nil {
		w.t.Fatal(err)
	}
}

// answering lets the StatefulSet have a pod that is ready.
func (w *world) answering() {
	w.t.Helper()
	set := w.set()
	set.Status = appsv1.StatefulSetStatus{ObservedGeneration: set.Generation, UpdateRevision: "r1", UpdatedReplicas: 1, ReadyReplicas: 1}
	w.report(set)
}

// TestHookEndsWhenPostgresAnswers: nothing before the volume is there, then the
// Service and the StatefulSet, and the end only when it is ready.
func TestHookEndsWhenPostgresAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, podTemplate(TemplateName))
	w.volume.Done = false
	if progress, err := w.step(); err != nil || progress.Done || len(w.applied) > 0 {
		t.Fatalf("without a volume: %+v, error %v, applied %v", progress, err, w.applied)
	}
	w.volume.Done, w.failed = true, errors.New("no volume")
	if _, err := w.step(); !errors.Is(err, w.failed) || len(w.applied) > 0 {
		t.Fatalf("with an error: %v, applied %v", err, w.applied)
	}
	w.failed = nil
	progress, err := w.step()
	if err != nil || progress.Done || progress.Snapshot != "seed-1" || !strings.Contains(progress.Message, "the volume is there; its Postgres is being made") {
		t.Fatalf("%+v, error %v", progress, err)
	}
	if !slices.Equal(w.applied, []string{"Service", "StatefulSet"}) {
		t.Errorf("applied %v", w.applied)
	}
	set := w.set()
	labels := set.Spec.Template.Labels
	if labels["team"] != "data" || labels["app.kubernetes.io/name"] != "postgres" || labels["app.kubernetes.io/part-of"] != "seedling" ||
		set.Spec.Template.Spec.Containers[0].Image != image || *set.Spec.Replicas != 1 || len(set.Spec.VolumeClaimTemplates) > 0 ||
		set.Labels[snapshot.LabelOwner] != "seedling" || set.Annotations["argocd.argoproj.io/tracking-id"] != "" {
		t.Errorf("%+v", set)
	}
	for range 3 {
		if _, err := w.step(); err != nil {
			t.Fatal(err)
		}
	}
	w.answering()
	if progress, err = w.step(); err != nil || !progress.Done || progress.Message != "restored from snapshot seed-1, and Postgres answers" {
		t.Errorf("%+v, error %v", progress, err)
	}
	if len(w.applied) != 2 {
		t.Errorf("what is as it should be was applied again: %v", w.applied)
	}
}

// TestOwn: where the pull request brings its Postgres, nothing is made or read.
func TestOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.live.Postgres = ""
	progress, err := w.step()
	if err != nil || !progress.Done || progress.Message != "restored from snapshot seed-1" || len(w.applied) > 0 {
		t.Errorf("%+v, error %v, applied %v", progress, err, w.applied)
	}
	if err := w.keeper.Keep(t.Context(), w.live); err != nil || len(w.applied) > 0 {
		t.Errorf("error %v, applied %v", err, w.applied)
	}
}

// TestYield: what was made in a slot makes room for the Postgres that the pull
// request brings, before that comes; what the pull request brought is left alone,
// and so is the claim.
func TestYield(t *testing.T) {
	t.Parallel()
	slot := "preview-slot-0123456789"
	meta := func(labels map[string]string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: slot, Name: snapshot.Postgres, UID: "uid-made", Labels: labels}
	}
	made := map[string]string{snapshot.LabelOwner: "seedling", snapshot.LabelPostgres: snapshot.PostgresPlatform}
	w := newWorld(t,
		&corev1.Service{ObjectMeta: meta(made)},
		&appsv1.StatefulSet{ObjectMeta: meta(made)},
		&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: slot, Name: snapshot.SeedPVC}},
	)
	w.live.Namespace, w.live.Postgres = slot, ""
	progress, err := w.step()
	if err != nil || progress.Done || !strings.Contains(progress.Message, "makes room") {
		t.Fatalf("%+v, error %v", progress, err)
	}
	for _, gone := range []client.Object{&corev1.Service{}, &appsv1.StatefulSet{}} {
		if err := w.Get(t.Context(), types.NamespacedName{Namespace: slot, Name: snapshot.Postgres}, gone); !apierrors.IsNotFound(err) {
			t.Errorf("%T is there: %v", gone, err)
		}
	}
	if err := w.Get(t.Context(), types.NamespacedName{Namespace: slot, Name: snapshot.SeedPVC}, &corev1.PersistentVolumeClaim{}); err != nil {
		t.Error(err)
	}
	own := &appsv1.StatefulSet{ObjectMeta: meta(map[string]string{"app": "shop"})}
	if err := w.Create(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	if progress, err = w.step(); err != nil || !progress.Done || len(w.applied) > 0 {
		t.Errorf("%+v, error %v, applied %v", progress, err, w.applied)
	}
	if err := w.Get(t.Context(), types.NamespacedName{Namespace: slot, Name: snapshot.Postgres}, own); err != nil {
		t.Errorf("the pull request's Postgres: %v", err)
	}
}

// TestTemplates: a seed's own goes first, and a changed one waits for a sync.
func TestTemplates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.step()
	said, ok := errors.AsType[broker.StatusError](err)
	if !ok || said.Status() != http.StatusServiceUnavailable || !strings.Contains(said.Public(), "PodTemplate preview-postgres in namespace seedling") {
		t.Fatalf("without a template: %v", err)
	}
	if err := w.Create(t.Context(), podTemplate(TemplateName)); err != nil {
		t.Fatal(err)
	}
	if err := w.Create(t.Context(), podTemplate(TemplateName+"-seed", func(p *corev1.PodTemplate) { p.Template.Spec.Containers[0].Image += "-18" })); err != nil {
		t.Fatal(err)
	}
	if _, err := w.step(); err != nil || w.set().Spec.Template.Spec.Containers[0].Image != image+"-18" {
		t.Fatalf("%v, error %v", w.set().Spec.Template.Spec.Containers, err)
	}
	own := podTemplate(TemplateName+"-seed", func(p *corev1.PodTemplate) { p.Template.Spec.Containers[0].Image += "-19" })
	w.change(own)
	w.keeper.templates.read = map[string]readTemplate{} // it is read again after a while
	if err := w.keeper.Keep(t.Context(), w.live); err != nil || w.set().Spec.Template.Spec.Containers[0].Image != image+"-18" {
		t.Errorf("a changed template restarts a preview by itself: %v, error %v", w.set().Spec.Template.Spec.Containers, err)
	}
	if _, err := w.step(); err != nil || w.set().Spec.Template.Spec.Containers[0].Image != image+"-19" {
		t.Errorf("a changed template does not come with the next sync: %v, error %v", w.set().Spec.Template.Spec.Containers, err)
	}
}

// TestDrift: what is changed or missing is put right, and what others add or the
// cluster counts is left alone.
func TestDrift(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(w *world)
		want   []string
	}{
		{name: "nothing", change: func(*world) {}},
		{name: "its status", change: func(w *world) { w.answering() }},
		{name: "an annotation of others", change: func(w *world) {
			set := w.set()
			set.Annotations["a"] = "b"
			w.change(set)
		}},
		{name: "scaled", change: func(w *world) {
			set, two := w.set(), int32(2)
			set.Spec.Replicas = &two
			w.change(set)
		}, want: []string{"StatefulSet"}},
		{name: "another image", change: func(w *world) {
			set := w.set()
			set.Spec.Template.Spec.Containers[0].Image = "busybox"
			w.change(set)
		}, want: []string{"StatefulSet"}},
		{name: "the StatefulSet is deleted", change: func(w *world) {
			if err := w.Delete(w.t.Context(), w.set()); err != nil {
				w.t.Fatal(err)
			}
		}, want: []string{"StatefulSet"}},
		{name: "the Service reaches something else too", change: func(w *world) {
			var s corev1.Service
			if err := w.Get(w.t.Context(), types.NamespacedName{Namespace: ns, Name: "postgres"}, &s); err != nil {
				w.t.Fatal(err)
			}
			s.Spec.Selector["a"] = "b"
			w.change(&s)
		}, want: []string{"Service"}},
		{name: "the Service is deleted", change: func(w *world) {
			if err := w.Delete(w.t.Context(), service(w.live, "seedling")); err != nil {
				w.t.Fatal(err)
			}
		}, want: []string{"Service"}},
		{name: "all is gone, with the claim", change: func(w *world) {
			for _, o := range []client.Object{w.set(), service(w.live, "seedling"), &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: snapshot.SeedPVC}}} {
				if err := w.Delete(w.t.Context(), o); err != nil {
					w.t.Fatal(err)
				}
			}
		}},
		{name: "it is gone, and the preview ended meanwhile", change: func(w *world) {
			if err := w.Delete(w.t.Context(), w.set()); err != nil {
				w.t.Fatal(err)
			}
			w.lives = false
		}},
		{name: "it is gone, and the namespace is another one", change: func(w *world) {
			if err := w.Delete(w.t.Context(), w.set()); err != nil {
				w.t.Fatal(err)
			}
			w.live.NamespaceUID = "uid-before"
		}},
		{name: "it is gone, and the claim is not the restored one", change: func(w *world) {
			if err := w.Delete(w.t.Context(), w.set()); err != nil {
				w.t.Fatal(err)
			}
			w.live.PVCUID = "uid-before"
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, podTemplate(TemplateName))
			if _, err := w.step(); err != nil {
				t.Fatal(err)
			}
			w.applied = nil
			test.change(w)
			if err := w.keeper.Keep(t.Context(), w.live); err != nil {
				t.Error(err)
			}
			if !slices.Equal(w.applied, test.want) {
				t.Errorf("applied %v, want %v", w.applied, test.want)
			}
		})
	}
}

// TestForeign: a namesake that the plugin did not make is never touched.
func TestForeign(t *testing.T) {
	t.Parallel()
	own := metav1.ObjectMeta{Namespace: ns, Name: "postgres", Labels: map[string]string{snapshot.LabelPostgres: "platform"}}
	for kind, o := range map[string]client.Object{"StatefulSet": &appsv1.StatefulSet{ObjectMeta: own}, "Service": &corev1.Service{ObjectMeta: own}} {
		w := newWorld(t, podTemplate(TemplateName), o)
		_, err := w.step()
		said, ok := errors.AsType[broker.StatusError](err)
		if !ok || said.Status() != http.StatusUnprocessableEntity || !strings.Contains(said.Public(), kind+" "+ns+"/postgres is not the one that the platform makes") {
			t.Errorf("%s: %v", kind, err)
		}
		if slices.Contains(w.applied, kind) {
			t.Errorf("%s of the pull request was changed", kind)
		}
	}
	w := newWorld(t, podTemplate(TemplateName))
	w.refuse = errors.New("admission says no")
	if _, err := w.step(); !errors.Is(err, w.refuse) || !strings.Contains(err.Error(), "apply Service "+ns+"/postgres") {
		t.Errorf("refused: %v", err)
	}
}

// TestWhatItWaitsFor: the sentences of a Postgres that does not answer. What a
// container said goes to the hook's log alone.
func TestWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	waiting := func(reason string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "secret"}}
	}
	ended := func(code int32) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Message: "first\nseed-postgres: the volume \x1b[2Jwas made by others\n"}}
	}
	for _, test := range []struct {
		name        string
		pod         func(*corev1.Pod)
		wait, fault string
		status      int
	}{
		{name: "no pod", pod: func(p *corev1.Pod) { p.Labels["app.kubernetes.io/name"] = "shop" }, wait: "has made no pod yet"},
		{name: "the pod of the change before", pod: func(p *corev1.Pod) {
			p.Labels[appsv1.ControllerRevisionHashLabelKey] = "r0"
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "open", State: ended(2)}}
		}, wait: "has made no pod yet"},
		{name: "starting", pod: func(*corev1.Pod) {}, wait: "Postgres is starting"},
		{name: "being made", pod: func(p *corev1.Pod) {
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "open", State: waiting("PodInitializing")}}
		}, wait: "pod postgres-0 is being made; if that stays so, see `kubectl -n " + ns + " describe pod postgres-0`"},
		{name: "on no node", pod: func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/3 nodes"}}
		}, wait: "pod postgres-0 is on no node yet (Unschedulable); see `kubectl -n " + ns + " describe pod postgres-0`"},
		{name: "no image", pod: func(p *corev1.Pod) {
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "open", State: waiting("ImagePullBackOff")}}
		}, wait: "container open of pod postgres-0 waits (ImagePullBackOff)"},
		{name: "a reason that is none", pod: func(p *corev1.Pod) {
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "open", State: waiting("a <b>")}}
		}, wait: "waits (unknown)"},
		{name: "it failed", pod: func(p *corev1.Pod) {
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "open", State: ended(1)}}
		}, fault: "container open of pod postgres-0 ended with exit code 1", status: 503},
		{name: "it never will", pod: func(p *corev1.Pod) {
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "open", State: waiting("CrashLoopBackOff"), LastTerminationState: ended(2)}}
		}, fault: "container open of pod postgres-0 ended with exit code 2", status: 422},
		{name: "it tries again", pod: func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "postgres", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}, LastTerminationState: ended(1)}}
		}, wait: "Postgres is starting"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "postgres-0", Labels: map[string]string{
				"app.kubernetes.io/name": "postgres", "app.kubernetes.io/part-of": "seedling", appsv1.ControllerRevisionHashLabelKey: "r1",
			}}}
			test.pod(pod)
			w := newWorld(t, podTemplate(TemplateName), pod)
			if _, err := w.step(); err != nil {
				t.Fatal(err)
			}
			set := w.set()
			set.Status = appsv1.StatefulSetStatus{ObservedGeneration: 1, UpdateRevision: "r1", UpdatedReplicas: 1}
			w.report(set)
			progress, err := w.step()
			if progress.Done {
				t.Fatal("it is said to answer")
			}
			if test.fault == "" {
				if err != nil || !strings.Contains(progress.Message, test.wait) || strings.Contains(progress.Message, "secret") || strings.Contains(progress.Message, "0/3") {
					t.Errorf("%q, error %v", progress.Message, err)
				}
				return
			}
			said, ok := errors.AsType[broker.StatusError](err)
			if !ok || said.Status() != test.status || !strings.Contains(said.Public(), test.fault) || strings.Contains(said.Public(), "made by others") ||
				!strings.Contains(err.Error(), "first; seed-postgres: the volume  [2Jwas made by others") || strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestWatched: what is deleted or changed by hand is put right by the watch, what
// merely gets on wakes the hook that waits and costs nothing else.
func TestWatched(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, podTemplate(TemplateName))
		if _, err := w.step(); err != nil {
			t.Fatal(err)
		}
		w.applied = nil
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.keeper.Run(ctx) }()
		synctest.Wait()
		w.answering()
		time.Sleep(time.Minute)
		synctest.Wait()
		if w.woken == 0 || len(w.applied) > 0 {
			t.Errorf("woken %d times, applied %v", w.woken, w.applied)
		}
		if err := w.Delete(ctx, w.set()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if !slices.Equal(w.applied, []string{"StatefulSet"}) {
			t.Errorf("applied %v", w.applied)
		}
		// Somebody scales it again and again.
		w.applied = nil
		for range 100 {
			err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
				set, two := w.set(), int32(2)
				set.Spec.Replicas, set.Generation = &two, set.Generation+1
				return w.Update(ctx, set)
			})
			if err != nil {
				t.Error(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		if n := len(w.applied); n < 2 || n > 7 {
			t.Errorf("in ten seconds it was put right %d times", n)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
