package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/seedling-dev/seedling/e2e/csi-btrfs/pool"
)

// never is later than any test.
const never = time.Hour

func TestSnapshotIsReadyLate(t *testing.T) {
	t.Parallel()
	root := mountBtrfs(t)
	d := newDriverOf(t, config{root: root, behaviour: behaviour{snapshotReadyAfter: never}})
	v := d.createVolume("seed", nil)
	snap := d.snapshot("newest", v.GetVolumeId())
	if snap.GetReadyToUse() || d.snapshot("newest", v.GetVolumeId()).GetReadyToUse() {
		t.Error("the snapshot is ready at once")
	}
	list, err := d.controller.ListSnapshots(t.Context(), &csi.ListSnapshotsRequest{SnapshotId: snap.GetSnapshotId()})
	if err != nil || len(list.GetEntries()) != 1 || list.GetEntries()[0].GetSnapshot().GetReadyToUse() {
		t.Errorf("the list says %v, %v", list, err)
	}
	from := ofSnapshot(snap)
	_, err = d.controller.CreateVolume(t.Context(), create("early", from))
	wants(t, err, codes.Unavailable, "is not ready to use yet")

	d.restart(config{root: root}) // and now its time has come
	if again := d.snapshot("newest", v.GetVolumeId()); !again.GetReadyToUse() || again.GetSnapshotId() != snap.GetSnapshotId() {
		t.Errorf("later it is %v", again)
	}
	d.createVolume("early", from)
}

func TestReadyIsAMatterOfTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &controller{behaviour: profiles["ebs"]}
		s := pool.Snapshot{Created: time.Now()}
		time.Sleep(profiles["ebs"].snapshotReadyAfter - time.Nanosecond)
		if c.ready(s) {
			t.Error("ready too early")
		}
		time.Sleep(time.Nanosecond)
		if !c.ready(s) {
			t.Error("not ready in time")
		}
	})
}

// A publish that its caller gives up goes on where it was; a volume that a pod
// has comes to the next one at once.
func TestAttachTakesTime(t *testing.T) {
	t.Parallel()
	p, err := pool.Open(t.Context(), mountBtrfs(t))
	if err != nil {
		t.Fatal(err)
	}
	v, err := p.CreateVolume(t.Context(), "volume", "", gib, 0, pool.Source{})
	if err != nil {
		t.Fatal(err)
	}
	n := &node{pool: p, behaviour: behaviour{attachDelay: never}, attaching: map[string]time.Time{}}
	request := &csi.NodePublishVolumeRequest{VolumeId: v.ID, TargetPath: filepath.Join(t.TempDir(), "target"), VolumeCapability: capability}
	hurry, cancel := deadline(t, 10*time.Millisecond)
	defer cancel()
	_, err = n.NodePublishVolume(hurry, request)
	wants(t, err, codes.DeadlineExceeded, "still being attached")
	began := n.attaching[v.ID]
	if again, err := n.arrive(v.ID); err != nil || !again.Equal(began) || began.IsZero() {
		t.Errorf("it began at %v, and again at %v (%v)", began, again, err)
	}

	n.attaching[v.ID] = time.Now().Add(-never) // its time has come
	if _, err := n.NodePublishVolume(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unbind(request.GetTargetPath()); err != nil {
			t.Error(err)
		}
	})
	if len(n.attaching) > 0 {
		t.Errorf("it is mounted, and still on its way: %v", n.attaching)
	}
	// Another process, for which nothing is on its way: the volume is here.
	n = &node{pool: p, behaviour: behaviour{attachDelay: never}, attaching: map[string]time.Time{}}
	hurry, cancel = deadline(t, time.Minute)
	defer cancel()
	if _, err := n.NodePublishVolume(hurry, request); err != nil {
		t.Errorf("a volume that a pod has is not there at once: %v", err)
	}
}

func TestNodeTakesSoManyVolumes(t *testing.T) {
	t.Parallel()
	d := newDriverOf(t, config{root: mountBtrfs(t), behaviour: behaviour{maxVolumes: 2}})
	info, err := d.node.NodeGetInfo(t.Context(), &csi.NodeGetInfoRequest{})
	if err != nil || info.GetMaxVolumesPerNode() != 2 {
		t.Errorf("the node says %v, %v", info, err)
	}
	one, two, three := d.createVolume("one", nil).GetVolumeId(), d.createVolume("two", nil).GetVolumeId(), d.createVolume("three", nil).GetVolumeId()
	d.publish(one, "one", false)
	d.publish(one, "one-again", false)
	target := d.publish(two, "two", false)
	request := &csi.NodePublishVolumeRequest{VolumeId: three, TargetPath: filepath.Join(d.targets, "three"), VolumeCapability: capability}
	_, err = d.node.NodePublishVolume(t.Context(), request)
	wants(t, err, codes.ResourceExhausted, "has 2 volumes already")
	d.restart(d.config) // mounts outlive the driver
	_, err = d.node.NodePublishVolume(t.Context(), request)
	wants(t, err, codes.ResourceExhausted, "has 2 volumes already")
	d.unpublish(two, target)
	d.publish(three, "three", false)
}

func TestVolumeHasSoManySnapshots(t *testing.T) {
	t.Parallel()
	d := newDriverOf(t, config{root: mountBtrfs(t), behaviour: behaviour{maxSnapshots: 1}})
	v, other := d.createVolume("volume", nil).GetVolumeId(), d.createVolume("other", nil).GetVolumeId()
	first := d.snapshot("first", v)
	d.snapshot("first", v)
	d.snapshot("of-the-other", other)
	_, err := d.controller.CreateSnapshot(t.Context(), &csi.CreateSnapshotRequest{Name: "second", SourceVolumeId: v})
	wants(t, err, codes.ResourceExhausted, "has 1 already")
	d.deleteSnapshot(first.GetSnapshotId())
	d.snapshot("second", v)
}

func TestRequestsAreRefusedAboveTheRate(t *testing.T) {
	t.Parallel()
	d := newDriverOf(t, config{root: mountBtrfs(t), behaviour: behaviour{requestRate: 1e-9, requestBurst: 2}})
	v := d.createVolume("one", nil).GetVolumeId()
	d.createVolume("two", nil)
	_, err := d.controller.CreateVolume(t.Context(), create("three", nil))
	wants(t, err, codes.Unavailable, "come again")
	_, err = d.controller.DeleteVolume(t.Context(), &csi.DeleteVolumeRequest{VolumeId: v})
	wants(t, err, codes.Unavailable, "come again")
	d.publish(v, "one", false) // what asks no storage goes on
}

func TestVolumesStayInTheirZone(t *testing.T) {
	t.Parallel()
	root := mountBtrfs(t)
	d := newDriverOf(t, config{root: root, behaviour: behaviour{zone: "a"}})
	at := func(zone string) *csi.TopologyRequirement {
		return &csi.TopologyRequirement{Requisite: []*csi.Topology{topology(zone)}}
	}
	request := create("volume", nil)
	request.AccessibilityRequirements = at("b")
	_, err := d.controller.CreateVolume(t.Context(), request)
	wants(t, err, codes.ResourceExhausted, "outside of a")

	request.AccessibilityRequirements = at("a")
	made, err := d.controller.CreateVolume(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if got := made.GetVolume().GetAccessibleTopology(); len(got) != 1 || got[0].GetSegments()[zoneKey] != "a" {
		t.Errorf("the volume is in %v", got)
	}
	info, err := d.node.NodeGetInfo(t.Context(), &csi.NodeGetInfoRequest{})
	if err != nil || info.GetAccessibleTopology().GetSegments()[zoneKey] != "a" {
		t.Errorf("the node says %v, %v", info, err)
	}
	if can, err := d.identity.GetPluginCapabilities(t.Context(), &csi.GetPluginCapabilitiesRequest{}); err != nil || len(can.GetCapabilities()) != 2 {
		t.Errorf("the driver does not say that it has zones: %v, %v", can, err)
	}
	// A copy of its snapshot may be in another zone, itself may not.
	snap := d.snapshot("snapshot", made.GetVolume().GetVolumeId())
	d.restart(config{root: root, behaviour: behaviour{zone: "b"}})
	_, err = d.node.NodePublishVolume(t.Context(), &csi.NodePublishVolumeRequest{
		VolumeId: made.GetVolume().GetVolumeId(), TargetPath: filepath.Join(d.targets, "wrong"), VolumeCapability: capability,
	})
	wants(t, err, codes.FailedPrecondition, "it is in a, and this node in b")
	d.publish(d.createVolume("copy", ofSnapshot(snap)).GetVolumeId(), "copy", false)
}

// Reads of what came from a snapshot are slow from its first publish, for a while;
// those of other volumes are not.
func TestReadsOfAFreshVolumeAreSlow(t *testing.T) {
	t.Parallel()
	root := mountBtrfs(t)
	p, err := pool.Open(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	reads, err := newSlowReads(behaviour{slowReads: never, readDelay: time.Millisecond}, root, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reads.Close() })
	file := func(name string) string {
		t.Helper()
		v, err := p.CreateVolume(t.Context(), name, "", gib, 0, pool.Source{})
		if err != nil {
			t.Fatal(err)
		}
		dir, err := p.Path(v.ID)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "file")
		if err := os.WriteFile(path, []byte("block"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	fresh, other := file("fresh"), file("other")
	read := func(path string) int64 {
		t.Helper()
		before := reads.delayed.Load()
		if got, err := os.ReadFile(path); err != nil || string(got) != "block" {
			t.Errorf("read %q, %v", got, err)
		}
		return reads.delayed.Load() - before
	}
	if n := read(fresh); n > 0 {
		t.Errorf("%d reads waited before it was published", n)
	}
	if err := reads.begin(filepath.Dir(fresh)); err != nil {
		t.Fatal(err)
	}
	if n := read(fresh); n == 0 {
		t.Error("no read waited")
	}
	if n := read(other); n > 0 {
		t.Errorf("%d reads of another volume waited", n)
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Dir(fresh), &st); err != nil {
		t.Fatal(err)
	}
	reads.end(st.Dev)
	if n := read(fresh); n > 0 {
		t.Errorf("%d reads waited when its time was over", n)
	}
}

// A driver that is started again finds its volumes as pods use them.
func TestRestartWithVolumesInUse(t *testing.T) {
	t.Parallel()
	for name, b := range map[string]behaviour{"at once": {}, "like EBS": quick("ebs")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDriverOf(t, config{root: mountBtrfs(t), behaviour: b})
			v := d.createVolume("volume", nil).GetVolumeId()
			target := d.publish(v, "target", false)
			open, err := os.Create(filepath.Join(target, "row"))
			if err != nil {
				t.Fatal(err)
			}
			defer open.Close()
			d.restart(d.config)
			if _, err := open.WriteString("written across a restart"); err != nil {
				t.Error(err)
			}
			d.publish(v, "target", false) // the kubelet asks again
			if got := d.read(target, "row"); got != "written across a restart" {
				t.Errorf("it holds %q", got)
			}
			snap := d.snapshot("newest", v)
			open.Close()
			d.unpublish(v, target)
			d.deleteVolume(v)
			d.deleteSnapshot(snap.GetSnapshotId())
		})
	}
}

// A full file system refuses what is new, makes nothing of it in part, shows and
// deletes what is there, and goes on when there is room.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	root := mountBtrfs(t, "--mixed", "--byte-count", "64M") // data and metadata in one: full for both
	d := newDriverOf(t, config{root: root})
	v := d.createVolume("seed", nil).GetVolumeId()
	target := d.publish(v, "seed", false)
	d.write(target, "row", "masked")
	snap := d.snapshot("newest", v)
	fill(t, filepath.Join(root, "filler"))

	var refused []string
	for i := range 2000 { // some of the first may still fit
		name := fmt.Sprintf("preview-%d", i)
		if _, err := d.controller.CreateVolume(t.Context(), create(name, ofSnapshot(snap))); err != nil {
			wants(t, err, codes.ResourceExhausted, "the file system is full")
			refused = append(refused, name)
			break
		}
	}
	if len(refused) == 0 {
		t.Fatal("a full file system refuses nothing")
	}
	list, err := d.controller.ListVolumes(t.Context(), &csi.ListVolumesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list.GetEntries() {
		if id := e.GetVolume().GetVolumeId(); id != v {
			d.deleteVolume(id)
		}
	}
	entries, err := os.ReadDir(filepath.Join(root, "volumes"))
	if err != nil || len(entries) != 2 {
		t.Errorf("besides the seed's volume and its record there is something: %v, %v", entries, err)
	}
	if got := d.read(target, "row"); got != "masked" {
		t.Errorf("the seed's row is %q", got)
	}
	if err := os.Remove(filepath.Join(root, "filler")); err != nil {
		t.Fatal(err)
	}
	restored := d.createVolume(refused[0], ofSnapshot(snap)).GetVolumeId()
	if got := d.read(d.publish(restored, "restored", false), "row"); got != "masked" {
		t.Errorf("the restored row is %q", got)
	}
}

// fill writes a file until there is no room.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 20, 4 << 10} {
		block := bytes.Repeat([]byte{0xa5}, size)
		for err = nil; err == nil; {
			if _, err = f.Write(block); err == nil && size < 1<<20 {
				err = f.Sync()
			}
		}
		if !strings.Contains(err.Error(), unix.ENOSPC.Error()) {
			t.Fatal(err)
		}
	}
}

// quick are the settings of a profile, with short times.
func quick(profile string) behaviour {
	b := profiles[profile]
	b.snapshotReadyAfter, b.attachDelay, b.slowReads = 500*time.Millisecond, 50*time.Millisecond, time.Second
	return b
}

func ofSnapshot(s *csi.Snapshot) *csi.VolumeContentSource {
	return &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Snapshot{
		Snapshot: &csi.VolumeContentSource_SnapshotSource{SnapshotId: s.GetSnapshotId()},
	}}
}

func create(name string, from *csi.VolumeContentSource) *csi.CreateVolumeRequest {
	return &csi.CreateVolumeRequest{Name: name, VolumeContentSource: from, VolumeCapabilities: []*csi.VolumeCapability{capability}}
}

// wants an error of that code with that text.
func wants(t *testing.T, err error, code codes.Code, text string) {
	t.Helper()
	if status.Code(err) != code || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want %s and %q", err, code, text)
	}
}

func TestProfiles(t *testing.T) {
	t.Parallel()
	good := []string{"--endpoint=unix:///tmp/csi.sock", "--root=/pool", "--node-id=node"}
	c, err := parse(append(good, "--like=ebs", "--attach-delay=1s"), io.Discard)
	want := profiles["ebs"]
	want.attachDelay = time.Second
	if err != nil || c.behaviour != want {
		t.Errorf("--like=ebs with another delay is %+v, %v", c.behaviour, err)
	}
	if c, err := parse(good, io.Discard); err != nil || c.behaviour != (behaviour{}) {
		t.Errorf("without flags it is %+v, %v", c.behaviour, err)
	}
	for name, b := range profiles {
		if err := b.wrong(); err != nil {
			t.Errorf("profile %s: %v", name, err)
		}
	}
}

// comesAgain makes a client come again where the storage says so, as the sidecars do.
var comesAgain = grpc.WithDefaultServiceConfig(`{"methodConfig": [{"name": [{}], "retryPolicy": {
	"maxAttempts": 5, "initialBackoff": "1s", "maxBackoff": "2s", "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`)
