package kubefake

import (
	"strings"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// Around is what a plugin has around it: the namespaces, and seed `seed` with a
// snapshot that is usable and an hour old. A storage location is the caller's.
func Around() []runtime.Object {
	var objects []runtime.Object
	for _, name := range []string{"argocd", "velero", "seedling", "seed", "kube-system", "default"} {
		objects = append(objects, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	digest, began := strings.Repeat("ab", 32), time.Now().Add(-time.Hour)
	return append(objects,
		&corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: "seed", Name: snapshot.RequestConfigMap},
			Data:       map[string]string{"dump": "s3://dumps/today", "policy-digest": digest, "key-id": "00aa"},
		},
		&velerov1.Backup{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "velero", Name: "seed-20260304050607-bbbbb", Labels: map[string]string{snapshot.LabelSeed: "seed"},
				Annotations: map[string]string{
					snapshot.AnnotationVolumes: "1", snapshot.AnnotationPolicyDigest: digest, snapshot.AnnotationKeyID: "00aa",
					snapshot.AnnotationDataTime: began.UTC().Format(time.RFC3339),
				},
			},
			Spec: velerov1.BackupSpec{IncludedNamespaces: []string{"seed"}, StorageLocation: "default"},
			Status: velerov1.BackupStatus{
				Phase: velerov1.BackupPhaseCompleted, StartTimestamp: &metav1.Time{Time: began},
				CSIVolumeSnapshotsAttempted: 1, CSIVolumeSnapshotsCompleted: 1,
			},
		})
}
