package dump

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
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

	// Windows is how many bytes of memory there are for zstd streams that look
	// back on more than 8 MB, as those of pg_dump -Z zstd:long do, on 128 MB. They
	// take twice as much. Where it does not do, the error is a *WindowError.
	Windows int64

	// Tests put fakes of stores behind transport, and have less patience.
	transport http.RoundTripper
	patience  patience
}

// opening is the patience for the first request, which tells most mistakes.
func (o Options) opening() patience {
	p := o.patience
	p.attempts = min(p.attempts, 8) // about six seconds
	return p
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
	if err != nil || u.Opaque != "" {
		if scheme, _, ok := strings.Cut(raw, ":"); ok {
			return scheme + ":redacted"
		}
		return raw
	}
	if u.Scheme == "" {
		return raw
	}
	if u.User != nil {
		u.User = url.User("redacted")
	}
	if u.Fragment != "" {
		u.Fragment, u.RawFragment = "redacted", ""
	}
	q := u.Query()
	for k, values := range q {
		if !addressing[strings.ToLower(k)] || slices.ContainsFunc(values, carriesSecret) {
			q.Set(k, "redacted")
		}
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// carriesSecret reports whether an address in a parameter has one of its own.
func carriesSecret(value string) bool {
	return strings.ContainsAny(value, "@?")
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
	if u.Opaque != "" || u.Fragment != "" {
		return unusable("the dump's URL %s is not of the form scheme://host/path?parameters", Redact(raw))
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return unusable("the parameters of the dump's URL cannot be parsed")
	}
	for k, values := range q {
		if slices.ContainsFunc(values, carriesSecret) {
			return unusable("the dump's URL %s carries user info or parameters in %q: put the URL into a file of a Secret and pass --dump-file", Redact(raw), k)
		}
		if !addressing[strings.ToLower(k)] {
			return unusable("the dump's URL %s carries the parameter %q, which may be a signature: put the URL into a file of a Secret and pass --dump-file", Redact(raw), k)
		}
	}
	return nil
}
