package check

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/argocd"
	"github.com/seedling-dev/seedling/plugin/forge"
	"github.com/seedling-dev/seedling/plugin/preview"
)

const (
	shop     = "https://git.example.com/acme/shop.git"
	platform = "https://git.example.com/acme/platform.git"
)

// world is a cluster in which all is well. A test changes one thing of it.
type world struct {
	set                *argocd.ApplicationSet
	project            *argocd.AppProject
	settings, params   *corev1.ConfigMap
	values, request    *corev1.ConfigMap
	repoServer, velero *appsv1.Deployment
	egress             *networkingv1.NetworkPolicy
	location           *velerov1.BackupStorageLocation
	snapshot           *velerov1.Backup
	shop, platform     *corev1.Secret
	policies           []*admissionv1.ValidatingAdmissionPolicy
	bindings           []*admissionv1.ValidatingAdmissionPolicyBinding
	more               []client.Object
	// forbidden are kinds that may not be read.
	forbidden []string
	// denied are things that the plugin may not.
	denied []string
	inPod  bool
	direct bool
	forge  fakeForge
	// visitor opens previews' addresses.
	visitor http.RoundTripper
}

func object(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

func secret(name, kind, url, password string) *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: object("argocd", name), Data: map[string][]byte{"url": []byte(url), "password": []byte(password)}}
	s.Labels = map[string]string{secretType: kind}
	return s
}

func parameter(v string) json.RawMessage { return json.RawMessage(v) }

func newWorld() *world {
	w := &world{
		set:     &argocd.ApplicationSet{ObjectMeta: object("argocd", "previews")},
		project: &argocd.AppProject{ObjectMeta: object("argocd", "previews")},
		settings: &corev1.ConfigMap{ObjectMeta: object("argocd", "argocd-cm"), Data: map[string]string{
			"application.resourceTrackingMethod": "annotation", "jsonnet.enable": "false", "helm.enable": "false",
		}},
		params: &corev1.ConfigMap{ObjectMeta: object("argocd", "argocd-cmd-params-cm"), Data: map[string]string{"reposerver.enable.git.submodule": "false"}},
		values: &corev1.ConfigMap{ObjectMeta: object("seedling", "seedling-policies"), Data: map[string]string{
			"argocd": "argocd", "velero": "velero", "controllers": "kube-system seedling velero",
		}},
		repoServer: &appsv1.Deployment{ObjectMeta: object("argocd", "argocd-repo-server")},
		velero:     &appsv1.Deployment{ObjectMeta: object("velero", "velero")},
		egress:     &networkingv1.NetworkPolicy{ObjectMeta: object("argocd", "seedling-repo-server")},
		location:   &velerov1.BackupStorageLocation{ObjectMeta: object("velero", "default")},
		shop:       secret("shop", repositoryType, shop, "p4ss-one"),
		platform:   secret("platform", repositoryType, platform, "p4ss-two"),
		forge: fakeForge{
			pulls:  []forge.PullRequest{{Number: 1, Author: "dana", Labels: []string{"preview"}}},
			rights: []forge.Right{{Name: "write:repository"}}, hooks: forge.Webhooks{Found: []forge.Webhook{{}}, Add: "click Add"},
		},
	}
	w.set.Spec.Generators = []argocd.ApplicationSetGenerator{{Plugin: &argocd.PluginGenerator{
		ConfigMapRef: argocd.PluginConfigMapRef{Name: "seedling-plugin"},
		Input: argocd.PluginInput{Parameters: map[string]json.RawMessage{
			"forge": parameter(`"gitea"`), "repo": parameter(`"acme/shop"`),
		}},
	}}}
	spec := &w.set.Spec.Template.Spec
	spec.Project = "previews"
	spec.Sources = []argocd.ApplicationSource{{RepoURL: shop}, {RepoURL: platform}}
	spec.Destination = argocd.ApplicationDestination{Server: "https://kubernetes.default.svc", Namespace: "{{.namespace}}"}
	spec.SyncPolicy = &argocd.SyncPolicy{SyncOptions: []string{"FailOnSharedResource=true"}}
	w.project.Spec.SourceRepos = []string{shop, platform}
	w.project.Spec.Destinations = []argocd.ApplicationDestination{{Server: "https://kubernetes.default.svc", Namespace: "preview-*"}}
	w.repoServer.Spec.Template.Labels = map[string]string{"app.kubernetes.io/name": "argocd-repo-server"}
	w.repoServer.Spec.Template.Spec.Containers = []corev1.Container{{
		Name: "argocd-repo-server", Image: "quay.io/argoproj/argocd:v3.6.1",
		Env: []corev1.EnvVar{
			{Name: "ARGOCD_GIT_MODULES_ENABLED", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: "argocd-cmd-params-cm"}, Key: "reposerver.enable.git.submodule",
			}}},
			{Name: "GIT_CONFIG_GLOBAL", Value: "/app/config/seedling/gitconfig"},
		},
		Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}},
	}}
	w.velero.Spec.Template.Spec.Containers = []corev1.Container{{Name: "velero", Image: "registry.example:5000/velero/velero:v1.18.3@sha256:aa"}}
	w.egress.Spec = networkingv1.NetworkPolicySpec{
		PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app.kubernetes.io/name": "argocd-repo-server"}},
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress},
	}
	w.location.Status.Phase = velerov1.BackupStorageLocationPhaseAvailable
	for _, name := range Policies {
		p := &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: object("", name)}
		switch name {
		case "seedling-plugin-writes":
			p.Spec.Variables = []admissionv1.Variable{{Name: "argocdNamespace", Expression: "'argocd'"}, {Name: "veleroNamespace", Expression: "'velero'"}}
		case "seedling-seed-confined":
			p.Spec.MatchConditions = []admissionv1.MatchCondition{{Name: "a", Expression: "request.userInfo.username.startsWith('system:serviceaccount:argocd:')"}}
		}
		w.policies = append(w.policies, p)
		w.bindings = append(w.bindings, &admissionv1.ValidatingAdmissionPolicyBinding{
			ObjectMeta: object("", name),
			Spec:       admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny}},
		})
	}
	digest := strings.Repeat("a", 64)
	w.request = &corev1.ConfigMap{ObjectMeta: object("seed", snapshot.RequestConfigMap), Data: map[string]string{
		"dump": "s3://dumps/a", "policy-digest": digest, "key-id": "00aa",
	}}
	began := time.Now().Add(-time.Hour)
	w.snapshot = &velerov1.Backup{ObjectMeta: object("velero", "seed-20261130000000-a"), Spec: velerov1.BackupSpec{IncludedNamespaces: []string{"seed"}, StorageLocation: "default"}}
	w.snapshot.Labels = map[string]string{snapshot.LabelSeed: "seed"}
	w.snapshot.Annotations = map[string]string{snapshot.AnnotationVolumes: "1", snapshot.AnnotationPolicyDigest: digest, snapshot.AnnotationKeyID: "00aa"}
	w.snapshot.Status = velerov1.BackupStatus{
		Phase: velerov1.BackupPhaseCompleted, StartTimestamp: &metav1.Time{Time: began}, CSIVolumeSnapshotsAttempted: 1, CSIVolumeSnapshotsCompleted: 1,
	}
	return w
}

func (w *world) look(t *testing.T) (string, error) {
	t.Helper()
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, velerov1.AddToScheme, argocd.AddToScheme} {
		if err := add(s); err != nil {
			t.Fatal(err)
		}
	}
	var objects []client.Object
	for _, o := range []client.Object{w.set, w.project, w.settings, w.params, w.values, w.repoServer, w.velero, w.egress, w.location, w.shop, w.platform, w.request, w.snapshot} {
		if !isNil(o) {
			objects = append(objects, o)
		}
	}
	for _, p := range w.policies {
		objects = append(objects, p)
	}
	for _, b := range w.bindings {
		objects = append(objects, b)
	}
	may := func(o any) error {
		kind := fmt.Sprintf("%T", o)
		kind = strings.TrimSuffix(kind[strings.LastIndex(kind, ".")+1:], "List")
		if slices.Contains(w.forbidden, kind) {
			return apierrors.NewForbidden(schema.GroupResource{Resource: kind}, "", nil)
		}
		return nil
	}
	kube := fake.NewClientBuilder().WithScheme(s).WithObjects(append(objects, w.more...)...).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if err := may(o); err != nil {
				return err
			}
			return c.Get(ctx, key, o, opts...)
		},
		List: func(ctx context.Context, c client.WithWatch, l client.ObjectList, opts ...client.ListOption) error {
			if err := may(l); err != nil {
				return err
			}
			return c.List(ctx, l, opts...)
		},
		Create: func(_ context.Context, _ client.WithWatch, o client.Object, _ ...client.CreateOption) error {
			return w.review(t, o)
		},
		Update: func(context.Context, client.WithWatch, client.Object, ...client.UpdateOption) error {
			t.Error("a check changed something")
			return nil
		},
		Patch: func(context.Context, client.WithWatch, client.Object, client.Patch, ...client.PatchOption) error {
			t.Error("a check changed something")
			return nil
		},
		Delete: func(context.Context, client.WithWatch, client.Object, ...client.DeleteOption) error {
			t.Error("a check removed something")
			return nil
		},
	}).Build()
	var out bytes.Buffer
	report := &Report{Out: &out}
	c := &Cluster{
		Kube: kube, Namespace: "seedling", ArgoCD: "argocd", Velero: "velero", ConfigMap: "seedling-plugin", Direct: w.direct,
		Forges: map[string]forge.Forge{"gitea": w.forge}, Hooked: map[string]bool{"gitea": true}, InPod: w.inPod, Visitor: w.visitor, Report: report, Now: time.Now,
	}
	c.Look(t.Context())
	return out.String(), report.Result()
}

// review answers whether somebody may something, which makes nothing.
func (w *world) review(t *testing.T, o client.Object) error {
	t.Helper()
	var of *authorizationv1.ResourceAttributes
	var status *authorizationv1.SubjectAccessReviewStatus
	switch o := o.(type) {
	case *authorizationv1.SelfSubjectAccessReview:
		of, status = o.Spec.ResourceAttributes, &o.Status
		if !w.inPod {
			t.Error("an administrator asks about himself")
		}
	case *authorizationv1.SubjectAccessReview:
		of, status = o.Spec.ResourceAttributes, &o.Status
		if o.Spec.User != "system:serviceaccount:seedling:plugin" {
			t.Errorf("it is asked about %s", o.Spec.User)
		}
	default:
		t.Error("a check made something")
		return nil
	}
	if slices.Contains(w.forbidden, "AccessReview") {
		return apierrors.NewForbidden(schema.GroupResource{Resource: "subjectaccessreviews"}, "", nil)
	}
	status.Allowed = !slices.Contains(w.denied, describe(of.Namespace, access{group: of.Group, resource: of.Resource, name: of.Name}, of.Verb))
	return nil
}

func isNil(o client.Object) bool {
	switch o := o.(type) {
	case *argocd.ApplicationSet:
		return o == nil
	case *argocd.AppProject:
		return o == nil
	case *corev1.ConfigMap:
		return o == nil
	case *corev1.Secret:
		return o == nil
	case *appsv1.Deployment:
		return o == nil
	case *networkingv1.NetworkPolicy:
		return o == nil
	case *velerov1.BackupStorageLocation:
		return o == nil
	case *velerov1.Backup:
		return o == nil
	}
	return false
}

// fakeForge has one repository.
type fakeForge struct {
	forge.Forge
	pulls               []forge.PullRequest
	rights              []forge.Right
	hooks               forge.Webhooks
	listErr             error
	rightsErr, hooksErr error
}

func (f fakeForge) Name() string                          { return "gitea" }
func (f fakeForge) List(string, forge.Query) forge.Lister { return fakeList(f) }
func (f fakeForge) Rights(context.Context, string) ([]forge.Right, error) {
	return f.rights, f.rightsErr
}

func (f fakeForge) Webhooks(context.Context, string) (forge.Webhooks, error) {
	return f.hooks, f.hooksErr
}

type fakeList fakeForge

func (l fakeList) Next(context.Context) (bool, error) { return l.listErr == nil, l.listErr }
func (l fakeList) List() forge.List                   { return forge.List{PullRequests: l.pulls} }

// lines are those of a report that begin so.
func lines(report, begin string) []string {
	var found []string
	for line := range strings.Lines(report) {
		if strings.HasPrefix(line, begin) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

func TestAllIsWell(t *testing.T) {
	t.Parallel()
	out, err := newWorld().look(t)
	if err != nil || len(lines(out, "WRONG")) > 0 || len(lines(out, "unseen")) > 0 {
		t.Errorf("%v:\n%s", err, out)
	}
}

// TestFindings: each thing that is wrong is one line with what mends it.
func TestFindings(t *testing.T) {
	t.Parallel()
	template := func(w *world, url, password string) {
		w.more = append(w.more, secret("wide", credentialsType, url, password))
	}
	container := func(w *world) *corev1.Container { return &w.repoServer.Spec.Template.Spec.Containers[0] }
	tests := []struct {
		name   string
		change func(*world)
		says   []string
	}{
		{"no ApplicationSet", func(w *world) { w.set = nil }, []string{"ApplicationSets: none of the 0", "applicationsets/previews.yaml"}},
		{"another ConfigMap", func(w *world) { w.set.Spec.Generators[0].Plugin.ConfigMapRef.Name = "x" }, []string{"none of the 1"}},
		{"shared objects", func(w *world) { w.set.Spec.Template.Spec.SyncPolicy = nil }, []string{"ApplicationSet previews", "takes it over", "add FailOnSharedResource=true"}},
		{"shared objects said off", func(w *world) {
			w.set.Spec.Template.Spec.SyncPolicy.SyncOptions = []string{"FailOnSharedResource=false"}
		}, []string{"add FailOnSharedResource=true"}},
		{"shared objects in a generator's template", func(w *world) {
			w.set.Spec.Generators[0].Plugin.Template.Spec.SyncPolicy = &argocd.SyncPolicy{SyncOptions: []string{"CreateNamespace=true"}}
		}, []string{"add FailOnSharedResource=true"}},
		{"another cluster", func(w *world) { w.set.Spec.Template.Spec.Destination.Server = "https://10.1.2.3" }, []string{"destination of ApplicationSet previews", "go to cluster https://10.1.2.3", "run an Argo CD in the cluster of the previews", "write server: https://kubernetes.default.svc"}},
		{"another cluster by name, in a generator's template", func(w *world) {
			w.set.Spec.Generators[0].Plugin.Template.Spec.Destination.Name = "spoke"
		}, []string{"go to cluster spoke"}},
		{"a cluster to fill in", func(w *world) { w.set.Spec.Template.Spec.Destination.Server = "{{.server}}" }, []string{"is a template"}},
		{"no cluster", func(w *world) { w.set.Spec.Template.Spec.Destination.Server = "" }, []string{"it names no cluster"}},
		{"an Argo CD elsewhere", func(w *world) {
			w.set = nil
			w.more = append(w.more, &corev1.ServiceAccount{ObjectMeta: object("kube-system", "argocd-manager")})
		}, []string{"Argo CD: ServiceAccount kube-system/argocd-manager is that of an Argo CD in another cluster", "run an Argo CD in the cluster of the previews"}},
		{"tracking by label", func(w *world) { w.settings.Data["application.resourceTrackingMethod"] = "label" }, []string{"tracking: label", "patch configmap argocd-cm", `"annotation"`}},
		{"tracking unset on 2.14", func(w *world) {
			delete(w.settings.Data, "application.resourceTrackingMethod")
			container(w).Image = "quay.io/argoproj/argocd:v2.14.21"
		}, []string{"tracking: no method is set"}},
		{"tracking unset, version unknown", func(w *world) {
			delete(w.settings.Data, "application.resourceTrackingMethod")
			container(w).Image = "quay.io/argoproj/argocd@sha256:aa"
		}, []string{"tracking: no method is set"}},
		{"jsonnet on", func(w *world) { w.settings.Data["jsonnet.enable"] = "true" }, []string{"jsonnet: it is on", `{"jsonnet.enable":"false"}`}},
		{"jsonnet by default", func(w *world) { delete(w.settings.Data, "jsonnet.enable") }, []string{"jsonnet: it is on"}},
		{"jsonnet empty", func(w *world) { w.settings.Data["jsonnet.enable"] = "" }, []string{"jsonnet: it is on"}},
		{"no argocd-cm", func(w *world) { w.settings = nil }, []string{"jsonnet: it is on"}},
		{"Helm with URLs", func(w *world) { delete(w.settings.Data, "helm.enable") }, []string{"Helm: it is on", `{"helm.valuesFileSchemes":""}`}},
		{"Helm with https", func(w *world) {
			w.settings.Data["helm.enable"], w.settings.Data["helm.valuesFileSchemes"] = "true", "https"
		}, []string{"Helm: it is on"}},
		{"web terminal", func(w *world) { w.settings.Data["exec.enabled"] = "true" }, []string{"web terminal: it is on", `{"exec.enabled":"false"}`}},
		{"kustomize runs programs", func(w *world) { w.settings.Data["kustomize.buildOptions.v5"] = "--enable-alpha-plugins" }, []string{"kustomize: kustomize.buildOptions.v5", "take it out"}},
		{"submodules", func(w *world) { w.params.Data = nil }, []string{"submodules: they are fetched", "rollout restart deployment argocd-repo-server"}},
		{"submodules without a setting", func(w *world) { container(w).Env = container(w).Env[1:] }, []string{"submodules: they are fetched"}},
		{"submodules by a value", func(w *world) {
			container(w).Env[0] = corev1.EnvVar{Name: "ARGOCD_GIT_MODULES_ENABLED", Value: "true"}
		}, []string{"submodules: they are fetched"}},
		{"remote bases", func(w *world) { container(w).Env = container(w).Env[:1] }, []string{"remote bases: ", "follow section Hardening of manifests/argocd/README.md"}},
		{"a plugin", func(w *world) {
			w.repoServer.Spec.Template.Spec.Containers = append(w.repoServer.Spec.Template.Spec.Containers,
				corev1.Container{Name: "vault", Command: []string{"/var/run/argocd/argocd-cmp-server"}})
		}, []string{"config management plugins: ", "vault"}},
		{"no memory limit", func(w *world) { container(w).Resources.Limits = nil }, []string{"memory of the repo-server: "}},
		{"no egress policy", func(w *world) { w.egress = nil }, []string{"egress of the repo-server: no NetworkPolicy"}},
		{"an ingress policy alone", func(w *world) { w.egress.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress} }, []string{"egress of the repo-server: no NetworkPolicy"}},
		{"an egress policy of another pod", func(w *world) { w.egress.Spec.PodSelector.MatchLabels["app.kubernetes.io/name"] = "redis" }, []string{"egress of the repo-server: no NetworkPolicy"}},
		{"egress everywhere", func(w *world) { w.egress.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{}} }, []string{"egress of the repo-server: NetworkPolicy seedling-repo-server lets it connect everywhere"}},
		{"no repo-server", func(w *world) { w.repoServer = nil }, []string{"repo-server: namespace argocd has no", "correct argocdNamespace"}},
		{"a template of the organisation", func(w *world) {
			w.shop = nil
			template(w, "https://git.example.com/acme", "p4ss-one")
		}, []string{"credential of " + shop + ": Secret wide is a template for all of https://git.example.com/acme"}},
		{"a template beside a repository without its own", func(w *world) {
			delete(w.shop.Data, "password")
			template(w, "https://git.example.com/", "p4ss-one")
		}, []string{"Secret wide is a template"}},
		{"one credential for two", func(w *world) { w.platform.Data["password"] = []byte("p4ss-one") }, []string{"Secret shop holds the same as Secret platform, so it opens " + platform}},
		{"the template's credential again", func(w *world) { template(w, "https://git.example.com/acme", "p4ss-one") }, []string{"Secret shop holds the same as Secret wide"}},
		{"a right in every namespace", func(w *world) { w.denied = []string{"delete pods"} }, []string{"rights of the plugin in the cluster: ServiceAccount seedling/plugin may not delete pods: kubectl apply"}},
		{"a right in one namespace, from the pod", func(w *world) {
			w.inPod, w.denied = true, []string{"patch applicationsets.argoproj.io in namespace argocd"}
		}, []string{"may not patch applicationsets.argoproj.io in namespace argocd: kubectl apply"}},
		{"a right to one object", func(w *world) { w.denied = []string{"get configmaps seed-request"} }, []string{"may not get configmaps seed-request"}},
		{"Argo CD too old", func(w *world) { container(w).Image = "quay.io/argoproj/argocd:v2.13.9" }, []string{"Argo CD's version: 2.13.9 is older than 2.14"}},
		{"Velero too old", func(w *world) { w.velero.Spec.Template.Spec.Containers[0].Image = "velero/velero:v1.18.2" }, []string{"Velero's version: 1.18.2 is older than 1.18.3"}},
		{"no Velero", func(w *world) { w.velero = nil }, []string{"Velero's version: there is no Deployment of Velero"}},
		{"a policy missing", func(w *world) { w.policies = w.policies[1:] }, []string{"admission policies: seedling-backups are not there"}},
		{"a policy that audits", func(w *world) { w.bindings[2].Spec.ValidationActions[0] = admissionv1.Audit }, []string{"admission policies: seedling-plugin-applications are not there, or bound without Deny"}},
		{"a policy for another Argo CD", func(w *world) {
			w.policies[slices.Index(Policies, "seedling-seed-confined")].Spec.MatchConditions[0].Expression = "startsWith('system:serviceaccount:gitops:')"
		}, []string{"do not know Argo CD's namespace argocd", "manifests/plugin/names"}},
		{"values for another Argo CD", func(w *world) { w.values.Data["argocd"] = "gitops" }, []string{`values of the policies: argocd is "gitops" and the configuration's argocdNamespace "argocd"`, "patch configmap seedling-policies"}},
		{"values for another Velero", func(w *world) { w.values.Data["velero"] = "backup" }, []string{`velero is "backup"`}},
		{"Argo CD among the controllers", func(w *world) { w.values.Data["controllers"] += " argocd" }, []string{"controllers names argocd"}},
		{"Velero not among the controllers", func(w *world) { w.values.Data["controllers"] = "kube-system seedling" }, []string{"controllers lacks velero or seedling"}},
		{"no values", func(w *world) { w.values = nil }, []string{"ConfigMap seedling/seedling-policies is not there"}},
		{"a repository that the project lacks", func(w *world) { w.project.Spec.SourceRepos = []string{shop} }, []string{"AppProject previews does not permit " + platform}},
		{"a negation", func(w *world) { w.project.Spec.SourceRepos = append(w.project.Spec.SourceRepos, "!https://x") }, []string{"has the entry !https://x"}},
		{"no project", func(w *world) { w.project = nil }, []string{"AppProject previews is not there"}},
		{"another forge", func(w *world) { w.set.Spec.Generators[0].Plugin.Input.Parameters["forge"] = parameter(`"x"`) }, []string{"input field forge names a forge that is not in the plugin's configuration: name it under forges", "its previews stay as they are"}},
		{"all that is wrong with an input, whoever finds it", func(w *world) {
			p := w.set.Spec.Generators[0].Plugin.Input.Parameters
			p["ttl"], p["deployments"], p["filters"] = parameter(`"1 day"`), parameter(`true`), parameter(`{"forks":true}`)
		}, []string{"input field ttl must be", "input field deployments must not be true", "input field filters.forks is not possible"}},
		{"input", func(w *world) { w.set.Spec.Generators[0].Plugin.Input.Parameters["ttl"] = parameter(`"1 day"`) }, []string{"input field ttl must be a time between 10m and 365d"}},
		{"a list refused", func(w *world) { w.forge.listErr = fmt.Errorf("list: %w", forge.ErrCredential) }, []string{"repository acme/shop of forge gitea: list"}},
		{"no snapshot", func(w *world) { w.snapshot = nil }, []string{"snapshot of seed seed: ", "previews are held back", "get application seed-data"}},
		{"no storage", func(w *world) { w.location.Status.Phase = "Unavailable" }, []string{"Velero's storage: no BackupStorageLocation is Available"}},
		{"a right missing", func(w *world) {
			w.forge.rights = append(w.forge.rights, forge.Right{Name: "write:issue", Missing: errors.New("make another token with it")})
		}, []string{"rights in acme/shop, write:issue: make another token with it"}},
		{"rights not told", func(w *world) { w.forge.rightsErr = fmt.Errorf("ask: %w", forge.ErrCredential) }, []string{"rights in acme/shop: ask"}},
		{"no webhook", func(w *world) { w.forge.hooks = forge.Webhooks{Add: "click Add"} }, []string{
			"webhook of acme/shop: nothing calls https://YOUR_INGRESS/webhook/gitea", "polling alone", "click Add",
		}},
		{"a webhook that fails", func(w *world) { w.forge.hooks.Found[0].Wrong = errors.New("its last call failed: 502") }, []string{"webhook of acme/shop: its last call failed: 502"}},
		{"webhooks not told", func(w *world) { w.forge.hooksErr = errors.New("HTTP status 500") }, []string{"webhook of acme/shop: HTTP status 500"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			test.change(w)
			out, err := w.look(t)
			if !slices.ContainsFunc(lines(out, "WRONG"), func(l string) bool {
				return !slices.ContainsFunc(test.says, func(s string) bool { return !strings.Contains(l, s) })
			}) {
				t.Errorf("no line says all of %q:\n%s", test.says, out)
			}
			if err == nil {
				t.Error("the result is good")
			}
			if strings.Contains(out, "p4ss") {
				t.Errorf("a password is shown: %s", out)
			}
		})
	}
}

// TestPlatformsPostgres: its template is looked for where an ApplicationSet asks
// for it.
func TestPlatformsPostgres(t *testing.T) {
	t.Parallel()
	asks := func() *world {
		w := newWorld()
		w.set.Spec.Generators[0].Plugin.Input.Parameters["postgres"] = parameter(`"platform"`)
		return w
	}
	w := asks()
	out, err := w.look(t)
	if err == nil || len(lines(out, "WRONG  Postgres of previews of seed seed: the platform has no template for a preview's Postgres (PodTemplate preview-postgres in namespace seedling): apply manifests/plugin")) != 1 {
		t.Errorf("%v:\n%s", err, out)
	}
	w = asks()
	template := &corev1.PodTemplate{ObjectMeta: object("seedling", "preview-postgres")}
	template.Template.Spec.Containers = []corev1.Container{{Name: "postgres", Image: "ghcr.io/seedling-dev/seed-postgres:v1"}}
	w.more = append(w.more, template)
	if out, err = w.look(t); err != nil || len(lines(out, "ok     Postgres of previews of seed seed: PodTemplate preview-postgres, ghcr.io/seedling-dev/seed-postgres:v1")) != 1 {
		t.Errorf("%v:\n%s", err, out)
	}
	w.forbidden, w.inPod = []string{"PodTemplate"}, true
	if out, err = w.look(t); command.ExitCode(err) != command.ExitMisconfigured || len(lines(out, "WRONG  Postgres of previews of seed seed: ")) != 1 {
		t.Errorf("%v:\n%s", err, out)
	}
}

// TestWell: what looks wrong and is not.
func TestWell(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*world){
		"tracking by both":           func(w *world) { w.settings.Data["application.resourceTrackingMethod"] = "annotation+label" },
		"tracking by default of 3.x": func(w *world) { delete(w.settings.Data, "application.resourceTrackingMethod") },
		"Helm without URLs": func(w *world) {
			w.settings.Data["helm.enable"], w.settings.Data["helm.valuesFileSchemes"] = "true", ""
		},
		"a template that no preview uses": func(w *world) {
			w.more = append(w.more, secret("wide", credentialsType, "https://git.example.com/acme", "three"))
		},
		"a template of another repository": func(w *world) {
			w.more = append(w.more, secret("x", credentialsType, "https://git.example.com/other", "three"))
		},
		"the URL in another spelling": func(w *world) { w.shop.Data["url"] = []byte("https://Git.example.com/acme/shop") },
		"a newer Velero":              func(w *world) { w.velero.Spec.Template.Spec.Containers[0].Image = "velero/velero:v1.19.0-rc.1" },
		"a chart's repo-server":       func(w *world) { w.repoServer.Spec.Template.Spec.Containers[0].Name = "repo-server" },
		"a project with a pattern":    func(w *world) { w.project.Spec.SourceRepos = []string{"https://git.example.com/acme/*"} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			change(w)
			if out, err := w.look(t); err != nil {
				t.Errorf("%v:\n%s", err, out)
			}
		})
	}
}

// TestNoRights: what may not be read is said, with who can, and is not wrong.
func TestNoRights(t *testing.T) {
	t.Parallel()
	for kind, says := range map[string]string{
		"ConfigMap": "Argo CD's tracking, tools and web terminal", "Secret": "credentials", "Deployment": "Velero's version",
		"NetworkPolicy": "egress of the repo-server", "AppProject": "project of ApplicationSet previews",
		"AccessReview": "rights of the plugin in the cluster", "ValidatingAdmissionPolicy": "admission policies", "ValidatingAdmissionPolicyBinding": "admission policies",
	} {
		for _, inPod := range []bool{true, false} {
			t.Run(fmt.Sprint(kind, inPod), func(t *testing.T) {
				t.Parallel()
				w := newWorld()
				w.forbidden, w.inPod = []string{kind}, inPod
				out, err := w.look(t)
				want := "as an administrator"
				if !slices.ContainsFunc(lines(out, "unseen "+says), func(l string) bool { return strings.Contains(l, want) }) {
					t.Errorf("no line says unseen %s ... %s:\n%s", says, want, out)
				}
				if err != nil {
					t.Errorf("%v:\n%s", err, out)
				}
			})
		}
	}
}

// What the plugin must read itself is wrong where it may not.
func TestRightsOfItsOwn(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"ApplicationSet", "BackupStorageLocation"} {
		w := newWorld()
		w.forbidden, w.inPod = []string{kind}, true
		out, err := w.look(t)
		if len(lines(out, "WRONG")) == 0 || command.ExitCode(err) != command.ExitMisconfigured {
			t.Errorf("%s: %v:\n%s", kind, err, out)
		}
	}
}

// TestTold: each right and webhook is a line, and so is what a forge does not
// tell of it.
func TestTold(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		forge  fakeForge
		hooked bool
		says   []string
		never  string
	}{
		{
			"rights",
			fakeForge{rights: []forge.Right{{Name: "Metadata"}, {Name: "Checks", Unknown: "nobody tells"}, {Name: "Statuses", Missing: errors.New("tick it")}}},
			false,
			[]string{"ok     rights in acme/shop, Metadata", "unseen rights in acme/shop, Checks: not looked at: nobody tells", "WRONG  rights in acme/shop, Statuses: tick it"},
			"webhook",
		},
		{
			"a webhook whose calls nobody sees",
			fakeForge{hooks: forge.Webhooks{Found: []forge.Webhook{{Unknown: "see Recent Deliveries"}}}},
			true,
			[]string{"ok     webhook of acme/shop: it is there", "unseen calls of the webhook of acme/shop: not looked at: whether they arrive is not told; see Recent Deliveries"},
			"WRONG",
		},
		{
			"webhooks that may not be seen",
			fakeForge{hooks: forge.Webhooks{Unseen: "they need Maintainer", Add: "click Add"}},
			true,
			[]string{"unseen webhook of acme/shop: ", "they need Maintainer; look yourself, and where there is none click Add: https://YOUR_INGRESS/webhook/gitea"},
			"WRONG",
		},
		{
			"one that does beside one that does not",
			fakeForge{hooks: forge.Webhooks{Found: []forge.Webhook{{Wrong: errors.New("it is not active")}, {}}}},
			true,
			[]string{"ok     webhook of acme/shop: it is there, and its last call arrived", "note   another webhook of acme/shop has the same address, and it is not active"},
			"WRONG",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			c := &Cluster{Report: &Report{Out: &out}, Forges: map[string]forge.Forge{"gitea": test.forge}, Hooked: map[string]bool{"gitea": test.hooked}}
			c.repository(t.Context(), preview.Input{Forge: "gitea", Repo: "acme/shop", Label: "preview"})
			for _, says := range test.says {
				if !strings.Contains(out.String(), says) {
					t.Errorf("%q is missing in:\n%s", says, out.String())
				}
			}
			if strings.Contains(out.String(), test.never) {
				t.Errorf("%s is in:\n%s", test.never, out.String())
			}
		})
	}
}

// TestPoliciesAreNamed: every policy of the manifests is looked for.
func TestPoliciesAreNamed(t *testing.T) {
	t.Parallel()
	named(t, "policies", Policies)
	named(t, "direct", DirectPolicies)
}

func named(t *testing.T, folder string, names []string) {
	t.Helper()
	files, err := filepath.Glob("../../manifests/plugin/" + folder + "/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no policies: ", err)
	}
	var there []string
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^kind: ValidatingAdmissionPolicy\nmetadata:\n  name: (\S+)$`).FindAllStringSubmatch(string(b), -1) {
			there = append(there, m[1])
		}
	}
	slices.Sort(there)
	if !slices.Equal(there, names) {
		t.Errorf("looked for %v, there are %v", names, there)
	}
}
