package dump

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	gcaws "gocloud.dev/aws"
	"gocloud.dev/blob"
	"gocloud.dev/blob/azureblob"
	"gocloud.dev/blob/gcsblob"
	"gocloud.dev/blob/s3blob"
	"gocloud.dev/gcerrors"
	"gocloud.dev/gcp"
	"golang.org/x/oauth2/google"
)

// bucket is a place in an object store, of any of the three kinds.
type bucket struct {
	b      *blob.Bucket
	prefix string
}

// openBucket opens the bucket of an s3, gs or azblob URL.
func openBucket(ctx context.Context, u *url.URL, creds secrets) (*blob.Bucket, error) {
	switch u.Scheme {
	case s3blob.Scheme:
		return openS3(ctx, u, creds)
	case gcsblob.Scheme:
		file, err := creds.get("GOOGLE_APPLICATION_CREDENTIALS")
		if err != nil {
			return nil, err
		}
		if file == "" {
			return blob.OpenBucket(ctx, (&url.URL{Scheme: u.Scheme, Host: u.Host, RawQuery: u.RawQuery}).String())
		}
		found, err := google.CredentialsFromJSONWithType(ctx, []byte(file), google.ServiceAccount, "https://www.googleapis.com/auth/devstorage.read_only")
		if err != nil {
			return nil, unusable("file GOOGLE_APPLICATION_CREDENTIALS of the credentials is not a service account's key")
		}
		client, err := gcp.NewHTTPClient(gcp.DefaultTransport(), gcp.CredentialsTokenSource(found))
		if err != nil {
			return nil, err
		}
		return gcsblob.OpenBucket(ctx, client, u.Host, nil)
	default:
		account, err := creds.get("AZURE_STORAGE_ACCOUNT")
		if err != nil {
			return nil, err
		}
		key, err := creds.get("AZURE_STORAGE_KEY")
		if err != nil {
			return nil, err
		}
		if account == "" || key == "" {
			return blob.OpenBucket(ctx, (&url.URL{Scheme: u.Scheme, Host: u.Host, RawQuery: u.RawQuery}).String())
		}
		shared, err := container.NewSharedKeyCredential(account, key)
		if err != nil {
			return nil, unusable("file AZURE_STORAGE_KEY of the credentials is not base64")
		}
		service, err := azureblob.NewServiceURL(&azureblob.ServiceURLOptions{
			AccountName:   account,
			StorageDomain: u.Query().Get("domain"),
			Protocol:      u.Query().Get("protocol"),
		})
		if err != nil {
			return nil, unusable("%w", err)
		}
		client, err := container.NewClientWithSharedKeyCredential(strings.TrimSuffix(string(service), "/")+"/"+u.Host, shared, nil)
		if err != nil {
			return nil, err
		}
		return azureblob.OpenBucket(ctx, client, nil)
	}
}

// openS3 does what s3blob's URL opener does, with credentials from files.
func openS3(ctx context.Context, u *url.URL, creds secrets) (*blob.Bucket, error) {
	q := u.Query()
	q.Del("versionId")
	var opts []func(*s3.Options)
	for _, name := range []string{"use_path_style", "s3ForcePathStyle"} {
		if v := q.Get(name); v != "" {
			on, err := strconv.ParseBool(v)
			if err != nil {
				return nil, unusable("%s in the dump's URL is neither true nor false", name)
			}
			opts = append(opts, func(o *s3.Options) { o.UsePathStyle = on })
		}
		q.Del(name)
	}
	cfg, err := gcaws.V2ConfigFromURLParams(ctx, q)
	if err != nil {
		return nil, unusable("%w", err)
	}
	id, err := creds.get("AWS_ACCESS_KEY_ID")
	if err != nil {
		return nil, err
	}
	secret, err := creds.get("AWS_SECRET_ACCESS_KEY")
	if err != nil {
		return nil, err
	}
	token, err := creds.get("AWS_SESSION_TOKEN")
	if err != nil {
		return nil, err
	}
	if (id == "") != (secret == "") {
		return nil, unusable("the credentials need both files AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	if id != "" {
		cfg.Credentials = credentials.NewStaticCredentialsProvider(id, secret, token)
	}
	return s3blob.OpenBucket(ctx, s3.NewFromConfig(cfg, opts...), u.Host, nil)
}

func (b *bucket) open(ctx context.Context, name string) (object, error) {
	key := b.prefix + name
	attrs, err := b.b.Attributes(ctx, key)
	if err != nil {
		return nil, blobError(err)
	}
	o := &blobObject{b: b.b, key: key, bytes: attrs.Size, etag: attrs.ETag, mod: attrs.ModTime}
	var head s3.HeadObjectOutput
	if attrs.As(&head) && head.VersionId != nil && *head.VersionId != "" && *head.VersionId != "null" {
		o.s3Version = *head.VersionId
	}
	return o, nil
}

func (b *bucket) close() error { return b.b.Close() }

type blobObject struct {
	b         *blob.Bucket
	key       string
	bytes     int64
	etag      string
	s3Version string
	mod       time.Time
}

func (o *blobObject) read(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	r, err := o.b.NewRangeReader(ctx, o.key, off, n, &blob.ReaderOptions{
		BeforeRead: func(as func(any) bool) error {
			var in *s3.GetObjectInput
			if as(&in) && o.etag != "" {
				in.IfMatch = &o.etag
				if o.s3Version != "" {
					in.VersionId = &o.s3Version
				}
			}
			return nil
		},
	})
	if err != nil {
		return nil, blobError(err)
	}
	if r.Size() != o.bytes || !r.ModTime().Truncate(time.Second).Equal(o.mod.Truncate(time.Second)) {
		r.Close()
		return nil, errChanged
	}
	return r, nil
}

var errChanged = unusable("the object changed while it was being read: write dumps under a new name each time")

func (o *blobObject) size() int64 { return o.bytes }
func (o *blobObject) version() string {
	if o.s3Version != "" {
		return o.s3Version
	}
	return o.etag
}
func (o *blobObject) modified() time.Time { return o.mod }
func (o *blobObject) close() error        { return nil }

// blobError tells what another attempt will not cure from what it may.
func blobError(err error) error {
	switch gcerrors.Code(err) {
	case gcerrors.NotFound:
		return &unusableError{errNotFound}
	case gcerrors.PermissionDenied:
		return unusable("the store refused the credentials: %w", err)
	case gcerrors.FailedPrecondition:
		return errChanged
	case gcerrors.InvalidArgument:
		return &unusableError{err}
	}
	// The S3 driver leaves most answers unclassified.
	var coded interface{ HTTPStatusCode() int }
	if errors.As(err, &coded) {
		switch coded.HTTPStatusCode() {
		case 401, 403:
			return unusable("the store refused the credentials: %w", err)
		case 404:
			return &unusableError{errNotFound}
		case 412:
			return errChanged
		case 400, 405, 416:
			return &unusableError{err}
		}
	}
	return err
}

// secrets is a directory with one file per secret value; "" is none.
type secrets string

// get returns the content of a file, or "" when it is not there.
func (s secrets) get(name string) (string, error) {
	if s == "" {
		return "", nil
	}
	b, err := os.ReadFile(filepath.Join(string(s), name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", unusable("read the dump's credentials: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// check fails when the directory itself is missing or empty.
func (s secrets) check() error {
	if s == "" {
		return nil
	}
	entries, err := os.ReadDir(string(s))
	if err != nil {
		return unusable("read the dump's credentials: %w", err)
	}
	if len(entries) == 0 {
		return unusable("the directory of the dump's credentials, %s, is empty", string(s))
	}
	return nil
}
