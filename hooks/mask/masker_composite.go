package mask

import (
	"fmt"
	"strings"
)

var compositeMasker = &masker{
	name:  "composite",
	doc:   maskerDoc{"the row value with each attribute masked by its own rule", "no", "what the attributes' maskers keep", "what the attributes' maskers let learn, and which attributes are NULL"},
	kinds: []kind{kindComposite},
	options: []option{
		{name: "attributes", kind: optRules, required: true, doc: "a rule for every attribute of the type"},
		malformed,
	},
	build: buildComposite,
}

type composite struct {
	attributes []transform
	at         []innerPlace
}

const notComposite = reason("the value is not a row of the composite type's attributes")

func (m *composite) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	start := len(dst)
	if len(value) < 2 || value[0] != '(' || value[len(value)-1] != ')' {
		return dst, notComposite
	}
	elem, mask := ws.buf(), ws.buf()
	defer ws.release()
	defer ws.release()
	dst = append(dst, '(')
	pos := 1
	for i, tf := range m.attributes {
		if i > 0 {
			if pos >= len(value) || value[pos] != ',' {
				return dst[:start], notComposite
			}
			dst = append(dst, ',')
			pos++
		}
		var null bool
		*elem, pos, null = rowAttribute((*elem)[:0], value, pos)
		if pos < 0 {
			return dst[:start], notComposite
		}
		if null {
			continue
		}
		var err error
		if *mask, err = tf.mask(ws, (*mask)[:0], *elem); err == nil {
			dst = appendElement(dst, *mask, rowSigns)
		}
		if err != nil && err != errNull { //nolint:errorlint // a sentinel of this package, never wrapped
			return dst[:start], err
		}
	}
	if pos != len(value)-1 {
		return dst[:start], notComposite
	}
	return append(dst, ')'), nil
}

// rowAttribute reads one attribute of a row value; next is negative when it
// cannot be one. An empty one without quotes is NULL.
func rowAttribute(dst, b []byte, pos int) (attribute []byte, next int, null bool) {
	from, quoted := pos, false
	for pos < len(b) {
		c := b[pos]
		switch {
		case c == '\\':
			if pos++; pos >= len(b) {
				return dst, -1, false
			}
			dst = append(dst, b[pos])
		case c == '"' && quoted && pos+1 < len(b) && b[pos+1] == '"':
			dst = append(dst, '"')
			pos++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ',' || c == ')'):
			return dst, pos, pos == from
		default:
			dst = append(dst, c)
		}
		pos++
	}
	return dst, -1, false
}

func buildComposite(t *target, r *rule) (transform, traits, error) {
	m := &composite{}
	tr := traits{depth: 1}
	var missing []string
	rules := r.rules("attributes")
	known := map[string]bool{}
	for i := range t.column.Attributes {
		a := &t.column.Attributes[i]
		known[a.Name] = true
		of := rules[a.Name]
		if of == nil {
			missing = append(missing, QuoteIdent(a.Name))
			continue
		}
		sub := t.at("attribute "+a.Name, a.kind())
		sub.inside, sub.column, sub.length, sub.notNull = false, a, a.lengthLimit(), a.NotNull
		tf, at, err := sub.buildRule(of)
		if err == nil {
			err = tr.contain(at)
		}
		if err != nil {
			return nil, tr, fmt.Errorf("attribute %s: %w", QuoteIdent(a.Name), err)
		}
		m.attributes = append(m.attributes, tf)
		m.at = append(m.at, innerPlace{where: "attribute " + QuoteIdent(a.Name), masker: of.name, guessable: at.guessable(), link: of.link})
		if at.keep {
			tr.kept = append(tr.kept, "attribute "+QuoteIdent(a.Name))
		}
		for _, k := range at.kept {
			tr.kept = append(tr.kept, "attribute "+QuoteIdent(a.Name)+" "+k)
		}
	}
	for _, name := range sortedKeys(rules) {
		if !known[name] {
			return nil, tr, fmt.Errorf("attribute %s is not in the type", QuoteIdent(name))
		}
	}
	if len(missing) > 0 {
		return nil, tr, fmt.Errorf("attributes says nothing of %s: every attribute needs a rule", strings.Join(missing, ", "))
	}
	tf, err := t.lenient(m, r)
	return tf, tr, err
}
