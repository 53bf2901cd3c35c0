//go:build profile

package main

import (
	"errors"
	"os"
	"runtime/pprof"

	"github.com/seedling-dev/seedling/hooks/command"
)

// profile writes profiles of CPU and memory for `make bench-plugin`, in binaries
// that are built for it.
func profile(env command.Env) (stop func()) {
	path := env.Getenv("PLUGIN_PROFILE")
	f, err := os.Create(path + ".cpu")
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	if err != nil {
		env.Log.Error("no profile is written", "error", err)
		return func() {}
	}
	return func() {
		pprof.StopCPUProfile()
		err := f.Close()
		heap, opened := os.Create(path + ".heap")
		if opened == nil {
			err = errors.Join(err, pprof.Lookup("allocs").WriteTo(heap, 0), heap.Close())
		}
		if err = errors.Join(err, opened); err != nil {
			env.Log.Error("the profile is not whole", "error", err)
		}
	}
}
