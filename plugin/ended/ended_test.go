package ended

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seedling-dev/seedling/plugin/forge"
	"github.com/seedling-dev/seedling/plugin/preview"
)

var start = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func book(c client.Client, now *time.Time) *Book {
	return &Book{Client: c, Namespace: "seedling", Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return *now }}
}

func one(n int64, phase preview.Phase, at time.Time) *preview.Preview {
	p := &preview.Preview{Key: preview.Key{ForgeURL: "https://git.example.com", Repository: "acme/shop", ApplicationSet: "previews", Number: n}, Phase: phase, Seed: "seed"}
	p.Namespace, p.NamespaceUID, p.EndedAt, p.Reason = p.Key.Namespace(), types.UID(fmt.Sprint("uid-", n)), at, "the pull request is closed"
	p.PullRequest = forge.PullRequest{Number: n, Title: "A title"}
	return p
}

// One that ended is remembered, also by the next plugin; one that came back with
// its data is not; a second life is another one.
func TestRemembers(t *testing.T) {
	t.Parallel()
	now := start
	kube := fake.NewClientBuilder().Build()
	b := book(kube, &now)
	b.Moved(one(1, preview.Live, time.Time{}), one(1, preview.Ending, now))
	b.Moved(one(2, preview.Live, time.Time{}), one(2, preview.Ending, now.Add(time.Second)))
	b.Moved(one(2, preview.Ending, now), one(2, preview.Held, now))
	b.Moved(one(2, preview.Held, now), one(2, preview.Live, time.Time{}))
	b.Moved(nil, one(3, preview.Held, time.Time{}))
	again := one(1, preview.Ending, now.Add(time.Minute))
	again.NamespaceUID = "uid-1-again"
	b.Moved(one(1, preview.Live, time.Time{}), again)
	now = now.Add(time.Hour)
	b.Removed(*one(1, preview.Ending, start))
	if err := b.write(t.Context()); err != nil {
		t.Fatal(err)
	}
	next := book(kube, &now)
	next.Moved(one(4, preview.Held, time.Time{}), one(4, preview.Ending, now)) // before it has read
	if err := next.read(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range next.Previews() {
		got = append(got, fmt.Sprint(e.Number, " ", e.NamespaceUID, " ", !e.RemovedAt.IsZero()))
	}
	if want := "4 uid-4 false, 1 uid-1-again false, 1 uid-1 true"; strings.Join(got, ", ") != want {
		t.Errorf("it remembers %s, not %s", strings.Join(got, ", "), want)
	}
	now = now.Add(For)
	next.Moved(one(5, preview.Live, time.Time{}), one(5, preview.Ending, now))
	if all := next.Previews(); len(all) != 1 && len(all) != 2 || all[0].Number != 5 {
		t.Errorf("after 30 days it remembers %d", len(all))
	}
}

// However many end, and whatever their titles, it fits a ConfigMap.
func TestBounds(t *testing.T) {
	t.Parallel()
	now := start
	kube := fake.NewClientBuilder().Build()
	b := book(kube, &now)
	for n := range int64(Most + 50) {
		p := one(n+1, preview.Ending, now.Add(time.Duration(n)*time.Second))
		p.PullRequest.Title = strings.Repeat("\x01", 256) // six bytes each in JSON
		p.PullRequest.URL = strings.Repeat("u", 512)
		b.Moved(one(n+1, preview.Live, time.Time{}), p)
	}
	if err := b.write(t.Context()); err != nil {
		t.Fatal(err)
	}
	var cm corev1.ConfigMap
	if err := kube.Get(t.Context(), types.NamespacedName{Namespace: "seedling", Name: ConfigMap}, &cm); err != nil {
		t.Fatal(err)
	}
	if n := len(cm.Data[key]); n > mostBytes || n < mostBytes/2 {
		t.Errorf("%d bytes", n)
	}
	if all := b.Previews(); all[0].Number != Most+50 {
		t.Errorf("the last ended is %d", all[0].Number)
	}
}

// What cannot be written is written later, and what cannot be read is no end.
func TestFailures(t *testing.T) {
	t.Parallel()
	now := start
	fails := true
	kube := fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
		if fails {
			return errors.New("no")
		}
		return c.Create(ctx, o, opts...)
	}}).Build()
	b := book(kube, &now)
	b.Moved(one(1, preview.Live, time.Time{}), one(1, preview.Ending, now))
	if err := b.write(t.Context()); err == nil {
		t.Fatal("a write that failed is no error")
	}
	fails = false
	if err := b.write(t.Context()); err != nil {
		t.Fatal(err)
	}
	var cm corev1.ConfigMap
	if err := kube.Get(t.Context(), types.NamespacedName{Namespace: "seedling", Name: ConfigMap}, &cm); err != nil {
		t.Fatal(err)
	}
	cm.Data[key] = "{"
	if err := kube.Update(t.Context(), &cm); err != nil {
		t.Fatal(err)
	}
	if err := book(kube, &now).read(t.Context()); err != nil {
		t.Errorf("what somebody broke stops it: %v", err)
	}
}
