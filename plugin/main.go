// Command plugin turns pull requests into previews: it is the server that Argo
// CD's ApplicationSet controller asks (plugin generator), the webhooks' target,
// the broker that restores snapshots, and the janitor.
//
// Exit codes: 0 done, 1 failed and a retry may help, 2 misconfigured.
//
// Each verb is in the file of its name, and what it is made of in the packages
// below. The tests model_*_test.go play random lives of the whole server.
package main

import (
	"context"
	"flag"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/plugin/probe"
)

func main() { os.Exit(command.Main("plugin", run)) }

func run(ctx context.Context, env command.Env) error {
	return command.Verbs{
		Name:  "plugin",
		About: "plugin turns pull requests into previews.",
		List: []command.Verb{
			verb("serve", "serve Argo CD, forges and previews", (*program).serve),
			verb("check", "check the configuration, and what it relies on", (*program).check),
			verb("leftovers", "print what would be removed now of ended previews and old snapshots, and remove nothing", (*program).leftovers),
			verb("render", "print what the plugin would answer for an ApplicationSet, from the forge alone", (*program).render),
			refreshCommand(),
			{Name: probe.ServeVerb, Hidden: true, Run: func(ctx context.Context, _ command.Env) error {
				return probe.Serve(ctx, ":"+probe.Port)
			}},
			{Name: probe.DialVerb, Hidden: true, Run: func(ctx context.Context, env command.Env) error {
				if len(env.Args) != 1 {
					return command.Misconfiguredf("%s takes an address", probe.DialVerb)
				}
				return probe.Dial(ctx, env.Args[0])
			}},
		},
	}.Run(ctx, env)
}

// program is what a subcommand was asked for.
type program struct {
	config         string
	applicationSet string
	probe          bool
	probeImage     string
	fences         bool
	getenv         func(string) string
	stdin          io.Reader
	stdout         io.Writer
	log            *slog.Logger
	now            func() time.Time
}

// verb reads the flags that all subcommands share, and what render has besides.
func verb(name, does string, do func(*program, context.Context) error) command.Verb {
	return command.Verb{Name: name, Does: does, Run: func(ctx context.Context, env command.Env) error {
		p := &program{getenv: env.Getenv, stdin: env.Stdin, stdout: env.Stdout, log: env.Log, now: time.Now}
		flags := flag.NewFlagSet("plugin "+name, flag.ContinueOnError)
		flags.StringVar(&p.config, "config", env.Getenv("PLUGIN_CONFIG"), "configuration `FILE` (or PLUGIN_CONFIG)")
		verbose := flags.Bool("verbose", env.Getenv("PLUGIN_VERBOSE") != "", "log more (or PLUGIN_VERBOSE)")
		switch name {
		case "render":
			flags.StringVar(&p.applicationSet, "applicationset", "", "`FILE` with the ApplicationSet; - for standard input")
		case "check":
			flags.BoolVar(&p.probe, "probe", false, "also find out whether NetworkPolicies are enforced, by two pods in a namespace that is removed afterwards")
			flags.BoolVar(&p.fences, "fences", false, "also try what hostile pull requests try, as dry runs as Argo CD's accounts, in two namespaces that are removed afterwards")
			flags.StringVar(&p.probeImage, "probe-image", "", "`IMAGE` of the plugin for these pods (default: that of its Deployment)")
		}
		if err := command.ParseFlags(flags, env); err != nil {
			return err
		}
		if p.config == "" {
			return command.Misconfiguredf("--config names no file")
		}
		if *verbose {
			p.log = command.NewLogAt(env.Stderr, slog.LevelDebug)
		}
		defer profile(env)()
		return do(p, ctx)
	}}
}
