package mask

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ParsePolicy reads a policy. The error names everything that is wrong at
// once, each with its line. Unknown fields, maskers and options are errors.
func ParsePolicy(content []byte) (*Policy, error) {
	dec := yaml.NewDecoder(bytes.NewReader(content))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("the policy is empty: write at least `version: 1` and `tables:`")
		}
		return nil, fmt.Errorf("read the policy: %w", err)
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("the policy holds more than one YAML document")
	}
	p := &parser{policy: &Policy{
		Roles: map[string]string{}, MadeRoles: map[string]MadeRole{}, Extensions: map[string]bool{}, links: map[string][]link{}, types: map[string]*rule{}, MinDistinct: defaultMinDistinct,
	}}
	if len(doc.Content) == 0 {
		return nil, errors.New("the policy is empty: write at least `version: 1` and `tables:`")
	}
	p.top(doc.Content[0])
	for _, check := range p.later {
		check()
	}
	if len(p.errs) > 0 {
		return nil, errors.Join(p.errs...)
	}
	return p.policy, nil
}

type parser struct {
	policy *Policy
	errs   []error
	later  []func() // checks that need the whole policy
	depth  int
}

var topFields = []string{"version", "roles", "extensions", "links", "tables", "types", "large_objects", "comments", "min_distinct", "accept", "logins"}

func (p *parser) top(n *yaml.Node) {
	n = deref(n)
	version := false
	ok := p.mapping(n, "the policy", func(key string, k, v *yaml.Node) {
		switch key {
		case "version":
			version = true
			if v.Tag != "!!int" || v.Value != "1" {
				p.fail(v, "version must be 1, this program knows no other")
			}
		case "roles":
			p.mapping(v, "roles", p.role)
		case "extensions":
			p.mapping(v, "extensions", func(name string, _, v *yaml.Node) {
				if v.Value != "drop" {
					p.fail(v, "extension %s: say drop, or nothing: all others are made", quoteName(name))
					return
				}
				p.policy.Extensions[name] = true
			})
		case "links":
			p.links(v)
		case "tables":
			p.tables(v)
		case "types":
			names := map[string]string{}
			p.mapping(v, "types", func(name string, k, v *yaml.Node) {
				base, array := strings.CutSuffix(name, "[]")
				base = cmp.Or(typeAliases[base], base)
				if array {
					base += "[]"
				}
				if other, dup := names[base]; dup {
					p.fail(k, "types: %s and %s are one type", name, other)
					return
				}
				names[base] = name
				if r := p.rule(v, "type "+name, false); r != nil {
					p.policy.types[name] = r
				}
			})
		case "large_objects":
			switch v.Value {
			case "keep", "none":
				p.policy.largeObjects = v.Value
			default:
				p.fail(v, "large_objects must be keep or none (they cannot be masked)")
			}
		case "comments":
			switch v.Value {
			case "keep", "drop":
				p.policy.Comments = v.Value == "keep"
			default:
				p.fail(v, "comments must be keep or drop")
			}
		case "min_distinct":
			p.policy.MinDistinct = p.whole(v, "min_distinct", 0, maxMinDistinct)
		case "accept":
			p.accept(v)
		case "logins":
			p.loginRules(v)
		default:
			p.unknown(k, "field", key, topFields)
		}
	})
	if ok && !version {
		p.fail(n, "version is missing: write `version: 1`")
	}
}

func (p *parser) links(n *yaml.Node) {
	at := map[ColumnName]string{}
	p.mapping(n, "links", func(name string, k, v *yaml.Node) {
		if v.Kind != yaml.SequenceNode || len(v.Content) == 0 {
			p.fail(v, "link %s must be a list of schema.table.column", name)
			return
		}
		for _, m := range v.Content {
			m = deref(m)
			s, ok := p.str(m, "a member of link "+name)
			if !ok {
				continue
			}
			parts, err := parseDotted(s, 3)
			if err != nil {
				p.fail(m, "link %s: %q: %v", name, s, err)
				continue
			}
			if parts[0].wild || parts[1].wild || parts[2].wild {
				p.fail(m, "link %s: %q: a link names columns one by one, without *", name, s)
				continue
			}
			c := ColumnName{parts[0].text, parts[1].text, parts[2].text}
			if other, dup := at[c]; dup {
				p.fail(m, "link %s: %s is in link %s already", name, c, other)
				continue
			}
			at[c] = name
			p.policy.links[name] = append(p.policy.links[name], link{c, m.Line})
		}
	})
}

var hex64 = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (p *parser) accept(n *yaml.Node) {
	if n.Kind != yaml.SequenceNode {
		p.fail(n, "accept must be a list of {object, sha256}")
		return
	}
	for _, item := range n.Content {
		item = deref(item)
		var a Accept
		p.mapping(item, "an entry of accept", func(key string, k, v *yaml.Node) {
			switch key {
			case "object":
				a.Object, _ = p.str(v, "object")
			case "sha256":
				a.SHA256, _ = p.str(v, "sha256")
			default:
				p.unknown(k, "field of accept", key, []string{"object", "sha256"})
			}
		})
		if a.Object == "" || !hex64.MatchString(a.SHA256) {
			p.fail(item, "an entry of accept needs object and sha256 (64 lower-case hex digits), as the import prints them")
			continue
		}
		p.policy.Accept = append(p.policy.Accept, a)
	}
}
