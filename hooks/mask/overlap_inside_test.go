package mask

import (
	"fmt"
	"strings"
	"testing"
)

// Values inside of JSON and arrays that columns hold too are told of, with what would
// join them: and that does.
func TestOverlapsInside(t *testing.T) {
	t.Parallel()
	tables := []Table{tableOf("users", "id int8!", "email text!"), tableOf("events", "id int8!", "doc jsonb", "members text[]", "other text[]")}
	const rules = `
tables:
  public.users: {columns: {id: keep, email: email}}
  public.events: {columns: {id: keep, doc: {mask: json, paths: {$.who.mail: EMAIL}}, members: {mask: array, of: EMAIL}, other: {mask: array, of: email}}}
`
	row := func(table string, i int) string {
		mail := fmt.Sprintf("kay.reed%d@corp.test", i)
		if table == "users" {
			return fmt.Sprintf("%d\t%s\n", i, mail)
		}
		return fmt.Sprintf("%d\t{\"who\": {\"mail\": \"%s\"}}\t{%s,x%d@else.test}\t{y%d@else.test}\n", i, mail, mail, i, i)
	}
	look := func(policy string) (string, *Plan) {
		t.Helper()
		plan, err := tryCompile(t, policy, tables...)
		if err != nil {
			t.Fatal(err)
		}
		o := plan.NewOverlaps()
		for table, columns := range map[string][]string{"users": {"id", "email"}, "events": {"id", "doc", "members", "other"}} {
			l, err := plan.Table("public", table).Bind(columns)
			if err != nil {
				t.Fatal(err)
			}
			var rows strings.Builder
			for i := range 50 {
				rows.WriteString(row(table, i))
			}
			o.Add(l, []byte(rows.String()))
		}
		return strings.Join(o.Warnings(), "\n"), plan
	}
	said, _ := look(strings.ReplaceAll(rules, "EMAIL", "email"))
	for _, want := range []string{
		"public.events.doc $.who.mail (email)", "public.events.members [*] (email)", "public.users.email (email)",
		"`links: {users_email: [public.users.email]}`", "`{mask: email, link: users_email}` for the places inside of values",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("not said: %q\n%s", want, said)
		}
	}
	if strings.Contains(said, "events.other") || strings.Contains(said, "kay.reed") {
		t.Errorf("said too much:\n%s", said)
	}
	said, plan := look("links: {users_email: [public.users.email]}\n" + strings.ReplaceAll(rules, "EMAIL", "{mask: email, link: users_email}"))
	if said != "" {
		t.Errorf("linked, and warned of:\n%s", said)
	}
	user := maskRow(t, plan, "users", "7", "kay.reed7@corp.test")[1]
	event := maskRow(t, plan, "events", "7", `{"who": {"mail": "kay.reed7@corp.test"}}`, "{kay.reed7@corp.test}", "{a@else.test}")
	if !strings.Contains(event[1], user) || event[2] != "{"+user+"}" {
		t.Errorf("%s and %q do not join", user, event)
	}
}
