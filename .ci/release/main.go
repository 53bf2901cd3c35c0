// Command release makes a release, or pushes one that was made:
//
//	release make -version v1.0.0    everything into dist/, without a registry
//	release postgres -version ...   seed-postgres for this machine's architecture only
//	release checksums               SHA256SUMS again, after files were added
//	release push                    the images in dist/ to their registry
//
// What it makes depends on the commit and the version alone: equal input gives
// equal digests.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// registry is where the manifests expect the images.
const registry = "ghcr.io/seedling-dev"

// programs are the images that hold one static program each, by the folder it
// is built from.
var programs = map[string]string{
	"seed-import":     "hooks/cmd/seed-import",
	"seed-backup":     "hooks/cmd/seed-backup",
	"preview-restore": "hooks/cmd/preview-restore",
	"plugin":          "plugin",
}

var architectures = []string{"amd64", "arm64"}

// release is what one release is made of.
type release struct {
	root, dist      string
	version, commit string
	date            time.Time // the commit's
	licenses        licenses
	architectures   []string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

var semantic = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$`)

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("say what to do: make, postgres, checksums or push")
	}
	flags := flag.NewFlagSet("release "+args[0], flag.ContinueOnError)
	version := flags.String("version", "", "the release's `version`, as in v1.0.0")
	dist := flags.String("dist", "dist", "the `folder` for what is made, relative to the repository")
	to := flags.String("registry", registry, "the `registry` that push writes to")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	r := &release{version: *version, architectures: architectures}
	if err := r.locate(ctx, *dist); err != nil {
		return err
	}
	switch args[0] {
	case "push":
		return r.push(ctx, *to)
	case "checksums":
		return r.checksums()
	}
	if !semantic.MatchString(r.version) {
		return fmt.Errorf("-version is %q: name a semantic version, as in v1.0.0", r.version)
	}
	switch args[0] {
	case "make":
		return r.make(ctx)
	case "postgres":
		return r.postgres(ctx)
	}
	return fmt.Errorf("%q is nothing to do: make, postgres, checksums or push", args[0])
}

// locate finds the repository, its commit and the folder to write to.
func (r *release) locate(ctx context.Context, dist string) error {
	for _, q := range []struct {
		into *string
		args []string
	}{
		{&r.root, []string{"rev-parse", "--show-toplevel"}},
		{&r.commit, []string{"rev-parse", "HEAD"}},
	} {
		out, err := output(ctx, ".", nil, "git", q.args...)
		if err != nil {
			return err
		}
		*q.into = strings.TrimSpace(out)
	}
	date, err := output(ctx, ".", nil, "git", "log", "-1", "--format=%cI")
	if err != nil {
		return err
	}
	if r.date, err = time.Parse(time.RFC3339, strings.TrimSpace(date)); err != nil {
		return err
	}
	r.date = r.date.UTC()
	if r.dist = dist; !filepath.IsAbs(dist) {
		r.dist = filepath.Join(r.root, dist)
	}
	return nil
}

// make makes everything, checksums last.
func (r *release) make(ctx context.Context) error {
	changed, err := output(ctx, r.root, nil, "git", "status", "--porcelain", "--untracked-files=no")
	if err != nil {
		return err
	}
	if changed != "" {
		return fmt.Errorf("the working tree differs from commit %.12s, which a release names: commit first\n%s", r.commit, changed)
	}
	if err := os.RemoveAll(r.dist); err != nil {
		return err
	}
	for _, dir := range []string{"images", "sbom"} {
		if err := os.MkdirAll(filepath.Join(r.dist, dir), 0o755); err != nil {
			return err
		}
	}
	digests := map[string]string{}
	r.licenses = licenses{}
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		folder := programs[name]
		modules, err := r.linked(ctx, folder)
		if err == nil {
			err = r.licenses.add(modules)
		}
		if err != nil {
			return fmt.Errorf("licences of %s: %w", name, err)
		}
		if digests[name], err = r.program(ctx, name, folder); err != nil {
			return fmt.Errorf("make image %s: %w", name, err)
		}
	}
	if err := r.licenses.write(filepath.Join(r.dist, "LICENSES.txt")); err != nil {
		return err
	}
	if err := r.postgres(ctx); err != nil {
		return err
	}
	if err := r.install(ctx, digests); err != nil {
		return err
	}
	return r.checksums()
}

// output runs a program and returns what it says.
func output(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	c := exec.CommandContext(ctx, name, args...)
	c.Dir, c.Env = dir, append(os.Environ(), env...)
	var said strings.Builder
	c.Stderr = &said
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(c.Args, " "), err, strings.TrimSpace(said.String()))
	}
	return string(out), nil
}
