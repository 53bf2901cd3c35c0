package preview

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/seedling-dev/seedling/plugin/forge"
)

// deploying is a forge with deployments.
type deploying struct {
	*host
	mu    sync.Mutex
	there map[string]forge.Deployment
	calls int
	fails error
}

func (d *deploying) Deploy(_ context.Context, _ string, what forge.Deployment) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.calls++; d.fails != nil {
		return d.fails
	}
	d.there[what.Name] = what
	return nil
}

func (d *deploying) EndDeployments(_ context.Context, _, _, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.calls++; d.fails != nil {
		return d.fails
	}
	delete(d.there, name)
	return nil
}

// deployed is a world whose forge has deployments, with that many previews that are
// ready.
func deployed(t *testing.T, pulls int64, fields map[string]string) (*world, *deploying) {
	t.Helper()
	h := newHost()
	for n := range pulls {
		h.set(pull(n + 1))
	}
	w := newWorld(t, h)
	d := &deploying{host: h, there: map[string]forge.Deployment{}}
	w.begin(d, fields)
	w.mustRound()
	for n := range pulls {
		p, _ := w.preview(n + 1)
		(&model{world: w}).restored(p)
	}
	return w, d
}

// begin is a restart with that forge.
func (w *world) begin(d *deploying, fields map[string]string) {
	w.t.Helper()
	w.linger = 15 * pollEvery
	w.restart()
	w.Forges["gitea"], w.Deployments = d, true
	w.asks(asksWith(fields))
}

// TestDeployments: a deployment is there from when its preview is ready until its
// end, at the commit that it has.
func TestDeployments(t *testing.T) {
	t.Parallel()
	fields := map[string]string{"domain": `"example.com"`}
	w, d := deployed(t, 1, fields)
	p, _ := w.preview(1)
	if d.calls != 0 {
		t.Errorf("it was told of before it was ready: %v", d.there)
	}
	at := func(when, sha string) {
		t.Helper()
		w.mustRound()
		switch got, there := d.there[p.Namespace]; {
		case sha == "" && there:
			t.Errorf("%s: there is %+v", when, got)
		case sha != "" && (got.SHA != sha || got.Group != "previews" || got.Number != 1 || got.URL != "https://"+p.Namespace+".example.com" ||
			got.LogURL != "https://argocd.example.com/applications/"+p.Namespace):
			t.Errorf("%s: there is %+v", when, got)
		}
	}
	at("ready", sha1)
	for range 30 {
		w.mustRound()
	}
	if d.calls != 1 {
		t.Errorf("it was told %d times", d.calls)
	}
	w.begin(d, fields)
	at("after a restart", sha1)
	if d.calls > 2 {
		t.Errorf("after a restart it was told %d times more", d.calls-1)
	}
	w.SyncFailed(p.Namespace, sha2, "hook Job migrate failed")
	w.host.set(pull(1, push(sha2)))
	at("a push that cannot be synced", sha1)
	w.SyncFailed(p.Namespace, sha2, "")
	at("synced", sha2)
	w.host.set(pull(1, label("preview-keep"), push(sha2))) // what was said is written down with that
	at("kept", sha2)
	calls := d.calls
	w.begin(d, fields)
	at("kept, after a restart", sha2)
	if d.calls != calls {
		t.Errorf("after a restart it was told %d times", d.calls-calls)
	}
	w.host.set(pull(1, unlabelled, push(sha2)))
	at("unlabelled", "")
	calls = d.calls
	w.mustRound()
	if d.calls != calls {
		t.Error("its end was told twice")
	}
	w.begin(d, fields)
	at("ended, after a restart", "")
}

// TestDeploymentsEndAtLast: an end that the forge could not be told of is told when
// the preview is long gone, and a set that is broken ends none.
func TestDeploymentsEndAtLast(t *testing.T) {
	t.Parallel()
	w, d := deployed(t, 2, nil)
	w.mustRound()
	if len(d.there) != 2 {
		t.Fatalf("there are %v", d.there)
	}
	d.fails = errDown
	w.host.set(pull(1, unlabelled))
	for range 3 {
		w.mustRound()
	}
	w.remove(1)
	w.mustRound()
	w.asks(asksWith(map[string]string{"label": "1"})) // it cannot be read
	d.fails = nil
	for range 20 {
		w.mustRound()
	}
	if p, _ := w.preview(2); len(d.there) != 1 || d.there[p.Namespace].SHA != sha1 {
		t.Errorf("there are %v", d.there)
	}
	if _, kept := w.repo().deployed[Key{ForgeURL: w.host.URL(), Repository: "acme/shop", ApplicationSet: "previews", Number: 1}.Namespace()]; kept {
		t.Error("what is over is remembered")
	}
	if n := strings.Count(w.said.String(), "deployment is not shown"); n != 1 {
		t.Errorf("that it failed was said %d times", n)
	}
	// Once nobody wants them, those that are there end.
	w.asks(asksWith(map[string]string{"deployments": "false"}))
	w.mustRound()
	if len(d.there) != 0 {
		t.Errorf("there are %v, and nobody wants them", d.there)
	}
}

// TestDeploymentsAreBounded: many wait, a forge that lets us make none is asked
// seldom and said so of once, and previews go on all the same.
func TestDeploymentsAreBounded(t *testing.T) {
	t.Parallel()
	w, d := deployed(t, 40, nil)
	w.mustRound()
	if len(d.there) == 0 || len(d.there) > deploysAtOnce+2 {
		t.Errorf("%d were told at once", len(d.there))
	}
	for range 15 {
		w.mustRound()
	}
	if len(d.there) != 40 {
		t.Errorf("there are %d", len(d.there))
	}

	w, d = deployed(t, 30, nil)
	d.fails = fmt.Errorf("403: %w", forge.ErrCredential)
	for range 50 {
		w.mustRound()
	}
	if d.calls != 1 || len(w.answered()) != 30 {
		t.Errorf("the forge was asked %d times, answered is %v", d.calls, w.answered())
	}
	if n := strings.Count(w.said.String(), "does not let us show deployments"); n != 1 {
		t.Errorf("it was said %d times", n)
	}
	d.fails = nil
	for range 60 {
		w.mustRound()
	}
	if len(d.there) != 30 {
		t.Errorf("once it lets us there are %d", len(d.there))
	}
}

// TestDeploymentsThatCannotBe: who asks for them where there are none is told so.
func TestDeploymentsThatCannotBe(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newHost(pull(1)))
	w.Deployments = true
	w.mustRound()
	for _, value := range []string{"true", "false"} {
		asked := asksWith(map[string]string{"deployments": value})
		_, err := ReadInput(w.Forges, asked)
		if wrong, ok := errors.AsType[*InputError](err); ok != (value == "true") || ok && wrong.Field != "deployments" {
			t.Errorf("deployments: %s: error %v", value, err)
		}
	}
	for _, own := range []map[string]json.RawMessage{
		asksWith(map[string]string{"waitForStatus": `"seedling/previews/1"`}),
		asksWith(map[string]string{"paths": `{"api":{"paths":"api","waitForStatus":"seedling/x"}}`}),
	} {
		if _, err := ParseInput(own); err == nil {
			t.Errorf("a head may wait for our own status: %s", own)
		}
	}
}
