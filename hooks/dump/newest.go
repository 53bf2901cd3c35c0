package dump

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Pick says which of the objects that a pattern matches is wanted.
type Pick struct {
	// MinAge is how long an object must have been as it is: a younger one may still
	// be written.
	MinAge time.Duration
	// Beside says that only an object with a file NAME.sha256 beside it is whole.
	// Without it such a file is read where there is one.
	Beside bool
	// Now is the time here; time.Now if nil.
	Now func() time.Time
}

// Picked is the object that was chosen.
type Picked struct {
	// URL is where it is, as Open takes it.
	URL string
	// SHA256 is what the file beside it says, "" where there is none.
	SHA256   string
	Modified time.Time
	// Skipped says of each newer object, newest first, why it was not chosen.
	Skipped []string
}

// digestSuffix ends the name of the file beside a dump that has its digest.
const digestSuffix = ".sha256"

const (
	// mostListed bounds how many names are looked at. A prefix has its expired dumps
	// removed, or the pattern has more of it before its first star.
	mostListed = 100_000
	// mostSkipped bounds how many sentences are kept.
	mostSkipped = 10
	// mostDigest bounds the file beside a dump.
	mostDigest = 4 << 10
)

// IsPattern says whether a path or URL names dumps by a star in its path, and not
// one dump.
func IsPattern(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil {
		return false
	}
	if u.Scheme == "" {
		return strings.Contains(raw, "*")
	}
	return strings.Contains(u.EscapedPath(), "*") // one that is written %2A is a name's
}

// Newest finds the newest whole object that a pattern matches, or, of a path or URL
// that is none, reads the digest beside it. A star stands for any text without a
// slash. An error that does not wrap ErrUnusable may pass: there is no whole dump
// yet.
func Newest(ctx context.Context, raw string, o Options, p Pick) (*Picked, error) {
	if o.patience == (patience{}) {
		o.patience = steady
	}
	if p.Now == nil {
		p.Now = time.Now
	}
	picked, err := findNewest(ctx, raw, o, p)
	if err != nil {
		return nil, fmt.Errorf("find dump %s: %w", Redact(raw), err)
	}
	return picked, nil
}

func findNewest(ctx context.Context, raw string, o Options, p Pick) (*Picked, error) {
	if !IsPattern(raw) {
		return readBeside(ctx, raw, o)
	}
	shelf, err := openShelf(ctx, raw, o)
	if err != nil {
		return nil, err
	}
	defer shelf.at.close()
	all, err := shelf.list(ctx)
	if err != nil {
		return nil, err
	}
	digests := map[string]listed{}
	var dumps []listed
	for _, l := range all {
		if name, is := strings.CutSuffix(l.name, digestSuffix); is {
			digests[name] = l
		} else if match(shelf.pattern, l.name) {
			dumps = append(dumps, l)
		}
	}
	slices.SortFunc(dumps, func(a, b listed) int {
		return cmp.Or(b.modified.Compare(a.modified), strings.Compare(b.name, a.name))
	})
	picked := &Picked{}
	for _, l := range dumps {
		digest, ok := digests[l.name]
		why := p.refuses(l, digest, ok)
		if why == "" && ok {
			if picked.SHA256, why, err = readDigest(ctx, shelf.at, o.patience, l.name); err != nil {
				return nil, err
			}
		}
		if why == "" {
			picked.URL, picked.Modified = shelf.url(l.name), l.modified
			return picked, nil
		}
		if len(picked.Skipped) < mostSkipped {
			picked.Skipped = append(picked.Skipped, l.name+" "+why)
		}
	}
	if len(dumps) == 0 {
		return nil, fmt.Errorf("nothing matches it among %d names: is the export done, and the pattern right?", len(all))
	}
	return nil, fmt.Errorf("none of %d is whole: %s", len(dumps), strings.Join(picked.Skipped, "; "))
}

// refuses says why an object is not taken for whole, "" where it is.
func (p Pick) refuses(l, digest listed, hasDigest bool) string {
	age := p.Now().Sub(l.modified)
	switch {
	case l.modified.IsZero():
		return "does not say when it was changed"
	case age < -time.Minute:
		return fmt.Sprintf("is dated %s ahead of the clock here: set the clock", (-age).Round(time.Second))
	case age < p.MinAge:
		return fmt.Sprintf("is %s old, and may still be written until it is %s", max(age, 0).Round(time.Second), p.MinAge)
	case l.size == 0:
		return "is empty"
	case p.Beside && !hasDigest:
		return "has no " + path.Base(l.name) + digestSuffix + " beside it"
	// Stores and web servers tell seconds.
	case hasDigest && !digest.modified.IsZero() && digest.modified.Before(l.modified.Truncate(time.Second)):
		return "is newer than the " + digestSuffix + " beside it"
	}
	return ""
}

// digestLine is what sha256sum writes, or the digest alone.
var digestLine = regexp.MustCompile(`^([0-9a-fA-F]{64})(?:\s+\*?(\S.*?))?\s*$`)

// readDigest reads the file beside an object. why is a sentence about a file that
// is no digest of it.
func readDigest(ctx context.Context, at place, p patience, name string) (digest, why string, err error) {
	content, err := again(ctx, p, func(ctx context.Context) ([]byte, error) {
		obj, err := at.open(ctx, name+digestSuffix)
		if err != nil {
			return nil, err
		}
		defer obj.close()
		if obj.size() > mostDigest {
			return nil, nil
		}
		r, err := obj.read(ctx, 0, obj.size())
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return io.ReadAll(io.LimitReader(r, mostDigest))
	})
	switch {
	case errors.Is(err, errNotFound), errors.Is(err, errChanged), errors.Is(err, errGone):
		return "", "has a " + digestSuffix + " beside it that is being written", nil
	case err != nil:
		return "", "", fmt.Errorf("read %s%s: %w", name, digestSuffix, err)
	}
	m := digestLine.FindStringSubmatch(strings.TrimSpace(string(content)))
	switch {
	case m == nil:
		return "", "has a " + digestSuffix + " beside it that is none, as sha256sum writes it", nil
	case m[2] != "" && path.Base(m[2]) != path.Base(name):
		return "", "has a " + digestSuffix + " beside it that is of another file", nil
	}
	return strings.ToLower(m[1]), "", nil
}

// readBeside reads the digest beside the one dump that a path or URL names.
func readBeside(ctx context.Context, raw string, o Options) (*Picked, error) {
	d := &Dump{patience: o.patience}
	if err := d.locate(ctx, raw, o); err != nil {
		return nil, err
	}
	defer d.at.close()
	if d.base == "" {
		return nil, unusable("a dump in directory format has no %s beside it: leave it out", digestSuffix)
	}
	at := d.at
	if s, ok := at.(*site); ok { // whose base is the file itself
		at = s.inside()
	}
	digest, why, err := readDigest(ctx, at, o.patience, d.base)
	if err == nil && why != "" {
		err = errors.New("it " + why)
	}
	if err != nil {
		return nil, err
	}
	return &Picked{URL: raw, SHA256: digest}, nil
}

// listed is one name of a list.
type listed struct {
	name     string
	size     int64
	modified time.Time // zero where it is not told
}

// shelf is what a pattern matches some of.
type shelf struct {
	at      place
	pattern string
	// list lists at least what has the pattern's text before its first star, and
	// what is beside that; wholly, or it fails.
	list func(context.Context) ([]listed, error)
	url  func(name string) string
}

// openShelf opens the place that a pattern names things of.
func openShelf(ctx context.Context, raw string, o Options) (*shelf, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, unusable("its URL cannot be parsed")
	}
	if strings.HasSuffix(u.Path, "/") {
		return nil, unusable("a pattern names files, and not folders")
	}
	switch u.Scheme {
	case "", "file":
		return localShelf(raw, u)
	case "s3", "gs", "azblob":
		return bucketShelf(ctx, u, o)
	case "https", "http":
		return webShelf(u, o)
	}
	return nil, unusable("scheme %q is not known: use a path, s3, gs, azblob or https", u.Scheme)
}

func bucketShelf(ctx context.Context, u *url.URL, o Options) (*shelf, error) {
	creds := secrets(o.Credentials)
	if err := creds.check(); err != nil {
		return nil, err
	}
	pattern := strings.TrimPrefix(u.Path, "/")
	if u.Host == "" || strings.Contains(u.Host, "*") {
		return nil, unusable("the URL needs a bucket and a pattern of keys: %s://bucket/prefix/*.dump", u.Scheme)
	}
	kind := stores[u.Scheme]
	opened, err := kind.open(ctx, u, creds, o)
	if err != nil {
		return nil, err
	}
	b := &bucket{b: opened, store: kind, patience: o.opening()}
	prefix, _, _ := strings.Cut(pattern, "*")
	return &shelf{
		at: b, pattern: pattern,
		list: func(ctx context.Context) ([]listed, error) { return b.list(ctx, prefix) },
		url: func(name string) string {
			at := *u
			at.Path, at.RawPath = "/"+name, strings.ReplaceAll((&url.URL{Path: "/" + name}).EscapedPath(), "*", "%2A")
			return at.String()
		},
	}, nil
}

// match says whether a name is one of a pattern's, in which only stars stand for
// something.
func match(pattern, name string) bool {
	ok, err := path.Match(strings.NewReplacer(`\`, `\\`, `[`, `\[`, `?`, `\?`).Replace(pattern), name)
	return err == nil && ok
}
