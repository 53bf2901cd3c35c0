package mask

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
)

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
		if !ok || o.remark || o.fallback != nil && v == o.fallback {
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

// digestTable is a table's entry as the digest sees it, digestCondition a condition
// of its row filter.
type digestTable struct {
	Rows    any                       `json:"rows,omitempty"`
	Columns map[string]map[string]any `json:"columns,omitempty"`
	Indexes map[string]string         `json:"indexes,omitempty"`
}

type digestCondition struct {
	Column    string   `json:"column"`
	Null      *bool    `json:"null,omitempty"`
	In, NotIn []string `json:",omitempty"`
	From      *string  `json:"from,omitempty"`
	Below     *string  `json:"below,omitempty"`
	Newest    int      `json:"newest_hours,omitempty"`
	Share     float64  `json:"share_percent,omitempty"`
}

func (t tableRule) digest() digestTable {
	out := digestTable{Columns: map[string]map[string]any{}, Rows: t.rows.digest()}
	for _, c := range t.columns {
		out.Columns[c.column.String()] = c.rule.canonical()
	}
	for _, i := range t.indexes {
		if out.Indexes == nil {
			out.Indexes = map[string]string{}
		}
		out.Indexes[i.name] = i.choice
	}
	return out
}

func (r *rowsRule) digest() any {
	switch {
	case r == nil:
		return nil
	case r.none:
		return "none"
	case len(r.where) == 0:
		return "all"
	}
	var where []string
	for _, c := range r.where {
		b, err := json.Marshal(digestCondition{c.column, c.null, c.in, c.notIn, c.from, c.below, c.newest, c.share})
		if err != nil {
			panic("mask: " + err.Error()) // strings and booleans only
		}
		where = append(where, string(b))
	}
	slices.Sort(where)
	if r.missing() != orphansStop {
		return map[string]any{"where": where, "on_missing_parent": r.missing()}
	}
	return where
}

// Digest is the hex SHA-256 of the policy's meaning: layout, order, comments
// and short forms do not change it.
func (p *Policy) Digest() string {
	doc := struct {
		Version      int                       `json:"version"`
		Roles        map[string]string         `json:"roles"`
		MadeRoles    map[string]MadeRole       `json:"made_roles,omitempty"`
		Extensions   []string                  `json:"extensions,omitempty"` // dropped
		Links        map[string][]string       `json:"links"`
		Tables       map[string]digestTable    `json:"tables"`
		Types        map[string]map[string]any `json:"types"`
		LargeObjects string                    `json:"large_objects"`
		Comments     bool                      `json:"comments"`
		Accept       []Accept                  `json:"accept"`
		Logins       map[string]digestLogin    `json:"logins,omitempty"`
	}{
		Version: 1, Roles: p.Roles, MadeRoles: p.MadeRoles, Links: map[string][]string{}, Tables: map[string]digestTable{},
		Types: map[string]map[string]any{}, LargeObjects: p.largeObjects, Comments: p.Comments,
		Accept: slices.Clone(p.Accept), Logins: p.digestLogins(),
	}
	if len(p.Extensions) > 0 {
		doc.Extensions = sortedKeys(p.Extensions)
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
		doc.Tables[t.String()] = t.digest()
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
