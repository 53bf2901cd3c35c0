package dump

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"gocloud.dev/blob"
	"golang.org/x/oauth2"
	"google.golang.org/api/googleapi"
)

// store is one of the three kinds of object stores.
type store struct {
	// open opens the bucket of a URL.
	open func(ctx context.Context, u *url.URL, creds secrets, o Options) (*blob.Bucket, error)
	// version is what tells one content of an object from the next.
	version func(*blob.Attributes) string
	// pin makes a read fail with status 412 when the object is another one
	// than when it was opened.
	pin func(as func(any) bool, version string)
	// loose is the version without the part that takes a right of its own to
	// read, or the version itself; nil where there is no such right.
	loose func(version string) string
	// dated says that an object has one time of change, the same when it is
	// opened and when it is read.
	dated bool
}

// stores are the kinds by the scheme of their URLs.
var stores = map[string]store{
	"s3": {open: openS3, version: s3Version, pin: pinS3, loose: looseS3, dated: true},
	// Opening tells when the metadata changed, reading when the content did;
	// the generation is enough.
	"gs":     {open: openGCS, version: gcsVersion, pin: pinGCS},
	"azblob": {open: openAzure, version: azureVersion, pin: pinAzure, dated: true},
}

// bucket is a place in an object store. Objects are asked for by name, for which
// the right to read them is enough; only Newest lists them.
type bucket struct {
	b      *blob.Bucket
	store  store
	prefix string
	patience
}

func (b *bucket) open(ctx context.Context, name string) (object, error) {
	key := b.prefix + name
	attrs, err := again(ctx, b.patience, func(ctx context.Context) (*blob.Attributes, error) {
		attrs, err := b.b.Attributes(ctx, key)
		return attrs, blobError(err)
	})
	if err != nil {
		return nil, err
	}
	return &blobObject{bucket: b, key: key, bytes: attrs.Size, etag: b.store.version(attrs), mod: attrs.ModTime}, nil
}

func (b *bucket) close() error { return b.b.Close() }

type blobObject struct {
	bucket *bucket
	key    string
	bytes  int64
	etag   string
	mod    time.Time
	// loose says that reads are bound to what loose leaves of the version.
	loose atomic.Bool
}

func (o *blobObject) read(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	// Without it the clients of Azure ask for gzip, and the transport unpacks
	// what a blob's Content-Encoding calls gzip, whatever the range is.
	ctx = policy.WithHTTPHeader(ctx, http.Header{"Accept-Encoding": {"identity"}})
	version, kind := o.etag, o.bucket.store
	if o.loose.Load() {
		version = kind.loose(version)
	}
	r, err := o.bucket.b.NewRangeReader(ctx, o.key, off, n, &blob.ReaderOptions{
		BeforeRead: func(as func(any) bool) error {
			kind.pin(as, version)
			return nil
		},
	})
	if a, ok := answerOf(err); ok && a.code == http.StatusForbidden && kind.loose != nil && kind.loose(version) != version {
		o.loose.Store(true)
		return o.read(ctx, off, n)
	}
	if err != nil {
		if err = blobError(err); errors.Is(err, errNotFound) {
			return nil, errGone
		}
		return nil, err
	}
	if r.Size() != o.bytes || kind.dated && !r.ModTime().Truncate(time.Second).Equal(o.mod.Truncate(time.Second)) {
		r.Close()
		return nil, errChanged
	}
	return &blobBody{r}, nil
}

// blobBody keeps what the stores' clients say of a broken connection free of
// their URLs, which may be signed.
type blobBody struct{ io.ReadCloser }

func (b *blobBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		if err = blobError(err); errors.Is(err, errNotFound) {
			err = errGone
		}
	}
	return n, err
}

var (
	errChanged = unusable("the object changed while it was being read: write dumps under a new name each time")
	errGone    = unusable("the object was deleted while it was being read: keep dumps until they are imported")
	errArchive = unusable("the object lies in an archive tier, from which its store reads nothing: restore it to a tier that is online first")
)

func (o *blobObject) size() int64         { return o.bytes }
func (o *blobObject) version() string     { return o.etag }
func (o *blobObject) modified() time.Time { return o.mod }
func (o *blobObject) close() error        { return nil }

// answer is what matters of a store's refusal. Nothing else of it is passed on:
// bodies quote signatures, URLs may hold them.
type answer struct {
	code   int
	name   string // the store's own word for it, "" when it gives none
	header http.Header
	host   string // that was asked, where it is known
}

func answerOf(err error) (a answer, ok bool) {
	if e, ok := errors.AsType[*awshttp.ResponseError](err); ok && e.Response != nil {
		a.code, a.header = e.HTTPStatusCode(), e.Response.Header
		if e.Response.Request != nil {
			a.host = e.Response.Request.URL.Host
		}
		var named interface{ ErrorCode() string }
		if errors.As(err, &named) {
			a.name = named.ErrorCode()
		}
		return a, true
	}
	if e, ok := errors.AsType[*googleapi.Error](err); ok {
		a.code, a.header = e.Code, e.Header
		if len(e.Errors) > 0 {
			a.name = e.Errors[0].Reason
		} else if _, rest, found := strings.Cut(e.Body, "<Code>"); found {
			a.name, _, _ = strings.Cut(rest, "</Code>")
		}
		return a, true
	}
	if e, ok := errors.AsType[*azcore.ResponseError](err); ok {
		a.code, a.name = e.StatusCode, e.ErrorCode
		if e.RawResponse != nil {
			a.header = e.RawResponse.Header
		}
		return a, true
	}
	return a, false
}

// word is the store's name for the fault, if it looks like one.
func (a answer) word() string {
	if len(a.name) > 64 || strings.ContainsFunc(a.name, func(c rune) bool { return c < '0' || c > 'z' }) {
		return http.StatusText(a.code)
	}
	return cmpOr(a.name, http.StatusText(a.code))
}

// skewed is the error for a refusal that may come from a clock: the stores
// take signatures of 15 minutes around their own time. It is none when the
// clocks agree. S3's client learns the time from a refusal, so that another
// attempt may do; for others the clock may be set meanwhile.
func (a answer) skewed() error {
	if there, err := http.ParseTime(a.header.Get("Date")); err == nil {
		if off := time.Since(there).Round(time.Minute).Abs(); off >= maxSkew {
			return fmt.Errorf("the store refused the request with %s, and the clock here is %s from the store's: set the clock", a, off)
		}
	}
	return nil
}

// maxSkew leaves room below the 15 minutes of the stores.
const maxSkew = 10 * time.Minute

func (a answer) String() string { return fmt.Sprintf("status %d (%s)", a.code, a.word()) }

// blobError tells what another attempt will not cure from what it may, in
// words of our own.
func blobError(err error) error {
	if err == nil || errors.Is(err, ErrUnusable) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if e, ok := errors.AsType[*oauth2.RetrieveError](err); ok && e.Response != nil {
		code, name := e.Response.StatusCode, e.ErrorCode
		if name == "" {
			// The client leaves the answer to a service account's key unread.
			var body struct {
				Error string `json:"error"`
			}
			if json.Unmarshal(e.Body, &body) == nil {
				name = body.Error
			}
		}
		if code != http.StatusTooManyRequests && code < 500 {
			if err := (answer{code: code, name: name, header: e.Response.Header}).skewed(); err != nil {
				return err
			}
			return unusable("the identity of the credentials was refused a token with status %d (%s): the key may be revoked or of another project", code, answer{code: code, name: name}.word())
		}
		return &busyError{code: code, after: retryAfter(e.Response.Header)}
	}
	a, ok := answerOf(err)
	if !ok {
		if notThere(err) {
			return &unusableError{errNotFound}
		}
		// The client's error quotes the URL, which may be signed.
		if e, ok := errors.AsType[*url.Error](err); ok {
			return e.Err
		}
		return err
	}
	if region := a.header.Get("X-Amz-Bucket-Region"); region != "" && (a.code == 301 || a.code == 307 || a.code == 400) && !strings.Contains(a.host, "."+region+".") {
		return unusable("the bucket is in another region than was asked: put region=%s into the dump's URL", region)
	}
	switch {
	case a.code/100 == 2: // what came was not what was promised, which is a list that was cut
		return errCut
	case a.name == "NoSuchBucket" || a.name == "ContainerNotFound":
		return unusable("the bucket does not exist")
	case a.code == http.StatusNotFound:
		return &unusableError{errNotFound}
	case a.name == "InvalidObjectState" || a.name == "BlobArchived" || a.name == "BlobBeingRehydrated":
		return errArchive
	case a.name == "ExpiredToken" || a.name == "InvalidToken":
		return unusable("the store refused the request with %s: put a fresh session token into file AWS_SESSION_TOKEN of the credentials", a)
	case a.code == http.StatusBadRequest && a.name == badHead:
		return unusable("the store refused the request with %s: put a fresh session token into file AWS_SESSION_TOKEN of the credentials, if they have one; an object encrypted with a key of the customer's (SSE-C) cannot be read", a)
	case a.code == http.StatusUnauthorized || a.code == http.StatusForbidden:
		if err := a.skewed(); err != nil {
			return err
		}
		return unusable("the store refused the request with %s: the credentials are wrong, or may not read this object, or have expired, or its name is wrong; --dump-credentials names a directory with others", a)
	case a.code == http.StatusPreconditionFailed || a.code == http.StatusRequestedRangeNotSatisfiable:
		return errChanged
	case a.code == http.StatusRequestTimeout || a.code == http.StatusTooManyRequests || a.code >= 500 || a.name == "RequestTimeout":
		return &busyError{code: a.code, after: retryAfter(a.header)}
	default:
		return unusable("the store refused the request with %s", a)
	}
}

// badHead is what S3's client calls a status 400 without a body. The answer to
// a HEAD does not tell what is wrong; of what we send a session token can be,
// of what we leave out the key of an object.
const badHead = "BadRequest"
