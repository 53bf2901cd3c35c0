// Package pool keeps volumes and snapshots on one btrfs file system. A volume is a subvolume, a snapshot is a
// read-only snapshot of it, and a restore or a clone is a writable snapshot: each costs the same whatever the data
// weighs, and none depends on another once it exists, so they may be deleted in any order.
//
// A JSON record beside each subvolume says what it is. The record is the commit: it is written by rename after the
// subvolume exists and removed before the subvolume is, and Open sweeps away subvolumes that have none.
//
// A volume's size is a promise on paper. It is recorded, checked against its source and reported, but no quota holds a
// writer to it: volumes share the room of the file system.
package pool

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNotFound says that a volume or snapshot has no record here.
var ErrNotFound = errors.New("not found")

// ErrConflict says that the name is taken by something that differs from what was asked for.
var ErrConflict = errors.New("the name is taken by something else")

// ErrTooSmall says that a volume was asked for with less room than its source has.
var ErrTooSmall = errors.New("smaller than its source")

// ErrNotBtrfs says that the pool's directory is on another file system.
var ErrNotBtrfs = errors.New("not on btrfs")

// ErrFull says that the file system has no room for what was asked for. Nothing of it was made.
var ErrFull = errors.New("the file system is full")

// Source is what a volume starts from. The zero value is an empty volume.
type Source struct {
	Snapshot string `json:"snapshot,omitempty"` // ID of a snapshot
	Volume   string `json:"volume,omitempty"`   // ID of a volume
}

// Volume is the record of a writable subvolume.
type Volume struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Bytes   int64     `json:"bytes"`
	Source  Source    `json:"source,omitzero"`
	Zone    string    `json:"zone,omitempty"` // where nodes can have it; "" is anywhere
	Created time.Time `json:"created"`
}

// Snapshot is the record of a read-only subvolume.
type Snapshot struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Volume  string    `json:"volume"` // ID of the volume it was taken of, which may be gone
	Bytes   int64     `json:"bytes"`  // that volume's size
	Created time.Time `json:"created"`
}

// Pool is safe for concurrent use by one process. Two processes must not share a directory.
type Pool struct {
	volumes, snapshots string
	// locks is indexed by a hash of the ID, so that calls for one ID never overlap while others run side by side.
	locks [64]sync.Mutex
}

// Open prepares dir, which must be on btrfs, and removes what an interrupted call left behind.
func Open(ctx context.Context, dir string) (*Pool, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("open pool: %w", err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return nil, fmt.Errorf("open pool: statfs %s: %w", dir, err)
	}
	if st.Type != unix.BTRFS_SUPER_MAGIC {
		return nil, fmt.Errorf("open pool: %s: %w", dir, ErrNotBtrfs)
	}
	p := &Pool{volumes: filepath.Join(dir, "volumes"), snapshots: filepath.Join(dir, "snapshots")}
	for _, d := range []string{p.volumes, p.snapshots} {
		// Nobody but root walks in here: pods see volumes through their mounts.
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("open pool: %w", err)
		}
		if err := sweep(ctx, d); err != nil {
			return nil, fmt.Errorf("open pool: %w", err)
		}
	}
	return p, nil
}

// sweep removes subvolumes without a record and records that were never renamed into place.
func sweep(ctx context.Context, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch {
		case e.IsDir():
			if _, err := os.Stat(path + recordSuffix); errors.Is(err, fs.ErrNotExist) {
				if err := deleteSubvolume(ctx, path); err != nil {
					return err
				}
			}
		case strings.HasSuffix(e.Name(), unfinishedSuffix):
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// CreateVolume makes the volume called name, or returns the one that is there when it fits: the same source, and a size
// between bytes and limit (0 for no limit). Otherwise ErrConflict; ErrNotFound or ErrTooSmall when the source is gone or
// larger; ErrFull when there is no room.
func (p *Pool) CreateVolume(ctx context.Context, name, zone string, bytes, limit int64, source Source) (Volume, error) {
	id := volumeID(name)
	defer p.lock(id)()
	path := filepath.Join(p.volumes, id)

	v, err := read[Volume](path)
	if err == nil {
		if v.Source != source || v.Bytes < bytes || (limit > 0 && v.Bytes > limit) {
			return Volume{}, fmt.Errorf("volume %q: %w", name, ErrConflict)
		}
		return v, nil
	}
	if !errors.Is(err, ErrNotFound) {
		return Volume{}, err
	}

	from, size, err := p.source(source)
	if err != nil {
		return Volume{}, fmt.Errorf("volume %q: %w", name, err)
	}
	if bytes < size {
		return Volume{}, fmt.Errorf("volume %q: %d bytes, source %d: %w", name, bytes, size, ErrTooSmall)
	}
	// A call that was cut off may have left the subvolume without its record.
	if err := deleteSubvolume(ctx, path); err != nil {
		return Volume{}, err
	}
	if from == "" {
		err = btrfs(ctx, "subvolume", "create", path)
	} else {
		err = btrfs(ctx, "subvolume", "snapshot", from, path)
	}
	if err != nil {
		return Volume{}, full("volume", name, err)
	}
	v = Volume{ID: id, Name: name, Bytes: bytes, Source: source, Zone: zone, Created: time.Now().UTC()}
	if err := write(path, v); err != nil {
		return Volume{}, full("volume", name, errors.Join(err, deleteSubvolume(ctx, path)))
	}
	return v, nil
}

// source returns the subvolume to copy and the size it was given; both are zero for an empty volume.
func (p *Pool) source(s Source) (path string, bytes int64, err error) {
	switch {
	case s.Snapshot != "":
		snap, err := p.Snapshot(s.Snapshot)
		return filepath.Join(p.snapshots, s.Snapshot), snap.Bytes, err
	case s.Volume != "":
		vol, err := p.Volume(s.Volume)
		return filepath.Join(p.volumes, s.Volume), vol.Bytes, err
	default:
		return "", 0, nil
	}
}

// CreateSnapshot takes a snapshot of a volume as it is now, or returns the one of that name and volume.
func (p *Pool) CreateSnapshot(ctx context.Context, name, volume string) (Snapshot, error) {
	id := snapshotID(name)
	defer p.lock(id)()
	path := filepath.Join(p.snapshots, id)

	s, err := read[Snapshot](path)
	if err == nil {
		if s.Volume != volume {
			return Snapshot{}, fmt.Errorf("snapshot %q: %w", name, ErrConflict)
		}
		return s, nil
	}
	if !errors.Is(err, ErrNotFound) {
		return Snapshot{}, err
	}

	v, err := p.Volume(volume)
	if err != nil {
		return Snapshot{}, fmt.Errorf("snapshot %q: %w", name, err)
	}
	if err := deleteSubvolume(ctx, path); err != nil {
		return Snapshot{}, err
	}
	// The kernel writes out what is dirty first: the snapshot is what a power cut would have left.
	if err := btrfs(ctx, "subvolume", "snapshot", "-r", filepath.Join(p.volumes, volume), path); err != nil {
		return Snapshot{}, full("snapshot", name, err)
	}
	s = Snapshot{ID: id, Name: name, Volume: volume, Bytes: v.Bytes, Created: time.Now().UTC()}
	if err := write(path, s); err != nil {
		return Snapshot{}, full("snapshot", name, errors.Join(err, deleteSubvolume(ctx, path)))
	}
	return s, nil
}

// DeleteVolume removes a volume. One that is not there is no error.
func (p *Pool) DeleteVolume(ctx context.Context, id string) error {
	return p.remove(ctx, p.volumes, id, isVolumeID)
}

// DeleteSnapshot removes a snapshot. One that is not there is no error.
func (p *Pool) DeleteSnapshot(ctx context.Context, id string) error {
	return p.remove(ctx, p.snapshots, id, isSnapshotID)
}

func (p *Pool) remove(ctx context.Context, dir, id string, valid func(string) bool) error {
	if !valid(id) { // never one of ours, and never a path
		return nil
	}
	defer p.lock(id)()
	path := filepath.Join(dir, id)
	if err := os.Remove(path + recordSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return deleteSubvolume(ctx, path)
}

// Volume returns a volume's record.
func (p *Pool) Volume(id string) (Volume, error) {
	if !isVolumeID(id) {
		return Volume{}, fmt.Errorf("volume %q: %w", id, ErrNotFound)
	}
	return read[Volume](filepath.Join(p.volumes, id))
}

// Snapshot returns a snapshot's record.
func (p *Pool) Snapshot(id string) (Snapshot, error) {
	if !isSnapshotID(id) {
		return Snapshot{}, fmt.Errorf("snapshot %q: %w", id, ErrNotFound)
	}
	return read[Snapshot](filepath.Join(p.snapshots, id))
}

// Path returns the directory that holds a volume's files.
func (p *Pool) Path(id string) (string, error) {
	if _, err := p.Volume(id); err != nil {
		return "", err
	}
	return filepath.Join(p.volumes, id), nil
}

// Volumes returns every volume, ordered by ID.
func (p *Pool) Volumes() ([]Volume, error) {
	all, err := list[Volume](p.volumes)
	slices.SortFunc(all, func(a, b Volume) int { return cmp.Compare(a.ID, b.ID) })
	return all, err
}

// Snapshots returns every snapshot, ordered by ID.
func (p *Pool) Snapshots() ([]Snapshot, error) {
	all, err := list[Snapshot](p.snapshots)
	slices.SortFunc(all, func(a, b Snapshot) int { return cmp.Compare(a.ID, b.ID) })
	return all, err
}

// lock waits for the ID's turn and returns the function that gives it up.
func (p *Pool) lock(id string) (unlock func()) {
	h := fnv.New32a()
	h.Write([]byte(id))
	l := &p.locks[h.Sum32()%uint32(len(p.locks))]
	l.Lock()
	return l.Unlock
}

const (
	recordSuffix     = ".json"
	unfinishedSuffix = ".json.new"

	volumePrefix   = "vol-"
	snapshotPrefix = "snap-"
	idDigits       = 32
)

// An ID is a hash of the name: a repeated call finds its first answer without an index, and no name, however it is
// spelled, becomes a path.
func volumeID(name string) string   { return volumePrefix + digest(name) }
func snapshotID(name string) string { return snapshotPrefix + digest(name) }

func isVolumeID(id string) bool   { return isID(id, volumePrefix) }
func isSnapshotID(id string) bool { return isID(id, snapshotPrefix) }

func digest(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])[:idDigits]
}

func isID(id, prefix string) bool {
	digits, ok := strings.CutPrefix(id, prefix)
	_, err := hex.DecodeString(digits)
	return ok && err == nil && len(digits) == idDigits
}

func read[T any](path string) (T, error) {
	var record T
	data, err := os.ReadFile(path + recordSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return record, fmt.Errorf("%s: %w", filepath.Base(path), ErrNotFound)
	}
	if err != nil {
		return record, err
	}
	if err := json.Unmarshal(data, &record); err != nil {
		return record, fmt.Errorf("record %s: %w", path+recordSuffix, err)
	}
	return record, nil
}

func write(path string, record any) error {
	data, err := json.MarshalIndent(record, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path+unfinishedSuffix, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path+unfinishedSuffix))
	}
	return os.Rename(path+unfinishedSuffix, path+recordSuffix)
}

// full makes an error for want of room ErrFull. The btrfs command says it in words only.
func full(what, name string, err error) error {
	if errors.Is(err, unix.ENOSPC) || strings.Contains(strings.ToLower(err.Error()), unix.ENOSPC.Error()) {
		return fmt.Errorf("%s %q: %w: %w", what, name, ErrFull, err)
	}
	return fmt.Errorf("%s %q: %w", what, name, err)
}

func list[T any](dir string) ([]T, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []T
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), recordSuffix)
		if !ok {
			continue
		}
		record, err := read[T](filepath.Join(dir, name))
		if errors.Is(err, ErrNotFound) { // deleted since the directory was read
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, record)
	}
	return all, nil
}

// deleteSubvolume removes the subvolume at path if there is one. The kernel frees its room in the background.
func deleteSubvolume(ctx context.Context, path string) error {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return btrfs(ctx, "subvolume", "delete", path)
}

// CommandError is a btrfs command that failed.
type CommandError struct {
	Args   []string
	Output string
	Err    error
}

func (e *CommandError) Error() string {
	return fmt.Sprintf("btrfs %s: %v: %s", strings.Join(e.Args, " "), e.Err, e.Output)
}

func (e *CommandError) Unwrap() error { return e.Err }

// btrfs runs to its end even when the caller has gone: each command is short, and half a create helps nobody.
func btrfs(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(context.WithoutCancel(ctx), "btrfs", args...).CombinedOutput()
	if err != nil {
		return &CommandError{Args: args, Output: string(bytes.TrimSpace(out)), Err: err}
	}
	return nil
}
