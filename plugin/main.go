// Command plugin turns pull requests into previews: it is the server that Argo
// CD's ApplicationSet controller asks (plugin generator), the webhooks' target,
// the broker that restores snapshots, and the janitor.
//
// Exit codes: 0 done, 1 failed and a retry may help, 2 misconfigured.
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
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

const usage = `plugin turns pull requests into previews.

  plugin serve  --config FILE                       serve Argo CD, forges and previews
  plugin check  --config FILE                       check the configuration, and reach everything in it
  plugin render --config FILE --applicationset FILE print what the plugin would answer, from the forge alone

`

// misconfiguredError marks an error that a retry will not cure.
type misconfiguredError struct{ error }

func (e misconfiguredError) Unwrap() error { return e.error }

// misconfigured marks err without changing its text.
func misconfigured(err error) error { return misconfiguredError{err} }

// final says whether err is marked.
func final(err error) bool {
	_, ok := errors.AsType[misconfiguredError](err)
	return ok
}

// command is a subcommand with its own flags.
type command struct {
	config         string
	applicationSet string
	verbose        bool
	getenv         func(string) string
	stdout         io.Writer
	log            *slog.Logger
}

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	err := execute(ctx, args, getenv, stdout, stderr)
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case final(err):
		fmt.Fprintln(stderr, "plugin:", err)
		return 2
	default:
		fmt.Fprintln(stderr, "plugin:", err)
		return 1
	}
}

func execute(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	if len(args) == 0 || args[0] == "-h" || args[0] == "--help" || args[0] == "help" {
		fmt.Fprint(stderr, usage)
		if len(args) == 0 {
			return misconfigured(errors.New("say what to do: serve, check or render"))
		}
		return nil
	}
	c := &command{getenv: getenv, stdout: stdout}
	verbs := map[string]func(context.Context) error{"serve": c.serve, "check": c.check, "render": c.render}
	verb, ok := verbs[args[0]]
	if !ok {
		return misconfigured(fmt.Errorf("%q is no command: use serve, check or render", args[0]))
	}
	flags := flag.NewFlagSet("plugin "+args[0], flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&c.config, "config", getenv("PLUGIN_CONFIG"), "configuration `FILE` (or PLUGIN_CONFIG)")
	flags.BoolVar(&c.verbose, "verbose", getenv("PLUGIN_VERBOSE") != "", "log more (or PLUGIN_VERBOSE)")
	if args[0] == "render" {
		flags.StringVar(&c.applicationSet, "applicationset", "", "`FILE` with the ApplicationSet")
	}
	if err := flags.Parse(args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return misconfigured(err)
	}
	if flags.NArg() > 0 {
		return misconfigured(fmt.Errorf("%q is no flag", flags.Arg(0)))
	}
	if c.config == "" {
		return misconfigured(errors.New("--config names no file"))
	}
	level := slog.LevelInfo
	if c.verbose {
		level = slog.LevelDebug
	}
	c.log = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	return verb(ctx)
}
