package mask

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// scalarOf is a scalar as it stands; true and false, in lower case.
func scalarOf(n *yaml.Node) scalar {
	if n.Tag == "!!bool" {
		return scalar{text: strings.ToLower(n.Value)}
	}
	return scalar{n.Value, n.Tag == "!!str"}
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
			case key == "link" && nested:
				p.link(r, v, what)
			case key == "link":
				p.fail(k, "%s: columns are linked in the policy's links; link stands in rules inside a value only", what)
			case def.option(key) == nil:
				p.unknownOption(def, key, k, what)
			default:
				p.option(r, def.option(key), v, what)
			}
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

// link reads the link of a rule inside a value. Links may stand further down.
func (p *parser) link(r *rule, v *yaml.Node, what string) {
	r.link, _ = p.str(v, "link of "+what)
	p.later = append(p.later, func() {
		if _, ok := p.policy.links[r.link]; !ok {
			p.fail(v, "%s: there is no link named %s under links", what, r.link)
		}
	})
}

func (p *parser) unknownOption(def *masker, key string, k *yaml.Node, what string) {
	names := make([]string, 0, len(def.options))
	for _, o := range def.options {
		names = append(names, o.name)
	}
	if len(names) == 0 {
		p.fail(k, "%s: masker %s has no option %q; it takes none", what, def.name, key)
		return
	}
	p.unknown(k, "option of masker "+def.name+" for "+what, key, names)
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
