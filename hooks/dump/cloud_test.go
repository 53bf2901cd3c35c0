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
	"time"

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
	// busy are the words for a fault that passes: of metadata, of content.
	busy [2][]string
	// short is the word for a range that lies behind the end.
	short string
}{
	{"s3", func(name string) string {
		return "s3://" + fakecloud.Bucket + "/" + name + "?region=" + fakecloud.AmazonRegion
	}, map[string]string{
		"AWS_ACCESS_KEY_ID": fakecloud.AmazonKeyID, "AWS_SECRET_ACCESS_KEY": fakecloud.AmazonSecret,
	}, "If-Match", [2][]string{{"SlowDown", "InternalError"}, {"SlowDown", "InternalError", "RequestTimeout", "502"}}, "InvalidRange"},
	{"gs", func(name string) string { return "gs://" + fakecloud.Bucket + "/" + name }, map[string]string{
		"GOOGLE_APPLICATION_CREDENTIALS": fakecloud.GoogleKey(),
	}, "X-Goog-If-Generation-Match", [2][]string{{"backendError", "rateLimitExceeded"}, {"ServiceUnavailable", "InternalError", "502"}}, "InvalidRange"},
	{"azblob", func(name string) string { return "azblob://" + fakecloud.Bucket + "/" + name }, map[string]string{
		"AZURE_STORAGE_ACCOUNT": fakecloud.MicrosoftAccount, "AZURE_STORAGE_KEY": fakecloud.MicrosoftKey,
	}, "If-Match", [2][]string{{"ServerBusy", "OperationTimedOut"}, {"ServerBusy", "InternalError", "502"}}, "InvalidRange"},
	{"https", func(name string) string { return "https://" + fakecloud.Host + "/" + name }, map[string]string{
		"AUTHORIZATION": fakecloud.WebAuthorization,
	}, "If-Match", [2][]string{{}, {"503", "429", "502"}}, "416"},
}

// busy is the n-th fault of a kind that passes.
func busy(words [2][]string, r *fakecloud.Request, n int64) *fakecloud.Fault {
	list := words[0]
	switch {
	case r.Path == "/token":
		list = []string{"internal_failure"}
	case r.Data:
		list = words[1]
	}
	return &fakecloud.Fault{Code: list[n%int64(len(list))], RetryAfter: "0"}
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
				var n atomic.Int64
				c.Fault = func(r *fakecloud.Request) *fakecloud.Fault {
					if n := n.Add(1); n%4 == 0 {
						return busy(kind.busy, r, n/4)
					}
					return &fakecloud.Fault{CutAfter: 1000}
				}
				sum := sha256.Sum256(whole)
				if err := d.Check(t.Context(), hex.EncodeToString(sum[:]), nil); err != nil {
					t.Fatal(err)
				}
				// Each request goes on where the last one ended.
				next, answered := int64(0), 0
				for _, r := range c.Requests() {
					if r.Begin != next {
						t.Errorf("a request begins at byte %d, the last one ended at %d", r.Begin, next)
					}
					next = r.Begin + r.Sent
					if r.Sent > 0 {
						answered++
					}
				}
				if answered != (len(whole)+999)/1000 {
					t.Errorf("%d requests for %d bytes", answered, len(whole))
				}
			})
			t.Run("stalls", func(t *testing.T) {
				c, o := setup(t)
				o = dump.Stalling(o, 2*time.Second)
				whole := read(t, "17/plain.sql")
				c.Put("plain.sql", whole)
				// The first request, the first for content, and the second of these
				// in its middle.
				var all, data atomic.Int64
				var opened atomic.Bool
				c.Fault = func(r *fakecloud.Request) *fakecloud.Fault {
					n := int64(0)
					if r.Data && opened.Load() {
						n = data.Add(1)
					}
					switch {
					case all.Add(1) == 1, n == 1:
						return &fakecloud.Fault{Hang: true}
					case n == 2:
						return &fakecloud.Fault{Hang: true, CutAfter: 1000}
					}
					return nil
				}
				d, err := dump.Open(t.Context(), kind.url("plain.sql"), o)
				if err != nil {
					t.Fatal(err)
				}
				defer d.Close()
				opened.Store(true)
				sum := sha256.Sum256(whole)
				if err := d.Check(t.Context(), hex.EncodeToString(sum[:]), nil); err != nil {
					t.Fatal(err)
				}
			})
			t.Run("busy", func(t *testing.T) {
				c, o := setup(t)
				var n atomic.Int64
				c.Fault = func(r *fakecloud.Request) *fakecloud.Fault {
					if n := n.Add(1); n%4 < 2 {
						return busy(kind.busy, r, n/2)
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
				away := func(r *fakecloud.Request) *fakecloud.Fault { return busy(kind.busy, r, 0) }
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
				other := read(t, "17/custom.dump")
				other[len(other)-1] ^= 1
				for what, change := range map[string]func(c *fakecloud.Cloud){
					// Of the same size and second: only the version tells.
					"changed while it was being read":     func(c *fakecloud.Cloud) { c.Put("a/shop.dump", other) },
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
			t.Run("shorter", func(t *testing.T) {
				c, o := setup(t)
				d, err := dump.Open(t.Context(), url, o)
				if err != nil {
					t.Fatal(err)
				}
				defer d.Close()
				c.Fault = func(*fakecloud.Request) *fakecloud.Fault { return &fakecloud.Fault{Code: kind.short} }
				sentence(t, d.Check(t.Context(), "", nil), "changed while it was being read")
				c.Fault = nil
				c.Put("a/shop.dump", nil)
				_, err = dump.Open(t.Context(), url, o)
				sentence(t, err, "empty")
			})
			t.Run("stored compressed", func(t *testing.T) {
				// As by gsutil cp -Z: all that a store or a client unpacks on
				// the way makes ranges of something else.
				c, o := setup(t)
				c.Put("a/shop.dump", zip(t, read(t, "17/custom.dump"))).Encoding = "gzip"
				d, err := dump.Open(t.Context(), url, o)
				if err != nil {
					t.Fatal(err)
				}
				defer d.Close()
				if !d.Sequential() {
					t.Error("what is stored compressed comes decompressed")
				}
				c.Fault = func(*fakecloud.Request) *fakecloud.Fault { return &fakecloud.Fault{CutAfter: 3000} }
				got, err := contents(t.Context(), d)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(local, got); diff != "" {
					t.Error(diff)
				}
			})
			t.Run("other metadata", func(t *testing.T) {
				// Changed once the object was there, before the dump is opened.
				c, o := setup(t)
				c.Put("a/shop.dump", read(t, "17/custom.dump")).Metageneration = 3
				got, err := all(t.Context(), url, o)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(local, got); diff != "" {
					t.Error(diff)
				}
			})
			t.Run("other clock", func(t *testing.T) {
				c, o := setup(t)
				for _, c.Skew = range []time.Duration{time.Hour, -time.Hour} {
					_, err := all(t.Context(), url, o)
					discreet(t, err)
					switch kind.name {
					case "s3", "https": // S3's client takes the store's time
						if err != nil {
							t.Error(err)
						}
					default:
						if err == nil || errors.Is(err, dump.ErrUnusable) || !strings.Contains(err.Error(), "the clock here is 1h0m0s from the store's: set the clock") {
							t.Errorf("error %v", err)
						}
					}
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
							return &fakecloud.Fault{Code: "forbidden"}
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
				for _, code := range map[string][]string{
					"s3":     {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"},
					"gs":     {"AccessDenied", "AuthenticationRequired"},
					"azblob": {"AuthenticationFailed", "InvalidAuthenticationInfo"},
					"https":  {"403", "401"},
				}[kind.name] {
					c.Fault = func(*fakecloud.Request) *fakecloud.Fault { return &fakecloud.Fault{Code: code} }
					err = d.Check(t.Context(), "", nil)
					sentence(t, err, "refused the request with status 40")
					if kind.name != "https" {
						sentence(t, err, "("+code+"): the credentials are wrong")
					}
					sentence(t, err, "have expired")
				}
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

	// A session token that has expired, which a HEAD does not tell.
	temporary := maps.Clone(kinds[0].credentials)
	temporary["AWS_SESSION_TOKEN"] = "session-4711"
	o.Credentials = credentials(t, temporary)
	d, err := dump.Open(t.Context(), kinds[0].url("shop.dump"), o)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, code := range []string{"ExpiredToken", "InvalidToken"} {
		c.Fault = func(*fakecloud.Request) *fakecloud.Fault {
			return &fakecloud.Fault{Code: code, Header: http.Header{"X-Amz-Bucket-Region": {fakecloud.AmazonRegion}}}
		}
		_, err = dump.Open(t.Context(), kinds[0].url("shop.dump"), o)
		sentence(t, err, "status 400 (BadRequest): put a fresh session token into file AWS_SESSION_TOKEN")
		sentence(t, d.Check(t.Context(), "", nil), "status 400 ("+code+"): put a fresh session token into file AWS_SESSION_TOKEN")
	}
	c.Fault = nil
	c.NoListRight = true
	_, err = dump.Open(t.Context(), kinds[0].url("absent.dump"), o)
	sentence(t, err, "or its name is wrong")
}

// TestVersionsOfBucket: an S3 bucket that keeps versions.
func TestVersionsOfBucket(t *testing.T) {
	t.Parallel()
	whole := read(t, "17/custom.dump")
	other := bytes.Clone(whole)
	other[len(other)-1] ^= 1
	put := func(c *fakecloud.Cloud) { c.Put("shop.dump", other) }
	for name, test := range map[string]struct {
		noRight bool
		change  func(c *fakecloud.Cloud)
		fails   string // "" is read to its end
	}{
		"replaced":           {false, put, ""},
		"deleted":            {false, func(c *fakecloud.Cloud) { c.Delete("shop.dump") }, ""},
		"purged":             {false, func(c *fakecloud.Cloud) { c.Purge("shop.dump") }, "was deleted while it was being read"},
		"no right":           {true, func(*fakecloud.Cloud) {}, ""},
		"no right, replaced": {true, put, "changed while it was being read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := fakecloud.Start(t)
			c.Versions, c.NoVersionRight = true, test.noRight
			c.Put("shop.dump", whole)
			o := dump.Through(dump.Options{Credentials: credentials(t, kinds[0].credentials)}, c.Transport, attempts)
			d, err := dump.Open(t.Context(), kinds[0].url("shop.dump"), o)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			test.change(c)
			c.Forget()
			c.Fault = func(*fakecloud.Request) *fakecloud.Fault { return &fakecloud.Fault{CutAfter: 5000} }
			sum := sha256.Sum256(whole)
			err = d.Check(t.Context(), hex.EncodeToString(sum[:]), nil)
			if test.fails != "" {
				sentence(t, err, test.fails)
			} else if err != nil {
				t.Error(err)
			}
			for _, r := range c.Requests() {
				if r.Header.Get("If-Match") == "" || r.Query.Has("versionId") == test.noRight {
					t.Errorf("a read asks for version %q, If-Match %q", r.Query.Get("versionId"), r.Header.Get("If-Match"))
				}
			}
		})
	}
}

// TestArchiveTiers: S3 and Azure keep what lies there from being read.
func TestArchiveTiers(t *testing.T) {
	t.Parallel()
	for _, kind := range []int{0, 2} {
		c := fakecloud.Start(t)
		o := dump.Through(dump.Options{Credentials: credentials(t, kinds[kind].credentials)}, c.Transport, attempts)
		c.Put("shop.dump", read(t, "17/custom.dump")).Archived = true
		_, err := dump.Open(t.Context(), kinds[kind].url("shop.dump"), o)
		sentence(t, err, "the object lies in an archive tier, from which its store reads nothing: restore it")
		if n := len(c.Requests()); n != 2 {
			t.Errorf("%s: %d requests", kinds[kind].name, n)
		}
	}
}

// zip compresses with gzip.
func zip(t *testing.T, b []byte) []byte {
	t.Helper()
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return z.Bytes()
}

// TestGCSErrors: what only Google has.
func TestGCSErrors(t *testing.T) {
	t.Parallel()
	c := fakecloud.Start(t)
	url := kinds[1].url("shop.dump")
	shop := c.Put("shop.dump", read(t, "17/custom.dump"))
	o := dump.Through(dump.Options{Credentials: credentials(t, kinds[1].credentials)}, c.Transport, attempts)

	c.Fault = func(r *fakecloud.Request) *fakecloud.Fault {
		if r.Path == "/token" {
			return &fakecloud.Fault{Code: "invalid_grant"}
		}
		return nil
	}
	_, err := dump.Open(t.Context(), url, o)
	sentence(t, err, "refused a token with status 400 (invalid_grant)")

	var tokens atomic.Int64
	c.Fault = func(r *fakecloud.Request) *fakecloud.Fault {
		if r.Path == "/token" && tokens.Add(1) < 3 {
			return &fakecloud.Fault{Code: "internal_failure"}
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

	c.Fault = nil
	c.NoListRight = true
	_, err = dump.Open(t.Context(), kinds[1].url("absent.dump"), o)
	sentence(t, err, "status 403 (forbidden): the credentials are wrong")

	// A change of metadata leaves the generation: the dump is the same.
	d, err := dump.Open(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	shop.Metageneration++
	sum := sha256.Sum256(shop.Content)
	if err := d.Check(t.Context(), hex.EncodeToString(sum[:]), nil); err != nil {
		t.Error(err)
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
		"several ranges": {func(*fakecloud.Request) *fakecloud.Fault {
			return &fakecloud.Fault{Do: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "multipart/byteranges; boundary=x")
				w.WriteHeader(http.StatusPartialContent)
			}}
		}, "which bytes of how many"},
		"other etag": {func(r *fakecloud.Request) *fakecloud.Fault { // and If-Match ignored
			if r.Begin == 0 {
				return &fakecloud.Fault{CutAfter: 5000}
			}
			return &fakecloud.Fault{Do: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("ETag", `"2"`)
				w.Header().Set("Content-Range", fmt.Sprintf("bytes 5000-5000/%d", len(read(t, "17/custom.dump"))))
				w.WriteHeader(http.StatusPartialContent)
			}}
		}, "the object changed"},
		"weak etag": {func(*fakecloud.Request) *fakecloud.Fault { return header("Etag", `W/"1"`) }, ""},
		"no etag": {func(r *fakecloud.Request) *fakecloud.Fault {
			day := "Fri, 02 Jan 2026 03:04:05 GMT"
			if r.Begin > 0 {
				day = "Sat, 03 Jan 2026 03:04:05 GMT"
			}
			return &fakecloud.Fault{CutAfter: 5000, Header: http.Header{"Etag": {}, "Last-Modified": {day}}}
		}, "the object changed"},
		"teapot": {func(*fakecloud.Request) *fakecloud.Fault { return &fakecloud.Fault{Code: "418"} }, "status 418"},
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
