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

// folder is a place on a mounted file system. Links that lead out of it are
// not followed.
type folder struct{ root *os.Root }

// openFolder opens the folder a path names, or the folder that the file is in
// which it names.
func openFolder(path string) (at place, name string, err error) {
	stat, err := os.Stat(path) //nolint:gosec // what the user named is what is read
	if err != nil {
		return nil, "", fileError(err)
	}
	dir := path
	if !stat.IsDir() {
		// The link itself may lead anywhere: it is what the user named.
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return nil, "", fileError(err)
		}
		dir, name = filepath.Dir(path), filepath.Base(path)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, "", fileError(err)
	}
	return &folder{root}, name, nil
}

func fileError(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &unusableError{errNotFound}
	case errors.Is(err, fs.ErrPermission):
		return &unusableError{err}
	}
	return err
}

func (d *folder) open(_ context.Context, name string) (object, error) {
	if !filepath.IsLocal(name) {
		return nil, outside(name)
	}
	stat, err := d.root.Stat(name)
	if err != nil {
		err = fileError(err)
		if link, lerr := d.root.Lstat(name); lerr == nil && link.Mode()&fs.ModeSymlink != 0 && !errors.Is(err, ErrUnusable) {
			return nil, outside(name)
		}
		return nil, err
	}
	if !stat.Mode().IsRegular() {
		return nil, unusable("%s is not a regular file: a dump is read at several places at once, a pipe cannot be", name)
	}
	return &file{root: d.root, name: name, stat: stat}, nil
}

func (d *folder) close() error { return d.root.Close() }

// file is an object on a mounted file system. It is opened by each read alone:
// a directory may hold more files than a process may have open.
type file struct {
	root *os.Root
	name string
	stat fs.FileInfo
}

func (f *file) read(_ context.Context, off, n int64) (io.ReadCloser, error) {
	r, err := f.root.Open(f.name)
	if err != nil {
		return nil, fileError(err)
	}
	now, err := r.Stat()
	if err == nil && (!os.SameFile(now, f.stat) || now.Size() != f.stat.Size() || !now.ModTime().Equal(f.stat.ModTime())) {
		err = unusable("the file changed while it was being read: write dumps under another name and rename them when they are whole")
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return &fileSection{io.NewSectionReader(r, off, n), r}, nil
}

// fileSection is a part of an open file.
type fileSection struct {
	*io.SectionReader
	io.Closer
}

func (f *file) size() int64         { return f.stat.Size() }
func (f *file) version() string     { return "" }
func (f *file) modified() time.Time { return f.stat.ModTime() }
func (f *file) close() error        { return nil }
