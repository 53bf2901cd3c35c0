package flow

import (
	"context"
	"errors"
	"flag"
	"os"
	"testing"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/e2e/platform"
	"github.com/seedling-dev/seedling/e2e/platform/platformtest"
	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// world is the installation that the tests share, with its seed filled once.
var world struct {
	platformtest.World
	// early is a pull request that was labelled before there was a snapshot;
	// nil where the installation had one already.
	early *platform.PullRequest
	// earlyStatus is the commit status it got then.
	earlyStatus string
}

func TestMain(m *testing.M) {
	flag.Parse()
	turns = platformtest.NewTurns(platformtest.AtOnce())
	// As many as may wait for their turn.
	if err := flag.Set("test.parallel", "1000"); err != nil {
		panic(err)
	}
	os.Exit(world.Main(m, func(ctx context.Context) error {
		backups, err := seedBackups(ctx)
		if err != nil || len(backups) > 0 {
			return err
		}
		return labelEarly(ctx)
	}))
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

func seedBackups(ctx context.Context) ([]velerov1.Backup, error) {
	var all velerov1.BackupList
	err := world.Kube.List(ctx, &all, client.InNamespace(platform.VeleroNamespace), client.MatchingLabels{snapshot.LabelSeed: platform.Seed})
	return all.Items, err
}

// turns says which tests go on at once.
var turns = platformtest.NewTurns(1)

// beside begins a test that goes on beside others, and leaves the seed and the
// whole installation as they are.
func beside(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	turns.Beside(t)
	return platformtest.Begin(t, limit)
}

// begin begins a test that has said by itself whether it is parallel.
func begin(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	turns.Take(t)
	return platformtest.Begin(t, limit)
}

// alone begins a test that changes the seed, or what all previews depend on.
func alone(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	turns.Alone(t)
	return platformtest.Begin(t, limit)
}

func upload(ctx context.Context, megabytes int) (platform.Refresh, error) {
	return world.Upload(ctx, megabytes)
}

func labelled(ctx context.Context, t *testing.T, suffix string, c platform.Change) *platform.PullRequest {
	t.Helper()
	return world.Labelled(ctx, t, suffix, c)
}

func preview(ctx context.Context, t *testing.T, suffix string) (*platform.PullRequest, platform.Preview) {
	t.Helper()
	return world.Preview(ctx, t, suffix)
}

func query(ctx context.Context, t *testing.T, namespace, sql string) [][]string {
	t.Helper()
	return world.Rows(ctx, t, namespace, sql)
}

func must(t *testing.T, err error) {
	t.Helper()
	platformtest.Must(t, err)
}
