package broker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/broker"
)

// A snapshot stays usable under another policy that permits all it lets through,
// as that policy itself says.
func TestAnotherPolicy(t *testing.T) {
	t.Parallel()
	const permits, tightened = "version: 1\ntables: {public.users: {columns: {id: keep, email: hash}}}", "version: 1\ntables: {public.users: {columns: {id: key, email: email}}}"
	packed, err := mask.Revealed{Version: 2, Tables: []mask.RevealedTable{
		{Schema: "public", Table: "users", Columns: []mask.RevealedColumn{{Column: "id"}}},
	}}.Pack()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		asked, policy string // what the seed asks for, and the policy that is there
		revealed      string
		forbidden     bool
		says          string // "" where it is usable
	}{
		"permitted":                         {permits, permits, packed, false, ""},
		"tightened":                         {tightened, tightened, packed, false, "it keeps public.users.id, which is not kept now"},
		"the policy there is the next one":  {permits, tightened, packed, false, "is not the policy that the seed asks for"},
		"the policy there is none":          {permits, "nonsense: [", packed, false, "is not the policy that the seed asks for"},
		"there is no policy":                {permits, "", packed, false, "it was masked under policy"},
		"the policy may not be read":        {permits, permits, packed, true, "it was masked under policy"},
		"an older seed-import":              {permits, permits, "", false, "it was masked under policy"},
		"what it lets through is cut short": {permits, permits, packed[:9], false, "read what is revealed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked, err := mask.ParsePolicy([]byte(test.asked))
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(t, interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, name client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
				if name.Name == snapshot.PolicyConfigMap && test.forbidden {
					return apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, name.Name, errors.New("no right"))
				}
				return c.Get(ctx, name, obj, opts...)
			}}, func(o map[string]client.Object) {
				delete(o, "older")
				o["request"].(*corev1.ConfigMap).Data["policy-digest"] = asked.Digest()
				if test.policy != "" {
					o["policy"] = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: seed, Name: "seed-policy"}, Data: map[string]string{"policy.yaml": test.policy}}
				}
			}, change("newest", func(b *velerov1.Backup) {
				if test.revealed != "" {
					b.Annotations[snapshot.AnnotationRevealed] = test.revealed
				}
			}))
			s := broker.Snapshots{Client: w.WithWatch, VeleroNamespace: "velero", Now: func() time.Time { return now }}
			for _, ask := range []func() (*velerov1.Backup, error){
				func() (*velerov1.Backup, error) { return s.Newest(t.Context(), seed) },
				func() (*velerov1.Backup, error) { return s.Usable(t.Context(), seed, newest) },
			} {
				got, err := ask()
				switch {
				case test.says == "" && (err != nil || got.Name != newest):
					t.Errorf("%v, error %v", got, err)
				case test.says != "" && (!errors.Is(err, snapshot.ErrNone) || !strings.Contains(err.Error(), test.says)):
					t.Errorf("%v, error %v", got, err)
				}
			}
		})
	}
	// Where nobody could read it, nobody can tell.
	w := newWorld(t, interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, name client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
		if name.Name == snapshot.PolicyConfigMap {
			return errors.New("the API server is away")
		}
		return c.Get(ctx, name, obj, opts...)
	}})
	if _, err := (broker.Snapshots{Client: w.WithWatch, VeleroNamespace: "velero", Now: func() time.Time { return now }}).Newest(t.Context(), seed); err == nil || errors.Is(err, snapshot.ErrNone) {
		t.Errorf("an API server that is away: %v", err)
	}
}

// A snapshot with the key before may be used, and no more once there is one with
// the new key, also for a preview that had chosen it.
func TestKeyRotated(t *testing.T) {
	t.Parallel()
	asks := change("request", func(c *corev1.ConfigMap) { c.Data["key-id"], c.Data["key-id-previous"] = "00bb", "00aa" })
	w := newWorld(t, interceptor.Funcs{}, asks)
	s := broker.Snapshots{Client: w.WithWatch, VeleroNamespace: "velero", Now: func() time.Time { return now }}
	if got, err := s.Newest(t.Context(), seed); err != nil || got.Name != newest {
		t.Errorf("%v, error %v", got, err)
	}
	if _, err := s.Usable(t.Context(), seed, older); err != nil {
		t.Errorf("an older one with the key before: %v", err)
	}
	w = newWorld(t, interceptor.Funcs{}, asks, change("newest", func(b *velerov1.Backup) { b.Annotations[snapshot.AnnotationKeyID] = "00bb" }))
	s.Client = w.WithWatch
	if got, err := s.Newest(t.Context(), seed); err != nil || got.Name != newest {
		t.Errorf("%v, error %v", got, err)
	}
	if _, err := s.Usable(t.Context(), seed, older); !errors.Is(err, snapshot.ErrNone) {
		t.Errorf("with the key before, and there is one with the new key: %v", err)
	}
}
