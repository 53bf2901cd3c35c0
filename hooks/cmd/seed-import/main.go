// Command seed-import replaces a seed's database by the masked content of a
// dump: see package seed and the README beside this file.
package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/seed"
)

func main() {
	noCores()
	if debug.SetMemoryLimit(-1) == math.MaxInt64 { // who sets GOMEMLIMIT knows better
		limitMemory = func(most int64) { debug.SetMemoryLimit(most - codeMemory) }
	}
	os.Exit(command.Main("seed-import", run))
}

// noCores keeps the process' memory, which holds raw rows, out of core files
// and away from debuggers of the same user.
func noCores() {
	const setDumpable = 4 // PR_SET_DUMPABLE
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, setDumpable, 0, 0)
}

// codeMemory is what the process takes beside what Go's runtime counts.
const codeMemory = 40 << 20

// limitMemory makes the collector work harder before the process takes more than
// so many bytes. In tests, which share their process, it does nothing.
var limitMemory = func(int64) {}

var verbs = command.Verbs{
	Name:    "seed-import",
	About:   "seed-import replaces a seed's database by the masked content of a dump.",
	Default: "run",
	List: []command.Verb{
		{Name: "run", Does: "import the dump (the default)", Run: runImport},
		{Name: "plan", Does: "say what run would do, and check all that can be checked before", Run: runPlan},
		{Name: "verify", Does: "compare the seed with the dump", Run: runVerify},
		{Name: "evidence", Does: "print the record of the import that the seed holds, for whoever must sign for it", Run: runEvidence},
		{Name: "check", Does: "say what a policy does not cover of a schema; needs no rows and no key", Run: runCheck},
		{Name: "draft-policy", Does: "write a first policy for a dump to standard output", Run: runDraft},
		{Name: "request", Does: "write the seed-request ConfigMap for a dump and a policy to standard output", Run: runRequest},
		{Name: "certificates", Does: "make the Secret with which the seed's Postgres and its Jobs know each other", Run: runCertificates},
	},
}

func run(ctx context.Context, env command.Env) error {
	defer profile(env)()
	return explain(env, verbs.Run(ctx, env))
}

// explain prints what a person can paste to cure an error, in full and before
// the last line, which is the error's sentence.
func explain(env command.Env, err error) error {
	for _, fragment := range seed.Fragments(err) {
		fmt.Fprintf(env.Stderr, "\nAdd to the policy:\n\n%s\n", strings.TrimRight(fragment, "\n"))
	}
	return err
}
