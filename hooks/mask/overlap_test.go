package mask

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/hooks/copytext"
)

// overlap is two columns that a query joins, with what makes the value of each for a
// number.
type overlap struct {
	tables []Table
	left   string // table.column
	right  string
	value  func(i int) string
	other  func(i int) string // as value, when nil
	// linked says that the draft links them, noted that it says why it does not; where
	// both are false it says nothing.
	linked, noted bool
	// rule is what it gives both, "" for any.
	rule string
}

func overlapping() map[string]overlap {
	login := func(i int) string { return fmt.Sprintf("Kay.Reed%d", i) }
	person := func(i int) string { return givenNames[i%50] + " " + familyNames[(i*7)%60] }
	uuid := func(i int) string { return fmt.Sprintf("9b2f%04x-0d4c-4c6e-8a51-%012x", i, i*7919) }
	address := func(i int) string { return fmt.Sprintf("kay.reed%d@corp.test", i) }
	number := func(i int) string { return fmt.Sprint(i + 1) }
	of := func(list ...string) func(int) string { return func(i int) string { return list[i%len(list)] } }
	return map[string]overlap{
		"a name that is a key": {
			tables: []Table{tableOf("users", "name text!").unique(Unique{Columns: []string{"name"}}), tableOf("user_ips", "user_id text!", "seen date")},
			left:   "users.name", right: "user_ips.user_id", value: login, linked: true,
		},
		"citext and text in other cases": {
			tables: []Table{tableOf("users", "login citext!"), tableOf("grants", "who text")},
			left:   "users.login", right: "grants.who", value: login, other: func(i int) string { return strings.ToUpper(login(i)) }, linked: true,
		},
		"char(n) and text": {
			tables: []Table{tableOf("members", "code bpchar(14)!").unique(Unique{Columns: []string{"code"}}), tableOf("visits", "member_code text")},
			left:   "members.code", right: "visits.member_code", value: func(i int) string { return fmt.Sprintf("QX-%04d-KMR", i) + "   " }, other: func(i int) string { return fmt.Sprintf("QX-%04d-KMR", i) }, linked: true,
		},
		"e-mail addresses that nothing is the key of": {
			tables: []Table{tableOf("orders", "customer_email text"), tableOf("tickets", "sender varchar(60)")},
			left:   "orders.customer_email", right: "tickets.sender", value: address, linked: true, rule: "email",
		},
		"full names": {
			tables: []Table{tableOf("people", "full_name text!"), tableOf("invoices", "billed_to text")},
			left:   "people.full_name", right: "invoices.billed_to", value: func(i int) string { return person(i) + fmt.Sprintf(" the %dth", i) }, linked: true,
		},
		"over a column that follows a foreign key": {
			tables: []Table{
				tableOf("users", "login text!").unique(Unique{Columns: []string{"login"}, Primary: true}), tableOf("logins", "user_login text!").references("users", "user_login=login"), tableOf("audit", "actor text", "owner text"),
			},
			left: "logins.user_login", right: "audit.actor", value: login, linked: true,
		},
		"within a table": {
			tables: []Table{tableOf("staff", "full_name text!", "boss_name text")},
			left:   "staff.full_name", right: "staff.boss_name", value: func(i int) string { return fmt.Sprintf("%s-%s", person(i), familyNames[i%80]) }, linked: true,
		},
		"a uuid that is masked, and its text": {
			tables: []Table{tableOf("vouchers", "secret uuid!"), tableOf("orders", "voucher text")},
			left:   "vouchers.secret", right: "orders.voucher", value: uuid, other: func(i int) string { return strings.ToUpper(uuid(i)) }, linked: true, rule: "uuid",
		},
		"a uuid that is kept, and its text": {
			tables: []Table{tableOf("users", "id uuid!"), tableOf("events", "user_key text", "user_ref text")},
			left:   "users.id", right: "events.user_ref", value: uuid, noted: true,
		},
		"a number that is kept, and its text": {
			tables: []Table{tableOf("users", "id int8!"), tableOf("events", "user_id text")},
			left:   "users.id", right: "events.user_id", value: number, noted: true,
		},
		"a number that means another table's rows": {
			tables: []Table{tableOf("rooms", "id int8!"), tableOf("events", "user_id text")},
			left:   "rooms.id", right: "events.user_id", value: number,
		},
		"given names that many have": {
			tables: []Table{tableOf("users", "first_name text"), tableOf("guests", "first_name text")},
			left:   "users.first_name", right: "guests.first_name", value: of(givenNames[:12]...),
		},
		"JSON in a text": {
			tables: []Table{tableOf("sent", "payload text"), tableOf("archive", "payload text")},
			left:   "sent.payload", right: "archive.payload", value: func(i int) string { return fmt.Sprintf(`{"to": %q, "n": [%d]}`, login(i), i) },
		},
		"nothing in common": {
			tables: []Table{tableOf("users", "login text!"), tableOf("audit", "actor text")},
			left:   "users.login", right: "audit.actor", value: login, other: func(i int) string { return fmt.Sprintf("Jo.Lane%d", i) },
		},
		"too few rows to tell": {
			tables: []Table{tableOf("users", "login text!"), tableOf("audit", "actor text")},
			left:   "users.login", right: "audit.actor", value: func(i int) string { return login(i % 2) },
		},
		"what is null in the seed": {
			tables: []Table{tableOf("users", "religion text"), tableOf("forms", "religion text")},
			left:   "users.religion", right: "forms.religion", value: login,
		},
	}
}

const overlapRows = 60

func (o overlap) column(t *testing.T, at string) (Table, int) {
	t.Helper()
	name, column, _ := strings.Cut(at, ".")
	for _, tab := range o.tables {
		if i := slices.IndexFunc(tab.Columns, func(c Column) bool { return c.Name == column }); tab.Name == name && i >= 0 {
			return tab, i
		}
	}
	t.Fatalf("no column %s", at)
	return Table{}, 0
}

// field is a column's in a row.
func (o overlap) field(tab Table, column string, row int) string {
	switch at := tab.Name + "." + column; {
	case at == o.left:
		return o.value(row)
	case at == o.right && o.other != nil:
		return o.other((row * 7) % overlapRows)
	case at == o.right:
		return o.value((row * 7) % overlapRows)
	}
	return `\N`
}

func (o overlap) rows(tab Table) []byte {
	var b strings.Builder
	for row := range overlapRows {
		for i, c := range tab.Columns {
			if i > 0 {
				b.WriteByte('\t')
			}
			b.WriteString(o.field(tab, c.Name, row))
		}
		b.WriteByte('\n')
	}
	return []byte(b.String())
}

// joined is how many pairs of masked rows a query finds that compares as citext does
// where one side is citext, without the padding of char(n).
func (o overlap) joined(t *testing.T, plan *Plan) int {
	t.Helper()
	masks := func(at string) map[string]int {
		tab, column := o.column(t, at)
		w := plan.Table("public", tab.Name).NewWorker()
		found := map[string]int{}
		for line, rest, ok := copytext.CutLine(o.rows(tab)); ok; line, rest, ok = copytext.CutLine(rest) {
			out, err := w.Append(nil, line)
			if err != nil {
				t.Fatal(err)
			}
			fields, err := copytext.Split(nil, out[:len(out)-1])
			if err != nil {
				t.Fatal(err)
			}
			found[strings.ToLower(strings.TrimRight(string(fields[column]), " "))]++
		}
		return found
	}
	left, right := masks(o.left), masks(o.right)
	n := 0
	for v, k := range left {
		n += k * right[v]
	}
	return n
}

// TestDraftLinks: where samples hold the same values and no foreign key says why, the
// draft links the columns, and the seed joins as production does. Where it does not,
// it says so, or there was nothing to join.
func TestDraftLinks(t *testing.T) {
	t.Parallel()
	for name, o := range overlapping() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			samples := map[ColumnName]*Sample{}
			for _, tab := range o.tables {
				for _, c := range tab.Columns {
					s := NewSample(c)
					samples[ColumnName{"public", tab.Name, c.Name}] = s
					for row := range overlapRows {
						s.Add([]byte(o.field(tab, c.Name, row)))
					}
				}
			}
			c := Catalog{Tables: o.tables}
			draft := string(Draft(c, samples))
			p, err := ParsePolicy([]byte(draft))
			if err != nil {
				t.Fatalf("%v\n%s", err, draft)
			}
			plan, err := Compile(p, keyOf(t), c)
			if err != nil {
				t.Fatalf("%v\n%s", err, draft)
			}
			_, links, _ := strings.Cut(draft, "\nlinks:")
			links, _, _ = strings.Cut(links, "\ntables:")
			if linked := strings.Contains(links, "public."+strings.Replace(o.left, "logins.user_login", "users.login", 1)) && strings.Contains(links, "public."+o.right); linked != o.linked {
				t.Errorf("linked: %v\n%s", linked, draft)
			}
			if noted := strings.Contains(draft, fmt.Sprintf("# public.%s holds values of public.%s, which is kept", o.right, o.left)); noted != o.noted {
				t.Errorf("noted: %v\n%s", noted, draft)
			}
			if got := o.joined(t, plan); o.linked && got < overlapRows {
				t.Errorf("%d joined rows, in production %d\n%s", got, overlapRows, draft)
			}
			if tab, i := o.column(t, o.left); o.rule != "" && plan.Table("public", tab.Name).Columns[i].Masker != o.rule {
				t.Errorf("the rule is not %s\n%s", o.rule, draft)
			}
			found := plan.NewOverlaps()
			for _, tab := range o.tables {
				found.Add(plan.Table("public", tab.Name).NewWorker().layout, o.rows(tab))
			}
			if w := found.Warnings(); len(w) > 0 != o.noted {
				t.Errorf("under its draft: %q", w)
			}
		})
	}
}

// TestOverlaps: what no link covers is warned about, with a link that compiles and
// under which there is nothing left to warn of.
func TestOverlaps(t *testing.T) {
	t.Parallel()
	for name, o := range overlapping() {
		if !o.linked && !o.noted {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rules := map[string]string{"uuid": "uuid", "int8": "key", "bpchar": "permute", "citext": "hash", "varchar": "hash", "text": "hash", "date": "keep"}
			try := func(links string, mixed map[string]string) []string {
				policy := links + "tables:\n"
				for _, tab := range o.tables {
					policy += "  public." + tab.Name + ": {columns: {"
					for _, c := range tab.Columns {
						rule := rules[c.BaseType]
						if r := mixed[tab.Name+"."+c.Name]; r != "" {
							rule = r
						}
						policy += c.Name + ": " + rule + ", "
					}
					policy += "}}\n"
				}
				plan, err := tryCompile(t, policy, o.tables...)
				if err != nil {
					t.Fatalf("%v\n%s", err, policy)
				}
				found := plan.NewOverlaps()
				for _, tab := range o.tables {
					found.Add(plan.Table("public", tab.Name).NewWorker().layout, o.rows(tab))
				}
				if links != "" && o.joined(t, plan) < overlapRows {
					t.Errorf("%d joined rows under %s", o.joined(t, plan), policy)
				}
				return found.Warnings()
			}
			before := try("", nil)
			if len(before) != 1 || !strings.Contains(before[0], "public."+o.left) || !strings.Contains(before[0], "public."+o.right) || strings.Contains(before[0], o.value(1)) {
				t.Fatalf("warnings %q", before)
			}
			tab, i := o.column(t, o.left)
			other, j := o.column(t, o.right)
			rule := rules[tab.Columns[i].BaseType]
			if other.Columns[j].BaseType == "uuid" {
				rule = "uuid"
			}
			link := fmt.Sprintf("links: {one: [public.%s, public.%s]}\n", o.left, o.right)
			if after := try(link, map[string]string{o.left: rule, o.right: rule}); len(after) > 0 {
				t.Errorf("linked, and warned all the same: %q", after)
			}
		})
	}
}

// TestLinkedTypes: which types a link may join, and what it says of the others.
func TestLinkedTypes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ left, right, rule, sentence string }{
		"text and citext":  {"text", "citext", "email", ""},
		"uuid and text":    {"uuid", "text", "uuid", ""},
		"int and text":     {"int4", "text", "key", ""},
		"numeric and text": {"numeric", "varchar(20)", "key", ""},
		"mac and text":     {"macaddr", "text", "mac", ""},
		"inet and text":    {"inet", "text", "ip", "keep both, or make them columns of one type"},
		"uuid and bytea":   {"uuid", "bytea", "uuid", "masker uuid does not take bytea"},
		"date and text":    {"date", "text", "key", "masker key does not take date"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := tryCompile(t, "links: {one: [public.a.x, public.b.y]}\ntables: {public.a: {columns: {x: "+test.rule+"}}, public.b: {columns: {y: "+test.rule+"}}}\n",
				tableOf("a", "x "+test.left), tableOf("b", "y "+test.right))
			switch {
			case test.sentence == "" && err != nil:
				t.Error(err)
			case test.sentence != "" && (err == nil || !strings.Contains(err.Error(), test.sentence)):
				t.Errorf("error %v does not say %q", err, test.sentence)
			}
		})
	}
}
