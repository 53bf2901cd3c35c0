package dump_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seedling-dev/seedling/hooks/dump"
	"github.com/seedling-dev/seedling/hooks/internal/fakecloud"
)

// night is when the last export of these tests was written.
var night = time.Date(2026, 3, 4, 2, 0, 0, 0, time.UTC)

// at is a clock that stands still.
func at(t time.Time) func() time.Time { return func() time.Time { return t } }

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// A shelf has four nights' dumps and what lies beside them.
func shelf(t *testing.T, c *fakecloud.Cloud) []byte {
	t.Helper()
	content := read(t, "17/custom.dump")
	put := func(name string, content []byte, nights int) {
		c.Put(name, content).Modified = night.AddDate(0, 0, -nights)
	}
	put("shop/2026-03-01.dump", []byte("old"), 3)
	put("shop/2026-03-02.dump", []byte("old"), 2)
	put("shop/2026-03-03 b+c.dump", content, 1)
	put("shop/2026-03-03 b+c.dump.sha256", []byte(digest(content)+"  out/2026-03-03 b+c.dump\n"), 1)
	put("shop/2026-03-04.dump.partial", content, 0)
	put("shop/deeper/2026-03-05.dump", content, -1)
	put("shop/readme.txt", []byte("x"), 0)
	put("crm/2026-03-04.dump", content, 0)
	return content
}

func TestNewest(t *testing.T) {
	t.Parallel()
	const all = "shop/*.dump"
	for _, kind := range kinds {
		setup := func(t *testing.T) (*fakecloud.Cloud, dump.Options, []byte) {
			t.Parallel()
			c := fakecloud.Start(t)
			c.Page = 2
			content := shelf(t, c)
			return c, dump.Through(dump.Options{Credentials: credentials(t, kind.credentials)}, c.Transport, attempts), content
		}
		newest := func(t *testing.T, o dump.Options, p dump.Pick) (*dump.Picked, error) {
			t.Helper()
			if p.Now == nil {
				p.Now = at(night.Add(time.Hour))
			}
			return dump.Newest(t.Context(), kind.url(all), o, p)
		}
		lists := func(c *fakecloud.Cloud) (n int) {
			for _, r := range c.Requests() {
				q := r.Query
				if q.Get("list-type") != "" || q.Get("comp") == "list" || strings.HasSuffix(r.Path, "/o") || strings.HasSuffix(r.Path, "/") {
					n++
				}
			}
			return n
		}
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			t.Run("the newest of all pages", func(t *testing.T) {
				c, o, content := setup(t)
				picked, err := newest(t, o, dump.Pick{})
				if err != nil {
					t.Fatal(err)
				}
				if !picked.Modified.Equal(night.AddDate(0, 0, -1)) || picked.SHA256 != digest(content) || len(picked.Skipped) > 0 {
					t.Errorf("picked %+v", picked)
				}
				if n := lists(c); kind.name != "https" && n < 3 {
					t.Errorf("%d pages were asked for", n)
				}
				if dump.IsPattern(picked.URL) {
					t.Errorf("the URL %s is a pattern again", picked.URL)
				}
				d, err := dump.Open(t.Context(), picked.URL, o)
				if err != nil {
					t.Fatal(err)
				}
				defer d.Close()
				if err := d.Check(t.Context(), picked.SHA256, nil); err != nil {
					t.Error(err)
				}
			})
			t.Run("one that is still written is passed over", func(t *testing.T) {
				c, o, content := setup(t)
				c.Put("shop/2026-03-04.dump", content).Modified = night
				picked, err := newest(t, o, dump.Pick{MinAge: 2 * time.Hour})
				if err != nil {
					t.Fatal(err)
				}
				if len(picked.Skipped) != 1 || !strings.Contains(picked.Skipped[0], "2026-03-04.dump is 1h0m0s old") || picked.Modified.Equal(night) {
					t.Errorf("picked %+v", picked)
				}
				if picked, err = newest(t, o, dump.Pick{MinAge: time.Hour}); err != nil || !picked.Modified.Equal(night) {
					t.Errorf("picked %+v (%v), and not the one that is old enough", picked, err)
				}
			})
			t.Run("one of the future is passed over", func(t *testing.T) {
				c, o, content := setup(t)
				c.Put("shop/2026-03-09.dump", content).Modified = night.AddDate(0, 0, 5)
				picked, err := newest(t, o, dump.Pick{})
				if err != nil || len(picked.Skipped) != 1 || !strings.Contains(picked.Skipped[0], "ahead of the clock here") {
					t.Errorf("picked %+v (%v)", picked, err)
				}
			})
			t.Run("digests", func(t *testing.T) {
				for _, c := range []struct {
					name, content string
					age           time.Duration
					says          string // "" where the dump is taken
				}{
					{"none", "", 0, "has no"},
					{"alone", "HEX\n", 0, ""},
					{"as sha256sum writes it", "HEX *x/y/2026-03-04.dump\n", 0, ""},
					{"cut", "HE", 0, "is none"},
					{"of another file", "HEX  2026-03-03.dump\n", 0, "of another file"},
					{"two", "HEX  a\nHEX  2026-03-04.dump\n", 0, "is none"},
					{"of the dump before", "HEX\n", time.Hour, "is newer than"},
				} {
					t.Run(c.name, func(t *testing.T) {
						cloud, o, content := setup(t)
						content = append([]byte("PGDMP"), content...)
						cloud.Put("shop/2026-03-04.dump", content).Modified = night
						if c.content != "" {
							text := strings.ReplaceAll(c.content, "HEX", strings.ToUpper(digest(content)))
							cloud.Put("shop/2026-03-04.dump.sha256", []byte(text)).Modified = night.Add(-c.age)
						}
						picked, err := newest(t, o, dump.Pick{Beside: true})
						switch {
						case err != nil:
							t.Error(err)
						case c.says == "":
							if picked.SHA256 != digest(content) || !picked.Modified.Equal(night) {
								t.Errorf("picked %+v", picked)
							}
						case len(picked.Skipped) != 1 || !strings.Contains(picked.Skipped[0], c.says) || picked.Modified.Equal(night):
							t.Errorf("picked %+v", picked)
						}
					})
				}
			})
			t.Run("nothing is whole", func(t *testing.T) {
				_, o, _ := setup(t)
				_, err := newest(t, o, dump.Pick{MinAge: 1000 * time.Hour})
				passing(t, err, "none of 3 is whole: 2026-03-03", "none of 3 is whole: shop/2026-03-03")
				_, err = dump.Newest(t.Context(), kind.url("shop/*.tar"), o, dump.Pick{})
				passing(t, err, "nothing matches it")
			})
			t.Run("a list that breaks off is no shorter list", func(t *testing.T) {
				c, o, _ := setup(t)
				var n atomic.Int64
				c.Fault = func(r *fakecloud.Request) *fakecloud.Fault {
					if r.Path == "/token" {
						return nil
					}
					switch n.Add(1) {
					case 2:
						return &fakecloud.Fault{Code: "503"}
					case 3:
						return &fakecloud.Fault{CutAfter: 20}
					}
					return nil
				}
				picked, err := newest(t, o, dump.Pick{})
				if err != nil || !picked.Modified.Equal(night.AddDate(0, 0, -1)) {
					t.Errorf("picked %+v (%v)", picked, err)
				}
				c.Fault = func(r *fakecloud.Request) *fakecloud.Fault {
					if r.Path == "/token" || n.Add(1) == 1 {
						return nil
					}
					return &fakecloud.Fault{Code: "503"}
				}
				n.Store(0)
				_, err = newest(t, o, dump.Pick{})
				passing(t, err, "status 503")
			})
			t.Run("replaced after it was picked", func(t *testing.T) {
				c, o, content := setup(t)
				picked, err := newest(t, o, dump.Pick{})
				if err != nil {
					t.Fatal(err)
				}
				changed := append([]byte(nil), content...)
				changed[len(changed)/2] ^= 1
				c.Put("shop/2026-03-03 b+c.dump", changed)
				d, err := dump.Open(t.Context(), picked.URL, o)
				if err == nil {
					err = d.Check(t.Context(), picked.SHA256, nil)
					d.Close()
				}
				if err == nil || !errors.Is(err, dump.ErrUnusable) {
					t.Errorf("another content passes for the digest: %v", err)
				}
			})
			t.Run("beside the one that is named", func(t *testing.T) {
				_, o, content := setup(t)
				url := kind.url("shop/2026-03-03 b+c.dump")
				picked, err := dump.Newest(t.Context(), url, o, dump.Pick{Beside: true})
				if err != nil || picked.SHA256 != digest(content) || picked.URL != url {
					t.Errorf("picked %+v (%v)", picked, err)
				}
				_, err = dump.Newest(t.Context(), kind.url("shop/2026-03-02.dump"), o, dump.Pick{Beside: true})
				passing(t, err, "beside it")
			})
			if kind.name == "https" {
				return // it has no right to list
			}
			t.Run("without the right to list", func(t *testing.T) {
				c, o, _ := setup(t)
				c.NoListRight = true
				_, err := newest(t, o, dump.Pick{})
				sentence(t, err, "must be allowed to list")
			})
		})
	}
}

// passing checks what an error says, and that another attempt may help.
func passing(t *testing.T, err error, oneOf ...string) {
	t.Helper()
	said := false
	for _, want := range oneOf {
		said = said || err != nil && strings.Contains(err.Error(), want)
	}
	if !said || errors.Is(err, dump.ErrUnusable) {
		t.Errorf("error %v says none of %q, or that no attempt will help", err, oneOf)
	}
	discreet(t, err)
}

func TestNewestFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string, age time.Duration) {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, time.Time{}, night.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	write("a[1].dump", "PGDMP", time.Hour)
	write("b[1].dump", "", 0)
	write("c.dump", "PGDMP", 0)
	if err := os.Mkdir(filepath.Join(dir, "d[1].dump"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, raw := range []string{filepath.Join(dir, "*[1].dump"), "file://" + filepath.Join(dir, "*[1].dump")} {
		picked, err := dump.Newest(t.Context(), raw, dump.Options{}, dump.Pick{Now: at(night)})
		if err != nil || picked.URL != filepath.Join(dir, "a[1].dump") || len(picked.Skipped) != 1 || !strings.Contains(picked.Skipped[0], "is empty") {
			t.Errorf("%s: picked %+v (%v)", raw, picked, err)
		}
	}
	for raw, says := range map[string]string{
		filepath.Join(dir, "*", "x.dump"):     "only the last part",
		"s3://dumps*/x.dump?region=x":         "",
		"https://example.com/*/x.dump":        "only the last part",
		"http://example.com/*.dump":           "unencrypted",
		"gs:///*.dump":                        "needs a bucket",
		filepath.Join(dir, "nowhere/*.dump"):  "no such",
		"ftp://example.com/*.dump":            "not known",
		"https://example.com/shop/*/":         "names files",
		filepath.Join(dir, "*.dump") + "\x00": "",
	} {
		if !dump.IsPattern(raw) {
			continue
		}
		if _, err := dump.Newest(t.Context(), raw, dump.Options{}, dump.Pick{}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error %v does not say %q", raw, err, says)
		}
	}
	for raw, is := range map[string]bool{
		"a/*.dump": true, "a/b.dump": false, "s3://b/k*.dump?region=x": true, "s3://b/k%2A.dump": false, "s3://b/k.dump?endpoint=*": false, "https://h/*": true,
	} {
		if dump.IsPattern(raw) != is {
			t.Errorf("%s is a pattern: %t", raw, !is)
		}
	}
}
