package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Where things lie in the container. Everything that must outlive a restart of
// the container is under /var/lib, which is a volume.
const (
	stateFolder   = "/var/lib/seedling"
	pkiFolder     = stateFolder + "/pki"
	configFolder  = "/etc/seedling"
	logFolder     = "/var/log/seedling"
	storageFolder = "/var/lib/csi-btrfs"
	storageFile   = "/var/lib/csi-btrfs.img"
)

// machine is what the configurations need to know about this container.
type machine struct {
	NodeName, NodeIP string
	keys             *keys
}

// prepare brings the container from what Docker gives to what a kubelet needs.
func prepare(ctx context.Context, log *slog.Logger) (*machine, error) {
	ip, err := address()
	if err != nil {
		return nil, err
	}
	m := &machine{NodeName: "node", NodeIP: ip}
	steps := []struct {
		name string
		do   func(context.Context) error
	}{
		{"share mounts", shareMounts},
		{"open cgroups", openCgroups},
		{"set kernel parameters", setKernel},
		{"mount the file system for volumes", mountStorage},
		{"make keys", m.makeKeys},
		{"write configurations", m.writeConfigurations},
	}
	for _, step := range steps {
		if err := step.do(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", step.name, err)
		}
		log.Info("prepared", "step", step.name)
	}
	return m, nil
}

// address returns the container's own address on Docker's network.
func address() (string, error) {
	device, err := net.InterfaceByName("eth0")
	if err != nil {
		return "", fmt.Errorf("find my address: %w", err)
	}
	all, err := device.Addrs()
	if err != nil {
		return "", fmt.Errorf("find my address: %w", err)
	}
	for _, a := range all {
		if network, ok := a.(*net.IPNet); ok && network.IP.To4() != nil {
			return network.IP.String(), nil
		}
	}
	return "", errors.New("find my address: eth0 has no IPv4 address")
}

// shareMounts lets mounts made by the CSI driver reach the pods.
func shareMounts(context.Context) error {
	return syscall.Mount("", "/", "", syscall.MS_SHARED|syscall.MS_REC, "")
}

// openCgroups makes the cgroup hierarchies writable, which Docker mounts
// read-only.
func openCgroups(context.Context) error {
	mounts, err := os.Open("/proc/self/mounts")
	if err != nil {
		return err
	}
	defer mounts.Close()
	lines := bufio.NewScanner(mounts)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || (fields[1] != "/sys/fs/cgroup" && !strings.HasPrefix(fields[1], "/sys/fs/cgroup/")) {
			continue
		}
		flags := uintptr(syscall.MS_REMOUNT | syscall.MS_BIND | syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC)
		if err := syscall.Mount("", fields[1], "", flags, ""); err != nil {
			return fmt.Errorf("remount %s read-write: %w", fields[1], err)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return splitUnifiedCgroup()
}

// splitUnifiedCgroup moves every process to a child group on hosts with
// cgroup v2, where a group with processes cannot hand controllers to its
// children.
func splitUnifiedCgroup() error {
	const top = "/sys/fs/cgroup"
	controllers, err := os.ReadFile(filepath.Join(top, "cgroup.controllers"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	child := filepath.Join(top, "init")
	if err := os.MkdirAll(child, 0o755); err != nil {
		return err
	}
	pids, err := os.ReadFile(filepath.Join(top, "cgroup.procs"))
	if err != nil {
		return err
	}
	for pid := range strings.FieldsSeq(string(pids)) {
		// A process may have ended meanwhile.
		_ = os.WriteFile(filepath.Join(child, "cgroup.procs"), []byte(pid), 0o644)
	}
	for controller := range strings.FieldsSeq(string(controllers)) {
		if err := os.WriteFile(filepath.Join(top, "cgroup.subtree_control"), []byte("+"+controller), 0o644); err != nil {
			return fmt.Errorf("hand controller %s to child groups: %w", controller, err)
		}
	}
	return nil
}

// setKernel sets what the pods' network needs.
func setKernel(context.Context) error {
	for path, value := range map[string]string{
		"/proc/sys/net/ipv4/ip_forward":              "1",
		"/proc/sys/net/ipv4/conf/all/route_localnet": "1",
		// Network policies are held against packets between pods of one bridge, too.
		"/proc/sys/net/bridge/bridge-nf-call-iptables": "1",
	} {
		if err := os.WriteFile(path, []byte(value), 0o644); err != nil {
			return err
		}
	}
	// Many watchers in one container; the limit belongs to the host, which may
	// not let us.
	for _, name := range []string{"max_user_instances", "max_user_watches"} {
		_ = os.WriteFile("/proc/sys/fs/inotify/"+name, []byte("524288"), 0o644)
	}
	return nil
}

// mountStorage mounts a sparse file with btrfs for the CSI driver's volumes.
func mountStorage(ctx context.Context) error {
	size := os.Getenv("SEEDLING_STORAGE")
	if size == "" {
		size = "40G"
	}
	if err := os.MkdirAll(storageFolder, 0o755); err != nil {
		return err
	}
	if _, err := os.Stat(storageFile); errors.Is(err, os.ErrNotExist) {
		if err := command(ctx, "truncate", "--size", size, storageFile); err != nil {
			return err
		}
		if err := command(ctx, "mkfs.btrfs", "--quiet", storageFile); err != nil {
			return err
		}
	}
	return command(ctx, "mount", "-t", "btrfs", "-o", "loop,noatime,discard=async", storageFile, storageFolder)
}

// command runs a program of the image; what it says on failure is the error.
func command(ctx context.Context, argv ...string) error {
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
