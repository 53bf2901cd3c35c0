package mask

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCensus(t *testing.T) {
	t.Parallel()
	users := table("users", "id int8!", "email text", "gender text", "plan text", "blood text", "born date", "kept text", "few int4", "drawn text", "empty text", "rare text")
	const columns = `{id: key, email: email, gender: text, plan: {mask: choice, values: [a, b]}, blood: {mask: constant, value: x}, born: year_only, kept: keep,
		few: {mask: number_range, min: 1, max: 5}, drawn: {mask: choice, values: [a, b], by: id}, empty: text, rare: text}`
	events := []Table{
		table("events", "kind text").partitioned("range"),
		table("events_1", "kind text").partition("events"), table("events_2", "kind text").partition("events"),
	}
	run := func(head string, rows int) []string {
		plan, err := tryCompile(t, head+"tables: {public.users: {columns: "+columns+"}, public.events: {columns: {kind: text}}}", append([]Table{users}, events...)...)
		if err != nil {
			t.Fatal(err)
		}
		census := plan.NewCensus()
		bind := func(name string, columns ...string) *Layout {
			l, err := plan.Table("public", name).Bind(columns)
			if err != nil {
				t.Fatal(err)
			}
			return l
		}
		var b strings.Builder
		for i := range rows {
			rare := `\N`
			if i < 2 {
				rare = fmt.Sprint("rare", i)
			}
			fmt.Fprintf(&b, "%d\ta%d@b.test\t%s\tp%d\tA%d\t19%02d-01-01\tk\t%d\t%d\t\\N\t%s\n", i, i, []string{"m", "f"}[i%2], i%7, i%4, i%50, i%20, i%3, rare)
		}
		b.WriteString("a row that cannot be read\n")
		census.Add(bind("users", "id", "email", "gender", "plan", "blood", "born", "kept", "few", "drawn", "empty", "rare"), []byte(b.String()))
		census.Add(bind("events_1", "kind"), []byte("view\nbuy\nview\nbuy\n"))
		census.Add(bind("events_2", "kind"), []byte("view\nbuy\nleave\n"))
		return census.Warnings()
	}
	want := []string{
		"public.events.kind: the sample's 7 rows hold 3 distinct values, fewer than min_distinct (20): masker text gives equal values equal masks, so that their frequency tells which is which; mask it with null, constant, or choice with `by`",
		"public.users.gender: the sample's 100 rows hold 2 distinct values, fewer than min_distinct (20): masker text gives equal values equal masks, so that their frequency tells which is which; mask it with null, constant, or choice with `by`",
		"public.users.plan: the sample's 100 rows hold 7 distinct values, fewer than min_distinct (20): masker choice gives equal values equal masks, so that their frequency tells which is which; mask it with null, constant, or choice with `by`",
	}
	if diff := cmp.Diff(want, run("", 100)); diff != "" {
		t.Error(diff)
	}
	if got := run("min_distinct: 21\n", 100); len(got) != 4 || !strings.HasPrefix(got[1], "public.users.few: the sample's 100 rows hold 20 distinct values, fewer than min_distinct (21)") {
		t.Errorf("%v", got)
	}
	if got := run("min_distinct: 3\n", 100); len(got) != 1 || !strings.HasPrefix(got[0], "public.users.gender") {
		t.Errorf("%v", got)
	}
	if got := run("min_distinct: 0\n", 100); len(got) != 0 {
		t.Errorf("%v", got)
	}
	// What comes once says nothing about frequency.
	if got := run("", 2); len(got) != 1 {
		t.Errorf("%v", got)
	}
}
