package mask

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// shopTables are a small shop: orders and their lines below users, who recommend each
// other, and a log that is joined by a link alone.
func shopTables() []Table {
	return []Table{
		tableOf("users", "id int8!", "by int8", "code bpchar(8)!").references("users", "by=id"),
		tableOf("orders", "id int4!", "user_id int8", "at timestamptz!", "day date").references("users", "user_id=id"),
		tableOf("lines", "id int4!", "order_id int4!").references("orders", "order_id=id"),
		tableOf("log", "who numeric", "code text", "at timestamp"),
		tableOf("pairs", "a int8!", "b int4").references("orders", "b=id").references("users", "a=id"),
	}
}

const everyType = "types: {int8: keep, int4: keep, bpchar: keep, numeric: keep, text: keep, timestamptz: keep, timestamp: keep, date: keep}\n"

// compileTaken compiles for a dump that was made at a time.
func compileTaken(t *testing.T, policy string, taken time.Time, tables ...Table) (*Plan, error) {
	t.Helper()
	p, err := ParsePolicy([]byte("version: 1\n" + policy))
	if err != nil {
		t.Fatal(err)
	}
	return Compile(p, keyOf(t), Catalog{Tables: tables, Taken: taken})
}

// keptOf says which of the rows pass a table's filters.
func keptOf(t *testing.T, p *Plan, name string, rows ...string) []string {
	t.Helper()
	w := p.Table("public", name).NewWorker()
	var out []string
	for _, row := range rows {
		masked, err := w.Append(nil, []byte(row))
		if err != nil {
			t.Fatal(err)
		}
		if len(masked) > 0 {
			out = append(out, row)
		}
	}
	return out
}

// Tables whose columns are joined agree on who is in a share, whatever the types are
// called and the values are written like; rows that reference nobody stay.
func TestShareAgrees(t *testing.T) {
	t.Parallel()
	plan, err := tryCompile(t, everyType+"tables: {public.users: {rows: {where: [{column: id, share: 20 %}]}}}", shopTables()...)
	if err != nil {
		t.Fatal(err)
	}
	var users, orders, pairs []string
	for i := range 5000 {
		users = append(users, fmt.Sprintf("%d\t\\N\tx", i))
		orders = append(orders, fmt.Sprintf("1\t%d\t2024-01-01 00:00:00+00\t\\N", i))
		pairs = append(pairs, fmt.Sprintf("%d\t\\N", i))
	}
	ids := func(rows []string, column int) []string {
		var out []string
		for _, r := range rows {
			out = append(out, strings.Split(r, "\t")[column])
		}
		return out
	}
	kept := ids(keptOf(t, plan, "users", users...), 0)
	if n := len(kept); n < 850 || n > 1150 {
		t.Errorf("20 %% of 5000 are %d", n)
	}
	if diff := cmp.Diff(kept, ids(keptOf(t, plan, "orders", orders...), 1)); diff != "" {
		t.Errorf("orders: %s", diff)
	}
	if diff := cmp.Diff(kept, ids(keptOf(t, plan, "pairs", pairs...), 0)); diff != "" {
		t.Errorf("pairs: %s", diff)
	}
	anonymous := "1\t\\N\t2024-01-01 00:00:00+00\t\\N"
	if got := keptOf(t, plan, "orders", anonymous); len(got) != 1 {
		t.Error("a row without a reference was dropped")
	}
	if got := keptOf(t, plan, "lines", "1\t1"); len(got) != 1 {
		t.Error("a row was dropped while it was read, by a share that is not its own")
	}
	// A larger share holds the smaller one.
	larger, err := tryCompile(t, everyType+"tables: {public.users: {rows: {where: [{column: id, share: 40 %}]}}}", shopTables()...)
	if err != nil {
		t.Fatal(err)
	}
	more := ids(keptOf(t, larger, "users", users...), 0)
	for _, id := range kept {
		if !slices.Contains(more, id) {
			t.Fatalf("user %s is among 20 %% and not among 40 %%", id)
		}
	}
	// char(n) and text, joined by a link, and numeric by itself.
	plan, err = tryCompile(t, everyType+`
links: {codes: [public.users.code, public.log.code]}
tables:
  public.users: {rows: {where: [{column: code, share: 50 %}]}}
  public.log: {rows: {where: [{column: code, share: 50 %}]}}
`, shopTables()...)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		a := keptOf(t, plan, "users", fmt.Sprintf("1\t\\N\tc%-7d", i))
		b := keptOf(t, plan, "log", fmt.Sprintf("1\tc%d\t\\N", i))
		if len(a) != len(b) {
			t.Fatalf("code c%d: users %v, log %v", i, a, b)
		}
	}
	plan, err = tryCompile(t, everyType+"tables: {public.log: {rows: {where: [{column: who, share: 50 %}]}}}", shopTables()...)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		a, b := keptOf(t, plan, "log", fmt.Sprintf("%d\t\\N\t\\N", i)), keptOf(t, plan, "log", fmt.Sprintf("%d.00\t\\N\t\\N", i))
		if len(a) != len(b) {
			t.Fatalf("%d and %d.00 differ", i, i)
		}
	}
	if got := keptOf(t, plan, "log", "\\N\tx\t\\N"); len(got) != 0 {
		t.Error("a share has an entity that is NULL")
	}
}

func TestNewest(t *testing.T) {
	t.Parallel()
	taken := time.Date(2024, 6, 30, 15, 0, 0, 0, time.UTC)
	plan, err := compileTaken(t, everyType+`
tables:
  public.orders: {rows: {where: [{column: at, newest: 24h}]}}
  public.log: {rows: {where: [{column: at, newest: 1w}]}}
`, taken, shopTables()...)
	if err != nil {
		t.Fatal(err)
	}
	row := func(at string) string { return "1\t\\N\t" + at + "\t\\N" }
	in := []string{row("2024-06-29 15:00:00+00"), row("2024-06-29 17:00:00+02"), row("2025-01-01 00:00:00+00"), row("infinity")}
	out := []string{row("2024-06-29 14:59:59.999999+00"), row("2024-06-29 15:30:00+02"), row("-infinity"), row("1999-01-01 00:00:00+00")}
	if diff := cmp.Diff(in, keptOf(t, plan, "orders", append(out, in...)...)); diff != "" {
		t.Error(diff)
	}
	if got := keptOf(t, plan, "log", "1\tx\t\\N", "1\tx\t2024-06-23 14:59:59"); len(got) > 0 {
		t.Errorf("kept %v", got)
	}
	plan, err = compileTaken(t, everyType+"tables: {public.orders: {rows: {where: [{column: day, newest: 90d}]}}}", taken, shopTables()...)
	if err != nil {
		t.Fatal(err)
	}
	day := func(d string) string { return "1\t\\N\t2024-01-01 00:00:00+00\t" + d }
	if diff := cmp.Diff([]string{day("2024-04-01")}, keptOf(t, plan, "orders", day("2024-03-31"), day("2024-04-01"))); diff != "" {
		t.Error(diff)
	}
	for rules, want := range map[string]string{
		"public.orders: {rows: {where: [{column: id, newest: 90d}]}}": "newest takes dates and timestamps only",
		"public.orders: {rows: {where: [{column: at, share: 5 %}]}}":  "is timestamptz, which share does not take",
	} {
		if _, err := compileTaken(t, everyType+"tables: {"+rules+"}", taken, shopTables()...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", rules, err, want)
		}
	}
	if _, err := tryCompile(t, everyType+"tables: {public.orders: {rows: {where: [{column: at, newest: 90d}]}}}", shopTables()...); err == nil || !strings.Contains(err.Error(), "does not say") {
		t.Errorf("a dump without a time: %v", err)
	}
}

func TestSubsetPolicy(t *testing.T) {
	t.Parallel()
	policy := func(condition string) string {
		return "version: 1\ntables: {public.t: {rows: {where: [{column: a, " + condition + "}]}}}"
	}
	for condition, want := range map[string]string{
		"newest: 90": "age", "newest: 0d": "age", "newest: -1d": "age", "newest: 90 d": "age", "newest: 1y": "age",
		"newest: 5d, from: 2024-01-01": "both the least value",
		"share: 5":                     "part of the column's values", "share: 0 %": "part", "share: 100 %": "part", "share: -5 %": "part", "share: five %": "part", "share: 0.05": "part",
	} {
		if _, err := ParsePolicy([]byte(policy(condition))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", condition, err, want)
		}
	}
	digest := func(condition string) string {
		p, err := ParsePolicy([]byte(policy(condition)))
		if err != nil {
			t.Fatal(err)
		}
		return p.Digest()
	}
	for _, same := range [][2]string{{"share: 5 %", "share: 5.0%"}, {"newest: 2w", "newest: 14d"}, {"newest: 24h", "newest: 1d"}} {
		if digest(same[0]) != digest(same[1]) {
			t.Errorf("%s and %s have different digests", same[0], same[1])
		}
	}
	for _, other := range [][2]string{{"share: 5 %", "share: 6 %"}, {"newest: 2w", "newest: 15d"}, {"newest: 5h", "share: 5 %"}} {
		if digest(other[0]) == digest(other[1]) {
			t.Errorf("%s and %s have one digest", other[0], other[1])
		}
	}
}

// What references a dropped row goes, but inside a circle it lets go where it can.
func TestSubsetFollows(t *testing.T) {
	t.Parallel()
	tables := append(shopTables(),
		tableOf("teams", "id int4!", "lead int8!").references("people", "lead=id"),
		tableOf("people", "id int8!", "team int4").references("teams", "team=id"),
	)
	for rules, want := range map[string][]string{
		"public.users: {rows: {where: [{column: id, share: 5 %}]}}":                            {"lines lines_orders_fkey []", "orders orders_users_fkey []", "pairs pairs_orders_fkey []", "pairs pairs_users_fkey []", "users users_users_fkey [by]"},
		"public.users: {rows: {where: [{column: id, share: 5 %}], on_missing_parent: follow}}": {"lines lines_orders_fkey []", "orders orders_users_fkey []", "pairs pairs_orders_fkey []", "pairs pairs_users_fkey []", "users users_users_fkey [by]"},
		"public.users: {rows: {where: [{column: id, share: 5 %}], on_missing_parent: drop}}":   {"lines lines_orders_fkey []", "orders orders_users_fkey []", "pairs pairs_orders_fkey []", "pairs pairs_users_fkey []", "users users_users_fkey []"},
		"public.users: {rows: {where: [{column: id, share: 5 %}], on_missing_parent: stop}}":   nil,
		"public.people: {rows: {where: [{column: id, share: 5 %}]}}":                           {"people people_teams_fkey [team]", "teams teams_people_fkey []"},
		"public.users: {rows: {where: [{column: id, in: [1]}]}}":                               nil,
	} {
		plan, err := tryCompile(t, everyType+"tables: {"+rules+"}", tables...)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range plan.Orphans() {
			got = append(got, fmt.Sprintf("%s %s %v", o.Table.Name, o.ForeignKey.Name, o.SetNull))
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", rules, diff)
		}
	}
}

func TestEstimate(t *testing.T) {
	t.Parallel()
	taken := time.Date(2024, 12, 31, 0, 0, 0, 0, time.UTC)
	plan, err := compileTaken(t, everyType+`
tables:
  public.users: {rows: {where: [{column: id, share: 5 %}]}}
  public.orders: {rows: {where: [{column: at, newest: 50d}]}}
  public.log: {rows: {where: [{column: code, in: [a]}]}}
`, taken, shopTables()...)
	if err != nil {
		t.Fatal(err)
	}
	e := plan.NewEstimate()
	add := func(name string, rows ...string) {
		t.Helper()
		var columns []string
		for _, c := range plan.Table("public", name).Columns {
			columns = append(columns, c.Name)
		}
		l, err := plan.Table("public", name).Bind(columns)
		if err != nil {
			t.Fatal(err)
		}
		e.Add(l, []byte(strings.Join(rows, "\n")+"\n"), float64(len(rows)))
	}
	add("users", "1\t\\N\tx")
	old := taken.Add(-500 * 24 * time.Hour).Format("2006-01-02 15:04:05+00")
	add("orders", "1\t1\t"+old+"\t\\N", "2\t2\t"+old+"\t\\N")
	add("lines", "1\t1")
	add("log", "1\ta\t\\N", "1\tb\t\\N", "1\tb\t\\N", "1\tb\t\\N")
	add("pairs", "1\t\\N", "2\t3")
	for name, want := range map[string][2]float64{
		"users":  {.05, .05},
		"orders": {.05 * .1, .05 * .1}, // by what they reference, while they are read
		"lines":  {1, .05 * .1},
		"log":    {.25, .25},
		"pairs":  {.05, .05 * (.5 + .5*.05*.1)}, // half of them reference no order
	} {
		loaded, kept := e.Of(plan.Table("public", name))
		if near := func(a, b float64) bool { return a > b*.99 && a < b*1.01 }; !near(loaded, want[0]) || !near(kept, want[1]) {
			t.Errorf("%s: loaded %g, kept %g, want %v", name, loaded, kept, want)
		}
	}
}

// The draft proposes a subset for what is over a quarter of a large dump, in lines that
// load as they stand once a person takes the sign off.
func TestSubsetDraft(t *testing.T) {
	t.Parallel()
	tables := append(shopTables(),
		tableOf("visits", "visitor uuid!", "expires_at timestamptz", "day date", "seen_at timestamptz!").partitioned("range", "day"),
		tableOf("visits_1", "visitor uuid!", "expires_at timestamptz", "day date", "seen_at timestamptz!").partition("visits"))
	sizes := func(bytes ...int64) []byte {
		for i := range tables {
			tables[i].Stored = 0
			if i < len(bytes) {
				tables[i].Stored = bytes[i]
			}
		}
		return Draft(Catalog{Tables: tables}, nil)
	}
	if got := string(sizes(1, 1000, 1)); strings.Contains(got, "where:") {
		t.Errorf("a subset for a small dump:\n%s", got)
	}
	const mb = 1 << 20
	for want, bytes := range map[string][]int64{
		"# rows: {where: [{column: at, newest: 90d}]}   # decide: the table is 66 % of the dump":      {100 * mb, 200 * mb},
		"# rows: {where: [{column: order_id, share: 5 %}]}   # decide: the table is 66 % of the dump": {50 * mb, 50 * mb, 200 * mb},
		"# rows: {where: [{column: day, newest: 90d}]}   # decide: the table is 80 % of the dump":     {80 * mb, 0, 0, 0, 0, 0, 320 * mb},
	} {
		draft := string(sizes(bytes...))
		if !strings.Contains(draft, want) || !strings.Contains(draft, "# - "+asksLarge) {
			t.Errorf("the draft lacks %s:\n%s", want, draft)
			continue
		}
		taken, _, _ := strings.Cut(strings.TrimPrefix(want, "# "), "   #")
		if _, err := compileTaken(t, strings.Replace(strings.TrimPrefix(draft[strings.Index(draft, "version: 1"):], "version: 1\n"), want, taken, 1), time.Now(), tables...); err != nil {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// A subset costs no allocation.
func TestSubsetAllocations(t *testing.T) { //nolint:paralleltest // it counts allocations
	plan, err := compileTaken(t, everyType+"tables: {public.users: {rows: {where: [{column: id, share: 50 %}, {column: code, share: 50 %}]}}, public.orders: {rows: {where: [{column: at, newest: 90d}]}}}",
		time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC), shopTables()...)
	if err != nil {
		t.Fatal(err)
	}
	users, orders := plan.Table("public", "users").NewWorker(), plan.Table("public", "orders").NewWorker()
	rows := [][]byte{[]byte("1\t\\N\tabc  "), []byte("2\t\\N\tabcd "), []byte("3\t\\N\tx")}
	order := []byte("1\t7\t2024-05-01 10:00:00.5+02\t\\N")
	dst := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(1000, func() {
		for _, row := range rows {
			dst, _ = users.Append(dst[:0], row)
		}
		dst, _ = orders.Append(dst[:0], order)
	}); n > 0 {
		t.Errorf("%g allocations", n)
	}
}
