package mask

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
)

// innerPlace is a place inside the values of a column, as a census counts it.
type innerPlace struct {
	where     string // as the policy names it
	path      uint64 // tells apart what the policy has one name for
	masker    string
	guessable bool   // equal values have equal masks
	link      string // whose columns have the same masks, "" for none
}

// container is a transform of values that hold other values.
type container interface {
	// visit calls see for each value inside value, with the transform of its
	// place, which may be a container again. It stops at what it cannot read: the
	// mask will say so.
	visit(c *Census, value []byte, see func(at innerPlace, tf transform, value []byte))
}

// containerOf returns the container that tf is, or nil.
func containerOf(tf transform) container {
	if f, ok := tf.(*fallback); ok {
		tf = f.first
	}
	n, _ := tf.(container)
	return n
}

// visitor is a transform that changes nothing: it shows what the container around it
// would mask.
type visitor func(value []byte)

func (l visitor) mask(_ *workspace, dst, value []byte) ([]byte, error) {
	l(value)
	return dst, nil
}

func (m *array) visit(c *Census, value []byte, see func(innerPlace, transform, []byte)) {
	a := array{of: visitor(func(v []byte) { see(m.at, m.of, v) })}
	_, _ = a.mask(c.workspace, nil, value)
}

func (m *composite) visit(c *Census, value []byte, see func(innerPlace, transform, []byte)) {
	row := composite{}
	for i, tf := range m.attributes {
		row.attributes = append(row.attributes, visitor(func(v []byte) { see(m.at[i], tf, v) }))
	}
	_, _ = row.mask(c.workspace, nil, value)
}

func (m *hstore) visit(c *Census, value []byte, see func(innerPlace, transform, []byte)) {
	var key, elem []byte
	for pos := 0; pos < len(value) && value[pos] == '"'; pos += len(", ") {
		if key, pos, _ = arrayElement(key[:0], value, pos); pos < 0 {
			return
		}
		if pos += len("=>"); pos >= len(value) {
			return
		}
		if value[pos] != '"' {
			pos += len("NULL")
			continue
		}
		if elem, pos, _ = arrayElement(elem[:0], value, pos); pos < 0 {
			return
		}
		at, listed := m.at[string(key)]
		if !listed {
			at = innerPlace{where: "at keys that `keys` does not list", path: c.step(0, key), masker: "hstore", guessable: m.unlisted != nil}
		}
		see(at, nil, elem)
	}
}

func (m *xmlMask) visit(c *Census, value []byte, see func(innerPlace, transform, []byte)) {
	through := func(rules map[string]transform, sign string) map[string]transform {
		out := map[string]transform{}
		for name := range rules {
			out[name] = visitor(func(v []byte) { see(m.at[sign+name], nil, v) })
		}
		return out
	}
	x := xmlMask{
		elements: through(m.elements, "<"), attributes: through(m.attributes, "@"),
		text: visitor(func(v []byte) {
			see(innerPlace{where: "in texts that no rule names", masker: "xml", guessable: true}, nil, v)
		}),
	}
	_, _ = x.mask(c.workspace, nil, value)
}

func (m *jsonMask) visit(c *Census, value []byte, see func(innerPlace, transform, []byte)) {
	w := jsonVisit{m: m, c: c, in: value, see: see, dec: json.NewDecoder(bytes.NewReader(value))}
	w.dec.UseNumber()
	_ = w.value(m.root, m.root.leaf, true, 0, 0)
}

// jsonVisit is one pass of a census over a document. It goes as jsonWalk does, and
// keeps the path to every value, also where the policy has none.
type jsonVisit struct {
	m   *jsonMask
	c   *Census
	in  []byte
	dec *json.Decoder
	see func(innerPlace, transform, []byte)
}

// value visits the next value; path is the hash of the way to it.
func (w *jsonVisit) value(node *jsonNode, leaf *jsonLeaf, own bool, path uint64, depth int) error {
	t, err := w.dec.Token()
	if err != nil {
		return err
	}
	if depth > maxJSONDepth {
		return jsonTooDeep
	}
	open, _ := t.(json.Delim)
	switch {
	case open != 0 && own && (leaf.null || leaf.literals != nil):
		start := w.dec.InputOffset() - 1
		for n := 1; n > 0; {
			t, err := w.dec.Token()
			if err != nil {
				return err
			}
			switch t {
			case json.Delim('{'), json.Delim('['):
				n++
			case json.Delim('}'), json.Delim(']'):
				n--
			}
		}
		w.found(leaf, own, leaf.guessable, path, w.in[start:w.dec.InputOffset()])
		return nil
	case open != 0:
		return w.container(open, node, leaf, path, depth)
	}
	switch t := t.(type) {
	case string:
		w.found(leaf, own, leaf.guessable, path, []byte(t))
	case json.Number:
		w.found(leaf, own, leaf.guessableNumber, path, []byte(t))
	case bool:
		// Without values to choose from it becomes false.
		w.found(leaf, own, leaf.guessable && leaf.literals != nil, path, strconv.AppendBool(nil, t))
	}
	return nil
}

func (w *jsonVisit) container(open json.Delim, node *jsonNode, leaf *jsonLeaf, path uint64, depth int) error {
	for w.dec.More() {
		child, rule, own := (*jsonNode)(nil), leaf, false
		var step []byte // nil: what has one path in the policy is one place
		switch {
		case open == '{':
			t, err := w.dec.Token()
			if err != nil {
				return err
			}
			name, ok := t.(string)
			if !ok {
				return errors.New("a member has no name")
			}
			step = []byte(name)
			if node != nil {
				if child = node.member(step); child == nil && node.any != nil {
					child, step = node.any, nil
				}
			}
			if key := w.m.keys[name]; child != nil && child.leaf != nil {
				rule, own = child.leaf, true
			} else if key != nil {
				rule, own = key, true
			}
		case node != nil && node.items != nil:
			if child = node.items; child.leaf != nil {
				rule, own = child.leaf, true
			}
		}
		if err := w.value(child, rule, own, w.c.step(path, step), depth+1); err != nil {
			return err
		}
	}
	_, err := w.dec.Token()
	return err
}

// found tells of a value; own says that the rule was written for its place.
func (w *jsonVisit) found(leaf *jsonLeaf, own, guessable bool, path uint64, value []byte) {
	if !guessable {
		return
	}
	at := innerPlace{where: leaf.where, path: path, masker: leaf.masker, guessable: true, link: leaf.link}
	switch {
	case leaf.where == "":
		at.where = "at members that no path names"
	case !own:
		at.where = "below " + leaf.where
	}
	w.see(at, nil, value)
}
