package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
)

// Program returns the path of a program on this host: one of the test cluster's,
// such as helm, or one of this repository's, such as plugin. It is built if it is
// not there.
func Program(ctx context.Context, name string) (string, error) {
	repo, err := Root()
	if err != nil {
		return "", err
	}
	for _, u := range upstreams {
		for _, b := range u.binaries {
			if b.name != name {
				continue
			}
			dir, err := u.build(ctx, repo, nil, slog.New(slog.DiscardHandler))
			return filepath.Join(dir, name), err
		}
	}
	path, err := ownCommand(ctx, repo, name)
	if path != "" || err != nil {
		return path, err
	}
	return "", fmt.Errorf("the test cluster has no program %q", name)
}
