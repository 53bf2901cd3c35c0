package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// registry is the prefix of every image of ours. No image is ever pushed or
// pulled under it here.
const registry = "ghcr.io/seedling-dev/"

// imageUpstreams names the upstreams whose programs an image of the test
// cluster carries; argoCD is the wanted version.
func imageUpstreams(image, argoCD string) []string {
	switch image {
	case "velero":
		return []string{"velero", "velero-plugin-for-aws"}
	case "argocd":
		return []string{argoCDs[argoCD], "kustomize", "helm"}
	}
	return nil
}

// imageBase is the image of ours that an image is built on, "" for those on Debian.
func imageBase(image string) string {
	if image == "seed-postgres-extensions" {
		return "seed-postgres"
	}
	return ""
}

// ingredient is one file of a build context.
type ingredient struct {
	path   string // in the context
	source string // on the host; made by then
	digest string
}

// BuildImage builds images/<name> and returns its reference, whose tag is a
// hash of what went in; it is built only if the Docker engine does not hold it.
//
// The context holds the files of images/<name> and, by convention, a static
// binary of the same name built from hooks/cmd/<name>, plugin (for the image
// plugin) or e2e/cluster/<name>, where there is one.
func BuildImage(ctx context.Context, name string) (ref string, err error) {
	o, err := Options{}.withDefaults()
	if err != nil {
		return "", err
	}
	return imageFrom(ctx, name, imageUpstreams(name, o.ArgoCD), o.Log)
}

// BuildImageOn is [BuildImage] on another base image: debian:bookworm-slim and
// debian:forky-slim are made where they are missing, others have to be there.
// What the kustomize bases name stays as it is.
func BuildImageOn(ctx context.Context, name, base string) (ref string, err error) {
	o, err := Options{}.withDefaults()
	if err != nil {
		return "", err
	}
	repo, err := Root()
	if err != nil {
		return "", err
	}
	ref, parts, err := imageRef(ctx, repo, name, imageUpstreams(name, o.ArgoCD), o.Log)
	if err != nil {
		return "", err
	}
	ref += "-" + strings.NewReplacer("/", "-", ":", "-").Replace(base)
	return ref, buildOn(ctx, name, base, parts, o.Log, ref)
}

// imageRef returns the reference of images/<name> as it is now, and what goes
// into it. It builds programs, but not the image.
func imageRef(ctx context.Context, repo, name string, from []string, log *slog.Logger) (ref string, parts []ingredient, err error) {
	parts, err = ingredients(ctx, repo, name, from, log)
	if err != nil {
		return "", nil, fmt.Errorf("build image %s: %w", name, err)
	}
	return registry + name + ":" + contentTag(parts), parts, nil
}

func imageFrom(ctx context.Context, name string, from []string, log *slog.Logger) (string, error) {
	repo, err := Root()
	if err != nil {
		return "", err
	}
	ref, parts, err := imageRef(ctx, repo, name, from, log)
	if err != nil {
		return "", err
	}
	base := BaseImage
	if below := imageBase(name); below != "" {
		if base, err = imageFrom(ctx, below, imageUpstreams(below, ""), log); err != nil {
			return "", err
		}
		_, tag, _ := strings.Cut(base, ":")
		ref += "-" + tag
	}
	dev := registry + name + ":dev" // what the kustomize bases name
	if imageExists(ctx, ref) {
		_, err := docker(ctx, "tag", ref, dev)
		return ref, err
	}
	return ref, buildOn(ctx, name, base, parts, log, ref, dev)
}

// buildOn builds an image from its parts, unless the first of its references is
// there.
func buildOn(ctx context.Context, name, base string, parts []ingredient, log *slog.Logger, refs ...string) error {
	dir, err := CacheDir("images")
	if err != nil {
		return err
	}
	unlock, err := lock(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	defer unlock()
	if imageExists(ctx, refs[0]) {
		return nil
	}
	if err := ensureDebian(ctx, base, log); err != nil {
		return err
	}
	log.Info("building image", "image", refs[0])
	staged, err := stage(parts)
	if err != nil {
		return fmt.Errorf("build image %s: %w", name, err)
	}
	defer os.RemoveAll(staged)
	// The host's network lets apt reach what the host reaches.
	args := []string{"build", "--network", "host"}
	if base != BaseImage {
		args = append(args, "--build-arg", "BASE="+base)
	}
	for _, ref := range refs {
		args = append(args, "--tag", ref)
	}
	if _, err := docker(ctx, append(args, staged)...); err != nil {
		return fmt.Errorf("build image %s: %w", name, err)
	}
	return nil
}

// ingredients lists the image's build context, and builds the programs in it.
func ingredients(ctx context.Context, repo, name string, from []string, log *slog.Logger) ([]ingredient, error) {
	dir := filepath.Join(repo, "images", name)
	if _, err := os.Stat(filepath.Join(dir, "Dockerfile")); err != nil {
		return nil, fmt.Errorf("no such image: %w", err)
	}
	var parts []ingredient
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		digest, err := fileDigest(path)
		parts = append(parts, ingredient{path: rel, source: path, digest: digest})
		return err
	})
	if err != nil {
		return nil, err
	}
	command, err := ownCommand(ctx, repo, name)
	if err != nil {
		return nil, err
	}
	if command != "" {
		digest, err := fileDigest(command)
		if err != nil {
			return nil, err
		}
		parts = append(parts, ingredient{path: name, source: command, digest: digest})
	}
	for _, program := range from {
		u, err := upstreamNamed(program)
		if err != nil {
			return nil, err
		}
		built, err := u.build(ctx, repo, nil, log)
		if err != nil {
			return nil, err
		}
		for _, b := range u.binaries {
			parts = append(parts, ingredient{path: b.name, source: filepath.Join(built, b.name), digest: filepath.Base(built)})
		}
		for _, script := range u.scripts() {
			parts = append(parts, ingredient{path: script, source: filepath.Join(built, script), digest: filepath.Base(built)})
		}
	}
	return parts, nil
}

// ownCommand builds the program of that name from this repository, if there is
// one, and returns where it lies.
func ownCommand(ctx context.Context, repo, name string) (string, error) {
	places := []struct{ module, pkg string }{
		{"hooks", "./cmd/" + name},
		{"e2e", "./cluster/" + name},
	}
	switch name {
	case "plugin":
		places = []struct{ module, pkg string }{{"plugin", "."}}
	case "node": // its programs are mounted
		return "", nil
	}
	for _, p := range places {
		if mains, _ := filepath.Glob(filepath.Join(repo, p.module, p.pkg, "*.go")); len(mains) > 0 {
			return buildOwn(ctx, repo, p.module, p.pkg, name)
		}
	}
	return "", nil
}

// buildOwn builds a static program of this repository. Go's own cache decides
// what there is to do; the output stays in one place, so that an unchanged
// program is not linked again.
func buildOwn(ctx context.Context, repo, module, pkg, name string) (string, error) {
	dir, err := CacheDir("own", module)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	unlock, err := lock(path)
	if err != nil {
		return "", err
	}
	defer unlock()
	env := append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	if _, err := goCommand(ctx, filepath.Join(repo, module), env, "build", "-trimpath", "-ldflags", "-s -w", "-o", path, pkg); err != nil {
		return "", fmt.Errorf("build %s: %w", name, err)
	}
	return path, nil
}

// contentTag is a hash over the paths and digests of a build context.
func contentTag(parts []ingredient) string {
	parts = slices.SortedFunc(slices.Values(parts), func(a, b ingredient) int { return strings.Compare(a.path, b.path) })
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%s %s\n", p.path, p.digest)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// stage gathers the files of a build context in one folder.
func stage(parts []ingredient) (string, error) {
	dir, err := os.MkdirTemp("", "seedling-image-")
	if err != nil {
		return "", err
	}
	for _, p := range parts {
		if err := copyFile(p.source, filepath.Join(dir, p.path)); err != nil {
			return "", errors.Join(err, os.RemoveAll(dir))
		}
	}
	return dir, nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// fileDigest is a hash of the file's content and of whether it is executable.
func fileDigest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintf(h, "%v\n", info.Mode()&0o100 != 0)
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
