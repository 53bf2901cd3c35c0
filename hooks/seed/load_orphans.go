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
	gone := map[string]int64{}
	for changed := true; changed; {
		changed = false
		for _, o := range r.plan.Orphans() {
			tag, err := conn.Exec(ctx, orphansSQL(o))
			if err != nil {
				return fmt.Errorf("apply on_missing_parent to foreign key %s of %s: %w", o.ForeignKey.Name, o.Table, interrupted(ctx, postgres.Redact(err)))
			}
			n := tag.RowsAffected()
			changed = changed || n > 0 // rows that reference these may be next
			if len(o.SetNull) == 0 {
				gone[o.Table.String()] += n
			}
		}
	}
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
		match = append(match, "p."+sqltext.Identifier(o.ForeignKey.ReferencedColumns[i])+" = c."+sqltext.Identifier(c))
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
