package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// push writes the images of all archives to a registry, an index per image
// over its architectures, tagged with the version that they carry. It logs in
// as docker does.
func (r *release) push(ctx context.Context, to string) error {
	archives, err := filepath.Glob(filepath.Join(r.dist, "images", "*.tar"))
	if err != nil {
		return err
	}
	if len(archives) == 0 {
		return fmt.Errorf("push: there are no images in %s: make the release first", r.dist)
	}
	work, err := os.MkdirTemp("", "release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	indexes, tags := map[string]v1.ImageIndex{}, map[string]string{}
	for _, archive := range archives {
		dir := filepath.Join(work, filepath.Base(archive))
		if err := unpack(archive, dir); err != nil {
			return fmt.Errorf("read %s: %w", archive, err)
		}
		if err := gather(dir, indexes, tags); err != nil {
			return fmt.Errorf("read %s: %w", archive, err)
		}
	}
	for _, image := range slices.Sorted(maps.Keys(indexes)) {
		ref, err := name.ParseReference(to + "/" + image + ":" + tags[image])
		if err != nil {
			return err
		}
		if err := remote.WriteIndex(ref, indexes[image], remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
			return fmt.Errorf("push %s: %w", ref, err)
		}
		digest, err := indexes[image].Digest()
		if err != nil {
			return err
		}
		fmt.Printf("%s@%s\n", ref, digest)
	}
	return nil
}

// gather adds the images of one layout to the indexes, by name.
func gather(dir string, indexes map[string]v1.ImageIndex, tags map[string]string) error {
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return err
	}
	for _, d := range manifest.Manifests {
		image, err := index.Image(d.Digest)
		if err != nil {
			return err
		}
		config, err := image.ConfigFile()
		if err != nil {
			return err
		}
		is, tag := d.Annotations[nameAnnotation], config.Config.Labels["org.opencontainers.image.version"]
		if is == "" || tag == "" {
			return errors.New("an image does not say its name and version")
		}
		if have, ok := tags[is]; ok && have != tag {
			return fmt.Errorf("image %s is of %s and of %s: make one release into an empty folder", is, have, tag)
		}
		tags[is] = tag
		if indexes[is] == nil {
			indexes[is] = newIndex()
		}
		indexes[is] = add(indexes[is], image, is, config.Architecture)
	}
	return nil
}

// unpack writes the files of an archive of ours.
func unpack(archive, dir string) error {
	in, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer in.Close()
	for r := tar.NewReader(in); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !filepath.IsLocal(header.Name) {
			return fmt.Errorf("it names a file outside of itself: %s", header.Name)
		}
		path := filepath.Join(dir, header.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		out, err := os.Create(path)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, r)
		if err = errors.Join(err, out.Close()); err != nil {
			return err
		}
	}
}
