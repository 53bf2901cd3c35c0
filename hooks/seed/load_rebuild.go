package seed

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/sqltext"
)

// createRebuilds makes the triggers. Schema seedling must exist.
func (r *planned) createRebuilds(ctx context.Context, conn *pgx.Conn) error {
	byTable := map[mask.Name][]mask.Rebuild{}
	var tables []mask.Name
	for _, b := range r.plan.Rebuilds() {
		if byTable[b.Table] == nil {
			tables = append(tables, b.Table)
		}
		byTable[b.Table] = append(byTable[b.Table], b)
	}
	for i, t := range tables {
		var values, into []string
		for _, b := range byTable[t] {
			values = append(values, cast(b))
			into = append(into, "NEW."+sqltext.Identifier(b.Column))
		}
		body := "#variable_conflict use_column\nBEGIN SELECT " + strings.Join(values, ", ") + " INTO " + strings.Join(into, ", ") +
			" FROM (SELECT NEW.*) AS " + sqltext.Identifier(t.Name) + "; RETURN NEW; END"
		name := fmt.Sprintf("seedling.rebuild_%d", i)
		table := sqltext.Identifier(t.Schema, t.Name)
		for _, sql := range []string{
			"CREATE FUNCTION " + name + "() RETURNS trigger LANGUAGE plpgsql AS " + sqltext.Literal(body),
			"CREATE TRIGGER seedling_rebuild BEFORE INSERT ON " + table + " FOR EACH ROW EXECUTE FUNCTION " + name + "()",
			"ALTER TABLE " + table + " ENABLE ALWAYS TRIGGER seedling_rebuild",
		} {
			if err := execSQL(ctx, conn, sql); err != nil {
				return fmt.Errorf("prepare to rebuild columns of %s: %w", t, err)
			}
		}
	}
	return nil
}

// dropRebuilds removes the triggers.
func (r *planned) dropRebuilds(ctx context.Context, conn *pgx.Conn) error {
	seen := map[mask.Name]bool{}
	for _, b := range r.plan.Rebuilds() {
		if seen[b.Table] {
			continue
		}
		sql := fmt.Sprintf("DROP FUNCTION seedling.rebuild_%d() CASCADE", len(seen))
		seen[b.Table] = true
		if err := execSQL(ctx, conn, sql); err != nil {
			return fmt.Errorf("remove what rebuilt columns of %s: %w", b.Table, err)
		}
	}
	return nil
}
