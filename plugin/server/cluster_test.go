package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	kubefake "k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/argocd"
	"github.com/seedling-dev/seedling/plugin/preview"
)

func set(name, configMap, repo string) *argocd.ApplicationSet {
	s := &argocd.ApplicationSet{ObjectMeta: metav1.ObjectMeta{
		Namespace: "argocd", Name: name, UID: types.UID(name), Generation: 1, Annotations: map[string]string{"mine": "stays"},
	}}
	if configMap == "" {
		s.Spec.Generators = []argocd.ApplicationSetGenerator{{}} // a list
		return s
	}
	s.Spec.Generators = []argocd.ApplicationSetGenerator{{Plugin: &argocd.PluginGenerator{
		ConfigMapRef: argocd.PluginConfigMapRef{Name: configMap},
		Input:        argocd.PluginInput{Parameters: map[string]json.RawMessage{"repo": fmt.Appendf(nil, "%q", repo)}},
	}}}
	return s
}

func watchSets(t *testing.T, funcs interceptor.Funcs, objects ...client.Object) (*ApplicationSets, chan map[string]preview.Asked) {
	t.Helper()
	s := runtime.NewScheme()
	if err := argocd.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	told := make(chan map[string]preview.Asked, 100)
	return &ApplicationSets{
		Client:    fake.NewClientBuilder().WithScheme(s).WithObjects(objects...).WithInterceptorFuncs(funcs).Build(),
		Namespace: "argocd", ConfigMap: "seedling-plugin", Log: quiet,
		Set: func(m map[string]preview.Asked) { told <- m },
	}, told
}

func TestApplicationSets(t *testing.T) {
	t.Parallel()
	elsewhere := set("elsewhere", "seedling-plugin", "acme/shop")
	elsewhere.Namespace = "other"
	ours := set("previews", "seedling-plugin", "acme/shop")
	ours.Annotations[snapshot.AnnotationEndConfirmed] = "3-abc"
	a, told := watchSets(t, interceptor.Funcs{}, ours, set("lists", "", ""), set("foreign", "another-plugin", "acme/shop"), elsewhere)
	if err := a.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := map[string]preview.Asked{"previews": {Inputs: []map[string]json.RawMessage{{"repo": json.RawMessage(`"acme/shop"`)}}, Confirmed: "3-abc"}}
	if diff := cmp.Diff(want, <-told); diff != "" {
		t.Error(diff)
	}
	if err := a.Poke(t.Context(), "previews"); err != nil {
		t.Fatal(err)
	}
	var got argocd.ApplicationSet
	if err := a.Client.Get(t.Context(), types.NamespacedName{Namespace: "argocd", Name: "previews"}, &got); err != nil {
		t.Fatal(err)
	}
	if got.Annotations[snapshot.AnnotationPoke] == "" || got.Annotations["mine"] != "stays" || len(got.Annotations) != 3 || len(got.Spec.Generators) != 1 {
		t.Errorf("after a poke: %+v", got.ObjectMeta)
	}
	if err := a.Poke(t.Context(), "none"); err == nil {
		t.Error("an ApplicationSet that is not there was poked")
	}
}

// TestApplicationSetsUnlisted: a list that failed is not told as an empty one.
func TestApplicationSetsUnlisted(t *testing.T) {
	t.Parallel()
	a, told := watchSets(t, interceptor.Funcs{List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
		return errors.New("does not answer")
	}})
	if err := a.Refresh(t.Context()); err == nil {
		t.Error("no error")
	}
	if len(told) > 0 {
		t.Errorf("told %v", <-told)
	}
}

// TestApplicationSetsBounded: a list that hangs holds up nobody for long; who
// asks next waits for the same lock.
func TestApplicationSetsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, told := watchSets(t, interceptor.Funcs{List: func(ctx context.Context, _ client.WithWatch, _ client.ObjectList, _ ...client.ListOption) error {
			<-ctx.Done()
			return ctx.Err()
		}})
		began := time.Now()
		if err := a.Refresh(t.Context()); !errors.Is(err, context.DeadlineExceeded) || len(told) > 0 {
			t.Errorf("error %v, told %d times", err, len(told))
		}
		if took := time.Since(began); 2*took >= answerTimeout {
			t.Errorf("it took %s", took)
		}
	})
}

func TestApplicationSetsRun(t *testing.T) {
	t.Parallel()
	a, told := watchSets(t, interceptor.Funcs{}, set("previews", "seedling-plugin", "acme/shop"))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	<-told
	// Until the watch is open a change may be missed, so change until told.
	for n := 0; ; n++ {
		if err := a.Client.Create(ctx, set(fmt.Sprint("more-", n), "seedling-plugin", "acme/other")); err != nil {
			t.Fatal(err)
		}
		select {
		case m := <-told:
			if len(m) < 2 {
				t.Errorf("told %v", m)
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func TestLead(t *testing.T) {
	t.Parallel()
	c := kubefake.NewClientset()
	var running atomic.Int32
	lead := func(ctx context.Context, name string, began chan<- string) chan error {
		done := make(chan error, 1)
		go func() {
			done <- Lead(ctx, quiet, c, "seedling", name, func(ctx context.Context) error {
				if n := running.Add(1); n != 1 {
					t.Errorf("%d lead", n)
				}
				defer running.Add(-1)
				began <- name
				<-ctx.Done()
				time.Sleep(20 * time.Millisecond) // its last writes
				return nil
			})
		}()
		return done
	}
	began := make(chan string, 2)
	ctx, stop := context.WithCancel(t.Context())
	first := lead(ctx, "first", began)
	if got := <-began; got != "first" {
		t.Fatal(got)
	}
	// Another one waits, and leads when the first has ended and given back.
	ctx2, stop2 := context.WithCancel(t.Context())
	second := lead(ctx2, "second", began)
	stop()
	if err := <-first; err != nil {
		t.Error(err)
	}
	if got := <-began; got != "second" {
		t.Fatal(got)
	}
	stop2()
	if err := <-second; err != nil {
		t.Error(err)
	}
	var lease coordinationv1.Lease
	got, err := c.CoordinationV1().Leases("seedling").Get(t.Context(), LeaseName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	lease = *got
	if lease.Spec.HolderIdentity != nil && *lease.Spec.HolderIdentity != "" {
		t.Errorf("the Lease is still held by %s", *lease.Spec.HolderIdentity)
	}
}

func TestLeadEnds(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	err := Lead(t.Context(), quiet, kubefake.NewClientset(), "seedling", "only", func(context.Context) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	// One that ends as it does when the Lease is lost must not leave a process that
	// leads no more.
	if err := Lead(t.Context(), quiet, kubefake.NewClientset(), "seedling", "only", func(context.Context) error { return nil }); !errors.Is(err, ErrLeaseLost) {
		t.Errorf("it ended by itself: error %v", err)
	}
	// Who never leads ends without an error.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Lead(ctx, quiet, kubefake.NewClientset(), "seedling", "none", func(ctx context.Context) error { return nil }); err != nil {
		t.Error(err)
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	slow := make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(slow)
			time.Sleep(50 * time.Millisecond)
		}
		fmt.Fprint(w, "ok")
	})
	listeners := []Listener{{Name: "a", Address: "127.0.0.1:0", Handler: h}, {Name: "b", Address: "127.0.0.1:0", Handler: h}}
	open, err := Listen(t.Context(), listeners)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, quiet, listeners, open) }()
	answered := make(chan error, 1)
	go func() {
		res, err := http.Get("http://" + open[1].Addr().String() + "/slow")
		if err == nil {
			res.Body.Close()
		}
		answered <- err
	}()
	<-slow
	cancel() // a request under way is answered
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if _, err := Listen(t.Context(), []Listener{{Name: "a", Address: "127.0.0.1:0"}, {Name: "b", Address: taken.Addr().String()}}); err == nil {
		t.Error("an address that is taken was opened")
	}
}

// TestServeSaysPanics: a handler's panic ends its connection alone, and is no
// secret.
func TestServeSaysPanics(t *testing.T) {
	t.Parallel()
	var said bytes.Buffer
	listeners := []Listener{{Name: "broker", Address: "127.0.0.1:0", Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic("a bug")
	})}}
	open, err := Listen(t.Context(), listeners)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, slog.New(slog.NewTextHandler(&said, nil)), listeners, open) }()
	if res, err := http.Get("http://" + open[0].Addr().String()); err == nil {
		res.Body.Close()
		t.Errorf("answered %s", res.Status)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if s := said.String(); !strings.Contains(s, "a bug") || !strings.Contains(s, "listener=broker") {
		t.Errorf("the log says: %s", s)
	}
}

func TestApplied(t *testing.T) {
	t.Parallel()
	app := func(name string) *argocd.Application {
		return &argocd.Application{ObjectMeta: metav1.ObjectMeta{Namespace: "argocd", Name: name, Finalizers: []string{"resources-finalizer.argocd.argoproj.io"}}}
	}
	down := errors.New("it does not answer")
	a, _ := watchSets(t, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if key.Name == "unknown" {
				return down
			}
			return c.Get(ctx, key, o, opts...)
		},
	}, app("there"), app("going"))
	if err := a.Client.Delete(t.Context(), app("going")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"there": true, "going": false, "gone": false} {
		if got, err := a.Applied(t.Context(), name); got != want || err != nil {
			t.Errorf("%s: %v, error %v", name, got, err)
		}
	}
	if _, err := a.Applied(t.Context(), "unknown"); !errors.Is(err, down) {
		t.Errorf("error %v", err)
	}
}
