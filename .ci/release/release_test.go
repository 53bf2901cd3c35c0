package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	server "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// archive writes images of a small file in place of a program.
func archive(t *testing.T, r *release, image, named string, architectures ...string) v1.Hash {
	t.Helper()
	index := newIndex()
	for _, arch := range architectures {
		made, err := r.image(image, arch, []file{{"usr/local/bin/" + image, 0o755, []byte(arch)}})
		if err != nil {
			t.Fatal(err)
		}
		index = add(index, made, image, arch)
	}
	path := filepath.Join(r.dist, "images", named)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := writeArchive(index, path); err != nil {
		t.Fatal(err)
	}
	digest, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func releaseIn(t *testing.T) *release {
	t.Helper()
	return &release{dist: t.TempDir(), version: "v1.2.3", commit: strings.Repeat("ab", 20), date: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
}

// TestEqual: equal input makes equal archives.
func TestEqual(t *testing.T) {
	t.Parallel()
	a, b := releaseIn(t), releaseIn(t)
	if one, two := archive(t, a, "plugin", "plugin.tar", "amd64", "arm64"), archive(t, b, "plugin", "plugin.tar", "amd64", "arm64"); one != two {
		t.Errorf("digests %s and %s", one, two)
	}
	for _, r := range []*release{a, b} {
		if err := r.checksums(); err != nil {
			t.Fatal(err)
		}
	}
	one, _ := os.ReadFile(filepath.Join(a.dist, "SHA256SUMS"))
	two, _ := os.ReadFile(filepath.Join(b.dist, "SHA256SUMS"))
	if len(one) == 0 || string(one) != string(two) {
		t.Errorf("checksums\n%s\nand\n%s", one, two)
	}
}

// TestReproducible: two builds of a program, in two folders, are one image.
func TestReproducible(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles a program twice")
	}
	t.Parallel()
	at := releaseIn(t)
	if err := at.locate(t.Context(), at.dist); err != nil {
		t.Fatal(err)
	}
	var digests []string
	for _, folder := range []string{"a", "b/with another name"} {
		r := releaseIn(t)
		r.architectures = []string{runtime.GOARCH}
		r.root = filepath.Join(t.TempDir(), folder)
		if err := os.MkdirAll(filepath.Join(r.dist, "images"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(r.dist, "sbom"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(filepath.Join(r.root, "hooks"), sources{os.DirFS(filepath.Join(at.root, "hooks"))}); err != nil {
			t.Fatal(err)
		}
		digest, err := r.program(t.Context(), "preview-restore", programs["preview-restore"])
		if err != nil {
			t.Fatal(err)
		}
		archive, err := os.ReadFile(filepath.Join(r.dist, "images", "preview-restore.tar"))
		if err != nil {
			t.Fatal(err)
		}
		sbom, err := os.ReadFile(filepath.Join(r.dist, "sbom", "preview-restore-"+runtime.GOARCH+".cdx.json"))
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, fmt.Sprintf("%s, archive %x, SBOM %x", digest, sha256.Sum256(archive), sha256.Sum256(sbom)))
	}
	if digests[0] != digests[1] {
		t.Errorf("one build is %s, the other %s", digests[0], digests[1])
	}
}

// sources are the files of a module that Go compiles.
type sources struct{ fs.FS }

func (s sources) ReadDir(name string) ([]fs.DirEntry, error) {
	all, err := fs.ReadDir(s.FS, name)
	return slices.DeleteFunc(all, func(e fs.DirEntry) bool { return e.IsDir() && e.Name() == "testdata" }), err
}

// TestLicenses: whatever a program is linked with has a licence that lets us pass it
// on, and its text is passed on.
func TestLicenses(t *testing.T) {
	t.Parallel()
	r := releaseIn(t)
	if err := r.locate(t.Context(), r.dist); err != nil {
		t.Fatal(err)
	}
	all := licenses{}
	for name, folder := range programs {
		modules, err := r.linked(t.Context(), folder)
		if err != nil {
			t.Fatal(err)
		}
		if len(modules) < 3 {
			t.Errorf("%s is linked with %d modules", name, len(modules))
		}
		if err := all.add(modules); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	path := filepath.Join(t.TempDir(), "LICENSES.txt")
	if err := all.write(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, l := range all {
		for file, content := range l.Texts {
			if !strings.Contains(string(text), name+" "+file) || !strings.Contains(string(text), strings.TrimRight(string(content), "\n")) {
				t.Errorf("%s of %s is not passed on", file, name)
			}
		}
	}
}

// A module without a licence, or under one that asks for ours, ends a release.
func TestLicenseRefused(t *testing.T) {
	t.Parallel()
	root, err := output(t.Context(), ".", nil, "git", "rev-parse", "--show-toplevel")
	if err != nil {
		t.Fatal(err)
	}
	ours, err := os.ReadFile(filepath.Join(strings.TrimSpace(root), "LICENSE"))
	if err != nil {
		t.Fatal(err)
	}
	const gpl = "This program is free software: you can redistribute it and/or modify it under the terms of the GNU General Public License as published by " +
		"the Free Software Foundation, either version 3 of the License, or (at your option) any later version.\n\n" +
		"This program is distributed in the hope that it will be useful, but WITHOUT ANY WARRANTY; without even the implied warranty of MERCHANTABILITY or " +
		"FITNESS FOR A PARTICULAR PURPOSE.  See the GNU General Public License for more details.\n\n" +
		"You should have received a copy of the GNU General Public License along with this program.  If not, see <https://www.gnu.org/licenses/>.\n"
	for _, c := range []struct {
		name  string
		files map[string]string
		says  string // "" where it passes
	}{
		{"ours", map[string]string{"LICENSE": string(ours)}, ""},
		{"none", map[string]string{"README.md": "MIT"}, "no licence that is known"},
		{"words", map[string]string{"LICENSE": "do what you like"}, "no licence that is known"},
		{"a program", map[string]string{"license.go": string(ours)}, "no licence that is known"},
		{"GPL", map[string]string{"COPYING": gpl}, "GPL"},
		{"GPL in part", map[string]string{"LICENSE": string(ours), "LICENSE.part": gpl}, "GPL"},
	} {
		m := module{Path: "example.com/x", Version: "v1.0.0", Dir: t.TempDir()}
		for name, content := range c.files {
			if err := os.WriteFile(filepath.Join(m.Dir, name), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		l, err := license(m)
		if c.says == "" && (err != nil || len(l.IDs) != 1 || l.IDs[0] != "Apache-2.0") || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v, error %v", c.name, l.IDs, err)
		}
	}
}

// The workflow signs, and says where they come from, the images that there are.
func TestWorkflow(t *testing.T) {
	t.Parallel()
	root, err := output(t.Context(), ".", nil, "git", "rev-parse", "--show-toplevel")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(root), ".github/workflows/release.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	images := append(slices.Sorted(maps.Keys(programs)), "seed-postgres")
	if want := "image: [" + strings.Join(images, ", ") + "]"; !strings.Contains(string(text), want) {
		t.Errorf("release.yaml has no matrix %s", want)
	}
}

// TestLayer: a layer is a whole archive, with the two empty blocks that end one.
func TestLayer(t *testing.T) {
	t.Parallel()
	content, err := releaseIn(t).layer([]file{{"usr/local/bin/plugin", 0o755, []byte("program")}})
	if err != nil {
		t.Fatal(err)
	}
	if end := make([]byte, 1024); len(content)%512 != 0 || !bytes.HasSuffix(content, end) {
		t.Errorf("%d bytes without an end", len(content))
	}
	var names []string
	for r := tar.NewReader(bytes.NewReader(content)); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
	}
	if got := strings.Join(names, " "); got != "usr/ usr/local/ usr/local/bin/ usr/local/bin/plugin" {
		t.Errorf("it holds %s", got)
	}
}

// TestPush: what was made is in the registry, an image of several archives
// under one index.
func TestPush(t *testing.T) {
	t.Parallel()
	host := httptest.NewServer(server.New(server.Logger(log.New(t.Output(), "", 0))))
	t.Cleanup(host.Close)
	to := strings.TrimPrefix(host.URL, "http://") + "/seedling"
	r := releaseIn(t)
	plugin := archive(t, r, "plugin", "plugin.tar", "amd64", "arm64")
	archive(t, r, "seed-postgres", "seed-postgres-amd64.tar", "amd64")
	archive(t, r, "seed-postgres", "seed-postgres-arm64.tar", "arm64")
	if err := r.push(t.Context(), to); err != nil {
		t.Fatal(err)
	}
	for _, image := range []string{"plugin", "seed-postgres"} {
		ref, err := name.ParseReference(to + "/" + image + ":v1.2.3")
		if err != nil {
			t.Fatal(err)
		}
		index, err := remote.Index(ref)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Index(index); err != nil {
			t.Errorf("%s: %v", ref, err)
		}
		digest, err := index.Digest()
		if err != nil {
			t.Fatal(err)
		}
		manifest, err := index.IndexManifest()
		if err != nil || len(manifest.Manifests) != 2 {
			t.Fatalf("%s has %d images, error %v; want 2", image, len(manifest.Manifests), err)
		}
		if image == "plugin" && digest != plugin {
			t.Errorf("plugin is %s in the registry, %s on disk: install.yaml names the latter", digest, plugin)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"make"}, {"make", "-version", "1.0.0"}, {"make", "-version", "latest"}, {"fly", "-version", "v1.0.0"}} {
		if err := run(t.Context(), args); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}
