package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/broker"
	"github.com/seedling-dev/seedling/plugin/check"
	"github.com/seedling-dev/seedling/plugin/janitor"
	"github.com/seedling-dev/seedling/plugin/preview"
	"github.com/seedling-dev/seedling/plugin/warm"
)

// leftovers prints what the janitor and retention would remove now, by the state
// that the serving plugin has written, and removes nothing.
func (p *program) leftovers(ctx context.Context) error {
	cfg, err := readConfig(p.config, p.getenv)
	if err != nil {
		return command.Misconfigured(err)
	}
	config, err := p.cluster()
	if err != nil {
		return command.Misconfigured(err)
	}
	kube, err := client.NewWithWatch(config, client.Options{Scheme: scheme()})
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	return p.listLeftovers(ctx, cfg, kube)
}

func (p *program) listLeftovers(ctx context.Context, cfg *Config, kube client.WithWatch) error {
	store := preview.NewStore(kube, cfg.Namespace)
	if err := store.Load(ctx); err != nil {
		return check.Refused(err)
	}
	if broken := store.Broken(); len(broken) > 0 {
		return fmt.Errorf("the state of %d repositories cannot be read, so nothing is taken for left over: see the plugin's log", len(broken))
	}
	seeds, err := seedsWithBackups(ctx, kube, cfg.VeleroNamespace)
	if err != nil {
		return check.Refused(err)
	}
	slots := warm.New(warm.Options{Client: kube, Owner: cfg.Namespace, Known: store.Known, Log: p.log, Changed: func() {}})
	if err := slots.Look(ctx); err != nil {
		return check.Refused(err)
	}
	ready := func() error { return nil }
	previews, err := janitor.New(janitor.Options{
		Client: kube, Owner: cfg.Namespace, Previews: warm.Remains{Previews: store, Pool: slots}, Ready: ready,
		Known:           func(namespace string) bool { return store.Known(namespace) || slots.Has(namespace) },
		ArgoCDNamespace: cfg.ArgoCDNamespace, VeleroNamespace: cfg.VeleroNamespace, Log: p.log, Now: p.now,
	}).List(ctx)
	chosen := broker.Snapshots{Client: kube, VeleroNamespace: cfg.VeleroNamespace, MaxDataAge: cfg.maxDataAge, Handles: cfg.handles(), Now: p.now}
	old, oldErr := (&janitor.Retention{
		Client: kube, VeleroNamespace: cfg.VeleroNamespace, Keep: cfg.Retention.Keep, MaxDataAge: cfg.maxDataAge,
		Seeds: func() []string { return seeds }, Previews: store.All, Choices: chosen.Choices, Ready: ready, Log: p.log, Now: p.now,
	}).List(ctx)
	for _, a := range slices.Concat(previews, old) {
		fmt.Fprintln(p.stdout, a)
	}
	fmt.Fprintf(p.stdout, "%d things would be removed now; nothing was\n", len(previews)+len(old))
	return check.Refused(errors.Join(err, oldErr))
}

// seedsWithBackups are the seeds that have Backups. Retention looks at those of
// them that an ApplicationSet names.
func seedsWithBackups(ctx context.Context, kube client.Client, velero string) ([]string, error) {
	var backups velerov1.BackupList
	if err := kube.List(ctx, &backups, client.InNamespace(velero), client.HasLabels{snapshot.LabelSeed}); err != nil {
		return nil, fmt.Errorf("list Backups in namespace %s: %w", velero, err)
	}
	seeds := map[string]bool{}
	for i := range backups.Items {
		seeds[backups.Items[i].Labels[snapshot.LabelSeed]] = true
	}
	return slices.Sorted(maps.Keys(seeds)), nil
}
