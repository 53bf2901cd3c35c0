package dump

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// file is an object on a mounted file system.
type file struct {
	f    *os.File
	stat fs.FileInfo
}

func openFile(path string) (*file, error) {
	f, err := os.Open(path)
	if err != nil {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, &unusableError{errNotFound}
		case errors.Is(err, fs.ErrPermission):
			return nil, &unusableError{err}
		}
		return nil, err
	}
	stat, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	if !stat.Mode().IsRegular() && !stat.IsDir() {
		f.Close()
		return nil, unusable("not a regular file: a dump is read at several places at once, a pipe cannot be")
	}
	return &file{f: f, stat: stat}, nil
}

func (f *file) read(_ context.Context, off, n int64) (io.ReadCloser, error) {
	now, err := f.f.Stat()
	if err != nil {
		return nil, err
	}
	if now.Size() != f.stat.Size() || !now.ModTime().Equal(f.stat.ModTime()) {
		return nil, unusable("the file changed while it was being read: write dumps under another name and rename them when they are whole")
	}
	return io.NopCloser(io.NewSectionReader(f.f, off, n)), nil
}

func (f *file) size() int64         { return f.stat.Size() }
func (f *file) version() string     { return "" }
func (f *file) modified() time.Time { return f.stat.ModTime() }
func (f *file) close() error        { return f.f.Close() }

// folder is a place on a mounted file system.
type folder string

func (d folder) open(_ context.Context, name string) (object, error) {
	if !filepath.IsLocal(name) {
		return nil, unusable("the table of contents names %q, which lies outside of the dump", name)
	}
	return openFile(filepath.Join(string(d), name))
}

func (d folder) close() error { return nil }
