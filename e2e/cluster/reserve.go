package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// Reserve waits until nobody else has the cluster of that name reserved, and
// keeps it so until release is called or the process ends. Tests that stop parts
// of the cluster, or count what happens in all of it, reserve it. log says when it
// has to wait.
func Reserve(ctx context.Context, name string, log *slog.Logger) (release func(), err error) {
	if name == "" {
		name = DefaultName
	}
	dir, err := stateDir(name)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, err
	}
	type answer struct {
		unlock func()
		err    error
	}
	locked := make(chan answer, 1)
	go func() {
		unlock, err := lock(dir + ".tests")
		locked <- answer{unlock, err}
	}()
	select {
	case a := <-locked:
		return a.unlock, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("reserve cluster %q: %w", name, context.Cause(ctx))
	case <-time.After(time.Second):
		log.Info("other tests use this cluster; waiting for their end", "name", name)
	}
	select {
	case a := <-locked:
		return a.unlock, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("reserve cluster %q, which other tests use: %w", name, context.Cause(ctx))
	}
}
