// Package platformtest gives the tests of a package Seedling on the test cluster,
// with its seed filled once, and a pull request with its preview in one line. The
// cluster is reserved while they run, is named by SEEDLING_CLUSTER, and stays up
// afterwards.
package platformtest

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"

	"github.com/seedling-dev/seedling/e2e/cluster"
	"github.com/seedling-dev/seedling/e2e/cluster/clustertest"
	"github.com/seedling-dev/seedling/e2e/platform"
	"github.com/seedling-dev/seedling/e2e/shop"
)

// World is the installation that the tests of a package share.
type World struct {
	*platform.Platform
	// Dump is the seed's dump as the tests find it.
	Dump platform.Refresh
	// First is the snapshot that the first refresh took.
	First *velerov1.Backup
}

// Main is the TestMain of a package. before, if it is not nil, is called when
// Seedling is installed and its seed is not filled yet. With -short there is no
// cluster, and no world. The caller has parsed the flags.
func (w *World) Main(m *testing.M, before func(context.Context) error) int {
	if testing.Short() {
		return m.Run()
	}
	if err := flag.Set("test.parallel", strconv.Itoa(AtOnce())); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	name := os.Getenv("SEEDLING_CLUSTER")
	release, err := cluster.Reserve(ctx, name, log)
	if err != nil {
		return fail(err)
	}
	defer release()
	c, err := cluster.Up(ctx, cluster.Options{Name: name, Log: log})
	if err != nil {
		return fail(err)
	}
	if err := w.prepare(ctx, c, before, log); err != nil {
		dir := clustertest.EvidenceFolder("prepare")
		if err := c.Evidence(ctx, dir, platform.Seed, platform.PluginNamespace); err != nil {
			fmt.Fprintln(os.Stderr, "some evidence is missing:", err)
		}
		fmt.Fprintln(os.Stderr, "evidence of the failure:", dir)
		return fail(err)
	}
	return m.Run()
}

// AtOnce is how many tests go on at once: four, for on the cluster they wait more
// than they compute, or as many as -parallel says.
func AtOnce() int {
	n := 4
	flag.Visit(func(f *flag.Flag) {
		if f.Name == "test.parallel" {
			n = f.Value.(flag.Getter).Get().(int)
		}
	})
	return n
}

// prepare installs Seedling and fills the seed.
func (w *World) prepare(ctx context.Context, c *cluster.Cluster, before func(context.Context) error, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Minute)
	defer cancel()
	p, err := platform.Install(ctx, c, platform.Options{Log: log})
	if err != nil {
		return err
	}
	w.Platform = p
	if w.Dump, err = w.Upload(ctx, 8); err != nil {
		return err
	}
	if before != nil {
		if err := before(ctx); err != nil {
			return err
		}
	}
	if w.First, err = p.Refresh(ctx, w.Dump); err != nil {
		return fmt.Errorf("first refresh: %w", err)
	}
	return nil
}

// Upload puts a dump of the shop of about the given size into S3.
func (w *World) Upload(ctx context.Context, megabytes int) (platform.Refresh, error) {
	dump, err := shop.OfMB(megabytes).Dump(ctx, slog.New(slog.DiscardHandler))
	if err != nil {
		return platform.Refresh{}, err
	}
	url, err := dump.Upload(ctx, w.Cluster.S3())
	return platform.Refresh{Dump: url, SHA256: dump.SHA256}, err
}

// Begin bounds a test that needs the cluster by twice what is enough for it on a
// machine that does nothing else: the limit ends what hangs, and no test measures time.
func Begin(t testing.TB, limit time.Duration) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a cluster; run without -short")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*limit)
	t.Cleanup(cancel)
	return ctx
}

// Open opens a pull request of a branch named after the test. It is closed when
// the test ends, and evidence of its preview is kept if the test failed.
func (w *World) Open(ctx context.Context, t testing.TB, suffix string, c platform.Change) *platform.PullRequest {
	t.Helper()
	branch := strings.ToLower(strings.TrimPrefix(t.Name(), "Test")) + suffix
	branch = strings.NewReplacer("/", "-", "_", "-", ",", "", "#", "-").Replace(branch)
	pr, err := w.OpenPullRequest(ctx, branch, t.Name()+suffix, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if t.Failed() {
			spaces := []string{platform.PluginNamespace, platform.Seed}
			if v, ok, err := w.FindPreview(ctx, pr.Number); err == nil && ok {
				spaces = append(spaces, v.Namespace)
			}
			clustertest.Evidence(t, w.Cluster, spaces...)
		}
		if err := pr.Close(ctx); err != nil {
			t.Logf("close the pull request: %v", err)
		}
	})
	return pr
}

// Labelled is [World.Open], and labels the pull request.
func (w *World) Labelled(ctx context.Context, t testing.TB, suffix string, c platform.Change) *platform.PullRequest {
	t.Helper()
	pr := w.Open(ctx, t, suffix, c)
	if err := pr.Label(ctx, platform.LabelPreview); err != nil {
		t.Fatal(err)
	}
	return pr
}

// Preview is [World.Labelled], and waits for the preview.
func (w *World) Preview(ctx context.Context, t testing.TB, suffix string) (*platform.PullRequest, platform.Preview) {
	t.Helper()
	pr := w.Labelled(ctx, t, suffix, nil)
	v, err := w.WaitPreview(ctx, pr, "")
	if err != nil {
		t.Fatal(err)
	}
	return pr, v
}

// Rows runs SQL in a namespace's Postgres. A pod that is just being replaced is
// waited for.
func (w *World) Rows(ctx context.Context, t testing.TB, namespace, sql string) [][]string {
	t.Helper()
	var rows [][]string
	err := w.Wait(ctx, "query "+namespace, func(ctx context.Context) error {
		var err error
		rows, err = w.Query(ctx, namespace, sql)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// Configure changes the plugin's configuration until the test ends: it is given
// config.yaml, and returns the new one.
func (w *World) Configure(ctx context.Context, t testing.TB, change func(string) string) {
	t.Helper()
	was, err := w.Platform.Configure(ctx, change)
	Must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		_, err := w.Platform.Configure(ctx, func(string) string { return was })
		Must(t, err)
	})
}

// Must ends the test at an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
