package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
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
