package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/forge/forgetest"
	"github.com/seedling-dev/seedling/plugin/internal/kubefake"
	"github.com/seedling-dev/seedling/plugin/preview"
	"github.com/seedling-dev/seedling/plugin/server"
)

// modelLives is how many random lives a test run has, modelSteps how long one
// is. PLUGIN_SOAK, a duration, goes on with others until it is over;
// PLUGIN_MODEL=17 runs life 17 alone.
const (
	modelLives = 8
	modelSteps = 40
	modelPulls = 10
)

// TestModel is random lives of the whole server, driven over HTTP in a time of
// its own: forge and API server fail in every way they can, people and clusters
// change, and the process ends and begins anew. No Application disappears unless
// its pull request was closed, unlabelled or retargeted, a fresh preview was
// asked for, its namespace was deleted, or a person confirmed it; none appears
// unless somebody who may write asked for it. When everything is well again, the
// answer is what the forge says.
//
// What seems to come at the same moment may come in any order, so a life that
// failed may not fail each time it is run again.
func TestModel(t *testing.T) {
	t.Parallel()
	eachLife(t, modelLives, live)
}

// eachLife runs so many random lives side by side, and others one by one for as long
// as PLUGIN_SOAK says; or the one whose number is in PLUGIN_MODEL alone.
func eachLife(t *testing.T, lives uint64, live func(t *testing.T, n uint64)) {
	t.Helper()
	if only := os.Getenv("PLUGIN_MODEL"); only != "" {
		n, err := strconv.ParseUint(only, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		live(t, n)
		return
	}
	for n := range lives {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			live(t, n)
		})
	}
	soak, err := time.ParseDuration(os.Getenv("PLUGIN_SOAK"))
	if err != nil {
		return
	}
	for until, n := time.Now().Add(soak), uint64(time.Now().UnixNano()); time.Now().Before(until) && !t.Failed(); n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) { live(t, n) })
	}
}

// live is one life.
func live(t *testing.T, n uint64) {
	t.Helper()
	dir := secrets(t)
	synctest.Test(t, func(t *testing.T) {
		l := newLife(t, dir, n, features{})
		defer l.end()
		l.people(modelPulls)
		l.start()
		for range modelSteps {
			l.people(l.rng.IntN(3))
			if l.rng.IntN(3) == 0 {
				l.platform()
			}
			l.faults()
			l.pass(time.Duration(1+l.rng.IntN(90)) * time.Second)
		}
		l.heal()
	})
}

// TestSlowRepository: a repository whose list takes more than five minutes is
// refused until it is done, and then answered without a gap.
func TestSlowRepository(t *testing.T) {
	t.Parallel()
	dir := secrets(t)
	synctest.Test(t, func(t *testing.T) {
		l := newLife(t, dir, 1, features{})
		defer l.end()
		const pulls = 190
		l.world.PageSize = 5
		for n := int64(1); n <= pulls; n++ {
			l.open(n, "main")
		}
		calls := 0
		l.hub.set(func(w http.ResponseWriter, r *http.Request) bool {
			if !lists(r) {
				return false
			}
			// A page that fails does not begin the list anew.
			time.Sleep(8 * time.Second)
			calls++
			return calls%7 == 0 && says(http.StatusBadGateway, "text/html", "<html>")(w, r)
		})
		l.start()
		began := time.Now()
		for len(l.sets["previews"].apps) < pulls {
			time.Sleep(10 * time.Second)
			if code := l.ask("previews"); code != http.StatusOK && time.Since(began) > 15*time.Minute {
				t.Fatalf("after %s it is answered with %d\n%s", time.Since(began), code, l.log)
			}
			if n, took := len(l.sets["previews"].apps), time.Since(began); n > 0 && took < 5*time.Minute {
				t.Fatalf("%d were answered after %s, before the list was complete", n, took)
			}
			if time.Since(began) > time.Hour {
				t.Fatalf("%d of %d after an hour\n%s", len(l.sets["previews"].apps), pulls, l.log)
			}
		}
		for range 120 {
			time.Sleep(10 * time.Second)
			if code := l.ask("previews"); code != http.StatusOK {
				t.Fatalf("once listed, it is answered with %d\n%s", code, l.log)
			}
		}
	})
}

// TestForgeDown: while a forge does not answer, the last list does for five
// minutes, and then nothing: no Application goes.
func TestForgeDown(t *testing.T) {
	t.Parallel()
	dir := secrets(t)
	synctest.Test(t, func(t *testing.T) {
		l := newLife(t, dir, 1, features{})
		defer l.end()
		for n := int64(1); n <= modelPulls; n++ {
			l.open(n, "main")
		}
		l.start()
		for len(l.sets["previews"].apps) < modelPulls {
			time.Sleep(time.Second)
			l.ask("previews")
		}
		l.hub.set(says(http.StatusBadGateway, "text/html", "<html>"))
		down := time.Now()
		for time.Since(down) < 30*time.Minute {
			time.Sleep(10 * time.Second)
			code, age := l.ask("previews"), time.Since(down)
			if age < 4*time.Minute && code != http.StatusOK || age > 6*time.Minute && code != http.StatusServiceUnavailable {
				t.Fatalf("after %s it is answered with %d\n%s", age, code, l.log)
			}
		}
		l.hub.set(nil)
		for time.Since(down) < 33*time.Minute {
			time.Sleep(10 * time.Second)
			l.ask("previews")
		}
		if code := l.ask("previews"); code != http.StatusOK || len(l.sets["previews"].apps) != modelPulls {
			t.Fatalf("when it is back it is answered with %d and %d previews\n%s", code, len(l.sets["previews"].apps), l.log)
		}
	})
}

func secrets(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"token": "of-argo-cd", "forge": "of-the-forge", "webhook": "of-webhooks", "page": "of-people-who-look-at-it"} {
		write(t, dir, name, content)
	}
	return dir
}

// Why a preview may end, as the plugin says it.
const (
	causeClosed    = "the pull request is closed"
	causeGone      = "the pull request is not there any more"
	causeReopened  = "the pull request was closed and opened again"
	causeReset     = "a fresh preview was asked for"
	causeNamespace = "its namespace was deleted; it begins anew with fresh data"
	causeVolume    = "its volume was deleted; it begins anew with fresh data"
	causeUnasked   = "no ApplicationSet asks for it any more"
	causeLabel     = "the label was removed"
	causeTarget    = "its target branch does not match the filter"
)

// features are what a life's previews have beside the rest.
type features struct {
	// slots are made in advance, which takes the platform's Postgres; sleeps: they do
	// after ten minutes.
	slots, sleeps bool
}

// life is one plugin with what surrounds it.
type life struct {
	t    *testing.T
	dir  string
	rng  *rand.Rand // the story's
	wire *wire
	has  features

	world *forgetest.World
	kind  forgetest.Kind
	hub   *hub
	// skew is how far the forge's clock is ahead of the cluster's, ahead how far
	// the plugin's is.
	skew  time.Duration
	ahead atomic.Int64

	kube  *kubefake.Server
	api   *api
	close []func() error

	stop  context.CancelFunc
	ended chan error
	runs  int
	log   *record

	// Argo CD.
	client http.Client
	sets   map[string]*modelSet

	// before are versions of pull requests that a cache may still tell of.
	before map[int64]forgetest.Pull
	// legit is when somebody who may write asked for it last.
	legit map[int64]time.Time
	// sent are webhooks that may be delivered again.
	sent []delivery
	// holders are whose a slot was.
	holders map[string]preview.Key
	// heads are the commits that Applications ask for. It has a lock, for others than
	// the story read it.
	heads sync.Map
}

type delivery struct {
	header http.Header
	body   []byte
}

// modelSet is an ApplicationSet.
type modelSet struct {
	name, branch string
	there        bool
	// label is the one it asks for, which may be wrong; broken has an input that
	// cannot be read.
	label  string
	broken bool
	// confirmed is its annotation.
	confirmed string
	// apps are its Applications, by name; causes are why they may disappear. kept are
	// those that went with it: when it is back they may be as they were.
	apps   map[int64]string
	kept   map[int64]bool
	causes map[int64]map[string]bool
	// answered is when the last answer came.
	answered time.Time
}

func newLife(t *testing.T, dir string, seed uint64, has features) *life {
	t.Helper()
	l := &life{
		t: t, dir: dir, has: has, holders: map[string]preview.Key{}, rng: rand.New(rand.NewPCG(seed, 2)), wire: newWire(), kind: forgetest.Gitea(), log: &record{},
		before: map[int64]forgetest.Pull{}, legit: map[int64]time.Time{}, sets: map[string]*modelSet{},
	}
	l.skew = time.Duration(l.rng.IntN(240)-120) * time.Second
	l.client = http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DialContext: l.wire.dial}}
	l.world = &forgetest.World{Pulls: map[int64]*forgetest.Pull{}, Users: map[string]string{"maintainer": "write", "stranger": "read"}}
	l.world.PageSize = []int{2, 5, 50}[l.rng.IntN(3)]
	l.world.Unlabelled = l.unlabelled
	l.hub = &hub{life: l, handler: l.world.Handler(l.kind), lies: map[int64][]lie{}, truth: map[int64]time.Time{}, there: map[int64]time.Time{}}
	l.kube = kubefake.New(scheme())
	l.api = &api{rng: rand.New(rand.NewPCG(seed, 3))}
	l.kube.Fault, l.kube.Unanswered = l.api.fault, l.api.silent
	forgeAddress := fmt.Sprintf("git-%d-%p.test:80", seed, l)
	wires.Store(forgeAddress, l.wire)
	l.close = append(l.close, func() error { wires.Delete(forgeAddress); return nil })
	for address, h := range map[string]http.Handler{forgeAddress: l.hub, "kube.test:80": l.kube} {
		s := &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
		open := l.wire.listen(address)
		go s.Serve(open) //nolint:errcheck // until Close
		l.close = append(l.close, s.Close)
	}
	write(t, dir, "config.yaml", fmt.Sprintf(`namespace: seedling
tokenFile: %[1]s/token
forges:
  - {name: gitea, type: gitea, url: "http://%[2]s", credentialFile: %[1]s/forge, webhookSecretFile: %[1]s/webhook}
page: {tokenFile: %[1]s/page}
%[3]s`, dir, forgeAddress, map[bool]string{true: "seeds: [{name: seed, warm: 2}]\n"}[has.slots]))
	l.settle()
	return l
}

// settle puts into the cluster what has to be there.
func (l *life) settle() {
	for _, o := range kubefake.Around() {
		l.put(o)
	}
	l.storage(true)
	for name, branch := range map[string]string{"previews": "main", "releases": "release"} {
		s := &modelSet{name: name, branch: branch, there: true, label: forgetest.Label, apps: map[int64]string{}, kept: map[int64]bool{}, causes: map[int64]map[string]bool{}}
		l.sets[name] = s
		l.asks(s)
	}
}

func (l *life) put(o runtime.Object) {
	l.t.Helper()
	if err := l.kube.Put(o); err != nil {
		l.t.Fatal(err)
	}
}

func (l *life) storage(available bool) {
	phase := velerov1.BackupStorageLocationPhaseAvailable
	if !available {
		phase = velerov1.BackupStorageLocationPhaseUnavailable
	}
	l.put(&velerov1.BackupStorageLocation{
		ObjectMeta: metav1.ObjectMeta{Namespace: "velero", Name: "default"},
		Status:     velerov1.BackupStorageLocationStatus{Phase: phase},
	})
}

func (l *life) input(s *modelSet) map[string]any {
	in := map[string]any{"forge": "gitea", "repo": forgetest.Repository, "label": s.label, "filters": map[string]any{"targetBranch": "^" + s.branch + "$"}}
	if l.has.slots {
		in["postgres"] = preview.PostgresPlatform
	}
	if l.has.sleeps {
		in["sleepAfter"] = "10m"
	}
	if s.broken {
		in["nonsense"] = true
	}
	return in
}

// asks writes an ApplicationSet as it is meant to be.
func (l *life) asks(s *modelSet) {
	if !s.there {
		l.kube.Remove("ApplicationSet", "argocd", s.name)
		return
	}
	set := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationSet",
		"spec": map[string]any{"generators": []any{map[string]any{"plugin": map[string]any{
			"configMapRef": map[string]any{"name": "seedling-plugin"}, "input": map[string]any{"parameters": l.input(s)},
		}}}},
	}}
	set.SetNamespace("argocd")
	set.SetName(s.name)
	if s.confirmed != "" {
		set.SetAnnotations(map[string]string{snapshot.AnnotationEndConfirmed: s.confirmed})
	}
	l.put(set)
}

// now is the plugin's clock.
func (l *life) now() time.Time { return time.Now().Add(time.Duration(l.ahead.Load())) }

// start begins a process.
func (l *life) start() {
	l.t.Helper()
	cfg, err := readConfig(filepath.Join(l.dir, "config.yaml"), func(string) string { return "" })
	if err != nil {
		l.t.Fatal(err)
	}
	forges, err := cfg.openForges()
	if err != nil {
		l.t.Fatal(err)
	}
	l.runs++
	pod := fmt.Sprintf("plugin-%d", l.runs)
	p := &program{
		getenv: func(name string) string { return map[string]string{"POD_NAME": pod}[name] },
		stdout: io.Discard, log: slog.New(slog.NewTextHandler(l.log, &slog.HandlerOptions{Level: slog.LevelDebug})), now: l.now,
	}
	ctx, stop := context.WithCancel(context.Background())
	l.stop, l.ended = stop, make(chan error, 1)
	tokens := server.Tokens{Current: cfg.TokenFile, Previous: cfg.PreviousTokenFile}
	cluster := &rest.Config{Host: "http://kube.test", Dial: l.wire.dial, QPS: 100, Burst: 200}
	listen := func(_ context.Context, listeners []server.Listener) (open []net.Listener, err error) {
		for _, to := range listeners {
			open = append(open, l.wire.listen(to.Name+".test:80"))
		}
		return open, nil
	}
	ended := l.ended
	in := surroundings{cfg: cfg, forges: forges, tokens: tokens, cluster: cluster, listen: listen}
	go func() { ended <- p.run(ctx, in) }()
}

// restart ends the process and begins another; a crash is one whose last calls
// reach nobody.
func (l *life) restart(crash bool) {
	if crash {
		l.api.down(true)
		l.wire.cut("kube.test:80")
	}
	l.stop()
	l.note("it ended: %v", <-l.ended)
	l.api.down(false)
	l.start()
}

// end ends everything, so that nothing of this life goes on.
func (l *life) end() {
	l.hub.set(nil)
	l.api.set(nil)
	if l.stop != nil {
		l.stop()
		l.note("it ended: %v", <-l.ended)
	}
	for _, c := range l.close {
		if err := c(); err != nil {
			l.t.Error(err)
		}
	}
	l.wire.cut("")
	time.Sleep(time.Hour) // whatever waits for the last time
	l.wire.cut("")
}

func (l *life) note(format string, args ...any) {
	l.log.say("---- "+format, args...)
}

func (l *life) fatal(format string, args ...any) {
	l.t.Helper()
	l.t.Fatalf("%s\n\n%s", fmt.Sprintf(format, args...), l.log)
}

// record is the story, and what the plugin logged.
type record struct {
	mu    sync.Mutex
	lines []string
}

func (r *record) say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, time.Now().Format("15:04:05 ")+fmt.Sprintf(format, args...))
}

// Write implements io.Writer.
func (r *record) Write(b []byte) (int, error) {
	_, text, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	r.say("%s", text)
	return len(b), nil
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines[max(0, len(r.lines)-400):], "\n")
}

// ---- people

func (l *life) forgeNow() time.Time { return time.Now().Add(l.skew).Truncate(time.Second) }

func (l *life) any() int64 { return int64(1 + l.rng.IntN(modelPulls)) }

// change changes a pull request as somebody at the forge does, and tells the
// webhook, whose delivery it returns.
func (l *life) change(n int64, action string, change func(p *forgetest.Pull, at time.Time)) (told delivery) {
	at := l.forgeNow()
	l.world.Change(func() {
		l.remember()
		p := l.world.Pulls[n]
		if p == nil {
			p = &forgetest.Pull{Number: n}
			l.world.Pulls[n] = p
		} else {
			was := *p
			was.Labels = slices.Clone(p.Labels)
			l.before[n] = was
		}
		p.Labels = slices.Clone(p.Labels)
		change(p, at)
		p.Updated = at
		told.header, told.body = l.kind.Webhook(p, action, "of-webhooks")
	})
	switch l.rng.IntN(5) {
	case 0, 1: // lost
	case 2:
		l.sent = append(l.sent, told) // late
	case 3:
		l.sent = append(l.sent, told) // and again
		l.webhook(told)
	default:
		l.webhook(told)
	}
	return told
}

// open opens a pull request with its label.
func (l *life) open(n int64, branch string) {
	l.change(n, "opened", func(p *forgetest.Pull, at time.Time) {
		*p = forgetest.Pull{Number: n, Title: "Change", HeadRepository: forgetest.Repository, TargetBranch: branch, SHA: fmt.Sprintf("%040x", n)}
		l.label(p, at, "maintainer")
	})
}

// label puts the label on. The caller holds the world.
func (l *life) label(p *forgetest.Pull, at time.Time, by string) {
	p.Labels = append(p.Labels, forgetest.Label)
	p.Events = append(slices.Clone(p.Events), forgetest.Event{Label: forgetest.Label, By: by, Added: true, At: at})
}

// unlabelled is that the plugin took a label off. The forge holds the world.
func (l *life) unlabelled(p *forgetest.Pull, label string) {
	p.Labels = slices.DeleteFunc(slices.Clone(p.Labels), func(s string) bool { return s == label })
	p.Updated = l.forgeNow()
}

// may notes why a preview may end from now on.
func (l *life) may(n int64, cause string) {
	for _, s := range l.sets {
		s.may(n, cause)
	}
}

func (s *modelSet) may(n int64, cause string) {
	if s.causes[n] == nil {
		s.causes[n] = map[string]bool{}
	}
	s.causes[n][cause] = true
}

// wanted says whether it is open and somebody who may write asks for it. The
// caller holds the world.
func (l *life) wanted(p *forgetest.Pull) bool { return !p.Closed && l.consented(p) }

// consented says whether somebody who may write asks for it. The caller holds
// the world.
func (l *life) consented(p *forgetest.Pull) bool {
	if !slices.Contains(p.Labels, forgetest.Label) || p.HeadRepository != forgetest.Repository {
		return false
	}
	for _, e := range slices.Backward(p.Events) {
		if e.Label == forgetest.Label {
			return e.Added && l.world.Users[e.By] == "write"
		}
	}
	return false
}

// remember notes who is asked for by whom who may. The caller holds the world.
func (l *life) remember() {
	for n, p := range l.world.Pulls {
		if l.consented(p) {
			l.legit[n] = time.Now()
		}
	}
}

func (l *life) people(times int) {
	for range times {
		n := l.any()
		var p forgetest.Pull
		l.world.Change(func() {
			if is := l.world.Pulls[n]; is != nil {
				p = *is
			}
		})
		labelled := slices.Contains(p.Labels, forgetest.Label)
		switch k := l.rng.IntN(14); {
		case p.Number == 0:
			branch := []string{"main", "main", "release"}[l.rng.IntN(3)]
			l.note("%d is opened for %s", n, branch)
			l.open(n, branch)
		case k == 0 && !p.Closed:
			l.note("%d is closed", n)
			l.may(n, causeClosed)
			l.may(n, causeReopened)
			l.change(n, "closed", func(p *forgetest.Pull, at time.Time) { p.Closed, p.ClosedAt = true, at })
		case k <= 2 && p.Closed:
			l.note("%d is opened again", n)
			l.change(n, "reopened", func(p *forgetest.Pull, _ time.Time) { p.Closed = false })
		case k == 3 && labelled:
			l.note("%d is unlabelled", n)
			l.may(n, causeLabel)
			l.change(n, "labeled", func(p *forgetest.Pull, at time.Time) {
				p.Labels = slices.DeleteFunc(p.Labels, func(s string) bool { return s == forgetest.Label })
				p.Events = append(slices.Clone(p.Events), forgetest.Event{Label: forgetest.Label, By: "maintainer", At: at})
			})
		case k <= 5 && !labelled:
			by := []string{"maintainer", "maintainer", "maintainer", "stranger"}[l.rng.IntN(4)]
			l.note("%d is labelled by %s", n, by)
			l.change(n, "labeled", func(p *forgetest.Pull, at time.Time) { l.label(p, at, by) })
		case k == 6 && labelled:
			l.note("the label of %d is taken off and set by a stranger", n)
			l.may(n, causeLabel)
			l.change(n, "labeled", func(p *forgetest.Pull, at time.Time) {
				p.Events = append(slices.Clone(p.Events),
					forgetest.Event{Label: forgetest.Label, By: "maintainer", At: at},
					forgetest.Event{Label: forgetest.Label, By: "stranger", Added: true, At: at})
			})
		case k <= 8:
			l.note("a push to %d", n)
			l.change(n, "synchronized", func(p *forgetest.Pull, _ time.Time) { p.SHA = fmt.Sprintf("%040x", l.rng.Int64()) })
		case k == 9:
			l.note("%d goes for another branch", n)
			l.may(n, causeTarget)
			l.change(n, "edited", func(p *forgetest.Pull, _ time.Time) {
				p.TargetBranch = map[string]string{"main": "release", "release": "main"}[p.TargetBranch]
			})
		case k == 10 && !slices.Contains(p.Labels, preview.DefaultResetLabel):
			l.note("a fresh preview of %d is asked for", n)
			l.may(n, causeReset)
			l.change(n, "labeled", func(p *forgetest.Pull, _ time.Time) { p.Labels = append(p.Labels, preview.DefaultResetLabel) })
		case k == 11:
			may := []string{"write", "read"}[l.rng.IntN(2)]
			l.note("the maintainer may %s", may)
			l.world.Change(func() { l.remember(); l.world.Users["maintainer"] = may })
		case k == 13 && l.has.sleeps && !slices.Contains(p.Labels, preview.DefaultWakeLabel):
			l.note("%d is woken by a label", n)
			l.change(n, "labeled", func(p *forgetest.Pull, _ time.Time) { p.Labels = append(p.Labels, preview.DefaultWakeLabel) })
		case k == 12 && len(l.sent) > 0:
			at := l.rng.IntN(len(l.sent))
			l.note("a webhook is delivered late")
			l.webhook(l.sent[at])
		}
	}
}

// webhook delivers one. What the plugin says to it does not matter.
func (l *life) webhook(d delivery) {
	req, err := http.NewRequestWithContext(l.t.Context(), http.MethodPost, "http://webhook.test/webhook/gitea", bytes.NewReader(d.body))
	if err != nil {
		l.t.Fatal(err)
	}
	req.Header = d.header.Clone()
	if res, err := l.client.Do(req); err == nil {
		res.Body.Close()
	}
}

// ---- platform

func (l *life) set() *modelSet {
	return l.sets[[]string{"previews", "previews", "releases"}[l.rng.IntN(3)]]
}

func (l *life) platform() {
	s := l.set()
	switch l.rng.IntN(13) {
	case 0:
		l.note("the plugin is restarted")
		l.restart(false)
	case 1:
		l.note("the plugin crashes")
		l.restart(true)
	case 2:
		step := time.Duration(l.rng.IntN(7200)-3600) * time.Second
		l.note("our clock steps by %s", step)
		l.ahead.Add(int64(step))
	case 3:
		if len(s.apps) > 0 {
			n := slices.Sorted(maps.Keys(s.apps))[l.rng.IntN(len(s.apps))]
			l.note("the namespace of %d in %s is deleted", n, s.name)
			s.may(n, causeNamespace)
			l.kube.Remove("Namespace", "", s.apps[n])
		}
	case 4:
		l.note("%s has another label by mistake", s.name)
		s.label = "staging"
		l.asks(s)
	case 5, 6:
		l.note("%s is right", s.name)
		s.label, s.broken, s.there = forgetest.Label, false, true
		l.asks(s)
	case 7:
		l.note("%s has an input that cannot be read", s.name)
		s.broken = true
		l.asks(s)
	case 8:
		l.note("%s is gone, its Applications are not", s.name)
		s.there = false
		l.asks(s)
	case 9:
		if s.there {
			l.note("%s is gone with its Applications", s.name)
			s.there = false
			l.asks(s)
			for n, name := range s.apps {
				l.kube.Remove("Application", "argocd", name)
				s.kept[n] = true
			}
			clear(s.apps)
			clear(s.causes)
		}
	case 10:
		available := l.rng.IntN(2) == 0
		l.note("Velero's storage is available: %v", available)
		l.storage(available)
	case 11:
		l.note("somebody touches the state")
		if all := l.kube.Objects("ConfigMap"); len(all) > 0 {
			if cm := all[l.rng.IntN(len(all))]; cm.GetNamespace() == "seedling" {
				cm.SetAnnotations(map[string]string{"touched": strconv.Itoa(l.rng.Int())})
				l.put(cm)
			}
		}
	case 12:
		l.note("watches end")
		l.kube.EndWatches()
	}
}

func (l *life) key(s *modelSet, n int64) preview.Key {
	return preview.Key{ForgeURL: l.forgeURL(), Repository: forgetest.Repository, ApplicationSet: s.name, Number: n}
}

func (l *life) forgeURL() string {
	cfg, err := readConfig(filepath.Join(l.dir, "config.yaml"), func(string) string { return "" })
	if err != nil {
		l.t.Fatal(err)
	}
	return cfg.Forges[0].URL
}

// ---- Argo CD

// pass lets time go on. Argo CD asks more often than it does, so that nothing
// is missed.
func (l *life) pass(d time.Duration) {
	for until := time.Now().Add(d); time.Now().Before(until); {
		for _, s := range l.sets {
			s.few()
		}
		time.Sleep(time.Duration(1+l.rng.IntN(12)) * time.Second)
		select {
		case err := <-l.ended:
			l.note("the process ended: %v", err)
			if err == nil {
				l.fatal("it ended without being asked to")
			}
			l.start()
		default:
		}
		for _, name := range []string{"previews", "releases"} {
			if l.sets[name].there {
				l.ask(name)
			}
		}
	}
}

// few lets those of an ApplicationSet with a wrong label end where they are too
// few for the guard.
func (s *modelSet) few() {
	untold := 0
	for n := range s.apps {
		if len(s.causes[n]) == 0 {
			untold++
		}
	}
	if s.label == forgetest.Label || untold > 2 {
		return
	}
	for n := range s.apps {
		s.may(n, causeLabel)
	}
}

// ask asks for an ApplicationSet, and takes in the answer. It returns the status
// code, 0 for none.
func (l *life) ask(name string) int {
	s := l.sets[name]
	request, err := json.Marshal(map[string]any{"applicationSetName": name, "input": map[string]any{"parameters": l.input(s)}})
	if err != nil {
		l.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(l.t.Context(), http.MethodPost, "http://generator.test"+server.GeneratorPath, bytes.NewReader(request))
	if err != nil {
		l.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer of-argo-cd")
	res, err := l.client.Do(req)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return 0
	}
	switch {
	case res.StatusCode == http.StatusInternalServerError:
		l.fatal("the plugin panicked: %s", body)
	case s.broken && res.StatusCode == http.StatusOK:
		l.fatal("an input that cannot be read is answered: %s", body)
	case res.StatusCode == http.StatusOK:
		l.judge(s, body)
	}
	return res.StatusCode
}

// judge is what Argo CD does with an answer, and whether that is right.
func (l *life) judge(s *modelSet, body []byte) {
	var answer struct {
		Output struct {
			Parameters []map[string]string `json:"parameters"`
		} `json:"output"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		l.fatal("%s is no answer: %v", body, err)
	}
	is, whose := map[int64]string{}, map[string]int64{}
	for _, p := range answer.Output.Parameters {
		n, err := strconv.ParseInt(p["number"], 10, 64)
		if err != nil || p["app_name"] == "" {
			l.fatal("%v is no preview", p)
		}
		if other := whose[p["app_name"]]; other != 0 {
			l.fatal("%s is the namespace of %d and of %d", p["app_name"], other, n)
		}
		is[n], whose[p["app_name"]] = p["app_name"], n
		l.heads.Store(p["app_name"], p["head_sha"])
	}
	for n, name := range s.apps {
		if is[n] == name {
			continue
		}
		l.mayLeave(s, n)
		delete(s.apps, n)
		l.heads.Delete(name)
		l.kube.Remove("Application", "argocd", name)
	}
	l.world.Change(l.remember)
	for n, name := range is {
		if s.apps[n] == "" {
			l.comes(s, n, name)
		}
	}
	s.answered = time.Now()
}

// comes sees that an Application comes for a reason, and that its namespace is its
// own.
func (l *life) comes(s *modelSet, n int64, name string) {
	if asked := l.legit[n]; !s.kept[n] && s.answered.Sub(asked) > 90*time.Second && !s.answered.IsZero() || asked.IsZero() && !s.kept[n] {
		l.fatal("pull request %d is in the answer for %s, and nobody who may write asked for it since %s", n, s.name, asked.Format("15:04:05"))
	}
	if snapshot.IsSlot(name) {
		if holder, had := l.holders[name]; had && holder != l.key(s, n) {
			l.fatal("%s was given to %+v, and is given to %+v", name, holder, l.key(s, n))
		}
		l.holders[name] = l.key(s, n)
	}
	s.apps[n] = name
	delete(s.kept, n)
	l.forgive(s, n)
	app := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "spec": map[string]any{"project": "previews"}}}
	app.SetNamespace("argocd")
	app.SetName(name)
	l.put(app)
}

// forgive forgets why a preview might have ended before it came, but what is
// still so.
func (l *life) forgive(s *modelSet, n int64) {
	keep := map[string]bool{}
	l.world.Change(func() {
		p := l.world.Pulls[n]
		if p.Closed {
			keep[causeClosed], keep[causeReopened] = true, true
		}
		if !slices.Contains(p.Labels, forgetest.Label) {
			keep[causeLabel] = true
		}
		if slices.Contains(p.Labels, preview.DefaultResetLabel) {
			keep[causeReset] = true
		}
		if p.TargetBranch != s.branch {
			keep[causeTarget] = true
		}
	})
	s.causes[n] = keep
}

// mayLeave sees that an Application disappears for a reason.
func (l *life) mayLeave(s *modelSet, n int64) {
	l.t.Helper()
	reason, phase := "", preview.Phase("")
	for _, cm := range l.kube.Objects("ConfigMap") {
		var state struct {
			Previews []preview.Preview `json:"previews"`
		}
		text, _, _ := unstructured.NestedString(cm.Object, "data", "state.json")
		if json.Unmarshal([]byte(text), &state) != nil {
			continue
		}
		for _, p := range state.Previews {
			if p.Number == n && p.ApplicationSet == s.name {
				reason, phase = p.Reason, p.Phase
			}
		}
	}
	l.note("%d left %s: %s %s", n, s.name, phase, reason)
	told := s.causes[n]
	switch {
	case phase != preview.Ending:
		reason = "" // it ended, and begins anew
	case reason == causeGone && l.hub.saidGone(n), reason == causeLabel && l.hub.saidUnlabelled(n):
		return
	case reason == causeGone && told[causeClosed]:
		return // by number it was not there, and lists lack it for they have open ones
	}
	if len(told) == 0 && !l.hub.saidGone(n) && !l.hub.saidUnlabelled(n) || reason != "" && !told[reason] {
		l.fatal("pull request %d left the answer for %s (%s: %s); what happened to it: %v", n, s.name, phase, reason, slices.Sorted(maps.Keys(told)))
	}
}

var confirms = regexp.MustCompile(regexp.QuoteMeta(snapshot.AnnotationEndConfirmed) + `=([0-9]+-[0-9a-f]+)`)

// heal makes everything well, and waits for the answer to be what the forge says.
func (l *life) heal() {
	l.note("all is well")
	l.hub.set(nil)
	l.api.set(nil)
	l.storage(true)
	l.world.Change(func() { l.remember(); l.world.Users["maintainer"] = "write" })
	for _, s := range l.sets {
		s.there, s.broken, s.label = true, false, forgetest.Label
		l.asks(s)
	}
	var wrong string
	for range 150 {
		l.pass(time.Minute)
		l.confirm()
		if wrong = l.differs(); wrong == "" {
			return
		}
	}
	l.fatal("it is not what the forge says: %s", wrong)
}

// confirm confirms what the guard keeps back, as a person who looked would.
func (l *life) confirm() {
	res, err := l.client.Get("http://health.test/status")
	if err != nil {
		return
	}
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	if err != nil {
		return
	}
	for line := range strings.Lines(string(page)) {
		m := confirms.FindStringSubmatch(line)
		for _, s := range l.sets {
			if m == nil || !strings.Contains(line, "annotate --overwrite applicationset "+s.name+" ") || s.confirmed == m[1] {
				continue
			}
			l.note("a person confirms %s for %s", m[1], s.name)
			for n := range s.apps {
				for _, cause := range []string{causeNamespace, causeLabel, causeTarget, causeGone} {
					s.may(n, cause)
				}
			}
			s.confirmed = m[1]
			l.asks(s)
		}
	}
}

// differs says how the answers differ from what the forge says.
func (l *life) differs() string {
	var wrong []string
	l.world.Change(func() {
		for _, name := range []string{"previews", "releases"} {
			s := l.sets[name]
			for n := int64(1); n <= modelPulls; n++ {
				p := l.world.Pulls[n]
				want := p != nil && l.wanted(p) && p.TargetBranch == s.branch
				// One whose label a stranger set anew may go on, unless it ends.
				may := p != nil && !p.Closed && slices.Contains(p.Labels, forgetest.Label) && p.TargetBranch == s.branch
				switch {
				case want && s.apps[n] == "":
					wrong = append(wrong, fmt.Sprintf("%s lacks %d", name, n))
				case s.apps[n] != "" && !may:
					wrong = append(wrong, fmt.Sprintf("%s has %d", name, n))
				}
			}
		}
	})
	return strings.Join(wrong, ", ")
}

// ---- faults

func (l *life) faults() {
	l.hub.set(nil)
	l.api.set(nil)
	if l.rng.IntN(10) < 7 {
		l.hub.choose()
	}
	if l.rng.IntN(10) < 3 {
		l.api.choose(l)
	}
}

// api is what goes wrong between the plugin and the API server.
type api struct {
	mu    sync.Mutex
	rng   *rand.Rand
	now   func(w http.ResponseWriter, r *http.Request) bool
	quiet bool // writes are done and not answered, now and then
	ended bool // nothing reaches it
}

func (a *api) set(f func(http.ResponseWriter, *http.Request) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now, a.quiet = f, false
}

func (a *api) down(down bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = down
}

func (a *api) one(in int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.rng.IntN(in) == 0
}

func (a *api) fault(w http.ResponseWriter, r *http.Request) bool {
	a.mu.Lock()
	f, ended := a.now, a.ended
	a.mu.Unlock()
	if ended {
		panic(http.ErrAbortHandler)
	}
	return f != nil && f(w, r)
}

func (a *api) silent(r *http.Request) bool {
	a.mu.Lock()
	quiet := a.quiet
	a.mu.Unlock()
	return quiet && r.Method != http.MethodGet && a.one(3)
}

func (a *api) choose(l *life) {
	says := func(code int, reason string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d,"message":"no"}`, reason, code)
			return true
		}
	}
	some := func(in int, f func(http.ResponseWriter, *http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool { return a.one(in) && f(w, r) }
	}
	all := map[string]func(http.ResponseWriter, *http.Request) bool{
		"fails now and then": some(2, says(500, "InternalError")),
		"fails":              says(503, "ServiceUnavailable"),
		"has other writers": func(w http.ResponseWriter, r *http.Request) bool {
			return (r.Method == http.MethodPut || r.Method == http.MethodPatch) && a.one(2) && says(409, "Conflict")(w, r)
		},
		"forbids writes": func(w http.ResponseWriter, r *http.Request) bool {
			return r.Method != http.MethodGet && !strings.Contains(r.URL.Path, "/leases") && says(403, "Forbidden")(w, r)
		},
		"hangs now and then": some(4, func(_ http.ResponseWriter, r *http.Request) bool {
			select {
			case <-time.After(90 * time.Second):
			case <-r.Context().Done():
			}
			panic(http.ErrAbortHandler)
		}),
		"is slow": func(_ http.ResponseWriter, r *http.Request) bool {
			select {
			case <-time.After(3 * time.Second):
			case <-r.Context().Done():
			}
			return false
		},
		"is full": some(2, func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Retry-After", "1")
			return says(429, "TooManyRequests")(w, r)
		}),
	}
	names := append(slices.Sorted(maps.Keys(all)), "does and does not answer")
	name := names[l.rng.IntN(len(names))]
	l.note("  the API server %s", name)
	a.set(all[name])
	if all[name] == nil {
		a.mu.Lock()
		a.quiet = true
		a.mu.Unlock()
	}
}
