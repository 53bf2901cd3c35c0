package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestObjects(t *testing.T) {
	t.Parallel()
	all, err := Objects([]byte(`
# a comment before the first document
apiVersion: v1
kind: Namespace
metadata: {name: one}
---
---
apiVersion: v1
kind: List
items:
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: two}}
  - {apiVersion: v1, kind: Secret, metadata: {name: three}}
`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, u := range all {
		got = append(got, u.GetKind()+" "+u.GetName())
	}
	want := []string{"Namespace one", "ConfigMap two", "Secret three"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCanonical(t *testing.T) {
	t.Parallel()
	for ref, want := range map[string]string{
		"debian:trixie-slim":           "docker.io/library/debian:trixie-slim",
		"velero/velero:1":              "docker.io/velero/velero:1",
		"ghcr.io/seedling-dev/node:ab": "ghcr.io/seedling-dev/node:ab",
		"localhost:5000/x:1":           "localhost:5000/x:1",
	} {
		if got := canonical(ref); got != want {
			t.Errorf("canonical(%s) = %s, want %s", ref, got, want)
		}
	}
}

func TestContentTag(t *testing.T) {
	t.Parallel()
	one := []ingredient{{path: "a", digest: "1"}, {path: "b", digest: "2"}}
	same := []ingredient{{path: "b", digest: "2", source: "elsewhere"}, {path: "a", digest: "1"}}
	other := []ingredient{{path: "a", digest: "2"}, {path: "b", digest: "1"}}
	if contentTag(one) != contentTag(same) {
		t.Error("order or place of the sources changes the tag")
	}
	if contentTag(one) == contentTag(other) {
		t.Error("other contents have the same tag")
	}
}

func TestUpstreamsAreComplete(t *testing.T) {
	t.Parallel()
	repo, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]string{}
	for _, u := range upstreams {
		key, err := u.key(t.Context(), repo)
		if err != nil {
			t.Error(err)
		}
		if other, taken := keys[key]; taken {
			t.Errorf("%s and %s have the same key", u.name, other)
		}
		keys[key] = u.name
	}
	for _, name := range nodeUpstreams {
		if _, err := upstreamNamed(name); err != nil {
			t.Error(err)
		}
	}
}
