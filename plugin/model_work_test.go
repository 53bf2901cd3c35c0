package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/argocd"
	"github.com/seedling-dev/seedling/plugin/forge/forgetest"
	"github.com/seedling-dev/seedling/plugin/preview"
)

// argo does the next step of each Application.
func (m *machinery) argo() error {
	for _, is := range m.life.kube.Objects("Application") {
		head, told := m.life.heads.Load(is.GetName())
		if !told {
			continue
		}
		var app argocd.Application
		err := m.kube.Get(m.ctx, types.NamespacedName{Namespace: is.GetNamespace(), Name: is.GetName()}, &app)
		if before, ok := app.DeepCopyObject().(client.Object); ok && err == nil {
			if err = m.sync(&app, head.(string)); err == nil { //nolint:forcetypeassert // only texts are stored
				err = m.kube.Patch(m.ctx, &app, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
			}
		}
		// A conflict, or that something is gone, is looked at again.
		if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("%s: %w", is.GetName(), err)
		}
	}
	return nil
}

// sync brings an Application to a commit: no operation begins while another one
// goes on.
func (m *machinery) sync(app *argocd.Application, head string) error {
	app.Spec.Sources = []argocd.ApplicationSource{{RepoURL: "https://git.example.com/acme/shop", TargetRevision: head}}
	state := app.Status.OperationState
	if app.Operation == nil {
		if state != nil && !state.Phase.Running() && revisionOf(state) == head && (state.Phase.Succeeded() || time.Since(state.FinishedAt.Time) < 30*time.Second) {
			app.Status.Health = m.health(app)
			return nil
		}
		op := argocd.Operation{Sync: &argocd.SyncOperation{Revisions: []string{head, "main"}}}
		app.Operation = &op
		// Now and then what it wrote last of the old one is what the new one goes on with.
		if state == nil || !state.Phase.Running() || m.slips.IntN(3) > 0 {
			app.Status.OperationState = &argocd.OperationState{
				Operation: op, Phase: "Running", StartedAt: metav1.Now(), SyncResult: &argocd.SyncOperationResult{Revisions: []string{head, "main"}},
			}
		}
		return client.IgnoreNotFound(m.kube.Delete(m.ctx, &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: app.Name, Name: snapshot.HookJob}}))
	}
	var job batchv1.Job
	err := m.kube.Get(m.ctx, types.NamespacedName{Namespace: app.Name, Name: snapshot.HookJob}, &job)
	if apierrors.IsNotFound(err) {
		manager, deadline := snapshot.HookManager, int64(2100)
		job = batchv1.Job{Spec: batchv1.JobSpec{ManagedBy: &manager, ActiveDeadlineSeconds: &deadline}}
		job.Namespace, job.Name = app.Name, snapshot.HookJob
		return m.kube.Create(m.ctx, &job)
	}
	if err != nil {
		return err
	}
	switch hookEnd(&job) {
	case batchv1.JobComplete:
		state.Phase = "Succeeded"
	case batchv1.JobFailed:
		m.life.note("hook of %s failed: %s", app.Name, job.Status.Conditions[0].Message)
		state.Phase = "Failed"
	default:
		return nil
	}
	now := metav1.Now()
	state.FinishedAt, app.Operation = &now, nil
	return nil
}

// revisionOf is the commit that a sync was of.
func revisionOf(state *argocd.OperationState) string {
	if state.SyncResult == nil || len(state.SyncResult.Revisions) == 0 {
		return ""
	}
	return state.SyncResult.Revisions[0]
}

// health is what Argo CD calls what was synced.
func (m *machinery) health(app *argocd.Application) argocd.HealthStatus {
	status := "Healthy"
	var set appsv1.StatefulSet
	err := m.kube.Get(m.ctx, types.NamespacedName{Namespace: app.Name, Name: snapshot.Postgres}, &set)
	if err == nil && set.Status.ReadyReplicas == 0 {
		status = "Progressing"
	}
	if status == app.Status.Health.Status {
		return app.Status.Health
	}
	now := metav1.Now()
	return argocd.HealthStatus{Status: status, LastTransitionTime: &now}
}

// unsynced says that a preview's Application is not at its pull request's commit;
// empty where it is.
func (m *machinery) unsynced(name string, number int64) string {
	var app argocd.Application
	err := m.kube.Get(m.ctx, types.NamespacedName{Namespace: "argocd", Name: name}, &app)
	want := ""
	m.life.world.Change(func() {
		if p := m.life.world.Pulls[number]; p != nil {
			want = p.SHA
		}
	})
	if state := app.Status.OperationState; err == nil && app.Operation == nil && state != nil && state.Phase.Succeeded() && revisionOf(state) == want {
		return ""
	}
	text, _ := json.Marshal(app.Status.OperationState)
	return fmt.Sprintf("%s is not synced to %s: %s (%v)", name, want, text, err)
}

// controllers do what those of quotas, StatefulSets and garbage do.
func (m *machinery) controllers() error {
	var quotas corev1.ResourceQuotaList
	if err := m.kube.List(m.ctx, &quotas); err != nil {
		return err
	}
	closed := map[string]bool{}
	for i := range quotas.Items {
		q := &quotas.Items[i]
		if pods, ok := q.Spec.Hard[corev1.ResourcePods]; ok && pods.IsZero() {
			closed[q.Namespace] = true
		}
		if maps.EqualFunc(q.Spec.Hard, q.Status.Hard, func(a, b resource.Quantity) bool { return a.Cmp(b) == 0 }) {
			continue
		}
		q.Status.Hard = q.Spec.Hard
		if err := m.kube.Update(m.ctx, q); err != nil {
			return err
		}
	}
	var sets appsv1.StatefulSetList
	if err := m.kube.List(m.ctx, &sets); err != nil {
		return err
	}
	there := map[string]bool{}
	for i := range sets.Items {
		there[sets.Items[i].Namespace] = true
		if err := m.stateful(&sets.Items[i], closed[sets.Items[i].Namespace]); err != nil {
			return err
		}
	}
	for _, pod := range m.life.kube.Objects("Pod") {
		if !there[pod.GetNamespace()] {
			m.life.kube.Remove("Pod", pod.GetNamespace(), pod.GetName())
		}
	}
	return nil
}

// stateful makes the pod of a StatefulSet, where its namespace lets it in, and says
// how it is.
func (m *machinery) stateful(set *appsv1.StatefulSet, closed bool) error {
	var claim corev1.PersistentVolumeClaim
	yes := true
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: set.Namespace, Name: set.Name + "-0", OwnerReferences: []metav1.OwnerReference{
		{APIVersion: "apps/v1", Kind: "StatefulSet", Name: set.Name, UID: set.UID, Controller: &yes},
	}}}
	err := m.kube.Get(m.ctx, client.ObjectKeyFromObject(&pod), &corev1.Pod{})
	if apierrors.IsNotFound(err) && !closed {
		err = m.kube.Create(m.ctx, &pod)
	}
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	bound := m.kube.Get(m.ctx, types.NamespacedName{Namespace: set.Namespace, Name: snapshot.SeedPVC}, &claim) == nil && claim.Status.Phase == corev1.ClaimBound
	status := appsv1.StatefulSetStatus{ObservedGeneration: set.Generation}
	if err == nil {
		status.Replicas, status.UpdatedReplicas = 1, 1
		if bound {
			status.ReadyReplicas = 1
		}
	}
	if s := set.Status; s.Replicas == status.Replicas && s.ReadyReplicas == status.ReadyReplicas && s.ObservedGeneration == status.ObservedGeneration {
		return nil
	}
	set.Status = status
	return m.kube.Update(m.ctx, set)
}

func (m *machinery) pods(namespace string) (n int) {
	for _, pod := range m.life.kube.Objects("Pod") {
		if pod.GetNamespace() == namespace {
			n++
		}
	}
	return n
}

// state are the previews that the state has.
func (l *life) state() (all []preview.Preview) {
	for _, cm := range l.kube.Objects("ConfigMap") {
		var state struct {
			Previews []preview.Preview `json:"previews"`
		}
		text, _, _ := unstructured.NestedString(cm.Object, "data", "state.json") // absent is none
		if json.Unmarshal([]byte(text), &state) == nil {
			all = append(all, state.Previews...)
		}
	}
	return all
}

// asleep says whether a live preview sleeps.
func (m *machinery) asleep(namespace string) (asleep, known bool) {
	for _, p := range m.life.state() {
		if p.Namespace == namespace && p.Phase == preview.Live {
			return !p.AsleepSince.IsZero(), true
		}
	}
	return false, false
}

// sleepers sees that what sleeps has its data.
func (m *machinery) sleepers() {
	l := m.life
	for _, p := range l.state() {
		s := l.sets[p.ApplicationSet]
		if p.AsleepSince.IsZero() || s == nil || s.causes[p.Number][causeNamespace] || s.causes[p.Number][causeVolume] {
			continue
		}
		var claim corev1.PersistentVolumeClaim
		err := m.kube.Get(m.ctx, types.NamespacedName{Namespace: p.Namespace, Name: snapshot.SeedPVC}, &claim)
		if err != nil || claim.UID != p.PVCUID || !l.has.sleeps {
			l.fatal("preview %d of %s sleeps in %s, and has claim %q instead of %q: %v", p.Number, p.ApplicationSet, p.Namespace, claim.UID, p.PVCUID, err)
		}
	}
}

// wakeOne wakes some preview by the page, as people do.
func (m *machinery) wakeOne() {
	var asleep []string
	for _, p := range m.life.state() {
		if !p.AsleepSince.IsZero() {
			asleep = append(asleep, p.Namespace)
		}
	}
	if len(asleep) > 0 {
		m.life.wake(asleep[m.life.rng.IntN(len(asleep))])
	}
}

func (l *life) wake(namespace string) {
	form := strings.NewReader(url.Values{"preview": {namespace}}.Encode())
	req, err := http.NewRequestWithContext(l.t.Context(), http.MethodPost, "http://page.test/wake", form)
	if err != nil {
		l.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "Bearer of-people-who-look-at-it")
	// Where it leads to is the page, which is not looked at.
	res, err := l.client.Transport.RoundTrip(req)
	if err != nil {
		l.note("%s is not woken: %v", namespace, err)
		return
	}
	defer res.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(res.Body, 200)) // it is only told
	l.note("%s is woken: %s %s", namespace, res.Status, said)
}

// wake wakes all that sleep when all is well, and sees that they have pods again.
func (m *machinery) wake() {
	l := m.life
	for range 3 {
		for _, p := range l.state() {
			if !p.AsleepSince.IsZero() {
				l.wake(p.Namespace)
			}
		}
		l.pass(time.Minute)
	}
	for _, p := range l.state() {
		if p.Phase == preview.Live && (!p.AsleepSince.IsZero() || p.Halted) {
			l.fatal("preview %d of %s was woken and sleeps: %+v", p.Number, p.ApplicationSet, p)
		}
	}
	m.nothingIsLeft()
}

// loseState loses the plugin's state while all else is well, and has it begin anew.
func (m *machinery) loseState() {
	l := m.life
	for _, s := range l.sets {
		// Without it nobody knows of those that are not asked for.
		if !s.there || s.broken || s.label != forgetest.Label {
			return
		}
	}
	l.note("the state is lost")
	l.hub.set(nil)
	l.api.set(nil)
	for _, s := range l.sets {
		for n := range s.apps {
			l.world.Change(func() {
				if p := l.world.Pulls[n]; !l.wanted(p) {
					s.may(n, causeLabel) // who set it is asked anew
				}
			})
		}
	}
	l.stop()
	l.note("it ended: %v", <-l.ended)
	for _, cm := range l.kube.Objects("ConfigMap") {
		if cm.GetNamespace() == "seedling" {
			l.kube.Remove("ConfigMap", cm.GetNamespace(), cm.GetName())
		}
	}
	for _, ns := range l.kube.Objects("Namespace") {
		if name := ns.GetName(); snapshot.IsPreview(name) && ns.GetLabels()[snapshot.LabelSlot] != snapshot.SlotFree {
			m.orphans[name] = true
		}
	}
	l.start()
	l.pass(2 * time.Minute)
	if len(m.whole) > 0 {
		// Nobody was left out meanwhile, for nobody knew whose a slot is.
		m.repair()
		l.pass(2 * time.Minute)
	}
}

// garble has a slot say no more whose it is, for some minutes.
func (m *machinery) garble() {
	l := m.life
	var slots []*unstructured.Unstructured
	for _, ns := range l.kube.Objects("Namespace") {
		if ns.GetLabels()[snapshot.LabelSlot] != "" && m.whole[ns.GetName()] == nil {
			slots = append(slots, ns)
		}
	}
	if len(slots) == 0 {
		return
	}
	var ns corev1.Namespace
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(slots[l.rng.IntN(len(slots))].Object, &ns); err != nil {
		l.t.Fatal(err)
	}
	whole := ns.DeepCopy()
	switch l.rng.IntN(4) {
	case 0:
		ns.Labels[snapshot.LabelPreview] = "77"
	case 1:
		ns.Labels[snapshot.LabelKey] = "0123456789"
	case 2:
		ns.Labels[snapshot.LabelSlot] = "x"
	default:
		metav1.SetMetaDataAnnotation(&ns.ObjectMeta, snapshot.AnnotationAssignment, "{}")
	}
	l.note("%s does not say any more whose it is", ns.Name)
	m.whole[ns.Name] = whole
	l.put(&ns)
	for range l.rng.IntN(4) {
		l.pass(time.Minute)
	}
	if l.rng.IntN(2) == 0 {
		m.repair()
	}
}

// repair has every slot say again whose it is.
func (m *machinery) repair() {
	l := m.life
	for _, name := range slices.Sorted(maps.Keys(m.whole)) {
		var ns corev1.Namespace
		whole := m.whole[name]
		delete(m.whole, name)
		if m.kube.Get(m.ctx, types.NamespacedName{Name: name}, &ns) != nil || ns.UID != whole.UID {
			continue
		}
		if _, err := preview.AssignmentOf(&ns); err == nil {
			continue
		}
		l.note("%s says again whose it is", name)
		ns.Labels, ns.Annotations = whole.Labels, whole.Annotations
		if err := m.kube.Update(m.ctx, &ns); err != nil {
			l.note("... %v", err)
			m.whole[name] = whole
		}
	}
}
