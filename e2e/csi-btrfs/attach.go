package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/seedling-dev/seedling/e2e/csi-btrfs/pool"
)

// attach waits for as long as a volume takes to come to the node, unless a pod
// here has it; first says that none has. One that is more than the node takes is
// refused.
func (n *node) attach(ctx context.Context, v pool.Volume) (first bool, err error) {
	if n.behaviour.attachDelay == 0 && n.behaviour.maxVolumes == 0 && n.reads == nil {
		return false, nil
	}
	began, err := n.arrive(v.ID)
	if err != nil || began.IsZero() {
		return false, err
	}
	wait := time.NewTimer(time.Until(began.Add(n.behaviour.attachDelay)))
	defer wait.Stop()
	select {
	case <-wait.C:
		return true, nil
	case <-ctx.Done():
		return false, status.Errorf(codes.DeadlineExceeded, "publish %s: it is still being attached", v.ID)
	}
}

// arrive is since when a volume is on its way to the node; zero if a pod has it.
func (n *node) arrive(id string) (time.Time, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	here, err := n.published()
	if err != nil {
		return time.Time{}, status.Errorf(codes.Internal, "publish %s: %v", id, err)
	}
	if here[id] {
		return time.Time{}, nil
	}
	if began, ok := n.attaching[id]; ok {
		return began, nil
	}
	for other := range n.attaching {
		if _, err := n.pool.Volume(other); err != nil {
			delete(n.attaching, other) // deleted before it was here
		}
	}
	if most := n.behaviour.maxVolumes; most > 0 && len(here)+len(n.attaching) >= most {
		return time.Time{}, status.Errorf(codes.ResourceExhausted, "publish %s: the node has %d volumes already, which is its limit", id, len(here)+len(n.attaching))
	}
	n.attaching[id] = time.Now()
	return n.attaching[id], nil
}

// published are the volumes that are mounted somewhere, as the kernel has it: an
// earlier process may have mounted them.
func (n *node) published() (map[string]bool, error) {
	mounts, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer mounts.Close()
	all := map[string]bool{}
	lines := bufio.NewScanner(mounts)
	for lines.Scan() {
		// ID, parent, device, directory in the file system, mount point
		fields := strings.Fields(lines.Text())
		if len(fields) < 5 {
			return nil, fmt.Errorf("/proc/self/mountinfo has the line %q", lines.Text())
		}
		id := path.Base(fields[3])
		volume, err := n.pool.Path(id)
		if err != nil {
			continue // not one of ours
		}
		// Another pool may have a volume of that ID.
		if same, err := sameVolume(volume, fields[4]); err == nil && same {
			all[id] = true
		}
	}
	return all, lines.Err()
}
