package dump

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	gcaws "gocloud.dev/aws"
	"gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"
)

// openS3 does what s3blob's URL opener does, with credentials from files.
func openS3(ctx context.Context, u *url.URL, creds secrets, o Options) (*blob.Bucket, error) {
	q := u.Query()
	q.Del("versionId")
	opts := []func(*s3.Options){func(s *s3.Options) {
		// The second attempt is for a clock that is off, where the store says
		// so in a body, as it does not of a HEAD; all others are ours.
		s.Retryer = retry.NewStandard(func(r *retry.StandardOptions) {
			r.MaxAttempts = 2
			r.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return o.patience.first, nil })
		})
	}}
	for _, name := range []string{"use_path_style", "s3ForcePathStyle"} {
		if v := q.Get(name); v != "" {
			on, err := strconv.ParseBool(v)
			if err != nil {
				return nil, unusable("%s in the dump's URL is neither true nor false", name)
			}
			opts = append(opts, func(s *s3.Options) { s.UsePathStyle = on })
		}
		q.Del(name)
	}
	cfg, err := gcaws.V2ConfigFromURLParams(ctx, q)
	if err != nil {
		return nil, unusable("%w", err)
	}
	if o.transport != nil {
		cfg.HTTPClient = &http.Client{Transport: o.transport}
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
	switch {
	case id != "":
		cfg.Credentials = credentials.NewStaticCredentialsProvider(id, secret, token)
	case !aws.IsCredentialsProvider(cfg.Credentials, aws.AnonymousCredentials{}):
		if _, err := cfg.Credentials.Retrieve(ctx); nowhere(err) {
			return nil, unusable("there is no identity for s3: pass --dump-credentials with files AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, run where the pod has one, or put anonymous=true into the dump's URL")
		}
	}
	return s3blob.OpenBucket(ctx, s3.NewFromConfig(cfg, opts...), u.Host, nil)
}

// nowhere reports whether there is no place that could give an identity: the last
// that is asked is the machine's metadata service, which answers nothing elsewhere.
// Its answers, and errors of the other places, may be better at the next attempt.
func nowhere(err error) bool {
	operation, ok := errors.AsType[*smithy.OperationError](err)
	if !ok || operation.Service() != "ec2imds" {
		return false
	}
	response, answered := errors.AsType[*smithyhttp.ResponseError](err)
	return !answered || response.HTTPStatusCode() == http.StatusNotFound
}

// s3Version is the ETag, and before it the version id where the bucket keeps
// versions: then the one that was opened is read, also when a newer one comes.
func s3Version(attrs *blob.Attributes) string {
	var head s3.HeadObjectOutput
	if attrs.As(&head) && aws.ToString(head.VersionId) != "" && aws.ToString(head.VersionId) != "null" {
		return *head.VersionId + versionMark + attrs.ETag
	}
	return attrs.ETag
}

// versionMark stands between version id and ETag, in neither of which it occurs.
const versionMark = "\x00"

// looseS3 leaves the ETag. A version by its id takes s3:GetObjectVersion, which
// an identity that may read objects need not have; what it loses is that a
// dump replaced while it is read can still be read to its end.
func looseS3(version string) string {
	if _, etag, kept := strings.Cut(version, versionMark); kept {
		return etag
	}
	return version
}

func pinS3(as func(any) bool, version string) {
	var in *s3.GetObjectInput
	if !as(&in) {
		return
	}
	id, etag, kept := strings.Cut(version, versionMark)
	if !kept {
		id, etag = "", version
	}
	if etag != "" {
		in.IfMatch = &etag
	}
	if id != "" {
		in.VersionId = &id
	}
}
