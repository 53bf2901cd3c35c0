package preview

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/forge"
)

func TestHours(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		hours, at string
		open      bool
	}{
		{"always", "2026-11-29T03:00:00Z", true},
		{"Mon-Fri 07:00-20:00 UTC", "2026-11-30T07:00:00Z", true}, // a Monday
		{"Mon-Fri 07:00-20:00 UTC", "2026-11-30T06:59:59Z", false},
		{"Mon-Fri 07:00-20:00 UTC", "2026-11-30T20:00:00Z", false},
		{"Mon-Fri 07:00-20:00 UTC", "2026-11-29T12:00:00Z", false},
		{"mon-fri 7:00-20:00, sat  09:00-13:00 UTC", "2026-11-28T12:59:00Z", true},
		{"Sat-Mon 00:00-24:00 UTC", "2026-11-29T23:59:59Z", true}, // over the end of the week
		{"Sat-Mon 00:00-24:00 UTC", "2026-12-01T00:00:00Z", false},
		// By the clock on the wall, in winter and in summer.
		{"Mon 07:00-08:00 Europe/Berlin", "2026-11-30T06:30:00Z", true},
		{"Mon 07:00-08:00 Europe/Berlin", "2026-06-29T06:30:00Z", false},
		{"Mon 07:00-08:00 Europe/Berlin", "2026-06-29T05:30:00Z", true},
		{"Mon 09:00-10:00 Asia/Kolkata", "2026-11-30T03:30:00Z", true},
	} {
		h, err := ParseHours(c.hours)
		at, wrong := time.Parse(time.RFC3339, c.at)
		if err != nil || wrong != nil {
			t.Fatalf("%s: %v %v", c.hours, err, wrong)
		}
		if h.Open(at) != c.open {
			t.Errorf("%s is open at %s: %v", c.hours, c.at, !c.open)
		}
	}
	for _, wrong := range []string{
		"Mon-Fri", "Mon-Fri 07:00-20:00", "Mon-Fri 07:00-20:00 Mars/Olympus", "Mon-Fri 07:00-20:00 Local", "Mon-Fri 20:00-07:00 UTC", "Mon-Fri 07:00-07:00 UTC",
		"Mon-Fri 07:00-25:00 UTC", "Monday 07:00-20:00 UTC", "07:00-20:00 UTC", "Mon-Fri 07:00 UTC", "Mon 07:00-20:00,, UTC", "Mon 07:00-20:00 ../../etc/passwd",
	} {
		if h, err := ParseHours(wrong); err == nil {
			t.Errorf("%q is taken for %s", wrong, h)
		}
	}
}

// A preview whose first sync takes longer than its sleep would be long is there first;
// one that never comes up sleeps after an hour.
func TestAwakeUntilItWasThere(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	p := Preview{Phase: Live, EmittedAt: began, PVCUID: "claim", Start: Start{Restored: began.Add(time.Second)}}
	for _, c := range []struct {
		name    string
		healthy time.Duration
		after   time.Duration
		asleep  bool
	}{
		{"not Healthy yet", 0, 10 * time.Minute, false},
		{"Healthy a moment ago", 10 * time.Minute, 10*time.Minute + 30*time.Second, false},
		{"Healthy for its time", 10 * time.Minute, 11 * time.Minute, true},
		{"never Healthy", 0, time.Hour, true},
	} {
		is, f := p, Facts{Sleep: &sleepFacts{Sleep: Sleep{After: Span(time.Minute)}}}
		if c.healthy > 0 {
			f.Sleep.Healthy = began.Add(c.healthy)
		}
		if is.sleep(f, began.Add(c.after)); is.asleep() != c.asleep {
			t.Errorf("%s: asleep %t", c.name, is.asleep())
		}
	}
}

// One sleeps that has its data and that nobody uses; what is not known wakes nobody
// and puts nobody to sleep.
func TestWhoSleeps(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	now := began.Add(2 * time.Hour)
	for _, c := range []struct {
		name   string
		change func(p *Preview, f *Facts)
		asleep bool
	}{
		{"nobody used it", func(*Preview, *Facts) {}, true},
		{"its head is not known", func(_ *Preview, f *Facts) { f.HeadSHA = "" }, true},
		{"nothing is known", func(_ *Preview, f *Facts) { f.Sleep = nil }, false},
		{"without data", func(p *Preview, _ *Facts) { p.PVCUID = "" }, false},
		{"with another's data", func(p *Preview, _ *Facts) { p.Foreign = true }, false},
		{"a push", func(_ *Preview, f *Facts) { f.HeadSHA = sha2 }, false},
		{"a push a while ago", func(p *Preview, _ *Facts) { p.HeadSeenAt = now.Add(-time.Minute) }, false},
		{"woken a while ago", func(p *Preview, _ *Facts) { p.WokenAt = now.Add(-time.Minute) }, false},
		{"restored a while ago", func(p *Preview, _ *Facts) { p.Start.Restored = now.Add(-time.Minute) }, false},
		{"Healthy a while ago", func(_ *Preview, f *Facts) { f.Sleep.Healthy = now.Add(-time.Minute) }, false},
		{"the label", func(_ *Preview, f *Facts) { f.Sleep.Label = true }, false},
		{"the label that is spent", func(p *Preview, f *Facts) { p.WakeSpent, f.Sleep.Label = true, true }, true},
		{"asleep, when nobody remembers that it was Healthy", func(p *Preview, f *Facts) {
			p.EmittedAt, f.Sleep.Healthy = now.Add(-30*time.Minute), time.Time{}
			f.Sleep.After = Span(10 * time.Minute)
			p.AsleepSince, p.Halted = now.Add(-time.Minute), true
		}, true},
	} {
		p := Preview{Phase: Live, HeadSHA: sha1, EmittedAt: began, PVCUID: "claim"}
		f := Facts{HeadSHA: sha1, Sleep: &sleepFacts{Sleep: Sleep{After: Span(time.Hour)}, Healthy: began}}
		c.change(&p, &f)
		if p.sleep(f, now); p.asleep() != c.asleep || p.asleep() && !p.Halted {
			t.Errorf("%s: asleep %t, halted %t", c.name, p.asleep(), p.Halted)
		}
	}
}

// One that is woken and sleeps again soon has nothing running either.
func TestSleepsAgainSoon(t *testing.T) {
	t.Parallel()
	w, p, asked := asleep(t)
	if err := w.WakePreview(t.Context(), p.Namespace); err != nil {
		t.Fatal(err)
	}
	w.mustRound()
	w.mustRound()
	if err := w.cluster.Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: "again"}}); err != nil {
		t.Fatal(err)
	}
	asked["sleepAfter"] = json.RawMessage(`"1m"`)
	w.asks(asked)
	for range 3 {
		w.mustRound()
	}
	now, _ := w.preview(1)
	if got := w.pods(p.Namespace); now.AsleepSince.IsZero() || slices.Contains(got, "again") {
		t.Errorf("it is %+v, with pods %v", now, got)
	}
}

// Nothing is ended before the quota lets nothing new in, and nothing is woken that
// wants no pods.
func TestHaltAndWakeWait(t *testing.T) {
	t.Parallel()
	w, p, _ := sleeper(t)
	none := int32(0)
	idle := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: "idle"}, Spec: appsv1.DeploymentSpec{Replicas: &none}}
	if err := w.cluster.Create(t.Context(), idle); err != nil {
		t.Fatal(err)
	}
	sleeping := p
	sleeping.AsleepSince, sleeping.Halted = w.now, true
	before := w.pods(p.Namespace)
	w.cluster.slowQuotas(true)
	if left, err := w.Namespaces.Halt(t.Context(), sleeping); err != nil || !left || !slices.Equal(w.pods(p.Namespace), before) {
		t.Errorf("while the quota lets pods in, left %v, error %v, pods %v", left, err, w.pods(p.Namespace))
	}
	w.cluster.slowQuotas(false)
	// Each of them counts for the controller once it was written.
	if err := w.cluster.DeleteAllOf(t.Context(), &corev1.ResourceQuota{}, client.InNamespace(p.Namespace)); err != nil {
		t.Fatal(err)
	}
	if left, err := w.Namespaces.Halt(t.Context(), sleeping); err != nil || !left {
		t.Errorf("it does not say that pods had to end: %v, error %v", left, err)
	}
	if left, err := w.Namespaces.Halt(t.Context(), sleeping); err != nil || left || !slices.Equal(w.pods(p.Namespace), []string{"migrate", "over"}) {
		t.Errorf("left %v, error %v, pods %v", left, err, w.pods(p.Namespace))
	}
	if err := w.Namespaces.Wake(t.Context(), p, w.now); err != nil {
		t.Fatal(err)
	}
	if err := w.cluster.Get(t.Context(), client.ObjectKeyFromObject(idle), idle); err != nil || idle.Annotations[AnnotationWoken] != "" {
		t.Errorf("one that wants no pods was woken: %v, error %v", idle.Annotations, err)
	}
}

func TestSleepInputs(t *testing.T) {
	t.Parallel()
	hours, err := ParseHours("Mon-Fri 07:00-20:00 UTC")
	if err != nil {
		t.Fatal(err)
	}
	configured := Sleep{After: Span(8 * time.Hour), AwakeHours: hours}
	in := mustInput(t, asksForShop)
	if got := in.sleep(configured); got.After != configured.After || got.AwakeHours.String() != hours.String() {
		t.Errorf("without a word it is %+v", got)
	}
	in = mustInput(t, asksWith(map[string]string{"sleepAfter": `"0"`, "awakeHours": `"always"`}))
	if got := in.sleep(configured); got.After != 0 || got.AwakeHours.String() != "always" {
		t.Errorf("never is %+v", got)
	}
	for field, value := range map[string]string{
		"sleepAfter": `"30s"`, "awakeHours": `"Mon"`, "wakeLabel": `"preview"`,
	} {
		if _, err := ParseInput(asksWith(map[string]string{field: value})); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s %s: %v", field, value, err)
		}
	}
	for _, value := range []string{`8`, `null`, `true`} {
		for field := range sleeps {
			if _, err := ParseInput(asksWith(map[string]string{field: value})); err == nil {
				t.Errorf("%s %s is taken", field, value)
			}
		}
	}
}

// sleeper is a world with a preview that has data and runs something, and sleeps
// after an hour.
func sleeper(t *testing.T) (*world, Preview, map[string]json.RawMessage) {
	t.Helper()
	w := newWorld(t, newHost())
	asked := asksWith(map[string]string{"sleepAfter": `"1h"`})
	w.asks(asked)
	w.host.set(pull(1))
	w.mustRound()
	p, _ := w.preview(1)
	w.restored(p.Namespace)
	w.mustRound()
	yes, one := true, int32(1)
	owned := func(name, kind string, phase corev1.PodPhase) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: name, OwnerReferences: []metav1.OwnerReference{
			{APIVersion: "x", Kind: kind, Name: "x", UID: "x", Controller: &yes},
		}}, Status: corev1.PodStatus{Phase: phase}}
	}
	for _, o := range []client.Object{
		&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: "web", Annotations: map[string]string{"a": "b"}}, Spec: appsv1.DeploymentSpec{Replicas: &one}},
		&appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: "postgres"}, Spec: appsv1.StatefulSetSpec{Replicas: &one}},
		owned("web", "ReplicaSet", corev1.PodRunning), owned("postgres-0", "StatefulSet", corev1.PodRunning), owned("pending", "ReplicaSet", corev1.PodPending),
		owned("migrate", "Job", corev1.PodRunning), owned("over", "ReplicaSet", corev1.PodSucceeded),
	} {
		if err := w.cluster.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	p, _ = w.preview(1)
	return w, p, asked
}

// hard is how many pods, and Jobs, the quota lets in.
func (w *world) hard(namespace string) (pods, jobs int64) {
	w.t.Helper()
	var quota corev1.ResourceQuota
	if err := w.cluster.Get(w.t.Context(), client.ObjectKey{Namespace: namespace, Name: GuardName}, &quota); err != nil {
		w.t.Fatal(err)
	}
	p, j := quota.Spec.Hard["pods"], quota.Spec.Hard["count/jobs.batch"]
	return p.Value(), j.Value()
}

// pods are those there are.
func (w *world) pods(namespace string) (names []string) {
	w.t.Helper()
	var pods corev1.PodList
	if err := w.cluster.List(w.t.Context(), &pods, client.InNamespace(namespace)); err != nil {
		w.t.Fatal(err)
	}
	for _, p := range pods.Items {
		names = append(names, p.Name)
	}
	slices.Sort(names)
	return names
}

// asleep lets a sleeper sleep, and checks that it does and what stays.
func asleep(t *testing.T) (*world, Preview, map[string]json.RawMessage) {
	t.Helper()
	w, before, asked := sleeper(t)
	w.now = before.EmittedAt.Add(time.Hour - 2*pollEvery)
	w.mustRound()
	if p, _ := w.preview(1); !p.AsleepSince.IsZero() || p.Halted {
		t.Fatalf("it sleeps too soon: %+v", p)
	}
	w.now = w.now.Add(2 * pollEvery)
	for range 3 {
		w.mustRound()
	}
	p, _ := w.preview(1)
	if p.Phase != Live || p.AsleepSince.IsZero() || !p.Halted || p.PVCUID != before.PVCUID || p.NamespaceUID != before.NamespaceUID {
		t.Fatalf("it does not sleep: %+v", p)
	}
	if got := w.answeredTo(asked); !slices.Equal(got, []string{"1"}) {
		t.Fatalf("answered are %v: Argo CD would delete it", got)
	}
	if pods, jobs := w.hard(p.Namespace); pods != 0 || jobs != 0 {
		t.Errorf("%d pods and %d Jobs are let in", pods, jobs)
	}
	if got := w.pods(p.Namespace); !slices.Equal(got, []string{"migrate", "over"}) {
		t.Errorf("there are pods %v", got)
	}
	var claim corev1.PersistentVolumeClaim
	if err := w.cluster.Get(t.Context(), client.ObjectKey{Namespace: p.Namespace, Name: snapshot.SeedPVC}, &claim); err != nil || claim.UID != before.PVCUID {
		t.Fatalf("its data: %v", err)
	}
	if s := w.host.statuses[sha1]; s.State != forge.Success || !strings.Contains(s.Description, "Asleep since") || !strings.Contains(s.Description, DefaultWakeLabel) {
		t.Errorf("its commit status is %+v", s)
	}
	return w, p, asked
}

// TestSleep: what runs in a preview that nobody uses is ended, its data and its
// Application stay, and who looks over its guards opens nothing.
func TestSleep(t *testing.T) {
	t.Parallel()
	w, p, asked := asleep(t)
	w.restart()
	w.asks(asked)
	for range 25 {
		w.mustRound()
	}
	if pods, _ := w.hard(p.Namespace); pods != 0 {
		t.Errorf("after a restart %d pods are let in", pods)
	}
	if now, _ := w.preview(1); !now.AsleepSince.Equal(p.AsleepSince) {
		t.Errorf("after a restart it is %+v", now)
	}
	// A pod that came all the same is ended when it is looked at again.
	if err := w.cluster.Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: "late"}}); err != nil {
		t.Fatal(err)
	}
	for range 12 {
		w.mustRound()
	}
	if got := w.pods(p.Namespace); slices.Contains(got, "late") {
		t.Errorf("there are pods %v", got)
	}
	w.host.set(pull(1, closed))
	w.mustRound()
	if now, _ := w.preview(1); now.Phase != Ending || now.Halted || !now.AsleepSince.IsZero() {
		t.Errorf("closed while it slept it is %+v", now)
	}
}

// TestWake: whatever wakes it, pods are let in, and their controllers look again.
func TestWake(t *testing.T) {
	t.Parallel()
	labelled := func(p *forge.PullRequest) { p.Labels = []string{"preview", DefaultWakeLabel} }
	for _, c := range []struct {
		name string
		wake func(w *world, p Preview, asked map[string]json.RawMessage)
		head string
	}{
		{"a push", func(w *world, _ Preview, _ map[string]json.RawMessage) { w.host.set(pull(1, push(sha2))) }, sha2},
		{"the label", func(w *world, _ Preview, _ map[string]json.RawMessage) { w.host.set(pull(1, labelled)) }, sha1},
		{"the page", func(w *world, p Preview, _ map[string]json.RawMessage) {
			if err := w.WakePreview(w.t.Context(), p.Namespace); err != nil {
				w.t.Fatal(err)
			}
		}, sha1},
		{"the setting", func(w *world, _ Preview, asked map[string]json.RawMessage) {
			asked["sleepAfter"] = json.RawMessage(`"3h"`)
			w.asks(asked)
		}, sha1},
		{"a restart after it was decided", func(w *world, p Preview, asked map[string]json.RawMessage) {
			w.cluster.failing(func(verb string, o runtime.Object) error {
				if _, ok := o.(*corev1.ResourceQuota); ok && verb != "get" {
					return errDown
				}
				return nil
			})
			if err := w.WakePreview(w.t.Context(), p.Namespace); err != nil {
				w.t.Fatal(err)
			}
			w.mustRound()
			if p, _ := w.preview(1); !p.Halted || !p.AsleepSince.IsZero() {
				w.t.Fatalf("while the API server fails it is %+v", p)
			}
			w.cluster.failing(nil)
			w.restart()
			w.asks(asked)
		}, sha1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w, p, asked := asleep(t)
			// The controllers have not made pods by themselves.
			c.wake(w, p, asked)
			for range 2 {
				w.mustRound()
			}
			now, _ := w.preview(1)
			if now.Phase != Live || !now.AsleepSince.IsZero() || now.Halted || now.HeadSHA != c.head || now.PVCUID != p.PVCUID {
				t.Fatalf("it is %+v", now)
			}
			if pods, jobs := w.hard(p.Namespace); pods != 20 || jobs != 50 {
				t.Errorf("%d pods and %d Jobs are let in", pods, jobs)
			}
			for _, o := range []client.Object{&appsv1.Deployment{}, &appsv1.StatefulSet{}} {
				name := map[bool]string{true: "web", false: "postgres"}[strings.Contains(kindOf(o), "Deployment")]
				if err := w.cluster.Get(t.Context(), client.ObjectKey{Namespace: p.Namespace, Name: name}, o); err != nil {
					t.Fatal(err)
				}
				if o.GetAnnotations()[AnnotationWoken] == "" || name == "web" && o.GetAnnotations()["a"] != "b" {
					t.Errorf("%s has annotations %v", name, o.GetAnnotations())
				}
			}
			// And it sleeps again, in its time.
			w.now = w.now.Add(3 * time.Hour)
			w.mustRound()
			if now, _ := w.preview(1); now.AsleepSince.IsZero() {
				t.Errorf("it never sleeps again: %+v", now)
			}
		})
	}
}

func kindOf(o client.Object) string {
	if _, ok := o.(*appsv1.Deployment); ok {
		return "Deployment"
	}
	return "StatefulSet"
}

// A commit is given to Argo CD when pods are let in: the hooks of its sync would be
// refused before.
func TestCommitWaitsForWaking(t *testing.T) {
	t.Parallel()
	w, _, asked := asleep(t)
	w.cluster.failing(func(verb string, o runtime.Object) error {
		if _, ok := o.(*corev1.ResourceQuota); ok && verb != "get" {
			return errDown
		}
		return nil
	})
	w.host.set(pull(1, push(sha2)))
	w.mustRound()
	if now, _ := w.preview(1); now.HeadSHA != sha1 || !now.Halted {
		t.Errorf("while nothing can wake it, it is %+v", now)
	}
	if got := w.answeredTo(asked); !slices.Equal(got, []string{"1"}) {
		t.Errorf("answered are %v", got)
	}
	w.cluster.failing(nil)
	for range 3 {
		w.mustRound()
	}
	if now, _ := w.preview(1); now.HeadSHA != sha2 || now.Halted {
		t.Errorf("awake it is %+v", now)
	}
}

// The label that wakes is spent once, and taken off.
func TestWakeLabelIsSpent(t *testing.T) {
	t.Parallel()
	w, p, _ := asleep(t)
	w.host.set(pull(1, func(p *forge.PullRequest) { p.Labels = []string{"preview", DefaultWakeLabel} }))
	w.mustRound()
	w.host.with(func(h *host) {
		if pr := h.pulls[1]; pr.HasLabel(DefaultWakeLabel) {
			t.Error("the label is still there")
		}
	})
	if err := w.WakePreview(t.Context(), "preview-nobody"); !errors.Is(err, ErrNoPreview) {
		t.Errorf("waking nobody: %v", err)
	}
	_ = p
}

// Outside of their hours previews sleep, within ten minutes; a push keeps one awake
// for two hours, and who sleeps for that alone is awake when they begin.
func TestAwakeHours(t *testing.T) {
	t.Parallel()
	hours, err := ParseHours("Mon-Fri 07:00-20:00 UTC")
	if err != nil {
		t.Fatal(err)
	}
	at := func(text string) time.Time {
		at, err := time.Parse("2006-01-02 15:04", text)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for _, c := range []struct {
		name, pushed, now string
		after             time.Duration
		sleeps            bool
	}{
		{"within", "2026-11-30 07:30", "2026-11-30 19:59", 0, false},
		{"after their end", "2026-11-30 12:00", "2026-11-30 20:10", 0, true},
		{"pushed late", "2026-11-30 19:30", "2026-11-30 21:20", 0, false},
		{"pushed late, and two hours later", "2026-11-30 19:30", "2026-11-30 21:31", 0, true},
		{"pushed on a Sunday", "2026-11-29 12:00", "2026-11-29 13:59", 0, false},
		{"before they begin", "2026-11-30 12:00", "2026-12-01 06:49", 0, true},
		{"when they begin", "2026-11-30 12:00", "2026-12-01 07:00", 0, false},
		{"when they begin, and nobody uses it", "2026-11-30 12:00", "2026-12-01 07:00", 8 * time.Hour, true},
		{"unused within", "2026-11-30 07:30", "2026-11-30 15:30", 8 * time.Hour, true},
		{"used within", "2026-11-30 07:31", "2026-11-30 15:30", 8 * time.Hour, false},
	} {
		p := &Preview{Namespace: "preview-shop-1-0123456789", HeadSeenAt: at(c.pushed)}
		if why := (Sleep{After: Span(c.after), AwakeHours: hours}).why(p, time.Time{}, at(c.now)); (why != "") != c.sleeps {
			t.Errorf("%s: %q", c.name, why)
		}
	}
}
