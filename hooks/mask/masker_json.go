package mask

import (
	"encoding/json"
	"errors"
	"fmt"
)

var jsonMasker = &masker{
	name:  "json",
	doc:   maskerDoc{"the document with its strings, numbers and booleans masked, each by the rule for its path; still valid JSON", "no", "structure, member names that look like names, order; what a path keeps", "the structure; a boolean becomes false; the number of digits of numbers"},
	kinds: []kind{kindJSON},
	options: []option{
		{name: "paths", kind: optRules, doc: "rules by path: $.a.b, $.items[*].sku, $.*.name, $ for the whole document. A rule holds for everything below, where no longer path says otherwise"},
		{name: "keys", kind: optRules, doc: "rules by member name, at any depth; a path that leads to the member wins"},
		{name: "unlisted", kind: optString, choices: []string{"mask", "stop"}, fallback: "mask", doc: "what happens to values that no rule covers: masked like text, or the import stops"},
		malformed,
	},
	check: func(r *rule) string {
		for path := range r.rules("paths") {
			if _, err := parseJSONPath(path); err != nil {
				return fmt.Sprintf("path %q: %v", path, err)
			}
		}
		return ""
	},
	build: func(t *target, r *rule) (transform, traits, error) {
		tf, tr, err := buildJSON(t, r)
		if err != nil {
			return nil, tr, err
		}
		tr.shaped = true
		tf, err = t.lenient(tf, r)
		return tf, tr, err
	},
}

// jsonMask masks JSON documents. It walks the text once and copies what stays
// byte by byte, so that spacing, order and duplicate members survive.
type jsonMask struct {
	root  *jsonNode
	keys  map[string]*jsonLeaf
	names *textMask // for member names that do not look like names
}

// buildJSON builds masker json.
func buildJSON(t *target, r *rule) (transform, traits, error) {
	m := &jsonMask{root: &jsonNode{path: "$"}, names: newTextMask(t.at("json names", kindText))}
	tr := traits{depth: 1}
	var errs []error
	leaf := func(where string, r *rule) *jsonLeaf {
		l, lt, err := newLeaf(t.at("json "+where, kindLeaf), r)
		if err == nil {
			err = tr.contain(lt)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("at %s: %w", where, err))
			return nil
		}
		l.where, l.masker, l.link = where, r.name, r.link
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
		m.root.leaf = &jsonLeaf{str: newTextMask(sub), num: &jsonNumber{sub.keyed("digits"), sub.stream("digits")}, masker: "json", guessable: true, guessableNumber: true}
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

func checkJSON(b []byte) error {
	if !json.Valid(b) {
		return notJSON
	}
	return nil
}

const (
	notJSON     = reason("the value is not valid JSON")
	jsonTooDeep = reason("the JSON nests too deeply")
	// maxJSONDepth is above what PostgreSQL's default max_stack_depth lets in.
	maxJSONDepth = 10000
)

func (m *jsonMask) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	w := &ws.json
	*w = jsonWalk{ws: ws, m: m, in: value, out: dst}
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
