package snapshot_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

func TestVolumeIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	for _, v := range []snapshot.Volume{
		{Driver: "ebs.csi.aws.com", Handle: "snap-0123", Size: resource.MustParse("100Gi"), StorageClass: "gp3", SnapshotClass: "ebs"},
		{Driver: "disk.csi.azure.com", Handle: "/subscriptions/a/resourceGroups/b/providers/Microsoft.Compute/snapshots/c", Size: resource.MustParse("5000000001"), StorageClass: "managed"},
	} {
		got, err := snapshot.ParseVolume(v.String())
		if err != nil {
			t.Errorf("%s: %v", v, err)
		}
		if got.Size.Cmp(v.Size) != 0 {
			t.Errorf("the size of %s is %s", v, got.Size.String())
		}
		got.Size = v.Size
		if got != v {
			t.Errorf("%s became %s", v, got)
		}
	}
}

func TestVolumeThatNothingCanBeMadeFrom(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "a", "a b 1Gi c", "a b 1Gi c d e", " b 1Gi c d", "a  1Gi c d", "a b 1Gi  d", "a b 0 c d", "a b -1 c d", "a b much c d", "a b\tx 1Gi c d", "a b\u00a0x 1Gi c d", "a b 1Gi c d\n",
	} {
		if v, err := snapshot.ParseVolume(text); err == nil {
			t.Errorf("%q is %+v", text, v)
		}
	}
	if err := (snapshot.Volume{Driver: "d", Handle: "two words", Size: resource.MustParse("1Gi"), StorageClass: "c"}).Check(); err == nil {
		t.Error("a handle of two words can be written")
	}
}

func TestBackupOf(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"seed-20260304050607-bbbbb": true, "seed-x-20260304050607-bbbbb": false, "seed-2026030405060-bbbbb": false,
		"seed-20260304050607-": false, "seed-20260304050607-b-b": false, "other-20260304050607-bbbbb": false, "": false,
	} {
		if got := snapshot.BackupOf(name, "seed"); got != want {
			t.Errorf("BackupOf(%q) is %v", name, got)
		}
	}
}
