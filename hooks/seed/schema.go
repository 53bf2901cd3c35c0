package seed

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/dump"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/postgres"
	"github.com/seedling-dev/seedling/hooks/sqltext"
)

// step is one entry of the dump, ready to be executed.
type step struct {
	entry      *dump.Entry
	statements []string
}

// object is how messages call the entry.
func (s step) object() string { return s.entry.Kind + " " + s.entry.Name() }

// aboutLargeObjects says that the entry is a grant on some.
func (s step) aboutLargeObjects() bool { return strings.HasPrefix(s.entry.Tag, "LARGE OBJECT") }

// schema is everything of a dump but its rows, as statements.
type schema struct {
	pre, post    []step // of the main pass, before and after the rows
	grants       []step
	last         []step
	data         []*dump.Entry      // TABLE DATA
	largeObjects []*dump.Entry      // BLOBS
	loMetadata   []*dump.Entry      // BLOB, BLOB METADATA
	left         map[string]int     // kinds left out, with their number
	foreign      map[mask.Name]bool // foreign tables, which become local and empty
	comments     bool               // on objects that are restored
	rewritten    []string           // objects that are restored differently, with the reason
	owners       *roleMap
}

// settings of every session that restores.
const fixedSettings = `
SET client_encoding = 'UTF8'; SET standard_conforming_strings = on; SET check_function_bodies = off;
SET xmloption = content; SET client_min_messages = error; SET row_security = off;
SET search_path = ''; SET datestyle = ISO; SET intervalstyle = postgres; SET extra_float_digits = 3;
SET default_tablespace = ''; SET default_table_access_method = heap; SET synchronous_commit = off;
SET bytea_output = hex; SET timezone = 'UTC'`

// readSchema turns the table of contents into statements, and refuses what is
// not on the allow lists. All that is wrong is said at once.
func readSchema(d *dump.Dump, p *mask.Policy, owner string) (*schema, error) {
	s := &schema{left: map[string]int{}, foreign: map[mask.Name]bool{}}
	r := &roleMap{mapping: p.Roles, owner: owner, missing: map[string][]string{}}
	s.owners = r
	var errs []error
	ownerless := false
	for _, e := range d.Entries {
		k, known := kinds[e.Kind]
		if !known {
			errs = append(errs, command.Misconfiguredf("%s %s: entries of kind %q are not known to be safe", e.Kind, e.Name(), e.Kind))
			continue
		}
		if e.WithOIDs {
			errs = append(errs, command.Misconfiguredf("table %s has OIDs, which no current server stores", e.Name()))
			continue
		}
		if e.Kind == "COMMENT" && !strings.HasPrefix(e.Tag, "DATABASE ") && !strings.HasPrefix(e.Tag, "LARGE OBJECT ") {
			s.comments = true
			switch {
			case p.Comments && aboutEventTrigger(e):
				k = kind{pass: last, statements: k.statements}
			case p.Comments:
				k = kind{pass: grants, statements: k.statements}
			}
		}
		if e.Schema == postgres.Schema || e.Kind == "SCHEMA" && e.Tag == postgres.Schema {
			errs = append(errs, command.Misconfiguredf("%s %s: the schema %s belongs to seeds; this looks like a dump of a seed, not of production", e.Kind, e.Name(), postgres.Schema))
			continue
		}
		if (e.Kind == "ACL" || e.Kind == "COMMENT") && foreignGrant(e.Tag) {
			k = kind{pass: never}
		}
		if d.Format == dump.Plain && e.Kind == "ACL" && strings.HasPrefix(e.Tag, "LARGE OBJECT") {
			k = kind{pass: never} // nor are they read from there
		}
		switch k.pass {
		case never:
			s.left[e.Kind]++
			continue
		case session:
			if err := checkSession(e); err != nil {
				errs = append(errs, err)
			}
			continue
		case rows:
			switch e.Kind {
			case "TABLE DATA":
				s.data = append(s.data, e)
			case "BLOBS":
				s.largeObjects = append(s.largeObjects, e)
			default:
				s.loMetadata = append(s.loMetadata, e)
			}
			continue
		}
		ownerless = ownerless || d.Format == dump.Plain && k.owner != "" && e.Owner == ""
		st, err := s.step(e, k, r)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		switch {
		case len(st.statements) == 0:
		case k.pass == grants:
			s.grants = append(s.grants, st)
		case k.pass == last:
			s.last = append(s.last, st)
		case e.Section == dump.PostData || e.Kind == "SEQUENCE SET":
			s.post = append(s.post, st)
		default:
			s.pre = append(s.pre, st)
		}
	}
	// What watches DDL comes when there is no more of it.
	slices.SortStableFunc(s.last, func(a, b step) int {
		return strings.Compare(eventLast(a), eventLast(b))
	})
	if err := r.err(); err != nil {
		errs = append(errs, err)
	}
	if ownerless {
		// All would be the superuser's, and views would show the rows that row
		// security hides.
		errs = append(errs, command.Misconfiguredf("it does not say who owns its objects (pg_dump --no-owner): dump without that option, or with -Fc, which keeps the owners"))
	}
	if len(s.data) > 0 && len(s.pre) == 0 {
		return nil, command.Misconfiguredf("it holds rows and no tables (pg_dump --data-only): dump with the schema")
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return s, nil
}

func eventLast(s step) string {
	switch {
	case s.entry.Kind == "EVENT TRIGGER":
		return "2"
	case aboutEventTrigger(s.entry):
		return "3"
	}
	return "1"
}

// aboutEventTrigger says that the entry is a comment on one.
func aboutEventTrigger(e *dump.Entry) bool {
	return e.Kind == "COMMENT" && strings.HasPrefix(e.Tag, "EVENT TRIGGER ")
}

// foreignGrant says that the tag of a grant or comment names an object that is
// not restored.
func foreignGrant(tag string) bool {
	for _, p := range []string{"FOREIGN DATA WRAPPER ", "FOREIGN SERVER ", "SERVER ", "DATABASE ", "SUBSCRIPTION "} {
		if strings.HasPrefix(tag, p) {
			return true
		}
	}
	return false
}

// checkSession refuses dumps whose text would have to be read in another way.
func checkSession(e *dump.Entry) error {
	switch e.Kind {
	case "ENCODING":
		if st, err := sqltext.Split(e.Create); err == nil && len(st) == 1 && len(st[0].Tokens) == 4 {
			if v, _ := st[0].Tokens[3].Value(); strings.EqualFold(strings.ReplaceAll(v, "-", ""), "utf8") || strings.EqualFold(v, "unicode") || strings.EqualFold(v, "sql_ascii") {
				return nil
			}
		}
		return command.Misconfiguredf("the dump's encoding is not UTF-8: dump with `pg_dump --encoding=UTF8`")
	case "STDSTRINGS":
		if strings.Contains(e.Create, "'off'") {
			return command.Misconfiguredf("the dump was made with standard_conforming_strings off, whose literals read differently: dump with it on")
		}
	}
	return nil
}

// step turns an entry into statements: split, checked against the allow list,
// rewritten where the seed differs, and followed by its owner.
func (s *schema) step(e *dump.Entry, k kind, r *roleMap) (step, error) {
	out := step{entry: e}
	list, err := sqltext.Split(e.Create)
	if err != nil {
		return out, command.Misconfiguredf("%s %s: its definition cannot be read: %w", e.Kind, e.Name(), err)
	}
	for _, st := range list {
		if at := ownerOf(st); at > 0 {
			// Plain dumps carry the owner as a statement of its own. What has none
			// here stays the superuser's: event triggers must.
			if k.owner == "" {
				continue
			}
			name, _ := st.Tokens[at].Name()
			out.statements = append(out.statements, sqltext.Apply(st.Text, append(notForeign(st), st.Tokens[at].Replace(sqltext.Identifier(r.own(name))))))
			continue
		}
		got := statementKind(st)
		if !slices.Contains(k.statements, got) {
			return out, command.Misconfiguredf("%s %s: a statement %q is not known to be safe there", e.Kind, e.Name(), got)
		}
		text := st.Text
		edits := notForeign(st)
		switch e.Kind {
		case "TABLE", "SEQUENCE":
			edits = logged(st)
			if len(edits) > 0 {
				s.rewritten = append(s.rewritten, fmt.Sprintf("%s %s is unlogged and is restored logged: a snapshot would empty it", strings.ToLower(e.Kind), e.Name()))
			}
		case "FOREIGN TABLE":
			s.foreign[mask.Name{Schema: e.Schema, Name: e.Tag}] = true
			var keep bool
			if edits, keep = localTable(st); !keep {
				continue
			}
		case "ACL", "DEFAULT ACL":
			edits, err = r.grant(st, e)
		case "POLICY":
			edits, err = r.policy(st, e)
		case "SCHEMA":
			// Of pg_dump --schema; every database has this one.
			if t := st.Tokens; e.Tag == "public" && len(t) == 3 {
				edits = []sqltext.Edit{{Start: t[2].Start, End: t[2].Start, Text: "IF NOT EXISTS "}}
			}
		case "VIEW", "MATERIALIZED VIEW", "FUNCTION", "PROCEDURE":
		}
		if err != nil {
			return out, err
		}
		text = sqltext.Apply(text, edits)
		if e.Kind == "ACL" && strings.HasPrefix(e.Tag, "LARGE OBJECTS ") {
			ids, err := s.group(e)
			if err != nil {
				return out, err
			}
			again, err := sqltext.Split(text)
			if err != nil {
				return out, command.Misconfiguredf("%s %s: its definition cannot be read: %w", e.Kind, e.Name(), err)
			}
			out.statements = append(out.statements, objectGrants(again[0], ids)...)
			continue
		}
		out.statements = append(out.statements, text)
	}
	switch {
	case e.AccessMethod == "" || len(out.statements) == 0:
	case e.RelKind == 'p': // has no rows: it is what partitions to come shall have
		out.statements = append(out.statements, "ALTER TABLE "+sqltext.Identifier(e.Schema, e.Tag)+" SET ACCESS METHOD "+sqltext.Identifier(e.AccessMethod))
	case e.AccessMethod != "heap":
		out.statements = append([]string{"SET default_table_access_method = " + sqltext.Identifier(e.AccessMethod)}, append(out.statements, "SET default_table_access_method = heap")...)
	}
	if k.owner != "" && e.Owner != "" && e.Drop != "" {
		target, err := ownerTarget(e, k)
		if err != nil {
			return out, err
		}
		out.statements = append(out.statements, "ALTER "+target+" OWNER TO "+sqltext.Identifier(r.own(e.Owner)))
	}
	return out, nil
}

// ownerOf returns the place of the role in ALTER ... OWNER TO role, or 0.
func ownerOf(st sqltext.Statement) int {
	t := st.Tokens
	n := len(t)
	if n < 5 || !t[0].Is("ALTER") || !t[n-3].Is("OWNER") || !t[n-2].Is("TO") {
		return 0
	}
	if _, ok := t[n-1].Name(); !ok {
		return 0
	}
	return n - 1
}

// group lists the large objects that a grant is about.
func (s *schema) group(e *dump.Entry) ([]uint32, error) {
	for _, m := range s.loMetadata {
		if slices.Contains(e.Deps, m.ID) {
			return objectIDs(m)
		}
	}
	return nil, command.Misconfiguredf("%s %s: the large objects it is about are not in the dump", e.Kind, e.Name())
}

// ownerTarget names the object in ALTER ... OWNER TO.
func ownerTarget(e *dump.Entry, k kind) (string, error) {
	noun := k.noun
	if noun == "" {
		noun = e.Kind
	}
	switch k.owner {
	case "name":
		return noun + " " + sqltext.Identifier(e.Tag), nil
	case "schema.name":
		return noun + " " + sqltext.Identifier(e.Schema, e.Tag), nil
	default:
		list, err := sqltext.Split(e.Drop)
		if err != nil || len(list) != 1 || !list[0].Tokens[0].Is("DROP") {
			return "", command.Misconfiguredf("%s %s: its DROP statement cannot be read", e.Kind, e.Name())
		}
		return strings.TrimSpace(list[0].Text[list[0].Tokens[0].End:]), nil
	}
}

// logged turns UNLOGGED tables and sequences into logged ones.
func logged(st sqltext.Statement) []sqltext.Edit {
	var out []sqltext.Edit
	for i, t := range st.Tokens {
		if !t.Is("UNLOGGED") {
			continue
		}
		switch {
		case i == 1 && st.Tokens[0].Is("CREATE"):
			out = append(out, t.Replace(""))
		case i > 0 && st.Tokens[i-1].Is("SET"):
			out = append(out, t.Replace("LOGGED"))
		}
	}
	return out
}

// notForeign turns ALTER FOREIGN TABLE and COMMENT ON FOREIGN TABLE into what
// local tables take.
func notForeign(st sqltext.Statement) []sqltext.Edit {
	for i, t := range st.Tokens[:min(3, len(st.Tokens))] {
		if t.Is("FOREIGN") && i > 0 && !st.Tokens[0].Is("CREATE") && i+1 < len(st.Tokens) && st.Tokens[i+1].Is("TABLE") {
			return []sqltext.Edit{t.Replace("")}
		}
	}
	return nil
}

// localTable turns the statements of a foreign table into those of a local one.
func localTable(st sqltext.Statement) (edits []sqltext.Edit, keep bool) {
	t := st.Tokens
	if t[0].Is("ALTER") {
		for i := range t {
			if t[i].Is("OPTIONS") && i+1 < len(t) && t[i+1].IsSymbol('(') {
				return nil, false
			}
		}
		return notForeign(st), true
	}
	edits = append(edits, t[1].Replace(""))
	depth := 0
	for i := range t {
		switch {
		case t[i].IsSymbol('('):
			depth++
		case t[i].IsSymbol(')'):
			depth--
		case depth == 1 && t[i].Is("OPTIONS") && i+1 < len(t) && t[i+1].IsSymbol('('):
			end := i + 1
			for end < len(t) && !t[end].IsSymbol(')') {
				end++
			}
			if end < len(t) {
				edits = append(edits, sqltext.Edit{Start: t[i].Start, End: t[end].End})
			}
		case depth == 0 && t[i].Is("SERVER") && t[i-1].IsSymbol(')'): // not the table's name
			return append(edits, sqltext.Edit{Start: t[i].Start, End: len(st.Text)}), true
		}
	}
	return edits, true
}

// roleMap turns the dump's roles into the seed's.
type roleMap struct {
	mapping map[string]string
	owner   string
	missing map[string][]string // role: objects that name it
}

// own is the seed's role for an owner: mapped, or the application's role.
func (r *roleMap) own(role string) string {
	if to, ok := r.mapping[role]; ok {
		return to
	}
	if role == "pg_database_owner" {
		return role
	}
	return r.owner
}

// to is the seed's role for one that grants and row security name.
func (r *roleMap) to(role string, e *dump.Entry) string {
	if to, ok := r.mapping[role]; ok {
		return to
	}
	if role == r.owner || strings.HasPrefix(role, "pg_") {
		return role
	}
	if object := e.Kind + " " + e.Name(); !slices.Contains(r.missing[role], object) {
		r.missing[role] = append(r.missing[role], object)
	}
	return role
}

// UnmappedError lists the roles of the dump that the policy does not map.
type UnmappedError struct {
	Roles   []string
	objects map[string][]string
	owner   string
}

func (e *UnmappedError) Error() string {
	var parts []string
	for _, role := range e.Roles {
		objects := e.objects[role]
		more := ""
		if len(objects) > 3 {
			objects, more = objects[:3], fmt.Sprintf(" and %d more", len(e.objects[role])-3)
		}
		parts = append(parts, fmt.Sprintf("%s (%s%s)", role, strings.Join(objects, ", "), more))
	}
	return "the policy does not say which role of the seed stands for: " + strings.Join(parts, "; ")
}

// Fragment returns YAML to paste into the policy.
func (e *UnmappedError) Fragment() string {
	var b strings.Builder
	b.WriteString("roles:\n")
	for _, role := range e.Roles {
		fmt.Fprintf(&b, "  %s: %s\n", yamlText(role), yamlText(e.owner))
	}
	return b.String()
}

func yamlText(s string) string {
	if plainYAML.MatchString(s) && !slices.Contains([]string{"null", "true", "false", "yes", "no", "on", "off", "y", "n"}, s) {
		return s
	}
	return strconv.Quote(s) // whose escapes are YAML's, too
}

var plainYAML = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

func (r *roleMap) err() error {
	if len(r.missing) == 0 {
		return nil
	}
	return command.Misconfigured(&UnmappedError{Roles: slices.Sorted(maps.Keys(r.missing)), objects: r.missing, owner: r.owner})
}

// grant maps the roles of GRANT, REVOKE, SET SESSION AUTHORIZATION and ALTER
// DEFAULT PRIVILEGES. A statement whose roles cannot be found is an error:
// left as it is, it would name roles of production.
func (r *roleMap) grant(st sqltext.Statement, e *dump.Entry) ([]sqltext.Edit, error) {
	t := st.Tokens
	var edits []sqltext.Edit
	found := false
	take := func(i int) int { // maps the list of roles that begins at i
		for i < len(t) {
			if t[i].Is("GROUP") {
				i++
				continue
			}
			name, ok := t[i].Name()
			if !ok {
				return i
			}
			found = true
			if !t[i].Is("PUBLIC") { // which is everybody, here as there
				if to := r.to(name, e); to != name {
					edits = append(edits, t[i].Replace(sqltext.Identifier(to)))
				}
			}
			if i++; i >= len(t) || !t[i].IsSymbol(',') {
				return i
			}
			i++
		}
		return i
	}
	verb := statementKind(st)
	switch verb {
	case "RESET SESSION AUTHORIZATION":
		return nil, nil
	case "SET SESSION AUTHORIZATION":
		if len(t) == 4 && t[3].Kind == sqltext.String {
			name, _ := t[3].Value()
			return []sqltext.Edit{t[3].Replace(sqltext.Literal(r.to(name, e)))}, nil
		}
		take(3)
	default:
		depth := 0
		for i := 1; i < len(t); i++ {
			switch {
			case t[i].IsSymbol('('):
				depth++
			case t[i].IsSymbol(')'):
				depth--
			case depth > 0:
			case t[i].Is("ROLE") && t[i-1].Is("FOR"):
				take(i + 1)
			case t[i].Is("TO"), t[i].Is("FROM") && !t[i-1].Is("GRANT"), t[i].Is("BY") && t[i-1].Is("GRANTED"):
				i = take(i+1) - 1
			}
		}
	}
	if !found {
		return nil, command.Misconfiguredf("%s %s: no role can be found in its statement", e.Kind, e.Name())
	}
	return edits, nil
}

// policy maps the roles in CREATE POLICY ... TO, which stands before USING and
// WITH CHECK.
func (r *roleMap) policy(st sqltext.Statement, e *dump.Entry) ([]sqltext.Edit, error) {
	var edits []sqltext.Edit
	t := st.Tokens
	for i := 0; i < len(t); i++ {
		if t[i].Is("USING") || t[i].Is("WITH") {
			break
		}
		if !t[i].Is("TO") {
			continue
		}
		for i++; i < len(t); i += 2 {
			name, ok := t[i].Name()
			if !ok {
				return nil, command.Misconfiguredf("%s %s: its roles cannot be read", e.Kind, e.Name())
			}
			if !t[i].Is("PUBLIC") {
				if to := r.to(name, e); to != name {
					edits = append(edits, t[i].Replace(sqltext.Identifier(to)))
				}
			}
			if i+1 >= len(t) || !t[i+1].IsSymbol(',') {
				break
			}
		}
		break
	}
	return edits, nil
}
