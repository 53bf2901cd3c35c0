package snapshot_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

func TestKept(t *testing.T) {
	t.Parallel()
	var many []string
	for n := range 2000 {
		many = append(many, fmt.Sprintf("public.a_table_of_some_length.column_%04d", n))
	}
	for _, c := range []struct {
		name string
		kept []string
		want []string // where it differs
		more int
	}{
		{name: "nothing"},
		{name: "some", kept: []string{"public.users.city", "public.users.prefs within /theme"}},
		{name: "one that ends like more", kept: []string{"public.a.and 3 more"}},
		{name: "lines", kept: []string{"public.a.\"b\nand 7 more\""}, want: []string{`public.a."b and 7 more"`}},
		{name: "too many", kept: many, want: many[:389], more: 2000 - 389},
	} {
		value := snapshot.KeptValue(c.kept)
		if len(value) > 16<<10 {
			t.Errorf("%s: %d bytes", c.name, len(value))
		}
		want := c.want
		if want == nil {
			want = c.kept
		}
		got, more, known := snapshot.KeptFrom(map[string]string{snapshot.AnnotationKept: value})
		if !slices.Equal(got, want) || more != c.more || !known {
			t.Errorf("%s: %d and %d more, known %v, of %d", c.name, len(got), more, known, len(c.kept))
		}
	}
	if _, _, known := snapshot.KeptFrom(nil); known {
		t.Error("a Backup of an earlier version says what it keeps")
	}
}
