package dump

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"strconv"

	"cloud.google.com/go/storage"
	"gocloud.dev/blob"
	"gocloud.dev/blob/gcsblob"
	"gocloud.dev/gcp"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	"google.golang.org/api/option"
)

const gcsScope = "https://www.googleapis.com/auth/devstorage.read_only"

// openGCS opens a bucket with the service account's key of the credentials, or
// with the identity of the environment.
func openGCS(ctx context.Context, u *url.URL, creds secrets, o Options) (*blob.Bucket, error) {
	transport := o.transport
	if transport == nil {
		transport = gcp.DefaultTransport()
	}
	opts := &gcsblob.Options{}
	anonymous := os.Getenv("STORAGE_EMULATOR_HOST") != ""
	for name, values := range u.Query() {
		switch name {
		case "anonymous":
			on, err := strconv.ParseBool(values[0])
			if err != nil {
				return nil, unusable("anonymous in the dump's URL is neither true nor false")
			}
			anonymous = anonymous || on
		case "universe_domain":
			opts.ClientOptions = append(opts.ClientOptions, option.WithUniverseDomain(values[0]))
		default:
			return nil, unusable("parameter %q of the dump's URL is not known for gs: use anonymous or universe_domain", name)
		}
	}
	client := gcp.NewAnonymousHTTPClient(transport)
	if !anonymous {
		// Requests for a token do not end with the one that they are for.
		tokens := &http.Client{Transport: transport, Timeout: o.patience.stall}
		found, err := gcsCredentials(context.WithValue(ctx, oauth2.HTTPClient, tokens), creds)
		if err != nil {
			return nil, err
		}
		if client, err = gcp.NewHTTPClient(transport, gcp.CredentialsTokenSource(found)); err != nil {
			return nil, unusable("%w", err)
		}
	}
	// The store never redirects, and a token is not to follow one.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	b, err := gcsblob.OpenBucket(ctx, client, u.Host, opts)
	if err != nil {
		return nil, unusable("%w", err)
	}
	var sdk *storage.Client
	if b.As(&sdk) {
		// Left alone it would try for ever.
		sdk.SetRetry(storage.WithMaxAttempts(1))
	}
	return b, nil
}

func gcsCredentials(ctx context.Context, creds secrets) (*google.Credentials, error) {
	key, err := creds.get("GOOGLE_APPLICATION_CREDENTIALS")
	if err != nil {
		return nil, err
	}
	if key == "" {
		found, err := google.FindDefaultCredentials(ctx, gcsScope)
		if err != nil {
			return nil, unusable("there is no identity for gs: pass --dump-credentials with a file GOOGLE_APPLICATION_CREDENTIALS, run where the pod has one, or put anonymous=true into the dump's URL")
		}
		return found, nil
	}
	found, err := google.CredentialsFromJSONWithType(ctx, []byte(key), google.ServiceAccount, gcsScope)
	if err != nil {
		return nil, unusable("file GOOGLE_APPLICATION_CREDENTIALS of the credentials is not a service account's key")
	}
	return found, nil
}

// gcsVersion is the generation: the ETag also changes with an object's
// metadata, and two uploads of the same bytes have the same one in some stores.
func gcsVersion(attrs *blob.Attributes) string {
	var o storage.ObjectAttrs
	if attrs.As(&o) && o.Generation > 0 {
		return strconv.FormatInt(o.Generation, 10)
	}
	return attrs.ETag
}

// pinGCS also asks for the bytes as they are stored: an object uploaded with
// Content-Encoding gzip would otherwise be decompressed on its way, and ranges
// of it ignored.
func pinGCS(as func(any) bool, version string) {
	var handle **storage.ObjectHandle
	if !as(&handle) {
		return
	}
	*handle = (*handle).ReadCompressed(true)
	if n, err := strconv.ParseInt(version, 10, 64); err == nil {
		*handle = (*handle).If(storage.Conditions{GenerationMatch: n})
	}
}

// notThere says that a client answered "not found" with an error of its own.
func notThere(err error) bool {
	return errors.Is(err, storage.ErrObjectNotExist) || errors.Is(err, storage.ErrBucketNotExist)
}
