package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-logr/logr"
	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	recording "k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/argocd"
	"github.com/seedling-dev/seedling/plugin/broker"
	"github.com/seedling-dev/seedling/plugin/ended"
	"github.com/seedling-dev/seedling/plugin/events"
	"github.com/seedling-dev/seedling/plugin/flood"
	"github.com/seedling-dev/seedling/plugin/forge"
	"github.com/seedling-dev/seedling/plugin/janitor"
	"github.com/seedling-dev/seedling/plugin/page"
	"github.com/seedling-dev/seedling/plugin/postgres"
	"github.com/seedling-dev/seedling/plugin/preview"
	"github.com/seedling-dev/seedling/plugin/resync"
	"github.com/seedling-dev/seedling/plugin/server"
	"github.com/seedling-dev/seedling/plugin/warm"
	"github.com/seedling-dev/seedling/plugin/web"
)

// errStarting is why nothing is served before the Lease is held and the state
// is loaded.
var errStarting = errors.New("the plugin does not lead, or has not loaded its state yet")

// firstLookTimeout bounds what is read of the cluster before anything is served.
const firstLookTimeout = 30 * time.Second

// scheme knows every kind that the plugin touches.
func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, velerov1.AddToScheme, snapshotv1.AddToScheme, argocd.AddToScheme,
	} {
		utilruntime.Must(add(s))
	}
	return s
}

// cluster is where we run, or what KUBECONFIG names.
func (p *program) cluster() (*rest.Config, error) {
	var config *rest.Config
	var err error
	if path := p.getenv("KUBECONFIG"); path != "" {
		config, err = clientcmd.BuildConfigFromFlags("", path)
	} else {
		config, err = rest.InClusterConfig()
	}
	if err != nil {
		return nil, fmt.Errorf("reach the cluster (in a pod by its ServiceAccount, elsewhere by KUBECONFIG): %w", err)
	}
	config.UserAgent = "seedling-plugin"
	return config, nil
}

// A budget is how many calls of the API a part may make each second, and at once
// after a pause. Each part has one of its own, so that no number of hooks that
// wait, and none of previews that are removed, slows the way from a label to an
// answer down.
type budget struct {
	perSecond float32
	atOnce    int
}

var (
	// A preview costs a dozen calls, and many may begin at once.
	forGenerator = budget{200, 400}
	// A hook that waits costs two each time it asks.
	forBroker  = budget{100, 200}
	forJanitor = budget{50, 100}
	// Slots are looked after while nothing else is to be done.
	forSlots = budget{20, 40}
	// What the status page shows beside the state, while somebody looks.
	forPage = budget{10, 40}
	// Events only tell.
	forEvents = budget{10, 40}
)

// within is the configuration of clients that share a budget. Without a limiter
// of its own each kind of object would have one.
func (b budget) within(config *rest.Config) *rest.Config {
	c := rest.CopyConfig(config)
	c.RateLimiter = flowcontrol.NewTokenBucketRateLimiter(b.perSecond, b.atOnce)
	return c
}

func (p *program) serve(ctx context.Context) error {
	p.log = flood.Quiet(p.log)
	cfg, err := readConfig(p.config, p.getenv)
	if err != nil {
		return command.Misconfigured(err)
	}
	forges, err := cfg.openForges()
	if err != nil {
		return command.Misconfigured(err)
	}
	tokens := server.Tokens{Current: cfg.TokenFile, Previous: cfg.PreviousTokenFile}
	if err := errors.Join(tokens.Check(), cfg.checkSecrets()); err != nil {
		return command.Misconfigured(err)
	}
	config, err := p.cluster()
	if err != nil {
		return command.Misconfigured(err)
	}
	klog.SetSlogLogger(p.log.With("part", "kubernetes"))
	ctrllog.SetLogger(logr.FromSlogHandler(p.log.Handler()))
	gin.SetMode(gin.ReleaseMode)
	return p.run(ctx, surroundings{cfg: cfg, forges: forges, tokens: tokens, cluster: config, listen: server.Listen})
}

// surroundings are what a server is surrounded by: a cluster, forges, and the
// addresses that listen opens.
type surroundings struct {
	cfg     *Config
	forges  map[string]forge.Forge
	tokens  server.Tokens
	cluster *rest.Config
	listen  func(context.Context, []server.Listener) ([]net.Listener, error)
}

// run serves until ctx ends.
func (p *program) run(ctx context.Context, in surroundings) error {
	calls, err := newClients(in.cluster)
	if err != nil {
		return err
	}
	s := p.assemble(in, calls)
	defer s.hooks.Close()
	listeners := s.listeners()
	open, err := in.listen(ctx, listeners)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return server.Serve(ctx, p.log, listeners, open) })
	group.Go(func() error {
		return server.Lead(ctx, p.log.With("part", "lease"), calls.election, in.cfg.Namespace, identity(p.getenv), s.lead)
	})
	return group.Wait()
}

// clients are those of the API, each with a budget of its own.
type clients struct {
	generator, broker, janitor, slots, page, events client.WithWatch

	election, recording kubernetes.Interface
}

func newClients(config *rest.Config) (c clients, err error) {
	for _, of := range []struct {
		name   string
		to     *client.WithWatch
		within budget
	}{
		{"generator", &c.generator, forGenerator},
		{"broker", &c.broker, forBroker},
		{"janitor", &c.janitor, forJanitor},
		{"slots", &c.slots, forSlots},
		{"status page", &c.page, forPage},
		{"events", &c.events, forEvents},
	} {
		if *of.to, err = client.NewWithWatch(of.within.within(config), client.Options{Scheme: scheme()}); err != nil {
			return c, fmt.Errorf("make a client for the %s: %w", of.name, err)
		}
	}
	// A call about the Lease that hangs must leave time for another one.
	quick := rest.CopyConfig(config)
	quick.Timeout = 5 * time.Second
	if c.election, err = kubernetes.NewForConfig(quick); err != nil {
		return c, fmt.Errorf("make a client for the election: %w", err)
	}
	if c.recording, err = kubernetes.NewForConfig(forEvents.within(config)); err != nil {
		return c, fmt.Errorf("make a client for events: %w", err)
	}
	return c, nil
}

// serving is the parts of a server, tied to each other.
type serving struct {
	surroundings
	log  *slog.Logger
	now  func() time.Time
	kube client.WithWatch
	// leading is true while the Lease is held and the state is loaded.
	leading atomic.Bool

	store      *preview.Store
	namespaces *preview.Namespaces
	sets       *server.ApplicationSets
	reach      *server.Reach
	reconciler *preview.Reconciler
	janitor    *janitor.Janitor
	retention  *janitor.Retention
	syncs      *resync.Ender
	ages       *broker.Ages
	restorer   *broker.Velero
	postgres   *postgres.Keeper
	slots      *warm.Pool
	hooks      *resync.Hooks
	broker     *broker.Broker
	webhooks   *web.Webhooks
	ended      *ended.Book
	looker     *page.Looker
	events     *events.Teller
	// recording writes events.
	recording kubernetes.Interface
}

// leads says why nothing is served yet, nil once it is.
func (s *serving) leads() error {
	if !s.leading.Load() {
		return errStarting
	}
	return nil
}

// part is the log of one part.
func (s *serving) part(name string) *slog.Logger { return s.log.With("part", name) }

func (p *program) assemble(in surroundings, calls clients) *serving {
	cfg := in.cfg
	s := &serving{surroundings: in, log: p.log, now: p.now, kube: calls.generator, store: preview.NewStore(calls.generator, cfg.Namespace)}
	s.namespaces = p.spaces(cfg, calls.generator)
	s.sets = &server.ApplicationSets{
		Client: calls.generator, Namespace: cfg.ArgoCDNamespace, ConfigMap: cfg.GeneratorConfigMap, Log: s.part("applicationsets"),
	}
	s.reach = &server.Reach{Now: p.now}
	s.slots = warm.New(warm.Options{
		Client: calls.slots, Owner: cfg.Namespace, Want: cfg.warm(), Most: cfg.WarmCap, Namespaces: s.namespaces,
		Newest: s.snapshots(calls.slots).Newest,
		Known:  s.store.Known, Ready: s.leads, Log: s.part("slots"), Now: p.now,
	})
	s.janitor = janitor.New(janitor.Options{
		Client: calls.janitor, Owner: cfg.Namespace, Previews: warm.Remains{Previews: s.store, Pool: s.slots}, Ready: s.leads,
		Known:           func(namespace string) bool { return s.store.Known(namespace) || s.slots.Has(namespace) },
		ArgoCDNamespace: cfg.ArgoCDNamespace, VeleroNamespace: cfg.VeleroNamespace, Log: s.part("janitor"), Now: p.now,
	})
	// What closes a namespace is the janitor's, and within its budget.
	s.janitor.Close = (&preview.Namespaces{Client: calls.janitor, Owner: cfg.Namespace, Guards: cfg.Guards}).Close
	s.syncs = &resync.Ender{
		Client: calls.generator, Namespace: cfg.ArgoCDNamespace, Log: s.part("resync"),
		Ours: func(name string) bool { _, ok := s.store.Live(name); return ok },
	}
	s.reconciler = preview.NewReconciler(preview.Options{
		Log:        s.part("previews"),
		Store:      s.store,
		Namespaces: s.namespaces,
		Snapshots:  s.snapshots(calls.generator),
		Forges:     in.forges,
		Poke:       s.sets.Poke,
		Slots:      s.slots,
		Unreached:  s.reach.Wait,
		Applied:    s.sets.Applied,
		Ended:      s.janitor.Trigger,
		Refresh:    s.sets.Refresh,
		Linger:     cfg.Linger.Duration,
		Sleep:      cfg.Sleep,
		Cap:        cfg.Cap,
		Comments:   cfg.Comments, Deployments: cfg.Deployments,
		Owner:      cfg.Namespace,
		ArgoCDURL:  cfg.ArgoCDURL,
		MaxDataAge: cfg.maxDataAge,
		Audit:      slog.New(slog.NewJSONHandler(p.stdout, nil)).With("audit", "seedling"),
		Now:        p.now,
	})
	s.ages = &broker.Ages{
		Seeds: s.seeds, Newest: s.reconciler.Snapshots.Newest, Log: s.part("snapshots"),
	}
	choices := broker.NewChoices()
	s.retention = &janitor.Retention{
		Client: calls.janitor, VeleroNamespace: cfg.VeleroNamespace, Keep: cfg.Retention.Keep, MaxDataAge: cfg.maxDataAge,
		Seeds: func() []string { return s.reconciler.Status().Seeds }, Previews: s.store.All,
		Choices: s.snapshots(calls.janitor).Choices,
		Exclude: choices.Exclude, Ready: s.leads, Log: s.part("retention"), Now: p.now,
	}
	s.restorer = broker.NewVelero(broker.VeleroOptions{
		Client: calls.broker, Previews: warm.Records{Previews: s.store}, VeleroNamespace: cfg.VeleroNamespace, Owner: cfg.Namespace, Log: s.part("broker"),
		Direct: cfg.Mode == modeDirect, Restored: s.restored, MaxDataAge: cfg.maxDataAge,
		Choices: choices,
	})
	s.postgres = postgres.New(postgres.Options{
		Restorer: s.restorer, Client: calls.broker, Owner: cfg.Namespace, Live: s.store.Live, Wake: s.restorer.Wake, Log: s.part("postgres"),
	})
	s.namespaces.Keep = s.postgres.Keep
	// The hook's Job is followed within the broker's budget.
	s.hooks = resync.NewHooks(calls.broker, cfg.ArgoCDNamespace, s.part("resync"))
	s.broker = broker.New(broker.Options{
		Client: calls.broker, Reviewer: broker.TokenReviews{Client: calls.broker}, Previews: s.store, Ready: s.leads, Say: s.reconciler.Say,
		Restorer: s.postgres, Answered: s.hooks.Answered, Ended: s.hooks.Ended, Owner: cfg.Namespace, Log: s.part("broker"),
	})
	s.webhooks = &web.Webhooks{Forges: in.forges, Poker: s.reconciler, Log: s.part("webhook")}
	s.telling(calls)
	s.tie()
	return s
}

// spaces makes what makes previews' namespaces.
func (p *program) spaces(cfg *Config, kube client.WithWatch) *preview.Namespaces {
	n := &preview.Namespaces{
		Client: kube, Owner: cfg.Namespace, Guards: cfg.Guards, Seeds: map[string]preview.Seed{},
		BrokerNamespace: cfg.Namespace, BrokerLabels: cfg.BrokerLabels, BrokerPort: port(cfg.Listen.Broker),
		ResolvConf: preview.DefaultResolvConf, APIServer: p.getenv("KUBERNETES_SERVICE_HOST"),
	}
	for _, seed := range cfg.Seeds {
		n.Seeds[seed.Name] = seed
	}
	return n
}

// snapshots is how a part sees seeds' snapshots, within its own budget.
func (s *serving) snapshots(kube client.Client) broker.Snapshots {
	return broker.Snapshots{
		Client: kube, VeleroNamespace: s.cfg.VeleroNamespace, MaxDataAge: s.cfg.maxDataAge, Handles: s.cfg.handles(), Now: s.now,
	}
}

// telling makes the parts that only tell: nothing is decided by them.
func (s *serving) telling(calls clients) {
	s.ended = &ended.Book{Client: calls.page, Namespace: s.cfg.Namespace, Log: s.part("ended"), Now: s.reconciler.Now}
	s.looker = &page.Looker{
		Client: calls.page, Namespace: s.cfg.Namespace, ArgoCD: s.cfg.ArgoCDNamespace, Velero: s.cfg.VeleroNamespace,
		Seeds: s.seeds, Previews: s.store.All, Newest: s.snapshots(calls.page).Newest,
		Slots: s.slotCounts, Log: s.part("page"), Now: s.reconciler.Now,
	}
	s.events = &events.Teller{
		Reports: s.reconciler.Reports, Namespace: s.cfg.ArgoCDNamespace,
		UID: func(ctx context.Context, name string) types.UID {
			var app argocd.Application
			if calls.events.Get(ctx, client.ObjectKey{Namespace: s.cfg.ArgoCDNamespace, Name: name}, &app) != nil {
				return "" // there is none yet, or no more: the event has its name
			}
			return app.UID
		},
	}
	s.recording = calls.recording
}

// tie lets the parts hear of each other that were made before those they tell.
func (s *serving) tie() {
	s.sets.Set = s.reconciler.SetApplicationSets
	s.janitor.Hangs = s.reconciler.Hangs
	s.slots.Restorer, s.slots.Busy = s.postgres, s.busy
	s.slots.Drained, s.slots.Changed = s.janitor.Trigger, s.reconciler.Wake
	s.janitor.Removed = func(p preview.Preview) {
		if warm.Nobodys(p) {
			return
		}
		s.reconciler.Removed(p)
		s.ended.Removed(p)
	}
	s.reconciler.Moved = func(was, is *preview.Preview) {
		s.ended.Moved(was, is)
		if is != nil && is.Phase == preview.Live && is.PVCUID == "" && (was == nil || was.Phase != preview.Live) {
			s.broker.Ahead(*is)
		}
	}
	s.syncs.Health = s.reconciler.Health
	s.syncs.Failed = s.reconciler.SyncFailed
	s.syncs.Gone = func(name string) {
		s.reconciler.TriggerNamespace(name)
		s.janitor.Trigger()
	}
}

// restored is told what the broker has restored: into a preview, or a slot.
func (s *serving) restored(p preview.Preview, from preview.Origin) {
	if !warm.Nobodys(p) {
		s.reconciler.Restored(p, from)
	}
}

// busy says whether previews wait for their volume, so that no slot goes before
// them.
func (s *serving) busy() bool {
	return s.broker.Stats().Waiting > 0 || s.reconciler.Beginning()
}

// listeners are the addresses, and what is served there.
func (s *serving) listeners() []server.Listener {
	listen := s.cfg.Listen
	webhooks, health := server.Engine(s.part("webhook")), server.Engine(s.part("health"))
	s.webhooks.Register(webhooks)
	web.Health{
		Ready:  func() error { return cmp.Or(s.leads(), s.reconciler.Ready()) },
		Probed: s.reach.Probed, Previews: s.store.All, Status: s.reconciler.Status, Figures: s.figures,
	}.Register(health)
	generator := server.Generator{Tokens: s.tokens, Answers: s.reconciler, Ready: s.leads, Asked: s.reach.Asked, Log: s.part("generator")}
	all := []server.Listener{
		{Name: "generator", Address: listen.Generator, Handler: generator.Handler()},
		{Name: "broker", Address: listen.Broker, Handler: only(snapshot.RestorePath, s.broker)},
		{Name: "webhook", Address: listen.Webhook, Handler: webhooks},
		{Name: "health", Address: listen.Health, Handler: health},
	}
	if s.cfg.Page.On() {
		all = append(all, server.Listener{Name: "page", Address: listen.Page, Handler: s.page()})
	}
	return all
}

// page is the status page.
func (s *serving) page() http.Handler {
	return page.New(s.cfg.Page, page.Sources{
		Previews: s.reconciler.Reports, Ended: s.ended.Previews, Status: s.reconciler.Status,
		Forges: s.budgets, Wake: s.reconciler.WakePreview, Leads: s.leads, Cluster: s.looker,
	}, s.part("page"), s.reconciler.Now).Handler()
}

// tell writes events of what becomes of previews, each counted and not repeated,
// and drops what is too much.
func (s *serving) tell(ctx context.Context) error {
	broadcaster := recording.NewBroadcaster(recording.WithContext(ctx))
	defer broadcaster.Shutdown()
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: s.recording.CoreV1().Events(s.cfg.ArgoCDNamespace)})
	s.events.Recorder = broadcaster.NewRecorder(scheme(), corev1.EventSource{Component: events.Component})
	return s.events.Run(ctx)
}

// seeds are those that are asked for now.
func (s *serving) seeds() []string { return s.reconciler.Status().Seeds }

// figures are what the parts count.
func (s *serving) figures() web.Figures {
	f := web.Figures{
		HooksWaiting: s.broker.Stats().Waiting, RestoresRefused: s.broker.Stats().Refused,
		OldestRestore: s.restorer.OldestWaiting(), SnapshotData: s.ages.Times(),
		OrphansKept: s.janitor.Refusals(), Leaked: s.janitor.Leaked(), Webhooks: s.webhooks.Calls(), Forges: s.budgets(),
		Slots:        s.slotCounts(),
		SyncsWaiting: map[string]int{"outdated": s.syncs.Waiting(), "hooks": s.hooks.Waiting()},
	}
	f.RestoresWaiting, f.RestoresWaitingKnown = s.restorer.Waiting()
	return f
}

// slotCounts are the slots by seed and state.
func (s *serving) slotCounts() map[string]map[string]int {
	counts := map[string]map[string]int{}
	for seed, of := range s.slots.Slots() {
		counts[seed] = map[string]int{}
		for state, n := range of {
			counts[seed][string(state)] = n
		}
	}
	return counts
}

// budgets are what is used and left of each forge.
func (s *serving) budgets() map[string]forge.Budget {
	budgets := map[string]forge.Budget{}
	for name, of := range s.forges {
		if b, ok := of.(forge.Budgeted); ok {
			budgets[name] = b.Budget()
		}
	}
	return budgets
}

// firstLook reads the cluster's addresses, and waits for them no longer than for
// the state.
func (s *serving) firstLook(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, firstLookTimeout)
	defer cancel()
	return s.namespaces.Look(ctx)
}

// lookAtSlots reads which slots there are, as firstLook does the addresses.
func (s *serving) lookAtSlots(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, firstLookTimeout)
	defer cancel()
	return s.slots.Look(ctx)
}

// lead does everything that only one plugin may do, while the Lease is held.
func (s *serving) lead(ctx context.Context) error {
	if err := s.store.Load(ctx); err != nil {
		return err
	}
	// Before the first preview is made; Follow says again what fails.
	if err := s.firstLook(ctx); err != nil {
		s.log.WarnContext(ctx, "the cluster's addresses could not be read", "error", err)
	}
	// The same; until it was read no preview begins.
	if err := s.lookAtSlots(ctx); err != nil {
		s.log.WarnContext(ctx, "the slots could not be read", "error", err)
	}
	s.leading.Store(true)
	defer s.leading.Store(false)
	// Before the return already, which waits for rounds to end: by then another
	// one may lead.
	defer context.AfterFunc(ctx, func() { s.leading.Store(false) })()
	group, ctx := errgroup.WithContext(ctx)
	runs := []func(context.Context) error{
		s.reconciler.Run, s.sets.Run, s.janitor.Run, s.retention.Run, s.syncs.Run, s.hooks.Run, s.restorer.Run, s.broker.Run, s.broker.RunHooks, s.postgres.Run, s.slots.Run, s.ages.Run, s.ended.Run, s.tell,
	}
	if s.cfg.Page.On() {
		runs = append(runs, s.looker.Run)
	}
	for _, run := range runs {
		group.Go(func() error { return run(ctx) })
	}
	group.Go(func() error { s.namespaces.Follow(ctx, s.part("guards"), s.kube, s.store.All); return nil })
	group.Go(func() error { s.follow(ctx); return nil })
	return group.Wait()
}

// follow watches the snapshots, so that nobody waits for one until the next poll.
func (s *serving) follow(ctx context.Context) {
	// Names, labels and times are all that is looked at.
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(velerov1.SchemeGroupVersion.WithKind("BackupList"))
	preview.Watch(ctx, s.log.With("watch", "Backup"), s.kube, list, func(o client.Object, _ bool) {
		s.reconciler.TriggerSeed(o.GetLabels()[snapshot.LabelSeed])
		s.slots.Wake()
	}, client.InNamespace(s.cfg.VeleroNamespace), client.HasLabels{snapshot.LabelSeed})
}

// only serves one path.
func only(path string, h http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(path, h)
	return mux
}

// identity tells two plugins apart, of the same pod too.
func identity(getenv func(string) string) string {
	host := getenv("POD_NAME")
	if host == "" {
		host, _ = os.Hostname()
	}
	return fmt.Sprintf("%s-%d-%s", host, os.Getpid(), random())
}
