package mask

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
)

var regexMasker = &masker{
	name:  "regex",
	doc:   maskerDoc{"the value with what the pattern matches replaced, or masked by another masker", "no", "everything the pattern does not match", "everything the pattern does not match. With `anchored: true` (the default) a value that the pattern does not match as a whole stops the import; with false it passes as it is"},
	kinds: []kind{kindText},
	options: []option{
		{name: "pattern", kind: optString, required: true, doc: "a regular expression in RE2 syntax"},
		{name: "replace", kind: optString, doc: "what to write in place of a match; ${1} stands for a group and passes it unmasked"},
		{name: "with", kind: optRule, doc: "a rule that masks each match, in place of replace"},
		{name: "anchored", kind: optBool, fallback: true, doc: "the pattern must match the whole value"},
		malformed,
	},
	check: func(r *rule) string {
		re, err := r.pattern()
		if err != nil {
			return "pattern is not a regular expression in RE2 syntax: " + err.Error()
		}
		if r.has("replace") == r.has("with") {
			return "give either replace or with"
		}
		if group := missingGroup(re, r.text("replace")); group != "" {
			return "replace names the group " + group + ", which the pattern does not have: write ${1} for a group, and $$ for a dollar"
		}
		return ""
	},
	build: buildRegex,
}

// regex is masker regex. It allocates, because the standard library's matcher does.
type regex struct {
	re       *regexp.Regexp
	replace  []byte
	with     transform
	anchored bool
	padding
}

const noMatch = reason("the pattern does not match the whole value: widen it, set `malformed`, or use text")

func (m *regex) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	value = m.cut(value)
	switch {
	case len(value) == 0:
		return dst, nil
	case !m.anchored:
		return m.all(ws, dst, value)
	}
	match := m.re.FindSubmatchIndex(value)
	switch {
	case match == nil:
		return dst, noMatch
	case m.with == nil:
		return m.re.Expand(dst, m.replace, value, match), nil
	}
	return m.with.mask(ws, dst, value)
}

// all masks or replaces every match in a value.
func (m *regex) all(ws *workspace, dst, value []byte) ([]byte, error) {
	if m.with == nil {
		return append(dst, m.re.ReplaceAll(value, m.replace)...), nil
	}
	mask := ws.buf()
	defer ws.release()
	written := 0
	var err error
	out := m.re.ReplaceAllFunc(value, func(match []byte) []byte {
		if err == nil {
			*mask, err = m.with.mask(ws, (*mask)[:0], match)
			written += len(*mask)
		}
		if err == nil {
			err = ws.within(written, 1, 1)
		}
		if err != nil {
			return nil
		}
		return *mask
	})
	if err != nil {
		return dst, err
	}
	return append(dst, out...), nil
}

// pattern compiles the rule's pattern. It must be a pattern by itself before it is
// made to match the whole value.
func (r *rule) pattern() (*regexp.Regexp, error) {
	pattern := r.text("pattern")
	re, err := regexp.Compile(pattern)
	if err != nil || !r.flag("anchored") {
		return re, err
	}
	return regexp.Compile(`\A(?:` + pattern + `)\z`)
}

var groupName = regexp.MustCompile(`\$(?:\$|([A-Za-z0-9_]+)|\{([A-Za-z0-9_]+)\})`)

// missingGroup returns a group that a replacement names and the pattern does not
// have, or "". Expand would write nothing for it.
func missingGroup(re *regexp.Regexp, replace string) string {
	for _, m := range groupName.FindAllStringSubmatch(replace, -1) {
		name := m[1] + m[2]
		if name == "" || re.SubexpIndex(name) >= 0 {
			continue
		}
		if n, err := strconv.Atoi(name); err != nil || n > re.NumSubexp() {
			return name
		}
	}
	return ""
}

func buildRegex(t *target, r *rule) (transform, traits, error) {
	m := &regex{anchored: r.flag("anchored"), replace: []byte(r.text("replace")), padding: t.padding()}
	var err error
	if m.re, err = r.pattern(); err != nil {
		return nil, traits{}, err
	}
	tr := traits{depth: 1, remedy: "use hash"}
	if !m.anchored || strings.Contains(string(m.replace), "$") {
		tr.kept = []string{"what regex leaves"}
	}
	if with := r.rule("with"); with != nil {
		sub := t.at("regex", kindText)
		sub.length = 0
		tf, sr, err := sub.buildRule(with)
		if err != nil {
			return nil, tr, err
		}
		if sr.keep {
			tr.kept = append(tr.kept, "what regex matches")
		}
		for _, k := range sr.kept {
			tr.kept = append(tr.kept, "each match's "+k)
		}
		if sr.null {
			return nil, tr, errors.New("with: null is not possible inside a text, use replace")
		}
		m.with, tr.entity, tr.depth = tf, sr.entity, sr.depth+1
	}
	tf, err := t.lenient(m, r)
	if err == nil && t.length > 0 {
		tf = &bounded{tf, t.length, r}
	}
	return tf, tr, err
}
