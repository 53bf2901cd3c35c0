package snapshot_test

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

func TestCheckSeedName(t *testing.T) {
	t.Parallel()
	longest := "seed-" + strings.Repeat("x", snapshot.MaxSeed-len("seed-"))
	for name, ok := range map[string]bool{
		"seed": true, "seed-a": true, "seed-shop-2": true, longest: true,
		"": false, "seed-": false, "seed-A": false, "seeds": false, "prod": false, "seed-a-": false, "seed--a": false, "seed.a": false, longest + "x": false,
	} {
		if err := snapshot.CheckSeedName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
	// Everything made from it fits where it is put: names of Applications and
	// Backups are values of labels too.
	for _, name := range []string{longest, longest + "-postgres", longest + "-data", snapshot.BackupName(longest, time.Now(), "abcde")} {
		for _, fault := range append(validation.IsValidLabelValue(name), validation.IsDNS1123Label(name)...) {
			t.Errorf("%q: %s", name, fault)
		}
	}
}

func TestBackupName(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	if got, want := snapshot.BackupName("seed-a", at, "x7k2p"), "seed-a-20260102020405-x7k2p"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, ok := snapshot.TimeOf("seed-a-20260102020405-x7k2p", "seed-a"); !ok || !got.Equal(at) {
		t.Errorf("it is of %s", got)
	}
	for _, name := range []string{"", "seed-a", "seed-a-x-y", "seed-20260102020405-x7k2p"} {
		if got, ok := snapshot.TimeOf(name, "seed-a"); ok {
			t.Errorf("%q is of %s", name, got)
		}
	}
}

func TestRestoreName(t *testing.T) {
	t.Parallel()
	longest := snapshot.PreviewPrefix + strings.Repeat("x", snapshot.MaxPreview-len(snapshot.PreviewPrefix))
	seen := map[string]bool{}
	for _, uid := range []types.UID{"one", "two"} {
		for _, chosen := range []string{"seed-1-a", "seed-1-b"} {
			for attempt := range 3 {
				name := snapshot.RestoreName(longest, uid, chosen, attempt)
				if seen[name] {
					t.Errorf("%s comes twice", name)
				}
				seen[name] = true
				if len(name) != 63 || !snapshot.RestoredInto(name, longest) {
					t.Errorf("%s (%d characters) is not read as a Restore into %s", name, len(name), longest)
				}
			}
		}
	}
	name := snapshot.RestoreName("preview-shop-7", "uid", "seed-1-a", 0)
	for _, other := range []string{"preview-shop", "preview-shop-77", "preview-shop-7-", ""} {
		if snapshot.RestoredInto(name, other) {
			t.Errorf("%s is read as a Restore into %q", name, other)
		}
	}
	for _, strange := range []string{"preview-shop-7", "preview-shop-7-0123456789a", "preview-shop-7-012345678g", "nightly"} {
		if snapshot.RestoredInto(strange, "preview-shop-7") {
			t.Errorf("%s is read as a Restore of ours", strange)
		}
	}
}
