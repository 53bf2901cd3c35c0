package broker_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/broker"
	"github.com/seedling-dev/seedling/plugin/preview"
)

// reviews answers TokenReviews like an API server that knows these tokens, each
// with the user and the audience it is for.
type reviews map[string]struct {
	user     string
	uid      types.UID
	audience string
}

func hookOf(namespace string) string {
	return "system:serviceaccount:" + namespace + ":" + snapshot.HookServiceAccount
}

func (r reviews) create(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
	review, ok := obj.(*authenticationv1.TokenReview)
	if !ok {
		return c.Create(ctx, obj, opts...)
	}
	name := review.Spec.Token[strings.LastIndex(review.Spec.Token, ".")+1:]
	token, ok := r[name]
	if !ok || len(review.Spec.Audiences) != 1 || review.Spec.Audiences[0] != token.audience {
		review.Status.Error = "invalid bearer token"
		return nil
	}
	review.Status.Authenticated = true
	review.Status.Audiences = review.Spec.Audiences
	review.Status.User = authenticationv1.UserInfo{Username: token.user, UID: string(token.uid)}
	return nil
}

func newBroker(w *world, edit func(*broker.Options)) *broker.Broker {
	o := broker.Options{
		Client: w.WithWatch, Reviewer: broker.TokenReviews{Client: w.WithWatch}, Previews: w.state,
		Restorer: w.velero, Ready: func() error { return nil }, Hold: time.Millisecond,
		Log: slog.New(slog.DiscardHandler),
	}
	if edit != nil {
		edit(&o)
	}
	return broker.New(o)
}

// claims are what a token says of itself.
func claims(namespace, account string, uid types.UID, audience string) string {
	return fmt.Sprintf(`{"aud":[%q],"kubernetes.io":{"namespace":%q,"serviceaccount":{"name":%q,"uid":%q}}}`, audience, namespace, account, uid)
}

// signed is a token that claims this; its signature is what reviews know it by.
func signed(claims, signature string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + "." + signature
}

// ask makes one request and reads its answer.
func ask(t *testing.T, h http.Handler, token string) (*httptest.ResponseRecorder, snapshot.RestoreReply) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, snapshot.RestorePath, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+signed(claims(ns, snapshot.HookServiceAccount, hookUID, "seedling"), token))
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	var reply snapshot.RestoreReply
	if err := json.Unmarshal(rec.Body.Bytes(), &reply); err != nil {
		t.Fatalf("the answer %q is no RestoreReply: %v", rec.Body, err)
	}
	return rec, reply
}

func TestWhoMayAsk(t *testing.T) {
	t.Parallel()
	tokens := reviews{
		"good":           {hookOf(ns), hookUID, "seedling"},
		"other audience": {hookOf(ns), hookUID, "https://kubernetes.default.svc"},
		"other account":  {"system:serviceaccount:" + ns + ":default", "uid-default", "seedling"},
		"account before": {hookOf(ns), "uid-before", "seedling"},
		"no uid":         {hookOf(ns), "", "seedling"},
		"other preview":  {hookOf("preview-shop-8-0123456789"), hookUID, "seedling"},
		"a person":       {"admin", "uid-admin", "seedling"},
		"a node":         {"system:node:" + ns + ":preview-restore", "uid-node", "seedling"},
		"seed":           {hookOf("seed"), hookUID, "seedling"},
	}
	tests := []struct {
		name, token string
		edits       []func(map[string]client.Object)
		options     func(*broker.Options)
		status      int
		message     string
	}{
		{name: "the hook of a live preview", token: "good", status: 202, message: "Restore " + ns},
		{name: "no token", status: 401, message: "no bearer token"},
		{name: "not a token", token: "x", status: 401, message: "not valid"},
		{name: "a token for another audience", token: "other audience", status: 401, message: "not valid"},
		{name: "another ServiceAccount of the preview", token: "other account", status: 403, message: "only preview-restore"},
		{name: "a ServiceAccount of the same name that was made anew", token: "account before", status: 403, message: "not the one the plugin made"},
		{name: "a user without a UID", token: "no uid", status: 403, message: "not the one the plugin made"},
		{name: "the hook of a namespace that is no live preview", token: "other preview", status: 403, message: "is no live preview"},
		{name: "the seed", token: "seed", status: 403, message: "is no live preview"},
		{name: "a person", token: "a person", status: 401, message: "no ServiceAccount's"},
		{name: "a node with a suggestive name", token: "a node", status: 401, message: "no ServiceAccount's"},
		{name: "the ServiceAccount is gone", token: "good", edits: []func(map[string]client.Object){without("hook")}, status: 403, message: "not the one the plugin made"},
		{
			name: "the live ServiceAccount is another", token: "good",
			edits:  []func(map[string]client.Object){change("hook", func(a *corev1.ServiceAccount) { a.UID = "other" })},
			status: 403, message: "not the one the plugin made",
		},
		{
			name: "the live namespace is another", token: "good",
			edits:  []func(map[string]client.Object){change("namespace", func(n *corev1.Namespace) { n.UID = "other" })},
			status: 403, message: "made anew",
		},
		{name: "a foreign volume", token: "good", edits: []func(map[string]client.Object){with(claim(""))}, status: 409, message: "preview-reset"},
		{name: "done", token: "good", edits: []func(map[string]client.Object){chosen(newest), restored("uid-claim"), with(claim(""))}, status: 200, message: "is there"},
		{name: "no usable snapshot", token: "good", edits: []func(map[string]client.Object){without("newest", "older")}, status: 503, message: "no usable snapshot"},
		{
			name: "not the leader", token: "good",
			options: func(o *broker.Options) { o.Ready = func() error { return errors.New("another replica leads") } },
			status:  503, message: "another replica leads",
		},
		{
			name: "nobody can review tokens", token: "good",
			options: func(o *broker.Options) { o.Reviewer = brokenReviewer{} },
			status:  503, message: "the token cannot be reviewed now",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, interceptor.Funcs{Create: tokens.create}, test.edits...)
			response, reply := ask(t, newBroker(w, test.options), test.token)
			if response.Code != test.status {
				t.Errorf("status %d, want %d (%s)", response.Code, test.status, reply.Message)
			}
			if !strings.Contains(reply.Message, test.message) {
				t.Errorf("it says %q, want %q", reply.Message, test.message)
			}
			after := response.Header().Get("Retry-After")
			if wait := test.status == 202 || test.status == 503; wait != (after != "") {
				t.Errorf("Retry-After is %q with status %d", after, test.status)
			}
			if said := len(w.state.foreign) != 0; said != (test.status == 409) {
				t.Errorf("recorded as foreign: %v, with status %d", said, test.status)
			}
			if test.status != 202 && len(w.restores()) != 0 {
				t.Errorf("a request that was answered with %d made a Restore", test.status)
			}
		})
	}
}

type brokenReviewer struct{}

func (brokenReviewer) Review(context.Context, string) (broker.Caller, error) {
	return broker.Caller{}, errors.New("api server is away")
}

// An API server that knows no audiences answers a token for anybody.
func TestReviewWithoutAudiences(t *testing.T) {
	t.Parallel()
	w := newWorld(t, interceptor.Funcs{
		Create: func(_ context.Context, _ client.WithWatch, obj client.Object, _ ...client.CreateOption) error {
			review, ok := obj.(*authenticationv1.TokenReview)
			if !ok {
				return fmt.Errorf("unexpected creation of a %T", obj)
			}
			review.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{Username: hookOf(ns), UID: string(hookUID)}}
			return nil
		},
	})
	_, err := broker.TokenReviews{Client: w.WithWatch}.Review(t.Context(), "x")
	if !errors.Is(err, broker.ErrUnauthenticated) {
		t.Errorf("Review: %v", err)
	}
}

func TestOnlyPost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, interceptor.Funcs{})
	rec := httptest.NewRecorder()
	newBroker(w, nil).ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, snapshot.RestorePath, nil))
	if rec.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET: status %d", rec.Code)
	}
}

// Argo CD retries while the pod of the try before still asks: many requests at
// once make one Restore and agree in the end.
func TestManyRequestsAtOnce(t *testing.T) {
	t.Parallel()
	tokens := reviews{"good": {hookOf(ns), hookUID, "seedling"}}
	var created, patched atomic.Int32
	w := newWorld(t, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			if _, ok := obj.(*velerov1.Restore); ok {
				created.Add(1)
			}
			return tokens.create(ctx, c, obj, opts...)
		},
		Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
			if _, ok := obj.(*corev1.PersistentVolumeClaim); ok {
				patched.Add(1)
			}
			return c.Patch(ctx, obj, patch, opts...)
		},
	})
	b := newBroker(w, nil)
	all := func(want int) {
		t.Helper()
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				if response, reply := ask(t, b, "good"); response.Code != want {
					t.Errorf("status %d, want %d (%s)", response.Code, want, reply.Message)
				}
			})
		}
		group.Wait()
	}
	all(202)
	if created.Load() != 1 || len(w.restores()) != 1 {
		t.Fatalf("%d creations, %d Restores, want 1", created.Load(), len(w.restores()))
	}
	r := w.restores()[0].Name
	for _, o := range []client.Object{claim(r), volumeSnapshot(r, true)} {
		if err := w.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	all(200)
	if patched.Load() != 1 {
		t.Errorf("the claim was patched %d times, want once", patched.Load())
	}
}

// A request is held and answers as soon as the volume is there.
func TestHeldRequest(t *testing.T) {
	t.Parallel()
	tokens := reviews{"good": {hookOf(ns), hookUID, "seedling"}}
	requested := make(chan string, 1)
	w := newWorld(t, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			err := tokens.create(ctx, c, obj, opts...)
			if r, ok := obj.(*velerov1.Restore); ok && err == nil {
				requested <- r.Name
			}
			return err
		},
	})
	b := newBroker(w, func(o *broker.Options) { o.Hold = time.Minute })
	go func() {
		name := <-requested
		_ = w.Create(t.Context(), volumeSnapshot(name, true))
		_ = w.Create(t.Context(), claim(name))
	}()
	response, reply := ask(t, b, "good")
	if response.Code != http.StatusOK || reply.Snapshot != newest {
		t.Errorf("status %d, %+v", response.Code, reply)
	}
}

// hanging is a part that does not answer.
type hanging struct{ reviews bool }

func (h hanging) Review(ctx context.Context, _ string) (broker.Caller, error) {
	if h.reviews {
		return broker.Caller{Namespace: ns, Name: snapshot.HookServiceAccount, UID: hookUID}, nil
	}
	<-ctx.Done()
	return broker.Caller{}, fmt.Errorf("dial 10.96.0.1: %w", ctx.Err())
}

func (hanging) Step(ctx context.Context, _ preview.Preview) (broker.Progress, error) {
	<-ctx.Done()
	return broker.Progress{}, ctx.Err()
}

func (hanging) Watch(context.Context, preview.Preview) <-chan struct{} { return nil }

// A call to the API server that hangs ends the request, and with it the hold on
// the preview's lock. What went wrong is not told to strangers.
func TestRequestIsBounded(t *testing.T) {
	t.Parallel()
	for _, h := range []hanging{{reviews: false}, {reviews: true}} {
		t.Run(fmt.Sprintf("reviews %v", h.reviews), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBroker(newWorld(t, interceptor.Funcs{}), func(o *broker.Options) { o.Reviewer, o.Restorer = h, h })
				began := time.Now()
				response, reply := ask(t, b, "any")
				if response.Code != http.StatusServiceUnavailable || strings.Contains(reply.Message, "10.96") {
					t.Errorf("status %d: %s", response.Code, reply.Message)
				}
				if took := time.Since(began); took > 30*time.Second {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}

// The plugin ends a preview while its hook is waiting.
func TestEndedWhileHeld(t *testing.T) {
	t.Parallel()
	tokens := reviews{"good": {hookOf(ns), hookUID, "seedling"}}
	var w *world
	w = newWorld(t, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			err := tokens.create(ctx, c, obj, opts...)
			if _, ok := obj.(*velerov1.Restore); ok {
				w.state.end(ns)
			}
			return err
		},
	})
	response, reply := ask(t, newBroker(w, func(o *broker.Options) { o.Hold = time.Minute }), "good")
	if response.Code != http.StatusForbidden || !strings.Contains(reply.Message, "no live preview any more") {
		t.Errorf("status %d: %s", response.Code, reply.Message)
	}
}

// knowing is a restorer whose error says how it is answered.
type knowing struct{ hanging }

func (knowing) Error() string  { return "Postgres does not start: the end of a log" }
func (knowing) Public() string { return "Postgres does not start" }
func (knowing) Status() int    { return http.StatusUnprocessableEntity }

func (k knowing) Step(context.Context, preview.Preview) (broker.Progress, error) {
	return broker.Progress{Snapshot: newest}, fmt.Errorf("step: %w", k)
}

// An error that knows how it is answered is: the hook gets all of it, the pull
// request what everybody may read.
func TestStatusOfARestorersError(t *testing.T) {
	t.Parallel()
	var said string
	k := knowing{hanging{reviews: true}}
	b := newBroker(newWorld(t, interceptor.Funcs{}), func(o *broker.Options) {
		o.Reviewer, o.Restorer, o.Say = k, k, func(_, text string, failed bool) { said = fmt.Sprint(text, " ", failed) }
	})
	response, reply := ask(t, b, "any")
	if response.Code != http.StatusUnprocessableEntity || reply.Message != "step: "+k.Error() || reply.Snapshot != newest || said != "Postgres does not start true" {
		t.Errorf("status %d, %+v; the pull request says %q", response.Code, reply, said)
	}
}
