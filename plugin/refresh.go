package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/plugin/argocd"
)

// refreshVerb is what the CronJob of manifests/seed-data/schedule runs.
const refreshVerb = "refresh"

// refreshAttempts bounds how often an Application is looked at again because it
// changed meanwhile.
const refreshAttempts = 5

func refreshCommand() command.Verb {
	return command.Verb{Name: refreshVerb, Does: "ask Argo CD for a sync of a seed's Application, unless an operation is under way", Run: func(ctx context.Context, env command.Env) error {
		flags := flag.NewFlagSet("plugin "+refreshVerb, flag.ContinueOnError)
		namespace := flags.String("namespace", "argocd", "the `namespace` of the Application")
		name := flags.String("application", "seed-data", "the `name` of the Application")
		if err := command.ParseFlags(flags, env); err != nil {
			return err
		}
		config, err := (&program{getenv: env.Getenv}).cluster()
		if err != nil {
			return command.Misconfigured(err)
		}
		kube, err := client.New(config, client.Options{Scheme: scheme()})
		if err != nil {
			return fmt.Errorf("reach the cluster: %w", err)
		}
		ctx, cancel := context.WithTimeout(ctx, checkTimeout)
		defer cancel()
		return refresh(ctx, kube, env.Log, client.ObjectKey{Namespace: *namespace, Name: *name})
	}}
}

// refresh asks for a sync, as `argocd app sync` does: hooks run although nothing
// changed in Git. While an operation is asked for or under way it asks for nothing,
// which is said and no failure: what would be imported is what that one imports, or
// the next.
func refresh(ctx context.Context, kube client.Client, log *slog.Logger, key client.ObjectKey) error {
	for range refreshAttempts {
		var app argocd.Application
		switch err := kube.Get(ctx, key, &app); {
		case apierrors.IsNotFound(err):
			return command.Misconfiguredf("ask for a sync: namespace %s has no Application %s: correct --namespace and --application", key.Namespace, key.Name)
		case apierrors.IsForbidden(err):
			return command.Misconfigured(fmt.Errorf("read Application %s (get and patch of it are the two rights that this takes): %w", key, err))
		case err != nil:
			return fmt.Errorf("read Application %s: %w", key, err)
		}
		if app.DeletionTimestamp != nil {
			return command.Misconfiguredf("Application %s is being deleted: end its schedule too", key)
		}
		if why := underWay(&app); why != "" {
			log.Info("skipped: "+why, "application", key.String())
			return nil
		}
		err := kube.Patch(ctx, &app, client.RawPatch(types.MergePatchType, syncPatch(app.ResourceVersion)))
		switch {
		case apierrors.IsConflict(err):
			continue
		case apierrors.IsForbidden(err), apierrors.IsInvalid(err):
			return command.Misconfigured(fmt.Errorf("ask Argo CD to sync Application %s: %w", key, err))
		case err != nil:
			return fmt.Errorf("ask Argo CD to sync Application %s: %w", key, err)
		}
		log.Info("asked for a sync", "application", key.String())
		return nil
	}
	return fmt.Errorf("ask Argo CD to sync Application %s: it changed %d times meanwhile", key, refreshAttempts)
}

// underWay says which operation there is already; "" for none.
func underWay(app *argocd.Application) string {
	if app.Operation != nil {
		return "an operation is asked for, or under way"
	}
	s := app.Status.OperationState
	if s == nil || s.Phase.Succeeded() || s.Phase.Failed() {
		return ""
	}
	return "an operation is under way since " + s.StartedAt.UTC().Format(time.RFC3339)
}

// syncPatch asks for a sync of what the Application says, if it is still the version
// that was read: two operations at once would be one of both.
func syncPatch(version string) []byte {
	b, err := json.Marshal(map[string]any{
		"metadata":  map[string]any{"resourceVersion": version},
		"operation": map[string]any{"initiatedBy": map[string]any{"username": "seed-refresh"}, "sync": map[string]any{}},
	})
	if err != nil {
		panic(err) // it is what JSON is made of
	}
	return b
}
