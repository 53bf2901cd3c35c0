package seed

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/dump"
	"github.com/seedling-dev/seedling/hooks/postgres"
	"github.com/seedling-dev/seedling/hooks/sqltext"
)

// objectIDs lists the large objects that a BLOB or BLOB METADATA entry makes.
func objectIDs(e *dump.Entry) ([]uint32, error) {
	list := []string{e.Tag}
	if e.Kind == "BLOB METADATA" {
		list = strings.Fields(e.Create)
	}
	out := make([]uint32, 0, len(list))
	for _, s := range list {
		id, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			return nil, command.Misconfiguredf("%s %s: its list of large objects cannot be read", e.Kind, e.Tag)
		}
		out = append(out, uint32(id))
	}
	return out, nil
}

// createObjects makes all large objects of the dump, empty, with their owners.
func (r *loaded) createObjects(ctx context.Context, conn *pgx.Conn) error {
	if !r.plan.LargeObjects() {
		return nil
	}
	for _, e := range r.schema.largeObjectMetadata {
		ids, err := objectIDs(e)
		if err != nil {
			return err
		}
		_, err = conn.Exec(ctx, "SELECT pg_catalog.lo_create(id) FROM unnest($1::oid[]) id", ids)
		if err != nil {
			return fmt.Errorf("create large objects: %w", postgres.Redact(err))
		}
		owner := sqltext.Identifier(r.schema.owners.own(e.Owner))
		var b strings.Builder
		for _, id := range ids {
			fmt.Fprintf(&b, "ALTER LARGE OBJECT %d OWNER TO %s;", id, owner)
		}
		if _, err := conn.PgConn().Exec(ctx, b.String()).ReadAll(); err != nil {
			return fmt.Errorf("give large objects their owner: %w", postgres.Redact(err))
		}
	}
	return nil
}

// objectJobs load the content of the large objects.
func (r *loaded) objectJobs() (jobs []*job, stored int64) {
	if !r.plan.LargeObjects() {
		return nil, 0
	}
	for _, e := range r.schema.largeObjects {
		stored += e.Bytes
		jobs = append(jobs, &job{cost: 2*e.Bytes + 1, run: func(ctx context.Context, conn *pgx.Conn) error {
			if err := r.loadObjects(ctx, conn, e); err != nil {
				return fmt.Errorf("load large objects: %w", interrupted(ctx, postgres.Redact(err)))
			}
			r.Progress.Read(e.Bytes)
			return nil
		}})
	}
	return jobs, stored
}

// objectsPerTransaction bounds the locks that a transaction holds: one for
// each large object.
const objectsPerTransaction = 500

func (r *loaded) loadObjects(ctx context.Context, conn *pgx.Conn, e *dump.Entry) error {
	w := &objectWriter{loaded: r, conn: conn}
	defer w.abandon(ctx)
	err := r.archive.LargeObjects(ctx, e, func(id uint32, content io.Reader) error { return w.write(ctx, id, content) })
	if err != nil {
		return err
	}
	return w.finish(ctx)
}

// objectWriter fills large objects, some of them in each transaction.
type objectWriter struct {
	loaded *loaded
	conn   *pgx.Conn
	tx     pgx.Tx
	count  int
}

func (w *objectWriter) write(ctx context.Context, id uint32, content io.Reader) (err error) {
	if w.tx == nil {
		if w.tx, err = w.conn.Begin(ctx); err != nil {
			return postgres.Redact(err)
		}
	}
	lo := w.tx.LargeObjects()
	o, err := lo.Open(ctx, id, pgx.LargeObjectModeWrite)
	if err != nil {
		return postgres.Redact(err)
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{o}, content, make([]byte, 256<<10))
	if err != nil {
		return postgres.Redact(err)
	}
	if err := o.Close(); err != nil {
		return postgres.Redact(err)
	}
	w.loaded.objects.Add(1)
	w.loaded.objectBytes.Add(n)
	if w.count++; w.count >= objectsPerTransaction {
		return w.finish(ctx)
	}
	return nil
}

// finish commits what was written.
func (w *objectWriter) finish(ctx context.Context) error {
	if w == nil || w.tx == nil {
		return nil
	}
	tx := w.tx
	w.tx, w.count = nil, 0
	return postgres.Redact(tx.Commit(ctx))
}

// abandon rolls back what finish has not committed.
func (w *objectWriter) abandon(ctx context.Context) {
	if w != nil && w.tx != nil {
		_ = w.tx.Rollback(context.WithoutCancel(ctx))
		w.tx = nil
	}
}

// objectGrants is the grant on a group of large objects, once for each: the
// dump writes it for the first one.
func objectGrants(st sqltext.Statement, ids []uint32) []string {
	for i := 0; i+2 < len(st.Tokens); i++ {
		if st.Tokens[i].Is("LARGE") && st.Tokens[i+1].Is("OBJECT") && st.Tokens[i+2].Kind == sqltext.Number {
			var out []string
			t := st.Tokens[i+2]
			for _, id := range ids {
				out = append(out, sqltext.Apply(st.Text, []sqltext.Edit{t.Replace(strconv.FormatUint(uint64(id), 10))}))
			}
			return out
		}
	}
	return []string{st.Text}
}
