package kubefake

import (
	"net/http"
	"net/http/httptest"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func start(t *testing.T) (*Server, client.WithWatch) {
	t.Helper()
	s := New(clientgoscheme.Scheme)
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	c, err := client.NewWithWatch(&rest.Config{Host: h.URL}, client.Options{Scheme: clientgoscheme.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a"}}); err != nil {
		t.Fatal(err)
	}
	return s, c
}

func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name, Labels: map[string]string{"for": name}}}
}

// TestWrites: what decides between two writers, and what keeps an object.
func TestWrites(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	ctx := t.Context()
	first := configMap("x")
	if err := c.Create(ctx, first); err != nil || first.UID == "" || first.ResourceVersion == "" {
		t.Fatal(first, err)
	}
	if err := c.Create(ctx, configMap("x")); !apierrors.IsAlreadyExists(err) {
		t.Errorf("a second one: %v", err)
	}
	elsewhere := configMap("x")
	elsewhere.Namespace = "none"
	if err := c.Create(ctx, elsewhere); !apierrors.IsNotFound(err) {
		t.Errorf("in no namespace: %v", err)
	}
	second := first.DeepCopy()
	first.Data = map[string]string{"k": "v"}
	if err := c.Update(ctx, first); err != nil {
		t.Fatal(err)
	}
	if err := c.Update(ctx, second); !apierrors.IsConflict(err) {
		t.Errorf("a second writer: %v", err)
	}
	patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"uid":"another"}}`))
	if err := c.Patch(ctx, configMap("x"), patch); !apierrors.IsConflict(err) {
		t.Errorf("a patch of another one: %v", err)
	}
	patch = client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":["a/b"]},"data":{"k":null,"l":"w"}}`))
	if err := c.Patch(ctx, first, patch); err != nil || first.Data["k"] != "" || first.Data["l"] != "w" {
		t.Errorf("%v, error %v", first.Data, err)
	}
	applied := func(uid types.UID) *unstructured.Unstructured {
		u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"m": "x"}}}
		u.SetNamespace("a")
		u.SetName("applied")
		u.SetUID(uid)
		return u
	}
	if err := c.Patch(ctx, applied("another"), client.Apply, client.FieldOwner("x")); !apierrors.IsConflict(err) {
		t.Errorf("applied to one that is gone: %v", err)
	}
	for range 2 {
		if err := c.Patch(ctx, applied(""), client.Apply, client.FieldOwner("x")); err != nil {
			t.Errorf("applied: %v", err)
		}
	}
	wrong := types.UID("another")
	if err := c.Delete(ctx, configMap("x"), client.Preconditions{UID: &wrong}); !apierrors.IsConflict(err) {
		t.Errorf("deletion of another one: %v", err)
	}
	if err := c.Delete(ctx, configMap("x"), client.Preconditions{UID: &first.UID}); err != nil {
		t.Fatal(err)
	}
	if err := c.Get(ctx, client.ObjectKeyFromObject(first), first); err != nil || first.DeletionTimestamp == nil {
		t.Errorf("with a finalizer: %v, error %v", first, err)
	}
	first.Finalizers = nil
	if err := c.Update(ctx, first); err != nil {
		t.Fatal(err)
	}
	if err := c.Get(ctx, client.ObjectKeyFromObject(first), first); !apierrors.IsNotFound(err) {
		t.Errorf("without it: %v", err)
	}
	if err := c.Create(ctx, configMap("y")); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a"}}); err != nil {
		t.Fatal(err)
	}
	if err := c.Get(ctx, client.ObjectKeyFromObject(configMap("y")), configMap("y")); !apierrors.IsNotFound(err) {
		t.Errorf("in a namespace that is gone: %v", err)
	}
}

// TestWatch: from a list on nothing is missed, and a selector is seen from
// inside.
func TestWatch(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	ctx := t.Context()
	var list corev1.ConfigMapList
	if err := c.List(ctx, &list); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"x", "y"} {
		if err := c.Create(ctx, configMap(name)); err != nil {
			t.Fatal(err)
		}
	}
	w, err := c.Watch(ctx, &corev1.ConfigMapList{}, client.MatchingLabels{"for": "x"}, &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: list.ResourceVersion}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	is := configMap("x")
	if err := c.Get(ctx, client.ObjectKeyFromObject(is), is); err != nil {
		t.Fatal(err)
	}
	is.Data = map[string]string{"k": "v"}
	if err := c.Update(ctx, is); err != nil {
		t.Fatal(err)
	}
	is.Labels = nil
	if err := c.Update(ctx, is); err != nil {
		t.Fatal(err)
	}
	for _, want := range []watch.EventType{watch.Added, watch.Modified, watch.Deleted} {
		if e := <-w.ResultChan(); e.Type != want {
			t.Errorf("%s, want %s: %v", e.Type, want, e.Object)
		}
	}
	partial := &metav1.PartialObjectMetadataList{}
	partial.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ConfigMapList"))
	if err := c.List(ctx, partial, client.MatchingLabels{"for": "y"}); err != nil || len(partial.Items) != 1 || partial.Items[0].Name != "y" {
		t.Errorf("%v, error %v", partial.Items, err)
	}
}

// TestUnanswered: a call that is done and not answered.
func TestUnanswered(t *testing.T) {
	t.Parallel()
	s := New(clientgoscheme.Scheme)
	s.Unanswered = func(r *http.Request) bool { return r.Method == http.MethodPost }
	h := httptest.NewServer(s)
	defer h.Close()
	c, err := client.New(&rest.Config{Host: h.URL}, client.Options{Scheme: clientgoscheme.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a"}}
	if err := c.Create(t.Context(), ns); err == nil {
		t.Error("it was answered")
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(ns), ns); err != nil {
		t.Error(err)
	}
}
