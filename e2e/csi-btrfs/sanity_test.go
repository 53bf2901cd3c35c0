package main

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/kubernetes-csi/csi-test/v5/pkg/sanity"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

var sanityLike = flag.String("sanity-like", "", "the `profile` with which TestSanity runs")

// TestSanity runs the suite by which Kubernetes judges a CSI driver.
func TestSanity(t *testing.T) {
	t.Parallel()
	var b behaviour
	if *sanityLike != "" {
		b = quick(*sanityLike)
	}
	passes(t, b)
}

// TestSanityLikeEBS runs it with the limits of a block store. The suite asks once
// and waits for nothing: its times are short here, and its client comes again.
func TestSanityLikeEBS(t *testing.T) {
	t.Parallel()
	// A process runs one suite.
	suite := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSanity$", "-sanity-like=ebs")
	if out, err := suite.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func passes(t *testing.T, b behaviour) {
	t.Helper()
	dir := shortDir(t)
	socket := filepath.Join(dir, "csi.sock")
	startDriver(t, config{socket: socket, root: mountBtrfs(t), node: "node", behaviour: b})

	c := sanity.NewTestConfig()
	c.Address = "unix://" + socket
	c.DialOptions = []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials()), comesAgain}
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
