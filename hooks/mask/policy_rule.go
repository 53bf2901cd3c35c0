package mask

import "encoding/json"

// rule is a masker with its options.
type rule struct {
	*masker
	values map[string]any
	// link names the link group whose sub-key a rule inside a value (a JSON
	// path, an array element) uses; columns are linked in links.
	link string
	line int
}

// Typed access to options; the parser has checked kinds and filled defaults.

func (r *rule) text(name string) string { s, _ := r.values[name].(string); return s }

func (r *rule) has(name string) bool { _, ok := r.values[name]; return ok }

func (r *rule) flag(name string) bool { b, _ := r.values[name].(bool); return b }

func (r *rule) int(name string) int { n, _ := r.values[name].(int); return n }

func (r *rule) scalar() scalar { s, _ := r.values["value"].(scalar); return s }

func (r *rule) list(name string) []scalar { l, _ := r.values[name].([]scalar); return l }

func (r *rule) rule(name string) *rule { s, _ := r.values[name].(*rule); return s }

func (r *rule) rules(name string) map[string]*rule {
	m, _ := r.values[name].(map[string]*rule)
	return m
}

// scalar is a YAML scalar: its text, and whether it was written as a string.
type scalar struct {
	text   string
	string bool
}

// String is the rule as one line of JSON, which is YAML too.
func (r *rule) String() string {
	if r == nil {
		return ""
	}
	c := r.canonical()
	if len(c) == 1 {
		return r.name
	}
	b, err := json.Marshal(c)
	if err != nil {
		panic("mask: " + err.Error()) // strings, numbers and maps of them
	}
	return string(b)
}

func (r *rule) equal(o *rule) bool { return r.String() == o.String() }
