package seed

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/postgres"
)

const createLedger = `CREATE TABLE IF NOT EXISTS seedling.ledger (
	volume_id uuid NOT NULL, import_id uuid NOT NULL, kept jsonb NOT NULL, at timestamptz NOT NULL DEFAULT now())`

// ledger lists, sorted, what any import has put onto this volume as it was.
func (t *server) ledger(ctx context.Context) ([]keptLine, error) {
	// It may say null where nothing was kept.
	rows, err := t.conn.Query(ctx, `SELECT DISTINCT k FROM seedling.ledger, jsonb_array_elements_text(CASE jsonb_typeof(kept) WHEN 'array' THEN kept ELSE '[]' END) k
		WHERE volume_id = $1::uuid ORDER BY 1`, t.volume)
	var kept []keptLine
	if err == nil {
		kept, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (keptLine, error) {
			var line string
			if err := row.Scan(&line); err != nil {
				return keptLine{}, err
			}
			return parseKept(line)
		})
	}
	if postgres.Is(err, postgres.UndefinedTable) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the volume's ledger: %w", postgres.Redact(err))
	}
	return kept, nil
}

// record adds to the ledger, durably.
func (t *server) record(ctx context.Context, importID string, kept []byte) error {
	_, err := t.conn.PgConn().Exec(ctx, createLedger).ReadAll()
	if err == nil {
		_, err = t.conn.Exec(ctx, "INSERT INTO seedling.ledger (volume_id, import_id, kept) VALUES ($1::uuid, $2::uuid, $3::jsonb)", t.volume, importID, string(kept))
	}
	if err != nil {
		return fmt.Errorf("write the volume's ledger: %w", postgres.Redact(err))
	}
	return nil
}

// What stands in a keep-set beside columns.
const (
	keptObjects  = "large objects"
	keptComments = "comments"
)

// keptLine is a line of the ledger: what a volume was given as it was. Most are
// a place alone, and are stored as such.
type keptLine struct {
	// Place is a column, what passes inside of its values, keptObjects or
	// keptComments; with Of it is a table.
	Place string `json:"place"`
	// But are places inside a kept part of a JSON document that are masked.
	But []string `json:"but,omitempty"`
	// Rule is the digest of the column's rule, where that says what the place is.
	Rule string `json:"rule,omitempty"`
	// Of is the table whose rules hold for the columns of this one.
	Of string `json:"of,omitempty"`
}

func (k keptLine) String() string {
	if len(k.But) == 0 && k.Rule == "" && k.Of == "" {
		return k.Place
	}
	b, err := json.Marshal(k)
	if err != nil {
		panic("seed: " + err.Error()) // strings
	}
	return string(b)
}

// MarshalJSON writes a place alone as text.
func (k keptLine) MarshalJSON() ([]byte, error) {
	if len(k.But) == 0 && k.Rule == "" && k.Of == "" {
		return json.Marshal(k.Place)
	}
	type object keptLine
	return json.Marshal(object(k))
}

// parseKept reads a line as String writes it. No name begins with a brace.
func parseKept(s string) (k keptLine, err error) {
	if !strings.HasPrefix(s, "{") {
		return keptLine{Place: s}, nil
	}
	type object keptLine
	err = json.Unmarshal([]byte(s), (*object)(&k))
	return k, err
}

// keepSet is what the import keeps, as the ledger has it.
func (r *planned) keepSet() []keptLine {
	type column struct{ masker, rule string }
	columns := map[string]column{}
	for _, t := range r.plan.Tables() {
		for _, c := range t.Columns {
			columns[mask.ColumnName{Schema: t.Schema, Table: t.Name, Column: c.Name}.String()] = column{c.Masker, c.Rule}
		}
	}
	var out []keptLine
	roots := map[string]bool{}
	for _, place := range r.report.Kept {
		k := keptLine{Place: place}
		if n, name, ok := placeOf(place); ok {
			roots[n.String()] = true
			c, inside := columns[mask.ColumnName{Schema: n.Schema, Table: n.Name, Column: name.column}.String()], name.inside
			switch {
			case inside == "":
			case c.masker == "json" && !strings.Contains(inside, " what regex "):
				k.But = exceptions(c.rule, inside)
			case strings.Contains(inside, "what regex ") || strings.Contains(inside, "$"):
				sum := sha256.Sum256([]byte(c.rule))
				k.Rule = hex.EncodeToString(sum[:8])
			}
		}
		out = append(out, k)
	}
	for _, t := range slices.SortedFunc(maps.Keys(r.parents), func(a, b mask.Name) int { return strings.Compare(a.String(), b.String()) }) {
		if of := r.root(t, ""); of != t && roots[of.String()] {
			out = append(out, keptLine{Place: t.String(), Of: of.String()})
		}
	}
	return out
}

// root is the table whose rules hold for a column of t; for "", for any of them.
func (r *planned) root(t mask.Name, column string) mask.Name {
	for range 64 {
		i := slices.IndexFunc(r.parents[t], func(p mask.Name) bool {
			plan := r.plan.Table(p.Schema, p.Name)
			return plan != nil && plan.Rows && (column == "" || slices.ContainsFunc(plan.Columns, func(c mask.ColumnPlan) bool { return c.Name == column }))
		})
		if i < 0 {
			break
		}
		t = r.parents[t][i]
	}
	return t
}

// checkLedger refuses a policy that masks what this volume was given as it
// was: it is still in the volume's blocks.
func (r *planned) checkLedger(ctx context.Context) error {
	lines, err := r.server.ledger(ctx)
	if err != nil {
		return err
	}
	set := r.keepSet()
	children := map[string][]string{} // tables that had another's rules
	for _, k := range lines {
		if k.Of != "" {
			children[k.Of] = append(children[k.Of], k.Place)
		}
	}
	var tightened []string
	for _, k := range lines {
		if k.Of != "" {
			continue
		}
		for _, now := range r.now(k, children) {
			if place := uncovered(set, now); place != "" && r.exists(now.Place) && !slices.Contains(tightened, place) {
				tightened = append(tightened, place)
			}
		}
	}
	if len(tightened) == 0 {
		return nil
	}
	slices.Sort(tightened)
	return command.Misconfigured(&TightenedError{Columns: tightened, Volume: r.server.volume, Namespace: r.Namespace})
}

// now writes a line with today's names: partitions come and go, and their rows were
// under the rules of the table that they belonged to.
func (r *planned) now(k keptLine, children map[string][]string) []keptLine {
	table, name, ok := placeOf(k.Place)
	if !ok {
		return []keptLine{k}
	}
	var out []keptLine
	for _, s := range append([]string{table.String()}, children[table.String()]...) {
		t, ok := tableOf(s)
		if !ok {
			continue
		}
		t = r.root(t, name.column)
		line := k
		line.Place = mask.ColumnName{Schema: t.Schema, Table: t.Name, Column: name.column}.String()
		if name.inside != "" {
			line.Place += " " + name.inside
		}
		out = append(out, line)
	}
	return out
}

// exists reports whether the dump still has what a ledger's place is about.
func (r *planned) exists(place string) bool {
	switch place {
	case keptObjects:
		return len(r.schema.largeObjects) > 0
	case keptComments:
		return r.schema.commented
	}
	table, name, ok := placeOf(place)
	if !ok {
		return false
	}
	t := r.plan.Table(table.Schema, table.Name)
	return t != nil && slices.ContainsFunc(t.Columns, func(c mask.ColumnPlan) bool { return c.Name == name.column })
}

// uncovered says which part of what was kept a keep-set does not keep, "" when
// it keeps all of it.
func uncovered(set []keptLine, was keptLine) string {
	missing := was.Place
	for _, k := range set {
		switch {
		case k.Of != "":
			continue
		case k.Rule == "" && len(k.But) == 0 && strings.HasPrefix(was.Place, k.Place+" "):
			// The whole of which it is a part is kept.
		case k.Rule != was.Rule || k.Place != was.Place && !within(k.Place, was.Place):
			continue
		}
		i := slices.IndexFunc(k.But, func(e string) bool { return !excepted(e, was) })
		if i < 0 {
			return ""
		}
		_, name, _ := placeOf(was.Place)
		missing = strings.TrimSuffix(was.Place, name.inside) + k.But[i]
	}
	return missing
}

// within reports whether a path inside of documents is below another of the
// same column.
func within(path, of string) bool {
	t1, n1, ok1 := placeOf(path)
	t2, n2, ok2 := placeOf(of)
	return ok1 && ok2 && t1 == t2 && n1.column == n2.column && above(n1.inside, n2.inside)
}

// excepted reports whether a masked place, inside what is kept now, does not
// concern what was kept, or was masked there already.
func excepted(masked string, was keptLine) bool {
	_, name, _ := placeOf(was.Place)
	return !overlap(masked, name.inside) || slices.ContainsFunc(was.But, func(b string) bool { return b == masked || above(b, masked) })
}

// columnPart is a column and a place inside of its values.
type columnPart struct{ column, inside string }

// placeOf reads schema.table.column and what may follow it.
func placeOf(s string) (t mask.Name, c columnPart, ok bool) {
	var parts [3]string
	for i := range parts {
		if parts[i], s, ok = cutIdent(s); !ok {
			return t, c, false
		}
		if i < 2 {
			if s, ok = strings.CutPrefix(s, "."); !ok {
				return t, c, false
			}
		}
	}
	if s != "" {
		if s, ok = strings.CutPrefix(s, " "); !ok {
			return t, c, false
		}
	}
	return mask.Name{Schema: parts[0], Name: parts[1]}, columnPart{parts[2], s}, true
}

// passesWithin reports whether what is kept is no column but passes inside of masked
// values, or beside all columns: large objects and comments.
func passesWithin(kept string) bool {
	_, c, ok := placeOf(kept)
	return !ok || c.inside != ""
}

// tableOf reads schema.table.
func tableOf(s string) (t mask.Name, ok bool) {
	if t.Schema, s, ok = cutIdent(s); ok {
		if s, ok = strings.CutPrefix(s, "."); ok {
			t.Name, s, ok = cutIdent(s)
		}
	}
	return t, ok && s == ""
}

// cutIdent takes an identifier off, as mask.QuoteIdent writes it.
func cutIdent(s string) (name, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, ". ")
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:], end > 0
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		if s[i] == '"' {
			if i+1 >= len(s) || s[i+1] != '"' {
				return b.String(), s[i+1:], true
			}
			i++
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

// exceptions lists the masked places inside a kept path of masker json's rule.
func exceptions(rule, path string) []string {
	var json struct {
		Paths, Keys map[string]struct{ Mask string }
	}
	if err := decode(rule, &json); err != nil {
		return []string{"$"} // cannot be: this program wrote the rule
	}
	var out []string
	for p, sub := range json.Paths {
		if sub.Mask == "keep" {
			continue
		}
		// A named member's rule wins over that of any member.
		a, b := pathSteps(path), pathSteps(p)
		if strings.HasPrefix(path, "$..") || len(b) > len(a) && overlap(path, p) || len(b) == len(a) && overlap(path, p) && above(path, p) && !above(p, path) {
			out = append(out, joinSteps(b))
		}
	}
	for name, sub := range json.Keys {
		if sub.Mask != "keep" {
			out = append(out, "$.."+joinSteps([]string{name})[2:])
		}
	}
	slices.Sort(out)
	return out
}

func decode(rule string, into any) error { return json.Unmarshal([]byte(rule), into) }

// pathSteps cuts a path of masker json, or what the ledger made of one, into steps.
func pathSteps(path string) []string {
	steps, err := mask.JSONPathSteps(path)
	if err != nil {
		return []string{path} // a place that is like no other
	}
	return steps
}

// joinSteps writes steps so that equal ones are equal texts.
func joinSteps(steps []string) string {
	var b strings.Builder
	b.WriteByte('$')
	for _, s := range steps {
		switch {
		case s == mask.AnyMember, s == mask.AllItems:
			b.WriteString(s[1:])
		case s == "" || strings.ContainsAny(s, ".[*\"\\ "):
			fmt.Fprintf(&b, ".%q", s)
		default:
			b.WriteString("." + s)
		}
	}
	return b.String()
}

// above reports whether all that path q names is at or below path p.
func above(p, q string) bool {
	if !strings.HasPrefix(p, "$") || !strings.HasPrefix(q, "$") || strings.HasPrefix(p, "$..") || strings.HasPrefix(q, "$..") {
		return p == q
	}
	a, b := pathSteps(p), pathSteps(q)
	if len(a) > len(b) {
		return false
	}
	for i, s := range a {
		if s != b[i] && (s != mask.AnyMember || b[i] == mask.AllItems) {
			return false
		}
	}
	return true
}

// overlap reports whether one of two paths may be at or below the other. A
// member by its name alone may be anywhere.
func overlap(p, q string) bool {
	if !strings.HasPrefix(q, "$") || strings.HasPrefix(p, "$..") || strings.HasPrefix(q, "$..") {
		return true
	}
	a, b := pathSteps(p), pathSteps(q)
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] && (a[i] == mask.AllItems || b[i] == mask.AllItems || a[i] != mask.AnyMember && b[i] != mask.AnyMember) {
			return false
		}
	}
	return true
}

// TightenedError says that the policy masks what the volume has held as it was.
type TightenedError struct {
	Columns   []string
	Volume    string
	Namespace string // of the seed, "" where it is not known
}

func (e *TightenedError) Error() string {
	list, more := e.Columns, ""
	if len(list) > 5 {
		list, more = list[:5], fmt.Sprintf(" and %d more", len(e.Columns)-5)
	}
	return fmt.Sprintf("the policy now masks %s%s, which volume %s was given unmasked and still holds in its blocks: give the seed a fresh volume, with %s, sync its Postgres again and repeat the import",
		strings.Join(list, ", "), more, e.Volume, postgres.FreshVolume(e.Namespace))
}

// writeLedger records what is about to be kept, before the first row.
func (r *planned) writeLedger(ctx context.Context) error {
	kept, err := json.Marshal(nonNil(r.keepSet()))
	if err != nil {
		return fmt.Errorf("write the ledger: %w", err)
	}
	return r.server.record(ctx, r.id, kept)
}

func nonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
