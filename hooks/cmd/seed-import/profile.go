//go:build profile

package main

import (
	"os"
	"runtime/pprof"

	"github.com/seedling-dev/seedling/hooks/command"
)

// profile writes a CPU profile for `make bench-import`, in binaries that are
// built for it.
func profile(env command.Env) (stop func()) {
	f, err := os.Create(env.Getenv("SEED_IMPORT_PROFILE"))
	if err != nil || pprof.StartCPUProfile(f) != nil {
		return func() {}
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}
}
