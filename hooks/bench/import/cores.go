package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/seedling-dev/seedling/hooks/command"
)

// cores emulates a machine of more cores by slower ones: every thread of a
// container, client's and server's alike, is held to its share of a core, half
// of one where two are to be four. No thread is then faster than such a core,
// and as many as there would be of them run at once. Memory, its caches and the
// disk keep their speed, and so are faster beside the cores than they would be:
// ratios say something, rates do not.
//
// It needs the cpu controller of cgroup v1, which throttles threads one by one,
// and root.
type cores struct {
	cpu    string // the container's cgroup of the cpu controller
	list   string // the file that lists its threads, whichever their cpu cgroup is
	share  float64
	groups map[string]string // of each thread
}

const (
	// throttlePeriod is in what time a thread gets its share.
	throttlePeriod = 10 * time.Millisecond
	// lookPeriod is how long a thread may run before it is seen.
	lookPeriod = 5 * time.Millisecond
)

// emulateCores holds the threads of a container, those to come included, to
// their shares of n cores until the context ends. The function it returns waits
// for that, and says what went wrong meanwhile.
func emulateCores(ctx context.Context, container string, n int) (wait func() error, err error) {
	if n <= runtime.NumCPU() {
		return nil, command.Misconfiguredf("--cores %d: this machine has %d, and only more can be emulated: leave the flag out to measure on these", n, runtime.NumCPU())
	}
	c := &cores{share: float64(runtime.NumCPU()) / float64(n), groups: map[string]string{}}
	if c.cpu, err = cgroupOf(ctx, container, "cpu"); err != nil {
		return nil, err
	}
	pids, err := cgroupOf(ctx, container, "pids")
	if err != nil {
		return nil, err
	}
	c.list = filepath.Join(pids, "tasks")
	if err := c.look(); err != nil {
		return nil, fmt.Errorf("--cores %d: %w", n, err)
	}
	ended := make(chan error, 1)
	go func() {
		for {
			if err := c.look(); err != nil {
				ended <- fmt.Errorf("hold threads to their share of a core: %w", err)
				return
			}
			select {
			case <-ctx.Done():
				ended <- nil
				return
			case <-time.After(lookPeriod):
			}
		}
	}()
	return func() error { return <-ended }, nil
}

// cgroupOf is the folder of a container's cgroup of a controller.
func cgroupOf(ctx context.Context, container, controller string) (string, error) {
	out, err := exec.CommandContext(ctx, "docker", "inspect", "--format", "{{.State.Pid}}", container).Output()
	if err != nil {
		return "", fmt.Errorf("ask for the process of container %s: %w", container, err)
	}
	content, err := os.ReadFile(filepath.Join("/proc", strings.TrimSpace(string(out)), "cgroup"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(content)) {
		// 4:cpu,cpuacct:/docker/0123
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) != 3 || !strings.Contains(","+part[1]+",", ","+controller+",") {
			continue
		}
		dir := filepath.Join("/sys/fs/cgroup", part[1], part[2])
		if _, err := os.Stat(filepath.Join(dir, "tasks")); err != nil {
			return "", err
		}
		return dir, nil
	}
	return "", command.Misconfiguredf("--cores: this machine has no cgroup v1 with the controller %s, which throttles threads: measure without the flag, on a machine of so many cores", controller)
}

// look gives every new thread a cgroup of its own, and removes those of threads
// that ended.
func (c *cores) look() error {
	content, err := os.ReadFile(c.list)
	if err != nil {
		return err
	}
	live := map[string]bool{}
	for tid := range strings.FieldsSeq(string(content)) {
		live[tid] = true
		if c.groups[tid] != "" {
			continue
		}
		group := filepath.Join(c.cpu, "core-of-"+tid)
		if err := c.hold(group, tid); err != nil {
			if _, gone := os.Stat("/proc/" + tid); gone != nil {
				err = os.Remove(group)
			}
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			continue
		}
		c.groups[tid] = group
	}
	for tid, group := range c.groups {
		// Not yet empty where the thread has just begun another, which is born
		// into its group and is moved the next time.
		if !live[tid] && os.Remove(group) == nil {
			delete(c.groups, tid)
		}
	}
	return nil
}

// hold makes a cgroup with the share of one core, and moves a thread there.
func (c *cores) hold(group, tid string) error {
	if err := os.MkdirAll(group, 0o755); err != nil {
		return err
	}
	period := throttlePeriod.Microseconds()
	for _, set := range []struct{ file, value string }{
		{"cpu.cfs_period_us", strconv.FormatInt(period, 10)},
		{"cpu.cfs_quota_us", strconv.FormatInt(int64(float64(period)*c.share), 10)},
		{"tasks", tid},
	} {
		if err := os.WriteFile(filepath.Join(group, set.file), []byte(set.value), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// showCores prints what threads get that are always busy: evidence that the
// emulation works.
func (b *bench) showCores(ctx context.Context) error {
	for _, threads := range []int{1, b.cores} {
		seconds, err := b.timed(ctx, fmt.Sprintf("for i in $(seq %d); do timeout 3 bash -c 'while :; do :; done' & done; wait", threads))
		if err != nil {
			return err
		}
		fmt.Fprintf(b.env.Stdout, "emulated cores: busy threads: %d, of real cores they get: %.2f\n", threads, b.cpu/seconds)
	}
	return nil
}
