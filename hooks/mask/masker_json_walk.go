package mask

import "slices"

// jsonWalk is one pass over a document.
type jsonWalk struct {
	ws    *workspace
	m     *jsonMask
	in    []byte
	pos   int
	from  int // start of what is not copied yet
	out   []byte
	depth int
}

// copy writes what stays before a place.
func (w *jsonWalk) copy(to int) { w.out = append(w.out, w.in[w.from:to]...) }

func (w *jsonWalk) space() {
	for w.pos < len(w.in) {
		switch w.in[w.pos] {
		case ' ', '\t', '\n', '\r':
			w.pos++
		default:
			return
		}
	}
}

// value walks the value at pos. leaf is the rule in force; own says that it
// was written for this place, not for one above it.
func (w *jsonWalk) value(node *jsonNode, leaf *jsonLeaf, own bool) error {
	if w.pos >= len(w.in) {
		return notJSON
	}
	start := w.pos
	c := w.in[start]
	if (c == '{' || c == '[') && own && (leaf.null || leaf.literals != nil) {
		if err := w.container(c, nil, &keepLeaf); err != nil { // to find its end
			return err
		}
		return w.replace(start, leaf)
	}
	switch {
	case c == '{' || c == '[':
		return w.container(c, node, leaf)
	case c == '"':
		end, escaped, ok := scanString(w.in, start+1)
		if !ok {
			return notJSON
		}
		w.pos = end + 1
		if leaf.keep {
			return nil
		}
		if leaf.stop {
			return unlisted(node)
		}
		if leaf.str == nil {
			return w.replace(start, leaf)
		}
		return w.str(start, end, escaped, leaf.str, leaf.clean)
	case c == '-' || isDigit(c):
		if !w.number() {
			return notJSON
		}
		if leaf.keep {
			return nil
		}
		if leaf.stop {
			return unlisted(node)
		}
		if leaf.num == nil {
			return w.replace(start, leaf)
		}
		w.copy(start)
		w.from = w.pos
		out, err := leaf.num.mask(w.ws, w.out, w.in[start:w.pos])
		if err == errNull { //nolint:errorlint // a sentinel of this package, never wrapped
			out, err = append(w.out, "null"...), nil
		}
		w.out = out
		return err
	case c == 't' && w.word("true"), c == 'f' && w.word("false"):
		switch {
		case leaf.keep:
			return nil
		case leaf.stop:
			return unlisted(node)
		case leaf.null || leaf.literals != nil:
			return w.replace(start, leaf)
		}
		if c == 't' { // one value for all tells nothing
			w.copy(start)
			w.out = append(w.out, "false"...)
			w.from = w.pos
		}
		return nil
	case c == 'n' && w.word("null"):
		return nil
	}
	return notJSON
}

var keepLeaf = jsonLeaf{keep: true}

func (w *jsonWalk) word(s string) bool {
	if len(w.in)-w.pos < len(s) || string(w.in[w.pos:w.pos+len(s)]) != s {
		return false
	}
	w.pos += len(s)
	return true
}

// number steps over a number.
func (w *jsonWalk) number() bool {
	b := w.in[w.pos:]
	n := 0
	if b[0] == '-' {
		n++
	}
	whole := digitsLen(b[n:])
	if whole == 0 || whole > 1 && b[n] == '0' {
		return false
	}
	n += whole
	if n < len(b) && b[n] == '.' {
		f := digitsLen(b[n+1:])
		if f == 0 {
			return false
		}
		n += 1 + f
	}
	if n < len(b) && (b[n] == 'e' || b[n] == 'E') {
		n++
		if n < len(b) && (b[n] == '+' || b[n] == '-') {
			n++
		}
		e := digitsLen(b[n:])
		if e == 0 {
			return false
		}
		n += e
	}
	w.pos += n
	return true
}

// container walks an object or an array.
func (w *jsonWalk) container(open byte, node *jsonNode, leaf *jsonLeaf) error {
	if w.depth++; w.depth > maxJSONDepth {
		return jsonTooDeep
	}
	w.pos++
	w.space()
	closing := byte('}')
	if open == '[' {
		closing = ']'
	}
	if w.pos < len(w.in) && w.in[w.pos] == closing {
		w.pos++
		w.depth--
		return nil
	}
	for {
		child, childLeaf, own := (*jsonNode)(nil), leaf, false
		if open == '{' {
			var err error
			if child, childLeaf, own, err = w.member(node, leaf); err != nil {
				return err
			}
		} else if node != nil && node.items != nil {
			if child = node.items; child.leaf != nil {
				childLeaf, own = child.leaf, true
			}
		}
		if err := w.value(child, childLeaf, own); err != nil {
			return err
		}
		if err := w.ws.within(len(w.out), w.from, len(w.in)); err != nil {
			return err
		}
		w.space()
		if w.pos >= len(w.in) {
			return notJSON
		}
		c := w.in[w.pos]
		w.pos++
		if c == closing {
			w.depth--
			return nil
		}
		if c != ',' {
			return notJSON
		}
		w.space()
	}
}

// member reads a member's name and finds the rule for its value.
func (w *jsonWalk) member(node *jsonNode, leaf *jsonLeaf) (child *jsonNode, rule *jsonLeaf, own bool, err error) {
	rule = leaf
	if w.pos >= len(w.in) || w.in[w.pos] != '"' {
		return nil, nil, false, notJSON
	}
	start := w.pos
	end, escaped, ok := scanString(w.in, start+1)
	if !ok {
		return nil, nil, false, notJSON
	}
	w.pos = end + 1
	name := w.in[start+1 : end]
	if escaped {
		buf := w.ws.buf()
		defer w.ws.release()
		*buf = appendJSONText(*buf, name)
		name = *buf
	}
	known := false
	if node != nil {
		if child = node.member(name); child != nil {
			known = true
		} else {
			child = node.any
		}
	}
	switch {
	case child != nil && child.leaf != nil:
		rule, own = child.leaf, true
	case w.m.keys != nil:
		if l := w.m.keys[string(name)]; l != nil {
			rule, own, known = l, true, true
		}
	}
	if !known && !leaf.keep && !plainName(name) {
		if leaf.stop {
			return nil, nil, false, unlisted(node)
		}
		if err := w.str(start, end, escaped, w.m.names, false); err != nil {
			return nil, nil, false, err
		}
	}
	w.space()
	if w.pos >= len(w.in) || w.in[w.pos] != ':' {
		return nil, nil, false, notJSON
	}
	w.pos++
	w.space()
	return child, rule, own, nil
}

// plainName reports whether a member's name looks like one that a programmer
// gave: letters, dashes, underscores, few digits.
func plainName(name []byte) bool {
	if len(name) > 64 {
		return false
	}
	digits := 0
	for _, c := range name {
		switch {
		case isLetterMask[c] != 0 || c == '_' || c == '-' || c == '$':
		case isDigit(c):
			if digits++; digits > 3 {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// unlisted is the error for a value without a rule. It names the place as far as the
// policy does: what is below might be data.
func unlisted(node *jsonNode) error {
	if node != nil {
		return reason("at " + node.path + " stands a value that `paths` does not list, and `unlisted` is stop")
	}
	return reason("the JSON holds a member that `paths` does not list, and `unlisted` is stop")
}

// replace writes a leaf's literal, or null, in place of what was read since
// start.
func (w *jsonWalk) replace(start int, leaf *jsonLeaf) error {
	w.copy(start)
	w.from = w.pos
	w.ws.escaped = true
	switch len(leaf.literals) {
	case 0:
		w.out = append(w.out, "null"...)
	case 1:
		w.out = append(w.out, leaf.literals[0]...)
	default:
		d := leaf.drawer.draw(w.ws, w.in[start:w.pos]).dice()
		w.out = append(w.out, leaf.literals[d.n(len(leaf.literals))]...)
	}
	return nil
}

// str writes the mask of the string between the quotes at start and end.
func (w *jsonWalk) str(start, end int, escaped bool, tf transform, clean bool) error {
	w.copy(start)
	w.from = end + 1
	value := w.in[start+1 : end]
	if escaped {
		buf := w.ws.buf()
		defer w.ws.release()
		*buf = appendJSONText(slices.Grow(*buf, len(value)), value)
		value = *buf
	}
	at := len(w.out)
	if clean {
		out, err := tf.mask(w.ws, append(w.out, '"'), value)
		switch {
		case err == errNull: //nolint:errorlint // a sentinel of this package, never wrapped
			w.out = append(w.out[:at], "null"...)
		case err != nil:
			return err
		default:
			w.out = append(out, '"')
		}
		return nil
	}
	buf := w.ws.buf()
	defer w.ws.release()
	out, err := tf.mask(w.ws, *buf, value)
	*buf = out
	switch {
	case err == errNull: //nolint:errorlint // a sentinel of this package, never wrapped
		w.out = append(w.out, "null"...)
	case err != nil:
		return err
	default:
		w.out = appendJSONString(append(w.out, '"'), out)
		w.ws.escaped = w.ws.escaped || len(w.out)-at-1 != len(out)
		w.out = append(w.out, '"')
	}
	return nil
}
