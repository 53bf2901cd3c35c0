package snapshot

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/api/resource"
)

// HandlesConfigMap is where seed-backup writes, in the plugin's namespace, what
// of a snapshot is needed to make volumes from it without Velero: a Volume for
// each Backup's name. The admission policies read it too.
const HandlesConfigMap = "seedling-handles"

// VeleroBackupLabel names the Backup that a VolumeSnapshot was made for.
const VeleroBackupLabel = "velero.io/backup-name"

// Volume is a snapshot as its storage driver knows it.
type Volume struct {
	// Driver and Handle name it: the driver's name, and the driver's name for it.
	Driver, Handle string
	// Size is what a volume made from it needs at least.
	Size resource.Quantity
	// StorageClass is the class of the seed's claim, SnapshotClass the one that
	// Velero took the snapshot with, "" where there is none.
	StorageClass, SnapshotClass string
}

// noClass stands for an empty SnapshotClass.
const noClass = "-"

// Check says why nothing can be made from a volume.
func (v Volume) Check() error {
	var wrong []error
	for what, value := range map[string]string{"driver": v.Driver, "handle": v.Handle, "storage class": v.StorageClass, "snapshot class": v.SnapshotClass} {
		switch {
		case value == "" && what != "snapshot class":
			wrong = append(wrong, fmt.Errorf("it has no %s", what))
		case strings.ContainsFunc(value, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }):
			wrong = append(wrong, fmt.Errorf("its %s has a space in it", what))
		}
	}
	if v.Size.Sign() <= 0 {
		wrong = append(wrong, errors.New("it has no size"))
	}
	return errors.Join(wrong...)
}

// String is how a volume is written: its parts in one line, parted by spaces.
// The admission policy of contents compares the first two and the last.
func (v Volume) String() string {
	class := v.SnapshotClass
	if class == "" {
		class = noClass
	}
	return strings.Join([]string{v.Driver, v.Handle, v.Size.String(), v.StorageClass, class}, " ")
}

// ParseVolume reads what String wrote.
func ParseVolume(text string) (Volume, error) {
	parts := strings.Split(text, " ")
	if len(parts) != 5 {
		return Volume{}, fmt.Errorf("%q is not driver, handle, size, storage class and snapshot class", text)
	}
	size, err := resource.ParseQuantity(parts[2])
	if err != nil {
		return Volume{}, fmt.Errorf("%q: its size: %w", text, err)
	}
	v := Volume{Driver: parts[0], Handle: parts[1], Size: size, StorageClass: parts[3], SnapshotClass: parts[4]}
	if v.SnapshotClass == noClass {
		v.SnapshotClass = ""
	}
	if err := v.Check(); err != nil {
		return Volume{}, fmt.Errorf("%q: %w", text, err)
	}
	return v, nil
}
