package preview

import (
	"context"
	"errors"
	"net/url"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// TestPostgresInput: without a word the pull request brings its Postgres, and an
// input that says so is the same input.
func TestPostgresInput(t *testing.T) {
	t.Parallel()
	silent := mustInput(t, asksForShop)
	own := mustInput(t, asksWith(map[string]string{"postgres": `"own"`}))
	platform := mustInput(t, asksWith(map[string]string{"postgres": `"platform"`}))
	if silent.Postgres != "" || silent.id() != own.id() {
		t.Errorf("%q is not the same as own", silent.Postgres)
	}
	if platform.Postgres != PostgresPlatform || platform.id() == own.id() {
		t.Errorf("platform is %q", platform.Postgres)
	}
	for _, bad := range []string{`"Platform"`, `"none"`, `true`, `null`, `"platform "`} {
		_, err := ParseInput(asksWith(map[string]string{"postgres": bad}))
		if _, ok := errors.AsType[*InputError](err); !ok {
			t.Errorf("postgres: %s gives %v", bad, err)
		}
	}
}

// TestPostgresOfANamespace: the label that the admission policies read, and the
// Secret of a role whose name needs quoting in an address.
func TestPostgresOfANamespace(t *testing.T) {
	t.Parallel()
	cluster := fake.NewClientBuilder().Build()
	key := Key{ForgeURL: "https://git.example.com", Repository: "acme/shop", ApplicationSet: "previews", Number: 1}
	p := Preview{Key: key, Namespace: key.Namespace(), Seed: "seed", Postgres: PostgresPlatform}
	n := &Namespaces{Client: cluster, Owner: "seedling", Guards: DefaultGuards(), Seeds: map[string]Seed{"seed": {Role: "o'shop/@:?", Database: "shop #1"}}}
	label := func() string {
		t.Helper()
		var ns corev1.Namespace
		if err := cluster.Get(t.Context(), types.NamespacedName{Name: p.Namespace}, &ns); err != nil {
			t.Fatal(err)
		}
		p.NamespaceUID = ns.UID
		return ns.Labels[snapshot.LabelPostgres]
	}
	kept := 0
	n.Keep = func(context.Context, Preview) error { kept++; return nil }
	if _, err := n.Prepare(t.Context(), p); err != nil || label() != "platform" || kept != 0 {
		t.Fatalf("label %q, error %v", label(), err)
	}
	if err := n.Mend(t.Context(), p); err != nil || kept != 1 {
		t.Errorf("kept %d times, error %v", kept, err)
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: SecretName}}
	if err := cluster.Get(t.Context(), client.ObjectKeyFromObject(secret), secret); err != nil {
		t.Fatal(err)
	}
	uri, err := url.Parse(secret.StringData["uri"])
	if err != nil {
		t.Fatal("the address cannot be read")
	}
	if password, _ := uri.User.Password(); uri.User.Username() != "o'shop/@:?" || uri.Path != "/shop #1" || uri.Host != "postgres:5432" || password != secret.StringData["password"] {
		t.Errorf("user %q, path %q, host %q", uri.User.Username(), uri.Path, uri.Host)
	}
	p.Postgres = "" // it comes back, and its pull request brings its own now
	if _, err := n.Prepare(t.Context(), p); err != nil || label() != "" {
		t.Errorf("label %q, error %v", label(), err)
	}
}

// TestPostgresIsFixed: a changed input counts for previews of which nothing is
// used yet, and for those of which no Postgres is left.
func TestPostgresIsFixed(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	key := Key{ForgeURL: "https://git.example.com", Repository: "acme/shop", ApplicationSet: "previews", Number: 1}
	pr := pull(1)
	f := Facts{
		PullRequest: &pr, Seed: "seed", HeadSHA: pr.HeadSHA, Postgres: PostgresPlatform,
		Consent: Consent{By: "maintainer", At: now}, Space: Space{UID: "ns", HookUID: "sa"},
	}
	for _, test := range []struct {
		name string
		cur  *Preview
		want string
	}{
		{"new", nil, PostgresPlatform},
		{"held, without a namespace", &Preview{Phase: Held}, PostgresPlatform},
		{"held, with one that says otherwise", &Preview{Phase: Held, NamespaceUID: "ns"}, ""},
		{"live", &Preview{Phase: Live, NamespaceUID: "ns", HeadSHA: sha1}, ""},
		{"back with its data", &Preview{Phase: Ending, NamespaceUID: "ns", PVCUID: "pvc", LingersUntil: now.Add(time.Minute), Rests: true}, PostgresPlatform},
		{"ending", &Preview{Phase: Ending, NamespaceUID: "ns"}, ""},
	} {
		if test.cur != nil {
			test.cur.Key, test.cur.Namespace, test.cur.Seed, test.cur.PullRequest, test.cur.FirstSeen = key, key.Namespace(), "seed", pr, now
		}
		if got := Next(test.cur, key, f, now); got.Postgres != test.want {
			t.Errorf("%s: %q, want %q", test.name, got.Postgres, test.want)
		}
	}
}
