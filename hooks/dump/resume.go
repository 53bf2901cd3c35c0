package dump

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// patience says how often a request is tried that failed in a way that may
// pass, and how long the pauses in between are.
type patience struct {
	attempts int           // in a row, without a byte in between
	first    time.Duration // doubles from attempt to attempt
	most     time.Duration
}

// steady gives a place that is away about 40 seconds to come back.
var steady = patience{attempts: 12, first: 50 * time.Millisecond, most: 8 * time.Second}

// pause waits after a number of failures in a row: as long as the server asked
// for, within the bound.
func (p patience) pause(ctx context.Context, fails int, err error) error {
	wait := min(p.first<<min(fails-1, 20), p.most)
	if busy, ok := errors.AsType[*busyError](err); ok && busy.after > wait {
		wait = min(busy.after, 4*p.most)
	}
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// busyError is an answer that asks to come again.
type busyError struct {
	code  int
	after time.Duration
}

func (e *busyError) Error() string {
	return fmt.Sprintf("the server answered with status %d (%s)", e.code, http.StatusText(e.code))
}

// retryAfter reads a Retry-After header given in seconds; dates count as none.
func retryAfter(h http.Header) time.Duration {
	n, err := strconv.ParseUint(h.Get("Retry-After"), 10, 16)
	if err != nil {
		return 0
	}
	return time.Duration(n) * time.Second
}

// again calls f until it works, fails for good, or patience ends.
func again[T any](ctx context.Context, p patience, f func() (T, error)) (T, error) {
	for fails := 1; ; fails++ {
		v, err := f()
		if err == nil || errors.Is(err, ErrUnusable) || ctx.Err() != nil {
			return v, err
		}
		if fails >= p.attempts {
			return v, fmt.Errorf("%d attempts: %w", fails, err)
		}
		if err := p.pause(ctx, fails, err); err != nil {
			return v, err
		}
	}
}

// resuming reads [off, end) of an object and picks up where a broken
// connection left it. Each new request is bound to the version of the object
// that was opened, so bytes of two versions are never mixed.
type resuming struct {
	ctx context.Context
	obj object
	patience
	begin int64
	off   int64
	end   int64
	body  io.ReadCloser
	fails int
	// failed is why reading stopped for good; a decoder may hide it.
	failed error
}

// reader returns a reader over [off, off+n) that survives broken connections.
func (d *Dump) reader(ctx context.Context, obj object, off, n int64) *resuming {
	return &resuming{ctx: ctx, obj: obj, patience: d.patience, begin: off, off: off, end: off + n}
}

func (r *resuming) Read(p []byte) (int, error) {
	if r.failed != nil {
		return 0, r.failed
	}
	n, err := r.next(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.failed = err
	}
	return n, err
}

func (r *resuming) next(p []byte) (int, error) {
	if r.off >= r.end {
		return 0, io.EOF
	}
	if int64(len(p)) > r.end-r.off {
		p = p[:r.end-r.off]
	}
	for {
		if err := r.ctx.Err(); err != nil {
			return 0, err
		}
		err := error(nil)
		if r.body == nil {
			r.body, err = r.obj.read(r.ctx, r.off, r.end-r.off)
		}
		if err == nil {
			var n int
			n, err = r.body.Read(p)
			if n > 0 {
				r.off += int64(n)
				r.fails = 0
				return n, nil
			}
			if err == nil {
				continue
			}
			r.body.Close()
			r.body = nil
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = errCut
			}
		}
		if errors.Is(err, ErrUnusable) || r.ctx.Err() != nil {
			return 0, err
		}
		if r.fails++; r.fails >= r.attempts {
			return 0, fmt.Errorf("read at byte %d, %d attempts: %w", r.off, r.fails, err)
		}
		if err := r.pause(r.ctx, r.fails, err); err != nil {
			return 0, err
		}
	}
}

// errCut is a connection that ended before the bytes it promised. It is not an
// io.ErrUnexpectedEOF, which decoders and parsers take for a truncated dump.
var errCut = errors.New("the connection was cut")

func (r *resuming) Close() error {
	if r.body == nil {
		return nil
	}
	err := r.body.Close()
	r.body = nil
	return err
}
