package seed

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/postgres"
	"github.com/seedling-dev/seedling/hooks/sqltext"
)

// Columns that the policy rebuilds are computed by a trigger of ours on each of
// their tables, while rows are loaded: no row is written twice, and NOT NULL
// holds. The trigger sees the masked row, and is dropped before the swap.

// rebuildTrial names the generated column and the constraint that try an expression on
// an empty copy of the table: PostgreSQL refuses what reads more than the row, or may
// give another result the next time.
const rebuildTrial = "seedling_rebuild"

// checkRebuilds tries the policy's expressions in the shadow database.
func (r *planned) checkRebuilds(ctx context.Context, database string) error {
	list := r.plan.Rebuilds()
	if len(list) == 0 {
		return nil
	}
	conn, err := r.server.session(ctx, database)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for _, b := range list {
		if err := tryRebuild(ctx, conn, b); err != nil {
			c := mask.ColumnName{Schema: b.Table.Schema, Table: b.Table.Name, Column: b.Column}
			return fmt.Errorf("rebuild %s: %w", c, err)
		}
	}
	return nil
}

func tryRebuild(ctx context.Context, conn *pgx.Conn, b mask.Rebuild) error {
	list, err := sqltext.Split(b.As)
	if err != nil || len(list) != 1 || !closed(list[0].Tokens) {
		return command.Misconfiguredf("`as` is not one SQL expression: check its quotes and parentheses")
	}
	// Through the extended protocol, which takes one statement only. The name
	// is the table's, so that the expression may use it.
	twin := sqltext.Identifier("pg_temp", b.Table.Name)
	var columns []string
	_, err = conn.Exec(ctx, "CREATE TEMPORARY TABLE "+twin+" (LIKE "+sqltext.Identifier(b.Table.Schema, b.Table.Name)+")")
	if err != nil {
		return postgres.Redact(err)
	}
	_, err = conn.Exec(ctx, "ALTER TABLE "+twin+" ADD COLUMN "+rebuildTrial+" "+b.Type+" GENERATED ALWAYS AS ("+cast(b)+") STORED, ADD CONSTRAINT "+rebuildTrial+" CHECK ("+cast(b)+" IS NOT NULL)")
	if err != nil {
		return schemaError(fmt.Errorf("`as` is not an expression that a generated column of %s could have (functions outside pg_catalog need their schema): %w", b.Table, shadowError(err)))
	}
	err = conn.QueryRow(ctx, `SELECT coalesce(array_agg(a.attname::text ORDER BY a.attname), '{}') FROM pg_catalog.pg_constraint c
		JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)
		WHERE c.conname = $1 AND c.conrelid = $2::text::pg_catalog.regclass`, rebuildTrial, twin).Scan(&columns)
	if err == nil {
		_, err = conn.Exec(ctx, "DROP TABLE "+twin)
	}
	if err != nil {
		return postgres.Redact(err)
	}
	for _, c := range columns {
		if slices.Contains(b.Unusable, c) {
			return command.Misconfiguredf("`as` names column %s, which has no value while the row is loaded: it is generated, or rebuilt itself", mask.QuoteIdent(c))
		}
	}
	return nil
}

// shadowError is what the server says of the policy's own text, over tables
// without rows: it holds nothing that must not be read.
func shadowError(err error) error {
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		return &postgres.Error{Code: pe.Code, Message: pe.Message}
	}
	return postgres.Redact(err)
}

// closed reports whether parentheses close, and never before they open.
func closed(tokens []sqltext.Token) bool {
	depth := 0
	for _, t := range tokens {
		switch {
		case t.IsSymbol('(') || t.IsSymbol('['):
			depth++
		case t.IsSymbol(')') || t.IsSymbol(']'):
			depth--
		}
		if depth < 0 || t.IsSymbol(';') {
			return false
		}
	}
	return depth == 0
}

// cast is the expression as a value of the column's type. It may end in a
// comment.
func cast(b mask.Rebuild) string { return "CAST((" + b.As + "\n) AS " + b.Type + ")" }
