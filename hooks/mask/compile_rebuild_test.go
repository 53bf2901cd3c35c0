package mask

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRebuilds(t *testing.T) {
	t.Parallel()
	tables := []Table{
		tableOf("a", "id int4!", "title text!", "search tsvector!", "low text", "computed text").unique(Unique{Columns: []string{"low"}}),
		tableOf("b", "id int4!", "low text").references("a", "low=low"),
		tableOf("p", "at int4!", "search text").partitioned("range", "at"),
		tableOf("p_1", "at int4!", "search text").partition("p"),
	}
	tables[0].Columns[4].Generated = true
	policy := "tables: {public.a: {columns: {id: keep, title: text, search: {mask: rebuild, as: x(title)}, low: LOW}}, public.b: {columns: {id: keep}}, public.p: {columns: {at: keep, search: {mask: rebuild, as: at::text}}}}"
	plan, err := tryCompile(t, strings.Replace(policy, "LOW", "hash", 1), tables...)
	if err != nil {
		t.Fatal(err)
	}
	want := []Rebuild{
		{Name{"public", "a"}, "search", "tsvector", "x(title)", []string{"search", "computed"}},
		{Name{"public", "p_1"}, "search", "text", "at::text", []string{"search"}},
	}
	if diff := cmp.Diff(want, plan.Rebuilds()); diff != "" {
		t.Error(diff)
	}
	if got := maskRow(t, plan, "a", "1", "canary", "'canary':1", "x"); got[2] != `\N` {
		t.Errorf("%q", got)
	}
	for rule, want := range map[string]string{
		"{mask: rebuild, as: lower(title)}": "rebuild cannot compute a column that foreign keys or links join with others",
		"rebuild":                           "masker rebuild needs the option as",
	} {
		p, err := ParsePolicy([]byte("version: 1\n" + strings.Replace(policy, "LOW", rule, 1)))
		if err == nil {
			_, err = Compile(p, keyOf(t), Catalog{Tables: tables})
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", rule, err)
		}
	}
	_, err = tryCompile(t, "tables: {public.p: {columns: {at: {mask: rebuild, as: '1'}, search: keep}}}", tables[2:]...)
	if err == nil || !strings.Contains(err.Error(), "cannot compute a partition key") {
		t.Error(err)
	}
	_, err = tryCompile(t, "tables: {public.a: {columns: {l: {mask: array, of: {mask: rebuild, as: '1'}}}}}", tableOf("a", "l text[]"))
	if err == nil || !strings.Contains(err.Error(), "rebuild is for whole columns") {
		t.Error(err)
	}
	_, err = tryCompile(t, "tables: {public.a: {columns: {l: {mask: rebuild, as: '1'}}}}", tableOf("a", "l text").unique(Unique{Columns: []string{"l"}}))
	if err == nil || !strings.Contains(err.Error(), "masker rebuild may give two values the same mask") {
		t.Error(err)
	}
}

// Every foreign key that dropped rows may break is named, those of a table to
// itself and to a partitioned table that lost rows of one partition, too.
func TestForeignKeysThatMayBreak(t *testing.T) {
	t.Parallel()
	tables := []Table{
		tableOf("tree", "id int4!", "up int4").references("tree", "up=id"),
		tableOf("p", "id int4!").partitioned("range", "id"),
		tableOf("p1", "id int4!").partition("p").partitioned("range", "id"),
		tableOf("p11", "id int4!").partition("p1"),
		tableOf("p2", "id int4!").partition("p"),
		tableOf("c", "p_id int4").references("p", "p_id=id"),
		tableOf("q", "id int4!", "t_id int4").partitioned("range", "id"),
		tableOf("q1", "id int4!", "t_id int4").partition("q").references("tree", "t_id=id"),
	}
	const tree = "public.tree: foreign key tree_tree_fkey references public.tree, of which some rows are dropped: a row that references one of them makes the import fail"
	const q1 = "public.q1: foreign key q1_tree_fkey references public.tree, of which some rows are dropped: a row that references one of them makes the import fail"
	const c = "public.c: foreign key c_p_fkey references public.p, of which some rows are dropped: a row that references one of them makes the import fail"
	const gone = "public.c: where its foreign key c_p_fkey references a dropped row of public.p, p_id becomes NULL"
	for rules, want := range map[string][]string{
		"": nil,
		"public.tree: {rows: {where: [{column: id, from: 5}]}}": {q1, tree},
		"public.tree: {rows: {where: [{column: id, from: 5}], on_missing_parent: drop}}": {
			"public.q1: rows whose foreign key q1_tree_fkey references a dropped row of public.tree are dropped too",
			"public.tree: rows whose foreign key tree_tree_fkey references a dropped row of public.tree are dropped too",
		},
		"public.p: {rows: {where: [{column: id, from: 5}]}}":                           {c},
		"public.p2: {rows: {where: [{column: id, from: 5}]}}":                          {c},
		"public.p11: {rows: none}":                                                     {c},
		"public.p2: {rows: {where: [{column: id, from: 5}], on_missing_parent: null}}": {gone},
	} {
		plan, err := tryCompile(t, "types: {int4: keep}\ntables: {"+rules+"}", tables...)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(plan.Warnings)
		if diff := cmp.Diff(want, plan.Warnings); diff != "" {
			t.Errorf("%s: %s", rules, diff)
		}
	}
}

func TestOrphans(t *testing.T) {
	t.Parallel()
	tables := []Table{
		tableOf("users", "id int4!", "country text"),
		tableOf("orders", "id int4!", "user_id int4!", "referrer int4").references("users", "user_id=id").references("users", "referrer=id"),
		tableOf("items", "id int4!", "order_id int4").references("orders", "order_id=id"),
		tableOf("pairs", "a int4!", "b int4").references("users", "a=id", "b=country"),
		tableOf("tree", "id int4!", "up int4", "owner int4").references("tree", "up=id").references("users", "owner=id"),
		tableOf("other", "id int4!"),
	}
	tables[1].ForeignKeys[1].Name = "orders_referrer_fkey"
	tables[3].ForeignKeys[0].MatchFull = true
	late := map[string]bool{}
	compile := func(users, orders string) []string {
		clear(late)
		plan, err := tryCompile(t, "types: {int4: keep, text: keep}\ntables: {public.users: {rows: {where: [{column: country, in: [GR]}]"+users+"}}"+orders+"}", tables...)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, o := range plan.Orphans() {
			out = append(out, fmt.Sprintf("%s %s %v", o.Table.Name, o.ForeignKey.Name, o.SetNull))
		}
		if plan.Table("public", "other").Orphans || plan.Table("public", "orders").Orphans != (len(out) > 0) {
			t.Error("the wrong tables lose rows")
		}
		for _, k := range plan.LateKeys() {
			late[k.Name] = true
		}
		stops := strings.Contains(strings.Join(plan.Warnings, "\n"), "makes the import fail")
		if stops != (users == "" || strings.HasSuffix(orders, "from: 0}]}}")) {
			t.Errorf("%v", plan.Warnings)
		}
		return out
	}
	for _, c := range []struct {
		users, orders string
		want          []string
	}{
		{"", "", nil},
		{", on_missing_parent: drop", "", []string{
			"orders orders_users_fkey []", "orders orders_referrer_fkey []", "pairs pairs_users_fkey []", "tree tree_users_fkey []", "items items_orders_fkey []", "tree tree_tree_fkey []",
		}},
		{", on_missing_parent: null", "", []string{
			"orders orders_users_fkey []", "orders orders_referrer_fkey [referrer]", "pairs pairs_users_fkey []", "tree tree_users_fkey [owner]", "items items_orders_fkey [order_id]",
		}},
		{", on_missing_parent: null", ", public.orders: {rows: {where: [{column: id, from: 0}], on_missing_parent: drop}}", []string{
			"orders orders_users_fkey []", "orders orders_referrer_fkey [referrer]", "pairs pairs_users_fkey []", "tree tree_users_fkey [owner]", "items items_orders_fkey []",
		}},
		{", on_missing_parent: drop", ", public.orders: {rows: {where: [{column: id, from: 0}]}}", []string{
			"orders orders_users_fkey []", "orders orders_referrer_fkey []", "pairs pairs_users_fkey []", "tree tree_users_fkey []", "tree tree_tree_fkey []",
		}},
	} {
		if diff := cmp.Diff(c.want, compile(c.users, c.orders)); diff != "" {
			t.Errorf("%s%s: %s", c.users, c.orders, diff)
		}
	}
	if !late["items_orders_fkey"] || late["nobody"] {
		t.Errorf("late keys: %v", late)
	}
}
