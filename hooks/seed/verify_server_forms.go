package seed

import (
	"bytes"
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/seedling-dev/seedling/hooks/copytext"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/postgres"
)

// serverForms adds masked rows to a digest, after the server has written the values of
// types that can be written in several ways.
type serverForms struct {
	conn *pgx.Conn
	d    *digester
	rows [][]byte
	size int
}

// Bounds of what is asked of the server at once.
const (
	askedRows  = 2000
	askedBytes = 256 << 10
)

// newServerForms returns nil where no column needs one.
func (v *verification) newServerForms(ctx context.Context, d *digester) (*serverForms, error) {
	for _, c := range d.g.forms {
		if c.server != "" {
			conn, err := v.server.session(ctx, v.database)
			if err != nil {
				return nil, err
			}
			return &serverForms{conn: conn, d: d}, nil
		}
	}
	return nil, nil
}

func (n *serverForms) close(ctx context.Context) {
	if n != nil {
		_ = n.conn.Close(context.WithoutCancel(ctx))
	}
}

// row adds one masked row.
func (n *serverForms) row(ctx context.Context, line []byte) error {
	n.rows = append(n.rows, bytes.Clone(line))
	if n.size += len(line); len(n.rows) < askedRows && n.size < askedBytes {
		return nil
	}
	return n.flush(ctx)
}

// flush adds the rows that wait.
func (n *serverForms) flush(ctx context.Context) error {
	if n == nil || len(n.rows) == 0 {
		return nil
	}
	d := n.d
	var err error
	for i, c := range d.g.forms {
		if c.server == "" {
			continue
		}
		values := make([]pgtype.Text, len(n.rows))
		for k, line := range n.rows {
			if d.fields, err = copytext.Split(d.fields[:0], line); err != nil {
				return err
			}
			if f := d.fields[d.at[i]]; !copytext.IsNull(f) {
				values[k] = pgtype.Text{String: string(d.plain(f)), Valid: true}
			}
		}
		rows, err := n.conn.Query(ctx, "SELECT CASE WHEN v IS NOT NULL THEN pg_catalog.format('%s', v::"+c.server+") END FROM pg_catalog.unnest($1::text[]) WITH ORDINALITY u(v, n) ORDER BY n", values)
		if err == nil {
			values, err = pgx.CollectRows(rows, pgx.RowTo[pgtype.Text])
		}
		if err != nil {
			return fmt.Errorf("let the server write column %s: %w", mask.QuoteIdent(d.g.columns[i]), postgres.Redact(err))
		}
		for k, value := range values {
			if value.Valid {
				n.rows[k] = replaceField(n.rows[k], d.at[i], copytext.Escape(nil, []byte(value.String)))
			}
		}
	}
	for _, line := range n.rows {
		if err := d.row(line); err != nil {
			return err
		}
	}
	n.rows, n.size = n.rows[:0], 0
	return nil
}

// replaceField writes a row with another field in one place.
func replaceField(row []byte, at int, field []byte) []byte {
	start := 0
	for range at {
		start += bytes.IndexByte(row[start:], '\t') + 1
	}
	end := bytes.IndexByte(row[start:], '\t')
	if end < 0 {
		end = len(row)
	} else {
		end += start
	}
	out := make([]byte, 0, len(row)-(end-start)+len(field))
	return append(append(append(out, row[:start]...), field...), row[end:]...)
}
