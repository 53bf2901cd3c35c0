package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/plugin/argocd"
	"github.com/seedling-dev/seedling/plugin/fences"
)

const fencesID = "00112233aa"

// fenced is a cluster whose API server refuses of the attacks what it should. A
// test changes one thing of it.
type fenced struct {
	// answers are what the API server says to a dry run of an attack's object, or of
	// a harmless one; nil for the usual answer, which is given.
	answers func(t fences.Attack, object string, usual error) error
	// kinds are those that the project permits beside ConfigMaps and the like.
	kinds []metav1.GroupKind
	// alone says that whoever runs it may not act as others.
	alone bool
	inPod bool
	// deployer says that Argo CD acts as another account in previews.
	deployer bool
	// stop ends the run at this many dry runs.
	stop int

	made, removed, dry int
}

// denied is a refusal as the API server words it.
func denied(words string) error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: "objects"}, "x",
		fmt.Errorf("ValidatingAdmissionPolicy 'seedling-previews-confined' with binding 'seedling-previews-confined' denied request: %s", words))
}

func noRight() error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: "objects"}, "x", errors.New(`User "x" cannot create resource "objects" in API group "" in the namespace "y"`))
}

func fencedScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, argocd.AddToScheme} {
		if err := add(s); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// kinds is the mapper of a cluster that has every kind of Kubernetes and Argo CD's,
// and none of Velero's.
func kinds(s *runtime.Scheme) meta.RESTMapper {
	mapper := meta.NewDefaultRESTMapper(nil)
	for kind := range s.AllKnownTypes() {
		scope := meta.RESTScopeNamespace
		switch kind.Kind {
		case "Namespace", "PersistentVolume", "IngressClass", "ClusterRole", "ClusterRoleBinding", "StorageClass", "CSIDriver", "PriorityClass", "RuntimeClass",
			"ValidatingAdmissionPolicyBinding", "MutatingWebhookConfiguration":
			scope = meta.RESTScopeRoot
		}
		mapper.Add(kind, scope)
	}
	return mapper
}

func (f *fenced) run(t *testing.T) (string, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := fencedScheme(t)
	set := newWorld().set
	project := newWorld().project
	for _, kind := range []string{"apps/Deployment", "apps/StatefulSet", "/Service", "/ConfigMap", "/Secret", "/PersistentVolumeClaim", "/ServiceAccount", "networking.k8s.io/Ingress", "batch/Job", "batch/CronJob", "autoscaling/HorizontalPodAutoscaler", "policy/PodDisruptionBudget"} {
		group, kind, _ := strings.Cut(kind, "/")
		project.Spec.NamespaceResourceWhitelist = append(project.Spec.NamespaceResourceWhitelist, metav1.GroupKind{Group: group, Kind: kind})
	}
	project.Spec.NamespaceResourceWhitelist = append(project.Spec.NamespaceResourceWhitelist, f.kinds...)
	controller := &appsv1.StatefulSet{ObjectMeta: object("argocd", "argocd-application-controller")}
	controller.Spec.Template.Labels = map[string]string{"app.kubernetes.io/name": "argocd-application-controller"}
	controller.Spec.Template.Spec.ServiceAccountName = "controller"
	objects := []client.Object{set, project, controller}
	if f.deployer {
		project.Spec.DestinationServiceAccounts = []argocd.DestinationServiceAccount{{Server: "*", Namespace: "preview-*", DefaultServiceAccount: "gitops:deployer"}}
		objects = append(objects, &corev1.ConfigMap{ObjectMeta: object("argocd", settingsName), Data: map[string]string{"application.sync.impersonation.enabled": "true"}})
	}
	kube := fake.NewClientBuilder().WithScheme(s).WithRESTMapper(kinds(s)).WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			switch o := o.(type) {
			case *authorizationv1.SelfSubjectAccessReview:
				o.Status.Allowed = !f.alone
				return nil
			case *corev1.Namespace:
				f.made++
				if err := c.Create(ctx, o, opts...); err != nil {
					return err
				}
				return errors.Join(c.Create(ctx, &corev1.ConfigMap{ObjectMeta: object(o.Name, "kube-root-ca.crt")}), c.Create(ctx, &corev1.ServiceAccount{ObjectMeta: object(o.Name, "default")}))
			}
			t.Errorf("%T was made", o)
			return nil
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			if _, ok := o.(*corev1.Namespace); !ok || !strings.HasSuffix(o.GetName(), fencesID) {
				t.Errorf("%T %s was deleted", o, o.GetName())
			}
			f.removed++
			return c.Delete(ctx, o, opts...)
		},
	}).Build()

	answer := f.admission(t)
	dry := func(o client.Object, rehearsed []string) error {
		u := o.(*unstructured.Unstructured)
		if len(rehearsed) != 1 || rehearsed[0] != metav1.DryRunAll {
			t.Errorf("%s %s is no dry run", u.GetKind(), u.GetName())
		}
		if id := u.GetAnnotations()["argocd.argoproj.io/tracking-id"]; !strings.HasPrefix(id, "preview-fences-1-"+fencesID+":") {
			t.Errorf("%s %s is tracked as %q", u.GetKind(), u.GetName(), id)
		}
		if f.dry++; f.stop > 0 && f.dry >= f.stop {
			cancel()
			return context.Canceled
		}
		return answer(u)
	}
	as := fake.NewClientBuilder().WithScheme(s).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(_ context.Context, _ client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			return dry(o, (&client.CreateOptions{}).ApplyOptions(opts).DryRun)
		},
		Patch: func(_ context.Context, _ client.WithWatch, o client.Object, _ client.Patch, opts ...client.PatchOption) error {
			return dry(o, (&client.PatchOptions{}).ApplyOptions(opts).DryRun)
		},
		Delete: func(_ context.Context, _ client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			return dry(o, (&client.DeleteOptions{}).ApplyOptions(opts).DryRun)
		},
	}).Build()
	var out bytes.Buffer
	report := &Report{Out: &out}
	c := &Cluster{Kube: kube, Namespace: "seedling", ArgoCD: "argocd", Velero: "velero", ConfigMap: "seedling-plugin", InPod: f.inPod, Report: report}
	c.Fences(ctx, func(user string) (client.Client, error) {
		if user != "system:serviceaccount:argocd:controller" && user != "system:serviceaccount:gitops:deployer" {
			t.Errorf("it acts as %s", user)
		}
		return as, nil
	}, fencesID)
	return out.String(), report.Result()
}

// admission answers a dry run as the folders say that it is answered.
func (f *fenced) admission(t *testing.T) func(*unstructured.Unstructured) error {
	t.Helper()
	preview, bystander := fences.Namespaces(fencesID)
	v := fences.Values{Preview: preview.Name, Bystander: bystander.Name, Host: fences.Host(preview.Name), Image: "x", Storage: "192.0.2.1"}
	names, err := fences.Names()
	if err != nil {
		t.Fatal(err)
	}
	var all []fences.Attack
	for _, name := range names {
		a, err := fences.Read(name, v)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	return func(u *unstructured.Unstructured) error {
		named := u.DeepCopy()
		for range 2 { // objects of a preview name no namespace, cluster-wide ones have none
			var of []fences.Attack
			var object string
			var words []string
			for _, a := range all {
				if key, o, ok := a.OutcomeOf(named); ok {
					of, object = append(of, a), key
					if said := o.Refused + o.Unchanged; said != "" && !(strings.Contains(said, "not permitted") && named.GetNamespace() == "") {
						words = append(words, said)
					}
				}
			}
			if len(of) > 0 {
				var usual error
				if len(words) > 0 {
					usual = denied(strings.Join(words, "; "))
				}
				if f.answers != nil {
					return f.answers(of[len(of)-1], object, usual)
				}
				return usual
			}
			named.SetNamespace("")
		}
		t.Errorf("%s %s is of no attack", u.GetKind(), u.GetName())
		return nil
	}
}

func TestFences(t *testing.T) {
	t.Parallel()
	services := func(a fences.Attack, _ string, usual error) error {
		if strings.HasPrefix(a.Name, "services") {
			return nil
		}
		return usual
	}
	for _, c := range []struct {
		name   string
		fenced fenced
		exit   int
		// says are parts of lines by how they begin; none is a beginning that no
		// line has.
		says map[string][]string
		none []string
		made int
	}{
		{
			name: "all are refused", made: 2,
			says: map[string][]string{
				"refused": {"services: Service/external-ips, by seedling-previews-confined", "kinds-beyond-a-preview: Restore/hostile, by the API server, which has no such kind", "kinds-beyond-a-preview: Pod/hostile, by Argo CD's project"},
				"note":    {"fences, as ServiceAccount argocd/controller:", "0 OPEN", "repo-server", "quotas", "controllers make"},
			},
			none: []string{"OPEN", "WRONG"},
		},
		{
			name: "a policy is not there", made: 2, exit: 2,
			fenced: fenced{answers: services},
			says:   map[string][]string{"OPEN": {"services: Service/external-ips: nothing refuses it, which is against other people's traffic: seedling-backups", "kubectl apply --server-side -k"}},
			none:   []string{"WRONG"},
		},
		{
			name: "the project permits Pods", made: 2, exit: 2,
			fenced: fenced{kinds: []metav1.GroupKind{{Kind: "Pod"}}},
			says:   map[string][]string{"OPEN": {"kinds-beyond-a-preview: Pod/hostile"}},
		},
		{
			name: "everything is refused", made: 2, exit: 2,
			fenced: fenced{answers: func(fences.Attack, string, error) error { return denied("closed today") }},
			says:   map[string][]string{"WRONG": {"accounts: ServiceAccount/web is harmless and refused", "closed today"}},
		},
		{
			name: "the API server is ill", made: 2, exit: 2,
			fenced: fenced{answers: func(_ fences.Attack, _ string, usual error) error {
				if usual == nil {
					return nil
				}
				return apierrors.NewInternalError(errors.New("webhook: no route to host"))
			}},
			says: map[string][]string{"WRONG": {"services: Service/external-ips was refused by something else", "no route to host"}},
			none: []string{"OPEN"},
		},
		{
			name: "an account without rights", made: 2,
			fenced: fenced{answers: func(fences.Attack, string, error) error { return noRight() }},
			says:   map[string][]string{"note": {"argocd/controller may make nothing in a preview"}},
			none:   []string{"OPEN", "WRONG", "refused"},
		},
		{
			name: "an account that Argo CD acts as", made: 2,
			fenced: fenced{deployer: true},
			says:   map[string][]string{"note": {"fences, as ServiceAccount argocd/controller:", "fences, as ServiceAccount gitops/deployer:"}},
			none:   []string{"OPEN", "WRONG"},
		},
		{
			name: "no right to act as others", exit: 2,
			fenced: fenced{alone: true},
			says:   map[string][]string{"WRONG": {"may not act as ServiceAccount argocd/controller", "Do not give the plugin that right"}},
		},
		{
			name: "in the plugin's pod", exit: 2,
			fenced: fenced{inPod: true},
			says:   map[string][]string{"WRONG": {"from your own machine"}},
		},
		{
			name: "interrupted", made: 2, exit: 1,
			fenced: fenced{stop: 20},
			says:   map[string][]string{"WRONG": {"context canceled"}},
			none:   []string{"refused", "OPEN"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := c.fenced
			out, err := f.run(t)
			if got := command.ExitCode(err); got != c.exit {
				t.Errorf("exit code %d, not %d: %v", got, c.exit, err)
			}
			for begin, says := range c.says {
				found := strings.Join(lines(out, begin), "\n")
				for _, s := range says {
					if !strings.Contains(found, s) {
						t.Errorf("no line that begins with %q says %q:\n%s", begin, s, out)
					}
				}
			}
			for _, begin := range c.none {
				if found := lines(out, begin); len(found) > 0 {
					t.Errorf("it says %q", found)
				}
			}
			if f.made != c.made || f.removed != c.made {
				t.Errorf("%d namespaces were made and %d removed, not %d", f.made, f.removed, c.made)
			}
			if c.made == 0 && f.dry > 0 {
				t.Errorf("%d dry runs", f.dry)
			}
		})
	}
}
