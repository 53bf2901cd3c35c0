package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// BaseImage is what every Dockerfile here starts from.
const BaseImage = "debian:trixie-slim"

// EnsureBase makes sure that the Docker engine holds [BaseImage]: it is pulled,
// or, where no registry answers, made from Debian's packages with mmdebstrap.
func EnsureBase(ctx context.Context, log *slog.Logger) error {
	if imageExists(ctx, BaseImage) {
		return nil
	}
	dir, err := cacheDir("base")
	if err != nil {
		return err
	}
	rootfs := filepath.Join(dir, "trixie-slim.tar")
	unlock, err := lock(rootfs)
	if err != nil {
		return err
	}
	defer unlock()
	if imageExists(ctx, BaseImage) {
		return nil
	}
	if _, err := os.Stat(rootfs); err != nil {
		pull, cancel := context.WithTimeout(ctx, 30*time.Second)
		_, refused := docker(pull, "pull", "--quiet", BaseImage)
		cancel()
		if refused == nil {
			return nil
		}
		log.Info("no registry answers; making the base image from Debian's packages", "image", BaseImage)
		if err := bootstrap(ctx, rootfs); err != nil {
			return fmt.Errorf("make base image %s: %w (and it could not be pulled: %w)", BaseImage, err, refused)
		}
	}
	if _, err := docker(ctx, "import", "--change", `CMD ["bash"]`, rootfs, BaseImage); err != nil {
		return fmt.Errorf("import base image %s: %w", BaseImage, err)
	}
	return nil
}

// bootstrap writes Debian's smallest root file system to a tar file.
func bootstrap(ctx context.Context, rootfs string) error {
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		return errors.New("mmdebstrap is not installed; install it with: apt-get install mmdebstrap")
	}
	partial := rootfs + ".partial.tar"
	cmd := exec.CommandContext(ctx, "mmdebstrap", "--variant=minbase",
		"--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
		"--dpkgopt=path-exclude=/usr/share/locale/*",
		"trixie", partial)
	if _, err := output(cmd); err != nil {
		return errors.Join(err, os.RemoveAll(partial))
	}
	return os.Rename(partial, rootfs)
}
