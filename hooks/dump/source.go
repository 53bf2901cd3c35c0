package dump

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"
)

// ErrUnusable is wrapped by errors that another attempt will not cure: no such
// object, no permission, not a pg_dump archive, a damaged or unsupported one.
var ErrUnusable = errors.New("the dump cannot be used")

func unusable(format string, args ...any) error {
	return &unusableError{fmt.Errorf(format, args...)}
}

type unusableError struct{ err error }

func (e *unusableError) Error() string        { return e.err.Error() }
func (e *unusableError) Unwrap() error        { return e.err }
func (e *unusableError) Is(target error) bool { return target == ErrUnusable }

// Options says how to reach a dump.
type Options struct {
	// Credentials is a directory with one file per value (AWS_ACCESS_KEY_ID,
	// AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AZURE_STORAGE_ACCOUNT,
	// AZURE_STORAGE_KEY, GOOGLE_APPLICATION_CREDENTIALS, AUTHORIZATION for
	// https). Empty: the environment's own identity.
	Credentials string
}

// object is one stored thing that answers range reads.
type object interface {
	// read returns a reader over [off, off+n). It may fail at any time; the
	// caller resumes.
	read(ctx context.Context, off, n int64) (io.ReadCloser, error)
	size() int64
	// version changes whenever the content does; "" when the place has none,
	// and then modified counts.
	version() string
	modified() time.Time
	close() error
}

// place resolves names below one location, for the directory format.
type place interface {
	open(ctx context.Context, name string) (object, error)
	close() error
}

// errNotFound is what places answer for a missing name.
var errNotFound = errors.New("no such object")

// Redact removes from a dump's URL whatever could be secret: user info and
// everything in the query that is not addressing.
func Redact(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme == "" {
		return raw
	}
	if u.User != nil {
		u.User = url.User("redacted")
	}
	q := u.Query()
	for k := range q {
		if !addressing[strings.ToLower(k)] {
			q.Set(k, "redacted")
		}
	}
	u.RawQuery = q.Encode()
	return u.String()
}

var addressing = map[string]bool{
	"endpoint": true, "region": true, "use_path_style": true, "s3forcepathstyle": true, "hostname_immutable": true,
	"disable_https": true, "versionid": true, "dualstack": true, "fips": true, "anonymous": true, "profile": true,
	"domain": true, "protocol": true, "cdn": true, "localemu": true, "storage_account": true, "universe_domain": true,
	"rate_limiter_capacity": true, "awssdk": true, "accelerate": true,
}

// CheckURL refuses URLs that carry secrets: they would stand in arguments and
// process lists. Such a URL comes from a Secret's file.
func CheckURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		// The parser's own text quotes the URL.
		return unusable("the dump's URL cannot be parsed")
	}
	if u.Scheme == "" {
		return nil
	}
	if u.User != nil {
		return unusable("the dump's URL %s carries user info: put the URL into a file of a Secret and pass --dump-file", Redact(raw))
	}
	for k := range u.Query() {
		if !addressing[strings.ToLower(k)] {
			return unusable("the dump's URL %s carries the parameter %q, which may be a signature: put the URL into a file of a Secret and pass --dump-file", Redact(raw), k)
		}
	}
	return nil
}

// resuming reads [off, end) of an object and picks up where a broken
// connection left it.
type resuming struct {
	ctx   context.Context
	obj   object
	begin int64
	off   int64
	end   int64
	body  io.ReadCloser
	fails int
	// failed is why reading stopped for good; a decoder may hide it.
	failed error
}

// reader returns a reader over [off, off+n) that survives broken connections.
func reader(ctx context.Context, obj object, off, n int64) *resuming {
	return &resuming{ctx: ctx, obj: obj, begin: off, off: off, end: off + n}
}

const maxFails = 8 // in a row, without a byte in between

func (r *resuming) Read(p []byte) (int, error) {
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
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
		}
		if errors.Is(err, ErrUnusable) || r.ctx.Err() != nil {
			return 0, err
		}
		if r.fails++; r.fails >= maxFails {
			return 0, fmt.Errorf("read at byte %d, %d attempts: %w", r.off, r.fails, err)
		}
		wait := min(100*time.Millisecond<<r.fails, 5*time.Second)
		select {
		case <-time.After(wait):
		case <-r.ctx.Done():
			return 0, r.ctx.Err()
		}
	}
}

func (r *resuming) Close() error {
	if r.body == nil {
		return nil
	}
	err := r.body.Close()
	r.body = nil
	return err
}
