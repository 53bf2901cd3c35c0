// Command node is the entrypoint of the test cluster's container: it prepares
// mounts, keys and configurations, and keeps everything running that a machine
// of a Kubernetes cluster runs, and Gitea and an S3 server besides.
//
//	node init         PID 1: reaps, and runs supervise
//	node supervise    prepares and runs everything
//	node status       prints every process's state as JSON
//	node stop NAME    ends one process until it is started again
//	node start NAME   starts it, and returns when it serves
//	node kill NAME    ends it as a crash would
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	log := slog.New(slog.NewTextHandler(stderr, nil))
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	if len(args) == 0 {
		args = []string{""}
	}
	var err error
	switch {
	case args[0] == "init" && len(args) == 1:
		return reap(stderr)
	case args[0] == "supervise" && len(args) == 1:
		err = serve(ctx, log)
	case args[0] == "status" && len(args) == 1:
		err = ask(ctx, stdout, "/status")
	case slices.Contains([]string{"stop", "start", "kill"}, args[0]) && len(args) == 2:
		err = ask(ctx, stdout, "/"+args[0]+"/"+args[1])
	default:
		fmt.Fprintln(stderr, "usage: node init|supervise|status|stop NAME|start NAME|kill NAME")
		return 2
	}
	if err != nil {
		fmt.Fprintln(stderr, "node:", err)
		return 1
	}
	return 0
}

// serve prepares the machine and runs its processes until it is told to
// end.
func serve(ctx context.Context, log *slog.Logger) error {
	m, err := prepare(ctx, log)
	if err != nil {
		return err
	}
	s, err := m.supervisor(log)
	if err != nil {
		return err
	}
	control, err := serveControl(ctx, s)
	if err != nil {
		return err
	}
	defer control.Close()
	return s.Run(ctx)
}

// reap runs supervise as a child and collects every orphan's end, as PID 1
// must. It ends with the child's exit code.
func reap(stderr io.Writer) int {
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(stderr, "node: find my own binary:", err)
		return 1
	}
	child, err := os.StartProcess(self, []string{self, "supervise"}, &os.ProcAttr{
		Env: os.Environ(), Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		fmt.Fprintln(stderr, "node: start supervise:", err)
		return 1
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		for s := range signals {
			_ = child.Signal(s)
		}
	}()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			fmt.Fprintln(stderr, "node: wait for children:", err)
			return 1
		}
		if pid == child.Pid {
			return status.ExitStatus()
		}
	}
}

// printJSON writes v for people and programs.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
