// Package policies proves the admission policies of manifests/plugin on a real
// API server: cases.yaml says what passes and what is refused, and by which
// sentence. Requests are dry-run, by identities that RBAC lets do anything, so
// that nothing but the policies is in their way.
package policies

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"
)

//go:embed cases.yaml
var cases []byte

//go:embed usual.yaml
var usual string

// group may do anything while the test runs, and nobody is in it.
const group = "seedling:policies-test"

// users are the short names of cases.yaml.
var users = map[string]string{
	"argocd": "system:serviceaccount:argocd:argocd-application-controller",
	"plugin": "system:serviceaccount:seedling:plugin",
	"velero": "system:serviceaccount:velero:velero",
	"backup": "system:serviceaccount:seed:seed-backup",
}

type testCase struct {
	Name, As      string
	Given, Create map[string]any
	GivenBy       string
	Deleted       bool
	Patch         map[string]any
	Subresource   string // that is patched
	Delete        bool
	// Refused holds words of the refusal; alternatives, where several policies
	// refuse and any of them may answer, are parted by " | ".
	Refused string
}

// Run checks every case on a cluster that has the policies, the CRDs of Velero,
// Argo CD and the snapshotter, and the namespaces argocd, velero, seed and
// seedling.
func Run(t *testing.T, config *rest.Config) {
	t.Helper()
	var all []testCase
	if err := yaml.UnmarshalStrict(bytes.ReplaceAll(cases, []byte("a: BIG"), []byte("a: "+strings.Repeat("z", 300<<10))), &all); err != nil {
		t.Fatalf("read cases.yaml: %v", err)
	}
	for i, document := range strings.Split(usual, "\n---\n") {
		c := testCase{As: "argocd"}
		if err := yaml.Unmarshal([]byte(document), &c.Create); err != nil {
			t.Fatalf("read usual.yaml: %v", err)
		}
		c.Name = fmt.Sprintf("usual: %v %d", c.Create["kind"], i)
		all = append(all, c)
	}
	s := newSuite(t, config)
	for _, c := range all {
		t.Run(c.Name, func(t *testing.T) { s.check(t, c) })
	}
}

type suite struct {
	config *rest.Config
	mapper meta.RESTMapper
	admin  dynamic.Interface
}

func newSuite(t *testing.T, config *rest.Config) *suite {
	t.Helper()
	config = rest.CopyConfig(config)
	config.QPS, config.Burst = 200, 400
	config.WarningHandler = rest.NoWarnings{}
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	admin, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	Define(t.Context(), t, config)
	resources, err := restmapper.GetAPIGroupResources(discovery.NewDiscoveryClient(clients.RESTClient()))
	if err != nil {
		t.Fatalf("discover the cluster's kinds: %v", err)
	}
	s := &suite{config: config, mapper: restmapper.NewDiscoveryRESTMapper(resources), admin: admin}

	ctx := t.Context()
	bindings := clients.RbacV1().ClusterRoleBindings()
	binding, err := bindings.Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "seedling-policies-test-"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: group}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = bindings.Delete(context.WithoutCancel(ctx), binding.Name, metav1.DeleteOptions{})
	})
	// The third has the platform's Postgres.
	for i, name := range []string{"preview-policies-1-00000000aa", "preview-policies-2-00000000bb", "preview-policies-3-00000000cc"} {
		labels := map[string]any{"seedling.dev/preview": "1"}
		if i == 2 {
			labels["seedling.dev/postgres"] = "platform"
		}
		s.give(ctx, t, s.admin, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{
				"name": name, "labels": labels,
				"annotations": map[string]any{"seedling.dev/host": name + ".previews.example.com"},
			},
		}})
	}
	// Previews made in advance: nobody's, somebody's, and given up.
	for name, state := range map[string]string{"preview-slot-00000000dd": "free", "preview-slot-00000000ee": "assigned", "preview-slot-00000000ff": "draining"} {
		s.give(ctx, t, s.admin, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{
				"name": name, "labels": map[string]any{"seedling.dev/preview": "1", "seedling.dev/key": "00000000aa", "seedling.dev/slot": state},
			},
		}})
	}
	s.record(ctx, t)
	s.settle(ctx, t)
	return s
}

// record lets the snapshot that the cases of direct mode name have a handle, of
// a seed that there is not: what the cluster's own seed-backup records stays.
func (s *suite) record(ctx context.Context, t *testing.T) {
	t.Helper()
	handles := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "seedling-handles", "namespace": "seedling"},
	}}
	const name = "seed-policies-20260101000000-aaaaa"
	patch := func(ctx context.Context, value any) error {
		body, err := json.Marshal(map[string]any{"data": map[string]any{name: value}})
		if err != nil {
			return err
		}
		_, err = s.on(t, s.admin, handles).Patch(ctx, "seedling-handles", types.MergePatchType, body, metav1.PatchOptions{})
		return err
	}
	if err := patch(ctx, "csi.example.com snap-1 1Gi policies-none policies"); err != nil {
		t.Fatalf("record a handle, is the component manifests/plugin/direct applied? %v", err)
	}
	t.Cleanup(func() {
		if err := patch(context.WithoutCancel(ctx), nil); err != nil {
			t.Errorf("take the handle out again: %v", err)
		}
	})
}

// settle waits until the binding and the policies have reached the API server's
// caches: both take a moment after they were applied.
func (s *suite) settle(ctx context.Context, t *testing.T) {
	t.Helper()
	last := error(nil)
	for range 100 {
		probe := testCase{As: "plugin", Create: map[string]any{
			"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "policies-probe", "namespace": "default"},
		}}
		last = s.request(ctx, t, probe, nil)
		if last != nil && strings.Contains(last.Error(), "ValidatingAdmissionPolicy") {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
	t.Fatalf("the policies do not act, are they applied? A request of the plugin that they refuse gave: %v", last)
}

func (s *suite) check(t *testing.T, c testCase) {
	t.Helper()
	ctx := t.Context()
	var given *unstructured.Unstructured
	if c.Given != nil {
		by := s.admin
		if c.GivenBy != "" {
			var err error
			if by, err = s.as(c.GivenBy); err != nil {
				t.Fatal(err)
			}
		}
		given = s.give(ctx, t, by, &unstructured.Unstructured{Object: c.Given})
		if c.Deleted {
			if err := s.on(t, s.admin, given).Delete(ctx, given.GetName(), metav1.DeleteOptions{}); err != nil {
				t.Fatalf("delete the given object: %v", err)
			}
		}
	}
	// A policy that was applied a moment ago may not act yet.
	var fault string
	for range 25 {
		if fault = judge(c, s.request(ctx, t, c, given)); fault == "" {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Error(fault)
}

// judge says what is wrong with the outcome of a case's request.
func judge(c testCase, err error) string {
	switch {
	case c.Refused == "" && apierrors.IsAlreadyExists(err):
		return "" // storage says so, which comes after admission
	case c.Refused == "" && err != nil:
		return fmt.Sprintf("refused: %v", err)
	case c.Refused != "" && err == nil:
		return fmt.Sprintf("passed; it should be refused with %q", c.Refused)
	case c.Refused != "" && (!slices.ContainsFunc(strings.Split(c.Refused, " | "), func(words string) bool { return strings.Contains(err.Error(), words) }) || !strings.Contains(err.Error(), "ValidatingAdmissionPolicy")):
		return fmt.Sprintf("refused by something else than a policy that says %q: %v", c.Refused, err)
	default:
		return ""
	}
}

// request makes the case's request, dry-run, as its user.
func (s *suite) request(ctx context.Context, t *testing.T, c testCase, given *unstructured.Unstructured) error {
	t.Helper()
	as, err := s.as(c.As)
	if err != nil {
		return err
	}
	dry := []string{metav1.DryRunAll}
	switch {
	case c.Create != nil:
		object := &unstructured.Unstructured{Object: c.Create}
		_, err = s.on(t, as, object).Create(ctx, object, metav1.CreateOptions{DryRun: dry})
	case c.Patch != nil:
		body, marshalErr := json.Marshal(c.Patch)
		if marshalErr != nil {
			return marshalErr
		}
		_, err = s.on(t, as, given).Patch(ctx, given.GetName(), types.MergePatchType, body, metav1.PatchOptions{DryRun: dry}, c.subresources()...)
	case c.Delete:
		err = s.on(t, as, given).Delete(ctx, given.GetName(), metav1.DeleteOptions{DryRun: dry})
	default:
		err = fmt.Errorf("case %q asks for nothing", c.Name)
	}
	return err
}

func (c testCase) subresources() []string {
	if c.Subresource == "" {
		return nil
	}
	return []string{c.Subresource}
}

// as is a client of a user that RBAC lets do anything.
func (s *suite) as(user string) (dynamic.Interface, error) {
	if name, ok := users[user]; ok {
		user = name
	}
	config := rest.CopyConfig(s.config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{group, "system:authenticated"}}
	return dynamic.NewForConfig(config)
}

// give makes an object for one test and removes it afterwards. One that was
// there stays there.
func (s *suite) give(ctx context.Context, t *testing.T, by dynamic.Interface, object *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	resource := s.on(t, s.admin, object)
	made, err := s.on(t, by, object).Create(ctx, object.DeepCopy(), metav1.CreateOptions{})
	for range 300 {
		if !apierrors.IsAlreadyExists(err) {
			break
		}
		there, getErr := resource.Get(ctx, object.GetName(), metav1.GetOptions{})
		if getErr == nil && there.GetDeletionTimestamp() == nil {
			return there
		}
		// One of the run before, on its way out.
		time.Sleep(100 * time.Millisecond)
		made, err = s.on(t, by, object).Create(ctx, object.DeepCopy(), metav1.CreateOptions{})
	}
	if err != nil {
		t.Fatalf("make the given object: %v", err)
	}
	t.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer stop()
		_ = resource.Delete(ctx, made.GetName(), metav1.DeleteOptions{})
		if made.GetKind() == "Namespace" {
			return // takes its time, and nobody waits for it
		}
		_, _ = resource.Patch(ctx, made.GetName(), types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
		for range 100 {
			if _, err := resource.Get(ctx, made.GetName(), metav1.GetOptions{}); apierrors.IsNotFound(err) {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
	return made
}

// on is where a client finds objects like this one.
func (s *suite) on(t *testing.T, c dynamic.Interface, object *unstructured.Unstructured) dynamic.ResourceInterface {
	t.Helper()
	kind := object.GroupVersionKind()
	mapping, err := s.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		t.Fatalf("cases.yaml names a kind that the cluster does not have: %v", err)
	}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		return c.Resource(mapping.Resource).Namespace(object.GetNamespace())
	}
	return c.Resource(mapping.Resource)
}
