package mask

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf8"
)

var xmlMasker = &masker{
	name:  "xml",
	doc:   maskerDoc{"the document with its text and attribute values masked, each by the rule for its element or attribute, else like text; comments, processing instructions and CDATA marks go", "no", "elements, names of elements and attributes that look like names, namespaces, languages (`xml:lang`), order, white space between elements", "the structure; length and shape of texts"},
	kinds: []kind{kindXML},
	options: []option{
		{name: "elements", kind: optRules, doc: "rules for the text of elements by name, a prefix included: {email: email, 'a:id': keep}"},
		{name: "attributes", kind: optRules, doc: "rules for attribute values by name"},
		malformed,
	},
	build: buildXML,
}

// xmlMask masks well-formed XML, documents and fragments.
type xmlMask struct {
	elements, attributes map[string]transform
	text                 transform
	at                   map[string]innerPlace // by "<element" and "@attribute"
}

const (
	notXML     = reason("the value is not XML that masker xml can read")
	xmlDoctype = reason("the value holds a document type definition, whose entities masker xml does not know")
	xmlName    = reason("the name of an element or attribute may be data: it does not look like a name")
)

func (m *xmlMask) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	start := len(dst)
	plain, masked := ws.buf(), ws.buf()
	defer ws.release()
	defer ws.release()
	// A rule holds for the text from an element's start to the next tag, so that no
	// list of open elements is needed.
	rule := m.text
	var err error
	whole := len(value)
	for len(value) > 0 {
		if err = ws.within(len(dst), whole-len(value), whole); err != nil {
			return dst[:start], err
		}
		switch {
		case value[0] != '<':
			n := bytes.IndexByte(value, '<')
			if n < 0 {
				n = len(value)
			}
			if dst, err = m.append(ws, dst, value[:n], rule, plain, masked, false); err != nil {
				return dst[:start], err
			}
			value = value[n:]
		case bytes.HasPrefix(value, []byte("<!--")):
			_, rest, ok := bytes.Cut(value[4:], []byte("-->"))
			if !ok {
				return dst[:start], notXML
			}
			value = rest
		case bytes.HasPrefix(value, []byte("<![CDATA[")):
			data, rest, ok := bytes.Cut(value[9:], []byte("]]>"))
			if !ok {
				return dst[:start], notXML
			}
			if dst, err = m.append(ws, dst, data, rule, plain, masked, true); err != nil {
				return dst[:start], err
			}
			value = rest
		case bytes.HasPrefix(value, []byte("<!")):
			return dst[:start], xmlDoctype
		case bytes.HasPrefix(value, []byte("<?")):
			head, rest, ok := bytes.Cut(value, []byte("?>"))
			if !ok {
				return dst[:start], notXML
			}
			if bytes.HasPrefix(head, []byte("<?xml ")) && len(dst) == start {
				dst = append(append(dst, head...), "?>"...)
			}
			value = rest
		default:
			if dst, value, rule, err = m.tag(ws, dst, value, plain, masked); err != nil {
				return dst[:start], err
			}
		}
	}
	return dst, nil
}

// tag copies a tag with its attribute values masked, and returns what follows it and
// the rule for the text there.
func (m *xmlMask) tag(ws *workspace, dst, value []byte, plain, masked *[]byte) ([]byte, []byte, transform, error) {
	i := 1
	if len(value) > 1 && value[1] == '/' {
		i = 2
	}
	n := xmlNameLen(value[i:])
	if n == 0 {
		return dst, value, nil, notXML
	}
	name := value[i : i+n]
	if !plainXMLName(name) {
		return dst, value, nil, xmlName
	}
	dst = append(dst, value[:i+n]...)
	rule := m.text
	if i == 1 {
		if r := m.elements[string(name)]; r != nil {
			rule = r
		}
	}
	value = value[i+n:]
	for {
		space := len(value) - len(bytes.TrimLeft(value, " \t\r\n"))
		dst, value = append(dst, value[:space]...), value[space:]
		switch {
		case len(value) == 0:
			return dst, value, nil, notXML
		case value[0] == '>':
			return append(dst, '>'), value[1:], rule, nil
		case bytes.HasPrefix(value, []byte("/>")) && i == 1:
			return append(dst, "/>"...), value[2:], m.text, nil
		case space == 0 || i == 2:
			return dst, value, nil, notXML
		}
		n := xmlNameLen(value)
		if n == 0 || n+2 >= len(value) {
			return dst, value, nil, notXML
		}
		attribute := value[:n]
		if !plainXMLName(attribute) {
			return dst, value, nil, xmlName
		}
		at := n
		for at < len(value) && (value[at] == '=' || isSpace(value[at])) {
			at++
		}
		if at >= len(value) || value[at] != '"' && value[at] != '\'' {
			return dst, value, nil, notXML
		}
		end := bytes.IndexByte(value[at+1:], value[at])
		if end < 0 {
			return dst, value, nil, notXML
		}
		end += at + 1
		dst = append(dst, value[:at+1]...)
		text := value[at+1 : end]
		r := m.attributes[string(attribute)]
		switch {
		case r == nil && isDeclaration(attribute, text):
			dst = append(dst, text...)
		default:
			if r == nil {
				r = m.text
			}
			var err error
			if dst, err = m.append(ws, dst, text, r, plain, masked, false); err != nil {
				return dst, value, nil, err
			}
		}
		dst = append(dst, value[end])
		value = value[end+1:]
	}
}

// isDeclaration reports whether an attribute declares something, and is not data: a
// namespace, a language, what white space means.
func isDeclaration(name, value []byte) bool {
	switch string(name) {
	case "xmlns":
		return true
	case "xml:space":
		return string(value) == "preserve" || string(value) == "default"
	case "xml:lang":
		return isLanguage(value)
	}
	return bytes.HasPrefix(name, []byte("xmlns:"))
}

// isLanguage reports whether b is a language's tag: de, pt-BR, zh-Hant-TW.
func isLanguage(b []byte) bool {
	start, part := 0, 0
	for i := 0; i <= len(b); i++ {
		if i < len(b) && isLetterMask[b[i]] != 0 {
			continue
		}
		if n := i - start; i < len(b) && b[i] != '-' || part == 0 && n != 2 && n != 3 || part > 0 && n != 2 && n != 4 || part > 2 {
			return false
		}
		start = i + 1
		part++
	}
	return true
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// xmlNameLen is the length of the name that b starts with.
func xmlNameLen(b []byte) int {
	return len(b) - len(bytes.TrimLeftFunc(b, func(r rune) bool {
		return r >= 0x80 || r == '_' || r == ':' || r == '-' || r == '.' || 'a' <= r|0x20 && r|0x20 <= 'z' || '0' <= r && r <= '9'
	}))
}

// plainXMLName reports whether the parts of a name look like names.
func plainXMLName(name []byte) bool {
	for part := range bytes.FieldsFuncSeq(name, func(r rune) bool { return r == ':' || r == '.' }) {
		if !plainName(part) {
			return false
		}
	}
	return true
}

// append masks a text, with its references resolved unless it is literal, and
// escapes what the mask holds. White space alone stays.
func (m *xmlMask) append(ws *workspace, dst, text []byte, r transform, plain, masked *[]byte, literal bool) ([]byte, error) {
	if len(bytes.TrimLeft(text, " \t\r\n")) == 0 {
		return append(dst, text...), nil
	}
	var err error
	if *plain, err = resolveXML((*plain)[:0], text, literal); err != nil {
		return dst, err
	}
	*masked, err = r.mask(ws, (*masked)[:0], *plain)
	switch {
	case err == errNull: //nolint:errorlint // a sentinel of this package, never wrapped
		return dst, nil
	case err != nil:
		return dst, err
	}
	for _, c := range *masked {
		if e := xmlEscapes[c]; e != "" {
			dst = append(dst, e...)
		} else {
			dst = append(dst, c)
		}
	}
	return dst, nil
}

// xmlEscapes are the references for what may not stand in a text or an attribute's
// value.
var xmlEscapes = [256]string{'<': "&lt;", '>': "&gt;", '&': "&amp;", '"': "&quot;", '\'': "&apos;"}

// resolveXML appends a text with its references resolved.
func resolveXML(dst, text []byte, literal bool) ([]byte, error) {
	for !literal {
		i := bytes.IndexByte(text, '&')
		if i < 0 {
			break
		}
		dst, text = append(dst, text[:i]...), text[i+1:]
		end := bytes.IndexByte(text, ';')
		if end < 1 || end > 10 {
			return dst, notXML
		}
		switch name := string(text[:end]); name {
		case "lt":
			dst = append(dst, '<')
		case "gt":
			dst = append(dst, '>')
		case "amp":
			dst = append(dst, '&')
		case "quot":
			dst = append(dst, '"')
		case "apos":
			dst = append(dst, '\'')
		default:
			base, digits := 10, name[1:]
			if name[0] != '#' {
				return dst, notXML
			}
			if len(digits) > 0 && digits[0] == 'x' {
				base, digits = 16, digits[1:]
			}
			r, err := strconv.ParseUint(digits, base, 21)
			if err != nil || r < ' ' && r != '\t' && r != '\n' && r != '\r' {
				return dst, notXML
			}
			dst = utf8.AppendRune(dst, rune(r))
		}
		text = text[end+1:]
	}
	return append(dst, text...), nil
}

func buildXML(t *target, r *rule) (transform, traits, error) {
	m := &xmlMask{elements: map[string]transform{}, attributes: map[string]transform{}, text: newTextMask(t.at("xml", kindText)), at: map[string]innerPlace{}}
	tr := traits{depth: 1}
	for _, part := range []struct {
		option, sign string
		into         map[string]transform
	}{{"elements", "<", m.elements}, {"attributes", "@", m.attributes}} {
		rules := r.rules(part.option)
		for _, name := range sortedKeys(rules) {
			tf, kt, err := t.at("xml "+part.sign+name, kindText).buildRule(rules[name])
			if err == nil {
				err = tr.contain(kt)
			}
			if err != nil {
				return nil, tr, fmt.Errorf("%s %q: %w", part.option, name, err)
			}
			part.into[name] = tf
			m.at[part.sign+name] = innerPlace{where: part.sign + name, masker: rules[name].name, guessable: kt.guessable(), link: rules[name].link}
			if kt.keep {
				tr.kept = append(tr.kept, part.sign+name)
			}
			for _, k := range kt.kept {
				tr.kept = append(tr.kept, part.sign+name+" "+k)
			}
		}
	}
	tf, err := t.lenient(m, r)
	return tf, tr, err
}
