package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// behaviour is how the driver differs from storage that does everything at once
// and without a limit. The zero value is that storage.
type behaviour struct {
	// snapshotReadyAfter is how long a snapshot is not ready to use.
	snapshotReadyAfter time.Duration
	// attachDelay is how long the first publish of a volume takes. Where volumes
	// are attached, that is when a pod waits for it; here nothing is attached.
	attachDelay time.Duration
	// slowReads is for how long reads of a volume that came from a snapshot take
	// readDelay each, from its first publish.
	slowReads, readDelay time.Duration
	// requestRate is how many requests to the controller are answered a second;
	// requestBurst more may come at once. 0 answers all.
	requestRate  float64
	requestBurst int
	// maxVolumes is how many volumes the node takes, maxSnapshots how many a
	// volume has; 0 is no limit.
	maxVolumes   int
	maxSnapshots int
	// zone is where the node is, and the volumes that are made from now on; ""
	// says nothing of zones.
	zone string
}

// profiles are the settings of storage that people have. The figures are of the
// order that is seen there, and no measurement of anybody's cloud.
var profiles = map[string]behaviour{
	"ebs": {
		snapshotReadyAfter: 20 * time.Second,
		attachDelay:        5 * time.Second,
		slowReads:          20 * time.Second, readDelay: 5 * time.Millisecond,
		requestRate: 5, requestBurst: 20,
		maxVolumes: 25, maxSnapshots: 100,
		zone: "zone-a",
	},
}

// flags adds the settings to a command's flags.
func (b *behaviour) flags(f *flag.FlagSet) {
	f.Func("like", "act as other storage does: `PROFILE` is "+strings.Join(slices.Sorted(maps.Keys(profiles)), ", ")+"; flags after it change single settings", func(name string) error {
		profile, ok := profiles[name]
		if !ok {
			return fmt.Errorf("there is no such profile; it is one of %s", strings.Join(slices.Sorted(maps.Keys(profiles)), ", "))
		}
		*b = profile
		return nil
	})
	f.DurationVar(&b.snapshotReadyAfter, "snapshot-ready-after", 0, "how long a snapshot is not ready to use")
	f.DurationVar(&b.attachDelay, "attach-delay", 0, "how long the first publish of a volume takes, as if it were attached")
	f.DurationVar(&b.slowReads, "slow-reads", 0, "for how long reads of a volume that came from a snapshot are slow, from its first publish")
	f.DurationVar(&b.readDelay, "read-delay", 0, "what each slow read takes longer")
	f.Float64Var(&b.requestRate, "request-rate", 0, "requests to the controller that are answered a second; the others are told to come again")
	f.IntVar(&b.requestBurst, "request-burst", 0, "requests that may come at once beyond the rate")
	f.IntVar(&b.maxVolumes, "max-volumes", 0, "volumes that the node takes")
	f.IntVar(&b.maxSnapshots, "max-snapshots", 0, "snapshots that a volume may have")
	f.StringVar(&b.zone, "zone", "", "zone of the node, which its volumes never leave")
}

// wrong is what cannot be of the settings, nil if nothing.
func (b *behaviour) wrong() error {
	var wrong []error
	for name, negative := range map[string]bool{
		"--snapshot-ready-after": b.snapshotReadyAfter < 0, "--attach-delay": b.attachDelay < 0, "--slow-reads": b.slowReads < 0, "--read-delay": b.readDelay < 0,
		"--request-rate": b.requestRate < 0, "--request-burst": b.requestBurst < 0, "--max-volumes": b.maxVolumes < 0, "--max-snapshots": b.maxSnapshots < 0,
	} {
		if negative {
			wrong = append(wrong, fmt.Errorf("%s is negative", name))
		}
	}
	if (b.requestRate > 0) != (b.requestBurst > 0) {
		wrong = append(wrong, errors.New("--request-rate and --request-burst go together: with one alone all requests are refused, or none"))
	}
	if (b.slowReads > 0) != (b.readDelay > 0) {
		wrong = append(wrong, errors.New("--slow-reads and --read-delay go together: for how long, and what a read takes longer"))
	}
	return errors.Join(wrong...)
}

// zoneKey is the segment of a topology that names the zone.
const zoneKey = "topology." + driverName + "/zone"

// topology is what is said of a zone, nil for "".
func topology(zone string) *csi.Topology {
	if zone == "" {
		return nil
	}
	return &csi.Topology{Segments: map[string]string{zoneKey: zone}}
}

// within says whether a volume in the zone is where it was asked to be.
func within(zone string, asked *csi.TopologyRequirement) bool {
	if zone == "" || len(asked.GetRequisite()) == 0 {
		return true
	}
	return slices.ContainsFunc(asked.GetRequisite(), func(t *csi.Topology) bool { return t.GetSegments()[zoneKey] == zone })
}

// throttled refuses requests to the controller that come too often, as clouds do:
// their caller is to come again later.
func throttled(b behaviour) grpc.UnaryServerInterceptor {
	if b.requestRate == 0 {
		return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			return handler(ctx, req)
		}
	}
	limiter := rate.NewLimiter(rate.Limit(b.requestRate), b.requestBurst)
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		if asksStorage(req) && !limiter.Allow() {
			return nil, status.Errorf(codes.Unavailable, "%s: more than %g requests a second; come again", filepath.Base(info.FullMethod), b.requestRate)
		}
		return handler(ctx, req)
	}
}

// asksStorage says whether a cloud's driver would call its cloud for a request.
func asksStorage(req any) bool {
	switch req.(type) {
	case *csi.CreateVolumeRequest, *csi.DeleteVolumeRequest, *csi.CreateSnapshotRequest, *csi.DeleteSnapshotRequest,
		*csi.ListVolumesRequest, *csi.ListSnapshotsRequest:
		return true
	default:
		return false
	}
}
