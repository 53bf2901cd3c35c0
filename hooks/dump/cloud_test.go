package dump_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seedling-dev/seedling/hooks/dump"
	"github.com/seedling-dev/seedling/hooks/internal/fakecloud"
)

const attempts = 4

// kinds of places, with the URL of a name in them and who may read it.
var kinds = []struct {
	name        string
	url         func(name string) string
	credentials map[string]string
	// pinned is the header that binds a read to the version that was opened.
	pinned string
}{
	{"s3", func(name string) string {
		return "s3://" + fakecloud.Bucket + "/" + name + "?region=" + fakecloud.AmazonRegion
	}, map[string]string{
		"AWS_ACCESS_KEY_ID": fakecloud.AmazonKeyID, "AWS_SECRET_ACCESS_KEY": fakecloud.AmazonSecret,
	}, "If-Match"},
	{"gs", func(name string) string { return "gs://" + fakecloud.Bucket + "/" + name }, map[string]string{
		"GOOGLE_APPLICATION_CREDENTIALS": fakecloud.GoogleKey(),
	}, "X-Goog-If-Generation-Match"},
	{"azblob", func(name string) string { return "azblob://" + fakecloud.Bucket + "/" + name }, map[string]string{
		"AZURE_STORAGE_ACCOUNT": fakecloud.MicrosoftAccount, "AZURE_STORAGE_KEY": fakecloud.MicrosoftKey,
	}, "If-Match"},
	{"https", func(name string) string { return "https://" + fakecloud.Host + "/" + name }, map[string]string{
		"AUTHORIZATION": fakecloud.WebAuthorization,
	}, "If-Match"},
}

// credentials writes a directory of them.
func credentials(t *testing.T, values map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, value := range values {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata/versions", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// all is what a dump holds, read from its place.
func all(ctx context.Context, url string, o dump.Options) (map[string]string, error) {
	d, err := dump.Open(ctx, url, o)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return contents(ctx, d)
}

// sentence checks what an error says, that another attempt would not help, and
// that nothing secret or several lines long is in it.
func sentence(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, dump.ErrUnusable) {
		t.Errorf("error %v does not say %q, or asks for another attempt", err, want)
	}
	discreet(t, err)
}

func discreet(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for _, bad := range []string{"4711", fakecloud.MicrosoftKey, "SharedKey", "Signature=", "Bearer", "PRIVATE", "\n", "<"} {
		if strings.Contains(strings.ReplaceAll(err.Error(), "Signature=redacted", ""), bad) {
			t.Errorf("the error holds %q: %v", bad, err)
		}
	}
}

func TestStores(t *testing.T) {
	t.Parallel()
	local, err := all(t.Context(), "testdata/versions/17/custom.dump", dump.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range kinds {
		setup := func(t *testing.T) (*fakecloud.Cloud, dump.Options) {
			t.Parallel()
			c := fakecloud.Start(t)
			c.Put("a/shop.dump", read(t, "17/custom.dump"))
			return c, dump.Through(dump.Options{Credentials: credentials(t, kind.credentials)}, c.Transport, attempts)
		}
		url := kind.url("a/shop.dump")
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			t.Run("reads in place", func(t *testing.T) {
				c, o := setup(t)
				got, err := all(t.Context(), url, o)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(local, got); diff != "" {
					t.Error(diff)
				}
				opened := false
				for _, r := range c.Requests() {
					if r.Data && r.Header.Get("Authorization") == "" {
						t.Errorf("%s %s has no Authorization", r.Method, r.Path)
					}
					if r.Data && (opened || kind.name != "https") && r.Header.Get(kind.pinned) == "" {
						t.Errorf("%s %s is not bound to a version by %s", r.Method, r.Path, kind.pinned)
					}
					opened = opened || r.Data
				}
			})
			t.Run("directory", func(t *testing.T) {
				c, o := setup(t)
				files, err := os.ReadDir("testdata/versions/17/directory")
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range files {
					c.Put("d/"+f.Name(), read(t, "17/directory/"+f.Name()))
				}
				got, err := all(t.Context(), kind.url("d/"), o)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(local, got); diff != "" {
					t.Error(diff)
				}
				// Without listing, and without guessing how files end.
				for _, r := range c.Requests() {
					if strings.HasSuffix(r.Path, ".dat") && !strings.HasSuffix(r.Path, "/toc.dat") {
						t.Errorf("asks for %s: the header says that the files are compressed", r.Path)
					}
				}
				c.Delete("d/blob_7001.dat.gz")
				_, err = all(t.Context(), kind.url("d/"), o)
				sentence(t, err, "blob_7001.dat is missing")
			})
			t.Run("resumes", func(t *testing.T) {
				c, o := setup(t)
				whole := read(t, "17/plain.sql")
				c.Put("plain.sql", whole)
				d, err := dump.Open(t.Context(), kind.url("plain.sql"), o)
				if err != nil {
					t.Fatal(err)
				}
				defer d.Close()
				c.Forget()
				c.Fault = func(*fakecloud.Request) *fakecloud.Fault { return &fakecloud.Fault{CutAfter: 1000} }
				sum := sha256.Sum256(whole)
				if err := d.Check(t.Context(), hex.EncodeToString(sum[:]), nil); err != nil {
					t.Fatal(err)
				}
				// Each request goes on where the last one ended.
				next := int64(0)
				requests := c.Requests()
				for _, r := range requests {
					if r.Begin != next {
						t.Errorf("a request begins at byte %d, the last one ended at %d", r.Begin, next)
					}
					next = r.Begin + r.Sent
				}
				if len(requests) != (len(whole)+999)/1000 {
					t.Errorf("%d requests for %d bytes", len(requests), len(whole))
				}
			})
			t.Run("busy", func(t *testing.T) {
				c, o := setup(t)
				var n atomic.Int64
				c.Fault = func(*fakecloud.Request) *fakecloud.Fault {
					switch n.Add(1) % 4 {
					case 1:
						return &fakecloud.Fault{Status: 503, Code: "SlowDown", RetryAfter: "0"}
					case 2:
						return &fakecloud.Fault{Status: 429, Code: "TooManyRequests"}
					}
					return nil
				}
				got, err := all(t.Context(), url, o)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(local, got); diff != "" {
					t.Error(diff)
				}
			})
			t.Run("away", func(t *testing.T) {
				c, o := setup(t)
				away := func(*fakecloud.Request) *fakecloud.Fault { return &fakecloud.Fault{Status: 503, Code: "ServerBusy"} }
				c.Fault = away
				_, err := dump.Open(t.Context(), url, o)
				if err == nil || errors.Is(err, dump.ErrUnusable) || !strings.Contains(err.Error(), "4 attempts: the server answered with status 503") {
					t.Errorf("error %v", err)
				}
				discreet(t, err)
				c.Fault = nil
				d, err := dump.Open(t.Context(), url, o)
				if err != nil {
					t.Fatal(err)
				}
				defer d.Close()
				c.Forget()
				c.Fault = away
				err = d.Check(t.Context(), "", nil)
				if err == nil || errors.Is(err, dump.ErrUnusable) || !strings.Contains(err.Error(), "read at byte 0, 4 attempts: the server answered with status 503") {
					t.Errorf("error %v", err)
				}
				discreet(t, err)
				if n := len(c.Requests()); n < attempts || n > 2*attempts { // S3's client asks twice
					t.Errorf("%d requests", n)
				}
			})
			t.Run("replaced", func(t *testing.T) {
				for what, change := range map[string]func(c *fakecloud.Cloud){
					// Of the same size and second: only the version tells.
					"changed while it was being read":     func(c *fakecloud.Cloud) { c.Put("a/shop.dump", read(t, "17/custom.dump")) },
					"was deleted while it was being read": func(c *fakecloud.Cloud) { c.Delete("a/shop.dump") },
				} {
					t.Run(what, func(t *testing.T) {
						c, o := setup(t)
						d, err := dump.Open(t.Context(), url, o)
						if err != nil {
							t.Fatal(err)
						}
						defer d.Close()
						var once sync.Once
						c.Fault = func(r *fakecloud.Request) *fakecloud.Fault {
							if r.Begin > 0 {
								once.Do(func() { change(c) })
							}
							return &fakecloud.Fault{CutAfter: 3000}
						}
						sentence(t, d.Check(t.Context(), "", nil), what)
					})
				}
			})
			t.Run("refused", func(t *testing.T) {
				c, o := setup(t)
				_, err := dump.Open(t.Context(), kind.url("a/absent.dump"), o)
				sentence(t, err, "there is no such file or object")
				wrong := maps.Clone(kind.credentials)
				switch kind.name {
				case "s3":
					wrong["AWS_SECRET_ACCESS_KEY"] = "wrong"
				case "azblob":
					wrong["AZURE_STORAGE_KEY"] = "d3Jvbmc="
				case "https":
					wrong["AUTHORIZATION"] = "Bearer wrong"
				case "gs":
					c.Fault = func(r *fakecloud.Request) *fakecloud.Fault {
						if r.Host == "storage.googleapis.com" {
							return &fakecloud.Fault{Status: 403, Code: "forbidden"}
						}
						return nil
					}
				}
				o.Credentials = credentials(t, wrong)
				c.Forget()
				_, err = dump.Open(t.Context(), url, o)
				sentence(t, err, "refused the request with status 40")
				if n := len(c.Requests()); n > 2 { // one may be for the token
					t.Errorf("%d requests", n)
				}
				// While reading too, where the answer has a body.
				c.Fault = nil
				o.Credentials = credentials(t, kind.credentials)
				d, err := dump.Open(t.Context(), url, o)
				if err != nil {
					t.Fatal(err)
				}
				defer d.Close()
				c.Fault = func(*fakecloud.Request) *fakecloud.Fault { return &fakecloud.Fault{Status: 403, Code: "AccessDenied"} }
				sentence(t, d.Check(t.Context(), "", nil), "refused the request with status 403")
			})
		})
	}
}

// TestS3Errors: what only S3 has.
func TestS3Errors(t *testing.T) {
	t.Parallel()
	c := fakecloud.Start(t)
	c.Put("shop.dump", read(t, "17/custom.dump"))
	o := dump.Through(dump.Options{Credentials: credentials(t, kinds[0].credentials)}, c.Transport, attempts)
	_, err := dump.Open(t.Context(), "s3://"+fakecloud.Bucket+"/shop.dump?region=us-east-1", o)
	sentence(t, err, "the bucket is in another region than was asked: put region=eu-central-1 into the dump's URL")
	_, err = dump.Open(t.Context(), "s3://nowhere/shop.dump?region=eu-central-1", o)
	sentence(t, err, "there is no such file or object")
	o.Credentials = credentials(t, map[string]string{"AWS_ACCESS_KEY_ID": "AKIAOTHER", "AWS_SECRET_ACCESS_KEY": fakecloud.AmazonSecret})
	_, err = dump.Open(t.Context(), "s3://"+fakecloud.Bucket+"/shop.dump?region=eu-central-1", o)
	sentence(t, err, "the credentials are wrong, or may not read this object")
	o.Credentials = credentials(t, map[string]string{"AWS_ACCESS_KEY_ID": "AKIAOTHER"})
	_, err = dump.Open(t.Context(), "s3://"+fakecloud.Bucket+"/shop.dump?region=eu-central-1", o)
	sentence(t, err, "both files AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	_, err = dump.Open(t.Context(), "s3://"+fakecloud.Bucket+"/shop.dump?use_path_style=maybe", o)
	sentence(t, err, "neither true nor false")
}

// TestGCSErrors: what only Google has.
func TestGCSErrors(t *testing.T) {
	t.Parallel()
	c := fakecloud.Start(t)
	url := kinds[1].url("shop.dump")
	c.Put("shop.dump", read(t, "17/custom.dump"))
	o := dump.Through(dump.Options{Credentials: credentials(t, kinds[1].credentials)}, c.Transport, attempts)

	c.Fault = func(r *fakecloud.Request) *fakecloud.Fault {
		if r.Path == "/token" {
			return &fakecloud.Fault{Status: 400, Code: "invalid_grant"}
		}
		return nil
	}
	_, err := dump.Open(t.Context(), url, o)
	sentence(t, err, "refused a token with status 400 (invalid_grant)")

	var tokens atomic.Int64
	c.Fault = func(r *fakecloud.Request) *fakecloud.Fault {
		if r.Path == "/token" && tokens.Add(1) < 3 {
			return &fakecloud.Fault{Status: 503, Code: "backend_error"}
		}
		return nil
	}
	want, err := all(t.Context(), "testdata/versions/17/custom.dump", dump.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := all(t.Context(), url, o)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("error %v, %s", err, diff)
	}

	// gsutil cp -Z: stored compressed, and by default sent decompressed.
	c.Fault = nil
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write(read(t, "17/custom.dump")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	c.Put("shop.dump", z.Bytes()).Encoding = "gzip"
	d, err := dump.Open(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if !d.Sequential() {
		t.Error("what is stored compressed comes decompressed")
	}
	got, err = contents(t.Context(), d)
	if err != nil || len(got) != len(want) {
		t.Errorf("error %v, %d tables", err, len(got))
	}

	o.Credentials = credentials(t, map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": `{"type": "authorized_user"}`})
	_, err = dump.Open(t.Context(), url, o)
	sentence(t, err, "not a service account's key")
	_, err = dump.Open(t.Context(), url+"?grpc=true", o)
	sentence(t, err, `parameter "grpc" of the dump's URL is not known`)
}

// TestAzureErrors: what only Microsoft has.
func TestAzureErrors(t *testing.T) {
	t.Parallel()
	c := fakecloud.Start(t)
	o := dump.Through(dump.Options{Credentials: credentials(t, kinds[2].credentials)}, c.Transport, attempts)
	_, err := dump.Open(t.Context(), "azblob://nowhere/shop.dump", o)
	sentence(t, err, "the bucket does not exist")
	o.Credentials = credentials(t, map[string]string{"AZURE_STORAGE_ACCOUNT": fakecloud.MicrosoftAccount})
	_, err = dump.Open(t.Context(), kinds[2].url("shop.dump"), o)
	sentence(t, err, "both files AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY")
	o.Credentials = credentials(t, map[string]string{"AZURE_STORAGE_ACCOUNT": "seedlings", "AZURE_STORAGE_KEY": "not base64"})
	_, err = dump.Open(t.Context(), kinds[2].url("shop.dump"), o)
	sentence(t, err, "not base64")
}

// TestWebServers: web servers differ more than stores do.
func TestWebServers(t *testing.T) {
	t.Parallel()
	const signed = "?X-Amz-Signature=secret4711"
	header := func(name string, values ...string) *fakecloud.Fault {
		return &fakecloud.Fault{Header: http.Header{name: values}}
	}
	for name, test := range map[string]struct {
		fault func(r *fakecloud.Request) *fakecloud.Fault
		fails string // "" is read whole
	}{
		"no ranges": {func(*fakecloud.Request) *fakecloud.Fault { return &fakecloud.Fault{Whole: true} }, "the server ignores range requests"},
		"ranges at times": {func(r *fakecloud.Request) *fakecloud.Fault {
			return &fakecloud.Fault{Whole: r.Begin > 4000, CutAfter: 5000}
		}, "the server ignores range requests"},
		"other range": {func(r *fakecloud.Request) *fakecloud.Fault {
			if r.Begin == 0 {
				return &fakecloud.Fault{CutAfter: 5000}
			}
			return header("Content-Range", fmt.Sprintf("bytes 0-99/%d", len(read(t, "17/custom.dump"))))
		}, "the server sent bytes from 0 on where it was asked for 5000"},
		"no size": {func(*fakecloud.Request) *fakecloud.Fault { return header("Content-Range", "bytes 0-0/*") }, "which bytes of how many"},
		"no validators": {func(*fakecloud.Request) *fakecloud.Fault {
			return &fakecloud.Fault{Header: http.Header{"Etag": {}, "Last-Modified": {}}}
		}, "neither ETag nor Last-Modified"},
		"weak etag": {func(*fakecloud.Request) *fakecloud.Fault { return header("Etag", `W/"1"`) }, ""},
		"no etag": {func(r *fakecloud.Request) *fakecloud.Fault {
			day := "Fri, 02 Jan 2026 03:04:05 GMT"
			if r.Begin > 0 {
				day = "Sat, 03 Jan 2026 03:04:05 GMT"
			}
			return &fakecloud.Fault{CutAfter: 5000, Header: http.Header{"Etag": {}, "Last-Modified": {day}}}
		}, "the object changed"},
		"teapot": {func(*fakecloud.Request) *fakecloud.Fault { return &fakecloud.Fault{Status: 418} }, "status 418"},
		"to http": {func(*fakecloud.Request) *fakecloud.Fault {
			return &fakecloud.Fault{Do: http.RedirectHandler("http://elsewhere.example.net/x", http.StatusFound).ServeHTTP}
		}, "unencrypted"},
		"in circles": {func(r *fakecloud.Request) *fakecloud.Fault {
			return &fakecloud.Fault{Do: http.RedirectHandler("https://"+r.Host+r.Path, http.StatusFound).ServeHTTP}
		}, "redirects more than 5 times"},
		"to a store": {func(r *fakecloud.Request) *fakecloud.Fault {
			if r.Host == fakecloud.Host {
				return &fakecloud.Fault{Do: http.RedirectHandler("https://sub."+fakecloud.Host+r.Path, http.StatusFound).ServeHTTP}
			}
			return nil
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := fakecloud.Start(t)
			whole := read(t, "17/custom.dump")
			c.Put("a b/shop.dump", whole)
			c.Fault = test.fault
			o := dump.Through(dump.Options{Credentials: credentials(t, kinds[3].credentials)}, c.Transport, attempts)
			d, err := dump.Open(t.Context(), "https://"+fakecloud.Host+"/a%20b/shop.dump"+signed, o)
			if err == nil {
				sum := sha256.Sum256(whole)
				err = d.Check(t.Context(), hex.EncodeToString(sum[:]), nil)
				d.Close()
			}
			if test.fails == "" && err != nil {
				t.Fatal(err)
			}
			if test.fails != "" {
				sentence(t, err, test.fails)
			}
			for _, r := range c.Requests() {
				if r.Host != fakecloud.Host && r.Header.Get("Authorization") != "" {
					t.Errorf("%s got the credentials of %s", r.Host, fakecloud.Host)
				}
				if r.Header.Get("Referer") != "" {
					t.Errorf("%s got the signed URL in Referer", r.Host)
				}
			}
		})
	}
}

// TestRedact: what could be secret is in no error and no log line.
func TestRedact(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"/var/dumps/a.dump":                                 "/var/dumps/a.dump",
		"s3://b/k?region=eu-central-1":                      "s3://b/k?region=eu-central-1",
		"https://user:secret@host/a?X-Amz-Signature=secret": "https://redacted@host/a?X-Amz-Signature=redacted",
		"https://user:se%zzcret@host/a":                     "https:redacted",
		"https:user:secret@host":                            "https:redacted",
		"https://host/a#secret":                             "https://host/a#redacted",
		"https://host/a?sig=secret;b":                       "https://host/a",
		"s3://b/k?endpoint=https://user:secret@s3":          "s3://b/k?endpoint=redacted",
	} {
		if got := dump.Redact(raw); got != want {
			t.Errorf("%s becomes %s, want %s", raw, got, want)
		}
		if err := dump.CheckURL(raw); (err != nil) != strings.Contains(raw, "cret") || err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error %v", raw, err)
		}
	}
}
