//go:build profile

package main

import (
	"os"
	"runtime/pprof"

	"github.com/seedling-dev/seedling/hooks/command"
)

// profile writes profiles of CPU and memory for `make bench-plugin`, in binaries
// that are built for it.
func profile(env command.Env) (stop func()) {
	path := env.Getenv("PLUGIN_PROFILE")
	f, err := os.Create(path + ".cpu")
	if err != nil || pprof.StartCPUProfile(f) != nil {
		return func() {}
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
		if heap, err := os.Create(path + ".heap"); err == nil {
			_ = pprof.Lookup("allocs").WriteTo(heap, 0)
			_ = heap.Close()
		}
	}
}
