package pool

import (
	"errors"
	"testing"
)

func TestIDsAreNeverPaths(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "pvc-1", "../../etc", "a/b", "ü"} {
		if id := volumeID(name); !isVolumeID(id) {
			t.Errorf("volumeID(%q) = %q, which is none", name, id)
		}
	}
	for _, id := range []string{"", "vol-", "../etc", snapshotID("x"), volumeID("x") + "0", "vol-../../../../../../../../../../.."} {
		if isVolumeID(id) {
			t.Errorf("%q passes as a volume's ID", id)
		}
	}
}

func TestOpenRefusesAnotherFileSystem(t *testing.T) {
	t.Parallel()
	if _, err := Open(t.Context(), "/dev/shm"); !errors.Is(err, ErrNotBtrfs) {
		t.Errorf("got %v", err)
	}
}
