// Command csi-btrfs is the test cluster's storage driver: volumes, snapshots and restores in constant time on a btrfs
// file system of the one node. It serves the CSI identity, controller and node services on one socket, and registers
// itself with the kubelet. Package pool says how the data lies and what is not promised.
//
// With --like=ebs, or single settings, it acts as a block store of a cloud does: late snapshots, slow attachment, slow
// reads of fresh volumes, requests that are refused, limits, and a zone.
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
	"strings"
	"syscall"

	"github.com/seedling-dev/seedling/e2e/csi-btrfs/pool"
)

// Exit codes.
const (
	exitDone          = 0
	exitFailed        = 1
	exitMisconfigured = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stderr))
}

type config struct {
	socket       string // path of the CSI socket
	root         string
	node         string
	registration string // directory the kubelet watches; "" registers nowhere
	behaviour    behaviour
}

func run(ctx context.Context, args []string, stderr io.Writer) int {
	c, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitDone
	}
	if err != nil {
		fmt.Fprintln(stderr, "csi-btrfs:", err)
		return exitMisconfigured
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	p, err := pool.Open(ctx, c.root)
	if err == nil {
		err = serve(ctx, c, p, log)
	}
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, pool.ErrNotBtrfs):
		fmt.Fprintf(stderr, "csi-btrfs: %v; mount a btrfs file system there, or name another directory with --root\n", err)
		return exitMisconfigured
	default:
		fmt.Fprintln(stderr, "csi-btrfs:", err)
		return exitFailed
	}
}

func parse(args []string, stderr io.Writer) (config, error) {
	var c config
	var endpoint string
	flags := flag.NewFlagSet("csi-btrfs", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&endpoint, "endpoint", "", "`unix:///path` of the CSI socket")
	flags.StringVar(&c.root, "root", "", "`directory` on btrfs that holds the volumes and snapshots")
	flags.StringVar(&c.node, "node-id", "", "this node's `name`, as the kubelet knows it")
	flags.StringVar(&c.registration, "registration-dir", "",
		"`directory` where the kubelet looks for plugins, usually /var/lib/kubelet/plugins_registry; empty registers nowhere")
	c.behaviour.flags(flags)
	if err := flags.Parse(args); err != nil {
		return config{}, err
	}
	wrong := []error{c.behaviour.wrong()}
	if flags.NArg() > 0 {
		wrong = append(wrong, fmt.Errorf("unexpected argument %q", flags.Arg(0)))
	}
	var ok bool
	if c.socket, ok = strings.CutPrefix(endpoint, "unix://"); !ok || !strings.HasPrefix(c.socket, "/") {
		wrong = append(wrong, fmt.Errorf("--endpoint %q: want unix:///path/to/csi.sock", endpoint))
	}
	if c.root == "" {
		wrong = append(wrong, errors.New("--root is missing: name a directory on btrfs"))
	}
	if c.node == "" {
		wrong = append(wrong, errors.New("--node-id is missing: name this node"))
	}
	return c, errors.Join(wrong...)
}
