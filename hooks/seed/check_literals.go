package seed

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/dump"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/recognize"
	"github.com/seedling-dev/seedling/hooks/sqltext"
)

// Finding is a part of the schema whose text looks personal or secret. The
// text itself is not in it.
type Finding struct {
	Object string `json:"object"`
	Reason string `json:"reason"`
	// SHA256 is of the object's definition, under the masking key, so that nobody can
	// test guesses of the text with it; "" where there is no key.
	SHA256 string `json:"sha256,omitempty"`
}

// LiteralsError lists the findings that the policy does not accept.
type LiteralsError struct{ Findings []Finding }

func (e *LiteralsError) Error() string {
	var parts []string
	for _, f := range e.Findings {
		parts = append(parts, f.Object+" ("+f.Reason+")")
	}
	return "the schema itself holds what looks personal or secret, and the policy does not accept it: " + strings.Join(parts, "; ") +
		". Change it in production, or look at each and accept it by its digest"
}

// Fragment returns YAML to paste into the policy, or, without the key, a comment that
// says where to get it.
func (e *LiteralsError) Fragment() string {
	var b strings.Builder
	for i, f := range e.Findings {
		switch {
		case i > 0:
		case f.SHA256 == "":
			b.WriteString("# accept: `seed-import plan` prints the lines for these, with digests under the masking key\n")
		default:
			b.WriteString("accept:\n")
		}
		if f.SHA256 == "" {
			fmt.Fprintf(&b, "#   %s   # %s\n", yamlText(f.Object), f.Reason)
			continue
		}
		fmt.Fprintf(&b, "  - {object: %s, sha256: %s}   # %s\n", yamlText(f.Object), f.SHA256, f.Reason)
	}
	return b.String()
}

// checkLiterals looks at every literal of the schema before any of it reaches
// the server. It returns warnings on acceptances that are not needed. Without a key,
// what the policy accepts of an object is taken for what is there.
func checkLiterals(d *dump.Dump, p *mask.Policy, key *mask.Key) ([]string, error) {
	accepted := map[string]map[string]bool{}
	for _, a := range p.Accept {
		if accepted[a.Object] == nil {
			accepted[a.Object] = map[string]bool{}
		}
		accepted[a.Object][strings.ToLower(a.SHA256)] = true
	}
	used := map[string]bool{}
	var bad []Finding
	for _, e := range d.Entries {
		if k := kinds[e.Kind]; k.pass == passSession || k.pass == passRows || k.pass == passNever && (e.Kind != "COMMENT" || !p.Comments) {
			continue
		}
		found, err := findings(e, key)
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			if accepted[f.Object][f.SHA256] || key == nil && accepted[f.Object] != nil {
				used[f.Object] = true
				continue
			}
			bad = append(bad, f)
		}
	}
	if len(bad) > 0 {
		return nil, command.Misconfigured(&LiteralsError{bad})
	}
	var warnings []string
	for _, a := range p.Accept {
		if !used[a.Object] && !strings.HasPrefix(a.Object, leakPrefix) {
			warnings = append(warnings, fmt.Sprintf("the policy accepts %q, which the dump does not need: remove it", a.Object))
		}
	}
	return warnings, nil
}

// findings lists what looks personal or secret in one entry.
func findings(e *dump.Entry, key *mask.Key) ([]Finding, error) {
	var out []Finding
	add := func(object, text string, tokens []sqltext.Token) {
		seen := map[string]bool{}
		for _, t := range tokens {
			v, ok := t.Value()
			if !ok || t.Kind == sqltext.Number || e.Kind == "TYPE" && scopeLike.MatchString(v) {
				continue
			}
			if reason := recognize.Suspicious(v); reason != "" && !seen[reason] {
				seen[reason] = true
				f := Finding{Object: object, Reason: reason}
				if key != nil {
					f.SHA256 = key.Fingerprint("literal "+object, strings.TrimSpace(text))
				}
				out = append(out, f)
			}
		}
	}
	list, err := sqltext.Split(e.Create)
	if err != nil {
		return nil, command.Misconfiguredf("%s %s: its definition cannot be read: %w", e.Kind, e.Name(), err)
	}
	if e.Kind == "TABLE" || e.Kind == "FOREIGN TABLE" {
		for _, st := range list {
			for _, el := range elements(st) {
				add(el.object(e), el.text, el.tokens)
			}
		}
		return out, nil
	}
	// The digest is the same whatever the dump's format: plain dumps have the
	// owner's statement among the others.
	var all []sqltext.Token
	var text strings.Builder
	for _, st := range list {
		all = append(all, st.Tokens...)
		if ownerOf(st) == 0 {
			text.WriteString(st.Text + ";\n")
		}
	}
	name := e.Name()
	kind := strings.ToLower(e.Kind)
	switch e.Kind {
	case "DEFAULT", "RULE", "TRIGGER", "POLICY", "CONSTRAINT", "FK CONSTRAINT", "CHECK CONSTRAINT":
		// The tag is "table name".
		name = strings.Replace(name, " ", ".", 1)
		kind = strings.TrimSuffix(kind, " constraint")
	case "TABLE ATTACH":
		kind = "partition"
	case "COMMENT":
		name = e.Tag
	}
	add(kind+" "+name, text.String(), all)
	return out, nil
}

// element is a column, a constraint or another part of CREATE TABLE.
type element struct {
	text   string
	tokens []sqltext.Token
	body   bool // inside the parentheses
}

// object names an element as policies do.
func (el element) object(e *dump.Entry) string {
	t := el.tokens
	if !el.body || len(t) == 0 {
		return "table " + e.Name()
	}
	name, _ := t[0].Name()
	switch {
	case t[0].Is("CONSTRAINT") && len(t) > 1:
		name, _ = t[1].Name()
		return "check " + e.Name() + "." + name
	case t[0].Is("CHECK"), t[0].Is("EXCLUDE"), t[0].Is("LIKE"):
		return "check " + e.Name()
	}
	for _, x := range t[1:] {
		switch {
		case x.Is("DEFAULT"):
			return "default " + e.Name() + "." + name
		case x.Is("GENERATED"):
			return "generated " + e.Name() + "." + name
		case x.Is("CHECK"):
			return "check " + e.Name() + "." + name
		}
	}
	return "column " + e.Name() + "." + name
}

// elements cuts CREATE TABLE at the commas of its column list; any other
// statement is one element.
func elements(st sqltext.Statement) []element {
	t := st.Tokens
	open := -1
	if len(t) > 1 && t[0].Is("CREATE") {
		for i := range t {
			if t[i].IsSymbol('(') {
				open = i
				break
			}
		}
	}
	if open < 0 {
		return []element{{text: st.Text, tokens: t}}
	}
	var out []element
	depth, from := 0, open+1
	flush := func(to int) {
		if to > from {
			out = append(out, element{st.Text[t[from].Start:t[to-1].End], t[from:to], true})
		}
		from = to + 1
	}
	for i := open; i < len(t); i++ {
		switch {
		case t[i].IsSymbol('('), t[i].IsSymbol('['):
			depth++
		case t[i].IsSymbol(')'), t[i].IsSymbol(']'):
			if depth--; depth == 0 {
				flush(i)
				if i+1 < len(t) {
					out = append(out, element{st.Text[t[i+1].Start:], t[i+1:], false})
				}
				return out
			}
		case t[i].IsSymbol(',') && depth == 1:
			flush(i)
		}
	}
	return out
}

// scopeLike is how labels of an enum name permissions: api_key:create.
var scopeLike = regexp.MustCompile(`^[a-z_.]+(?::(?:[a-z_.]+|\*))+$`)
