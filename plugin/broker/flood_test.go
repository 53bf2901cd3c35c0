package broker_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/broker"
	"github.com/seedling-dev/seedling/plugin/preview"
)

// counted is a reviewer that believes tokens signed "good", and counts.
type counted struct{ calls atomic.Int32 }

func (c *counted) Review(_ context.Context, token string) (broker.Caller, error) {
	c.calls.Add(1)
	if !strings.HasSuffix(token, ".good") {
		return broker.Caller{}, broker.ErrUnauthenticated
	}
	return broker.Caller{Namespace: ns, Name: snapshot.HookServiceAccount, UID: hookUID}, nil
}

func call(b http.Handler, from, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, snapshot.RestorePath, nil)
	r.RemoteAddr = from + ":40000"
	r.Header.Set("Authorization", "Bearer "+token)
	rec := httptest.NewRecorder()
	b.ServeHTTP(rec, r)
	return rec
}

// What no review can make good costs none.
func TestRefusedWithoutAReview(t *testing.T) {
	t.Parallel()
	hook := snapshot.HookServiceAccount
	tests := []struct {
		name, token, says string
		status            int
	}{
		{name: "no JWT", token: "garbage", status: 401, says: "no ServiceAccount's"},
		{name: "no base64", token: "a.%.c", status: 401, says: "no ServiceAccount's"},
		{name: "no JSON", token: signed("{", "good"), status: 401, says: "no ServiceAccount's"},
		{name: "no ServiceAccount", token: signed(`{"aud":"seedling"}`, "good"), status: 401, says: "no ServiceAccount's"},
		{name: "too long", token: signed(claims(ns, hook, hookUID, "seedling"), strings.Repeat("x", 9000)), status: 401, says: "no ServiceAccount's"},
		{name: "another audience", token: signed(claims(ns, hook, hookUID, "https://kubernetes.default.svc"), "good"), status: 401, says: "not for audience"},
		{name: "another account", token: signed(claims(ns, "default", hookUID, "seedling"), "good"), status: 403, says: "only preview-restore"},
		{name: "no preview", token: signed(claims("seed", hook, hookUID, "seedling"), "good"), status: 403, says: "no live preview"},
		{name: "another UID", token: signed(claims(ns, hook, "other", "seedling"), "good"), status: 403, says: "not the one the plugin made"},
		{name: "no UID", token: signed(claims(ns, hook, "", "seedling"), "good"), status: 403, says: "not the one the plugin made"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			reviewer := &counted{}
			b := newBroker(newWorld(t, interceptor.Funcs{}), func(o *broker.Options) { o.Reviewer = reviewer })
			rec := call(b, "10.0.0.1", test.token)
			if rec.Code != test.status || !strings.Contains(rec.Body.String(), test.says) {
				t.Errorf("status %d, %s", rec.Code, rec.Body)
			}
			if rec.Header().Get("Connection") != "close" {
				t.Error("the connection stays open")
			}
			if n := reviewer.calls.Load(); n != 0 {
				t.Errorf("%d reviews", n)
			}
		})
	}
}

// An address whose token was refused waits, longer each time, and nobody else
// does. The clock stands still, so no bucket fills again.
func TestFloodOfForgedTokens(t *testing.T) {
	t.Parallel()
	now, reviewer := now, &counted{}
	var log bytes.Buffer
	b := newBroker(newWorld(t, interceptor.Funcs{}), func(o *broker.Options) {
		o.Reviewer, o.Now = reviewer, func() time.Time { return now }
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	forged := signed(claims(ns, snapshot.HookServiceAccount, hookUID, "seedling"), "forged")
	for i := range 1000 {
		rec := call(b, "10.0.0.1", forged)
		if want := map[bool]int{true: 401, false: 429}[i == 0]; rec.Code != want {
			t.Fatalf("call %d: status %d, want %d", i, rec.Code, want)
		}
	}
	if n := reviewer.calls.Load(); n != 1 {
		t.Errorf("%d reviews of 1000 calls with forged tokens", n)
	}
	if rec := call(b, "10.0.0.2", signed(claims(ns, snapshot.HookServiceAccount, hookUID, "seedling"), "good")); rec.Code != 202 {
		t.Errorf("the preview's own hook: status %d, %s", rec.Code, rec.Body)
	}
	now = now.Add(2 * time.Second)
	if rec := call(b, "10.0.0.1", forged); rec.Code != 401 {
		t.Errorf("after the pause: status %d", rec.Code)
	}
	if rec := call(b, "10.0.0.1", forged); rec.Header().Get("Retry-After") != "4" {
		t.Errorf("the second pause is %s s", rec.Header().Get("Retry-After"))
	}
	if lines := strings.Count(log.String(), "\n"); lines > 20 {
		t.Errorf("%d lines of log", lines)
	}
}

// One preview that asks without end with its own token, from any number of
// addresses, is bounded too, and other previews are not.
func TestFloodOfOwnTokens(t *testing.T) {
	t.Parallel()
	reviewer := &counted{}
	b := newBroker(newWorld(t, interceptor.Funcs{}), func(o *broker.Options) {
		o.Reviewer, o.Now = reviewer, func() time.Time { return now }
	})
	for i := range 500 {
		call(b, fmt.Sprintf("10.0.%d.%d", i/250, i%250), signed(claims(ns, snapshot.HookServiceAccount, hookUID, "seedling"), "good"))
	}
	if n := reviewer.calls.Load(); n != 10 {
		t.Errorf("%d reviews, want the namespace's burst", n)
	}
}

// stuck is a restorer whose steps wait.
type stuck struct{ release chan struct{} }

func (s stuck) Step(context.Context, preview.Preview) (broker.Progress, error) {
	<-s.release
	return broker.Progress{Done: true}, nil
}

func (stuck) Watch(context.Context, preview.Preview) <-chan struct{} { return nil }

func TestRequestsHeldAtOnce(t *testing.T) {
	t.Parallel()
	s := stuck{make(chan struct{})}
	b := newBroker(newWorld(t, interceptor.Funcs{}), func(o *broker.Options) { o.Reviewer, o.Restorer = &counted{}, s })
	token := signed(claims(ns, snapshot.HookServiceAccount, hookUID, "seedling"), "good")
	var group sync.WaitGroup
	codes := make(chan int, 5)
	for range 5 {
		group.Go(func() { codes <- call(b, "10.0.0.1", token).Code })
	}
	if first := <-codes; first != http.StatusTooManyRequests { // the others are held
		t.Errorf("status %d", first)
	}
	close(s.release)
	group.Wait()
	for range 4 {
		if code := <-codes; code != http.StatusOK {
			t.Errorf("status %d", code)
		}
	}
}

// Memory under a flood from many addresses stays what it was.
func TestFloodTakesNoMemory(t *testing.T) { //nolint:paralleltest // it measures the heap of the process
	b := newBroker(newWorld(t, interceptor.Funcs{}), func(o *broker.Options) { o.Reviewer = &counted{} })
	token := signed(claims(ns, snapshot.HookServiceAccount, hookUID, "seedling"), "forged")
	for i := range 100_000 {
		call(b, fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), token)
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.HeapAlloc > 64<<20 {
		t.Errorf("%d MiB of heap after it", m.HeapAlloc>>20)
	}
	runtime.KeepAlive(b)
}
