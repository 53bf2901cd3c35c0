package faults

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/seedling-dev/seedling/e2e/platform/platformtest"
)

var (
	lives  = flag.Int("lives", 4, "how many previews live")
	atOnce = flag.Int("at-once", 4, "how many of them at once")
	seed   = flag.Int64("seed", time.Now().Unix()/86400, "what falls: the same seed chooses the same; another one each day")
	all    = flag.Bool("all", false, "let everything fall, and not only what is up again in seconds")
)

// world is the installation that the previews live in.
var world platformtest.World

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(*atOnce)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(world.Main(m, nil))
}

func must(t *testing.T, err error) {
	t.Helper()
	platformtest.Must(t, err)
}
