package preview

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/forge"
)

// cluster is the fake client with UIDs, and with failures on demand.
type cluster struct {
	client.WithWatch

	mu   sync.Mutex
	uids int
	// fail is asked before each call: verb, and the object or list.
	fail func(verb string, object runtime.Object) error
	// calls are counted by verb and kind.
	calls map[string]int
	// slow: the controller of quotas does nothing.
	slow bool
}

func newCluster(t *testing.T, objects ...client.Object) *cluster {
	t.Helper()
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme, networkingv1.AddToScheme, rbacv1.AddToScheme, velerov1.AddToScheme} {
		if err := add(s); err != nil {
			t.Fatal(err)
		}
	}
	c := &cluster{calls: map[string]int{}}
	c.WithWatch = fake.NewClientBuilder().WithScheme(s).WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(ctx context.Context, under client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			if err := c.call("create", o); err != nil {
				return err
			}
			c.mu.Lock()
			c.uids++
			o.SetUID(types.UID(fmt.Sprintf("uid-%d", c.uids)))
			c.mu.Unlock()
			c.counted(o)
			return under.Create(ctx, o, opts...)
		},
		Get: func(ctx context.Context, under client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if err := c.call("get", o); err != nil {
				return err
			}
			return under.Get(ctx, key, o, opts...)
		},
		List: func(ctx context.Context, under client.WithWatch, l client.ObjectList, opts ...client.ListOption) error {
			if err := c.call("list", l); err != nil {
				return err
			}
			return under.List(ctx, l, opts...)
		},
		Update: func(ctx context.Context, under client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			if err := c.call("update", o); err != nil {
				return err
			}
			c.counted(o)
			return under.Update(ctx, o, opts...)
		},
		Patch: func(ctx context.Context, under client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			if err := c.call("patch", o); err != nil {
				return err
			}
			if err := under.Patch(ctx, o, p, opts...); err != nil {
				return err
			}
			return controlled(ctx, under, o)
		},
	}).Build()
	return c
}

// counted does what the controller of quotas does.
func (c *cluster) counted(o client.Object) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if q, ok := o.(*corev1.ResourceQuota); ok && !c.slow {
		q.Status.Hard = q.Spec.Hard.DeepCopy()
	}
}

// controlled does what the controllers of workloads do when one was changed.
func controlled(ctx context.Context, under client.Client, o client.Object) error {
	switch o := o.(type) {
	case *appsv1.Deployment:
		if o.Annotations[AnnotationWoken] != "" {
			is := o.DeepCopy()
			is.Status.Replicas = *is.Spec.Replicas
			return under.Status().Update(ctx, is)
		}
	case *appsv1.StatefulSet:
		if o.Annotations[AnnotationWoken] != "" {
			is := o.DeepCopy()
			is.Status.Replicas = *is.Spec.Replicas
			return under.Status().Update(ctx, is)
		}
	}
	return nil
}

func (c *cluster) call(verb string, o runtime.Object) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[fmt.Sprintf("%s %T", verb, o)]++
	if c.fail == nil {
		return nil
	}
	return c.fail(verb, o)
}

func (c *cluster) failing(f func(verb string, object runtime.Object) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = f
}

func (c *cluster) slowQuotas(slow bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slow = slow
}

func (c *cluster) called(what string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[what]
}

var errDown = errors.New("it does not answer")

// host is a forge in memory.
type host struct {
	mu       sync.Mutex
	pulls    map[int64]forge.PullRequest
	hidden   map[int64]bool // left out of lists
	lacked   func(n int64)  // told of each that a list does not have
	there    func(n int64)  // told of each that was open, by number
	writers  map[string]bool
	labelled map[int64]string // by whom
	// labelledAt is when, by the forge's clock.
	labelledAt map[int64]time.Time
	green      map[string]bool
	statuses   map[string]forge.Status // by sha
	removed    []int64
	lists      int
	listErr    error
	getErr     error
	askErr     error
	listed     func() // within a list
	// lies is asked before a question is answered; listed too where list is true.
	lies  func(n int64, list bool) (p forge.PullRequest, err error, lie bool)
	asked int // who labelled
	// files by head, commits by branch and path
	files       map[string]forge.Changes
	commits     map[string][]forge.Commit
	filesErr    error
	untold      map[int64]bool // their files are not told
	listedFiles int
	// comments are by pull request; spoken counts writes of them. A comment changes
	// its pull request, as it does at every forge.
	comments   map[int64][]remark
	spoken     int
	commentErr error
	public     bool
	// removals of label preview that the record of events tells of, others of other
	// labels
	removals map[int64]time.Time
	others   map[int64]map[string]time.Time
}

func newHost(pulls ...forge.PullRequest) *host {
	h := &host{
		pulls: map[int64]forge.PullRequest{}, hidden: map[int64]bool{}, labelled: map[int64]string{}, labelledAt: map[int64]time.Time{},
		files: map[string]forge.Changes{}, commits: map[string][]forge.Commit{},
		removals: map[int64]time.Time{}, writers: map[string]bool{"maintainer": true}, green: map[string]bool{}, statuses: map[string]forge.Status{},
	}
	for _, p := range pulls {
		h.set(p)
	}
	return h
}

// set changes a pull request, with what the record of events then tells.
func (h *host) set(p forge.PullRequest) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if was := h.pulls[p.Number]; was.HasLabel("preview") && !p.HasLabel("preview") {
		h.removals[p.Number] = p.UpdatedAt
	} else if p.HasLabel("preview") {
		delete(h.removals, p.Number)
	}
	for _, label := range h.pulls[p.Number].Labels {
		if label != "preview" && !p.HasLabel(label) {
			h.took(p.Number, label, p.UpdatedAt)
		}
	}
	h.pulls[p.Number] = p
	if _, ok := h.labelled[p.Number]; !ok {
		h.labelled[p.Number] = "maintainer"
	}
}

// took records that a label that asks for nothing was taken off.
func (h *host) took(n int64, label string, at time.Time) {
	if h.others == nil {
		h.others = map[int64]map[string]time.Time{}
	}
	if h.others[n] == nil {
		h.others[n] = map[string]time.Time{}
	}
	h.others[n][label] = at
}

func (h *host) missing(n int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ok := h.pulls[n]
	return !ok
}

func (h *host) with(f func(*host)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(h)
}

func (h *host) Name() string                          { return "gitea" }
func (h *host) URL() string                           { return "https://git.example.com" }
func (h *host) Login(context.Context) (string, error) { return "seedling", nil }

// pass is a list of one call.
type pass struct {
	*host
	list forge.List
}

func (h *host) List(string, forge.Query) forge.Lister { return &pass{host: h} }

func (p *pass) List() forge.List { return p.list }

func (p *pass) Next(context.Context) (bool, error) {
	list, err := p.all()
	p.list.PullRequests = list
	return err == nil, err
}

func (h *host) all() ([]forge.PullRequest, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lists++
	if h.listed != nil {
		h.listed()
	}
	if h.listErr != nil {
		return nil, h.listErr
	}
	var out []forge.PullRequest
	for n, p := range h.pulls {
		if h.lies != nil {
			if old, err, lie := h.lies(n, true); lie && err == nil {
				p = old
			}
		}
		switch {
		case p.Open && !h.hidden[n]:
			out = append(out, p)
		case h.lacked != nil:
			h.lacked(n)
		}
	}
	return out, nil
}

func (h *host) Get(_ context.Context, _ string, n int64) (forge.PullRequest, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.getErr != nil {
		return forge.PullRequest{}, h.getErr
	}
	if h.lies != nil {
		if p, err, lie := h.lies(n, false); lie {
			return p, err
		}
	}
	p, ok := h.pulls[n]
	if !ok {
		return p, forge.ErrGone
	}
	if h.there != nil && p.Open {
		h.there(n)
	}
	return p, nil
}

// Labelled tells of label preview, or an approval, and of others that they are
// there or were taken off.
func (h *host) Labelled(_ context.Context, _ string, n int64, label string) (forge.Labelled, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.askErr != nil {
		return forge.Labelled{}, h.askErr
	}
	h.asked++
	if label != "preview" && label != forge.Approved {
		at, removed := h.others[n][label]
		switch {
		case h.pulls[n].HasLabel(label):
			return forge.Labelled{By: "maintainer", At: h.labelledAt[n]}, nil
		case removed:
			return forge.Labelled{}, &forge.UnlabelledError{At: at}
		}
		return forge.Labelled{}, forge.ErrNotLabelled
	}
	if at, ok := h.removals[n]; ok {
		return forge.Labelled{}, &forge.UnlabelledError{At: at}
	}
	if h.labelled[n] == "" {
		return forge.Labelled{}, forge.ErrNotLabelled
	}
	return forge.Labelled{By: h.labelled[n], At: h.labelledAt[n]}, nil
}

func (h *host) CanWrite(_ context.Context, _, login string) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.writers[login], nil
}

func (h *host) Passed(_ context.Context, _, sha, status string) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.green[sha] || h.green[sha+" "+status], nil
}

func (h *host) Changes(_ context.Context, _ string, n int64, head string) (forge.Changes, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listedFiles++
	if h.filesErr != nil || h.untold[n] {
		return forge.Changes{}, cmp.Or(h.filesErr, errDown)
	}
	if h.pulls[n].HeadSHA != head {
		return forge.Changes{}, forge.ErrOtherHead
	}
	return h.files[head], nil
}

func (h *host) Touched(_ context.Context, _, branch, path string) ([]forge.Commit, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.filesErr != nil {
		return nil, h.filesErr
	}
	return h.commits[branch+" "+path], nil
}

func (h *host) SetStatus(_ context.Context, _, sha string, s forge.Status) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.statuses[sha] = s
	return nil
}

func (h *host) RemoveLabel(_ context.Context, _ string, n int64, label string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.pulls[n]
	p.Labels = slices.DeleteFunc(slices.Clone(p.Labels), func(l string) bool { return l == label })
	h.pulls[n] = p
	h.took(n, label, p.UpdatedAt)
	h.removed = append(h.removed, n)
	return nil
}

func (h *host) Signed(http.Header) bool { return true }

func (h *host) Event(http.Header, []byte) (forge.Event, error) {
	return forge.Event{}, forge.ErrIgnored
}

// remark is a comment.
type remark struct{ id, by, body string }

func (h *host) OwnComment(_ context.Context, _ string, n int64, marker string) (forge.Comment, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.commentErr != nil {
		return forge.Comment{}, h.commentErr
	}
	for _, c := range h.comments[n] {
		if c.by == "seedling" && strings.HasSuffix(strings.TrimSpace(c.body), marker) {
			return forge.Comment{ID: c.id, Body: c.body}, nil
		}
	}
	return forge.Comment{}, nil
}

func (h *host) AddComment(_ context.Context, _ string, n int64, body string) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.commentErr != nil {
		return "", h.commentErr
	}
	if h.comments == nil {
		h.comments = map[int64][]remark{}
	}
	h.touch(n)
	id := fmt.Sprint(n*100 + int64(len(h.comments[n])))
	h.comments[n] = append(h.comments[n], remark{id, "seedling", body})
	return id, nil
}

func (h *host) EditComment(_ context.Context, _ string, n int64, id, body string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, c := range h.comments[n] {
		if c.id == id {
			h.touch(n)
			h.comments[n][i].body = body
			return nil
		}
	}
	return forge.ErrNoComment
}

// touch changes a pull request by a comment.
func (h *host) touch(n int64) {
	h.spoken++
	p := h.pulls[n]
	p.UpdatedAt = p.UpdatedAt.Add(time.Second)
	h.pulls[n] = p
}

func (h *host) Private(context.Context, string) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.public, h.commentErr
}

// seeds says which seeds have a snapshot.
type seeds struct {
	mu   sync.Mutex
	none map[string]bool
	err  error
}

func (s *seeds) Newest(_ context.Context, seed string) (*velerov1.Backup, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	if s.none[seed] {
		return nil, fmt.Errorf("%w of seed %s: it has no Backup yet", snapshot.ErrNone, seed)
	}
	return &velerov1.Backup{}, nil
}

func (s *seeds) set(seed string, none bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.none[seed] = none
}

// world is a Reconciler over fakes. Rounds are run by hand.
type world struct {
	*Reconciler
	t       *testing.T
	cluster *cluster
	host    *host
	seeds   *seeds
	pokes   chan string
	now     time.Time
	linger  time.Duration
	cap     int
	talks   bool // it comments
	maxAge  time.Duration
	// repository is what rounds are of; acme/shop where it is empty.
	repository string
	// confirmed is the annotation of the ApplicationSet.
	confirmed string
	said      *strings.Builder
}

var asksForShop = map[string]json.RawMessage{"forge": json.RawMessage(`"gitea"`), "repo": json.RawMessage(`"acme/shop"`)}

func newWorld(t *testing.T, h *host, objects ...client.Object) *world {
	t.Helper()
	w := &world{
		t: t, cluster: newCluster(t, objects...), host: h, seeds: &seeds{none: map[string]bool{}},
		said: &strings.Builder{}, pokes: make(chan string, 1000), now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC),
	}
	w.restart()
	return w
}

// restart begins anew with nothing but what the cluster holds.
func (w *world) restart() {
	w.t.Helper()
	store := NewStore(w.cluster, "seedling")
	store.now = func() time.Time { return w.now }
	if err := store.Load(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.Reconciler = NewReconciler(Options{
		Log:    slog.New(slog.NewTextHandler(w.said, nil)),
		Store:  store,
		Linger: w.linger, Cap: w.cap, Comments: w.talks, Owner: "seedling", ArgoCDURL: "https://argocd.example.com/", MaxDataAge: func(string) time.Duration { return w.maxAge },
		Namespaces: &Namespaces{
			// Without a watch: what there is is looked at when a round does.
			Client: struct{ client.Client }{w.cluster}, Owner: "seedling", Guards: DefaultGuards(), BrokerNamespace: "seedling",
			BrokerLabels: map[string]string{"app.kubernetes.io/name": "plugin"}, BrokerPort: 8081,
		},
		Snapshots: w.seeds,
		Forges:    map[string]forge.Forge{"gitea": w.host},
		Poke: func(_ context.Context, set string) error {
			w.pokes <- set
			return nil
		},
		Now: func() time.Time { return w.now },
	})
	w.asks(asksForShop)
}

// asks makes ApplicationSet previews ask for that, and nobody else for anything.
func (w *world) asks(inputs ...map[string]json.RawMessage) {
	w.SetApplicationSets(map[string]Asked{"previews": {Inputs: inputs, Confirmed: w.confirmed}})
}

// repoOf chooses the repository that rounds are of.
func (w *world) repoOf(name string) { w.repository = name }

func (w *world) repo() *repository {
	return w.repos[Key{ForgeURL: w.host.URL(), Repository: cmp.Or(w.repository, "acme/shop")}.RepositoryHash()]
}

// roundOf lets a minute pass and everything settle, and returns the last error of
// a step, or of the list.
func (w *world) roundOf() error {
	w.now = w.now.Add(pollEvery)
	return w.quickRound()
}

// quickRound steps, and does what a step leaves to be done, until there is
// nothing more to do now.
func (w *world) quickRound() error {
	repo := w.repo()
	before := repo.list.attempts
	for range 1000 {
		next, err := w.safely(w.t.Context(), repo)
		for _, t := range next.tasks {
			for again := true; again; {
				again, _ = w.do(w.t.Context(), repo, t)
			}
		}
		if len(next.tasks) > 0 {
			continue
		}
		if err == nil && repo.list.attempts > before {
			err = repo.list.err
		}
		return err
	}
	next, err := w.safely(w.t.Context(), repo)
	for _, t := range next.tasks {
		w.t.Log(t.key)
	}
	w.t.Fatal("it does not settle", err)
	return nil
}

func (w *world) mustRound() {
	w.t.Helper()
	if err := w.roundOf(); err != nil {
		w.t.Fatal(err)
	}
}

// answered are the numbers in the answer, nil where there is none.
func (w *world) answered() []string {
	w.t.Helper()
	return w.answeredTo(asksForShop)
}

// answeredTo are those in the answer to who asks for that.
func (w *world) answeredTo(asked map[string]json.RawMessage) []string {
	w.t.Helper()
	repo := w.repo()
	repo.mu.Lock()
	body, ok := repo.answers[subscription{"previews", mustInput(w.t, asked)}.id()]
	repo.mu.Unlock()
	if !ok {
		return nil
	}
	numbers := []string{}
	for _, p := range parse(w.t, body) {
		numbers = append(numbers, p["number"])
	}
	return numbers
}

func (w *world) preview(n int64) (Preview, bool) {
	rec, err := w.Store.read(w.repo().id)
	if err != nil {
		w.t.Fatal(err)
	}
	p := rec.find("previews", n)
	if p == nil {
		return Preview{}, false
	}
	return *p, true
}

func (w *world) poked() bool {
	select {
	case <-w.pokes:
		return true
	default:
		return false
	}
}

func mustInput(t *testing.T, parameters map[string]json.RawMessage) Input {
	t.Helper()
	in, err := ParseInput(parameters)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func parse(t *testing.T, body []byte) []map[string]string {
	t.Helper()
	var a struct {
		Output struct {
			Parameters []map[string]string `json:"parameters"`
		} `json:"output"`
	}
	if err := json.Unmarshal(body, &a); err != nil || a.Output.Parameters == nil {
		t.Fatalf("%s is no answer: %v", body, err)
	}
	return a.Output.Parameters
}
