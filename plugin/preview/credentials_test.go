package preview

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/forge"
)

// Whatever a forge tells, the labels of a namespace are ones that the API server
// takes, and hold nothing of what an author writes.
func TestCostLabels(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"acme/shop": "acme.shop", "acme/Shop_2": "acme.Shop_2", "--x--": "x", "": "", "...": "", "renovate[bot]": "renovate-bot", "Ærø": "r", "a b\nc": "a-b-c",
		strings.Repeat("a", 62) + "-b":      strings.Repeat("a", 62),
		"-" + strings.Repeat("ä", 80) + "z": "z",
	} {
		got := labelValue(text)
		if got != want {
			t.Errorf("%q becomes %q", text, got)
		}
		if wrong := validation.IsValidLabelValue(got); len(wrong) > 0 {
			t.Errorf("%q becomes %q: %v", text, got, wrong)
		}
	}
	w := newWorld(t, newHost())
	w.asks(asksWith(map[string]string{"team": `"checkout"`}))
	w.host.set(pull(1, func(p *forge.PullRequest) { p.Author, p.Title, p.Branch = "grace[bot]", "TITLE", "BRANCH" }))
	w.mustRound()
	p, _ := w.preview(1)
	var ns corev1.Namespace
	if err := w.cluster.Get(t.Context(), client.ObjectKey{Name: p.Namespace}, &ns); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{snapshot.LabelRepository: "acme.shop", snapshot.LabelAuthor: "grace-bot", snapshot.LabelTeam: "checkout"} {
		if ns.Labels[name] != want {
			t.Errorf("label %s is %q", name, ns.Labels[name])
		}
	}
	for name, value := range ns.Labels {
		if strings.Contains(value, "TITLE") || strings.Contains(value, "BRANCH") {
			t.Errorf("label %s is %q", name, value)
		}
	}
	if _, err := ParseInput(asksWith(map[string]string{"team": `"a team"`})); err == nil {
		t.Error("a team that is no label's value is taken")
	}
}

// Groups are bound to one role, follow the setting, and go with it.
func TestAccess(t *testing.T) {
	t.Parallel()
	for _, groups := range [][]string{{"system:authenticated"}, {""}, {" a"}, {"a\nb"}, {strings.Repeat("a", 254)}, make([]string, mostGroups+1)} {
		if err := (Access{Groups: groups}).Validate(); err == nil {
			t.Errorf("%q are taken", groups)
		}
	}
	w := newWorld(t, newHost())
	w.Reconciler.Namespaces.Guards.Access.Groups = []string{"b", "a", "b"}
	w.host.set(pull(1))
	w.mustRound()
	p, _ := w.preview(1)
	bound := func() (groups []string) {
		var all rbacv1.RoleBindingList
		if err := w.cluster.List(t.Context(), &all); err != nil {
			t.Fatal(err)
		}
		for _, b := range all.Items {
			if b.Namespace != p.Namespace || b.RoleRef.Kind != "ClusterRole" || b.RoleRef.Name != "seedling-preview-access" || b.Labels[snapshot.LabelOwner] != "seedling" {
				t.Errorf("there is %+v", b)
			}
			for _, s := range b.Subjects {
				if s.Kind != "Group" {
					t.Errorf("%+v is bound", s)
				}
				groups = append(groups, s.Name)
			}
		}
		return groups
	}
	if got := bound(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("bound are %v", got)
	}
	for _, want := range [][]string{{"c"}, nil} {
		w.Reconciler.Namespaces.Guards.Access.Groups = want
		if err := w.Reconciler.Namespaces.Mend(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if got := bound(); !slices.Equal(got, want) {
			t.Errorf("with %v bound are %v", want, got)
		}
	}
}

// Of a namespace of its own, what is labelled, of a type that is credentials, and
// for this repository, is copied, follows a change, and goes.
func TestCredentials(t *testing.T) {
	t.Parallel()
	secret := func(name, repositories string, edit func(*corev1.Secret)) *corev1.Secret {
		s := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: "test-credentials", Name: name, Labels: map[string]string{snapshot.LabelTestCredentials: "true"}},
			Data:       map[string][]byte{"key": []byte("value of " + name)},
		}
		if repositories != "" {
			s.Annotations = map[string]string{snapshot.AnnotationRepositories: repositories}
		}
		if edit != nil {
			edit(s)
		}
		return s
	}
	w := newWorld(t, newHost(),
		secret("all", "", nil), secret("shop", "acme/api, acme/Shop", nil), secret("ours", "acme/*", nil), secret("pull", "", func(s *corev1.Secret) { s.Type = corev1.SecretTypeDockerConfigJson }),
		secret("api", "acme/api", nil), secret("none", " ", nil), secret("deeper", "acme", nil),
		secret("unlabelled", "", func(s *corev1.Secret) { s.Labels = nil }), secret("no", "", func(s *corev1.Secret) { s.Labels[snapshot.LabelTestCredentials] = "false" }),
		secret("token", "", func(s *corev1.Secret) { s.Type = corev1.SecretTypeServiceAccountToken }), secret("postgres", "", nil),
		secret("elsewhere", "", func(s *corev1.Secret) { s.Namespace = "production" }),
	)
	n := w.Reconciler.Namespaces
	n.Guards.Credentials.Namespace = "test-credentials"
	w.host.set(pull(1))
	w.mustRound()
	p, _ := w.preview(1)
	if p.Phase != Live {
		t.Fatalf("%s: %s", p.Phase, p.Reason)
	}
	copies := func() map[string]corev1.Secret {
		var all corev1.SecretList
		if err := w.cluster.List(t.Context(), &all, client.InNamespace(p.Namespace)); err != nil {
			t.Fatal(err)
		}
		found := map[string]corev1.Secret{}
		for _, s := range all.Items {
			if s.Name != SecretName {
				found[s.Name] = s
			}
		}
		return found
	}
	want := func(names ...string) {
		t.Helper()
		got := copies()
		for _, name := range names {
			if s, ok := got[name]; !ok || string(s.Data["key"]) != "value of "+name || s.Labels[snapshot.LabelTestCredentials] != "true" || s.Labels[snapshot.LabelOwner] != "seedling" {
				t.Errorf("%s is %+v", name, s)
			}
			delete(got, name)
		}
		if len(got) > 0 {
			t.Errorf("and there are %v", got)
		}
	}
	want("all", "shop", "ours", "pull")
	if copies()["pull"].Type != corev1.SecretTypeDockerConfigJson {
		t.Error("the type of a copy is another")
	}

	// Nothing changed: nothing is written, and nothing of a preview is ever read.
	created := w.cluster.called("create *v1.Secret")
	if err := n.Mend(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if now := w.cluster.called("create *v1.Secret"); now != created+1 { // its own login, which is there
		t.Errorf("%d Secrets were written", now-created)
	}
	if w.cluster.called("get *v1.Secret") > 0 {
		t.Error("a Secret was read by name")
	}

	source := secret("all", "", nil)
	if err := w.cluster.Get(t.Context(), client.ObjectKeyFromObject(source), source); err != nil {
		t.Fatal(err)
	}
	source.Data = map[string][]byte{"key": []byte("value of all"), "more": []byte("x")}
	if err := w.cluster.Update(t.Context(), source); err != nil {
		t.Fatal(err)
	}
	if err := w.cluster.Delete(t.Context(), secret("ours", "", nil)); err != nil {
		t.Fatal(err)
	}
	mend := func() {
		t.Helper()
		if err := n.Mend(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	mend()
	want("all", "shop", "pull")
	if string(copies()["all"].Data["more"]) != "x" {
		t.Error("a change is not copied")
	}
	n.Guards.Credentials.Namespace = ""
	mend()
	want()
	var ns corev1.Namespace
	if err := w.cluster.Get(t.Context(), client.ObjectKey{Name: p.Namespace}, &ns); err != nil || ns.Annotations[snapshot.AnnotationCredentials] != "" {
		t.Errorf("it says %q, %v", ns.Annotations[snapshot.AnnotationCredentials], err)
	}
	if strings.Contains(w.said.String(), "value of") {
		t.Error("a credential is in the log")
	}
}
