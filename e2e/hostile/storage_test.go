package hostile

import (
	"context"
	"fmt"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/e2e/platform"
)

// storageAvailable is an error until Velero has looked at its storage after the
// given time, and a final one if it found it away. Velero looks once a minute.
func storageAvailable(ctx context.Context, since time.Time) error {
	var location velerov1.BackupStorageLocation
	if err := world.Kube.Get(ctx, client.ObjectKey{Namespace: platform.VeleroNamespace, Name: "default"}, &location); err != nil {
		return err
	}
	looked := location.Status.LastValidationTime
	switch {
	case looked == nil || looked.Time.Before(since):
		return fmt.Errorf("Velero looked last at %v", looked)
	case location.Status.Phase != velerov1.BackupStorageLocationPhaseAvailable:
		return platform.Final(fmt.Errorf("the storage location is %q: %s", location.Status.Phase, location.Status.Message))
	}
	return nil
}
