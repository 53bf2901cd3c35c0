package platform

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	argov1alpha1 "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	synccommon "github.com/argoproj/gitops-engine/pkg/sync/common"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/seedling-dev/seedling/e2e/shop"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// Refresh is what the seed should hold.
type Refresh struct {
	// Dump is the dump's URL, SHA256 its digest, snapshot.DigestBeside or "".
	Dump   string
	SHA256 string
	// Args are added to the import's.
	Args []string
	// Policy is the masking policy; nil is the shop's.
	Policy []byte
}

// Request is what seed-request says for it.
func (p *Platform) Request(r Refresh) (snapshot.Request, error) {
	if r.Policy == nil {
		r.Policy = shop.Policy
	}
	policy, err := mask.ParsePolicy(r.Policy)
	if err != nil {
		return snapshot.Request{}, err
	}
	key, err := mask.NewKey(p.key)
	if err != nil {
		return snapshot.Request{}, err
	}
	return snapshot.Request{Dump: r.Dump, DumpSHA256: r.SHA256, PolicyDigest: policy.Digest(), KeyID: key.ID()}, nil
}

// SyncError is a sync that Argo CD failed, or failed once and will try again.
type SyncError struct {
	Application string
	Message     string
}

func (e *SyncError) Error() string {
	return fmt.Sprintf("Application %s did not sync: %s", e.Application, e.Message)
}

// RequestDump commits what the seed should hold to acme/platform, and tells
// Argo CD to look. It returns the commit. Digests are computed here unless
// want gives them.
func (p *Platform) RequestDump(ctx context.Context, r Refresh) (revision string, want snapshot.Request, err error) {
	if want, err = p.Request(r); err != nil {
		return "", want, fmt.Errorf("refresh the seed: %w", err)
	}
	revision, err = p.CommitRequest(ctx, r, want)
	return revision, want, err
}

// CommitRequest is [Platform.RequestDump] with the request as given, right or
// wrong. A failed sync that Argo CD tries again is let end first: it would go
// on with its own commit.
func (p *Platform) CommitRequest(ctx context.Context, r Refresh, want snapshot.Request) (revision string, err error) {
	if err := p.waitIdle(ctx, seedData); err != nil {
		return "", fmt.Errorf("refresh the seed: %w", err)
	}
	if r.Policy == nil {
		r.Policy = shop.Policy
	}
	files, err := p.seedDataTree(want, r.Policy)
	if err != nil {
		return "", fmt.Errorf("refresh the seed: %w", err)
	}
	files.addArgs(r.Args)
	revision, err = p.forge.commit(ctx, p.forge.endpoint.User, PlatformRepository, "main", "Seed data from "+dumpName(r.Dump), files)
	if err != nil {
		return "", fmt.Errorf("refresh the seed: %w", err)
	}
	t, err := p.tree()
	if err != nil {
		return "", err
	}
	all, err := t.build("applicationsets")
	if err != nil {
		return "", err
	}
	for _, u := range all {
		if u.GetKind() == "Application" && u.GetName() == seedData {
			if err := p.apply(ctx, []*unstructured.Unstructured{u}); err != nil {
				return "", err
			}
		}
	}
	return revision, p.Look(ctx, seedData)
}

// seedDataOverlay is the folder seed-data of acme/platform, without what is
// asked for.
func (p *Platform) seedDataOverlay() (tree, error) {
	overlay, err := fs.Sub(gitops, "gitops")
	if err != nil {
		return nil, err
	}
	t := tree{}
	if err := t.addFS(overlay); err != nil {
		return nil, err
	}
	t.adapt(p.Cluster.Gitea().InCluster, p.images)
	maps.DeleteFunc(t, func(name string, _ []byte) bool { return !strings.HasPrefix(name, seedData+"/") })
	return t, nil
}

// seedDataTree is the folder seed-data of acme/platform.
func (p *Platform) seedDataTree(want snapshot.Request, policy []byte) (tree, error) {
	t, err := p.seedDataOverlay()
	if err != nil {
		return nil, err
	}
	request, err := yaml.Marshal(map[string]any{
		"apiVersion": "v1",
		"kind":       "ConfigMap",
		"metadata":   map[string]any{"name": snapshot.RequestConfigMap},
		"data": map[string]string{
			"dump": want.Dump, "dump-sha256": want.DumpSHA256, "policy-digest": want.PolicyDigest, "key-id": want.KeyID,
		},
	})
	if err != nil {
		return nil, err
	}
	t[seedData+"/seed-request.yaml"], t[seedData+"/policy.yaml"] = request, policy
	return t, nil
}

// addArgs patches arguments into the import's Job, as manifests/seed-data says.
func (t tree) addArgs(args []string) {
	if len(args) == 0 {
		return
	}
	const kustomization = seedData + "/kustomization.yaml"
	patch := append(slices.Clip(t[kustomization]), "patches:\n  - target: {kind: Job, name: seed-import}\n    patch: |-\n"...)
	for _, arg := range args {
		patch = fmt.Appendf(patch, "      - {op: add, path: /spec/template/spec/containers/0/args/-, value: %q}\n", arg)
	}
	t[kustomization] = patch
}

// dumpName is the last part of a dump's address.
func dumpName(url string) string {
	name, _, _ := strings.Cut(url, "?")
	return name[strings.LastIndexByte(name, '/')+1:]
}

// Refresh gives the seed a dump the way people do, by a commit, and returns the
// snapshot that came of it. The error is a [SyncError] when the import or the
// backup failed.
func (p *Platform) Refresh(ctx context.Context, r Refresh) (*velerov1.Backup, error) {
	revision, want, err := p.RequestDump(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := p.WaitSynced(ctx, seedData, revision); err != nil {
		return nil, err
	}
	return p.NewestSnapshot(ctx, want)
}

// NewestSnapshot is the newest usable snapshot of the seed for the request.
func (p *Platform) NewestSnapshot(ctx context.Context, want snapshot.Request) (*velerov1.Backup, error) {
	var all velerov1.BackupList
	if err := p.Kube.List(ctx, &all, client.InNamespace(VeleroNamespace)); err != nil {
		return nil, fmt.Errorf("list Backups: %w", err)
	}
	return snapshot.Newest(all.Items, Seed, want, time.Now())
}

// SyncSeed syncs the seed's data again by a Job of the CronJob of
// manifests/seed-data/schedule, and waits until the sync has ended.
func (p *Platform) SyncSeed(ctx context.Context) error {
	var app argov1alpha1.Application
	key := client.ObjectKey{Namespace: ArgoCDNamespace, Name: seedData}
	if err := p.Kube.Get(ctx, key, &app); err != nil {
		return fmt.Errorf("sync the seed: %w", err)
	}
	before := app.Status.OperationState
	if err := p.runSchedule(ctx); err != nil {
		return fmt.Errorf("sync the seed: %w", err)
	}
	return p.Wait(ctx, "sync the seed", func(ctx context.Context) error {
		if err := p.Kube.Get(ctx, key, &app); err != nil {
			return err
		}
		s := app.Status.OperationState
		if s == nil || (before != nil && !s.StartedAt.After(before.StartedAt.Time)) {
			return errors.New("the operation has not started")
		}
		return p.operation(&app)
	})
}

// runSchedule installs the schedule, suspended, runs its Job once, and removes it.
func (p *Platform) runSchedule(ctx context.Context) (err error) {
	t, err := p.tree()
	if err != nil {
		return err
	}
	all, err := t.build("manifests/seed-data/schedule")
	if err != nil {
		return err
	}
	for _, u := range all {
		if u.GetKind() == "CronJob" {
			if err := unstructured.SetNestedField(u.Object, true, "spec", "suspend"); err != nil {
				return err
			}
		}
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		for _, u := range all {
			gone := p.Kube.Delete(ctx, u, client.PropagationPolicy(metav1.DeletePropagationBackground))
			err = errors.Join(err, client.IgnoreNotFound(gone))
		}
	}()
	if err := p.apply(ctx, all); err != nil {
		return err
	}
	var schedule batchv1.CronJob
	if err := p.Kube.Get(ctx, client.ObjectKey{Namespace: ArgoCDNamespace, Name: "seed-refresh"}, &schedule); err != nil {
		return err
	}
	job := &batchv1.Job{ObjectMeta: schedule.Spec.JobTemplate.ObjectMeta, Spec: schedule.Spec.JobTemplate.Spec}
	job.Namespace, job.Name = ArgoCDNamespace, fmt.Sprintf("seed-refresh-%d", time.Now().UnixNano())
	// With the schedule it goes.
	job.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(&schedule, batchv1.SchemeGroupVersion.WithKind("CronJob"))}
	job.Spec.Template.Spec.Containers[0].Image = p.images["plugin"]
	if err := p.Kube.Create(ctx, job); err != nil {
		return err
	}
	return p.Wait(ctx, "run Job "+job.Name, func(ctx context.Context) error {
		if err := p.Kube.Get(ctx, client.ObjectKeyFromObject(job), job); err != nil {
			return err
		}
		if job.Status.Succeeded > 0 {
			return nil
		}
		var pods corev1.PodList
		if err := p.Kube.List(ctx, &pods, client.InNamespace(ArgoCDNamespace), client.MatchingLabels{"batch.kubernetes.io/job-name": job.Name}); err != nil {
			return err
		}
		for _, pod := range pods.Items {
			for _, c := range pod.Status.ContainerStatuses {
				if c.State.Terminated != nil && c.State.Terminated.ExitCode != 0 {
					return Final(fmt.Errorf("its pod failed: %s", c.State.Terminated.Message))
				}
			}
		}
		return errors.New("it runs")
	})
}

// Look makes Argo CD look at an Application's Git now; a webhook would.
func (p *Platform) Look(ctx context.Context, name string) error {
	app := &argov1alpha1.Application{}
	app.Namespace, app.Name = ArgoCDNamespace, name
	patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"argocd.argoproj.io/refresh":"normal"}}}`))
	if err := p.Kube.Patch(ctx, app, patch); err != nil {
		return fmt.Errorf("refresh Application %s: %w", name, err)
	}
	return nil
}

// WaitSynced waits until an Application's sync of the given commit has
// succeeded. The first attempt that failed is a [SyncError].
func (p *Platform) WaitSynced(ctx context.Context, application, revision string) error {
	return p.Wait(ctx, "wait for Application "+application, func(ctx context.Context) error {
		var app argov1alpha1.Application
		if err := p.Kube.Get(ctx, client.ObjectKey{Namespace: ArgoCDNamespace, Name: application}, &app); err != nil {
			return err
		}
		s := app.Status.OperationState
		if s == nil || s.Operation.Sync == nil || s.Operation.Sync.Revision != revision {
			// Nothing changed that is tracked: synced without an operation.
			if app.Status.Sync.Revision == revision && app.Status.Sync.Status == argov1alpha1.SyncStatusCodeSynced {
				return nil
			}
			if app.Status.Sync.Revision != revision {
				for _, c := range app.Status.Conditions {
					if c.Type == argov1alpha1.ApplicationConditionComparisonError {
						return fmt.Errorf("Argo CD cannot compare it: %s", c.Message)
					}
				}
				return errors.New("Argo CD has not seen the commit")
			}
			return errors.New("its sync has not started")
		}
		return p.operation(&app)
	})
}

// waitIdle waits until Argo CD neither syncs an Application nor is about to try
// again. There need not be such an Application.
func (p *Platform) waitIdle(ctx context.Context, application string) error {
	return p.Wait(ctx, "wait for the sync before to end", func(ctx context.Context) error {
		app, err := p.Application(ctx, application)
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err != nil:
			return err
		case app.Operation != nil:
			return errors.New("a sync is asked for")
		case app.Status.OperationState != nil && !app.Status.OperationState.Phase.Completed():
			return fmt.Errorf("a sync is %s: %s", app.Status.OperationState.Phase, app.Status.OperationState.Message)
		}
		return nil
	})
}

// operation judges the Application's operation: nil when it succeeded, final
// when it failed.
func (*Platform) operation(app *argov1alpha1.Application) error {
	s := app.Status.OperationState
	switch s.Phase {
	case synccommon.OperationSucceeded:
		return nil
	case synccommon.OperationFailed, synccommon.OperationError:
		return Final(&SyncError{app.Name, s.Message})
	}
	if s.RetryCount > 0 {
		return Final(&SyncError{app.Name, s.Message})
	}
	return fmt.Errorf("its sync is %s: %s", s.Phase, s.Message)
}
