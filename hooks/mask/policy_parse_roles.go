package mask

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// role reads which role of the seed stands for one of the dump: its name, or how to
// make it.
func (p *parser) role(from string, _, v *yaml.Node) {
	if v.Kind != yaml.MappingNode {
		if to, ok := p.str(v, "the seed's role for "+quoteName(from)); ok {
			p.policy.Roles[from] = to
		}
		return
	}
	name := ""
	var made MadeRole
	p.mapping(v, "the role for "+quoteName(from), func(key string, k, v *yaml.Node) {
		switch key {
		case "make":
			name, _ = p.str(v, "make")
		case "members":
			if v.Kind != yaml.SequenceNode {
				p.fail(v, "members must be a list of roles of the seed")
				return
			}
			for _, m := range v.Content {
				if member, ok := p.str(deref(m), "a member of "+quoteName(from)); ok {
					if ServerRole(member) {
						p.fail(m, "%s cannot be a member: it belongs to the server", quoteName(member))
					}
					made.Members = append(made.Members, member)
				}
			}
		case "inherit":
			if v.Tag != "!!bool" {
				p.fail(v, "inherit must be true or false")
				return
			}
			made.Inherit = strings.EqualFold(v.Value, "true")
		default:
			p.unknown(k, "field of a role", key, []string{"make", "members", "inherit"})
		}
	})
	slices.Sort(made.Members)
	made.Members = slices.Compact(made.Members)
	other, twice := p.policy.MadeRoles[name]
	switch {
	case name == "":
		p.fail(v, "the role for %s has no name: write {make: name}, or the name of a role that is there", quoteName(from))
	case ServerRole(name) || len(name) > 63:
		p.fail(v, "%s cannot be made: it belongs to the server, or is longer than 63 bytes", quoteName(name))
	case slices.Contains(made.Members, name):
		p.fail(v, "%s cannot be a member of itself", quoteName(name))
	case twice && (other.Inherit != made.Inherit || !slices.Equal(other.Members, made.Members)):
		p.fail(v, "%s is made twice, in two ways", quoteName(name))
	default:
		p.policy.Roles[from] = name
		p.policy.MadeRoles[name] = made
	}
}

// ServerRole reports whether a role is Postgres' own, or a seed's.
func ServerRole(name string) bool {
	return strings.HasPrefix(name, "pg_") || slices.Contains([]string{"postgres", "seed_backup", "public", "none", "current_user", "session_user", "current_role"}, name)
}
