package preview

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/forge"
)

func unlabelled(p *forge.PullRequest) { p.Labels = nil }
func closed(p *forge.PullRequest)     { p.Open = false }

func TestPreviewAppears(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newHost(pull(1), pull(2, unlabelled), pull(3, func(p *forge.PullRequest) { p.Fork = true })))
	w.host.labelled[3] = "stranger" // who would write on the commit of the first one
	if w.answered() != nil {
		t.Fatal("there is an answer before the forge was asked")
	}
	w.mustRound()
	if diff := cmp.Diff([]string{"1"}, w.answered()); diff != "" {
		t.Fatal(diff)
	}
	if !w.poked() {
		t.Error("Argo CD was not poked")
	}
	p, _ := w.preview(1)
	if p.Phase != Live || p.ConsentBy != "maintainer" || p.Namespace != p.Key.Namespace() {
		t.Errorf("unexpected %+v", p)
	}
	if s := w.host.statuses[sha1]; s.Context != "seedling/previews/1" {
		t.Errorf("commit status %+v", s)
	}

	body, err := w.Answer(t.Context(), "previews", asksForShop)
	if err != nil {
		t.Fatal(err)
	}
	want := []map[string]string{{
		"number": "1", "title": "A change", "branch": "feature/x", "branch_slug": "feature-x", "target_branch": "main",
		"head_sha": sha1, "head_short_sha": "11111111", "author": "dev", "namespace": p.Namespace, "app_name": p.Namespace,
		"seed": "seed", "pr_url": "https://git.example.com/acme/shop/pulls/1", "preview_host": "", "preview_url": "",
		"expires_at": "2026-11-28T12:01:00Z", "labels": "preview",
	}}
	if diff := cmp.Diff(want, parse(t, body)); diff != "" {
		t.Error(diff)
	}

	// Nothing new is nothing done.
	for w.poked() {
	}
	w.mustRound()
	if w.poked() {
		t.Error("Argo CD was poked without news")
	}
}

func TestNamespaceIsGuarded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newHost(pull(1)), &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "seed", Name: snapshot.SeedPVC},
		Spec: corev1.PersistentVolumeClaimSpec{Resources: corev1.VolumeResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("40Gi")},
		}},
	})
	w.mustRound()
	p, _ := w.preview(1)
	get := func(name string, o client.Object) {
		t.Helper()
		if err := w.cluster.Get(t.Context(), types.NamespacedName{Namespace: p.Namespace, Name: name}, o); err != nil {
			t.Fatal(err)
		}
	}
	var ns corev1.Namespace
	if err := w.cluster.Get(t.Context(), types.NamespacedName{Name: p.Namespace}, &ns); err != nil {
		t.Fatal(err)
	}
	for k, v := range map[string]string{
		snapshot.LabelPreview: "1", snapshot.LabelKey: p.Hash(), snapshot.LabelSeed: "seed", "pod-security.kubernetes.io/enforce": "baseline",
		"pod-security.kubernetes.io/warn": "restricted", snapshot.VeleroExcludeLabel: "true",
	} {
		if ns.Labels[k] != v {
			t.Errorf("label %s is %q, want %q", k, ns.Labels[k], v)
		}
	}
	if ns.Annotations[snapshot.AnnotationRepository] != "acme/shop" || ns.UID != p.NamespaceUID {
		t.Errorf("namespace %+v", ns.ObjectMeta)
	}
	var quota corev1.ResourceQuota
	get(GuardName, &quota)
	if s := quota.Spec.Hard["requests.storage"]; s.String() != "50Gi" {
		t.Errorf("storage quota %s, want the seed's 40Gi and 10Gi more", s.String())
	}
	get(GuardName, &corev1.LimitRange{})
	var policy networkingv1.NetworkPolicy
	get(GuardName, &policy)
	if len(policy.Spec.PolicyTypes) != 2 || len(policy.Spec.PodSelector.MatchLabels) != 0 || len(policy.Spec.Egress) != 3 || len(policy.Spec.Ingress[0].From) != 1 {
		t.Errorf("network policy %+v", policy.Spec)
	}
	for _, name := range []string{"default", snapshot.HookServiceAccount} {
		var sa corev1.ServiceAccount
		get(name, &sa)
		if sa.AutomountServiceAccountToken == nil || *sa.AutomountServiceAccountToken {
			t.Errorf("ServiceAccount %s mounts its token", name)
		}
		if name == snapshot.HookServiceAccount && sa.UID != p.HookUID {
			t.Errorf("the state has hook %s, the cluster %s", p.HookUID, sa.UID)
		}
	}
	var secret corev1.Secret
	get(SecretName, &secret)
	if secret.StringData["username"] != "app" || secret.StringData["database"] != "app" || len(secret.StringData["password"]) < 32 {
		t.Error("the Secret lacks something")
	}
	password := secret.StringData["password"]
	if got, want := secret.StringData["uri"], "postgresql://app:"+password+"@postgres:5432/app"; got != want || secret.StringData["host"] != "postgres" || secret.StringData["port"] != "5432" {
		t.Errorf("Secret: host %q, port %q, uri %q", secret.StringData["host"], secret.StringData["port"], strings.ReplaceAll(got, password, "(password)"))
	}
	if n := w.cluster.called("get *v1.Secret"); n != 1 { // this test's own
		t.Errorf("the Secret was read %d times", n-1)
	}

	// Drift is mended, and the password stays.
	no := true
	patch := client.MergeFrom(policy.DeepCopy())
	policy.Spec.Egress = nil
	if err := w.cluster.Patch(t.Context(), &policy, patch); err != nil {
		t.Fatal(err)
	}
	var sa corev1.ServiceAccount
	get("default", &sa)
	sa.AutomountServiceAccountToken = &no
	if err := w.cluster.Update(t.Context(), &sa); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(mendEvery + mendEvery/4)
	w.mustRound()
	get(GuardName, &policy)
	get("default", &sa)
	get(SecretName, &secret)
	if len(policy.Spec.Egress) != 3 || *sa.AutomountServiceAccountToken || secret.StringData["password"] != password {
		t.Error("drift was not mended, or the password changed")
	}
}

// TestFailureNeverShortens drives every failure there is past a live preview:
// it stays in the answer, or there is no answer.
// TestQuotaComesLast: what a new quota counts is refused until its use has been
// counted, and a preview would wait for that.
func TestQuotaComesLast(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newHost(pull(1)))
	counted := map[string]string{"*v1.Secret": "secrets", "*v1.ServiceAccount": "count/serviceaccounts"}
	there := false
	w.cluster.failing(func(verb string, o runtime.Object) error {
		if verb != "create" {
			return nil
		}
		if _, ok := o.(*corev1.ResourceQuota); ok {
			there = true
		}
		if counted[fmt.Sprintf("%T", o)] != "" && there {
			return errDown
		}
		return nil
	})
	w.mustRound()
	if diff := cmp.Diff([]string{"1"}, w.answered()); diff != "" {
		t.Error(diff)
	}
	for kind, resource := range counted {
		if _, ok := DefaultGuards().Quota[corev1.ResourceName(resource)]; !ok || w.cluster.called("create "+kind) == 0 {
			t.Errorf("%s: counted is %v, made are %d", kind, ok, w.cluster.called("create "+kind))
		}
	}
}

func TestFailureNeverShortens(t *testing.T) {
	t.Parallel()
	many := func() []forge.PullRequest {
		var ps []forge.PullRequest
		for n := int64(1); n <= 10; n++ {
			ps = append(ps, pull(n))
		}
		return ps
	}
	tests := []struct {
		name  string
		wrong func(w *world)
		fails bool // the round does
	}{
		{"the list fails", func(w *world) { w.host.listErr = errDown }, true},
		{"the list panics", func(w *world) { w.host.listed = func() { panic("oops") } }, true},
		{"the list is empty and nobody confirms", func(w *world) {
			for n := range w.host.pulls {
				w.host.hidden[n] = true
			}
			w.host.getErr = errDown
		}, false},
		{"the list is empty and untrue", func(w *world) {
			for n := range w.host.pulls {
				w.host.hidden[n] = true
			}
		}, false},
		{"one is missing and nobody confirms", func(w *world) { w.host.hidden[3] = true; w.host.getErr = errDown }, false},
		{"one is missing and untrue", func(w *world) { w.host.hidden[3] = true }, false},
		{"the forge says nothing of labels", func(w *world) { w.host.askErr = errDown }, false},
		{"no snapshot any more", func(w *world) { w.seeds.none["seed"] = true }, false},
		{"the cluster does not answer", func(w *world) {
			w.cluster.fail = func(verb string, o runtime.Object) error {
				if _, ok := o.(*corev1.ConfigMap); ok {
					return nil
				}
				return errDown
			}
		}, false},
		{"namespaces cannot be listed", func(w *world) {
			w.cluster.fail = func(_ string, o runtime.Object) error {
				if _, ok := o.(*corev1.NamespaceList); ok {
					return errDown
				}
				return nil
			}
		}, false},
		{"the state cannot be written", func(w *world) {
			w.host.pulls[11] = pull(11)
			w.host.labelled[11] = "maintainer"
			w.cluster.fail = func(verb string, o runtime.Object) error {
				if _, ok := o.(*corev1.ConfigMap); ok && verb == "update" {
					return errDown
				}
				return nil
			}
		}, true},
		{"the state was changed by somebody else", func(w *world) {
			w.host.pulls[11] = pull(11)
			w.host.labelled[11] = "maintainer"
			w.cluster.fail = func(verb string, o runtime.Object) error {
				if _, ok := o.(*corev1.ConfigMap); ok && verb == "update" {
					return apierrors.NewConflict(corev1.Resource("configmaps"), "x", errors.New("changed"))
				}
				return nil
			}
		}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, newHost(many()...))
			w.mustRound()
			before := w.answered()
			if len(before) != 10 {
				t.Fatalf("%d previews to begin with", len(before))
			}
			w.host.with(func(*host) { test.wrong(w) })
			for range 3 {
				if err := w.roundOf(); (err != nil) != test.fails {
					t.Fatalf("the round's error is %v", err)
				}
				if diff := cmp.Diff(before, w.answered()); diff != "" {
					t.Fatalf("the answer changed: %s", diff)
				}
			}
			// After a restart too, and then without an answer if need be.
			w.cluster.failing(nil)
			w.restart()
			err := w.roundOf()
			if after := w.answered(); err == nil && len(after) < len(before) || err != nil && after != nil {
				t.Fatalf("after a restart: %v, error %v", after, err)
			}
		})
	}
}

// TestHint: a webhook costs one question and no list, whatever happens to it.
func TestHint(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(h *host)
		lists  int
		want   []string
	}{
		{"nothing new", func(*host) {}, 0, []string{"1", "2"}},
		{"labelled", func(h *host) { h.pulls[3] = pull(3) }, 0, []string{"1", "2", "3"}},
		{"opened", func(h *host) { h.pulls[4] = pull(4); h.labelled[4] = "maintainer" }, 0, []string{"1", "2", "4"}},
		{"closed", func(h *host) { h.pulls[2] = pull(2, closed) }, 0, []string{"1"}},
		{"unlabelled", func(h *host) { h.pulls[2] = pull(2, unlabelled); h.removals[2] = time.Time{} }, 0, []string{"1"}},
		{"gone, as one answer says", func(h *host) { delete(h.pulls, 2) }, 0, []string{"1", "2"}},
		{"no answer", func(h *host) { h.pulls[3] = pull(3); h.getErr = errDown }, 1, []string{"1", "2", "3"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, newHost(pull(1), pull(2), pull(3, unlabelled)))
			w.mustRound()
			before := w.host.lists
			w.host.with(test.change)
			for n := range int64(4) {
				w.Trigger("gitea", "acme/shop", n+1, time.Time{})
			}
			if err := w.quickRound(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, w.answered()); diff != "" {
				t.Error(diff)
			}
			if got := w.host.lists - before; got != test.lists {
				t.Errorf("%d lists", got)
			}
			// The next list agrees.
			w.host.with(func(h *host) { h.getErr = nil })
			w.mustRound()
			if want := slices.DeleteFunc(test.want, func(n string) bool { return n == "2" && w.host.missing(2) }); !slices.Equal(want, w.answered()) {
				t.Errorf("%v are answered, not %v", w.answered(), want)
			}
		})
	}
	t.Run("kept when nothing answers", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, newHost(pull(1)))
		w.mustRound()
		w.host.set(pull(2))
		w.host.with(func(h *host) { h.getErr, h.listErr = errDown, errDown })
		w.Trigger("gitea", "acme/shop", 2, time.Time{})
		if err := w.quickRound(); err == nil {
			t.Fatal("no error")
		}
		w.host.with(func(h *host) { h.getErr, h.listErr = nil, nil })
		w.mustRound()
		if diff := cmp.Diff([]string{"1", "2"}, w.answered()); diff != "" {
			t.Error(diff)
		}
	})
}

// TestClosedBetweenLooks: a closing that only a webhook tells of is judged by
// the forge's clock, however far that is from ours, after a restart too.
func TestClosedBetweenLooks(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{-2 * time.Hour, 2 * time.Hour} {
		t.Run(ahead.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, newHost())
			opened := w.now.Add(ahead)
			w.host.set(pull(1, func(p *forge.PullRequest) { p.UpdatedAt = opened }))
			w.mustRound()
			w.restart()
			w.mustRound()
			w.Trigger("gitea", "acme/shop", 1, opened.Add(-time.Minute))
			if err := w.quickRound(); err != nil {
				t.Fatal(err)
			}
			if p, _ := w.preview(1); p.Phase != Live {
				t.Fatalf("a closing from before ended it: %s", p.Reason)
			}
			w.host.set(pull(1, func(p *forge.PullRequest) { p.UpdatedAt = opened.Add(2 * time.Minute) }))
			w.Trigger("gitea", "acme/shop", 1, opened.Add(time.Minute))
			if err := w.quickRound(); err != nil {
				t.Fatal(err)
			}
			if p, _ := w.preview(1); p.Phase != Ending || p.Reason != reasonReopened {
				t.Errorf("%s: %s", p.Phase, p.Reason)
			}
		})
	}
}

// TestClosedWhileTheForgeIsAway: one that was open when the forge was seen last
// does not go live before it was seen again.
func TestClosedWhileTheForgeIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newHost(pull(1), pull(2)))
	w.seeds.set("seed", true)
	w.mustRound()
	away := func(list, get, ask error) {
		w.host.with(func(h *host) { h.listErr, h.getErr, h.askErr = list, get, ask })
	}
	away(errDown, errDown, errDown)
	w.seeds.set("seed", false)
	w.host.set(pull(1, closed, func(p *forge.PullRequest) { p.UpdatedAt = p.UpdatedAt.Add(time.Minute) }))
	_ = w.roundOf()
	// It is back, and its list takes a while.
	for _, get := range []error{errDown, nil} {
		away(errDown, get, nil)
		_ = w.roundOf()
		p, _ := w.preview(1)
		if get != nil && (p.Phase != Held || p.Reason != reasonUnseen) || get == nil && p.Phase != Ending || !p.EmittedAt.IsZero() {
			t.Errorf("the closed one is %q: %s", p.Phase, p.Reason)
		}
	}
	if p, _ := w.preview(2); p.Phase != Live {
		t.Errorf("the open one is %s: %s", p.Phase, p.Reason)
	}
}

func TestStaleIsNoAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newHost(pull(1)))
	w.mustRound()
	w.host.listErr = errDown
	w.now = w.now.Add(staleAfter)
	_ = w.quickRound()
	if _, err := w.Answer(t.Context(), "previews", asksForShop); err != nil {
		t.Errorf("a list five minutes old is answered: %v", err)
	}
	w.now = w.now.Add(time.Second)
	if _, err := w.Answer(t.Context(), "previews", asksForShop); !errors.Is(err, ErrStale) {
		t.Errorf("an older one is not, but: %v", err)
	}
	w.host.listErr = nil
	w.mustRound()
	if _, err := w.Answer(t.Context(), "previews", asksForShop); err != nil {
		t.Error(err)
	}
}

func TestEndAndReturn(t *testing.T) {
	t.Parallel()
	forget := func(w *world, n int64) {
		t.Helper()
		p, _ := w.preview(n)
		// The janitor's work.
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: p.Namespace}}
		if err := client.IgnoreNotFound(w.cluster.Delete(t.Context(), ns)); err != nil {
			t.Fatal(err)
		}
		for _, list := range []client.ObjectList{&corev1.ServiceAccountList{}, &corev1.SecretList{}} {
			if err := w.cluster.List(t.Context(), list, client.InNamespace(p.Namespace)); err != nil {
				t.Fatal(err)
			}
		}
		for _, o := range []client.Object{
			&corev1.ServiceAccount{}, &corev1.Secret{}, &corev1.ResourceQuota{}, &corev1.LimitRange{}, &networkingv1.NetworkPolicy{},
		} {
			if err := w.cluster.DeleteAllOf(t.Context(), o, client.InNamespace(p.Namespace)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Store.Forget(t.Context(), p.Namespace); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name   string
		end    func(w *world, p Preview)
		again  func(w *world) // asks for it again
		reason string
		// returns: it comes back once it is forgotten.
		returns bool
	}{
		{"closed", func(w *world, _ Preview) { w.host.set(pull(1, closed)) }, nil, reasonClosed, false},
		{"unlabelled", func(w *world, _ Preview) { w.host.set(pull(1, unlabelled)) }, nil, "the label was removed", false},
		{"closed and reopened at once", func(w *world, _ Preview) { w.host.set(pull(1, closed)) }, func(w *world) { w.host.set(pull(1)) }, reasonClosed, true},
		{"namespace deleted", func(w *world, p Preview) {
			if err := w.cluster.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: p.Namespace}}); err != nil {
				t.Fatal(err)
			}
		}, nil, reasonLostNamespace, true},
		{"volume deleted", func(w *world, p Preview) {
			pvc := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: snapshot.SeedPVC, Labels: map[string]string{snapshot.VeleroRestoreLabel: "x"}}}
			if err := w.cluster.Create(t.Context(), pvc); err != nil {
				t.Fatal(err)
			}
			if err := w.Store.Record(t.Context(), p.Namespace, "seed-1", pvc.UID); err != nil {
				t.Fatal(err)
			}
			w.mustRound()
			if q, _ := w.preview(1); q.Phase != Live {
				t.Fatalf("a recorded volume ended it: %s", q.Reason)
			}
			if err := w.cluster.Delete(t.Context(), pvc); err != nil {
				t.Fatal(err)
			}
		}, nil, reasonLostVolume, true},
		{"reset label", func(w *world, _ Preview) {
			w.host.set(pull(1, func(p *forge.PullRequest) { p.Labels = []string{"preview", "preview-reset"} }))
		}, nil, reasonReset, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, newHost(pull(1), pull(2)))
			w.mustRound()
			w.poked()
			before, _ := w.preview(1)
			test.end(w, before)
			w.mustRound()
			p, _ := w.preview(1)
			if p.Phase != Ending || p.Reason != test.reason || p.EndedAt.IsZero() {
				t.Fatalf("%s: %s", p.Phase, p.Reason)
			}
			if diff := cmp.Diff([]string{"2"}, w.answered()); diff != "" {
				t.Fatal(diff)
			}
			if !w.poked() {
				t.Error("Argo CD was not poked")
			}
			if test.again != nil {
				test.again(w)
			}
			// While anything is left it does not come back, after a restart too.
			w.restart()
			w.mustRound()
			if diff := cmp.Diff([]string{"2"}, w.answered()); diff != "" {
				t.Fatal(diff)
			}
			if n := len(w.Store.Ended()); n != 1 {
				t.Fatalf("%d ended", n)
			}
			forget(w, 1)
			w.mustRound()
			p, ok := w.preview(1)
			if ok != test.returns {
				t.Fatalf("is there: %v", ok)
			}
			if ok && (p.Phase != Live || p.NamespaceUID == before.NamespaceUID || p.PVCUID != "" || p.Snapshot != "") {
				t.Errorf("it did not begin anew: %+v", p)
			}
			w.mustRound()
			if p, _ := w.preview(1); ok && p.Phase != Live {
				t.Errorf("it ended again: %s", p.Reason)
			}
		})
	}
}

// TestLabelOnVolumeIsNoProof: a volume that lost its label is still there.
func TestLabelOnVolumeIsNoProof(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newHost(pull(1)))
	w.mustRound()
	p, _ := w.preview(1)
	pvc := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: snapshot.SeedPVC}}
	if err := w.cluster.Create(t.Context(), pvc); err != nil {
		t.Fatal(err)
	}
	if err := w.Store.Record(t.Context(), p.Namespace, "seed-1", pvc.UID); err != nil {
		t.Fatal(err)
	}
	var ns corev1.Namespace
	if err := w.cluster.Get(t.Context(), types.NamespacedName{Name: p.Namespace}, &ns); err != nil {
		t.Fatal(err)
	}
	delete(ns.Labels, snapshot.LabelPreview)
	if err := w.cluster.Update(t.Context(), &ns); err != nil {
		t.Fatal(err)
	}
	w.mustRound()
	if p, _ := w.preview(1); p.Phase != Live {
		t.Errorf("%s: %s", p.Phase, p.Reason)
	}
}

func TestHeldBack(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		wrong func(w *world)
		right func(w *world)
		says  string
		state forge.State
		space bool // a namespace is there while it is held back
	}{
		{
			"no snapshot", func(w *world) { w.seeds.set("seed", true) }, func(w *world) { w.seeds.set("seed", false) },
			"no usable snapshot of seed", forge.Pending, false,
		},
		{
			"snapshots unreadable", func(w *world) { w.seeds.err = errDown }, func(w *world) { w.seeds.err = nil },
			"cannot be read now", forge.Pending, false,
		},
		{
			"labelled by somebody who may not", func(w *world) { w.host.labelled[1] = "stranger" }, func(w *world) { w.host.labelled[1] = "maintainer" },
			"somebody without write access", "", false,
		},
		{
			"labelled by nobody known", func(w *world) { w.host.labelled[1] = "" }, func(w *world) { w.host.labelled[1] = "maintainer" },
			"no record of who set label preview", "", false,
		},
		{
			"forge does not say who labelled", func(w *world) { w.host.askErr = errDown }, func(w *world) { w.host.askErr = nil },
			"could not be asked who set the label", "", false,
		},
		{
			"namespace of somebody else", func(w *world) {
				ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: key1.Namespace()}}
				if err := w.cluster.Create(w.t.Context(), ns); err != nil {
					w.t.Fatal(err)
				}
			}, func(w *world) {
				if err := w.cluster.Delete(w.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: key1.Namespace()}}); err != nil {
					w.t.Fatal(err)
				}
			},
			"is not the plugin's", forge.Pending, true,
		},
		{
			"namespace still going", func(w *world) {
				ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: key1.Namespace(), Finalizers: []string{"seedling.dev/test"}, Labels: map[string]string{
					snapshot.LabelKey: key1.Hash(), snapshot.LabelPreview: "1", snapshot.LabelSeed: "seed",
				}}}
				if err := w.cluster.Create(w.t.Context(), ns); err != nil {
					w.t.Fatal(err)
				}
				if err := w.cluster.Delete(w.t.Context(), ns); err != nil {
					w.t.Fatal(err)
				}
			}, func(w *world) {
				var ns corev1.Namespace
				if err := w.cluster.Get(w.t.Context(), types.NamespacedName{Name: key1.Namespace()}, &ns); err != nil {
					w.t.Fatal(err)
				}
				ns.Finalizers = nil
				if err := w.cluster.Update(w.t.Context(), &ns); err != nil {
					w.t.Fatal(err)
				}
			},
			reasonTorndown, forge.Pending, true,
		},
		{
			"quota cannot be made", func(w *world) {
				w.cluster.failing(func(verb string, o runtime.Object) error {
					if _, ok := o.(*corev1.ResourceQuota); ok && verb == "create" {
						return errDown
					}
					return nil
				})
			}, func(w *world) { w.cluster.failing(nil) },
			"its namespace could not be prepared", forge.Pending, true,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, newHost(pull(1)))
			test.wrong(w)
			for range 2 {
				w.mustRound()
				if diff := cmp.Diff([]string{}, w.answered()); diff != "" {
					t.Fatal(diff)
				}
			}
			p, _ := w.preview(1)
			if p.Phase != Held || !strings.Contains(p.Reason, test.says) {
				t.Fatalf("%s: %s", p.Phase, p.Reason)
			}
			// Nothing is said of what nobody asked for who may.
			if s := w.host.statuses[sha1]; s.State != test.state || s.State != "" && !strings.Contains(s.Description, "Held back: ") {
				t.Errorf("commit status %+v", s)
			}
			err := w.cluster.Get(t.Context(), types.NamespacedName{Name: p.Namespace}, &corev1.Namespace{})
			if (err == nil) != test.space {
				t.Errorf("namespace: %v", err)
			}
			test.right(w)
			w.mustRound()
			if diff := cmp.Diff([]string{"1"}, w.answered()); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

// TestHeldBackAndGivenUp: what was said of a preview that never came does not
// stay on its commit.
func TestHeldBackAndGivenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newHost(pull(1)))
	w.seeds.set("seed", true)
	w.mustRound()
	if s := w.host.statuses[sha1]; s.State != forge.Pending {
		t.Fatalf("commit status %+v", s)
	}
	p := pull(1)
	p.Labels = nil
	w.host.set(p)
	for range 2 {
		w.mustRound()
		if s := w.host.statuses[sha1]; s.State != forge.Success || s.Description != "No preview: the label was removed" {
			t.Errorf("commit status %+v", s)
		}
	}
	if _, ok := w.preview(1); ok {
		t.Error("it is still remembered")
	}
}

// TestForeignVolumeIsSaid: the pull request says what is wrong and what to do,
// until the broker has restored after all.
func TestForeignVolumeIsSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newHost(pull(1)))
	w.mustRound()
	p, _ := w.preview(1)
	for range 2 {
		if err := w.Store.RecordForeign(t.Context(), p.Namespace); err != nil {
			t.Fatal(err)
		}
	}
	w.mustRound()
	s := w.host.statuses[sha1]
	if s.State != forge.Failure || !strings.Contains(s.Description, "set label preview-reset") || len(s.Description) > 140 {
		t.Errorf("commit status %+v", s)
	}
	if diff := cmp.Diff([]string{"1"}, w.answered()); diff != "" {
		t.Error(diff)
	}
	pvc := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: snapshot.SeedPVC, Labels: map[string]string{snapshot.VeleroRestoreLabel: "x"}}}
	if err := w.cluster.Create(t.Context(), pvc); err != nil {
		t.Fatal(err)
	}
	if err := w.Store.Record(t.Context(), p.Namespace, "seed-1", pvc.UID); err != nil {
		t.Fatal(err)
	}
	w.mustRound()
	if s := w.host.statuses[sha1]; s.State != forge.Success || !strings.Contains(s.Description, "seed-1") {
		t.Errorf("commit status %+v", s)
	}
	if err := w.Store.RecordForeign(t.Context(), "preview-none-1-0123456789"); err != nil {
		t.Errorf("no preview: %v", err)
	}
}

var key1 = Key{ForgeURL: "https://git.example.com", Repository: "acme/shop", ApplicationSet: "previews", Number: 1}

func TestWaitForStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newHost(pull(1)))
	asks := map[string]json.RawMessage{"forge": asksForShop["forge"], "repo": asksForShop["repo"], "waitForStatus": json.RawMessage(`"ci/images"`)}
	w.asks(asks)
	head := func() string {
		t.Helper()
		w.mustRound()
		body, err := w.Answer(t.Context(), "previews", asks)
		if err != nil {
			t.Fatal(err)
		}
		list := parse(t, body)
		if len(list) == 0 {
			return ""
		}
		return list[0]["head_sha"]
	}
	if got := head(); got != "" {
		t.Errorf("emitted %s before it is green", got)
	}
	w.host.green[sha1] = true
	if got := head(); got != sha1 {
		t.Errorf("emitted %q when green", got)
	}
	w.host.set(pull(1, func(p *forge.PullRequest) { p.HeadSHA = sha2 }))
	if got := head(); got != sha1 {
		t.Errorf("emitted %q after a push that is not green", got)
	}
	w.host.green[sha2] = true
	if got := head(); got != sha2 {
		t.Errorf("emitted %q after a green push", got)
	}
}

func TestApplicationSets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newHost(pull(1)))
	w.mustRound()

	// A wrong input freezes what there is.
	wrong := map[string]json.RawMessage{"forge": asksForShop["forge"], "repo": asksForShop["repo"], "ttl": json.RawMessage(`"3 days"`)}
	w.asks(wrong)
	w.mustRound()
	if p, _ := w.preview(1); p.Phase != Live {
		t.Fatalf("%s: %s", p.Phase, p.Reason)
	}
	var input *InputError
	if _, err := w.Answer(t.Context(), "previews", wrong); !errors.As(err, &input) || input.Field != "ttl" {
		t.Errorf("error %v", err)
	}
	// After a restart as well.
	w.restart()
	w.asks(wrong)
	w.repo().mu.Lock()
	w.repo().subs = nil // what a restarted plugin knows of a set that is wrong
	w.repo().mu.Unlock()
	w.mustRound()
	if p, _ := w.preview(1); p.Phase != Live {
		t.Fatalf("%s: %s", p.Phase, p.Reason)
	}

	// Nobody asks any more. While Argo CD still has the Application, or nobody
	// can tell, it stays: our configuration may be what is wrong.
	w.SetApplicationSets(map[string]Asked{})
	for _, fails := range []error{nil, errDown} {
		w.Applied = func(_ context.Context, application string) (bool, error) {
			return application == key1.Namespace(), fails
		}
		w.mustRound()
		if p, _ := w.preview(1); p.Phase != Live {
			t.Fatalf("%s: %s", p.Phase, p.Reason)
		}
	}
	w.Applied = func(context.Context, string) (bool, error) { return false, nil }
	w.mustRound()
	if p, _ := w.preview(1); p.Phase != Ending || p.Reason != reasonUnasked {
		t.Fatalf("%s: %s", p.Phase, p.Reason)
	}
	if _, err := w.Answer(t.Context(), "previews", asksForShop); !errors.Is(err, ErrNotAsked) {
		t.Errorf("error %v", err)
	}

	// It comes back, and nobody asks once more: what Argo CD had the last time says
	// nothing of now.
	if err := w.Store.Forget(t.Context(), key1.Namespace()); err != nil {
		t.Fatal(err)
	}
	w.asks(asksForShop)
	w.mustRound()
	if p, _ := w.preview(1); p.Phase != Live {
		t.Fatalf("%s: %s", p.Phase, p.Reason)
	}
	w.Applied = func(context.Context, string) (bool, error) { return true, nil }
	w.SetApplicationSets(map[string]Asked{})
	w.mustRound()
	if p, _ := w.preview(1); p.Phase != Live {
		t.Fatalf("the second time: %s: %s", p.Phase, p.Reason)
	}
}

func TestUnknownForge(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newHost())
	var input *InputError
	_, err := w.Answer(t.Context(), "previews", map[string]json.RawMessage{"forge": json.RawMessage(`"github"`), "repo": asksForShop["repo"]})
	if !errors.As(err, &input) || input.Field != "forge" {
		t.Errorf("error %v", err)
	}
}

// TestRun is the real loop: cold start, readiness, a trigger, the end.
func TestRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newHost(pull(1)))
	if err := w.Ready(); !errors.Is(err, ErrUnlisted) {
		t.Errorf("ready before anything was listed: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()

	// The first request waits for the first list.
	body, err := w.Answer(t.Context(), "previews", asksForShop)
	for err == nil && len(parse(t, body)) != 1 {
		<-w.pokes
		body, err = w.Answer(t.Context(), "previews", asksForShop)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Ready(); err != nil {
		t.Error(err)
	}
	for w.poked() {
	}
	w.host.set(pull(2))
	w.Trigger("gitea", "Acme/shop", 2, time.Time{})
	<-w.pokes
	body, err = w.Answer(t.Context(), "previews", asksForShop)
	if err != nil || len(parse(t, body)) != 2 {
		t.Fatalf("%s, error %v", body, err)
	}
	// Another repository is listed within its first request, and never
	// unreadies.
	w.host.with(func(h *host) { h.listErr = errDown })
	other := map[string]json.RawMessage{"forge": asksForShop["forge"], "repo": json.RawMessage(`"acme/other"`)}
	w.asks(asksForShop, other)
	if _, err := w.Answer(t.Context(), "previews", other); !errors.Is(err, ErrUnlisted) || !errors.Is(err, errDown) {
		t.Errorf("error %v", err)
	}
	if err := w.Ready(); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestReadinessGivesUpOnOne(t *testing.T) {
	t.Parallel()
	h := newHost(pull(1))
	h.listErr = errDown
	w := newWorld(t, h)
	_ = w.roundOf()
	if err := w.Ready(); !errors.Is(err, ErrUnlisted) {
		t.Errorf("error %v", err)
	}
	w.now = w.now.Add(patience + time.Second)
	if err := w.Ready(); err != nil {
		t.Errorf("after %s: %v", patience, err)
	}
	if _, err := w.Answer(canceled(t), "previews", asksForShop); !errors.Is(err, ErrUnlisted) {
		t.Errorf("error %v", err)
	}
}

func canceled(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func TestKnows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newHost(pull(1)))
	if w.Knows("gitea", "acme/shop", pull(1)) {
		t.Error("it knows before it listed")
	}
	w.mustRound()
	for _, test := range []struct {
		p    forge.PullRequest
		want bool
	}{
		{pull(1), true},
		{pull(1, unlabelled), false},
		{pull(1, closed), false},
		{pull(1, func(p *forge.PullRequest) { p.HeadSHA = sha2 }), false},
		{pull(2), false},
		{pull(2, closed), true},
	} {
		if got := w.Knows("gitea", "acme/shop", test.p); got != test.want {
			t.Errorf("%+v: %v", test.p, got)
		}
	}
	if !w.Knows("gitea", "acme/unrelated", pull(1)) {
		t.Error("a repository nobody asks for is news")
	}
}

// TestStateFits: however many previews there are and whatever their titles are,
// what ends is written.
func TestStateFits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newHost())
	hostile := strings.Repeat("\x00\"<long> ", 1000)
	for n := int64(1); n <= 1200; n++ {
		w.host.set(pull(n, func(p *forge.PullRequest) {
			p.Title, p.Branch = hostile, hostile
			for range 100 {
				p.Labels = append(p.Labels, hostile[:60])
			}
		}))
	}
	w.mustRound()
	if n := len(w.answered()); n != 1200 {
		t.Fatalf("%d are answered", n)
	}
	var all corev1.ConfigMapList
	if err := w.cluster.List(t.Context(), &all, client.InNamespace("seedling")); err != nil {
		t.Fatal(err)
	}
	for _, cm := range all.Items {
		if n := len(cm.Data[stateKey]); n > 1<<20 {
			t.Errorf("%s has %d bytes", cm.Name, n)
		}
	}
	if len(all.Items) != (1200+perPiece-1)/perPiece {
		t.Errorf("%d ConfigMaps", len(all.Items))
	}
	for n := int64(1); n <= 1200; n += 2 {
		w.host.set(pull(n, closed))
	}
	w.mustRound()
	if n := len(w.answered()); n != 600 {
		t.Fatalf("%d are answered after 600 were closed", n)
	}
	w.restart()
	if n := len(w.Store.All()); n != 1200 {
		t.Fatalf("%d previews after a restart", n)
	}
	w.mustRound()
	if n := len(w.answered()); n != 600 {
		t.Fatalf("%d are answered after a restart", n)
	}
}

// TestPieces: a piece that cannot be written holds up nothing but what is in it.
func TestPieces(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newHost())
	for n := int64(1); n <= perPiece+10; n++ {
		w.host.set(pull(n))
	}
	w.mustRound()
	name := pieceName(w.repo().key, 1)
	w.cluster.failing(func(verb string, o runtime.Object) error {
		if cm, ok := o.(*corev1.ConfigMap); ok && verb == "update" && cm.Name == name {
			return errDown
		}
		return nil
	})
	w.host.set(pull(1, closed))
	w.host.set(pull(perPiece+1, closed))
	if err := w.roundOf(); !errors.Is(err, errDown) {
		t.Fatalf("error %v", err)
	}
	if p, _ := w.preview(1); p.Phase != Ending {
		t.Errorf("in the piece that can be written: %s", p.Phase)
	}
	if p, _ := w.preview(perPiece + 1); p.Phase != Live {
		t.Errorf("in the other: %s", p.Phase)
	}
	w.cluster.failing(nil)
	w.mustRound()
	if p, _ := w.preview(perPiece + 1); p.Phase != Ending || len(w.answered()) != perPiece+8 {
		t.Errorf("%s, %d answered", p.Phase, len(w.answered()))
	}
	// One that somebody deletes is written again from memory.
	if err := w.cluster.Delete(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "seedling", Name: name}}); err != nil {
		t.Fatal(err)
	}
	w.host.set(pull(perPiece+2, closed))
	_ = w.roundOf()
	w.mustRound()
	w.restart()
	if n := len(w.Store.All()); n != perPiece+10 {
		t.Errorf("%d previews", n)
	}
}

// TestStateOfBefore: what an earlier version wrote is read.
func TestStateOfBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newHost(pull(1)), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "seedling", Name: pieceName(key1, 0), Labels: map[string]string{snapshot.LabelState: "true"}},
		Data: map[string]string{stateKey: `{"version":1,"forgeURL":"https://git.example.com","repository":"acme/shop","open":[1],"previews":[
			{"forgeURL":"https://git.example.com","repository":"acme/shop","applicationSet":"previews","number":1,"namespace":"` + key1.Namespace() + `",
			"seed":"seed","headSHA":"` + sha1 + `","phase":"Live","namespaceUID":"uid-1","hookUID":"h","firstSeen":"2026-11-21T10:00:00Z"}]}`},
	}, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: key1.Namespace(), UID: "uid-1", Labels: map[string]string{
		snapshot.LabelPreview: "1", snapshot.LabelKey: key1.Hash(), snapshot.LabelSeed: "seed",
	}}})
	w.mustRound()
	if p, _ := w.preview(1); p.Phase != Live || p.NamespaceUID != "uid-1" {
		t.Errorf("%+v", p)
	}
	if diff := cmp.Diff([]string{"1"}, w.answered()); diff != "" {
		t.Error(diff)
	}
}

// TestBrokenStateStopsItsRepository and no other, and nothing is taken for an
// orphan meanwhile.
func TestBrokenStateStopsItsRepository(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]string{
		"cut":                `{"version":1,"forgeURL":"https://git.example.com","repos`,
		"newer":              `{"version":3,"forgeURL":"https://git.example.com","repository":"acme/shop"}`,
		"nameless":           `{"version":1}`,
		"another repository": `{"version":1,"forgeURL":"https://git.example.com","repository":"acme/other"}`,
		"another name": `{"version":1,"forgeURL":"https://git.example.com","repository":"acme/shop","previews":[
			{"forgeURL":"https://git.example.com","repository":"acme/shop","applicationSet":"p","number":1,"namespace":"kube-system"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, newHost(pull(1)), &corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Namespace: "seedling", Name: pieceName(key1, 0), Labels: map[string]string{snapshot.LabelState: "true"}},
				Data:       map[string]string{stateKey: data},
			})
			other := map[string]json.RawMessage{"forge": asksForShop["forge"], "repo": json.RawMessage(`"acme/other"`)}
			w.asks(asksForShop, other)
			if err := w.roundOf(); !errors.Is(err, ErrState) {
				t.Errorf("error %v", err)
			}
			if w.answered() != nil {
				t.Error("it is answered")
			}
			if !w.Store.Known("preview-x-1-0123456789") {
				t.Error("a namespace is taken for an orphan")
			}
			w.repoOf("acme/other")
			if err := w.roundOf(); err != nil {
				t.Errorf("the other repository: %v", err)
			}
			// Put right, it goes on without a restart.
			w.repoOf("acme/shop")
			cm := &corev1.ConfigMap{}
			if err := w.cluster.Get(t.Context(), types.NamespacedName{Namespace: "seedling", Name: pieceName(key1, 0)}, cm); err != nil {
				t.Fatal(err)
			}
			cm.Data[stateKey] = `{"version":1,"forgeURL":"https://git.example.com","repository":"acme/shop","previews":[]}`
			if err := w.cluster.Update(t.Context(), cm); err != nil {
				t.Fatal(err)
			}
			_ = w.roundOf()
			w.mustRound()
			if diff := cmp.Diff([]string{"1"}, w.answered()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestStoreRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newHost(pull(1)))
	w.mustRound()
	p, _ := w.preview(1)
	if err := w.Store.Forget(t.Context(), p.Namespace); !errors.Is(err, ErrNoPreview) {
		t.Errorf("a live preview is forgotten: %v", err)
	}
	if err := w.Store.Record(t.Context(), "preview-none-1-0123456789", "s", "u"); !errors.Is(err, ErrNoPreview) {
		t.Errorf("something is recorded of no preview: %v", err)
	}
	if err := w.Store.Forget(t.Context(), "preview-none-1-0123456789"); err != nil {
		t.Errorf("twice is not once: %v", err)
	}
	if _, ok := w.Store.Live(p.Namespace); !ok || !w.Store.Known(p.Namespace) {
		t.Error("it is not live")
	}
}

func TestPasswordsDiffer(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		p := password()
		if seen[p] || len(p) != 32 || strings.ContainsAny(p, `'"\ $`) {
			t.Fatal("a password that is not one")
		}
		seen[p] = true
	}
}

func BenchmarkAnswer(b *testing.B) {
	in := Input{Domain: "previews.example.com"}
	var list []*Preview
	for n := range int64(50) {
		p := &Preview{Key: Key{Number: n}, Namespace: fmt.Sprint("preview-", n), Phase: Live, HeadSHA: sha1, PullRequest: pull(n)}
		list = append(list, p)
	}
	for b.Loop() {
		if _, err := answer(list, in); err != nil {
			b.Fatal(err)
		}
	}
}

// TestForgottenMeanwhile: the janitor forgets a preview while the loop looks.
func TestForgottenMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newHost(pull(1)))
	w.mustRound()
	p, _ := w.preview(1)
	w.host.set(pull(1, closed))
	w.mustRound()
	w.host.set(pull(1))
	forgotten := false
	w.host.with(func(h *host) {
		h.listed = func() {
			if err := w.Store.Forget(t.Context(), p.Namespace); err != nil && !forgotten {
				t.Error(err)
			}
			forgotten = true
		}
	})
	w.mustRound()
	if p, _ := w.preview(1); p.Phase != Live || !p.EndedAt.IsZero() {
		t.Errorf("%s: %s", p.Phase, p.Reason)
	}
}

// TestAnswerEndsWithRun: a request that waits for a list does not hold up the
// end of the process.
func TestAnswerEndsWithRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newHost(pull(1)))
		release := make(chan struct{})
		w.host.listed = func() { <-release }
		ctx, cancel := context.WithCancel(t.Context())
		done, answered := make(chan error, 1), make(chan error, 1)
		go func() { done <- w.Run(ctx) }()
		go func() {
			_, err := w.Answer(t.Context(), "previews", asksForShop)
			answered <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-answered; !errors.Is(err, ErrUnlisted) {
			t.Errorf("error %v", err)
		}
		close(release)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestPokeOfNobody: an ApplicationSet that is gone is not poked for ever.
func TestPokeOfNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newHost(pull(1)))
	var poked []string
	w.Poke = func(_ context.Context, set string) error {
		poked = append(poked, set)
		return errDown
	}
	w.SetApplicationSets(map[string]Asked{"previews": {Inputs: []map[string]json.RawMessage{asksForShop}}, "others": {Inputs: []map[string]json.RawMessage{asksForShop}}})
	w.mustRound()
	w.asks(asksForShop)
	poked = nil
	w.mustRound()
	if diff := cmp.Diff([]string{"previews"}, slices.Compact(poked)); diff != "" {
		t.Error(diff)
	}
}

// TestPokeWaitsUntilReached: one who is poked and does not reach us hangs for its
// whole timeout.
func TestPokeWaitsUntilReached(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newHost(pull(1)))
	unreached := 2 * time.Second
	w.Unreached = func() time.Duration { return unreached }
	w.mustRound()
	if n := len(w.pokes); n > 0 {
		t.Errorf("%d pokes of one who would not reach us", n)
	}
	unreached = 0
	w.now = w.now.Add(2 * time.Second)
	w.mustRound()
	if n := len(w.pokes); n != 1 {
		t.Errorf("%d pokes once it is reached, want 1", n)
	}
}

// TestStateThatIsThere: a ConfigMap whose creation was not answered, or that
// lost its label before a restart, is taken and not fought with.
func TestStateThatIsThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newHost(pull(1)))
	w.mustRound()
	before, _ := w.preview(1)
	var all corev1.ConfigMapList
	if err := w.cluster.List(t.Context(), &all, client.InNamespace("seedling")); err != nil || len(all.Items) != 1 {
		t.Fatalf("%d ConfigMaps, error %v", len(all.Items), err)
	}
	cm := &all.Items[0]
	cm.Labels = nil
	if err := w.cluster.Update(t.Context(), cm); err != nil {
		t.Fatal(err)
	}
	w.restart()
	if _, ok := w.preview(1); ok {
		t.Fatal("it was found without its label")
	}
	if err := w.roundOf(); err == nil {
		t.Error("the first round saw nothing of it")
	}
	w.host.set(pull(2))
	w.mustRound()
	if p, _ := w.preview(1); p.Phase != Live || !p.EmittedAt.Equal(before.EmittedAt) {
		t.Errorf("%s, emitted at %s, not %s", p.Phase, p.EmittedAt, before.EmittedAt)
	}
	w.restart()
	if _, ok := w.preview(2); !ok {
		t.Error("it still has no label")
	}
}

// TestLoadIsBounded: a start that cannot read the state ends, and is tried
// again by a new process.
func TestLoadIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := interceptor.NewClient(newCluster(t), interceptor.Funcs{
			List: func(ctx context.Context, _ client.WithWatch, _ client.ObjectList, _ ...client.ListOption) error {
				<-ctx.Done()
				return ctx.Err()
			},
		})
		if err := NewStore(c, "seedling").Load(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}

// TestHangIsSaid: what the removal of a preview waits for is on its pull
// request, closed or opened again.
func TestHangIsSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newHost(pull(1)))
	w.mustRound()
	closed := pull(1)
	closed.Open = false
	w.host.set(closed)
	w.mustRound()
	w.mustRound()
	p, _ := w.preview(1)
	if p.Phase != Ending {
		t.Fatalf("%s: %s", p.Phase, p.Reason)
	}
	w.Hangs(p.Namespace, "configmaps with finalizer example.com/hold: kubectl get configmaps")
	w.mustRound()
	if s := w.host.statuses[sha1]; s.State != forge.Pending || !strings.Contains(s.Description, "removal of its preview waits for configmaps") {
		t.Errorf("closed: %+v", s)
	}
	w.host.set(pull(1))
	w.mustRound()
	w.mustRound()
	if s := w.host.statuses[sha1]; s.State != forge.Pending || !strings.Contains(s.Description, "begins anew once its old preview is removed, which waits for configmaps") {
		t.Errorf("open again: %+v", s)
	}
}

// TestRecordsThatLag: a forge's record of who set the label may come after its
// webhook, and nobody waits a minute for that.
func TestRecordsThatLag(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newHost(pull(1, unlabelled)))
	w.mustRound()
	w.host.with(func(h *host) { h.labelled[1] = "" })
	w.host.set(pull(1))
	w.Trigger("gitea", "acme/shop", 1, time.Time{})
	if err := w.quickRound(); err != nil {
		t.Fatal(err)
	}
	w.host.with(func(h *host) { h.labelled[1] = "maintainer" })
	took := w.pass(time.Minute, time.Second, func() bool { return w.phase(1) == Live })
	if took > 5*time.Second {
		t.Errorf("it is live %s later", took)
	}
	// One that stays without a record is not asked about much.
	w.host.set(pull(2))
	w.host.with(func(h *host) { h.labelled[2] = "" })
	before := w.host.asked
	w.pass(10*time.Minute, time.Second, nil)
	if asked := w.host.asked - before; asked > 16 {
		t.Errorf("the forge was asked %d times", asked)
	}
	// And the same of a label that was taken off.
	w.host.with(func(h *host) { h.pulls[1] = pull(1, unlabelled) })
	w.Trigger("gitea", "acme/shop", 1, time.Time{})
	if err := w.quickRound(); err != nil {
		t.Fatal(err)
	}
	if w.phase(1) != Live {
		t.Error("one answer without the label ended it")
	}
	w.host.with(func(h *host) { h.removals[1] = h.pulls[1].UpdatedAt })
	took = w.pass(time.Minute, time.Second, func() bool { return w.phase(1) != Live })
	if took > 5*time.Second {
		t.Errorf("it ended %s later", took)
	}
}
