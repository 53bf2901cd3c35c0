package cluster

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// published is a server on loopback with the released files of an upstream that
// has a program in an archive and one that is a file of its own.
func published(t *testing.T) (u upstream, server *httptest.Server) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/v1.2.3/tool-1.2.3.tar.gz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(archive(t, "./tool-v1.2.3/tool", "the tool"))
	})
	mux.HandleFunc("/v1.2.3/helper", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("the helper")) })
	mux.HandleFunc("/v1.2.3/cut", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("half"))
	})
	server = httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return upstream{name: "tool", releases: []release{
		{server.URL + "/{version}/tool-{number}.tar.gz", map[string]string{"tool": "tool-{version}/tool"}},
		{server.URL + "/{version}/helper", map[string]string{"helper": ""}},
	}}, server
}

// archive is a tar.gz file with a program, and another file before it.
func archive(t *testing.T, member, content string) []byte {
	t.Helper()
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	files := tar.NewWriter(zipped)
	for _, f := range [][2]string{{"README", "read me"}, {member, content}} {
		err := files.WriteHeader(&tar.Header{Name: f[0], Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(f[1]))})
		if err == nil {
			_, err = files.Write([]byte(f[1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(files.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// pinsOf downloads the files once, as make pin-upstream does.
func pinsOf(t *testing.T, u upstream) []pin {
	t.Helper()
	var pins []pin
	for _, r := range u.releases {
		url := expand(r.url, "v1.2.3")
		sum, err := fetch(t.Context(), http.DefaultClient, url, filepath.Join(t.TempDir(), "file"))
		if err != nil {
			t.Fatal(err)
		}
		pins = append(pins, pin{Upstream: u.name, Version: "v1.2.3", URL: url, SHA256: sum})
	}
	return pins
}

func TestReleasedProgramsAreUsed(t *testing.T) {
	t.Parallel()
	u, _ := published(t)
	dir := t.TempDir()
	if err := u.download(t.Context(), http.DefaultClient, dir, "v1.2.3", pinsOf(t, u)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"tool": "the tool", "helper": "the helper"} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(got) != want {
			t.Errorf("%s is %q (%v), want %q", name, got, err, want)
		}
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode().Perm()&0o100 == 0 {
			t.Errorf("%s cannot be run", name)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("beside the programs something is left: %v (%v)", left, err)
	}
}

func TestReleasedProgramsThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	u, server := published(t)
	whole := pinsOf(t, u)
	for name, c := range map[string]struct {
		change   func(u *upstream, pins []pin)
		says     string
		checksum bool
	}{
		"another file than was pinned": {func(_ *upstream, pins []pin) { pins[1].SHA256 = strings.Repeat("0", 64) }, "UPSTREAM=source", true},
		"not there":                    {func(_ *upstream, pins []pin) { pins[0].URL = server.URL + "/v9/gone" }, "404", false},
		"a cut body":                   {func(_ *upstream, pins []pin) { pins[1].URL = server.URL + "/v1.2.3/cut" }, "unexpected EOF", false},
		"no network":                   {func(_ *upstream, pins []pin) { pins[0].URL = "http://127.0.0.1:1/tool" }, "127.0.0.1:1", false},
		"another layout":               {func(u *upstream, _ []pin) { u.releases[0].members["tool"] = "bin/tool" }, "does not hold bin/tool", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mine, pins := u, append([]pin(nil), whole...)
			mine.releases = []release{{u.releases[0].url, map[string]string{"tool": u.releases[0].members["tool"]}}, u.releases[1]}
			c.change(&mine, pins)
			err := mine.download(t.Context(), http.DefaultClient, t.TempDir(), "v1.2.3", pins)
			if err == nil || !strings.Contains(err.Error(), c.says) || errors.Is(err, errChecksum) != c.checksum {
				t.Errorf("error %v, want one that says %q", err, c.says)
			}
		})
	}
}

func TestPinsAreWhatWasDownloaded(t *testing.T) {
	t.Setenv("UPSTREAM", "")
	u, server := published(t)
	u.binaries = []binary{{"tool", "example.com/tool/cmd/tool"}}
	repo := t.TempDir()
	source := u.source(repo)
	if err := os.MkdirAll(source, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(source, "go.mod"), []byte("module pinned\n\ngo 1.24\n\nrequire example.com/tool v1.2.3\n\nreplace example.com/tool v1.2.3 => ./tool\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(source, "tool"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(source, "tool", "go.mod"), []byte("module example.com/tool\n\ngo 1.24\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	if pins, err := u.pinned(t.Context(), repo); err != nil || pins != nil {
		t.Fatalf("pins %v (%v) where nothing is pinned", pins, err)
	}
	gone := upstream{name: "gone", binaries: u.binaries, releases: []release{{server.URL + "/gone", map[string]string{"gone": ""}}}}
	if err := os.CopyFS(gone.source(repo), os.DirFS(source)); err != nil {
		t.Fatal(err)
	}
	err := pinAll(t.Context(), repo, []upstream{u, gone, {name: "imagesonly"}}, http.DefaultClient, quiet)
	if err == nil || !strings.Contains(err.Error(), "pin gone: ") || !strings.Contains(err.Error(), "404") {
		t.Errorf("error %v, want one that names what cannot be pinned", err)
	}
	pins, err := u.pinned(t.Context(), repo)
	if err != nil || len(pins) != 2 {
		t.Fatalf("pins %v (%v), want one of each file", pins, err)
	}
	if err := u.download(t.Context(), http.DefaultClient, t.TempDir(), pins[0].Version, pins); err != nil {
		t.Error(err)
	}
	if pins, err := gone.pinned(t.Context(), repo); err != nil || pins != nil {
		t.Errorf("pins %v (%v) of what could not be downloaded", pins, err)
	}
	u.releases[1].url = server.URL + "/{version}/renamed"
	if pins, err := u.pinned(t.Context(), repo); err != nil || pins != nil {
		t.Errorf("pins %v (%v), though one of two is missing", pins, err)
	}
	u.releases[1].url = server.URL + "/{version}/helper"
	t.Setenv("UPSTREAM", "source")
	if pins, err := u.pinned(t.Context(), repo); err != nil || pins != nil {
		t.Errorf("pins %v (%v), though all is to be built from source", pins, err)
	}
}
