package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	argov1alpha1 "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/gin-gonic/gin"
	"github.com/go-logr/logr"
	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/broker"
	"github.com/seedling-dev/seedling/plugin/flood"
	"github.com/seedling-dev/seedling/plugin/forge"
	"github.com/seedling-dev/seedling/plugin/janitor"
	"github.com/seedling-dev/seedling/plugin/preview"
	"github.com/seedling-dev/seedling/plugin/resync"
	"github.com/seedling-dev/seedling/plugin/server"
	"github.com/seedling-dev/seedling/plugin/web"
)

// errStarting is why nothing is served before the Lease is held and the state
// is loaded.
var errStarting = errors.New("the plugin does not lead, or has not loaded its state yet")

// scheme knows every kind that the plugin touches.
func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, velerov1.AddToScheme, snapshotv1.AddToScheme, argov1alpha1.AddToScheme,
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
	forges, err := cfg.forges()
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
	kube, err := client.NewWithWatch(forGenerator.within(config), client.Options{Scheme: scheme()})
	if err != nil {
		return fmt.Errorf("make a client for the cluster: %w", err)
	}
	// A call about the Lease that hangs must leave time for another one.
	quick := rest.CopyConfig(config)
	quick.Timeout = 5 * time.Second
	election, err := kubernetes.NewForConfig(quick)
	if err != nil {
		return fmt.Errorf("make a client for the election: %w", err)
	}

	restoring, err := client.NewWithWatch(forBroker.within(config), client.Options{Scheme: scheme()})
	if err != nil {
		return fmt.Errorf("make a client for the broker: %w", err)
	}
	removing, err := client.NewWithWatch(forJanitor.within(config), client.Options{Scheme: scheme()})
	if err != nil {
		return fmt.Errorf("make a client for the janitor: %w", err)
	}

	// leading is true while the Lease is held and the state is loaded.
	var leading atomic.Bool
	lead := func() error {
		if !leading.Load() {
			return errStarting
		}
		return nil
	}
	store := preview.NewStore(kube, cfg.Namespace)
	seeds := map[string]preview.Seed{}
	for _, s := range cfg.Seeds {
		seeds[s.Name] = s
	}
	sets := &server.ApplicationSets{
		Client: kube, Namespace: cfg.ArgoCDNamespace, ConfigMap: cfg.GeneratorConfigMap,
		Log: p.log.With("part", "applicationsets"),
	}
	clean := janitor.New(janitor.Options{
		Client: removing, Owner: cfg.Namespace, Previews: store, Known: store.Known, Ready: lead,
		ArgoCDNamespace: cfg.ArgoCDNamespace, VeleroNamespace: cfg.VeleroNamespace, Log: p.log.With("part", "janitor"),
	})
	syncs := &resync.Ender{
		Client: kube, Namespace: cfg.ArgoCDNamespace, Log: p.log.With("part", "resync"),
		Ours: func(name string) bool { _, ok := store.Live(name); return ok },
	}
	namespaces := &preview.Namespaces{
		Client: kube, Owner: cfg.Namespace, Guards: cfg.Guards, Seeds: seeds,
		BrokerNamespace: cfg.Namespace, BrokerLabels: cfg.BrokerLabels, BrokerPort: port(cfg.Listen.Broker),
		ResolvConf: preview.DefaultResolvConf, APIServer: p.getenv("KUBERNETES_SERVICE_HOST"),
	}
	// What closes a namespace is the janitor's, and within its budget.
	closing := &preview.Namespaces{Client: removing, Owner: cfg.Namespace, Guards: cfg.Guards}
	clean.Close = closing.Close
	reconciler := preview.NewReconciler(preview.Options{
		Log:        p.log.With("part", "previews"),
		Store:      store,
		Namespaces: namespaces,
		Snapshots:  broker.Snapshots{Client: kube, VeleroNamespace: cfg.VeleroNamespace, MaxDataAge: cfg.maxDataAge, Now: now},
		Forges:     forges,
		Poke:       sets.Poke,
		Applied:    sets.Applied,
		Ended:      clean.Trigger,
		Refresh:    sets.Refresh,
		Linger:     cfg.Linger.Duration,
		Cap:        cfg.Cap,
		Comments:   cfg.Comments,
		Owner:      cfg.Namespace,
		ArgoCDURL:  cfg.ArgoCDURL,
		MaxDataAge: cfg.maxDataAge,
		Audit:      slog.New(slog.NewJSONHandler(p.stdout, nil)).With("audit", "seedling"),
	})
	sets.Set = reconciler.SetApplicationSets
	clean.Hangs, clean.Removed = reconciler.Hangs, reconciler.Removed
	syncs.Failed = reconciler.SyncFailed
	syncs.Gone = func(name string) {
		reconciler.TriggerNamespace(name)
		clean.Trigger()
	}
	ready := func() error { return cmp.Or(lead(), reconciler.Ready()) }
	ages := &broker.Ages{
		Seeds: func() []string { return reconciler.Status().Seeds }, Newest: reconciler.Snapshots.Newest, Log: p.log.With("part", "snapshots"),
	}

	restorer := broker.NewVelero(broker.VeleroOptions{
		Client: restoring, Previews: store, VeleroNamespace: cfg.VeleroNamespace, Owner: cfg.Namespace, Log: p.log.With("part", "broker"),
		Restored: reconciler.Restored, MaxDataAge: cfg.maxDataAge,
	})
	// The hook's Job is followed within the broker's budget.
	ended := resync.NewHooks(restoring, cfg.ArgoCDNamespace, p.log.With("part", "resync"))
	restore := broker.New(broker.Options{
		Client: restoring, Reviewer: broker.TokenReviews{Client: restoring}, Previews: store, Ready: lead, Say: reconciler.Say,
		Restorer: restorer, Answered: ended.Answered,
		Log: p.log.With("part", "broker"),
	})
	webhooks := server.Engine(p.log.With("part", "webhook"))
	hooks := &web.Webhooks{Forges: forges, Poker: reconciler, Log: p.log.With("part", "webhook")}
	hooks.Register(webhooks)
	health := server.Engine(p.log.With("part", "health"))
	figures := func() web.Figures {
		f := web.Figures{
			HooksWaiting: restore.Stats().Waiting, RestoresRefused: restore.Stats().Refused,
			OldestRestore: restorer.OldestWaiting(), SnapshotData: ages.Times(),
			OrphansKept: clean.Refusals(), Webhooks: hooks.Calls(), Forges: map[string]forge.Budget{},
		}
		f.RestoresWaiting, f.RestoresWaitingKnown = restorer.Waiting()
		for name, of := range forges {
			if b, ok := of.(forge.Budgeted); ok {
				f.Forges[name] = b.Budget()
			}
		}
		return f
	}
	web.Health{Ready: ready, Previews: store.All, Status: reconciler.Status, Figures: figures}.Register(health)

	listeners := []server.Listener{
		{Name: "generator", Address: cfg.Listen.Generator, Handler: server.Generator{
			Tokens: tokens, Answers: reconciler, Ready: lead, Log: p.log.With("part", "generator"),
		}.Handler()},
		{Name: "broker", Address: cfg.Listen.Broker, Handler: only(snapshot.RestorePath, restore)},
		{Name: "webhook", Address: cfg.Listen.Webhook, Handler: webhooks},
		{Name: "health", Address: cfg.Listen.Health, Handler: health},
	}
	open, err := server.Listen(ctx, listeners)
	if err != nil {
		return err
	}

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return server.Serve(ctx, p.log, listeners, open) })
	group.Go(func() error {
		return server.Lead(ctx, p.log.With("part", "lease"), election, cfg.Namespace, identity(p.getenv), func(ctx context.Context) error {
			if err := store.Load(ctx); err != nil {
				return err
			}
			// Before the first preview is made; Follow says again what fails.
			if err := namespaces.Look(ctx); err != nil {
				p.log.WarnContext(ctx, "the cluster's addresses could not be read", "error", err)
			}
			leading.Store(true)
			defer leading.Store(false)
			// Before the return already, which waits for rounds to end: by then
			// another one may lead.
			defer context.AfterFunc(ctx, func() { leading.Store(false) })()
			group, ctx := errgroup.WithContext(ctx)
			group.Go(func() error { return reconciler.Run(ctx) })
			group.Go(func() error { return sets.Run(ctx) })
			group.Go(func() error { return clean.Run(ctx) })
			group.Go(func() error { return syncs.Run(ctx) })
			group.Go(func() error { return ended.Run(ctx) })
			group.Go(func() error { return restorer.Run(ctx) })
			group.Go(func() error { return ages.Run(ctx) })
			group.Go(func() error { namespaces.Follow(ctx, p.log.With("part", "guards"), kube, store.All); return nil })
			group.Go(func() error { p.follow(ctx, kube, cfg, reconciler); return nil })
			return group.Wait()
		})
	})
	return group.Wait()
}

// follow watches the snapshots, so that nobody waits for one until the next poll.
func (p *program) follow(ctx context.Context, kube client.WithWatch, cfg *Config, r *preview.Reconciler) {
	// Names, labels and times are all that is looked at.
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(velerov1.SchemeGroupVersion.WithKind("BackupList"))
	preview.Watch(ctx, p.log.With("watch", "Backup"), kube, list, func(o client.Object, _ bool) {
		r.TriggerSeed(o.GetLabels()[snapshot.LabelSeed])
	}, client.InNamespace(cfg.VeleroNamespace), client.HasLabels{snapshot.LabelSeed})
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
