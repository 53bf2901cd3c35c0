// Command cluster starts, ends and shows the test cluster.
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
	"strings"
	"syscall"

	"github.com/seedling-dev/seedling/e2e/cluster"
)

const usage = `usage: cluster [-name NAME] COMMAND

  up                 start the cluster, or adopt the running one
  down               end it and remove its data
  prepare            build every program and image that up needs
  pin                download the programs that others have released, and write
                     their checksums to the repository: they are used from then on
  base               make sure that the base image of every Dockerfile is there
  kubeconfig         print the path of its kubeconfig
  image NAME...      build images/NAME and print its reference; NAME@BASE builds
                     it on another base image (seed-postgres@debian:forky-slim)
  load IMAGE...      copy images from the Docker engine into it
  status             print the state of the node's processes
  stop|start PROCESS end or start one process of the node
  kill PROCESS       end one as a crash would; it is started again
  storage [FLAG...]  let the volumes' storage act with flags of csi-btrfs, such as
                     --like=ebs; without any it does everything at once again
  logs [DIR [NAMESPACE...]]
                     write everything that helps to understand a failure
`

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

var errUsage = errors.New("see the usage")

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, usage) }
	name := flags.String("name", cluster.DefaultName, "")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	args = flags.Args()
	if len(args) == 0 {
		flags.Usage()
		return 2
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	err := command(ctx, *name, args[0], args[1:], log, stdout)
	switch {
	case errors.Is(err, errUsage):
		flags.Usage()
		return 2
	case err != nil:
		fmt.Fprintln(stderr, "cluster:", err)
		return 1
	}
	return 0
}

func command(ctx context.Context, name, verb string, args []string, log *slog.Logger, stdout io.Writer) error {
	switch verb {
	case "up":
		c, err := cluster.Up(ctx, cluster.Options{Name: name, Log: log})
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "kubeconfig  export KUBECONFIG=%s\nGitea       %s  (%s / %s)\nS3          %s  (%s / %s)\n",
			c.Kubeconfig(), c.Gitea().URL, c.Gitea().User, c.Gitea().Password, c.S3().URL, c.S3().User, c.S3().Password)
		return nil
	case "down":
		return cluster.Remove(ctx, name)
	case "prepare":
		return cluster.Prepare(ctx, log)
	case "pin":
		return cluster.PinReleases(ctx, log)
	case "base":
		return cluster.EnsureBase(ctx, log)
	case "image":
		for _, image := range args {
			name, base, other := strings.Cut(image, "@")
			build := func() (string, error) { return cluster.BuildImage(ctx, name) }
			if other {
				build = func() (string, error) { return cluster.BuildImageOn(ctx, name, base) }
			}
			ref, err := build()
			if err != nil {
				return err
			}
			fmt.Fprintln(stdout, ref)
		}
		return nil
	}
	c, err := cluster.Attach(ctx, name)
	if err != nil {
		return err
	}
	switch {
	case verb == "kubeconfig" && len(args) == 0:
		fmt.Fprintln(stdout, c.Kubeconfig())
		return nil
	case verb == "load" && len(args) > 0:
		return c.Load(ctx, args...)
	case verb == "status" && len(args) == 0:
		return printStatus(ctx, c, stdout)
	case verb == "stop" && len(args) == 1:
		return c.StopProcess(ctx, args[0])
	case verb == "start" && len(args) == 1:
		return c.StartProcess(ctx, args[0])
	case verb == "kill" && len(args) == 1:
		return c.KillProcess(ctx, args[0])
	case verb == "storage":
		return c.Storage(ctx, args...)
	case verb == "logs":
		return logs(ctx, c, args, stdout)
	}
	return errUsage
}

func printStatus(ctx context.Context, c *cluster.Cluster, stdout io.Writer) error {
	states, err := c.Processes(ctx)
	if err != nil {
		return err
	}
	for _, s := range states {
		state := "ready"
		if !s.Ready {
			state = s.Error
		}
		fmt.Fprintf(stdout, "%-24s %-3d %s\n", s.Name, s.Starts, strings.TrimSpace(state))
	}
	return nil
}

func logs(ctx context.Context, c *cluster.Cluster, args []string, stdout io.Writer) error {
	var dir string
	if len(args) > 0 {
		dir = args[0]
		args = args[1:]
	} else {
		var err error
		if dir, err = os.MkdirTemp("", "seedling-logs-"); err != nil {
			return err
		}
	}
	err := c.Evidence(ctx, dir, args...)
	absolute, _ := filepath.Abs(dir)
	fmt.Fprintln(stdout, absolute)
	return err
}
