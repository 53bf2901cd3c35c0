package seed

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/seedling-dev/seedling/hooks/dump"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/sqltext"
)

// security says what of the dump's row level security, grants and functions means
// something else in the seed, because its roles are others.
type security struct {
	owners   *roleMap
	policy   *mask.Policy
	app      string
	secured  map[mask.Name]bool // tables with row level security
	forced   map[mask.Name]bool // which holds for their owner, too
	ownerOf  map[mask.Name]string
	policies []rowPolicy
	named    map[string]bool // roles of the dump that policies and grants name
	definers map[string][]string
}

type rowPolicy struct {
	name  string
	table mask.Name
	roles []string // of the dump; none is everybody
}

// lostSecurity lists it in sentences, for people.
func (s *schema) lostSecurity(d *dump.Dump, p *mask.Policy, app string) []string {
	x := &security{
		owners: s.owners, policy: p, app: app, secured: map[mask.Name]bool{}, forced: map[mask.Name]bool{}, ownerOf: map[mask.Name]string{},
		named: map[string]bool{}, definers: map[string][]string{},
	}
	for _, e := range d.Entries {
		x.look(e)
	}
	var out []string
	out = append(out, x.unsecured()...)
	out = append(out, x.merged()...)
	out = append(out, x.functions()...)
	if len(x.secured) > 0 {
		out = append(out, "a dump does not say which roles are superusers, have BYPASSRLS or are members of others: in the seed none is that but by the policy's `roles`")
	}
	return out
}

// look takes what one entry says. What cannot be read is refused elsewhere.
func (x *security) look(e *dump.Entry) {
	table := mask.Name{Schema: e.Schema, Name: e.Tag}
	switch e.Kind {
	case "TABLE", "ROW SECURITY", "POLICY", "FUNCTION", "PROCEDURE", "ACL", "DEFAULT ACL":
	default:
		return
	}
	list, err := sqltext.Split(e.Create)
	if err != nil {
		return
	}
	for _, st := range list {
		t := st.Tokens
		switch e.Kind {
		case "TABLE":
			x.ownerOf[table] = e.Owner
			x.forced[table] = x.forced[table] || followed(t, "FORCE", "ROW", "LEVEL", "SECURITY") && !followed(t, "NO", "FORCE")
		case "ROW SECURITY":
			x.secured[table] = x.secured[table] || followed(t, "ENABLE", "ROW", "LEVEL", "SECURITY")
		case "POLICY":
			on, name, _ := strings.Cut(e.Tag, " ")
			x.policies = append(x.policies, rowPolicy{name, mask.Name{Schema: e.Schema, Name: on}, x.rolesOf(policyRoles(t))})
		case "FUNCTION", "PROCEDURE":
			if followed(t, "SECURITY", "DEFINER") && e.Owner != "" {
				x.definers[e.Owner] = append(x.definers[e.Owner], e.Name())
			}
		default:
			// The roles that grants name are those that the map was asked for.
			for i := 1; i < len(t); i++ {
				if t[i].Is("TO") && i+1 < len(t) {
					if name, ok := t[i+1].Name(); ok && !t[i+1].Is("PUBLIC") {
						x.named[name] = true
					}
				}
			}
		}
	}
}

// rolesOf are the roles among names, and remembers them.
func (x *security) rolesOf(names []string) []string {
	for _, n := range names {
		x.named[n] = true
	}
	return names
}

// policyRoles are the roles of CREATE POLICY, none where it is for everybody.
func policyRoles(t []sqltext.Token) []string {
	var out []string
	for i := 0; i < len(t) && !t[i].Is("USING") && !t[i].Is("WITH"); i++ {
		if !t[i].Is("TO") {
			continue
		}
		for i++; i < len(t); i += 2 {
			name, ok := t[i].Name()
			if !ok || t[i].Is("PUBLIC") {
				return nil
			}
			out = append(out, name)
			if i+1 >= len(t) || !t[i+1].IsSymbol(',') {
				break
			}
		}
		break
	}
	return out
}

// followed reports whether words stand one after the other.
func followed(t []sqltext.Token, words ...string) bool {
	for i := 0; i+len(words) <= len(t); i++ {
		match := true
		for j, w := range words {
			match = match && t[i+j].Is(w)
		}
		if match {
			return true
		}
	}
	return false
}

// unsecured names the tables whose owner in the seed is one that row level security
// was for in production. It does not hold for owners.
func (x *security) unsecured() []string {
	byOwner := map[string][]string{}
	var out []string
	for _, t := range slices.SortedFunc(maps.Keys(x.secured), func(a, b mask.Name) int { return cmp.Compare(a.String(), b.String()) }) {
		if !x.secured[t] || x.forced[t] {
			continue
		}
		owner := x.owners.own(x.ownerOf[t])
		var roles []string
		for _, p := range x.policies {
			if p.table != t {
				continue
			}
			for _, r := range p.roles {
				if x.owners.seedRole(r) == owner && r != x.ownerOf[t] && !slices.Contains(roles, r) {
					roles = append(roles, r)
				}
			}
		}
		if len(roles) > 0 {
			slices.Sort(roles)
			out = append(out, fmt.Sprintf("row level security of %s does not hold in the seed for what were %s in production: %s stands for them and owns the table, and owners see all rows. Have roles made: `roles: {%s: {make: %s, members: [%s]}}`",
				t, strings.Join(roles, ", "), owner, yamlText(roles[0]), yamlText(roles[0]), yamlText(x.app)))
			continue
		}
		byOwner[owner] = append(byOwner[owner], t.String())
	}
	for _, owner := range slices.Sorted(maps.Keys(byOwner)) {
		if owner == x.app {
			out = append(out, fmt.Sprintf("row level security does not hold for %s, which owns the tables and which previews log in as: %s. A role that the policy makes, and SET ROLE, show what it hides", owner, strings.Join(byOwner[owner], ", ")))
		}
	}
	return out
}

// merged names the roles that are one in the seed and were several.
func (x *security) merged() []string {
	by := map[string][]string{}
	for _, r := range slices.Sorted(maps.Keys(x.named)) {
		by[x.owners.seedRole(r)] = append(by[x.owners.seedRole(r)], r)
	}
	var out []string
	for _, role := range slices.Sorted(maps.Keys(by)) {
		if len(by[role]) > 1 {
			out = append(out, fmt.Sprintf("%s stands for %s: what grants and row level security give one of them, all have", role, strings.Join(by[role], ", ")))
		}
	}
	return out
}

// functions names those that run with their owner's rights, where that is another
// role.
func (x *security) functions() []string {
	var out []string
	for _, owner := range slices.Sorted(maps.Keys(x.definers)) {
		if to := x.owners.own(owner); to != owner {
			out = append(out, fmt.Sprintf("functions with SECURITY DEFINER run with the rights of %s in place of those of %s: %s", to, owner, strings.Join(x.definers[owner], ", ")))
		}
	}
	return out
}
