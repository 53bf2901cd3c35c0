package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"

	"github.com/seedling-dev/seedling/e2e/csi-btrfs/pool"
)

func TestSnapshotHoldsItsMomentAndOutlivesItsVolume(t *testing.T) {
	t.Parallel()
	d := newDriver(t)

	seed := d.createVolume("seed", nil)
	target := d.publish(seed.GetVolumeId(), "seed", false)
	d.write(target, "row", "masked")
	snap := d.snapshot("newest", seed.GetVolumeId())
	if !snap.GetReadyToUse() {
		t.Error("the snapshot is not ready to use at once")
	}
	if got, want := snap.GetSizeBytes(), seed.GetCapacityBytes(); got != want {
		t.Errorf("the snapshot's size is %d, the volume's %d", got, want)
	}
	d.write(target, "row", "later")
	d.unpublish(seed.GetVolumeId(), target)
	d.deleteVolume(seed.GetVolumeId())

	// Two restores of one snapshot, after its volume has gone.
	from := &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Snapshot{
		Snapshot: &csi.VolumeContentSource_SnapshotSource{SnapshotId: snap.GetSnapshotId()},
	}}
	a, b := d.createVolume("preview-a", from), d.createVolume("preview-b", from)
	d.deleteSnapshot(snap.GetSnapshotId())
	inA, inB := d.publish(a.GetVolumeId(), "a", false), d.publish(b.GetVolumeId(), "b", false)
	for _, dir := range []string{inA, inB} {
		if got := d.read(dir, "row"); got != "masked" {
			t.Errorf("restored row is %q, want the snapshot's", got)
		}
	}
	d.write(inA, "row", "a developer's")
	if got := d.read(inB, "row"); got != "masked" {
		t.Errorf("a write into one restore shows in the other: %q", got)
	}
}

func TestCloneIsIndependent(t *testing.T) {
	t.Parallel()
	d := newDriver(t)
	v := d.createVolume("original", nil)
	target := d.publish(v.GetVolumeId(), "original", false)
	d.write(target, "row", "one")
	clone := d.createVolume("clone", &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Volume{
		Volume: &csi.VolumeContentSource_VolumeSource{VolumeId: v.GetVolumeId()},
	}})
	d.write(target, "row", "two")
	if got := d.read(d.publish(clone.GetVolumeId(), "clone", false), "row"); got != "one" {
		t.Errorf("the clone says %q", got)
	}
}

func TestPublishReadOnly(t *testing.T) {
	t.Parallel()
	d := newDriver(t)
	v := d.createVolume("volume", nil)
	target := d.publish(v.GetVolumeId(), "read-only", true)
	if err := os.WriteFile(filepath.Join(target, "row"), nil, 0o600); !errors.Is(err, unix.EROFS) {
		t.Errorf("a write into a read-only mount: %v", err)
	}
}

func TestPublishRefusesATargetThatShowsAnotherVolume(t *testing.T) {
	t.Parallel()
	d := newDriver(t)
	target := d.publish(d.createVolume("one", nil).GetVolumeId(), "target", false)
	_, err := d.node.NodePublishVolume(t.Context(), &csi.NodePublishVolumeRequest{
		VolumeId: d.createVolume("other", nil).GetVolumeId(), TargetPath: target, VolumeCapability: capability,
	})
	if err == nil || !strings.Contains(err.Error(), "shows something else") {
		t.Errorf("got %v", err)
	}
}

func TestSizesAreWholeGiB(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		required, limit, want int64
		fails                 bool
	}{
		{want: gib},
		{required: 1, want: gib},
		{required: gib, want: gib},
		{required: gib + 1, want: 2 * gib},
		{required: gib + 1, limit: 2 * gib, want: 2 * gib},
		{required: gib + 1, limit: 2*gib - 1, fails: true},
		{limit: gib - 1, fails: true},
		{required: -1, fails: true},
		{required: 1 << 62, fails: true},
	} {
		got, err := size(&csi.CapacityRange{RequiredBytes: c.required, LimitBytes: c.limit})
		if got != c.want || (err != nil) != c.fails {
			t.Errorf("size(%d..%d) = %d, %v", c.required, c.limit, got, err)
		}
	}
}

func TestListSnapshotsPagesNeitherRepeatNorSkip(t *testing.T) {
	t.Parallel()
	d := newDriver(t)
	v := d.createVolume("volume", nil)
	want := map[string]bool{}
	for i := range 5 {
		want[d.snapshot(fmt.Sprint("snapshot-", i), v.GetVolumeId()).GetSnapshotId()] = true
	}
	var token string
	for range 10 {
		page, err := d.controller.ListSnapshots(t.Context(), &csi.ListSnapshotsRequest{MaxEntries: 2, StartingToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.GetEntries() {
			id := e.GetSnapshot().GetSnapshotId()
			if !want[id] {
				t.Errorf("%s came twice, or is not ours", id)
			}
			delete(want, id)
		}
		if token = page.GetNextToken(); token == "" {
			break
		}
		// The snapshot that the token names may be gone when the next page is asked for.
		d.deleteSnapshot(strings.TrimPrefix(token, tokenPrefix))
	}
	if len(want) > 0 {
		t.Errorf("never listed: %v", want)
	}
}

func TestOpenClearsAwayWhatAnInterruptedCallLeft(t *testing.T) {
	t.Parallel()
	root := mountBtrfs(t)
	p, err := pool.Open(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := p.CreateVolume(t.Context(), "kept", "", gib, 0, pool.Source{})
	if err != nil {
		t.Fatal(err)
	}
	orphan := filepath.Join(root, "volumes", "vol-00000000000000000000000000000000")
	command(t, "btrfs", "subvolume", "create", orphan)
	if err := os.WriteFile(orphan+".json.new", []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err = pool.Open(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(orphan + "*"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if all, err := p.Volumes(); err != nil || len(all) != 1 || all[0] != kept {
		t.Errorf("volumes %v, %v; want only %v", all, err, kept)
	}
}

func TestRegistration(t *testing.T) {
	t.Parallel()
	root, dir := mountBtrfs(t), shortDir(t)
	c := config{socket: filepath.Join(dir, "csi.sock"), root: root, node: "node", registration: dir}
	ended := startDriver(t, c)

	conn := dial(t, filepath.Join(dir, driverName+"-reg.sock"))
	client := registration.NewRegistrationClient(conn)
	info, err := client.GetInfo(t.Context(), &registration.InfoRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if info.Type != "CSIPlugin" || info.Name != driverName || info.Endpoint != c.socket {
		t.Errorf("the driver introduces itself as %v", info)
	}
	if _, err := client.NotifyRegistrationStatus(t.Context(), &registration.RegistrationStatus{PluginRegistered: true}); err != nil {
		t.Fatal(err)
	}
	// Refused: it ends, so that whoever runs it starts it over. The reply itself may be lost to that.
	_, _ = client.NotifyRegistrationStatus(t.Context(), &registration.RegistrationStatus{Error: "no node yet"})
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "no node yet") {
		t.Errorf("after a refusal the driver ended with %v", err)
	}
}

func TestBadFlags(t *testing.T) {
	t.Parallel()
	good := []string{"--endpoint=unix:///tmp/csi.sock", "--root=/pool", "--node-id=node"}
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "--endpoint"},
		{nil, "--root is missing"},
		{nil, "--node-id is missing"},
		{append(good, "--endpoint=tcp://x"), "want unix:///"},
		{append(good, "--endpoint=unix://relative"), "want unix:///"},
		{append(good, "extra"), `unexpected argument "extra"`},
		{append(good, "--root=/proc"), "not on btrfs"},
		{[]string{"--nonsense"}, "nonsense"},
		{append(good, "--like=tape"), "it is one of ebs"},
		{append(good, "--attach-delay=-1s"), "--attach-delay is negative"},
		{append(good, "--request-rate=5"), "--request-burst"},
		{append(good, "--slow-reads=5s"), "--read-delay"},
	} {
		var stderr bytes.Buffer
		if code := run(t.Context(), c.args, &stderr); code != exitMisconfigured {
			t.Errorf("%v: exit code %d", c.args, code)
		}
		if !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%v: says %q, which lacks %q", c.args, stderr.String(), c.want)
		}
	}
}

// driver is a running driver with its clients.
type driver struct {
	*testing.T
	identity   csi.IdentityClient
	controller csi.ControllerClient
	node       csi.NodeClient
	targets    string
	config     config
	end        func()
}

func newDriver(t *testing.T) *driver {
	t.Helper()
	return newDriverOf(t, config{root: mountBtrfs(t)})
}

// newDriverOf runs a driver of the given configuration.
func newDriverOf(t *testing.T, c config) *driver {
	t.Helper()
	d := &driver{T: t, targets: t.TempDir()}
	d.run(c)
	return d
}

// restart ends the driver and runs one of another configuration.
func (d *driver) restart(c config) {
	d.Helper()
	d.end()
	d.run(c)
}

func (d *driver) run(c config) {
	d.Helper()
	c.socket, c.node = filepath.Join(shortDir(d.T), "csi.sock"), "node"
	_, d.end = startDriverUntil(d.T, c)
	conn := dial(d.T, c.socket)
	d.config, d.identity, d.controller, d.node = c, csi.NewIdentityClient(conn), csi.NewControllerClient(conn), csi.NewNodeClient(conn)
}

var capability = &csi.VolumeCapability{
	AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{}},
	AccessMode: &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER},
}

func (d *driver) createVolume(name string, from *csi.VolumeContentSource) *csi.Volume {
	d.Helper()
	resp, err := d.controller.CreateVolume(d.Context(), &csi.CreateVolumeRequest{
		Name: name, VolumeContentSource: from, VolumeCapabilities: []*csi.VolumeCapability{capability},
	})
	if err != nil {
		d.Fatal(err)
	}
	return resp.GetVolume()
}

func (d *driver) deleteVolume(id string) {
	d.Helper()
	if _, err := d.controller.DeleteVolume(d.Context(), &csi.DeleteVolumeRequest{VolumeId: id}); err != nil {
		d.Fatal(err)
	}
}

func (d *driver) snapshot(name, volume string) *csi.Snapshot {
	d.Helper()
	resp, err := d.controller.CreateSnapshot(d.Context(), &csi.CreateSnapshotRequest{Name: name, SourceVolumeId: volume})
	if err != nil {
		d.Fatal(err)
	}
	return resp.GetSnapshot()
}

func (d *driver) deleteSnapshot(id string) {
	d.Helper()
	if _, err := d.controller.DeleteSnapshot(d.Context(), &csi.DeleteSnapshotRequest{SnapshotId: id}); err != nil {
		d.Fatal(err)
	}
}

// publish mounts a volume, until the test ends, at a directory called name, and returns that directory.
func (d *driver) publish(volume, name string, readonly bool) string {
	d.Helper()
	target := filepath.Join(d.targets, name)
	if _, err := d.node.NodePublishVolume(d.Context(), &csi.NodePublishVolumeRequest{
		VolumeId: volume, TargetPath: target, VolumeCapability: capability, Readonly: readonly,
	}); err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() {
		if err := unbind(target); err != nil {
			d.Error(err)
		}
	})
	return target
}

func (d *driver) unpublish(volume, target string) {
	d.Helper()
	if _, err := d.node.NodeUnpublishVolume(d.Context(), &csi.NodeUnpublishVolumeRequest{VolumeId: volume, TargetPath: target}); err != nil {
		d.Fatal(err)
	}
}

func (d *driver) write(dir, name, content string) {
	d.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		d.Fatal(err)
	}
}

func (d *driver) read(dir, name string) string {
	d.Helper()
	content, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		d.Fatal(err)
	}
	return string(content)
}

// startDriver serves until the test ends and delivers what serve returned.
func startDriver(t *testing.T, c config) <-chan error {
	t.Helper()
	ended, _ := startDriverUntil(t, c)
	return ended
}

// startDriverUntil is startDriver, and ends it when end is called.
func startDriverUntil(t *testing.T, c config) (ended <-chan error, end func()) {
	t.Helper()
	p, err := pool.Open(t.Context(), c.root)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	result, done := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		result <- serve(ctx, c, p, quiet())
	}()
	end = func() { cancel(); <-done }
	t.Cleanup(end)
	return result, end
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// deadline is the test's context with an end.
func deadline(t *testing.T, after time.Duration) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), after)
}

func dial(t *testing.T, socket string) *grpc.ClientConn {
	t.Helper()
	// The server makes the socket when it gets to it; the first call waits for that.
	conn, err := grpc.NewClient("unix://"+socket,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)),
		grpc.WithIdleTimeout(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return conn
}

// mountBtrfs makes a btrfs file system of its own for the test, with options of mkfs. That takes root and loop devices; CI
// must have both.
func mountBtrfs(t *testing.T, options ...string) string {
	t.Helper()
	missing := t.Skip
	if os.Getenv("CI") != "" {
		missing = t.Fatal
	}
	if os.Geteuid() != 0 {
		missing("needs root to mount a file system")
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		missing("needs loop devices: ", err)
	}
	image, dir := filepath.Join(t.TempDir(), "btrfs"), t.TempDir()
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, gib); err != nil {
		t.Fatal(err)
	}
	command(t, "mkfs.btrfs", append(options, "-q", image)...)
	command(t, "mount", "-o", "loop", image, dir)
	t.Cleanup(func() {
		// The kernel may still be clearing away deleted subvolumes.
		for range 600 {
			if err := unix.Unmount(dir, 0); err == nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Errorf("%s stays mounted", dir)
	})
	return dir
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}
