package seed

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/dump"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/sqltext"
)

// step turns an entry into statements: split, checked against the allow list,
// rewritten where the seed differs, and followed by its owner.
func (s *schema) step(e *dump.Entry, k kind) (step, error) {
	out := step{entry: e}
	list, err := sqltext.Split(e.Create)
	if err != nil {
		return out, command.Misconfiguredf("%s %s: its definition cannot be read: %w", e.Kind, e.Name(), err)
	}
	for _, st := range list {
		if at := ownerOf(st); at > 0 {
			// Plain dumps say the owner in a statement of its own. Kinds without an
			// owner stay the superuser's, as event triggers must.
			if k.owner != "" {
				name, _ := st.Tokens[at].Name()
				owner := st.Tokens[at].Replace(sqltext.Identifier(s.owners.own(name)))
				out.statements = append(out.statements, sqltext.Apply(st.Text, append(notForeign(st), owner)))
			}
			continue
		}
		if got := statementKind(st); !slices.Contains(k.statements, got) {
			return out, command.Misconfiguredf("%s %s: a statement %q is not known to be safe there", e.Kind, e.Name(), got)
		}
		statements, err := s.rewrite(e, st)
		if err != nil {
			return out, err
		}
		out.statements = append(out.statements, statements...)
	}
	switch {
	case e.AccessMethod == "" || len(out.statements) == 0:
	case e.RelKind == 'p': // it has no rows: this is for partitions to come
		out.statements = append(out.statements, "ALTER TABLE "+sqltext.Identifier(e.Schema, e.Tag)+" SET ACCESS METHOD "+sqltext.Identifier(e.AccessMethod))
	case e.AccessMethod != "heap":
		out.statements = append([]string{"SET default_table_access_method = " + sqltext.Identifier(e.AccessMethod)}, append(out.statements, "SET default_table_access_method = heap")...)
	}
	if k.owner != "" && e.Owner != "" && e.Drop != "" {
		target, err := ownerTarget(e, k)
		if err != nil {
			return out, err
		}
		out.statements = append(out.statements, "ALTER "+target+" OWNER TO "+sqltext.Identifier(s.owners.own(e.Owner)))
	}
	return out, nil
}

// rewrite turns a statement of production into what the seed runs in its place.
func (s *schema) rewrite(e *dump.Entry, st sqltext.Statement) ([]string, error) {
	edits := notForeign(st)
	var err error
	switch e.Kind {
	case "TABLE", "SEQUENCE":
		if edits = logged(st); len(edits) > 0 {
			s.rewritten = append(s.rewritten, fmt.Sprintf("%s %s is unlogged and is restored logged: a snapshot would empty it", strings.ToLower(e.Kind), e.Name()))
		}
	case "FOREIGN TABLE":
		s.foreign[mask.Name{Schema: e.Schema, Name: e.Tag}] = true
		var keep bool
		if edits, keep = localTable(st); !keep {
			return nil, nil
		}
	case "ACL", "DEFAULT ACL":
		edits, err = s.owners.grant(st, e)
	case "POLICY":
		edits, err = s.owners.policy(st, e)
	case "SCHEMA":
		// pg_dump --schema writes it, and every database has it.
		if t := st.Tokens; e.Tag == "public" && len(t) == 3 {
			edits = []sqltext.Edit{{Start: t[2].Start, End: t[2].Start, Text: "IF NOT EXISTS "}}
		}
	}
	if err != nil {
		return nil, err
	}
	text := sqltext.Apply(st.Text, edits)
	if e.Kind != "ACL" || !strings.HasPrefix(e.Tag, "LARGE OBJECTS ") {
		return []string{text}, nil
	}
	ids, err := s.group(e)
	if err != nil {
		return nil, err
	}
	again, err := sqltext.Split(text)
	if err != nil {
		return nil, command.Misconfiguredf("%s %s: its definition cannot be read: %w", e.Kind, e.Name(), err)
	}
	return objectGrants(again[0], ids), nil
}

// ownerOf returns the index of the role in ALTER ... OWNER TO role, or 0.
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
	for _, m := range s.largeObjectMetadata {
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

// objectNouns are the nouns of all statements in the allow list, the longer one first
// where one begins like another.
var objectNouns = []string{
	"ACCESS METHOD", "AGGREGATE", "CAST", "COLLATION", "CONVERSION", "DEFAULT PRIVILEGES", "DOMAIN", "EVENT TRIGGER", "EXTENSION",
	"FOREIGN TABLE", "FUNCTION", "INDEX", "LANGUAGE", "MATERIALIZED VIEW", "OPERATOR CLASS", "OPERATOR FAMILY", "OPERATOR", "POLICY",
	"PROCEDURE", "PUBLICATION", "RULE", "SCHEMA", "SEQUENCE", "STATISTICS", "TABLE", "TEXT SEARCH CONFIGURATION",
	"TEXT SEARCH DICTIONARY", "TEXT SEARCH PARSER", "TEXT SEARCH TEMPLATE", "TRANSFORM", "TRIGGER", "TYPE", "VIEW",
	"SESSION AUTHORIZATION", "ON",
}

// modifiers may stand between CREATE and the noun.
var modifiers = map[string]bool{
	"OR": true, "REPLACE": true, "UNLOGGED": true, "UNIQUE": true, "TRUSTED": true, "PROCEDURAL": true,
	"CONSTRAINT": true, "RECURSIVE": true, "DEFAULT": true,
}

// statementKind names what a statement does, as the allow list spells it; of an
// unknown one it is the first words.
func statementKind(s sqltext.Statement) string {
	t := s.Tokens
	if len(t) == 0 {
		return ""
	}
	verb := strings.ToUpper(t[0].Text)
	switch verb {
	case "GRANT", "REVOKE":
		return verb
	case "SELECT":
		// SELECT pg_catalog.setval(
		if len(t) > 4 && t[1].Is("PG_CATALOG") && t[2].IsSymbol('.') && t[4].IsSymbol('(') {
			return "SELECT " + strings.ToUpper(t[3].Text)
		}
		return "SELECT"
	case "CREATE", "ALTER", "COMMENT", "REFRESH", "SET", "RESET":
	default:
		return verb
	}
	rest := t[1:]
	if verb == "CREATE" {
		for len(rest) > 0 && rest[0].Kind == sqltext.Word && modifiers[strings.ToUpper(rest[0].Text)] {
			rest = rest[1:]
		}
	}
	for _, noun := range objectNouns {
		words := strings.Fields(noun)
		if len(rest) < len(words) {
			continue
		}
		match := true
		for i, w := range words {
			match = match && rest[i].Is(w)
		}
		if match {
			return verb + " " + noun
		}
	}
	if len(rest) > 0 {
		return verb + " " + strings.ToUpper(rest[0].Text)
	}
	return verb
}
