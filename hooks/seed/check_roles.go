package seed

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/dump"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/sqltext"
)

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

// seedRole is the seed's role for one that grants and row security name, as the
// policy maps it.
func (r *roleMap) seedRole(role string) string {
	if to, ok := r.mapping[role]; ok {
		return to
	}
	return role
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
		if slices.ContainsFunc(e.objects[role], func(object string) bool { return strings.HasPrefix(object, "POLICY ") }) && !mask.ServerRole(role) {
			// As the owner of the tables it would see what row security hides.
			fmt.Fprintf(&b, "  %s: {make: %s, members: [%s]}\n", yamlText(role), yamlText(role), yamlText(e.owner))
			continue
		}
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
			if !t[i].Is("PUBLIC") { // which is everybody in both
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
