package dump

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// secrets is a directory with one file per secret value; "" is none.
type secrets string

// get returns the content of a file, or "" when it is not there.
func (s secrets) get(name string) (string, error) {
	if s == "" {
		return "", nil
	}
	b, err := os.ReadFile(filepath.Join(string(s), name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", unusable("read the dump's credentials: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// check fails when the directory itself is missing or empty.
func (s secrets) check() error {
	if s == "" {
		return nil
	}
	entries, err := os.ReadDir(string(s))
	if err != nil {
		return unusable("read the dump's credentials: %w", err)
	}
	if len(entries) == 0 {
		return unusable("the directory of the dump's credentials, %s, is empty", string(s))
	}
	return nil
}
