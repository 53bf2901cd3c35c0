package mask

import (
	"encoding/json"
	"fmt"
)

// jsonNode is a place that the policy's paths lead to or past.
type jsonNode struct {
	path    string
	leaf    *jsonLeaf // the rule for this place; nil: that of the place above
	members map[string]*jsonNode
	few     []jsonMember // the members, when they are few: faster than the map
	any     *jsonNode    // .*
	items   *jsonNode    // [*]
}

type jsonMember struct {
	name string
	node *jsonNode
}

// member finds a named member, or nil.
func (n *jsonNode) member(name []byte) *jsonNode {
	if n.few == nil {
		return n.members[string(name)]
	}
	for i := range n.few {
		if m := &n.few[i]; m.name == string(name) {
			return m.node
		}
	}
	return nil
}

// jsonLeaf is what happens to the strings, numbers and booleans at a place.
type jsonLeaf struct {
	keep, stop, null bool
	// literals, when set, replace the whole value: JSON texts to draw from.
	literals [][]byte
	drawer   drawer
	str, num transform
	clean    bool // str needs no escaping

	where, masker, link string // of the rule
	// Equal values have equal masks: strings and what is drawn, numbers.
	guessable, guessableNumber bool
}

// newLeaf builds what a rule does to scalars inside JSON.
func newLeaf(t *target, r *rule) (*jsonLeaf, traits, error) {
	switch r.name {
	case "keep":
		return &jsonLeaf{keep: true}, traits{keep: true}, nil
	case "null":
		return &jsonLeaf{null: true}, traits{}, nil
	case "constant":
		return &jsonLeaf{literals: [][]byte{jsonLiteral(r.scalar())}}, traits{}, nil
	case "credential":
		if r.has("value") {
			return &jsonLeaf{literals: [][]byte{jsonLiteral(r.scalar())}}, traits{}, nil
		}
		return &jsonLeaf{null: true}, traits{}, nil
	case "choice":
		l := &jsonLeaf{}
		for _, v := range r.list("values") {
			l.literals = append(l.literals, jsonLiteral(v))
		}
		var tr traits
		var err error
		l.drawer, tr, err = t.drawer(r)
		l.guessable = tr.guessable() && len(l.literals) > 1
		l.guessableNumber = l.guessable
		return l, tr, err
	}
	l := &jsonLeaf{}
	var tr traits
	text, number := *t, *t
	text.kind, number.kind = kindText, kindNumeric
	switch {
	case r.accepts(kindText):
		tf, st, err := text.buildRule(r)
		if err != nil {
			return nil, tr, err
		}
		l.str, l.clean, l.guessable, tr = tf, st.clean, st.guessable(), st
	case !r.accepts(kindNumeric):
		return nil, tr, fmt.Errorf("masker %s does not work inside JSON", r.name)
	default:
		l.str, l.guessable = newTextMask(&text), true
	}
	if r.accepts(kindNumeric) {
		tf, nt, err := number.buildRule(r)
		if err != nil {
			return nil, tr, err
		}
		if err = tr.shareEntity(nt); err != nil {
			return nil, tr, err
		}
		l.num, l.guessableNumber = tf, nt.guessable()
	} else {
		l.num, l.guessableNumber = &jsonNumber{number.keyed("digits"), number.stream("digits")}, true
	}
	return l, tr, nil
}

// jsonLiteral writes a scalar of the policy as JSON: what YAML reads as a
// number or boolean stays one.
func jsonLiteral(v scalar) []byte {
	if !v.string && json.Valid([]byte(v.text)) {
		return []byte(v.text)
	}
	return append(appendJSONString([]byte{'"'}, []byte(v.text)), '"')
}

func (n *jsonNode) insert(steps []jsonStep) *jsonNode {
	for _, s := range steps {
		var next **jsonNode
		switch {
		case s.items:
			next = &n.items
		case s.any:
			next = &n.any
		default:
			if n.members == nil {
				n.members = map[string]*jsonNode{}
			}
			child := n.members[s.name]
			if child == nil {
				child = &jsonNode{path: n.path + "." + quoteMember(s.name)}
				n.members[s.name] = child
			}
			n = child
			continue
		}
		if *next == nil {
			*next = &jsonNode{path: n.path + formatJSONPath([]jsonStep{s})[1:]}
		}
		n = *next
	}
	return n
}

// resolve merges what .* says into the named members beside it, so that the
// walk follows one node at a time. A named member's own rules win.
func (n *jsonNode) resolve() {
	if n == nil {
		return
	}
	if n.any != nil {
		for _, child := range n.members {
			child.merge(n.any)
		}
	}
	for _, name := range sortedKeys(n.members) {
		n.members[name].resolve()
		if len(n.members) <= 8 {
			n.few = append(n.few, jsonMember{name, n.members[name]})
		}
	}
	n.any.resolve()
	n.items.resolve()
}

func (n *jsonNode) merge(o *jsonNode) {
	if n.leaf == nil {
		n.leaf = o.leaf
	}
	for name, oc := range o.members {
		if n.members == nil {
			n.members = map[string]*jsonNode{}
		}
		if n.members[name] == nil {
			n.members[name] = &jsonNode{path: n.path + "." + quoteMember(name)}
		}
		n.members[name].merge(oc)
	}
	if o.any != nil {
		if n.any == nil {
			n.any = &jsonNode{path: n.path + ".*"}
		}
		n.any.merge(o.any)
	}
	if o.items != nil {
		if n.items == nil {
			n.items = &jsonNode{path: n.path + "[*]"}
		}
		n.items.merge(o.items)
	}
}
