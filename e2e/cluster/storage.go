package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	// driverFlags is where the node looks for flags of the storage driver.
	driverFlags = "/etc/seedling/csi-btrfs.flags"
	driverLog   = nodeLogs + "/csi-btrfs.log"
)

// Storage lets the driver of all volumes act with the given flags of
// e2e/csi-btrfs from now on, such as --like=ebs; without any it does everything
// at once. It is restarted with its volumes in use. Storage returns when the
// kubelet knows what it promises.
func (c *Cluster) Storage(ctx context.Context, flags ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	fail := func(err error) error { return fmt.Errorf("let the storage act with flags %q: %w", flags, err) }
	registrations := func(ctx context.Context) (string, error) {
		return c.Exec(ctx, "sh", "-c", "grep --count 'registered with the kubelet' "+driverLog+" || true")
	}
	before, err := registrations(ctx)
	if err != nil {
		return fail(err)
	}
	write := `mkdir --parents "${1%/*}" && printf '%s\n' "$2" > "$1"`
	if _, err := c.Exec(ctx, "sh", "-c", write, "sh", driverFlags, strings.Join(flags, "\n")); err != nil {
		return fail(err)
	}
	// What the driver can do is asked by the provisioner when it starts.
	const driver, provisioner = "csi-btrfs", "csi-provisioner"
	err = errors.Join(c.StopProcess(ctx, provisioner), c.StopProcess(ctx, driver), c.StartProcess(ctx, driver))
	if err != nil {
		return fail(errors.Join(err, c.StartProcess(ctx, provisioner)))
	}
	err = poll(ctx, "the kubelet to know the storage driver again", func(ctx context.Context) error {
		now, err := registrations(ctx)
		if err == nil && now == before {
			err = errors.New("it has not registered")
		}
		return err
	})
	return errors.Join(err, c.StartProcess(ctx, provisioner))
}
