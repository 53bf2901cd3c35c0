package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/seedling-dev/seedling/e2e/csi-btrfs/pool"
)

const gib = 1 << 30

type controller struct {
	csi.UnimplementedControllerServer
	pool      *pool.Pool
	behaviour behaviour

	snapshots sync.Mutex // one at a time where a volume may have so many
}

func (c *controller) ControllerGetCapabilities(context.Context, *csi.ControllerGetCapabilitiesRequest) (*csi.ControllerGetCapabilitiesResponse, error) {
	resp := &csi.ControllerGetCapabilitiesResponse{}
	for _, t := range []csi.ControllerServiceCapability_RPC_Type{
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME,
		csi.ControllerServiceCapability_RPC_LIST_VOLUMES,
		csi.ControllerServiceCapability_RPC_CLONE_VOLUME,
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_SNAPSHOT,
		csi.ControllerServiceCapability_RPC_LIST_SNAPSHOTS,
	} {
		resp.Capabilities = append(resp.Capabilities, &csi.ControllerServiceCapability{
			Type: &csi.ControllerServiceCapability_Rpc{Rpc: &csi.ControllerServiceCapability_RPC{Type: t}},
		})
	}
	return resp, nil
}

func (c *controller) CreateVolume(ctx context.Context, req *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	if req.GetName() == "" {
		return nil, status.Error(codes.InvalidArgument, "create volume: the name is missing")
	}
	if len(req.GetVolumeCapabilities()) == 0 {
		return nil, status.Errorf(codes.InvalidArgument, "create volume %q: the capabilities are missing", req.GetName())
	}
	if why := unsupported(req.GetVolumeCapabilities()); why != "" {
		return nil, status.Errorf(codes.InvalidArgument, "create volume %q: %s", req.GetName(), why)
	}
	if key := foreign(req.GetParameters()); key != "" {
		return nil, status.Errorf(codes.InvalidArgument, "create volume %q: the StorageClass has parameter %q; this driver knows none", req.GetName(), key)
	}
	bytes, err := size(req.GetCapacityRange())
	if err != nil {
		return nil, status.Errorf(codes.OutOfRange, "create volume %q: %v", req.GetName(), err)
	}
	var source pool.Source
	switch s := req.GetVolumeContentSource().GetType().(type) {
	case nil:
	case *csi.VolumeContentSource_Snapshot:
		source.Snapshot = s.Snapshot.GetSnapshotId()
	case *csi.VolumeContentSource_Volume:
		source.Volume = s.Volume.GetVolumeId()
	}
	if req.GetVolumeContentSource() != nil && source == (pool.Source{}) {
		return nil, status.Errorf(codes.InvalidArgument, "create volume %q: the content source names neither a snapshot nor a volume", req.GetName())
	}
	if !within(c.behaviour.zone, req.GetAccessibilityRequirements()) {
		return nil, status.Errorf(codes.ResourceExhausted, "create volume %q: it is asked for outside of %s, where all volumes are", req.GetName(), c.behaviour.zone)
	}
	if s, err := c.pool.Snapshot(source.Snapshot); err == nil && !c.ready(s) {
		return nil, status.Errorf(codes.Unavailable, "create volume %q: snapshot %s is not ready to use yet", req.GetName(), s.ID)
	}
	v, err := c.pool.CreateVolume(ctx, req.GetName(), c.behaviour.zone, bytes, req.GetCapacityRange().GetLimitBytes(), source)
	if err != nil {
		return nil, statusOf("create volume", err)
	}
	return &csi.CreateVolumeResponse{Volume: volume(v)}, nil
}

// size is what a volume gets for a request: whole GiB, at least one.
func size(r *csi.CapacityRange) (int64, error) {
	want, limit := max(r.GetRequiredBytes(), 1), r.GetLimitBytes()
	if r.GetRequiredBytes() < 0 || limit < 0 {
		return 0, errors.New("a size is negative")
	}
	if want > 1<<60 {
		return 0, errors.New("more than an EiB")
	}
	bytes := (want + gib - 1) / gib * gib
	if limit > 0 && bytes > limit {
		return 0, fmt.Errorf("sizes are whole GiB, and %d bytes is above the limit of %d", bytes, limit)
	}
	return bytes, nil
}

// foreign returns a parameter that someone set in a class, or nothing. The sidecars add their own under a prefix.
func foreign(parameters map[string]string) string {
	for _, key := range slices.Sorted(maps.Keys(parameters)) {
		if !strings.HasPrefix(key, "csi.storage.k8s.io/") {
			return key
		}
	}
	return ""
}

// unsupported says why the capabilities cannot be had, or nothing.
func unsupported(all []*csi.VolumeCapability) string {
	for _, c := range all {
		if c.GetBlock() != nil {
			return "block volumes are not supported, only file systems"
		}
		if c.GetMount() == nil {
			return "the access type is missing"
		}
		if t := c.GetMount().GetFsType(); t != "" && t != "btrfs" {
			return fmt.Sprintf("file system %q is not supported: volumes are btrfs subvolumes", t)
		}
		if m := c.GetAccessMode().GetMode(); !slices.Contains(accessModes, m) {
			return fmt.Sprintf("access mode %s is not supported: volumes live on one node", m)
		}
	}
	return ""
}

var accessModes = []csi.VolumeCapability_AccessMode_Mode{
	csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER,
	csi.VolumeCapability_AccessMode_SINGLE_NODE_READER_ONLY,
}

func (c *controller) DeleteVolume(ctx context.Context, req *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	if req.GetVolumeId() == "" {
		return nil, status.Error(codes.InvalidArgument, "delete volume: the ID is missing")
	}
	if err := c.pool.DeleteVolume(ctx, req.GetVolumeId()); err != nil {
		return nil, statusOf("delete volume", err)
	}
	return &csi.DeleteVolumeResponse{}, nil
}

func (c *controller) ValidateVolumeCapabilities(_ context.Context, req *csi.ValidateVolumeCapabilitiesRequest) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	if req.GetVolumeId() == "" {
		return nil, status.Error(codes.InvalidArgument, "validate capabilities: the ID is missing")
	}
	if len(req.GetVolumeCapabilities()) == 0 {
		return nil, status.Error(codes.InvalidArgument, "validate capabilities: the capabilities are missing")
	}
	if _, err := c.pool.Volume(req.GetVolumeId()); err != nil {
		return nil, statusOf("validate capabilities", err)
	}
	if why := unsupported(req.GetVolumeCapabilities()); why != "" {
		return &csi.ValidateVolumeCapabilitiesResponse{Message: why}, nil
	}
	return &csi.ValidateVolumeCapabilitiesResponse{
		Confirmed: &csi.ValidateVolumeCapabilitiesResponse_Confirmed{VolumeCapabilities: req.GetVolumeCapabilities()},
	}, nil
}

func (c *controller) ListVolumes(_ context.Context, req *csi.ListVolumesRequest) (*csi.ListVolumesResponse, error) {
	all, err := c.pool.Volumes()
	if err != nil {
		return nil, statusOf("list volumes", err)
	}
	page, next, err := paginate(all, func(v pool.Volume) string { return v.ID }, req.GetStartingToken(), req.GetMaxEntries())
	if err != nil {
		return nil, err
	}
	resp := &csi.ListVolumesResponse{NextToken: next}
	for _, v := range page {
		resp.Entries = append(resp.Entries, &csi.ListVolumesResponse_Entry{Volume: volume(v)})
	}
	return resp, nil
}

func (c *controller) CreateSnapshot(ctx context.Context, req *csi.CreateSnapshotRequest) (*csi.CreateSnapshotResponse, error) {
	if req.GetName() == "" {
		return nil, status.Error(codes.InvalidArgument, "create snapshot: the name is missing")
	}
	if req.GetSourceVolumeId() == "" {
		return nil, status.Errorf(codes.InvalidArgument, "create snapshot %q: the volume's ID is missing", req.GetName())
	}
	if key := foreign(req.GetParameters()); key != "" {
		return nil, status.Errorf(codes.InvalidArgument, "create snapshot %q: the VolumeSnapshotClass has parameter %q; this driver knows none", req.GetName(), key)
	}
	if most := c.behaviour.maxSnapshots; most > 0 {
		c.snapshots.Lock()
		defer c.snapshots.Unlock()
		all, err := c.pool.Snapshots()
		if err != nil {
			return nil, statusOf("create snapshot", err)
		}
		others := slices.DeleteFunc(all, func(s pool.Snapshot) bool { return s.Volume != req.GetSourceVolumeId() || s.Name == req.GetName() })
		if len(others) >= most {
			return nil, status.Errorf(codes.ResourceExhausted, "create snapshot %q: volume %s has %d already, which is the limit", req.GetName(), req.GetSourceVolumeId(), len(others))
		}
	}
	s, err := c.pool.CreateSnapshot(ctx, req.GetName(), req.GetSourceVolumeId())
	if err != nil {
		return nil, statusOf("create snapshot", err)
	}
	return &csi.CreateSnapshotResponse{Snapshot: c.snapshot(s)}, nil
}

// ready says whether a snapshot may be used.
func (c *controller) ready(s pool.Snapshot) bool {
	return time.Since(s.Created) >= c.behaviour.snapshotReadyAfter
}

func (c *controller) DeleteSnapshot(ctx context.Context, req *csi.DeleteSnapshotRequest) (*csi.DeleteSnapshotResponse, error) {
	if req.GetSnapshotId() == "" {
		return nil, status.Error(codes.InvalidArgument, "delete snapshot: the ID is missing")
	}
	if err := c.pool.DeleteSnapshot(ctx, req.GetSnapshotId()); err != nil {
		return nil, statusOf("delete snapshot", err)
	}
	return &csi.DeleteSnapshotResponse{}, nil
}

func (c *controller) ListSnapshots(_ context.Context, req *csi.ListSnapshotsRequest) (*csi.ListSnapshotsResponse, error) {
	var all []pool.Snapshot
	if id := req.GetSnapshotId(); id != "" {
		s, err := c.pool.Snapshot(id)
		switch {
		case err == nil:
			all = []pool.Snapshot{s}
		case !errors.Is(err, pool.ErrNotFound): // one that is not there is an empty list
			return nil, statusOf("list snapshots", err)
		}
	} else {
		var err error
		if all, err = c.pool.Snapshots(); err != nil {
			return nil, statusOf("list snapshots", err)
		}
	}
	if of := req.GetSourceVolumeId(); of != "" {
		all = slices.DeleteFunc(all, func(s pool.Snapshot) bool { return s.Volume != of })
	}
	page, next, err := paginate(all, func(s pool.Snapshot) string { return s.ID }, req.GetStartingToken(), req.GetMaxEntries())
	if err != nil {
		return nil, err
	}
	resp := &csi.ListSnapshotsResponse{NextToken: next}
	for _, s := range page {
		resp.Entries = append(resp.Entries, &csi.ListSnapshotsResponse_Entry{Snapshot: c.snapshot(s)})
	}
	return resp, nil
}

// paginate cuts a page out of all, which is ordered by ID. A token is the ID that its page starts after, so that pages
// neither repeat nor skip what others create and delete between them.
func paginate[T any](all []T, id func(T) string, token string, most int32) (page []T, next string, err error) {
	if token != "" {
		after, ok := strings.CutPrefix(token, tokenPrefix)
		if !ok {
			return nil, "", status.Errorf(codes.Aborted, "list: %q is no token of this driver; start over without one", token)
		}
		all = slices.DeleteFunc(all, func(t T) bool { return id(t) <= after })
	}
	if most < 0 {
		return nil, "", status.Error(codes.InvalidArgument, "list: the number of entries is negative")
	}
	if most == 0 || len(all) <= int(most) {
		return all, "", nil
	}
	page = all[:most]
	return page, tokenPrefix + id(page[most-1]), nil
}

const tokenPrefix = "after:"

func volume(v pool.Volume) *csi.Volume {
	out := &csi.Volume{VolumeId: v.ID, CapacityBytes: v.Bytes}
	if at := topology(v.Zone); at != nil {
		out.AccessibleTopology = []*csi.Topology{at}
	}
	switch {
	case v.Source.Snapshot != "":
		out.ContentSource = &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Snapshot{
			Snapshot: &csi.VolumeContentSource_SnapshotSource{SnapshotId: v.Source.Snapshot},
		}}
	case v.Source.Volume != "":
		out.ContentSource = &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Volume{
			Volume: &csi.VolumeContentSource_VolumeSource{VolumeId: v.Source.Volume},
		}}
	}
	return out
}

func (c *controller) snapshot(s pool.Snapshot) *csi.Snapshot {
	return &csi.Snapshot{
		SnapshotId:     s.ID,
		SourceVolumeId: s.Volume,
		SizeBytes:      s.Bytes,
		CreationTime:   timestamppb.New(s.Created),
		ReadyToUse:     c.ready(s),
	}
}

// statusOf gives an error of the pool the code that CSI's callers decide on.
func statusOf(step string, err error) error {
	code := codes.Internal
	switch {
	case errors.Is(err, pool.ErrNotFound):
		code = codes.NotFound
	case errors.Is(err, pool.ErrConflict):
		code = codes.AlreadyExists
	case errors.Is(err, pool.ErrTooSmall):
		code = codes.OutOfRange
	case errors.Is(err, pool.ErrFull):
		code = codes.ResourceExhausted
	}
	return status.Errorf(code, "%s: %v", step, err)
}
