package mask

import (
	"fmt"
	"strings"
	"testing"
)

// What an application's framework finds its own schema by is kept, and said so; what
// names somebody there is not, and neither are tables of other things.
func TestDraftKeepsFrameworks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		table Table
		kept  []string
		value string // of all texts
	}{
		"rails":     {tableOf("schema_migrations", "version varchar!"), []string{"version: keep"}, "20240101120000"},
		"prisma":    {tableOf("_prisma_migrations", "id varchar(36)!", "checksum varchar(64)!", "migration_name varchar(255)!", "logs text"), []string{"id: keep", "checksum: keep", "migration_name: keep"}, "20240101_init"},
		"ef":        {tableOf("__EFMigrationsHistory", "MigrationId varchar(150)!", "ProductVersion varchar(32)!"), []string{"MigrationId: keep", "ProductVersion: keep"}, "20240101_Init"},
		"flyway":    {tableOf("flyway_schema_history", "installed_rank int4!", "version varchar(50)", "description varchar(200)!", "script varchar(1000)!", "installed_by varchar(100)!"), []string{"description: keep", "script: keep", "installed_by: text"}, "V1__create_users.sql"},
		"liquibase": {tableOf("databasechangelog", "id varchar(255)!", "author varchar(255)!", "filename varchar(255)!", "md5sum varchar(35)"), []string{"id: keep", "author: text", "filename: keep", "md5sum: keep"}, "changelog-1"},
		"django":    {tableOf("django_content_type", "id int4!", "app_label varchar(100)!", "model varchar(100)!"), []string{"app_label: keep", "model: keep"}, "reservation"},
		"knex":      {tableOf("knex_migrations", "id int4!", "name varchar(255)"), []string{"name: keep"}, "20240101_users.js"},
		"of people": {tableOf("family_migrations", "id int4!", "name text"), []string{"name: full_name"}, "Maria Schneider"},
		"unread":    {tableOf("patient_migrations", "id int4!", "name text", "description text"), []string{"name: full_name", "description: text"}, ""},
		"unusual":   {tableOf("customer_migrations", "id int4!", "name text"), []string{"name: full_name"}, "Quirin Zwickensohn"},
		"module's":  {tableOf("customer_migrations", "id int4!", "name text"), []string{"name: keep"}, "20240101_init"},
		"reached":   {tableOf("migrations", "id int4!", "name text"), []string{"name: email"}, "anna@corp.test"},
		"other":     {tableOf("migration_notes", "id int4!", "name text"), []string{"name: product"}, "Plan 7"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			samples := map[ColumnName]*Sample{}
			for _, col := range c.table.Columns {
				if col.kind() == kindText && c.value != "" {
					s := NewSample(col)
					for range 30 {
						s.Add([]byte(c.value))
					}
					samples[ColumnName{"public", c.table.Name, col.Name}] = s
				}
			}
			draft := string(Draft(Catalog{Tables: []Table{c.table}}, samples))
			for _, want := range c.kept {
				if !strings.Contains(draft, "      "+want+"\n") {
					t.Errorf("want %s in\n%s", want, draft)
				}
			}
			if said := strings.Contains(draft, "the application looks itself up here"); said != strings.HasSuffix(c.kept[0], "keep") {
				t.Errorf("that it is a framework's is said is %v in\n%s", said, draft)
			}
		})
	}
}

// A text whose values a constraint lists is an enum, unless its name or its values say
// that it is about somebody.
func TestDraftKeepsListed(t *testing.T) {
	t.Parallel()
	table := tableOf("rooms", "id int8!", "vue text", "sexe text", "autre text", "medecin text", "bau text")
	for _, i := range []int{1, 2, 4, 5} {
		table.Columns[i].Listed = true
	}
	samples := map[ColumnName]*Sample{}
	for _, col := range table.Columns[1:] {
		s := NewSample(col)
		values := []string{"mer", "cour", "jardin"}
		if col.Name == "bau" {
			values = []string{"Anna Schmidt", "Peter Weber", "Maria Keller"}
		}
		for i := range 60 {
			s.Add([]byte(values[i%3]))
		}
		samples[ColumnName{"public", "rooms", col.Name}] = s
	}
	draft := string(Draft(Catalog{Tables: []Table{table}}, samples))
	for _, want := range []string{"vue: keep\n", "sexe: null", "autre: text\n", "medecin: text\n", "bau: full_name\n"} {
		if !strings.Contains(draft, want) {
			t.Errorf("want %s in\n%s", want, draft)
		}
	}
}

// Telephone numbers with dots may be addresses of networks by their shape, and are told
// by all of them: a mask that keeps a network would keep most of a number.
func TestDraftNumbersWithDots(t *testing.T) {
	t.Parallel()
	number := func(i int) string { return fmt.Sprintf("21%d.%d.%d.%d", i%6, 100+i%150, 10+i%89, 10+i%83) }
	address := func(i int) string { return fmt.Sprintf("84.%d.%d.%d", i%250, i%199, i%251) }
	for name, c := range map[string]struct {
		column string
		rows   int
		value  func(i int) string
		want   string
	}{
		"numbers":              {"erreichbar text", 60, number, "phone"},
		"few numbers":          {"erreichbar text", 3, number, "text"},
		"addresses":            {"erreichbar text", 60, address, "ip"},
		"a name of addresses":  {"client_ip text", 60, number, "ip"},
		"addresses and others": {"erreichbar text", 60, func(i int) string { return []string{number(i), address(i)}[i%2] }, "ip"},
	} {
		table := tableOf("seito", "id int8!", c.column)
		s := NewSample(table.Columns[1])
		for i := range c.rows {
			s.Add([]byte(c.value(i)))
		}
		column := table.Columns[1].Name
		draft := string(Draft(Catalog{Tables: []Table{table}}, map[ColumnName]*Sample{{"public", "seito", column}: s}))
		if !strings.Contains(draft, column+": "+c.want+"\n") {
			t.Errorf("%s: want %s in\n%s", name, c.want, draft)
		}
	}
}

// Dates whose name says nothing are told by how they lie: births of children, too,
// are in no order; what happens to rows is.
func TestDraftDates(t *testing.T) {
	t.Parallel()
	day := func(i int) string { return fmt.Sprintf("20%02d-%02d-%02d", 12+i, 1+i, 1+i) }
	at := func(i int) string { return fmt.Sprintf("2024-%02d-%02d %02d:00:00", 1+i/30%12, 1+i%28, i%24) }
	for name, c := range map[string]struct {
		column string
		rows   int
		value  func(i int) string
		want   string
	}{
		"children": {"seinengappi date", 60, func(i int) string { return day([]int{4, 0, 7, 2, 8, 1, 5, 3, 6}[i%9]) }, "year_only"},
		"in order": {"hi date", 60, func(i int) string { return day(i / 8) }, "keep"},
		"few":      {"seinengappi date", 4, day, "year_only"},
		"none":     {"hi date", 0, day, "year_only"},
		"times":    {"quando timestamptz", 60, at, "keep"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table := tableOf("seito", "id int8!", c.column)
			s := NewSample(table.Columns[1])
			for i := range c.rows {
				s.Add([]byte(c.value(i)))
			}
			column := table.Columns[1].Name
			draft := string(Draft(Catalog{Tables: []Table{table}}, map[ColumnName]*Sample{{"public", "seito", column}: s}))
			if !strings.Contains(draft, "      "+column+": "+c.want+"\n") {
				t.Errorf("want %s in\n%s", c.want, draft)
			}
		})
	}
}

// What a name promises does not count where the values name people, whole or within.
func TestDraftReadsKinds(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"waiting for Anna %s":                   "text",
		"sent back to Quirin Zwickensohn %[1]s": "text",
		"waiting for payment":                   "keep",
		"In Progress":                           "keep",
		"Shipped to Customer":                   "keep",
	} {
		table := tableOf("orders", "id int8!", "status_text text")
		s := NewSample(table.Columns[1])
		for i := range 200 {
			v := value
			if strings.Contains(v, "%") {
				v = fmt.Sprintf(v, []string{"Brandt", "Kessler", "Ohlsen"}[i%3])
			}
			s.Add([]byte(v))
		}
		draft := string(Draft(Catalog{Tables: []Table{table}}, map[ColumnName]*Sample{{"public", "orders", "status_text"}: s}))
		if !strings.Contains(draft, "      status_text: "+want+"\n") {
			t.Errorf("%q: want %s in\n%s", value, want, draft)
		}
	}
}

// A short code that other tables reference is permuted among few values before it is
// kept; codes that many databases have stay.
func TestDraftPermutesLast(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{"AB-%03d": "permute   # decide", "EUR": "keep"} {
		members := tableOf("members", "nr varchar(6)!").unique(Unique{Name: "pk", Columns: []string{"nr"}, Primary: true})
		visits := tableOf("visits", "id int8!", "member varchar(6)").references("members", "member=nr")
		s := NewSample(members.Columns[0])
		for i := range 200 {
			v := value
			if strings.Contains(v, "%") {
				v = fmt.Sprintf(v, i)
			}
			s.Add([]byte(v))
		}
		catalog := Catalog{Tables: []Table{members, visits}}
		draft := Draft(catalog, map[ColumnName]*Sample{{"public", "members", "nr"}: s})
		if !strings.Contains(string(draft), "      nr: "+want) {
			t.Errorf("%q: want %s in\n%s", value, want, draft)
		}
		p, err := ParsePolicy(draft)
		if err == nil {
			_, err = Compile(p, keyOf(t), catalog)
		}
		if err != nil {
			t.Errorf("%v\n%s", err, draft)
		}
	}
}
