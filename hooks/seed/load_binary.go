package seed

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/seedling-dev/seedling/hooks/copybinary"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/postgres"
)

// chooseFormats finds the tables whose rows are sent in COPY's binary format: those
// with a type that is faster so, and without one that we know only as text. Types are
// known by the function with which the server receives them.
func (r *loaded) chooseFormats(ctx context.Context, loads []*tableLoad) error {
	conn, err := r.server.session(ctx, r.scratch)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	rows, err := conn.Query(ctx, `WITH RECURSIVE base(oid, base) AS (
			SELECT oid, oid FROM pg_catalog.pg_type WHERE typtype <> 'd'
			UNION ALL SELECT t.oid, b.base FROM base b JOIN pg_catalog.pg_type t ON t.typbasetype = b.oid AND t.typtype = 'd')
		SELECT n.nspname, c.relname, a.attname, p.prosrc
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		JOIN base b ON b.oid = a.atttypid JOIN pg_catalog.pg_type t ON t.oid = b.base
		JOIN pg_catalog.pg_proc p ON p.oid = t.typreceive JOIN pg_catalog.pg_language l ON l.oid = p.prolang
		WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND l.lanname = 'internal'`)
	if err != nil {
		return fmt.Errorf("read the columns' types: %w", postgres.Redact(err))
	}
	types := map[mask.Name]map[string]copybinary.Type{}
	var table mask.Name
	var column, receive string
	_, err = pgx.ForEachRow(rows, []any{&table.Schema, &table.Name, &column, &receive}, func() error {
		if t, ok := copybinary.ByReceive(receive); ok {
			if types[table] == nil {
				types[table] = map[string]copybinary.Type{}
			}
			types[table][column] = t
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the columns' types: %w", postgres.Redact(err))
	}
	for _, l := range loads {
		if l.plan.Rows {
			l.types = binaryTypes(l.columns, types[l.plan.LoadInto])
		}
	}
	return nil
}

// binaryTypes are the types of the columns, nil if they are better sent as
// text.
func binaryTypes(columns []string, types map[string]copybinary.Type) []copybinary.Type {
	gains := false
	out := make([]copybinary.Type, 0, len(columns))
	for _, c := range columns {
		t, ok := types[c]
		if !ok {
			return nil
		}
		gains = gains || t.Gains()
		out = append(out, t)
	}
	if !gains {
		return nil
	}
	return out
}
