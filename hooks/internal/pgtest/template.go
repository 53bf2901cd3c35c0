package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/testcontainers/testcontainers-go"
)

// A volume is made once and not by each test: initdb is hundreds of short
// processes, and was most of what the tests of a seed waited for. What is kept is
// an image with the volume in it, of this machine alone and named after the image
// that made it.
const (
	templates = "seedling-pgtest"
	madeOf    = "seedling-pgtest.of"
)

// template is an image whose volume is made: a seed's, or one with a password for the
// superuser.
type template struct {
	kind  string
	once  sync.Once
	image string
	err   error
}

var withPassword, ofSeed = template{kind: "password"}, template{kind: "seed"}

// name makes the image where the machine does not have it. Tests of several packages
// run at once; of one package, the first makes it for all.
func (k *template) name(logins string) (string, error) {
	k.once.Do(func() {
		ctx := context.Background()
		if k.err = build(ctx); k.err != nil {
			return
		}
		var unlock func()
		if unlock, k.err = lock(filepath.Join(os.TempDir(), templates+".lock")); k.err != nil {
			return
		}
		defer unlock()
		if k.image, k.err = makeTemplate(ctx, k.kind, logins); k.err != nil {
			k.err = fmt.Errorf("make a volume for the tests with %s: %w", Image, k.err)
		}
	})
	return k.image, k.err
}

// makeTemplate runs the image until its volume is there and keeps it.
func makeTemplate(ctx context.Context, kind, logins string) (image string, err error) {
	id, err := docker(ctx, "image", "inspect", "--format", "{{.Id}}", Image)
	if err != nil {
		return "", err
	}
	image = templates + ":" + strings.TrimPrefix(id, "sha256:") + "-" + kind
	if _, err := docker(ctx, "image", "inspect", image); err == nil {
		return image, nil
	}
	if err := dropTemplates(ctx); err != nil {
		return "", err
	}
	s, err := start(ctx, Image, logins, []string{"standalone", "-c", "fsync=off"})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	if err := s.container.Stop(ctx, nil); err != nil { // with a checkpoint
		return "", err
	}
	_, err = docker(ctx, "commit", "--change", "LABEL "+madeOf+"="+id, s.ID(), image)
	return image, err
}

// dropTemplates removes those that were made with an image which is gone.
func dropTemplates(ctx context.Context) error {
	list, err := docker(ctx, "image", "ls", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}}", templates)
	if err != nil {
		return err
	}
	for image := range strings.FieldsSeq(list) {
		id, err := docker(ctx, "image", "inspect", "--format", `{{index .Config.Labels "`+madeOf+`"}}`, image)
		if err != nil {
			continue // somebody else removed it
		}
		if _, err := docker(ctx, "image", "inspect", id); err != nil {
			_, _ = docker(ctx, "image", "rm", image) // one that is in use stays
		}
	}
	return nil
}

func docker(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "docker", args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("docker %s: %w: %s", strings.Join(args[:min(2, len(args))], " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// lock takes a lock of this machine.
func lock(file string) (unlock func(), err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", file, err), f.Close())
	}
	return func() { _ = f.Close() }, nil // which unlocks it
}

// launch runs a server on a volume that is made already; it has the arguments. It is
// a seed where logins names a folder for its certificates.
func launch(ctx context.Context, logins string, args []string, more ...testcontainers.ContainerCustomizer) (*Server, error) {
	kind, command := &ofSeed, []string{"serve", "-c", "fsync=off"}
	if logins == "" {
		// As standalone has it, where there is a password.
		kind, command = &withPassword, append(command, "-c", "seedling.throw_away=on")
	}
	image, err := kind.name(logins)
	if err != nil {
		return nil, err
	}
	return start(ctx, image, logins, append(command, args...), more...)
}
