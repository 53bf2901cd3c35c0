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
func (r *loaded) removeOrphans(ctx context.Context, conn *pgx.Conn) error {
	gone, touched := map[string]int64{}, map[mask.Name]int64{}
	for changed := true; changed; {
		changed = false
		for _, o := range r.plan.Orphans() {
			tag, err := conn.Exec(ctx, orphansSQL(o))
			if err != nil {
				return fmt.Errorf("apply on_missing_parent to foreign key %s of %s: %w", o.ForeignKey.Name, o.Table, interrupted(ctx, postgres.Redact(err)))
			}
			n := tag.RowsAffected()
			changed = changed || n > 0 // rows that reference these may be next
			touched[o.Table] += n
			if len(o.SetNull) == 0 {
				gone[o.Table.String()] += n
			}
		}
	}
	r.thin(touched)
	for i := range r.report.Tables {
		// Of a partitioned table only the root is known to have lost rows.
		t := &r.report.Tables[i]
		if n := gone[t.Table]; n > 0 {
			t.Dropped += n
		}
	}
	for _, n := range gone {
		r.report.Rows -= n
	}
	return nil
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
	for range 64 {
		if len(r.parents[n]) == 0 {
			break
		}
		n = r.parents[n][0]
	}
	return n
}

// only keeps a statement from inheritance children, and not from partitions.
func only(partitioned bool) string {
	if partitioned {
		return ""
	}
	return "ONLY "
}

// orphansSQL is the statement for one foreign key.
func orphansSQL(o mask.Orphans) string {
	var present, match []string
	for i, c := range o.ForeignKey.Columns {
		present = append(present, "c."+sqltext.Identifier(c)+" IS NOT NULL")
		match = append(match, "p."+sqltext.Identifier(o.ForeignKey.ReferencedColumns[i])+" "+o.ForeignKey.Equals[i]+" c."+sqltext.Identifier(c))
	}
	table := only(o.Partitioned) + sqltext.Identifier(o.Table.Schema, o.Table.Name)
	ref := only(o.ReferencesPartitioned) + sqltext.Identifier(o.ForeignKey.References.Schema, o.ForeignKey.References.Name)
	sql := "DELETE FROM " + table + " c"
	if len(o.SetNull) > 0 {
		set := make([]string, len(o.SetNull))
		for i, c := range o.SetNull {
			set[i] = sqltext.Identifier(c) + " = NULL"
		}
		sql = "UPDATE " + table + " c SET " + strings.Join(set, ", ")
	}
	return sql + " WHERE " + strings.Join(present, " AND ") + " AND NOT EXISTS (SELECT FROM " + ref + " p WHERE " + strings.Join(match, " AND ") + ")"
}
