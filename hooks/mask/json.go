package mask

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonMask masks JSON documents. It walks the text once and copies what stays
// byte by byte, so that spacing, order and duplicate members survive.
type jsonMask struct {
	root  *jsonNode
	keys  map[string]*jsonLeaf
	names *shape // for member names that do not look like names
}

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

	where, masker string // of the rule
	// Equal values have equal masks: strings and what is drawn, numbers.
	guessable, guessableNumber bool
}

// buildJSON builds masker json.
func buildJSON(t *target, r *rule) (transform, traits, error) {
	m := &jsonMask{root: &jsonNode{path: "$"}, names: newShape(t.at("json names", kindText))}
	tr := traits{depth: 1}
	var errs []error
	leaf := func(where string, r *rule) *jsonLeaf {
		l, lt, err := newLeaf(t.at("json "+where, kindLeaf), r)
		if err == nil {
			err = tr.hold(lt)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("at %s: %w", where, err))
			return nil
		}
		l.where, l.masker = where, r.name
		switch {
		case l.keep:
			tr.kept = append(tr.kept, where)
		default:
			for _, k := range lt.kept {
				tr.kept = append(tr.kept, where+" "+k)
			}
		}
		return l
	}
	if r.text("unlisted") == "stop" {
		m.root.leaf = &jsonLeaf{stop: true}
	} else {
		sub := t.at("json unlisted", kindText)
		m.root.leaf = &jsonLeaf{str: newShape(sub), num: &digits{sub.keyed("digits"), sub.stream("digits")}, masker: "json", guessable: true, guessableNumber: true}
	}
	paths := r.rules("paths")
	for _, path := range sortedKeys(paths) {
		steps, err := parseJSONPath(path)
		if err != nil {
			errs = append(errs, fmt.Errorf("path %q: %w", path, err))
			continue
		}
		if l := leaf(formatJSONPath(steps), paths[path]); l != nil {
			if n := m.root.insert(steps); n.leaf != nil && n != m.root {
				errs = append(errs, fmt.Errorf("path %q stands twice", path))
			} else {
				n.leaf = l
			}
		}
	}
	keys := r.rules("keys")
	for _, name := range sortedKeys(keys) {
		if l := leaf("$.."+quoteMember(name), keys[name]); l != nil {
			if m.keys == nil {
				m.keys = map[string]*jsonLeaf{}
			}
			m.keys[name] = l
		}
	}
	m.root.resolve()
	return m, tr, errors.Join(errs...)
}

// hold takes over what the traits of a rule for values inside say of the whole.
func (tr *traits) hold(sub traits) error {
	tr.depth = max(tr.depth, sub.depth+1)
	return tr.draw(sub)
}

// draw takes over the entity of another rule in the same value.
func (tr *traits) draw(sub traits) error {
	if sub.entity == "" || sub.entity == tr.entity {
		return nil
	}
	if tr.entity != "" {
		return fmt.Errorf("by names %s here and %s elsewhere in the same column: use one", QuoteIdent(sub.entity), QuoteIdent(tr.entity))
	}
	tr.entity = sub.entity
	return nil
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
		l.str, l.guessable = newShape(&text), true
	}
	if r.accepts(kindNumeric) {
		tf, nt, err := number.buildRule(r)
		if err != nil {
			return nil, tr, err
		}
		if err = tr.draw(nt); err != nil {
			return nil, tr, err
		}
		l.num, l.guessableNumber = tf, nt.guessable()
	} else {
		l.num, l.guessableNumber = &digits{number.keyed("digits"), number.stream("digits")}, true
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

func checkJSON(b []byte) error {
	if !json.Valid(b) {
		return notJSON
	}
	return nil
}

// jsonStep is one step of a path: a member, any member or all items.
type jsonStep struct {
	name       string
	any, items bool
}

// parseJSONPath reads $.a."b c".*[*] and the like.
func parseJSONPath(path string) ([]jsonStep, error) {
	rest, ok := strings.CutPrefix(path, "$")
	if !ok {
		return nil, errors.New("a path starts with $, as in $.contact.email")
	}
	var steps []jsonStep
	for rest != "" {
		switch {
		case strings.HasPrefix(rest, "[*]"):
			steps = append(steps, jsonStep{items: true})
			rest = rest[3:]
		case strings.HasPrefix(rest, ".*"):
			steps = append(steps, jsonStep{any: true})
			rest = rest[2:]
		case strings.HasPrefix(rest, `."`):
			end := 2
			for end < len(rest) && rest[end] != '"' {
				if rest[end] == '\\' {
					end++
				}
				end++
			}
			if end >= len(rest) {
				return nil, errors.New("a quote is not closed")
			}
			var name string
			if err := json.Unmarshal([]byte(rest[1:end+1]), &name); err != nil {
				return nil, errors.New("a quoted member is written as in JSON")
			}
			steps = append(steps, jsonStep{name: name})
			rest = rest[end+1:]
		case rest[0] == '.':
			end := strings.IndexAny(rest[1:], ".[")
			if end < 0 {
				end = len(rest) - 1
			}
			if end == 0 {
				return nil, errors.New("a member's name is missing")
			}
			steps = append(steps, jsonStep{name: rest[1 : 1+end]})
			rest = rest[1+end:]
		default:
			return nil, errors.New("after $ a path has .member, .\"quoted member\", .* and [*]; single items cannot be named")
		}
	}
	return steps, nil
}

// Steps of a JSON path that are no member's name.
const (
	AnyMember = "\x00.*"
	AllItems  = "\x00[*]"
)

// JSONPathSteps cuts a path of masker json into its steps: names of members,
// [AnyMember] and [AllItems].
func JSONPathSteps(path string) ([]string, error) {
	parsed, err := parseJSONPath(path)
	if err != nil {
		return nil, err
	}
	var steps []string
	for _, s := range parsed {
		switch {
		case s.any:
			steps = append(steps, AnyMember)
		case s.items:
			steps = append(steps, AllItems)
		default:
			steps = append(steps, s.name)
		}
	}
	return steps, nil
}

func formatJSONPath(steps []jsonStep) string {
	var b strings.Builder
	b.WriteByte('$')
	for _, s := range steps {
		switch {
		case s.items:
			b.WriteString("[*]")
		case s.any:
			b.WriteString(".*")
		default:
			b.WriteString("." + quoteMember(s.name))
		}
	}
	return b.String()
}

func quoteMember(name string) string {
	if name != "" && !strings.ContainsAny(name, ".[*\"\\") && !strings.ContainsFunc(name, unicode.IsControl) {
		return name
	}
	return string(append(appendJSONString([]byte{'"'}, []byte(name)), '"'))
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

const (
	notJSON     = reason("the value is not valid JSON")
	jsonTooDeep = reason("the JSON nests too deeply")
	// maxJSONDepth is above what PostgreSQL's default max_stack_depth lets in.
	maxJSONDepth = 10000
)

// jsonWalk is one pass over a document.
type jsonWalk struct {
	s     *scratch
	m     *jsonMask
	in    []byte
	pos   int
	from  int // start of what is not copied yet
	out   []byte
	depth int
}

func (m *jsonMask) mask(s *scratch, dst, value []byte) ([]byte, error) {
	w := &s.json
	*w = jsonWalk{s: s, m: m, in: value, out: dst}
	w.space()
	err := w.value(m.root, m.root.leaf, true)
	if err == nil {
		if w.space(); w.pos != len(value) {
			err = notJSON
		}
	}
	if err != nil {
		w.in, w.out = nil, nil
		return dst, err
	}
	w.copy(len(value))
	out := w.out
	w.in, w.out = nil, nil
	return out, nil
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
		out, err := leaf.num.mask(w.s, w.out, w.in[start:w.pos])
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
		if c == 't' { // one value for all says nothing
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
		if err := w.s.within(len(w.out), w.from, len(w.in)); err != nil {
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
		buf := w.s.buf()
		defer w.s.release()
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

// unlisted names the place as far as the policy knows it: what lies below
// might be data.
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
	w.s.escaped = true
	switch len(leaf.literals) {
	case 0:
		w.out = append(w.out, "null"...)
	case 1:
		w.out = append(w.out, leaf.literals[0]...)
	default:
		d := leaf.drawer.draw(w.s, w.in[start:w.pos]).dice()
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
		buf := w.s.buf()
		defer w.s.release()
		*buf = appendJSONText(slices.Grow(*buf, len(value)), value)
		value = *buf
	}
	at := len(w.out)
	if clean {
		out, err := tf.mask(w.s, append(w.out, '"'), value)
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
	buf := w.s.buf()
	defer w.s.release()
	out, err := tf.mask(w.s, *buf, value)
	*buf = out
	switch {
	case err == errNull: //nolint:errorlint // a sentinel of this package, never wrapped
		w.out = append(w.out, "null"...)
	case err != nil:
		return err
	default:
		w.out = appendJSONString(append(w.out, '"'), out)
		w.s.escaped = w.s.escaped || len(w.out)-at-1 != len(out)
		w.out = append(w.out, '"')
	}
	return nil
}

// scanString finds the quote that ends the string whose first byte is at pos.
func scanString(b []byte, pos int) (end int, escaped, ok bool) {
	for {
		// Eight bytes at a time: a quote, a backslash or a control character.
		for pos+8 <= len(b) {
			v := binary.LittleEndian.Uint64(b[pos:])
			q, s := v^0x2222222222222222, v^0x5c5c5c5c5c5c5c5c
			found := ((v-0x2020202020202020)&^v | (q-0x0101010101010101)&^q | (s-0x0101010101010101)&^s) & 0x8080808080808080
			if found != 0 {
				pos += bits.TrailingZeros64(found) / 8
				break
			}
			pos += 8
		}
		for pos < len(b) && b[pos] != '"' && b[pos] != '\\' && b[pos] >= 0x20 {
			pos++
		}
		if pos >= len(b) || b[pos] < 0x20 {
			return 0, false, false
		}
		if b[pos] == '"' {
			return pos, escaped, true
		}
		escaped = true
		if pos+1 >= len(b) {
			return 0, false, false
		}
		switch b[pos+1] {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			pos += 2
		case 'u':
			if pos+6 > len(b) {
				return 0, false, false
			}
			for _, c := range b[pos+2 : pos+6] {
				if !isHex(c) {
					return 0, false, false
				}
			}
			pos += 6
		default:
			return 0, false, false
		}
	}
}

// appendJSONText appends what a valid JSON string says, without its escapes.
func appendJSONText(dst, s []byte) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '\\' {
			dst = append(dst, c)
			continue
		}
		i++
		switch c = s[i]; c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r := hex4(s[i+1:])
			i += 4
			if utf16.IsSurrogate(r) && i+6 < len(s) && s[i+1] == '\\' && s[i+2] == 'u' {
				if pair := utf16.DecodeRune(r, hex4(s[i+3:])); pair != utf8.RuneError {
					r = pair
					i += 6
				}
			}
			dst = utf8.AppendRune(dst, r)
			continue
		}
		dst = append(dst, c)
	}
	return dst
}

func hex4(b []byte) rune {
	return rune(hexValue(b[0]))<<12 | rune(hexValue(b[1]))<<8 | rune(hexValue(b[2]))<<4 | rune(hexValue(b[3]))
}

// appendJSONString appends s with JSON's escapes, without the quotes.
func appendJSONString(dst, s []byte) []byte {
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c >= 0x20:
			dst = append(dst, c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return dst
}
