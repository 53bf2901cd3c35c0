package mask

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
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
		Roles: map[string]string{}, links: map[string][]link{}, types: map[string]*rule{}, MinDistinct: defaultMinDistinct,
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

func (p *parser) fail(n *yaml.Node, format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("policy line %d: %s", n.Line, fmt.Sprintf(format, args...)))
}

// deref follows an alias.
func deref(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return "a single value"
}

// mapping calls each for every pair, after refusing duplicates. It reports
// false when n is no mapping.
func (p *parser) mapping(n *yaml.Node, what string, each func(key string, k, v *yaml.Node)) bool {
	if n.Kind != yaml.MappingNode {
		p.fail(n, "%s must be a mapping, it is %s", what, describe(n))
		return false
	}
	// Aliases let a small file nest without end; a policy needs no depth.
	if p.depth++; p.depth > 64 {
		p.fail(n, "%s nests too deeply", what)
		return false
	}
	defer func() { p.depth-- }()
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := deref(n.Content[i]), deref(n.Content[i+1])
		if k.Kind != yaml.ScalarNode || k.Tag == "!!merge" {
			p.fail(k, "%s: a key must be a plain name", what)
			continue
		}
		if line, dup := seen[k.Value]; dup {
			p.fail(k, "%s: %q stands here twice (first in line %d)", what, k.Value, line)
			continue
		}
		seen[k.Value] = k.Line
		each(k.Value, k, v)
	}
	return true
}

func (p *parser) unknown(k *yaml.Node, what, name string, known []string) {
	if n := nearest(name, known); n != "" {
		p.fail(k, "unknown %s %q, did you mean %q?", what, name, n)
		return
	}
	p.fail(k, "unknown %s %q, known are %s", what, name, strings.Join(known, ", "))
}

func (p *parser) str(n *yaml.Node, what string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		p.fail(n, "%s must be a text", what)
		return "", false
	}
	return n.Value, true
}

// whole reads a whole number. One that YAML 1.1 takes for octal, and 1.2 does
// not, is none.
func (p *parser) whole(n *yaml.Node, what string, least, most int) int {
	v, err := strconv.Atoi(n.Value)
	if n.Tag != "!!int" || err != nil || strconv.Itoa(v) != n.Value || v < least || v > most {
		p.fail(n, "%s must be a whole number from %d to %d", what, least, most)
		return least
	}
	return v
}

// scalarOf is a scalar as it stands, but for the ways to write true and false.
func scalarOf(n *yaml.Node) scalar {
	if n.Tag == "!!bool" {
		return scalar{text: strings.ToLower(n.Value)}
	}
	return scalar{n.Value, n.Tag == "!!str"}
}

var topFields = []string{"version", "roles", "links", "tables", "types", "large_objects", "comments", "min_distinct", "accept"}

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
			p.mapping(v, "roles", func(from string, _, v *yaml.Node) {
				if to, ok := p.str(v, "the seed's role for "+quoteName(from)); ok {
					p.policy.Roles[from] = to
				}
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

func (p *parser) tables(n *yaml.Node) {
	seen := map[string]int{}
	p.mapping(n, "tables", func(key string, k, v *yaml.Node) {
		parts, err := parseDotted(key, 2)
		if err != nil {
			p.fail(k, "table %q: %v", key, err)
			return
		}
		t := tableRule{schema: parts[0], table: parts[1], line: k.Line}
		if line, dup := seen[t.String()]; dup {
			p.fail(k, "table %s stands here twice (first in line %d)", t, line)
			return
		}
		seen[t.String()] = k.Line
		columns := map[string]int{}
		said := false
		p.mapping(v, "table "+t.String(), func(field string, k, v *yaml.Node) {
			switch field {
			case "rows":
				said = true
				t.rows = p.rows(v, t.String())
			case "columns":
				said = true
				p.mapping(v, "columns of "+t.String(), func(name string, k, v *yaml.Node) {
					cp, err := parseDotted(name, 1)
					if err != nil {
						p.fail(k, "column %q of %s: %v", name, t, err)
						return
					}
					c := columnRule{column: cp[0]}
					if line, dup := columns[c.column.String()]; dup {
						p.fail(k, "column %s of %s stands here twice (first in line %d)", c.column, t, line)
						return
					}
					columns[c.column.String()] = k.Line
					if c.rule = p.rule(v, t.String()+"."+c.column.String(), false); c.rule != nil {
						t.columns = append(t.columns, c)
					}
				})
			case "indexes":
				said = true
				p.indexes(v, &t)
			default:
				p.unknown(k, "field of table "+t.String(), field, []string{"columns", "indexes", "rows"})
			}
		})
		if !said && v.Kind == yaml.MappingNode {
			p.fail(k, "table %s says nothing: write columns or `rows: none`", t)
		}
		if t.rows != nil && t.rows.none && t.exact() && len(t.columns) > 0 {
			p.fail(k, "table %s has `rows: none`, so its columns need no rules: remove one of the two", t)
		}
		p.policy.tables = append(p.policy.tables, t)
	})
}

// indexes reads what is said of a table's unique indexes.
func (p *parser) indexes(n *yaml.Node, t *tableRule) {
	if !t.exact() {
		p.fail(n, "indexes of %s: write them under the table's own name, without *", t)
		return
	}
	p.mapping(n, "indexes of "+t.String(), func(name string, k, v *yaml.Node) {
		parts, err := parseDotted(name, 1)
		switch {
		case err != nil:
			p.fail(k, "index %q of %s: %v", name, t, err)
		case v.Kind != yaml.ScalarNode || v.Value != indexTry && v.Value != indexDrop:
			p.fail(v, "index %s of %s must be try or drop", parts[0], t)
		default:
			t.indexes = append(t.indexes, indexRule{parts[0].text, v.Value, k.Line})
		}
	})
}

func (p *parser) rows(n *yaml.Node, table string) *rowsRule {
	r := &rowsRule{line: n.Line}
	if n.Kind == yaml.ScalarNode {
		switch n.Value {
		case "none":
			r.none = true
		case "all":
		default:
			p.fail(n, "rows of %s must be all, none or {where: [...]}", table)
		}
		return r
	}
	p.mapping(n, "rows of "+table, func(key string, k, v *yaml.Node) {
		switch key {
		case "where":
			if v.Kind != yaml.SequenceNode || len(v.Content) == 0 {
				p.fail(v, "where of %s must be a list of conditions, such as {column: status, in: [open]}", table)
				return
			}
			for _, c := range v.Content {
				r.where = append(r.where, p.condition(deref(c), table))
			}
		case "on_missing_parent":
			switch {
			case v.Tag == "!!null":
				r.onMissing = orphansNull // YAML takes the bare word for nothing
			case v.Value == orphansStop || v.Value == orphansDrop || v.Value == orphansNull:
				r.onMissing = v.Value
			default:
				p.fail(v, "on_missing_parent of %s must be stop (rows that reference a dropped row stop the import), drop (they go too) or null (their reference does, where its column is nullable)", table)
			}
		default:
			p.unknown(k, "field of rows of "+table, key, []string{"where", "on_missing_parent"})
		}
	})
	if len(r.where) == 0 && len(p.errs) == 0 {
		p.fail(n, "rows of %s has no where", table)
	}
	return r
}

func (p *parser) condition(n *yaml.Node, table string) condition {
	c := condition{line: n.Line}
	tests := 0
	values := func(v *yaml.Node, what string) []string {
		tests++
		list := p.scalars(v, what)
		out := make([]string, len(list))
		for i, s := range list {
			out[i] = s.text
		}
		slices.Sort(out)
		return out
	}
	p.mapping(n, "a condition of "+table, func(key string, k, v *yaml.Node) {
		switch key {
		case "column":
			c.column, _ = p.str(v, "column")
		case "in":
			c.in = values(v, "in")
		case "not_in":
			c.notIn = values(v, "not_in")
		case "is":
			tests++
			switch {
			case v.Tag == "!!null" || v.Value == "null":
				c.null = new(bool)
				*c.null = true
			case v.Value == "not null":
				c.null = new(bool)
			default:
				p.fail(v, "is must be null or not null")
			}
		case "from":
			tests++
			if s, ok := p.str(v, "from"); ok {
				c.from = &s
			}
		case "below":
			tests++
			if s, ok := p.str(v, "below"); ok {
				c.below = &s
			}
		default:
			p.unknown(k, "field of a condition of "+table, key, []string{"column", "in", "not_in", "is", "from", "below"})
		}
	})
	if c.column == "" {
		p.fail(n, "a condition of %s has no column", table)
	}
	if tests == 0 {
		p.fail(n, "a condition of %s tests nothing: add in, not_in, is, from or below", table)
	}
	return c
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

// rule reads a rule in its short form (a masker's name) or its long form (a
// mapping with mask and options).
func (p *parser) rule(n *yaml.Node, what string, nested bool) *rule {
	n = deref(n)
	r := &rule{values: map[string]any{}, line: n.Line}
	var def *masker
	switch n.Kind {
	case yaml.ScalarNode:
		if def = p.masker(n, what); def == nil {
			return nil
		}
	case yaml.MappingNode:
		var name *yaml.Node
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == "mask" {
				name = deref(n.Content[i+1])
			}
		}
		if name == nil {
			p.fail(n, "the rule for %s has no mask", what)
			return nil
		}
		if def = p.masker(name, what); def == nil {
			return nil
		}
		p.mapping(n, "the rule for "+what, func(key string, k, v *yaml.Node) {
			switch {
			case key == "mask":
				return
			case key == "link" && nested:
				r.link, _ = p.str(v, "link of "+what)
				if _, ok := p.policy.links[r.link]; !ok {
					p.later = append(p.later, func() {
						if _, ok := p.policy.links[r.link]; !ok {
							p.fail(v, "%s: there is no link named %s under links", what, r.link)
						}
					})
				}
				return
			case key == "link":
				p.fail(k, "%s: columns are linked in the policy's links; link stands in rules inside a value only", what)
				return
			}
			o := def.option(key)
			if o == nil {
				names := make([]string, 0, len(def.options))
				for _, o := range def.options {
					names = append(names, o.name)
				}
				if len(names) == 0 {
					p.fail(k, "%s: masker %s has no option %q; it takes none", what, def.name, key)
				} else {
					p.unknown(k, "option of masker "+def.name+" for "+what, key, names)
				}
				return
			}
			p.option(r, o, v, what)
		})
	default:
		p.fail(n, "the rule for %s must be a masker's name or {mask: name, ...}", what)
		return nil
	}
	r.masker = def
	ok := true
	for _, o := range def.options {
		if r.has(o.name) {
			continue
		}
		if o.required {
			p.fail(n, "%s: masker %s needs the option %s (%s)", what, def.name, o.name, o.doc)
			ok = false
		}
		if o.fallback != nil {
			r.values[o.name] = o.fallback
		}
	}
	if ok && def.check != nil {
		if sentence := def.check(r); sentence != "" {
			p.fail(n, "%s: masker %s: %s", what, def.name, sentence)
		}
	}
	return r
}

// masker looks up a masker's name. A bare null in YAML is the masker null.
func (p *parser) masker(n *yaml.Node, what string) *masker {
	name := n.Value
	if n.Tag == "!!null" {
		name = "null"
	}
	if m := maskers[name]; m != nil && n.Kind == yaml.ScalarNode {
		return m
	}
	p.unknown(n, "masker for "+what, name, maskerNames())
	return nil
}

func (p *parser) option(r *rule, o *option, v *yaml.Node, what string) {
	what = "option " + o.name + " of " + what
	switch o.kind {
	case optString:
		if v.Tag == "!!null" && slices.Contains(o.choices, "null") {
			r.values[o.name] = "null" // YAML takes the bare word for nothing
			return
		}
		s, ok := p.str(v, what)
		if ok && o.choices != nil && !slices.Contains(o.choices, s) {
			p.fail(v, "%s must be one of %s", what, strings.Join(o.choices, ", "))
		}
		r.values[o.name] = s
	case optScalar:
		if v.Kind != yaml.ScalarNode || v.Tag == "!!null" {
			p.fail(v, "%s must be a single value (for NULL use the masker null)", what)
		}
		r.values[o.name] = scalarOf(v)
	case optInt:
		r.values[o.name] = p.whole(v, what, o.min, o.max)
	case optNumber:
		d, ok := parseDecimal([]byte(v.Value))
		if v.Kind != yaml.ScalarNode || !ok || d.special {
			p.fail(v, "%s must be a number", what)
		}
		r.values[o.name] = v.Value
	case optBool:
		if v.Tag != "!!bool" {
			p.fail(v, "%s must be true or false", what)
		}
		r.values[o.name] = scalarOf(v).text == "true"
	case optScalars:
		r.values[o.name] = p.scalars(v, what)
	case optRule:
		if sub := p.rule(v, what, true); sub != nil {
			r.values[o.name] = sub
		}
	case optRules:
		m := map[string]*rule{}
		p.mapping(v, what, func(key string, _, v *yaml.Node) {
			if sub := p.rule(v, what+" at "+key, true); sub != nil {
				m[key] = sub
			}
		})
		r.values[o.name] = m
	}
}

func (p *parser) scalars(n *yaml.Node, what string) []scalar {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		p.fail(n, "%s must be a list of values", what)
		return nil
	}
	var out []scalar
	for _, item := range n.Content {
		item = deref(item)
		if item.Kind != yaml.ScalarNode || item.Tag == "!!null" {
			p.fail(item, "%s must hold single values only", what)
			continue
		}
		out = append(out, scalarOf(item))
	}
	return out
}

// sortedKeys returns the keys of m in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
