package mask

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
)

// Policy is a parsed policy file: what happens to every column of a dump.
type Policy struct {
	// Roles maps roles of the dump to roles of the seed.
	Roles map[string]string
	// Accept lists schema literals that a person has looked at.
	Accept []Accept
	// Comments says that comments of the dump are restored.
	Comments bool
	// MinDistinct is how many distinct originals a masked column must have in
	// the sample not to be warned about; 0 never warns. It changes no row, and
	// so is not in the digest.
	MinDistinct int

	largeObjects string            // "", "keep" or "none"
	links        map[string][]link // by name
	tables       []tableRule
	types        map[string]*rule // by type name
}

// Accept is one schema literal that a person has accepted.
type Accept struct {
	Object string `json:"object"`
	SHA256 string `json:"sha256"`
}

type link struct {
	column ColumnName
	line   int
}

type tableRule struct {
	schema, table pattern
	rows          *rowsRule // nil: not said
	columns       []columnRule
	indexes       []indexRule
	line          int
}

func (t tableRule) String() string { return t.schema.String() + "." + t.table.String() }

func (t tableRule) exact() bool { return !t.schema.wild && !t.table.wild }

type columnRule struct {
	column pattern
	rule   *rule
}

// rowsRule says which rows of a table are loaded.
type rowsRule struct {
	none  bool
	where []condition
	// onMissing is what happens to rows that reference a dropped one, "" when
	// not said.
	onMissing string
	line      int
}

// condition is one test of a row filter: all of its parts must hold.
type condition struct {
	column string
	// null, when set, asks for NULL (true) or NOT NULL (false).
	null *bool
	// in holds the accepted, notIn the refused values.
	in, notIn []string
	// from is the least accepted value, below the first refused one.
	from, below *string
	line        int
}

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

// MarshalJSON keeps strings and literals apart in the digest.
func (s scalar) MarshalJSON() ([]byte, error) {
	if s.string {
		return json.Marshal(s.text)
	}
	return json.Marshal(map[string]string{"literal": s.text})
}

// canonical is the rule as the digest sees it: options that have their
// default value are left out.
func (r *rule) canonical() map[string]any {
	out := map[string]any{"mask": r.name}
	if r.link != "" {
		out["link"] = r.link
	}
	for _, o := range r.options {
		v, ok := r.values[o.name]
		if !ok || o.fallback != nil && v == o.fallback {
			continue
		}
		switch v := v.(type) {
		case *rule:
			out[o.name] = v.canonical()
		case map[string]*rule:
			m := map[string]any{}
			for k, sub := range v {
				m[k] = sub.canonical()
			}
			if len(m) == 0 {
				continue
			}
			out[o.name] = m
		default:
			out[o.name] = v
		}
	}
	return out
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

// Digest is the hex SHA-256 of the policy's meaning: layout, order, comments
// and short forms do not change it.
func (p *Policy) Digest() string {
	type jsonCondition struct {
		Column    string   `json:"column"`
		Null      *bool    `json:"null,omitempty"`
		In, NotIn []string `json:",omitempty"`
		From      *string  `json:"from,omitempty"`
		Below     *string  `json:"below,omitempty"`
	}
	type jsonTable struct {
		Rows    any                       `json:"rows,omitempty"`
		Columns map[string]map[string]any `json:"columns,omitempty"`
		Indexes map[string]string         `json:"indexes,omitempty"`
	}
	doc := struct {
		Version      int                       `json:"version"`
		Roles        map[string]string         `json:"roles"`
		Links        map[string][]string       `json:"links"`
		Tables       map[string]jsonTable      `json:"tables"`
		Types        map[string]map[string]any `json:"types"`
		LargeObjects string                    `json:"large_objects"`
		Comments     bool                      `json:"comments"`
		Accept       []Accept                  `json:"accept"`
	}{
		Version: 1, Roles: p.Roles, Links: map[string][]string{}, Tables: map[string]jsonTable{},
		Types: map[string]map[string]any{}, LargeObjects: p.largeObjects, Comments: p.Comments,
		Accept: slices.Clone(p.Accept),
	}
	if doc.Roles == nil {
		doc.Roles = map[string]string{}
	}
	for name, members := range p.links {
		for _, m := range members {
			doc.Links[name] = append(doc.Links[name], m.column.String())
		}
		slices.Sort(doc.Links[name])
	}
	for _, t := range p.tables {
		jt := jsonTable{Columns: map[string]map[string]any{}}
		for _, c := range t.columns {
			jt.Columns[c.column.String()] = c.rule.canonical()
		}
		if r := t.rows; r != nil {
			switch {
			case r.none:
				jt.Rows = "none"
			case len(r.where) == 0:
				jt.Rows = "all"
			default:
				var where []string
				for _, c := range r.where {
					b, err := json.Marshal(jsonCondition{c.column, c.null, c.in, c.notIn, c.from, c.below})
					if err != nil {
						panic("mask: " + err.Error()) // strings and booleans only
					}
					where = append(where, string(b))
				}
				slices.Sort(where)
				jt.Rows = where
				if r.missing() != orphansStop {
					jt.Rows = map[string]any{"where": where, "on_missing_parent": r.missing()}
				}
			}
		}
		for _, i := range t.indexes {
			if jt.Indexes == nil {
				jt.Indexes = map[string]string{}
			}
			jt.Indexes[i.name] = i.says
		}
		doc.Tables[t.String()] = jt
	}
	for name, r := range p.types {
		doc.Types[name] = r.canonical()
	}
	slices.SortFunc(doc.Accept, func(a, b Accept) int {
		return strings.Compare(a.Object+"\x00"+a.SHA256, b.Object+"\x00"+b.SHA256)
	})
	b, err := json.Marshal(doc)
	if err != nil {
		panic("mask: " + err.Error()) // strings, numbers and maps of them
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
