package dump_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seedling-dev/seedling/hooks/dump"
)

// TestVersions reads what each PostgreSQL from 13 to 18 dumped, in each format
// and also written to a pipe (testdata/versions/make), and what 17 dumped of a
// 16: without any client, the same database gives the same rows, and the headers
// tell who made them.
func TestVersions(t *testing.T) {
	t.Parallel()
	var want map[string]string
	for _, version := range []struct{ folder, server, client, archive string }{
		{"13", "13", "13", "1.14"},
		{"14", "14", "14", "1.14"},
		{"15", "15", "15", "1.14"},
		{"16", "16", "16", "1.15"},
		{"17", "17", "17", "1.16"},
		{"18", "18", "18", "1.16"},
		{"16by17", "16", "17", "1.16"},
	} {
		for _, name := range []string{"custom.dump", "pipe.dump", "directory", "plain.sql"} {
			name := filepath.Join("testdata/versions", version.folder, name)
			d, err := dump.Open(t.Context(), name, dump.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { d.Close() })
			archive := version.archive
			if d.Format == dump.Plain {
				archive = "plain"
			}
			if !strings.HasPrefix(d.Server, version.server+".") || !strings.HasPrefix(d.Client, version.client+".") || d.Version != archive {
				t.Errorf("%s: archive %s of server %s by client %s", name, d.Version, d.Server, d.Client)
			}
			got, err := contents(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			if want == nil {
				want = got
				if len(want) != 8 || !strings.Contains(want["public.users"], "user50@corp.example") || want["large object 7001"] != "the first large object" {
					t.Errorf("%s holds %v", name, want)
				}
			}
			expect := want
			if d.Format == dump.Plain {
				expect = map[string]string{}
				for k, v := range want {
					if !strings.HasPrefix(k, "large object") {
						expect[k] = v
					}
				}
			}
			if diff := cmp.Diff(expect, got); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
	}
}

// TestNewerArchive: an archive version that is not known names both sides.
func TestNewerArchive(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/versions/18/custom.dump")
	if err != nil {
		t.Fatal(err)
	}
	b[6] = 17
	file := filepath.Join(t.TempDir(), "newer.dump")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = dump.Open(t.Context(), file, dump.Options{})
	want := "the archive has format version 1.17-0, this program reads 1.12 to 1.16 (pg_dump 9.0 to 18): dump with pg_dump 18 or older, or use a newer seed-import"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v does not say %q", err, want)
	}
}
