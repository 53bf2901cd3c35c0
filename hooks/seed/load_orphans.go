package seed

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/postgres"
	"github.com/seedling-dev/seedling/hooks/sqltext"
)

// waits reports whether a step makes a foreign key that must wait until
// orphans are gone.
func (r *planned) waits(s step) bool {
	// The entry's tag is "table constraint".
	return s.entry.Kind == "FK CONSTRAINT" && slices.ContainsFunc(r.plan.LateKeys(), func(k mask.LateKey) bool {
		return s.entry.Schema == k.Table.Schema && s.entry.Tag == k.Table.Name+" "+k.Name
	})
}

// removeOrphans drops rows whose foreign key references a row that the load
// left out, or sets their reference to NULL, as the policy says. All rows are
// masked by now, and so is what stays behind in the tables' files.
//
// Each foreign key is held against all rows once. What goes is noted, and from then on
// only rows that reference what was noted since are looked for: a chain of rows, each
// of which references the one before, is not one reading of the table per row.
func (r *loaded) removeOrphans(ctx context.Context, conn *pgx.Conn) error {
	if len(r.plan.Orphans()) == 0 {
		return nil
	}
	w := &orphanWork{loaded: r, conn: conn, keys: r.plan.Orphans(), notes: map[mask.Name]*goneNote{}, gone: map[mask.Name]int64{}, touched: map[mask.Name]int64{}}
	err := w.run(ctx)
	if err == nil {
		err = w.end(ctx)
	}
	if err != nil {
		return err
	}
	r.thin(w.touched)
	r.countGone(w.gone)
	return nil
}

// orphanWork is the removal of orphans over one session.
type orphanWork struct {
	*loaded
	conn    *pgx.Conn
	keys    []mask.Orphans
	notes   map[mask.Name]*goneNote // by the table that rows go from
	gone    map[mask.Name]int64     // rows, by the table or partition that held them
	touched map[mask.Name]int64     // rows that went or changed, by the foreign key's table
	step    int                     // counts statements
	indexes []string                // that were made to find rows by their foreign key
	forced  bool                    // the session uses those, and reads no table
}

// goneNote is a temporary table of the keys of rows that went.
type goneNote struct {
	name    string
	columns []string
	last    int // step that noted something last
}

// deepChain is how many times a foreign key is held against what was noted before it
// gets an index.
const deepChain = 4

func (w *orphanWork) run(ctx context.Context) error {
	seen := make([]int, len(w.keys)) // the step up to which a foreign key knows what went
	for i, o := range w.keys {
		if err := w.note(ctx, o); err != nil {
			return err
		}
		w.step++
		seen[i] = w.step - 1 // it may reference its own table
		if err := w.remove(ctx, o, nil, 0); err != nil {
			return err
		}
	}
	runs := make([]int, len(w.keys))
	for again := true; again; {
		again = false
		for i, o := range w.keys {
			since := seen[i]
			var news []*goneNote
			for table, n := range w.notes {
				if n.last > since && w.holds(table, o) {
					news = append(news, n)
				}
			}
			if len(news) == 0 {
				continue
			}
			again = true
			if runs[i]++; runs[i] == deepChain {
				if err := w.index(ctx, o); err != nil {
					return err
				}
			}
			if err := w.useIndexes(ctx, runs[i] >= deepChain); err != nil {
				return err
			}
			w.step++
			seen[i] = w.step - 1
			for _, n := range news {
				if err := w.remove(ctx, o, n, since); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// holds reports whether rows of a table may be those that a foreign key references.
func (w *orphanWork) holds(table mask.Name, o mask.Orphans) bool {
	ref := o.ForeignKey.References
	return table == ref || w.top(table) == w.top(ref) && (o.ReferencesPartitioned || !w.holdsRows[table])
}

// note makes the temporary table for what a foreign key removes, if another one, or
// itself, references that.
func (w *orphanWork) note(ctx context.Context, o mask.Orphans) error {
	if len(o.SetNull) > 0 || w.notes[o.Table] != nil {
		return nil
	}
	n := &goneNote{name: fmt.Sprintf("pg_temp.seedling_gone_%d", len(w.notes))}
	for _, other := range w.keys {
		if !w.holds(o.Table, other) {
			continue
		}
		for _, c := range other.ForeignKey.ReferencedColumns {
			if !slices.Contains(n.columns, c) {
				n.columns = append(n.columns, c)
			}
		}
	}
	if len(n.columns) == 0 {
		return nil
	}
	sql := "CREATE TEMPORARY TABLE " + strings.TrimPrefix(n.name, "pg_temp.") + " AS SELECT " + identifiers(n.columns) + `, 0 AS "seedling step" FROM ` + sqltext.Identifier(o.Table.Schema, o.Table.Name) + " WHERE false"
	if err := execAll(ctx, w.conn, []string{sql, "CREATE INDEX ON " + n.name + ` ("seedling step")`}); err != nil {
		return fmt.Errorf("note what goes from %s: %w", o.Table, interrupted(ctx, err))
	}
	w.notes[o.Table] = n
	return nil
}

// remove applies what the policy says to one foreign key: for all rows, or for those
// that reference what was noted after a step.
func (w *orphanWork) remove(ctx context.Context, o mask.Orphans, news *goneNote, since int) error {
	sql := orphansSQL(o, news, since)
	note := w.notes[o.Table]
	if len(o.SetNull) > 0 || note == nil {
		note = nil
		sql = `WITH gone AS (` + sql + ` RETURNING c.tableoid AS "seedling table")`
	} else {
		sql = `WITH gone AS (` + sql + ` RETURNING c.tableoid AS "seedling table", ` + prefixed("c.", note.columns) + `), noted AS (INSERT INTO ` + note.name +
			" SELECT " + identifiers(note.columns) + fmt.Sprintf(", %d FROM gone)", w.step)
	}
	sql += ` SELECT n.nspname::text, t.relname::text, g.rows FROM (SELECT "seedling table" AS of, pg_catalog.count(*) AS rows FROM gone GROUP BY 1) g
		JOIN pg_catalog.pg_class t ON t.oid = g.of JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace`
	rows, err := w.conn.Query(ctx, sql)
	if err == nil {
		var table mask.Name
		var n int64
		_, err = pgx.ForEachRow(rows, []any{&table.Schema, &table.Name, &n}, func() error {
			w.touched[o.Table] += n
			if len(o.SetNull) == 0 {
				w.gone[table] += n
			}
			if note != nil {
				note.last = w.step
			}
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("apply on_missing_parent to foreign key %s of %s: %w", o.ForeignKey.Name, o.Table, interrupted(ctx, postgres.Redact(err)))
	}
	return nil
}

// index makes an index by which rows are found by their foreign key, until the end.
func (w *orphanWork) index(ctx context.Context, o mask.Orphans) error {
	name := fmt.Sprintf("seedling_orphans_%d", len(w.indexes))
	err := execSQL(ctx, w.conn, "CREATE INDEX "+name+" ON "+sqltext.Identifier(o.Table.Schema, o.Table.Name)+" ("+identifiers(o.ForeignKey.Columns)+")")
	if err != nil {
		return fmt.Errorf("make an index for foreign key %s of %s: %w", o.ForeignKey.Name, o.Table, interrupted(ctx, err))
	}
	w.indexes = append(w.indexes, sqltext.Identifier(o.Table.Schema, name))
	return nil
}

// useIndexes has the session find rows by an index, as few of them are looked for at a
// time, or leaves it to Postgres: without an index, many of them would be held against
// the whole table one by one.
func (w *orphanWork) useIndexes(ctx context.Context, on bool) error {
	if on == w.forced {
		return nil
	}
	statements := []string{"RESET enable_seqscan", "RESET enable_hashjoin", "RESET enable_mergejoin"}
	if on {
		statements = []string{"SET enable_seqscan = off", "SET enable_hashjoin = off", "SET enable_mergejoin = off"}
	}
	if err := execAll(ctx, w.conn, statements); err != nil {
		return fmt.Errorf("look for rows by foreign keys' indexes: %w", interrupted(ctx, err))
	}
	w.forced = on
	return nil
}

// end drops what was made for the work.
func (w *orphanWork) end(ctx context.Context) error {
	if err := w.useIndexes(ctx, false); err != nil {
		return err
	}
	var statements []string
	for _, n := range w.notes {
		statements = append(statements, "DROP TABLE "+n.name)
	}
	for _, name := range w.indexes {
		statements = append(statements, "DROP INDEX "+name)
	}
	if err := execAll(ctx, w.conn, statements); err != nil {
		return fmt.Errorf("drop what on_missing_parent needed: %w", interrupted(ctx, err))
	}
	return nil
}

// countGone takes rows that went after the load out of the report: of the table or
// partition that they were loaded into, and of what was loaded through its root.
func (r *loaded) countGone(gone map[mask.Name]int64) {
	for table, n := range gone {
		r.report.Rows -= n
		for _, at := range r.withParents(table) {
			for i := range r.report.Tables {
				if t := &r.report.Tables[i]; t.into == at && n > 0 {
					took := min(n, t.Rows-t.Dropped)
					t.Dropped += took
					n -= took
				}
			}
		}
	}
}

// withParents is a table and what it is a part of.
func (r *planned) withParents(n mask.Name) []mask.Name {
	out := []mask.Name{n}
	for at := n; len(r.parents[at]) > 0 && len(out) < 64; {
		at = r.parents[at][0]
		out = append(out, at)
	}
	return out
}

// thin notes the tables of whose rows over a fifth were dropped or changed after they
// were loaded: they are written again, so that snapshots and previews do not carry
// the room that those took.
func (r *loaded) thin(touched map[mask.Name]int64) {
	rows := map[mask.Name]int64{}
	for _, t := range r.report.Tables {
		if n, ok := tableOf(t.Table); ok {
			rows[r.top(n)] += t.Rows - t.Dropped
		}
	}
	r.thinned = map[mask.Name]bool{}
	for n, lost := range touched {
		if top := r.top(n); lost*5 > rows[top] {
			r.thinned[top] = true
		}
	}
}

// wasThinned reports whether a table, or what it is a part of, was.
func (r *loaded) wasThinned(n mask.Name) bool { return r.thinned[r.top(n)] }

// top is what a partition or an inheritance child is a part of, at last.
func (r *planned) top(n mask.Name) mask.Name {
	all := r.withParents(n)
	return all[len(all)-1]
}

// only keeps a statement from inheritance children, and not from partitions.
func only(partitioned bool) string {
	if partitioned {
		return ""
	}
	return "ONLY "
}

// orphansSQL is the statement for one foreign key: for all rows, or for those that
// reference what was noted after a step.
func orphansSQL(o mask.Orphans, news *goneNote, since int) string {
	match := func(alias string) string {
		var out []string
		for i, c := range o.ForeignKey.Columns {
			out = append(out, alias+"."+sqltext.Identifier(o.ForeignKey.ReferencedColumns[i])+" "+o.ForeignKey.Equals[i]+" c."+sqltext.Identifier(c))
		}
		return strings.Join(out, " AND ")
	}
	var where []string
	for _, c := range o.ForeignKey.Columns {
		where = append(where, "c."+sqltext.Identifier(c)+" IS NOT NULL")
	}
	table := only(o.Partitioned) + sqltext.Identifier(o.Table.Schema, o.Table.Name)
	ref := only(o.ReferencesPartitioned) + sqltext.Identifier(o.ForeignKey.References.Schema, o.ForeignKey.References.Name)
	sql, also := "DELETE FROM "+table+" c", " USING "
	if len(o.SetNull) > 0 {
		set := make([]string, len(o.SetNull))
		for i, c := range o.SetNull {
			set[i] = sqltext.Identifier(c) + " = NULL"
		}
		sql, also = "UPDATE "+table+" c SET "+strings.Join(set, ", "), " FROM "
	}
	if news != nil {
		sql += also + news.name + " g"
		where = append(where, fmt.Sprintf(`g."seedling step" > %d`, since), match("g"))
	}
	return sql + " WHERE " + strings.Join(where, " AND ") + " AND NOT EXISTS (SELECT FROM " + ref + " p WHERE " + match("p") + ")"
}

func identifiers(names []string) string { return prefixed("", names) }

// prefixed lists names as identifiers, each behind a prefix.
func prefixed(prefix string, names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = prefix + sqltext.Identifier(n)
	}
	return strings.Join(out, ", ")
}
