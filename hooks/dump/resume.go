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
	stall    time.Duration // without an answer, or a byte more of it; 0 is for ever
}

// steady gives a place that is away about 40 seconds to come back, and takes a
// connection over which nothing comes for broken.
var steady = patience{attempts: 12, first: 50 * time.Millisecond, most: 8 * time.Second, stall: time.Minute}

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
func again[T any](ctx context.Context, p patience, f func(context.Context) (T, error)) (T, error) {
	for fails := 1; ; fails++ {
		w := p.watch(ctx)
		v, err := f(w.ctx)
		err = w.over(err)
		w.end()
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

// watch is one request, which ends when nothing comes of it for too long.
type watch struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer // nil where patience is endless
	after  time.Duration
}

// watch begins to wait for the answer to a request, which has to be made with
// its context.
func (p patience) watch(ctx context.Context) *watch {
	w := &watch{after: p.stall}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	if p.stall > 0 {
		w.timer = time.AfterFunc(p.stall, func() { w.cancel(errStalled) })
	}
	return w
}

// await begins to wait for more, and rest ends that: the reader may take its time.
func (w *watch) await() {
	if w.timer != nil {
		w.timer.Reset(w.after)
	}
}

func (w *watch) rest() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// over is what an error comes from.
func (w *watch) over(err error) error {
	if err != nil && errors.Is(context.Cause(w.ctx), errStalled) {
		return errStalled
	}
	return err
}

func (w *watch) end() {
	w.rest()
	w.cancel(nil)
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
	watch *watch // of body
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
		n, err := r.attempt(p)
		if n > 0 {
			r.off += int64(n)
			r.fails = 0
			return n, nil
		}
		if err == nil {
			continue
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

// attempt asks for the rest, if nobody did, and reads some of it. After an error
// nobody did.
func (r *resuming) attempt(p []byte) (n int, err error) {
	if r.body == nil {
		w := r.patience.watch(r.ctx)
		body, err := r.obj.read(w.ctx, r.off, r.end-r.off)
		if err != nil {
			err = w.over(err)
			w.end()
			return 0, err
		}
		r.body, r.watch = body, w
	}
	r.watch.await()
	n, err = r.body.Read(p)
	r.watch.rest()
	if n > 0 || err == nil {
		return n, nil
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errCut
	}
	err = r.watch.over(err)
	_ = r.Close()
	return 0, err
}

// errStalled is a connection over which nothing came for too long.
var errStalled = errors.New("nothing came over the connection for too long")

// errCut is a connection that ended before the bytes it promised. It is not an
// io.ErrUnexpectedEOF, which decoders and parsers take for a truncated dump.
var errCut = errors.New("the connection was cut")

func (r *resuming) Close() error {
	if r.body == nil {
		return nil
	}
	err := r.body.Close()
	r.watch.end()
	r.body, r.watch = nil, nil
	return err
}
