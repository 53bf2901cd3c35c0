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
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
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
}

// stores are the kinds by the scheme of their URLs.
var stores = map[string]store{
	"s3":     {openS3, s3Version, pinS3},
	"gs":     {openGCS, gcsVersion, pinGCS},
	"azblob": {openAzure, azureVersion, pinAzure},
}

// bucket is a place in an object store. Objects are asked for by name, never
// listed: the right to read them is enough.
type bucket struct {
	b      *blob.Bucket
	store  store
	prefix string
	patience
}

func (b *bucket) open(ctx context.Context, name string) (object, error) {
	key := b.prefix + name
	attrs, err := again(ctx, b.patience, func() (*blob.Attributes, error) {
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
}

func (o *blobObject) read(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	r, err := o.bucket.b.NewRangeReader(ctx, o.key, off, n, &blob.ReaderOptions{
		BeforeRead: func(as func(any) bool) error {
			o.bucket.store.pin(as, o.etag)
			return nil
		},
	})
	if err != nil {
		if err = blobError(err); errors.Is(err, errNotFound) {
			return nil, errGone
		}
		return nil, err
	}
	if r.Size() != o.bytes || !r.ModTime().Truncate(time.Second).Equal(o.mod.Truncate(time.Second)) {
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
}

func answerOf(err error) (a answer, ok bool) {
	if e, ok := errors.AsType[*awshttp.ResponseError](err); ok && e.Response != nil {
		a.code, a.header = e.HTTPStatusCode(), e.Response.Header
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
	if region := a.header.Get("X-Amz-Bucket-Region"); region != "" && (a.code == 301 || a.code == 307 || a.code == 400) {
		return unusable("the bucket is in another region than was asked: put region=%s into the dump's URL", region)
	}
	switch {
	case a.name == "NoSuchBucket" || a.name == "ContainerNotFound":
		return unusable("the bucket does not exist")
	case a.code == http.StatusNotFound:
		return &unusableError{errNotFound}
	case a.code == http.StatusUnauthorized || a.code == http.StatusForbidden:
		return unusable("the store refused the request with %s: the credentials are wrong, or may not read this object", a)
	case a.code == http.StatusPreconditionFailed || a.code == http.StatusRequestedRangeNotSatisfiable:
		return errChanged
	case a.code == http.StatusRequestTimeout || a.code == http.StatusTooManyRequests || a.code >= 500:
		return &busyError{code: a.code, after: retryAfter(a.header)}
	default:
		return unusable("the store refused the request with %s", a)
	}
}
