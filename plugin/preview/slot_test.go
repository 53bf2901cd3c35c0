package preview

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// shelf hands out the slots that a test has made, as package warm does.
type shelf struct {
	namespaces *Namespaces
	unreadable error
}

func (s *shelf) Readable() error { return s.unreadable }

func (s *shelf) Take(ctx context.Context, want Preview) (string, error) {
	if s.unreadable != nil {
		return "", s.unreadable
	}
	mine, err := s.namespaces.SlotsOf(ctx, want.Key)
	if err != nil || len(mine) > 0 {
		return strings.Join(mine, " "), err
	}
	if there, err := s.namespaces.Exists(ctx, want.OwnName()); err != nil || there || want.Postgres != PostgresPlatform {
		return "", err
	}
	var all corev1.NamespaceList
	if err := s.namespaces.Client.List(ctx, &all, client.MatchingLabels{snapshot.LabelSlot: snapshot.SlotFree}); err != nil {
		return "", err
	}
	for _, ns := range all.Items {
		slot := Preview{Namespace: ns.Name, NamespaceUID: ns.UID, Seed: "seed", Postgres: PostgresPlatform}
		err := s.namespaces.Assign(ctx, slot, want, want.FirstSeen)
		if err == nil {
			return ns.Name, nil
		}
		if !errors.Is(err, ErrNotFree) {
			return "", err
		}
	}
	return "", nil
}

// stock makes a slot.
func stock(ctx context.Context, n *Namespaces, number int) (Preview, error) {
	p := Preview{Namespace: fmt.Sprintf("%s%010x", snapshot.SlotPrefix, number), Seed: "seed", Postgres: PostgresPlatform}
	uid, err := n.Reserve(ctx, p)
	p.NamespaceUID = uid
	return p, err
}

var asksForSlots = asksWith(map[string]string{"postgres": `"platform"`, "domain": `"previews.example.com"`})

func newSlotWorld(t *testing.T, slots int) *world {
	t.Helper()
	w := newWorld(t, newHost(pull(1)))
	w.shelve()
	for n := range slots {
		if _, err := stock(t.Context(), w.Namespaces, n+1); err != nil {
			t.Fatal(err)
		}
	}
	w.asks(asksForSlots)
	return w
}

// shelve gives a world its slots.
func (w *world) shelve() *shelf {
	s := &shelf{namespaces: w.Namespaces}
	w.Slots = s
	return s
}

func (w *world) namespaceOf(name string) *corev1.Namespace {
	w.t.Helper()
	var ns corev1.Namespace
	if err := w.cluster.Get(w.t.Context(), types.NamespacedName{Name: name}, &ns); err != nil {
		w.t.Fatal(err)
	}
	return &ns
}

// TestSlotIsClosed: until it is somebody's, a slot has a password and no token,
// and nobody comes in or out.
func TestSlotIsClosed(t *testing.T) {
	t.Parallel()
	w := newSlotWorld(t, 1)
	ctx, name := t.Context(), snapshot.SlotPrefix+"0000000001"
	var policy networkingv1.NetworkPolicy
	if err := w.cluster.Get(ctx, types.NamespacedName{Namespace: name, Name: GuardName}, &policy); err != nil {
		t.Fatal(err)
	}
	if s := policy.Spec; len(s.PolicyTypes) != 2 || len(s.Ingress)+len(s.Egress) != 0 || len(s.PodSelector.MatchLabels) != 0 {
		t.Errorf("somebody may come in or out: %+v", s)
	}
	hook := &corev1.ServiceAccount{}
	if err := w.cluster.Get(ctx, types.NamespacedName{Namespace: name, Name: snapshot.HookServiceAccount}, hook); !apierrors.IsNotFound(err) {
		t.Errorf("the hook's account is there: %v", err)
	}
	for _, o := range []client.Object{&corev1.Secret{}, &corev1.ResourceQuota{}} {
		o.SetName(map[bool]string{true: SecretName, false: GuardName}[fmt.Sprintf("%T", o) == "*v1.Secret"])
		if err := w.cluster.Get(ctx, types.NamespacedName{Namespace: name, Name: o.GetName()}, o); err != nil {
			t.Error(err)
		}
	}
	ns := w.namespaceOf(name)
	if ns.Labels[snapshot.LabelSlot] != snapshot.SlotFree || ns.Labels[snapshot.LabelPreview] != "0" || ns.Labels[snapshot.VeleroExcludeLabel] != "true" {
		t.Error(ns.Labels)
	}
}

// TestSlotIsGiven: a preview that may begin has the slot's namespace, which says
// whose it is before the answer does, and its own name for people. It is opened,
// survives a restart, and is not given again.
func TestSlotIsGiven(t *testing.T) {
	t.Parallel()
	w := newSlotWorld(t, 1)
	w.mustRound()
	own := Key{ForgeURL: w.host.URL(), Repository: "acme/shop", ApplicationSet: "previews", Number: 1}
	check := func() {
		t.Helper()
		body, err := w.Answer(t.Context(), "previews", asksForSlots)
		if err != nil {
			t.Fatal(err)
		}
		is := parse(t, body)
		if len(is) != 1 || is[0]["namespace"] != snapshot.SlotPrefix+"0000000001" || is[0]["app_name"] != is[0]["namespace"] ||
			is[0]["preview_host"] != own.Namespace()+".previews.example.com" {
			t.Fatalf("%v", is)
		}
	}
	check()
	name := snapshot.SlotPrefix + "0000000001"
	ns := w.namespaceOf(name)
	a, err := AssignmentOf(ns)
	if err != nil || a == nil || a.Key != own || a.At.IsZero() {
		t.Errorf("the namespace says %+v, error %v", a, err)
	}
	if ns.Annotations[snapshot.AnnotationHost] != own.Namespace()+".previews.example.com" || ns.Annotations[snapshot.AnnotationRepository] != "acme/shop" {
		t.Error(ns.Annotations)
	}
	var policy networkingv1.NetworkPolicy
	if err := w.cluster.Get(t.Context(), types.NamespacedName{Namespace: name, Name: GuardName}, &policy); err != nil || len(policy.Spec.Egress) == 0 {
		t.Errorf("it is not opened: %+v, error %v", policy.Spec, err)
	}
	p, _ := w.preview(1)
	if p.Namespace != name || p.HookUID == "" || p.PVCUID != "" {
		t.Errorf("%+v", p)
	}
	if there, err := w.Namespaces.Exists(t.Context(), own.Namespace()); there || err != nil {
		t.Error("it has a second namespace", err)
	}
	w.host.set(pull(2))
	w.mustRound()
	if p, _ := w.preview(2); p.Phase != Live || snapshot.IsSlot(p.Namespace) {
		t.Errorf("without a slot: %+v", p)
	}
	p2 := w.host.pulls[2]
	closed(&p2)
	w.host.set(p2)
	w.mustRound()
	w.restart()
	w.shelve()
	w.asks(asksForSlots)
	w.mustRound()
	check()
}

// TestSlotOutlivesTheState: where the state is lost, the preview comes back under
// the slot's name; while a slot does not say whose it is there is no answer, and
// no second name.
func TestSlotOutlivesTheState(t *testing.T) {
	t.Parallel()
	w := newSlotWorld(t, 2)
	w.mustRound()
	before, _ := w.preview(1)
	if !snapshot.IsSlot(before.Namespace) {
		t.Fatalf("%+v", before)
	}
	if err := w.cluster.DeleteAllOf(t.Context(), &corev1.ConfigMap{}, client.InNamespace("seedling")); err != nil {
		t.Fatal(err)
	}
	w.restart()
	s := w.shelve()
	s.unreadable = errors.New("one does not say whose it is")
	w.asks(asksForSlots)
	_ = w.roundOf()
	if w.answeredTo(asksForSlots) != nil {
		t.Error("there is an answer while nobody knows whose a slot is")
	}
	s.unreadable = nil
	_ = w.roundOf()
	w.mustRound()
	if is, _ := w.preview(1); is.Phase != Live || is.Namespace != before.Namespace || is.NamespaceUID != before.NamespaceUID {
		t.Errorf("it was %s and is %+v", before.Namespace, is)
	}
	// The same where only the API server does not tell.
	if err := w.cluster.DeleteAllOf(t.Context(), &corev1.ConfigMap{}, client.InNamespace("seedling")); err != nil {
		t.Fatal(err)
	}
	w.restart()
	w.shelve()
	w.asks(asksForSlots)
	w.cluster.failing(func(verb string, o runtime.Object) error {
		if _, namespaces := o.(*corev1.Namespace); namespaces && verb == "get" {
			return errDown
		}
		return nil
	})
	_ = w.roundOf()
	if got := w.answeredTo(asksForSlots); got != nil {
		t.Errorf("it is left out because it cannot be prepared: %v", got)
	}
	w.cluster.failing(nil)
	w.mustRound()
	if got := w.answeredTo(asksForSlots); len(got) != 1 {
		t.Errorf("answered: %v", got)
	}
}

// TestSlotEnds: an assigned slot ends with its preview, whose next one has
// another; one that is gone before its preview began is made up for.
func TestSlotEnds(t *testing.T) {
	t.Parallel()
	w := newSlotWorld(t, 2)
	w.mustRound()
	first, _ := w.preview(1)
	p := w.host.pulls[1]
	p.Labels = append(p.Labels, "preview-reset")
	w.host.set(p)
	w.mustRound()
	if is, _ := w.preview(1); is.Phase != Ending || is.Namespace != first.Namespace {
		t.Fatalf("%+v", is)
	}
	if err := w.cluster.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: first.Namespace}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Store.Forget(t.Context(), first.Namespace); err != nil {
		t.Fatal(err)
	}
	w.mustRound()
	second, _ := w.preview(1)
	if second.Phase != Live || !snapshot.IsSlot(second.Namespace) || second.Namespace == first.Namespace || second.OwnName() != first.OwnName() {
		t.Errorf("%+v", second)
	}
}

// TestSlotIsOnesOwn: what a slot's namespace says, and what it does not let be
// done to it.
func TestSlotIsOnesOwn(t *testing.T) {
	t.Parallel()
	w := newSlotWorld(t, 1)
	ctx, n := t.Context(), w.Namespaces
	slot := Preview{Namespace: snapshot.SlotPrefix + "0000000001", Seed: "seed", Postgres: PostgresPlatform}
	slot.NamespaceUID = w.namespaceOf(slot.Namespace).UID
	one := Preview{Key: Key{ForgeURL: "https://git.example.com", Repository: "acme/shop", ApplicationSet: "previews", Number: 1}, Seed: "seed", Postgres: PostgresPlatform}
	two := one
	two.Number = 2
	other := one
	other.Seed = "seed-other"
	if err := n.Assign(ctx, slot, other, w.now); !errors.Is(err, ErrNotFree) {
		t.Errorf("to a preview of another seed: %v", err)
	}
	if err := n.Assign(ctx, slot, one, w.now); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"assigned again": n.Assign(ctx, slot, two, w.now), "drained": n.Drain(ctx, slot),
		"reserved": func() error { _, err := n.Reserve(ctx, slot); return err }(),
	} {
		if !errors.Is(err, ErrNotFree) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if names, err := n.SlotsOf(ctx, one.Key); len(names) != 1 || err != nil {
		t.Errorf("%v, error %v", names, err)
	}
	if names, err := n.SlotsOf(ctx, two.Key); len(names) != 0 || err != nil {
		t.Errorf("%v, error %v", names, err)
	}
	whole := w.namespaceOf(slot.Namespace)
	for what, change := range map[string]func(*corev1.Namespace){
		"no annotation":     func(ns *corev1.Namespace) { delete(ns.Annotations, snapshot.AnnotationAssignment) },
		"another number":    func(ns *corev1.Namespace) { ns.Labels[snapshot.LabelPreview] = "2" },
		"another key":       func(ns *corev1.Namespace) { ns.Labels[snapshot.LabelKey] = two.Hash()[:9] + "x" },
		"free":              func(ns *corev1.Namespace) { ns.Labels[snapshot.LabelSlot] = snapshot.SlotFree },
		"no JSON":           func(ns *corev1.Namespace) { ns.Annotations[snapshot.AnnotationAssignment] = "{" },
		"nobody's":          func(ns *corev1.Namespace) { ns.Annotations[snapshot.AnnotationAssignment] = "{}" },
		"no labels at all":  func(ns *corev1.Namespace) { ns.Labels = nil },
		"state of its own":  func(ns *corev1.Namespace) { ns.Labels[snapshot.LabelSlot] = "x" },
		"number of nothing": func(ns *corev1.Namespace) { ns.Labels[snapshot.LabelPreview] = "0" },
	} {
		ns := whole.DeepCopy()
		change(ns)
		if a, err := AssignmentOf(ns); err == nil {
			t.Errorf("%s: read as %+v", what, a)
		}
	}
	// Its own preview may put back what somebody took off.
	one.Namespace, one.NamespaceUID, one.FirstSeen = slot.Namespace, whole.UID, w.now
	bare := whole.DeepCopy()
	delete(bare.Annotations, snapshot.AnnotationAssignment)
	if err := w.cluster.Update(ctx, bare); err != nil {
		t.Fatal(err)
	}
	if err := n.Mend(ctx, one); err != nil {
		t.Fatal(err)
	}
	if a, err := AssignmentOf(w.namespaceOf(slot.Namespace)); err != nil || a == nil || a.Key != one.Key {
		t.Errorf("%+v, error %v", a, err)
	}
}
