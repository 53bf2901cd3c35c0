package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/kubernetes-csi/csi-test/v5/pkg/sanity"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// TestSanity runs the suite by which Kubernetes judges a CSI driver.
func TestSanity(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	socket := filepath.Join(dir, "csi.sock")
	startDriver(t, config{socket: socket, root: mountBtrfs(t), node: "node"})

	c := sanity.NewTestConfig()
	c.Address = "unix://" + socket
	c.DialOptions = []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	c.ControllerDialOptions = c.DialOptions
	c.TargetPath = filepath.Join(dir, "target")
	c.StagingPath = filepath.Join(dir, "staging")
	sanity.Test(t, c)
}

// shortDir is for sockets: their paths end at 107 bytes, and t.TempDir spells out the test's name.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "csi") //nolint:usetesting // t.TempDir is what is too long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
