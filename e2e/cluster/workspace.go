package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Root finds the repository's root: SEEDLING_ROOT, or the nearest folder above
// the working directory that holds go.work and e2e/cluster.
func Root() (string, error) {
	if dir := os.Getenv("SEEDLING_ROOT"); dir != "" {
		return filepath.Abs(dir)
	}
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := wd; ; dir = filepath.Dir(dir) {
		_, work := os.Stat(filepath.Join(dir, "go.work"))
		_, here := os.Stat(filepath.Join(dir, "e2e", "cluster", "upstream"))
		if work == nil && here == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no Seedling repository above %s; set SEEDLING_ROOT to its folder", wd)
		}
	}
}

// CacheDir returns a folder below the cache root, which is SEEDLING_CACHE or
// ~/.cache/seedling, and makes it.
func CacheDir(elem ...string) (string, error) {
	base := os.Getenv("SEEDLING_CACHE")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find the cache folder: %w; set SEEDLING_CACHE", err)
		}
		base = filepath.Join(home, ".cache", "seedling")
	}
	base, err := filepath.Abs(base)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(append([]string{base}, elem...)...)
	return dir, os.MkdirAll(dir, 0o755)
}

// stateDir returns the folder of files that belong to one running cluster.
func stateDir(name string) (string, error) {
	clusters, err := CacheDir("clusters")
	return filepath.Join(clusters, name), err
}

// lock takes an exclusive lock that other processes honour, so that nothing is
// built twice at the same time. It blocks; call the returned function to
// unlock.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return func() { _ = f.Close() }, nil
}
