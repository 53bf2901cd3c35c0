package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// BaseImage is what every Dockerfile here starts from.
const BaseImage = "debian:trixie-slim"

// EnsureBase makes sure that the Docker engine holds [BaseImage]: it is pulled,
// or, where no registry answers, made from Debian's packages with mmdebstrap.
func EnsureBase(ctx context.Context, log *slog.Logger) error {
	return ensureDebian(ctx, BaseImage, log)
}

// ensureDebian is EnsureBase of any of Debian's slim images.
func ensureDebian(ctx context.Context, image string, log *slog.Logger) error {
	if imageExists(ctx, image) {
		return nil
	}
	suite := suiteOf(image)
	if suite == "" {
		return fmt.Errorf("there is no base image %s: pull or build it first", image)
	}
	dir, err := CacheDir("base")
	if err != nil {
		return err
	}
	rootfs := filepath.Join(dir, suite+"-slim.tar")
	unlock, err := lock(rootfs)
	if err != nil {
		return err
	}
	defer unlock()
	if imageExists(ctx, image) {
		return nil
	}
	if _, err := os.Stat(rootfs); err != nil {
		pull, cancel := context.WithTimeout(ctx, 30*time.Second)
		_, refused := docker(pull, "pull", "--quiet", image)
		cancel()
		if refused == nil {
			return nil
		}
		log.Info("no registry answers; making the base image from Debian's packages", "image", image)
		if err := bootstrap(ctx, suite, rootfs); err != nil {
			return fmt.Errorf("make base image %s: %w (and it could not be pulled: %w)", image, err, refused)
		}
	}
	if _, err := docker(ctx, "import", "--change", `CMD ["bash"]`, rootfs, image); err != nil {
		return fmt.Errorf("import base image %s: %w", image, err)
	}
	return nil
}

// suiteOf is the release of Debian that a slim image holds, "" for other images.
func suiteOf(image string) string {
	suite, slim := strings.CutSuffix(image, "-slim")
	suite, debian := strings.CutPrefix(suite, "debian:")
	if !slim || !debian || strings.ContainsAny(suite, "/:-") {
		return ""
	}
	return suite
}

// bootstrap writes Debian's smallest root file system to a tar file.
func bootstrap(ctx context.Context, suite, rootfs string) error {
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		return errors.New("mmdebstrap is not installed; install it with: apt-get install mmdebstrap")
	}
	partial := rootfs + ".partial.tar"
	args := []string{
		"--variant=minbase",
		"--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
		"--dpkgopt=path-exclude=/usr/share/locale/*",
	}
	if suite != suiteOf(BaseImage) {
		// The list of a suite that is not released ends within a week, and a mirror
		// may be a picture of an older day. Signatures are checked all the same.
		args = append(args, `--aptopt=Acquire::Check-Valid-Until "false"`)
	}
	if _, err := output(exec.CommandContext(ctx, "mmdebstrap", append(args, suite, partial)...)); err != nil {
		return errors.Join(err, os.RemoveAll(partial))
	}
	return os.Rename(partial, rootfs)
}
