package flow

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	argov1alpha1 "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/e2e/cluster"
	"github.com/seedling-dev/seedling/e2e/platform"
	"github.com/seedling-dev/seedling/hooks/snapshot"
)

//go:embed testdata/monorepo
var monorepo embed.FS

// webImage builds the image that stands for somebody's services.
func webImage(ctx context.Context, t *testing.T) string {
	t.Helper()
	ref, err := cluster.BuildImage(ctx, "web")
	must(t, err)
	must(t, world.Cluster.Load(ctx, ref))
	return ref
}

// A chart as `helm create` writes it is a preview without a change to it: only its
// image is said, in the ApplicationSet.
func TestHelmCreate(t *testing.T) {
	t.Parallel()
	ctx := begin(t, 10*time.Minute)
	image := webImage(ctx, t)
	repository, tag, _ := strings.Cut(image, ":")
	const label = "preview-helm"
	must(t, world.MakeLabel(ctx, label, "Give it a preview of the chart"))
	applicationSet(ctx, t, "helm", map[string]string{"label": label}, func(set *argov1alpha1.ApplicationSet) {
		source := &set.Spec.Template.Spec.Sources[0]
		source.Path = "charts/web"
		source.Helm = &argov1alpha1.ApplicationSourceHelm{ReleaseName: "web", Parameters: []argov1alpha1.HelmParameter{
			{Name: "image.repository", Value: repository}, {Name: "image.tag", Value: tag},
		}}
	})
	pr := world.Open(ctx, t, fmt.Sprintf("-%d", time.Now().Unix()), helmCreate(ctx, t))
	must(t, pr.Label(ctx, label))
	v, err := world.WaitPreview(ctx, pr, "")
	must(t, err)
	if got := query(ctx, t, v.Namespace, "select count(*) > 0 from public.users"); got[0][0] != "t" {
		t.Error("there are no users")
	}
	must(t, pr.Close(ctx))
	must(t, world.WaitGone(ctx, v.Namespace))
}

// helmCreate is what Helm's own starter writes.
func helmCreate(ctx context.Context, t *testing.T) platform.Change {
	t.Helper()
	helm, err := cluster.Program(ctx, "helm")
	must(t, err)
	dir := t.TempDir()
	cmd := exec.CommandContext(ctx, helm, "create", "web")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+dir+"/cache", "HELM_CONFIG_HOME="+dir+"/config", "HELM_DATA_HOME="+dir+"/data")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("helm create: %v: %s", err, out)
	}
	return folder(t, os.DirFS(filepath.Join(dir, "web")), "charts/web/", "")
}

// folder is a change that adds the files of a folder, with an image for WEB.
func folder(t *testing.T, files fs.FS, below, image string) platform.Change {
	t.Helper()
	c := platform.Change{}
	must(t, fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := fs.ReadFile(files, path)
		c[below+path] = string(raw)
		if image != "" {
			c[below+path] = strings.ReplaceAll(string(raw), "image: WEB", "image: "+image)
		}
		return err
	}))
	return c
}

// Three services of one repository have what they need in a preview: their database,
// each other, and the platform's test credentials. People of a group may look, and no
// more; and the namespace says whose it is.
func TestMonorepo(t *testing.T) {
	t.Parallel()
	ctx := begin(t, 10*time.Minute)
	image := webImage(ctx, t)
	const label = "preview-monorepo"
	must(t, world.MakeLabel(ctx, label, "Give it a preview of three services"))
	testCredentials(ctx, t)
	applicationSet(ctx, t, "monorepo", map[string]string{"label": label, "team": "checkout"}, func(set *argov1alpha1.ApplicationSet) {
		set.Spec.Template.Spec.Sources[0].Path = "deploy/monorepo"
	})
	files, err := fs.Sub(monorepo, "testdata/monorepo")
	must(t, err)
	pr := world.Open(ctx, t, fmt.Sprintf("-%d", time.Now().Unix()), folder(t, files, "deploy/monorepo/", image))
	must(t, pr.Label(ctx, label))
	// Each is ready when what it asks answers: web asks api, which reads the database
	// and has the key.
	v, err := world.WaitPreview(ctx, pr, "")
	must(t, err)

	var ns corev1.Namespace
	must(t, world.Kube.Get(ctx, client.ObjectKey{Name: v.Namespace}, &ns))
	for name, want := range map[string]string{
		snapshot.LabelRepository: platform.Organisation + "." + platform.ShopRepository, snapshot.LabelAuthor: platform.Developer, snapshot.LabelTeam: "checkout",
	} {
		if ns.Labels[name] != want {
			t.Errorf("label %s is %q", name, ns.Labels[name])
		}
	}
	var unlabelled corev1.Secret
	if err := world.Kube.Get(ctx, client.ObjectKey{Namespace: v.Namespace, Name: "unlabelled"}, &unlabelled); !apierrors.IsNotFound(err) {
		t.Errorf("a Secret without the label: %v", err)
	}
	peopleLook(ctx, t, v.Namespace)

	// Who would take the credentials over is refused, in words.
	_, err = pr.Push(ctx, "Take the key over", platform.Change{
		"deploy/monorepo/services/api/payments.yaml":      "apiVersion: v1\nkind: Secret\nmetadata: {name: payments}\nstringData: {api-key: mine}\n",
		"deploy/monorepo/services/api/kustomization.yaml": "resources: [api.yaml, payments.yaml]\n",
	})
	must(t, err)
	must(t, world.Wait(ctx, "wait for the refusal of a Secret that is the platform's", func(ctx context.Context) error {
		app, err := world.Application(ctx, v.Namespace)
		if err != nil {
			return err
		}
		if s := app.Status.OperationState; s == nil || s.SyncResult == nil || !strings.Contains(fmt.Sprint(s.Message, s.SyncResult.Resources), "test credentials of the platform") {
			return errors.New("the sync does not say that they are the platform's")
		}
		return nil
	}))
	must(t, pr.Close(ctx))
	must(t, world.WaitGone(ctx, v.Namespace))
}

// testCredentials makes what the platform gives to previews, and something that it
// does not.
func testCredentials(ctx context.Context, t *testing.T) {
	t.Helper()
	for name, labels := range map[string]map[string]string{"payments": {snapshot.LabelTestCredentials: "true"}, "unlabelled": nil} {
		s := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: platform.CredentialsNamespace, Name: name, Labels: labels},
			StringData: map[string]string{"api-key": "sandbox"},
		}
		if err := world.Kube.Create(ctx, s); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
}

// peopleLook asks the API server what people of guards.access may do.
func peopleLook(ctx context.Context, t *testing.T, preview string) {
	t.Helper()
	for _, c := range []struct {
		namespace, verb, resource, sub, name string
		may                                  bool
	}{
		{preview, "list", "pods", "", "", true},
		{preview, "get", "pods", "log", "", true},
		{preview, "create", "pods", "portforward", "", true},
		{preview, "get", "secrets", "", "postgres", true},
		{preview, "get", "secrets", "", "payments", false},
		{preview, "list", "secrets", "", "", false},
		{preview, "create", "pods", "exec", "", false},
		{preview, "delete", "pods", "", "", false},
		{preview, "update", "resourcequotas", "", "", false},
		{platform.Seed, "get", "pods", "log", "", false},
		{platform.Seed, "create", "pods", "portforward", "", false},
		{platform.PluginNamespace, "list", "pods", "", "", false},
		{"", "list", "pods", "", "", false},
	} {
		r := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: "somebody", Groups: []string{"developers", "system:authenticated"},
			ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: c.namespace, Verb: c.verb, Resource: c.resource, Subresource: c.sub, Name: c.name},
		}}
		must(t, world.Kube.Create(ctx, r))
		if r.Status.Allowed != c.may {
			t.Errorf("in namespace %q people may %s %s/%s %s: %v", c.namespace, c.verb, c.resource, c.sub, c.name, r.Status.Allowed)
		}
	}
}
