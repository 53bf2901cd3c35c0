package platform

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	argov1alpha1 "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/gitops-engine/pkg/health"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// Moment is something that happens once on the way to a preview.
type Moment string

// The moments, in the order in which they usually come.
const (
	Labelled           Moment = "label set"
	Woken              Moment = "webhook: the plugin woke the ApplicationSet"
	NamespaceMade      Moment = "namespace and its guards"
	ApplicationMade    Moment = "Application"
	HookMade           Moment = "hook: Job preview-restore"
	RestoreMade        Moment = "Velero Restore"
	ClaimMade          Moment = "PVC from the newest snapshot"
	HookDone           Moment = "hook done"
	PodMade            Moment = "the pull request's StatefulSet has its pod"
	ClaimBound         Moment = "PVC bound"
	PostgresOpened     Moment = "volume checked, password set"
	PostgresAnswers    Moment = "Postgres answers a query"
	ApplicationHealthy Moment = "Application Healthy"
)

// Timeline records when the moments of one preview came, as they are seen by
// watching the cluster.
type Timeline struct {
	platform *Platform
	number   string
	cancel   context.CancelFunc
	done     sync.WaitGroup

	mu      sync.Mutex
	at      map[Moment]time.Time
	order   []Moment
	changed chan struct{} // closed and replaced at each new moment
	query   bool
	poke    string
	poked   bool
	slot    string
}

// Watch begins a timeline for a pull request that has no preview yet. Call
// [Timeline.Stop] when it is of no more use.
func (p *Platform) Watch(ctx context.Context, pr *PullRequest) (*Timeline, error) {
	ctx, cancel := context.WithCancel(ctx)
	t := &Timeline{
		platform: p, number: fmt.Sprint(pr.Number), cancel: cancel,
		at: map[Moment]time.Time{}, changed: make(chan struct{}),
	}
	argocd := client.InNamespace(ArgoCDNamespace)
	for _, w := range []struct {
		list client.ObjectList
		opts []client.ListOption
		see  func(context.Context, client.Object)
	}{
		{&argov1alpha1.ApplicationSetList{}, []client.ListOption{argocd}, t.seeApplicationSet},
		{&argov1alpha1.ApplicationList{}, []client.ListOption{argocd}, t.seeApplication},
		{&corev1.NamespaceList{}, []client.ListOption{client.MatchingLabels{LabelNumber: t.number}}, t.seeNamespace},
		{&velerov1.RestoreList{}, []client.ListOption{client.InNamespace(VeleroNamespace)}, t.seeRestore},
		{&batchv1.JobList{}, nil, t.seeJob},
		{&corev1.PersistentVolumeClaimList{}, nil, t.seeClaim},
		{&corev1.PodList{}, nil, t.seePod},
	} {
		if err := t.follow(ctx, w.list, w.opts, w.see); err != nil {
			t.Stop()
			return nil, err
		}
	}
	return t, nil
}

// Stop ends the watching.
func (t *Timeline) Stop() {
	t.cancel()
	t.done.Wait()
}

// follow watches a kind until the context ends. A watch that the server ends
// is begun again.
func (t *Timeline) follow(ctx context.Context, list client.ObjectList, opts []client.ListOption, see func(context.Context, client.Object)) error {
	w, err := t.platform.Kube.Watch(ctx, list, opts...)
	if err != nil {
		return fmt.Errorf("watch %T: %w", list, err)
	}
	t.done.Go(func() {
		for {
			for e := range w.ResultChan() {
				if o, ok := e.Object.(client.Object); ok {
					see(ctx, o)
				}
			}
			for ctx.Err() == nil {
				if w, err = t.platform.Kube.Watch(ctx, list, opts...); err == nil {
					break
				}
				select {
				case <-ctx.Done():
				case <-time.After(time.Second):
				}
			}
			if ctx.Err() != nil {
				return
			}
		}
	})
	return nil
}

// Mark records a moment as now; only its first time counts.
func (t *Timeline) Mark(m Moment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.at[m]; ok {
		return
	}
	t.at[m] = time.Now()
	t.order = append(t.order, m)
	close(t.changed)
	t.changed = make(chan struct{})
}

// At returns when a moment came; the zero time if it has not.
func (t *Timeline) At(m Moment) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.at[m]
}

// Between is the time from one moment to another, and whether both came.
func (t *Timeline) Between(from, to Moment) (time.Duration, bool) {
	a, b := t.At(from), t.At(to)
	return b.Sub(a), !a.IsZero() && !b.IsZero()
}

// Each calls see for every moment as it comes, until last has come.
func (t *Timeline) Each(ctx context.Context, last Moment, see func(Moment, time.Time)) error {
	for i := 0; ; {
		t.mu.Lock()
		news, changed := t.order[i:], t.changed
		t.mu.Unlock()
		for _, m := range news {
			see(m, t.At(m))
			if m == last {
				return nil
			}
		}
		if i += len(news); len(news) > 0 {
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for %q: %w", last, context.Cause(ctx))
		}
	}
}

// Wait returns when all the moments have come.
func (t *Timeline) Wait(ctx context.Context, moments ...Moment) error {
	for _, m := range moments {
		for {
			t.mu.Lock()
			_, ok := t.at[m]
			changed := t.changed
			t.mu.Unlock()
			if ok {
				break
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return fmt.Errorf("wait for %q: %w", m, context.Cause(ctx))
			}
		}
	}
	return nil
}

// Namespace is the preview's namespace, "" until it is there.
func (t *Timeline) Namespace(ctx context.Context) string {
	var all corev1.NamespaceList
	if t.platform.Kube.List(ctx, &all, client.MatchingLabels{LabelNumber: t.number}) != nil || len(all.Items) != 1 {
		return ""
	}
	return all.Items[0].Name
}

// mine says whether a namespace is this preview's. Names carry the number, and
// a hash that another repository's would differ in; there is one repository. Slots
// say whose they are on the namespace.
func (t *Timeline) mine(namespace string) bool {
	if snapshot.IsSlot(namespace) {
		t.mu.Lock()
		defer t.mu.Unlock()
		return namespace == t.slot
	}
	var n, hash string
	k, err := fmt.Sscanf(namespace, "preview-"+ShopRepository+"-%s", &n)
	if err != nil || k != 1 {
		return false
	}
	for i := range n {
		if n[i] == '-' {
			n, hash = n[:i], n[i+1:]
			break
		}
	}
	return n == t.number && hash != ""
}

func (t *Timeline) seeApplicationSet(_ context.Context, o client.Object) {
	if o.GetName() != "previews" {
		return
	}
	// Whatever annotation the plugin changes, its value changes.
	now := fmt.Sprint(o.GetAnnotations())
	t.mu.Lock()
	first, changed := !t.poked, t.poke != now
	t.poke, t.poked = now, true
	_, labelled := t.at[Labelled]
	t.mu.Unlock()
	if !first && changed && labelled {
		t.Mark(Woken)
	}
}

func (t *Timeline) seeApplication(_ context.Context, o client.Object) {
	app, ok := o.(*argov1alpha1.Application)
	if !ok || !t.mine(app.Name) {
		return
	}
	t.Mark(ApplicationMade)
	if app.Status.Health.Status == health.HealthStatusHealthy && previewReady(app, "") == nil {
		t.Mark(ApplicationHealthy)
	}
}

func (t *Timeline) seeNamespace(_ context.Context, o client.Object) {
	if snapshot.IsSlot(o.GetName()) {
		t.mu.Lock()
		t.slot = o.GetName()
		t.mu.Unlock()
	}
	if t.mine(o.GetName()) {
		t.Mark(NamespaceMade)
	}
}

func (t *Timeline) seeRestore(_ context.Context, o client.Object) {
	r, ok := o.(*velerov1.Restore)
	if !ok {
		return
	}
	for _, to := range r.Spec.NamespaceMapping {
		if t.mine(to) {
			t.Mark(RestoreMade)
		}
	}
}

func (t *Timeline) seeJob(_ context.Context, o client.Object) {
	job, ok := o.(*batchv1.Job)
	if !ok || !t.mine(job.Namespace) || job.Name != "preview-restore" {
		return
	}
	t.Mark(HookMade)
	if job.Status.Succeeded > 0 {
		t.Mark(HookDone)
	}
}

func (t *Timeline) seeClaim(_ context.Context, o client.Object) {
	claim, ok := o.(*corev1.PersistentVolumeClaim)
	if !ok || !t.mine(claim.Namespace) || claim.Name != snapshot.SeedPVC {
		return
	}
	t.Mark(ClaimMade)
	if claim.Status.Phase == corev1.ClaimBound {
		t.Mark(ClaimBound)
	}
}

func (t *Timeline) seePod(ctx context.Context, o client.Object) {
	pod, ok := o.(*corev1.Pod)
	if !ok || !t.mine(pod.Namespace) || pod.Name != PostgresPod {
		return
	}
	t.Mark(PodMade)
	for _, c := range pod.Status.InitContainerStatuses {
		if c.State.Terminated != nil && c.State.Terminated.ExitCode == 0 {
			t.Mark(PostgresOpened)
		}
	}
	for _, c := range pod.Status.ContainerStatuses {
		if c.State.Running == nil {
			continue
		}
		t.mu.Lock()
		first := !t.query
		t.query = true
		t.mu.Unlock()
		if first {
			namespace := pod.Namespace
			t.done.Go(func() { t.ask(ctx, namespace) })
		}
	}
}

// ask queries the preview's Postgres until it answers.
func (t *Timeline) ask(ctx context.Context, namespace string) {
	if t.platform.WaitAnswer(ctx, namespace, "SELECT count(*) FROM public.users") == nil {
		t.Mark(PostgresAnswers)
	}
}

// WaitAnswer returns when the Postgres of a namespace answers a query.
func (p *Platform) WaitAnswer(ctx context.Context, namespace, sql string) error {
	return p.Wait(ctx, "wait for the Postgres of "+namespace, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		rows, err := p.Query(ctx, namespace, sql)
		if err == nil && len(rows) == 0 {
			return errors.New("no rows")
		}
		return err
	})
}
