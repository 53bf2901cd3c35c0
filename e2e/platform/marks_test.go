package platform

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/e2e/cluster"
	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// Each value that is marked for whoever adopts it makes a difference in what is
// applied, and so do the Git host, both repositories and the images, which one
// command sets: none is overwritten by another place.
func TestMarkedValuesCount(t *testing.T) {
	t.Parallel()
	p := &Platform{Cluster: &cluster.Cluster{}, images: map[string]string{}}
	var err error
	p.root, err = cluster.Root()
	must(t, err)
	all, err := p.tree()
	must(t, err)
	data, err := p.seedDataTree(snapshot.Request{Dump: "s3://dumps/a?x=1", PolicyDigest: "aa", KeyID: "bb"}, []byte("version: 1"))
	must(t, err)
	maps.Copy(all, data)
	render := func(from tree) string {
		var text strings.Builder
		for _, dir := range []string{"plugin", "argocd", "applicationsets", "preview", "seed-postgres", seedData} {
			built, err := from.build(dir)
			must(t, err)
			for _, u := range built {
				raw, err := u.MarshalJSON()
				must(t, err)
				fmt.Fprintf(&text, "%s\n", raw)
			}
		}
		return text.String()
	}
	plain := render(all)
	value := regexp.MustCompile(`(\S+?)(\}?) *# <-`)
	marks := 0
	for name, content := range all {
		if strings.HasPrefix(name, "manifests/") {
			continue
		}
		lines := strings.SplitAfter(string(content), "\n")
		for i, line := range lines {
			if !strings.Contains(line, "# <-") {
				continue
			}
			marks++
			other := slices.Clone(lines)
			if other[i] = value.ReplaceAllString(line, "7$1$2 # <-"); other[i] == line {
				t.Errorf("%s has a mark without a value: %s", name, line)
				continue
			}
			changed := maps.Clone(all)
			changed[name] = []byte(strings.Join(other, ""))
			if render(changed) == plain {
				t.Errorf("%s: another value changes nothing: %s", name, line)
			}
		}
	}
	if marks < 5 {
		t.Errorf("%d marked values", marks)
	}
	// What the README's one command sets.
	for _, given := range [][2]string{{"acme/platform", "other/infra"}, {"acme/shop", "other/web"}, {"newTag: dev", "newTag: other"}, {"'ghcr.io/seedling-dev/'", "'registry.other/'"}} {
		changed := maps.Clone(all)
		for name, content := range all {
			if !strings.HasPrefix(name, "manifests/") {
				changed[name] = []byte(strings.ReplaceAll(string(content), given[0], given[1]))
			}
		}
		text := render(changed)
		if old := strings.Replace(given[0], "newTag: dev", `:dev"`, 1); strings.Contains(text, old) {
			t.Errorf("%s still stands there", old)
		}
		if text == plain {
			t.Errorf("%s changes nothing", given[0])
		}
	}
}
