// Command seed-import replaces a seed's database by the masked content of a
// dump: see package seed and the README beside this file.
package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/seedling-dev/seedling/hooks/hook"
)

func main() {
	noCores()
	if debug.SetMemoryLimit(-1) == math.MaxInt64 { // who sets GOMEMLIMIT knows better
		limitHeap = func(most int64) { debug.SetMemoryLimit(most) }
	}
	os.Exit(hook.Main("seed-import", run))
}

// noCores keeps the process' memory, which holds raw rows, out of core files
// and away from debuggers of the same user.
func noCores() {
	const setDumpable = 4 // PR_SET_DUMPABLE
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, setDumpable, 0, 0)
}

// limitHeap is seed.Options.Heap of this process, whose heap is the import's alone.
var limitHeap func(most int64)

// verb is one of the command's subcommands.
type verb struct {
	name, does string
	run        func(context.Context, hook.Env) error
}

func verbs() []verb {
	return []verb{
		{"run", "import the dump (the default)", runImport},
		{"plan", "say what run would do, and check all that can be checked before", runPlan},
		{"verify", "compare the seed with the dump", runVerify},
		{"draft-policy", "write a first policy for a dump to standard output", runDraft},
		{"request", "write the seed-request ConfigMap for a dump and a policy to standard output", runRequest},
	}
}

func run(ctx context.Context, env hook.Env) error {
	name := "run"
	if len(env.Args) > 0 && !strings.HasPrefix(env.Args[0], "-") {
		name, env.Args = env.Args[0], env.Args[1:]
	}
	defer profile(env)()
	for _, v := range verbs() {
		if v.name == name {
			return explain(env, v.run(ctx, env))
		}
	}
	if name == "help" {
		fmt.Fprintln(env.Stdout, "Usage: seed-import [run|plan|verify|draft-policy|request] --flags; see seed-import VERB --help")
		for _, v := range verbs() {
			fmt.Fprintf(env.Stdout, "  %-13s %s\n", v.name, v.does)
		}
		return nil
	}
	var names []string
	for _, v := range verbs() {
		names = append(names, v.name)
	}
	return hook.Misconfiguredf("%q is no subcommand: use one of %s", name, strings.Join(names, ", "))
}

// explain prints what a person can paste to cure an error, in full and before
// the last line, which is the error's sentence.
func explain(env hook.Env, err error) error {
	for _, fragment := range fragments(err) {
		fmt.Fprintf(env.Stderr, "\nAdd to the policy:\n\n%s\n", strings.TrimRight(fragment, "\n"))
	}
	return err
}

// fragments collects them from a tree of errors.
func fragments(err error) []string {
	var out []string
	switch e := err.(type) { //nolint:errorlint // walks the tree itself
	case nil:
	case interface{ Fragment() string }:
		out = append(out, e.Fragment())
	case interface{ Unwrap() []error }:
		for _, sub := range e.Unwrap() {
			out = append(out, fragments(sub)...)
		}
	default:
		if sub := errors.Unwrap(err); sub != nil {
			out = append(out, fragments(sub)...)
		}
	}
	return out
}
