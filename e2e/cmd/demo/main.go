// Command demo shows Seedling to a newcomer: on a real cluster, a production
// dump becomes a masked seed and a snapshot, a label on a pull request brings
// up a preview with that data, and the same data is restored on demand beside
// it for comparison.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/seedling-dev/seedling/e2e/cluster"
	"github.com/seedling-dev/seedling/e2e/platform"
	"github.com/seedling-dev/seedling/e2e/shop"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

type options struct {
	name     string
	sizeMB   int
	keep     bool
	onDemand bool
	timeout  time.Duration
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o options
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.name, "name", cluster.DefaultName, "name of the cluster")
	flags.IntVar(&o.sizeMB, "size-mb", shop.DefaultMB, "size of the sample data as COPY text, in MB (10^6 bytes)")
	flags.BoolVar(&o.keep, "keep", true, "leave everything running, to look around")
	flags.BoolVar(&o.onDemand, "on-demand", true, "restore the same dump on demand too, for comparison")
	flags.DurationVar(&o.timeout, "timeout", time.Hour, "give up after this time, builds of other people's programs not counted")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if flags.NArg() > 0 || o.sizeMB < 1 {
		fmt.Fprintln(stderr, "demo: --size-mb must be 1 or more, and there are no other arguments")
		return 2
	}
	d := &demo{options: o, console: newConsole(stdout)}
	err := d.run(ctx)
	if err != nil {
		d.failed(ctx, err)
	}
	if !o.keep && d.cluster != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, d.cluster.Down(ctx))
	}
	if err != nil {
		return 1
	}
	return 0
}

// demo is one run.
type demo struct {
	options
	*console
	cluster  *cluster.Cluster
	platform *platform.Platform
	preview  platform.Preview
	pr       *platform.PullRequest
}

// rawNamespace holds the database that pg_restore makes on demand: unmasked.
const rawNamespace = "on-demand"

func (d *demo) run(ctx context.Context) error {
	log := slog.New(d.handler())
	data := shop.OfMB(d.sizeMB)
	d.printf("%s  Previews with production-like data: label a pull request, get its own masked database.\n", d.paint(bold, "Seedling"))

	d.title("A Kubernetes cluster with Argo CD, Velero, a Git host and object storage")
	err := cluster.Prepare(ctx, log)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, d.timeout, fmt.Errorf("the demo took longer than --timeout %s", d.timeout))
	defer cancel()
	if d.cluster, err = cluster.Up(ctx, cluster.Options{Name: d.name, Log: log}); err != nil {
		return err
	}

	d.title("Production: a shop's database, and last night's pg_dump of it in S3")
	began := time.Now()
	dump, err := data.Dump(ctx, log)
	if err != nil {
		return err
	}
	url, err := dump.Upload(ctx, d.cluster.S3())
	if err != nil {
		return err
	}
	d.done(time.Since(began), "%s of rows (%s rows), %s as a custom-format dump in S3", megabytes(dump.TextBytes), millions(dump.Rows), megabytes(dump.Bytes))

	d.title("Seedling: plugin, policies, projects, and the seed's empty Postgres")
	if d.platform, err = platform.Install(ctx, d.cluster, platform.Options{Log: log}); err != nil {
		return err
	}

	d.title("Refresh: a commit says what the seed should hold; Argo CD imports, masks and snapshots it")
	if err := d.refresh(ctx, url, dump.SHA256); err != nil {
		return err
	}

	d.title("Preview: a developer labels a pull request")
	t, err := d.labelled(ctx)
	if err != nil {
		return err
	}

	d.title("In advance: the plugin keeps a preview ready (warm: 1), and the next pull request is given it")
	w, err := d.inAdvance(ctx)
	if err != nil {
		return err
	}

	var onDemand time.Duration
	if d.onDemand {
		d.title("Without Seedling: the same dump, restored on demand with pg_restore into a fresh volume")
		if onDemand, err = d.restoreOnDemand(ctx, dump); err != nil {
			return err
		}
		d.title("The same rows: production and preview")
		if err := d.compare(ctx); err != nil {
			return err
		}
	}
	if err := d.figures(t, w, onDemand); err != nil {
		return err
	}
	d.lookAround()
	return nil
}

// failed says what went wrong, and leaves what helps to understand it.
func (d *demo) failed(ctx context.Context, err error) {
	if cause := context.Cause(ctx); errors.Is(cause, context.Canceled) {
		d.printf("\nInterrupted. What runs stays: make demo goes on from here, make cluster-down ends it.\n")
		return
	} else if cause != nil {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	d.printf("\n%s %v\n", d.paint(red, "The demo failed:"), err)
	if d.cluster == nil {
		return
	}
	dir, absErr := filepath.Abs(filepath.Join("e2e", "evidence", "demo-"+time.Now().UTC().Format("20060102-150405")))
	if absErr != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	namespaces := []string{platform.PluginNamespace, platform.ArgoCDNamespace, platform.VeleroNamespace, platform.Seed, rawNamespace}
	if d.platform != nil && d.pr != nil {
		if v, ok, err := d.platform.FindPreview(ctx, d.pr.Number); err == nil && ok {
			namespaces = append(namespaces, v.Namespace)
		}
	}
	if err := d.cluster.Evidence(ctx, dir, namespaces...); err != nil {
		d.printf("Evidence is incomplete: %v\n", err)
	}
	d.printf("Objects, events and logs of every part: %s\n", dir)
	if d.keep {
		d.printf("The cluster is still running: export KUBECONFIG=%s\n", d.cluster.Kubeconfig())
	}
}
