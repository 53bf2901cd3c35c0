// Command reload builds one part of Seedling and puts it into the test cluster
// that runs: the inner loop of whoever changes that part.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/seedling-dev/seedling/e2e/cluster"
	"github.com/seedling-dev/seedling/e2e/platform"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stderr io.Writer) int {
	if len(args) != 1 {
		fmt.Fprintf(stderr, "usage: make reload PART=%s\n", strings.Join(platform.Images, "|"))
		return 2
	}
	c, err := cluster.Attach(ctx, cluster.DefaultName)
	if err == nil {
		err = platform.Reload(ctx, c, args[0], slog.New(slog.NewTextHandler(stderr, nil)))
	}
	if err != nil {
		fmt.Fprintln(stderr, "reload:", err)
		return 1
	}
	return 0
}
