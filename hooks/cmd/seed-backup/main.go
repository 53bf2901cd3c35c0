// Command seed-backup takes a snapshot of a seed: see package backup and the
// README beside this file.
package main

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"
	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/seedling-dev/seedling/hooks/backup"
	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/postgres"
)

func main() { os.Exit(command.Main("seed-backup", run)) }

func run(ctx context.Context, env command.Env) error {
	set := flag.NewFlagSet("seed-backup", flag.ContinueOnError)
	var o backup.Options
	set.StringVar(&o.Seed, "seed", "", "the seed's `name`, which is its namespace")
	database := set.String("database", "app", "the seed's `database`")
	set.StringVar(&o.VeleroNamespace, "velero-namespace", "velero", "the `namespace` of Velero and its Backups")
	set.StringVar(&o.HandlesNamespace, "handles-namespace", "seedling", "the plugin's `namespace`, where the snapshot's handle is recorded for direct mode if that is installed")
	set.StringVar(&o.PolicyDigest, "policy-digest", "", "the `digest` of the policy the data must be masked under, in hex")
	set.StringVar(&o.KeyID, "key-id", "", "the `id` of the key the data must be masked with, in hex")
	set.DurationVar(&o.Timeout, "timeout", 10*time.Minute, "how long the Backup may `take`")
	targetFile := set.String("target-file", "", "a `file` with the connection string of the seed's maintenance database; the environment variable SEED_TARGET otherwise")
	if err := command.ParseFlags(set, env); err != nil {
		return err
	}
	if err := o.Validate(); err != nil {
		return err
	}
	target, err := postgres.ReadTarget(*targetFile, env.Getenv)
	if err != nil {
		return err
	}

	ctrllog.SetLogger(logr.FromSlogHandler(env.Log.Handler()))
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	if files := env.Getenv("KUBECONFIG"); files != "" {
		rules.Precedence = filepath.SplitList(files)
	}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return command.Misconfiguredf("find the API server: %w; run in a pod with a ServiceAccount token, or set KUBECONFIG", err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, snapshotv1.AddToScheme, velerov1.AddToScheme} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		return command.Misconfiguredf("talk to the API server: %w", err)
	}

	server, err := backup.Dial(ctx, env.Log, target, *database)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		server.Close(ctx)
	}()
	_, err = backup.Run(ctx, env.Log, o, c, server)
	return err
}
