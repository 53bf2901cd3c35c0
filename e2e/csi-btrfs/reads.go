package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// slowReads makes reads of a volume slow for a while, as they are where its
// blocks come out of an object store when they are first asked for. The kernel
// asks before each read of the file system (fanotify), and the answer waits.
// What is mapped into memory is not asked for. When the process ends the kernel
// lets all reads go on.
type slowReads struct {
	lasts, delay time.Duration
	pool         string // a directory on the file system
	log          *slog.Logger

	events *os.File

	mu   sync.Mutex
	slow map[uint64]bool // by device number, of which each subvolume has its own

	delayed atomic.Int64
}

// newSlowReads returns nil where reads are not slow. Close it.
func newSlowReads(b behaviour, root string, log *slog.Logger) (*slowReads, error) {
	if b.slowReads == 0 {
		return nil, nil
	}
	fd, err := unix.FanotifyInit(unix.FAN_CLASS_CONTENT|unix.FAN_CLOEXEC|unix.FAN_NONBLOCK|unix.FAN_UNLIMITED_QUEUE, unix.O_RDONLY|unix.O_LARGEFILE|unix.O_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("slow reads: fanotify_init (it takes a kernel with access permission events, and root): %w", err)
	}
	r := &slowReads{
		lasts: b.slowReads, delay: b.readDelay, pool: root, log: log, slow: map[uint64]bool{},
		events: os.NewFile(uintptr(fd), "fanotify"),
	}
	go r.answer()
	return r, nil
}

// Close lets all reads go on.
func (r *slowReads) Close() error {
	if r == nil {
		return nil
	}
	return r.events.Close()
}

// begin makes reads of the subvolume at path slow from now on, for a while.
func (r *slowReads) begin(path string) error {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return fmt.Errorf("stat %s: %w", path, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.slow) == 0 {
		if err := r.mark(unix.FAN_MARK_ADD); err != nil {
			return err
		}
	}
	r.slow[st.Dev] = true
	time.AfterFunc(r.lasts, func() { r.end(st.Dev) })
	return nil
}

func (r *slowReads) end(device uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.slow, device)
	if len(r.slow) > 0 {
		return
	}
	if err := r.mark(unix.FAN_MARK_REMOVE); err != nil && !errors.Is(err, os.ErrClosed) {
		r.log.Warn("reads are still looked at", "error", err)
	}
}

// mark begins or ends the kernel's questions.
func (r *slowReads) mark(what uint) error {
	conn, err := r.events.SyscallConn()
	if err != nil {
		return err
	}
	var markErr error
	err = conn.Control(func(fd uintptr) {
		markErr = unix.FanotifyMark(int(fd), what|unix.FAN_MARK_FILESYSTEM, unix.FAN_ACCESS_PERM, unix.AT_FDCWD, r.pool)
	})
	if err := errors.Join(err, markErr); err != nil {
		return fmt.Errorf("slow reads: fanotify_mark %s: %w", r.pool, err)
	}
	return nil
}

// answer lets reads go on: those of slow volumes after the delay.
func (r *slowReads) answer() {
	buffer := make([]byte, 64<<10)
	for {
		n, err := r.events.Read(buffer)
		if err != nil {
			if !errors.Is(err, os.ErrClosed) {
				r.log.Error("reads go on unasked from now on", "error", errors.Join(err, r.events.Close()))
			}
			return
		}
		for events := bytes.NewReader(buffer[:n]); events.Len() > 0; {
			var event unix.FanotifyEventMetadata
			if err := binary.Read(events, binary.NativeEndian, &event); err != nil || event.Vers != unix.FANOTIFY_METADATA_VERSION {
				r.log.Error("reads go on unasked from now on: the kernel speaks another version of fanotify", "error", errors.Join(err, r.events.Close()))
				return
			}
			if event.Fd < 0 {
				continue
			}
			if r.isSlow(int(event.Fd)) {
				r.delayed.Add(1)
				time.AfterFunc(r.delay, func() { r.allow(event.Fd) })
			} else {
				r.allow(event.Fd)
			}
		}
	}
}

func (r *slowReads) isSlow(fd int) bool {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.slow[st.Dev]
}

// allow lets the read of a file go on.
func (r *slowReads) allow(fd int32) {
	var answer bytes.Buffer
	_ = binary.Write(&answer, binary.NativeEndian, unix.FanotifyResponse{Fd: fd, Response: unix.FAN_ALLOW}) // never fails
	if _, err := r.events.Write(answer.Bytes()); err != nil && !errors.Is(err, os.ErrClosed) {
		r.log.Warn("a read hangs until this process ends", "error", err)
	}
	_ = unix.Close(int(fd))
}
