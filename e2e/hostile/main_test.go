package hostile

import (
	"context"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/seedling-dev/seedling/e2e/platform/platformtest"
)

var (
	all     = flag.Bool("all", false, "try everything; otherwise the attacks that are always tried, a few more, and no test that changes the whole cluster for minutes")
	seed    = flag.Int64("seed", time.Now().Unix()/86400, "which few more: the same seed chooses the same; another one each day")
	more    = flag.Int("more", 3, "how many more")
	byChart = flag.Bool("chart", false, "try it on what the Helm chart installs")
	atOnce  = flag.Int("at-once", 6, "how many attacks go on at once")
)

// world is the installation that the tests share.
var world platformtest.World

func TestMain(m *testing.M) {
	flag.Parse()
	var before func(context.Context) error
	if *byChart {
		before = func(ctx context.Context) error { return world.UseChart(ctx) }
	}
	os.Exit(world.Main(m, before))
}

// onlyWithAll skips what takes minutes in which nothing else can run.
func onlyWithAll(t *testing.T) {
	t.Helper()
	if !*all {
		t.Skip("it changes the whole cluster for minutes; make test-hostile runs it")
	}
}
