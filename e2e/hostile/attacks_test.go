package hostile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	argov1alpha1 "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"golang.org/x/sync/errgroup"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/e2e/platform"
	"github.com/seedling-dev/seedling/e2e/platform/platformtest"
	"github.com/seedling-dev/seedling/e2e/policies"
	"github.com/seedling-dev/seedling/plugin/fences"
)

const trackingID = "argocd.argoproj.io/tracking-id"

// Each attack comes to what its folder says, the bystander and Velero's storage
// stay what they were, and nothing is left when its pull request is closed.
func TestAttacks(t *testing.T) {
	t.Parallel()
	ctx := platformtest.Begin(t, 50*time.Minute)
	names := chosen(t)
	policies.Define(ctx, t, world.Cluster.REST())
	by := newBystander(ctx, t)
	service := &corev1.Service{}
	platformtest.Must(t, world.Kube.Get(ctx, client.ObjectKey{Namespace: "s3", Name: "s3"}, service))
	v := fences.Values{Bystander: by.Namespace, Image: world.Image("seed-postgres"), Storage: service.Spec.ClusterIP}

	var group errgroup.Group
	group.SetLimit(*atOnce)
	for _, name := range names {
		group.Go(func() error {
			t.Run(name, func(t *testing.T) { try(t, name, v, by) })
			return nil
		})
	}
	_ = group.Wait() // its functions return no error
	ended := time.Now()
	platformtest.Must(t, world.Wait(ctx, "wait until Velero has looked at its storage", func(ctx context.Context) error {
		return storageAvailable(ctx, ended)
	}))
	by.stays(ctx, t)
}

// chosen are the attacks of this run.
func chosen(t *testing.T) []string {
	t.Helper()
	names, err := fences.Names()
	platformtest.Must(t, err)
	if *all {
		return names
	}
	var now, later []string
	for _, name := range names {
		a, _, _, err := read(name, fences.Values{Preview: "preview-a-1-aa", Bystander: "preview-a-2-aa"}, world.ShopFile)
		platformtest.Must(t, err)
		if a.Always {
			now = append(now, name)
		} else {
			later = append(later, name)
		}
	}
	random := rand.New(rand.NewPCG(uint64(*seed), 0))
	random.Shuffle(len(later), func(i, j int) { later[i], later[j] = later[j], later[i] })
	now = append(now, later[:min(*more, len(later))]...)
	t.Logf("%d of %d attacks, chosen by -seed %d; make test-hostile tries all: %s", len(now), len(names), *seed, strings.Join(now, ", "))
	return now
}

// try pushes one attack and waits for what becomes of it.
func try(t *testing.T, name string, v fences.Values, by *bystander) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 12*time.Minute)
	defer cancel()
	pr := world.Open(ctx, t, "", nil)
	v.Preview = by.sibling(pr.Number)
	v.Host = v.Preview + ".previews.example.com"
	a, first, pushed, err := read(name, v, world.ShopFile)
	platformtest.Must(t, err)
	var expected []*unstructured.Unstructured
	if len(a.Objects) > 0 {
		expected, err = objects(pushed, world.ShopFile)
		platformtest.Must(t, err)
	}
	if first != nil {
		sha, err := pr.Push(ctx, "Before "+name, first)
		platformtest.Must(t, err)
		platformtest.Must(t, pr.Label(ctx, platform.LabelPreview))
		if _, err := world.WaitPreview(ctx, pr, sha); err != nil {
			t.Fatal(err)
		}
	}
	sha, err := pr.Push(ctx, name, pushed)
	platformtest.Must(t, err)
	if len(a.Submodules) > 0 {
		sha, err = pr.AddSubmodules(ctx, a.Submodules)
		platformtest.Must(t, err)
	}
	platformtest.Must(t, pr.Label(ctx, platform.LabelPreview))

	bounded, stop := context.WithTimeout(ctx, 5*time.Minute)
	defer stop()
	err = world.Wait(bounded, "wait for what becomes of attack "+name, func(ctx context.Context) error {
		found, ok, err := world.FindPreview(ctx, pr.Number)
		if err != nil || !ok {
			return errors.Join(err, errors.New("the plugin has made no namespace"))
		}
		if found.Namespace != v.Preview {
			return platform.Final(fmt.Errorf("the preview is %s, not %s", found.Namespace, v.Preview))
		}
		app, err := world.Application(ctx, v.Preview)
		if err != nil {
			return err
		}
		if s := app.Status.OperationState; a.Sync == "" && s != nil && s.SyncResult != nil && !slices.Contains(s.SyncResult.Revisions, sha) {
			return errors.New("Argo CD has not begun to sync it")
		}
		return a.judge(ctx, app, expected, v.Preview)
	})
	if err == nil && a.Healthy {
		_, err = world.WaitPreview(bounded, pr, sha)
	}
	if err != nil {
		t.Error(err)
	}
	platformtest.Must(t, made(ctx, a, expected, v.Preview))
	by.stays(ctx, t)
	if t.Failed() {
		return // the preview is looked at before it is closed
	}
	platformtest.Must(t, pr.Close(ctx))
	ending, stop := context.WithTimeout(ctx, 6*time.Minute)
	defer stop()
	platformtest.Must(t, world.WaitGone(ending, v.Preview))
}

// judge says what is missing until an attack has come to what its folder says.
func (a attack) judge(ctx context.Context, app *argov1alpha1.Application, expected []*unstructured.Unstructured, preview string) error {
	whole := saidOfAll(app)
	if a.Sync != "" && !fences.Match(whole, a.Sync) {
		return fmt.Errorf("Argo CD does not say %q; it says: %s", a.Sync, whole)
	}
	var missing []error
	refusedSome := map[string]bool{}
	for _, u := range expected {
		key, o, ok := a.OutcomeOf(u)
		if !ok {
			continue
		}
		if refusedSome[key] {
			continue
		}
		var err error
		switch {
		case o.Refused != "":
			err = refused(app, u, o.Refused)
		case o.Unchanged != "":
			err = refused(app, u, o.Unchanged)
		case o.Some != "":
			if refused(app, u, o.Some) == nil {
				refusedSome[key] = true
			}
		case o.Pods != "":
			err = podsRefused(ctx, preview, u.GetName()+u.GetGenerateName(), o.Pods)
		case o.Made:
			err = exists(ctx, preview, u)
		case o.Succeeds:
			err = succeeded(ctx, preview, u.GetName())
		}
		if err != nil {
			missing = append(missing, fmt.Errorf("%s: %w", key, err))
		}
	}
	for key, o := range a.Objects {
		if o.Some != "" && !refusedSome[key] {
			missing = append(missing, fmt.Errorf("%s: none is refused with %q", key, o.Some))
		}
	}
	if s := app.Status.OperationState; len(missing) > 0 && s != nil && s.Phase.Successful() {
		for _, o := range a.Objects {
			if o.Refused != "" || o.Unchanged != "" || o.Some != "" {
				return platform.Final(fmt.Errorf("the sync succeeded: %w", errors.Join(missing...)))
			}
		}
	}
	return errors.Join(missing...)
}

// saidOfAll is what Argo CD says of the whole: its sync and its conditions.
func saidOfAll(app *argov1alpha1.Application) string {
	var said []string
	if s := app.Status.OperationState; s != nil {
		said = append(said, string(s.Phase)+": "+s.Message)
	}
	for _, c := range app.Status.Conditions {
		said = append(said, c.Type+": "+c.Message)
	}
	return strings.Join(said, "; ")
}

// refused says what is missing until Argo CD shows that an object was refused.
func refused(app *argov1alpha1.Application, u *unstructured.Unstructured, words string) error {
	said := ""
	if s := app.Status.OperationState; s != nil && s.SyncResult != nil {
		for _, r := range s.SyncResult.Resources {
			same := r.Name == u.GetName() || u.GetName() == "" && strings.HasPrefix(r.Name, u.GetGenerateName())
			if r.Kind == u.GetKind() && same && (u.GetNamespace() == "" || r.Namespace == "" || r.Namespace == u.GetNamespace()) && r.Message != "" {
				said += r.Message + "; "
			}
		}
	}
	if said == "" {
		said = saidOfAll(app) // what concerns all is said of none
	}
	if !fences.Match(said, words) {
		return fmt.Errorf("Argo CD does not say that it is refused with %q; it says: %s", words, said)
	}
	return nil
}

// podsRefused says what is missing until an event says that something was refused
// to a controller whose name begins so.
func podsRefused(ctx context.Context, preview, name, words string) error {
	var events corev1.EventList
	if err := world.Kube.List(ctx, &events, client.InNamespace(preview)); err != nil {
		return err
	}
	var said []string
	for _, e := range events.Items {
		if e.Type != corev1.EventTypeWarning || !strings.HasPrefix(e.InvolvedObject.Name, name) {
			continue
		}
		if fences.Match(e.Message, words) {
			return nil
		}
		said = append(said, e.Reason+": "+e.Message)
	}
	return fmt.Errorf("no event says that its pods are refused with %q; there are: %s", words, strings.Join(slices.Compact(said), "; "))
}

func exists(ctx context.Context, preview string, u *unstructured.Unstructured) error {
	if u.GetName() == "" {
		return nil // a hook's, with a name that the API server chose
	}
	_, err := live(ctx, preview, u)
	return err
}

// live is an object as it is in the cluster.
func live(ctx context.Context, preview string, u *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	is := &unstructured.Unstructured{}
	is.SetGroupVersionKind(u.GroupVersionKind())
	namespace := u.GetNamespace()
	if namespace == "" {
		namespace = preview
	}
	if mapping, err := world.Kube.RESTMapper().RESTMapping(u.GroupVersionKind().GroupKind(), u.GroupVersionKind().Version); err == nil && mapping.Scope.Name() == meta.RESTScopeNameRoot {
		namespace = ""
	}
	return is, world.Kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: u.GetName()}, is)
}

func succeeded(ctx context.Context, preview, name string) error {
	var job batchv1.Job
	if err := world.Kube.Get(ctx, client.ObjectKey{Namespace: preview, Name: name}, &job); err != nil {
		return err
	}
	switch {
	case job.Status.Failed > 0:
		return platform.Final(fmt.Errorf("Job %s failed", name))
	case job.Status.Succeeded == 0:
		return fmt.Errorf("Job %s runs", name)
	}
	return nil
}

// made says which objects exist as the attack's although they ought to be refused.
// One of that name that others made is not the attack's.
func made(ctx context.Context, a attack, expected []*unstructured.Unstructured, preview string) error {
	var wrong []error
	for _, u := range expected {
		_, o, ok := a.OutcomeOf(u)
		if !ok || o.Refused == "" || u.GetName() == "" {
			continue
		}
		is, err := live(ctx, preview, u)
		switch {
		case apierrors.IsNotFound(err), meta.IsNoMatchError(err):
		case err != nil:
			wrong = append(wrong, err)
		case strings.HasPrefix(is.GetAnnotations()[trackingID], preview+":"):
			wrong = append(wrong, fmt.Errorf("%s %s/%s was made", u.GetKind(), is.GetNamespace(), u.GetName()))
		}
	}
	return errors.Join(wrong...)
}

// bystander is another pull request's preview.
type bystander struct {
	platform.Preview
	was map[string]string
}

const (
	bystandersRow = "insert into public.products (id, sku, name, price_cents, tags) values (990002, 'BYSTANDER', 'a row of a developer', 1, '{}')"
	bystandersHas = "select (select count(*) from public.users), (select count(*) from public.products where sku = 'BYSTANDER')"
)

func newBystander(ctx context.Context, t *testing.T) *bystander {
	t.Helper()
	_, v := world.Preview(ctx, t, "-bystander")
	world.Rows(ctx, t, v.Namespace, bystandersRow)
	by := &bystander{Preview: v}
	var err error
	if by.was, err = by.looks(ctx); err != nil {
		t.Fatal(err)
	}
	return by
}

var numberAndHash = regexp.MustCompile(`-\d+-([0-9a-f]+)$`)

// sibling is the name of the preview of another pull request of the repository.
func (b *bystander) sibling(number int64) string {
	return numberAndHash.ReplaceAllString(b.Namespace, fmt.Sprintf("-%d-$1", number))
}

// looks is what there is of it: its rows, and each object but for its status.
func (b *bystander) looks(ctx context.Context) (map[string]string, error) {
	rows, err := world.Query(ctx, b.Namespace, bystandersHas)
	if err != nil {
		return nil, err
	}
	found := map[string]string{"rows": fmt.Sprint(rows)}
	for _, kind := range []string{
		"v1 Pod", "v1 Service", "v1 PersistentVolumeClaim", "v1 Secret", "v1 ConfigMap", "v1 ServiceAccount", "v1 ResourceQuota", "v1 LimitRange",
		"apps/v1 StatefulSet", "apps/v1 Deployment", "batch/v1 Job", "batch/v1 CronJob", "networking.k8s.io/v1 NetworkPolicy", "networking.k8s.io/v1 Ingress",
		"policy/v1 PodDisruptionBudget", "autoscaling/v2 HorizontalPodAutoscaler",
	} {
		version, kind, _ := strings.Cut(kind, " ")
		list := &unstructured.UnstructuredList{}
		list.SetAPIVersion(version)
		list.SetKind(kind + "List")
		if err := world.Kube.List(ctx, list, client.InNamespace(b.Namespace)); err != nil {
			return nil, fmt.Errorf("list %s of %s: %w", kind, b.Namespace, err)
		}
		for _, u := range list.Items {
			unstructured.RemoveNestedField(u.Object, "status")
			unstructured.RemoveNestedField(u.Object, "metadata", "resourceVersion")
			unstructured.RemoveNestedField(u.Object, "metadata", "managedFields")
			found[kind+"/"+u.GetName()] = fmt.Sprint(u.Object)
		}
	}
	return found, nil
}

// stays fails if anything of it is not what it was.
func (b *bystander) stays(ctx context.Context, t *testing.T) {
	t.Helper()
	var is map[string]string
	// The way to its Postgres leads through the API server, which may be busy.
	platformtest.Must(t, world.Wait(ctx, "look at the bystander", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		var err error
		is, err = b.looks(ctx)
		return err
	}))
	for _, key := range slices.Sorted(maps.Keys(b.was)) {
		if _, ok := is[key]; !ok {
			t.Errorf("the bystander lost its %s", key)
		} else if is[key] != b.was[key] {
			t.Errorf("the bystander's %s changed%s", key, difference(key, b.was[key], is[key]))
		}
	}
	for key := range is {
		if _, ok := b.was[key]; !ok {
			t.Errorf("the bystander has a %s that it did not have", key)
		}
	}
}

// difference shows what changed, but nothing of Secrets.
func difference(key, was, is string) string {
	if strings.HasPrefix(key, "Secret/") {
		return ""
	}
	return fmt.Sprintf("\nfrom %s\nto   %s", was, is)
}
