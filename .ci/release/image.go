package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// frame is the package whose variables say which build a program is.
const frame = "github.com/seedling-dev/seedling/hooks/command"

// nameAnnotation says, in an archive's index, which image a manifest is of.
const nameAnnotation = "org.opencontainers.image.ref.name"

// program makes the archive and the SBOMs of an image with one static program,
// for all architectures, and returns the digest of its index.
func (r *release) program(ctx context.Context, name, folder string) (digest string, err error) {
	work, err := os.MkdirTemp("", "release-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	roots, err := certificates()
	if err != nil {
		return "", err
	}
	index := newIndex()
	for _, arch := range r.architectures {
		binary := filepath.Join(work, arch)
		env := []string{"GOWORK=off", "CGO_ENABLED=0", "GOFLAGS=", "GOOS=linux", "GOARCH=" + arch}
		if arch == "amd64" {
			env = append(env, "GOAMD64=v1")
		}
		flags := fmt.Sprintf("-s -w -X %[1]s.version=%[2]s -X %[1]s.commit=%[3]s -X %[1]s.date=%[4]s", frame, r.version, r.commit, r.date.Format(time.RFC3339))
		if _, err := output(ctx, filepath.Join(r.root, folder), env, "go", "build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", binary, "."); err != nil {
			return "", err
		}
		content, err := os.ReadFile(binary)
		if err != nil {
			return "", err
		}
		image, err := r.image(name, arch, []file{{"etc/ssl/certs/ca-certificates.crt", 0o644, roots}}, []file{{"usr/local/bin/" + name, 0o755, content}})
		if err != nil {
			return "", err
		}
		index = add(index, image, name, arch)
		if err := figure(image, name, arch); err != nil {
			return "", err
		}
		if err := r.programSBOM(name, arch, binary); err != nil {
			return "", err
		}
	}
	if err := writeArchive(index, filepath.Join(r.dist, "images", name+".tar")); err != nil {
		return "", err
	}
	hash, err := index.Digest()
	fmt.Printf("%s/%s:%s@%s\n", registry, name, r.version, hash)
	return hash.String(), err
}

// file is one file of a layer.
type file struct {
	path    string
	mode    int64
	content []byte
}

// image is an image of a layer per list of files.
func (r *release) image(name, arch string, layers ...[]file) (v1.Image, error) {
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, files := range layers {
		content, err := r.layer(files)
		if err != nil {
			return nil, err
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }, tarball.WithMediaType(types.OCILayer))
		if err != nil {
			return nil, err
		}
		if image, err = mutate.AppendLayers(image, layer); err != nil {
			return nil, err
		}
	}
	return mutate.ConfigFile(image, &v1.ConfigFile{
		OS: "linux", Architecture: arch, Created: v1.Time{Time: r.date}, RootFS: rootFS(image),
		Config: v1.Config{User: "65532:65532", Entrypoint: []string{"/usr/local/bin/" + name}, Labels: r.labels(name)},
	})
}

// figure prints how much of an image a node downloads.
func figure(image v1.Image, name, arch string) error {
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	var bytes int64
	for _, l := range layers {
		size, err := l.Size()
		if err != nil {
			return err
		}
		bytes += size
	}
	fmt.Printf("FIGURE image_%s_%s %.1f MB\n", strings.ReplaceAll(name, "-", "_"), arch, float64(bytes)/1e6)
	return nil
}

func rootFS(image v1.Image) v1.RootFS {
	config, err := image.ConfigFile()
	if err != nil {
		return v1.RootFS{}
	}
	return config.RootFS
}

// layer is the tar of files and the folders above them, owned by root.
func (r *release) layer(files []file) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	made := map[string]bool{}
	for _, f := range files {
		var above []string
		for dir := filepath.Dir(f.path); dir != "." && !made[dir]; dir = filepath.Dir(dir) {
			above, made[dir] = append([]string{dir}, above...), true
		}
		for _, dir := range above {
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755, ModTime: r.date}); err != nil {
				return nil, err
			}
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.path, Mode: f.mode, Size: int64(len(f.content)), ModTime: r.date}); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil { // it writes the archive's end
		return nil, err
	}
	return b.Bytes(), nil
}

// labels are what an image says of itself.
func (r *release) labels(name string) map[string]string {
	return map[string]string{
		"org.opencontainers.image.title":    name,
		"org.opencontainers.image.version":  r.version,
		"org.opencontainers.image.revision": r.commit,
		"org.opencontainers.image.created":  r.date.Format(time.RFC3339),
		"org.opencontainers.image.source":   "https://github.com/seedling-dev/seedling",
		"org.opencontainers.image.licenses": "Apache-2.0",
	}
}

// certificates are the roots that Mozilla trusts, as the file that Go looks for.
func certificates() ([]byte, error) {
	var b bytes.Buffer
	for root := range bundle.Roots() {
		if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}

// newIndex is an empty one.
func newIndex() v1.ImageIndex { return mutate.IndexMediaType(empty.Index, types.OCIImageIndex) }

// add puts an image into an index, with its platform and name.
func add(index v1.ImageIndex, image v1.Image, name, arch string) v1.ImageIndex {
	return mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{
		Platform:    &v1.Platform{OS: "linux", Architecture: arch},
		Annotations: map[string]string{nameAnnotation: name},
	}})
}

// postgres makes the archive of seed-postgres for this machine's architecture:
// Debian's packages want a machine of their own kind.
func (r *release) postgres(ctx context.Context) error {
	const name = "seed-postgres"
	archive := filepath.Join(r.dist, "images", name+"-"+runtime.GOARCH+".tar")
	for _, dir := range []string{"images", "sbom"} {
		if err := os.MkdirAll(filepath.Join(r.dist, dir), 0o755); err != nil {
			return err
		}
	}
	// In the workspace, which this program runs outside of.
	ref, err := output(ctx, r.root, []string{"GOWORK="}, "go", "run", "./e2e/cmd/cluster", "image", name)
	if err != nil {
		return err
	}
	ref = string(bytes.TrimSpace([]byte(ref)))
	saved := archive + ".docker"
	defer os.Remove(saved)
	if _, err := output(ctx, r.root, nil, "docker", "save", "--output", saved, ref); err != nil {
		return err
	}
	image, err := tarball.ImageFromPath(saved, nil)
	if err != nil {
		return fmt.Errorf("read image %s: %w", ref, err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return err
	}
	config = config.DeepCopy()
	config.Config.Labels = r.labels(name)
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return err
	}
	index := newIndex()
	index = add(index, image, name, runtime.GOARCH)
	if err := figure(image, name, runtime.GOARCH); err != nil {
		return err
	}
	if err := writeArchive(index, archive); err != nil {
		return err
	}
	hash, err := image.Digest()
	if err != nil {
		return err
	}
	fmt.Printf("%s/%s:%s@%s (%s)\n", registry, name, r.version, hash, runtime.GOARCH)
	return r.postgresSBOM(ctx, ref)
}

// writeArchive writes an OCI layout as one tar, the same for the same index.
func writeArchive(index v1.ImageIndex, path string) error {
	dir, err := os.MkdirTemp("", "release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if _, err := layout.Write(dir, index); err != nil {
		return err
	}
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	w := tar.NewWriter(out)
	// WalkDir goes in the order of names.
	err = filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: filepath.ToSlash(rel), Mode: 0o644, Size: info.Size(), ModTime: time.Unix(0, 0)}); err != nil {
			return err
		}
		in, err := os.Open(name)
		if err != nil {
			return err
		}
		defer in.Close()
		_, err = io.Copy(w, in)
		return err
	})
	if err == nil {
		err = w.Close()
	}
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	return err
}
