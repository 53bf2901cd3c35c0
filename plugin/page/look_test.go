package page

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/argocd"
	"github.com/seedling-dev/seedling/plugin/preview"
	"github.com/seedling-dev/seedling/plugin/probe"
)

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

func backup(name string, phase velerov1.BackupPhase, at time.Time) *velerov1.Backup {
	b := &velerov1.Backup{ObjectMeta: meta("velero", name), Spec: velerov1.BackupSpec{IncludedNamespaces: []string{"seed"}}}
	b.Labels = map[string]string{snapshot.LabelSeed: "seed"}
	b.Annotations = map[string]string{
		snapshot.AnnotationKept: "public.users.city", snapshot.AnnotationVolumes: "1", snapshot.AnnotationPolicyDigest: strings.Repeat("ab", 32), snapshot.AnnotationKeyID: "00",
		snapshot.AnnotationDataTime: at.UTC().Format(time.RFC3339), snapshot.AnnotationVerified: "sampled",
	}
	b.Status = velerov1.BackupStatus{Phase: phase, StartTimestamp: &metav1.Time{Time: at}, CSIVolumeSnapshotsAttempted: 1, CSIVolumeSnapshotsCompleted: 1}
	return b
}

// What the cluster knows is read while somebody looks, and no more of it than the
// budget allows; what cannot be read is said and takes nothing else away.
func TestLooker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		scheme := runtime.NewScheme()
		for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, batchv1.AddToScheme, velerov1.AddToScheme, argocd.AddToScheme} {
			if err := add(scheme); err != nil {
				t.Fatal(err)
			}
		}
		objects := []client.Object{
			backup("seed-20260304030000-abcde", velerov1.BackupPhaseCompleted, begin.Add(-time.Hour)), backup("seed-20260303030000-abcde", velerov1.BackupPhaseFailed, begin.Add(-25*time.Hour)),
			&corev1.ConfigMap{ObjectMeta: meta("seed", snapshot.RequestConfigMap), Data: map[string]string{"dump": "s3://d/x", "policy-digest": strings.Repeat("ab", 32), "key-id": "00"}},
			&argocd.Application{ObjectMeta: meta("argocd", "seed-data"), Status: argocd.ApplicationStatus{OperationState: &argocd.OperationState{
				Phase: "Failed", FinishedAt: &metav1.Time{Time: begin.Add(-time.Hour)}, Message: "a message that quotes secrets",
			}}},
			&batchv1.CronJob{
				ObjectMeta: metav1.ObjectMeta{Namespace: "argocd", Name: "seed-refresh", Labels: map[string]string{"app.kubernetes.io/part-of": "seedling"}},
				Spec: batchv1.CronJobSpec{Schedule: "0 3 * * *", JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
					Containers: []corev1.Container{{Args: []string{"patch", "application", "seed-data"}}},
				}}}}},
			},
		}
		var live []preview.Preview
		for n := range 10 {
			name := fmt.Sprintf("preview-%02d", n)
			live = append(live, preview.Preview{Namespace: name, Phase: preview.Live})
			objects = append(objects, &corev1.ResourceQuota{ObjectMeta: meta(name, preview.GuardName), Status: corev1.ResourceQuotaStatus{Used: corev1.ResourceList{
				"requests.cpu": resource.MustParse("350m"), "requests.memory": resource.MustParse("640Mi"), "requests.storage": resource.MustParse("1200Mi"),
			}}})
		}
		live = append(live, preview.Preview{Namespace: "preview-held", Phase: preview.Held})
		calls, broken := 0, false
		kube := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
			Get: func(ctx context.Context, c client.WithWatch, k client.ObjectKey, o client.Object, opts ...client.GetOption) error {
				calls++
				return c.Get(ctx, k, o, opts...)
			},
			List: func(ctx context.Context, c client.WithWatch, l client.ObjectList, opts ...client.ListOption) error {
				calls++
				if broken {
					return errors.New("a reason that names addresses")
				}
				return c.List(ctx, l, opts...)
			},
		}).Build()
		l := &Looker{
			Client: kube, Namespace: "seedling", ArgoCD: "argocd", Velero: "velero", Log: slog.New(slog.DiscardHandler), Now: time.Now,
			Seeds: func() []string { return []string{"seed"} }, Previews: func() []preview.Preview { return live },
			Newest: func(ctx context.Context, _ string) (*velerov1.Backup, error) {
				var b velerov1.Backup
				err := kube.Get(ctx, client.ObjectKey{Namespace: "velero", Name: "seed-20260304030000-abcde"}, &b)
				return &b, err
			},
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go func() { _ = l.Run(ctx) }()
		time.Sleep(10 * time.Minute)
		if calls != 0 {
			t.Errorf("%d calls although nobody looks", calls)
		}
		l.seen()
		time.Sleep(1500 * time.Millisecond)
		if n := calls; n > 20 {
			t.Errorf("%d calls within two seconds", n)
		}
		if err := probe.Record(ctx, kube, "seedling", probe.Found{Egress: true}, begin); err != nil {
			t.Fatal(err)
		}
		time.Sleep(40 * time.Second)
		if calls > 60 { // each preview once a minute, seeds twice
			t.Errorf("%d calls within 42 seconds", calls)
		}
		seeds, network, usage, _ := l.seen()
		s := seeds[0]
		if len(s.Snapshots) != 2 || !s.Snapshots[0].Newest || s.Snapshots[0].Unfit != "" || !strings.HasPrefix(s.Snapshots[1].Unfit, "phase is Failed") || len(s.Kept) != 1 {
			t.Errorf("the seed is %+v", s)
		}
		if s.Import.Phase != "Failed" || len(s.Schedule) != 1 || strings.Contains(fmt.Sprintf("%+v", s), "quotes secrets") {
			t.Errorf("its import is %+v, its schedule %+v", s.Import, s.Schedule)
		}
		if !network.Egress || network.Ingress || network.At.IsZero() {
			t.Errorf("the network is %+v", network)
		}
		if u := usage["preview-07"]; len(usage) != 10 || u.CPU != "0.35" || u.Memory != "0.6 GiB" || u.Storage != "1.2 GiB" {
			t.Errorf("%d previews use what is known, one %+v", len(usage), u)
		}
		broken = true
		l.seen()
		time.Sleep(40 * time.Second)
		seeds, _, usage, _ = l.seen()
		if s := seeds[0]; s.Unread != unknown || s.Import.Phase != "Failed" || len(usage) != 10 {
			t.Errorf("what cannot be read is %+v", s)
		}
		time.Sleep(10 * time.Minute)
		before := calls
		time.Sleep(10 * time.Minute)
		if calls != before {
			t.Errorf("%d calls after nobody looks any more", calls-before)
		}
	})
}
