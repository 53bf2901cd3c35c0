package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/seedling-dev/seedling/e2e/csi-btrfs/pool"
)

type node struct {
	csi.UnimplementedNodeServer
	pool      *pool.Pool
	name      string
	behaviour behaviour
	reads     *slowReads // nil where reads are not slow

	mu sync.Mutex // one mount or unmount at a time: each is a few system calls
	// attaching is since when volumes are that no pod has yet.
	attaching map[string]time.Time
}

func (n *node) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{
		NodeId: n.name, MaxVolumesPerNode: int64(n.behaviour.maxVolumes), AccessibleTopology: topology(n.behaviour.zone),
	}, nil
}

func (n *node) NodeGetCapabilities(context.Context, *csi.NodeGetCapabilitiesRequest) (*csi.NodeGetCapabilitiesResponse, error) {
	return &csi.NodeGetCapabilitiesResponse{}, nil
}

func (n *node) NodePublishVolume(ctx context.Context, req *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	switch {
	case req.GetVolumeId() == "":
		return nil, status.Error(codes.InvalidArgument, "publish: the volume's ID is missing")
	case req.GetTargetPath() == "":
		return nil, status.Errorf(codes.InvalidArgument, "publish %s: the target path is missing", req.GetVolumeId())
	case req.GetVolumeCapability() == nil:
		return nil, status.Errorf(codes.InvalidArgument, "publish %s: the capability is missing", req.GetVolumeId())
	}
	if why := unsupported([]*csi.VolumeCapability{req.GetVolumeCapability()}); why != "" {
		return nil, status.Errorf(codes.InvalidArgument, "publish %s: %s", req.GetVolumeId(), why)
	}
	v, err := n.pool.Volume(req.GetVolumeId())
	if err != nil {
		return nil, statusOf("publish", err)
	}
	if zone := n.behaviour.zone; v.Zone != "" && zone != "" && v.Zone != zone {
		return nil, status.Errorf(codes.FailedPrecondition, "publish %s: it is in %s, and this node in %s", v.ID, v.Zone, zone)
	}
	first, err := n.attach(ctx, v)
	if err != nil {
		return nil, err
	}
	source, err := n.pool.Path(v.ID)
	if err != nil {
		return nil, statusOf("publish", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if first && n.reads != nil && v.Source.Snapshot != "" {
		if err := n.reads.begin(source); err != nil {
			return nil, status.Errorf(codes.Internal, "publish %s: %v", v.ID, err)
		}
	}
	if err := bind(source, req.GetTargetPath(), req.GetReadonly()); err != nil {
		return nil, status.Errorf(codes.Internal, "publish %s: %v", v.ID, err)
	}
	delete(n.attaching, v.ID)
	return &csi.NodePublishVolumeResponse{}, nil
}

func (n *node) NodeUnpublishVolume(_ context.Context, req *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	switch {
	case req.GetVolumeId() == "":
		return nil, status.Error(codes.InvalidArgument, "unpublish: the volume's ID is missing")
	case req.GetTargetPath() == "":
		return nil, status.Errorf(codes.InvalidArgument, "unpublish %s: the target path is missing", req.GetVolumeId())
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.attaching, req.GetVolumeId())
	if err := unbind(req.GetTargetPath()); err != nil {
		return nil, status.Errorf(codes.Internal, "unpublish %s: %v", req.GetVolumeId(), err)
	}
	return &csi.NodeUnpublishVolumeResponse{}, nil
}

// bind shows source at target, which it makes. A target that shows source already stays as it is.
func bind(source, target string, readonly bool) error {
	if err := os.MkdirAll(target, 0o750); err != nil {
		return err
	}
	mounted, err := isMount(target)
	if err != nil {
		return err
	}
	if mounted {
		same, err := sameVolume(source, target)
		if err != nil {
			return err
		}
		if !same {
			return fmt.Errorf("%s shows something else already", target)
		}
		return nil
	}
	if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s to %s: %w", source, target, err)
	}
	if !readonly {
		return nil
	}
	// The kernel takes MS_RDONLY on a bind mount in a second step only.
	if err := unix.Mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("make %s read-only: %w", target, errors.Join(err, unix.Unmount(target, 0)))
	}
	return nil
}

// unbind undoes bind. A target that is gone, or shows nothing, is no error.
func unbind(target string) error {
	for {
		mounted, err := isMount(target)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if !mounted {
			break
		}
		if err := unix.Unmount(target, 0); err != nil {
			return fmt.Errorf("unmount %s: %w", target, err)
		}
	}
	// Only the empty directory: whatever else lies there is not ours.
	if err := os.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// isMount reports whether something is mounted at path itself, bind mounts included.
func isMount(path string) (bool, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, filepath.Clean(path), unix.AT_SYMLINK_NOFOLLOW, 0, &st); err != nil {
		return false, fmt.Errorf("statx %s: %w", path, err)
	}
	return st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, nil
}

// sameVolume compares device numbers, of which each subvolume has its own.
func sameVolume(a, b string) (bool, error) {
	var sa, sb unix.Stat_t
	if err := unix.Stat(a, &sa); err != nil {
		return false, fmt.Errorf("stat %s: %w", a, err)
	}
	if err := unix.Stat(b, &sb); err != nil {
		return false, fmt.Errorf("stat %s: %w", b, err)
	}
	return sa.Dev == sb.Dev && sa.Ino == sb.Ino, nil
}
