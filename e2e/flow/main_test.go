package flow

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/e2e/cluster"
	"github.com/seedling-dev/seedling/e2e/cluster/clustertest"
	"github.com/seedling-dev/seedling/e2e/platform"
	"github.com/seedling-dev/seedling/e2e/shop"
	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// world is the installation that the tests share, with its seed filled once.
var world struct {
	*platform.Platform
	// dump is the seed's dump as the tests find it.
	dump platform.Refresh
	// first is the snapshot that the first refresh took.
	first *velerov1.Backup
	// early is a pull request that was labelled before there was a snapshot;
	// nil where the installation had one already.
	early *platform.PullRequest
	// earlyStatus is the commit status it got then.
	earlyStatus string
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	if testing.Short() {
		return m.Run()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	c, err := cluster.Up(ctx, cluster.Options{Name: os.Getenv("SEEDLING_CLUSTER"), Log: log})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := prepare(ctx, c, log); err != nil {
		fmt.Fprintln(os.Stderr, err)
		dir := clustertest.EvidenceFolder("prepare")
		if err := c.Evidence(ctx, dir, platform.Seed, platform.PluginNamespace); err != nil {
			fmt.Fprintln(os.Stderr, "some evidence is missing:", err)
		}
		fmt.Fprintln(os.Stderr, "evidence of the failure:", dir)
		return 1
	}
	return m.Run()
}

// prepare installs Seedling and fills the seed.
func prepare(ctx context.Context, c *cluster.Cluster, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Minute)
	defer cancel()
	p, err := platform.Install(ctx, c, platform.Options{Log: log})
	if err != nil {
		return err
	}
	world.Platform = p
	if world.dump, err = upload(ctx, 8); err != nil {
		return err
	}
	backups, err := seedBackups(ctx)
	if err != nil {
		return err
	}
	if len(backups) == 0 {
		if err := labelEarly(ctx); err != nil {
			return err
		}
	}
	if world.first, err = p.Refresh(ctx, world.dump); err != nil {
		return fmt.Errorf("first refresh: %w", err)
	}
	return nil
}

// labelEarly labels a pull request while no snapshot is usable.
func labelEarly(ctx context.Context) error {
	pr, err := world.OpenPullRequest(ctx, "early", "Labelled before there is data", nil)
	if err != nil {
		return err
	}
	if err := pr.Label(ctx, platform.LabelPreview); err != nil {
		return err
	}
	world.early = pr
	return world.Wait(ctx, "wait for the commit status of an early pull request", func(ctx context.Context) error {
		s, err := pr.Status(ctx, pr.StatusContext())
		if err != nil {
			return err
		}
		if s == nil {
			return errors.New("there is none")
		}
		world.earlyStatus = string(s.State) + ": " + s.Description
		return nil
	})
}

// upload puts a dump of the shop of about the given size into S3.
func upload(ctx context.Context, megabytes int) (platform.Refresh, error) {
	dump, err := shop.OfMB(megabytes).Dump(ctx, slog.New(slog.DiscardHandler))
	if err != nil {
		return platform.Refresh{}, err
	}
	url, err := dump.Upload(ctx, world.Cluster.S3())
	return platform.Refresh{Dump: url, SHA256: dump.SHA256}, err
}

func seedBackups(ctx context.Context) ([]velerov1.Backup, error) {
	var all velerov1.BackupList
	err := world.Kube.List(ctx, &all, client.InNamespace(platform.VeleroNamespace), client.MatchingLabels{snapshot.LabelSeed: platform.Seed})
	return all.Items, err
}

// begin bounds a test, and leaves evidence of what it worked on if it fails.
func begin(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a cluster; run without -short")
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// labelled opens a pull request of a branch named after the test and labels
// it. It is closed when the test ends, and its evidence is kept if it failed.
func labelled(ctx context.Context, t *testing.T, suffix string, c platform.Change) *platform.PullRequest {
	t.Helper()
	branch := strings.ToLower(strings.TrimPrefix(t.Name(), "Test")) + suffix
	branch = strings.NewReplacer("/", "-", "_", "-", ",", "").Replace(branch)
	pr, err := world.OpenPullRequest(ctx, branch, t.Name()+suffix, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if t.Failed() {
			spaces := []string{platform.PluginNamespace, platform.Seed}
			if v, ok, err := world.FindPreview(ctx, pr.Number); err == nil && ok {
				spaces = append(spaces, v.Namespace)
			}
			clustertest.Evidence(t, world.Cluster, spaces...)
		}
		if err := pr.Close(ctx); err != nil {
			t.Logf("close the pull request: %v", err)
		}
	})
	if err := pr.Label(ctx, platform.LabelPreview); err != nil {
		t.Fatal(err)
	}
	return pr
}

// preview is [labelled], and waits for the preview.
func preview(ctx context.Context, t *testing.T, suffix string) (*platform.PullRequest, platform.Preview) {
	t.Helper()
	pr := labelled(ctx, t, suffix, nil)
	v, err := world.WaitPreview(ctx, pr, "")
	if err != nil {
		t.Fatal(err)
	}
	return pr, v
}

// query runs SQL in a namespace's Postgres. A pod that is just being replaced
// is waited for.
func query(ctx context.Context, t *testing.T, namespace, sql string) [][]string {
	t.Helper()
	var rows [][]string
	err := world.Wait(ctx, "query "+namespace, func(ctx context.Context) error {
		var err error
		rows, err = world.Query(ctx, namespace, sql)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
