package preview_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/preview"
)

func TestNamespace(t *testing.T) {
	t.Parallel()
	const url = "https://git.example.com"
	tests := []struct {
		name string
		key  preview.Key
		want string
	}{
		{"plain", preview.Key{ForgeURL: url, Repository: "acme/shop", ApplicationSet: "previews", Number: 7}, "preview-shop-7-8e09a7ddd3"},
		{"another number", preview.Key{ForgeURL: url, Repository: "acme/shop", ApplicationSet: "previews", Number: 8}, "preview-shop-8-8e09a7ddd3"},
		{"spelled differently", preview.Key{ForgeURL: "HTTPS://git.example.com:443/", Repository: "/Acme/Shop.git", ApplicationSet: "previews", Number: 7}, "preview-shop-7-8e09a7ddd3"},
		{"another owner", preview.Key{ForgeURL: url, Repository: "evil/shop", ApplicationSet: "previews", Number: 7}, "preview-shop-7-88f71741e6"},
		{"another ApplicationSet", preview.Key{ForgeURL: url, Repository: "acme/shop", ApplicationSet: "canary", Number: 7}, "preview-shop-7-f36796612f"},
		{"odd letters", preview.Key{ForgeURL: url, Repository: "acme/_Shöp..2_", ApplicationSet: "previews", Number: 7}, "preview-sh-p-2-7-6db45ed41b"},
		{"nothing usable", preview.Key{ForgeURL: url, Repository: "acme/___", ApplicationSet: "previews", Number: 7}, "preview-x-7-3de918b26c"},
		{"long", preview.Key{ForgeURL: url, Repository: "acme/a-repository-with-a-name-longer-than-any-label", ApplicationSet: "previews", Number: 123456}, "preview-a-repository-with-a-name-l-123456-9eacfc2116"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := test.key.Namespace(); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

var label = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)

func FuzzNamespace(f *testing.F) {
	f.Add("https://git.example.com", "acme/shop", "previews", int64(7))
	f.Add("", "", "", int64(0))
	f.Add("::", "a/-", "x", int64(1<<62))
	f.Add("http://h:80/sub/", "группа/проект", "p", int64(-1))
	f.Fuzz(func(t *testing.T, url, repository, set string, number int64) {
		k := preview.Key{ForgeURL: url, Repository: repository, ApplicationSet: set, Number: max(number, 1)}
		name := k.Namespace()
		switch {
		case len(name) > snapshot.MaxPreview, !label.MatchString(name), strings.Contains(name, "--"):
			t.Errorf("%q is no name for a namespace", name)
		case !strings.HasPrefix(name, "preview-"), !strings.HasSuffix(name, "-"+k.Hash()):
			t.Errorf("%q lacks its prefix or hash", name)
		case name != k.Namespace():
			t.Error("not stable")
		case len(k.Hash()) != 10:
			t.Errorf("hash %q is not ten digits", k.Hash())
		}
		other := k
		other.Number = k.Number%1000 + 1
		if other.Number != k.Number && other.Namespace() == name {
			t.Errorf("%d and %d share %s", k.Number, other.Number, name)
		}
		other = k
		other.ApplicationSet += "x"
		if other.Namespace() == name {
			t.Errorf("two ApplicationSets share %s", name)
		}
	})
}

func FuzzSlug(f *testing.F) {
	f.Add("feature/ABC-1 new", 10)
	f.Add("--", 3)
	f.Add("ÄÖÜ", 0)
	f.Fuzz(func(t *testing.T, text string, room int) {
		s := preview.Slug(text, room)
		if len(s) > max(room, 0) || s != "" && !label.MatchString(s) {
			t.Errorf("Slug(%q, %d) = %q", text, room, s)
		}
	})
}
