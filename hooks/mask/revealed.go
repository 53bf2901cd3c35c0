package mask

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Revealed is what an import lets through of its originals: the columns that stay
// as they are, or in part, and which rows there are. Its snapshots carry it, so
// that it can be told later, without the dump, whether another policy permits all
// of it (Policy.Permits).
type Revealed struct {
	Version      int             `json:"v"`
	Tables       []RevealedTable `json:"tables"`
	LargeObjects bool            `json:"largeObjects,omitempty"`
	Comments     bool            `json:"comments,omitempty"`
	Accept       []Accept        `json:"accept,omitempty"`
	// Logins is the digest of testers' accounts, whose addresses pass, "" for none.
	Logins string `json:"logins,omitempty"`
	// Links are the columns whose masks can be joined, because the policy says so.
	Links []RevealedLink `json:"links,omitempty"`
}

// RevealedTable is a table that has rows, with the columns that are not masked
// through and through. What its partitions have follows it.
type RevealedTable struct {
	Schema string `json:"s"`
	Table  string `json:"t"`
	// Rows is the digest of its row filter, "" where there is none.
	Rows       string           `json:"r,omitempty"`
	Columns    []RevealedColumn `json:"c,omitempty"`
	Partitions []Name           `json:"p,omitempty"`
}

// RevealedColumn is one that is kept, or that lets a part of its values through.
type RevealedColumn struct {
	Column string `json:"c"`
	// Rule is the digest of its rule, "" for one that is kept.
	Rule string `json:"r,omitempty"`
	// Type and Base are its type, where its rule is that of all columns of it.
	Type string `json:"t,omitempty"`
	Base string `json:"b,omitempty"`
	// Follows says that its rule is that of the column it references.
	Follows bool `json:"f,omitempty"`
}

const (
	// RevealedVersion is the version of what is written; of another nothing is read. The first did not say what is linked.
	RevealedVersion = 2
	// mostRevealed bounds what is unpacked.
	mostRevealed = 64 << 20
)

// Revealed is what the plan lets through.
func (p *Plan) Revealed() Revealed { return p.revealed }

// reveal collects it, once every rule is found and built.
func (x *compiler) reveal() Revealed {
	out := Revealed{Version: RevealedVersion, LargeObjects: x.plan.withLargeObjects, Accept: slices.Clone(x.policy.Accept), Logins: x.policy.shortLogins(), Links: x.revealLinks()}
	at := map[Name]int{}
	for _, t := range x.order {
		if !t.plan.Rows || len(t.parentStates) > 0 {
			continue
		}
		table := RevealedTable{Schema: t.Schema, Table: t.Name, Rows: t.rowsRule.short()}
		for _, c := range t.columnStates {
			if !c.reveals() {
				continue
			}
			column := RevealedColumn{Column: c.Name, Follows: strings.HasPrefix(c.why, "references ")}
			if !c.traits.keep {
				column.Rule = short(c.rule.String())
			}
			if c.byType && strings.HasPrefix(c.why, "type ") {
				column.Type, column.Base = c.Type, c.BaseType
				if c.Array {
					column.Base += "[]"
				}
			}
			table.Columns = append(table.Columns, column)
		}
		at[t.qualified] = len(out.Tables)
		out.Tables = append(out.Tables, table)
	}
	for _, t := range x.order {
		if !t.plan.Rows || len(t.parentStates) == 0 {
			continue
		}
		root, follows := t.followed()
		if i, ok := at[root.qualified]; ok && follows {
			out.Tables[i].Partitions = append(out.Tables[i].Partitions, t.qualified)
		} else { // it has something of its own: nobody could tell
			out.Tables = append(out.Tables, RevealedTable{Schema: t.Schema, Table: t.Name, Rows: unknownRows})
		}
	}
	return out
}

// reveals says whether a column is kept, or lets a part of its values through.
func (c *columnState) reveals() bool {
	return c.rule != nil && (c.traits.keep || len(c.traits.kept) > 0)
}

// followed is the table at the end of a child's or partition's parents, and whether
// what it and those between let through is what that one says: the same rows, and of
// no column more.
func (t *tableState) followed() (root *tableState, follows bool) {
	chain := []*tableState{t}
	root = t
	for len(root.parentStates) > 0 && len(chain) <= 64 {
		root = root.parentStates[0]
		chain = append(chain, root)
	}
	rows := root.rowsRule.short()
	for _, s := range chain {
		if !s.plan.Rows || s.rowsRule.short() != rows {
			return root, false
		}
	}
	for _, c := range t.columnStates {
		if of := root.byName[c.Name]; c.reveals() && (of == nil || !of.reveals() || !of.rule.equal(c.rule)) {
			return root, false
		}
	}
	return root, true
}

// unknownRows is the digest of no row filter.
const unknownRows = "?"

func short(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// shortLogins is the digest of the testers' accounts, "" for none.
func (p *Policy) shortLogins() string {
	if len(p.logins) == 0 {
		return ""
	}
	b, err := json.Marshal(p.digestLogins())
	if err != nil {
		panic("mask: " + err.Error()) // strings and lists of them
	}
	return short(string(b))
}

// short is the digest of a row filter, "" where all rows are loaded.
func (r *rowsRule) short() string {
	if r == nil || !r.none && len(r.where) == 0 {
		return ""
	}
	b, err := json.Marshal(r.digest())
	if err != nil {
		panic("mask: " + err.Error()) // strings, numbers and booleans
	}
	return short(string(b))
}

// Pack writes it as text without spaces.
func (r Revealed) Pack() (string, error) {
	content, err := json.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("pack what is revealed: %w", err)
	}
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err == nil {
		_, err = w.Write(content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return "", fmt.Errorf("pack what is revealed: %w", err)
	}
	return base64.RawStdEncoding.EncodeToString(b.Bytes()), nil
}

// UnpackRevealed reads what Pack wrote.
func UnpackRevealed(text string) (Revealed, error) {
	content, err := base64.RawStdEncoding.DecodeString(text)
	if err == nil {
		var r *gzip.Reader
		if r, err = gzip.NewReader(bytes.NewReader(content)); err == nil {
			content, err = io.ReadAll(io.LimitReader(r, mostRevealed+1))
		}
	}
	var out Revealed
	switch {
	case err != nil:
	case len(content) > mostRevealed:
		err = errors.New("it is too large")
	default:
		// What a later release wrote and this one does not know may be more that is let
		// through.
		d := json.NewDecoder(bytes.NewReader(content))
		d.DisallowUnknownFields()
		err = d.Decode(&out)
	}
	if err == nil && out.Version != RevealedVersion {
		err = fmt.Errorf("it is of version %d", out.Version)
	}
	if err != nil {
		return Revealed{}, fmt.Errorf("read what is revealed: %w", err)
	}
	return out, nil
}

// Permits says in half sentences what of a former import the policy does not
// permit: nothing where the policy itself would let all of that through. It is
// pure, and every doubt is a sentence. A column that is masked through and through
// in the former import is permitted however the policy masks it, and so is
// everything that the former import lacks.
//
// sameKey says that the former import was masked with the key of today. Digests of
// what is accepted are made with the key: under another one as many have to be
// accepted of an object as before.
func (p *Policy) Permits(r Revealed, sameKey bool) (wrong []string) {
	if r.Version != RevealedVersion {
		return []string{"what it lets through cannot be told"}
	}
	if r.LargeObjects && p.largeObjects != "keep" {
		wrong = append(wrong, "it has large objects")
	}
	if r.Logins != "" && r.Logins != p.shortLogins() {
		wrong = append(wrong, "it has testers' addresses by another rule")
	}
	if r.Comments && !p.Comments {
		wrong = append(wrong, "it has the dump's comments")
	}
	accepted := map[string]int{}
	for _, a := range p.Accept {
		accepted[a.Object]++
	}
	for _, a := range r.Accept {
		accepted[a.Object]--
		if sameKey && !slices.Contains(p.Accept, a) || accepted[a.Object] < 0 {
			wrong = append(wrong, "it has "+a.Object+" with a text that is accepted no more")
		}
	}
	for _, l := range r.Links {
		if !p.permitsLink(l) {
			wrong = append(wrong, "it joins "+l.describe()+", which are not linked now")
		}
	}
	for _, t := range r.Tables {
		name := Name{Schema: t.Schema, Name: t.Table}
		if !p.permitsRows(name, t.Rows, false) {
			wrong = append(wrong, "it has rows of "+name.String()+" that are left out now")
		}
		for _, part := range t.Partitions {
			if !p.permitsRows(part, t.Rows, true) {
				wrong = append(wrong, "it has rows of "+part.String()+" that are left out now")
			}
		}
		for _, c := range t.Columns {
			if !p.permitsColumn(name, c, false) {
				wrong = append(wrong, p.refusal(name, c))
				continue
			}
			for _, part := range t.Partitions {
				if !p.permitsColumn(part, c, true) {
					wrong = append(wrong, p.refusal(part, c))
				}
			}
		}
	}
	return wrong
}

func (p *Policy) refusal(table Name, c RevealedColumn) string {
	column := ColumnName{table.Schema, table.Name, c.Column}.String()
	if c.Rule == "" {
		return "it keeps " + column + ", which is not kept now"
	}
	return "it masks " + column + " in part, and that rule has changed"
}

// permitsRows says whether a table may have the rows that a filter of that digest
// let through. A partition is asked about only where it has an entry of its own.
func (p *Policy) permitsRows(of Name, filter string, partition bool) bool {
	var found []matched
	for i := range p.tables {
		t := &p.tables[i]
		if t.rows != nil && t.schema.match(of.Schema) && t.table.match(of.Name) && (!partition || t.exact()) {
			found = append(found, matched{table: t, weight: [3]int{t.schema.weight(), t.table.weight(), 0}})
		}
	}
	best, rival := mostSpecific(found)
	if best == nil {
		return filter != unknownRows
	}
	now := best.table.rows.short()
	return rival == nil && filter != unknownRows && (now == "" || now == filter)
}

// permitsColumn says whether the policy lets at least as much of a column through.
func (p *Policy) permitsColumn(of Name, c RevealedColumn, partition bool) bool {
	best, rival := p.mostSpecificRule(of, c.Column, partition)
	var now *rule
	switch {
	case rival != nil:
		return false
	case best != nil:
		now = best.column.rule
	case partition || c.Follows:
		return true // the policy says nothing of it, as before: it is as what it follows
	case c.Type != "" || c.Base != "":
		base, array := strings.CutSuffix(c.Base, "[]")
		now = p.typeRule(&Column{Type: c.Type, BaseType: base, Array: array})
	}
	return now != nil && (now.name == "keep" || c.Rule != "" && c.Rule == short(now.String()))
}

// mostSpecificRule is the entry that says what happens to a column, and another one
// that might be meant. A partition is asked about only where it has an entry of its own.
func (p *Policy) mostSpecificRule(of Name, column string, partition bool) (best, rival *matched) {
	var found []matched
	for i := range p.tables {
		t := &p.tables[i]
		if !t.schema.match(of.Schema) || !t.table.match(of.Name) || partition && !t.exact() {
			continue
		}
		for j := range t.columns {
			if cr := &t.columns[j]; cr.column.match(column) {
				found = append(found, matched{t, cr, [3]int{t.schema.weight(), t.table.weight(), cr.column.weight()}})
			}
		}
	}
	return mostSpecific(found)
}
