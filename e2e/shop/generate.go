package shop

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"
)

//go:embed schema.sql
var schema string

//go:embed indexes.sql
var indexes string

// DefaultMB is the size of the demo's data.
const DefaultMB = 500

// smallest number of users: every canary needs its row.
const smallest = 50

// Data says which data, and how much of it. The same Data is the same bytes.
type Data struct {
	// Users is the number of rows in users; everything else follows from it.
	Users int
	// Seed varies the data.
	Seed uint64
}

// OfMB is data of about that many megabytes (10^6) of COPY text.
func OfMB(mb int) Data { return OfSize(int64(mb) * 1e6) }

// OfSize is data of about that many bytes of COPY text.
func OfSize(bytes int64) Data {
	return Data{Users: max(smallest, int(math.Round(float64(bytes)/bytesPerUser)))}
}

// Rows is the number of rows in all tables together.
func (d Data) Rows() int64 {
	var n int64
	for _, t := range shopTables {
		n += int64(t.rows(d.Users))
	}
	return n
}

// Tables are the names of the tables, partitions not among them.
func Tables() []string {
	var names []string
	for _, t := range shopTables {
		names = append(names, t.name)
	}
	return names
}

// reader streams a table's rows as COPY text.
type reader struct {
	table table
	gen   gen
	next  int
	rows  int
	buf   []byte
	rest  []byte
	total *int64
}

func (d Data) reader(t table, total *int64) *reader {
	return &reader{
		table: t,
		gen:   gen{seed: d.Seed + 1, users: d.Users, products: shopTables[1].rows(d.Users)},
		rows:  t.rows(d.Users),
		total: total,
	}
}

// chunk is how much is computed ahead.
const chunk = 64 << 10

func (r *reader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		if r.next == r.rows {
			return 0, io.EOF
		}
		r.buf = r.buf[:0]
		for len(r.buf) < chunk && r.next < r.rows {
			r.buf = r.table.row(r.buf, &r.gen, r.next)
			r.next++
		}
		r.rest = r.buf
		*r.total += int64(len(r.buf))
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// WriteTo lets io.Copy take whole chunks.
func (r *reader) WriteTo(w io.Writer) (int64, error) {
	var n int64
	p := make([]byte, 2*chunk)
	for {
		k, err := r.Read(p)
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		k, err = w.Write(p[:k])
		n += int64(k)
		if err != nil {
			return n, err
		}
	}
}

// Load makes the shop's schema and data in the empty database that config
// names, and returns the size of the data as COPY text, in bytes. The objects
// belong to role shop, which is made if it is not there.
func Load(ctx context.Context, config *pgx.ConnConfig, d Data) (int64, error) {
	if d.Users < smallest {
		return 0, fmt.Errorf("load the shop: %d users are too few for the planted values; use %d or more", d.Users, smallest)
	}
	const owner = `
		DO $$ BEGIN
			IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'shop') THEN CREATE ROLE shop NOLOGIN; END IF;
		END $$;
		GRANT CREATE, USAGE ON SCHEMA public TO shop;
		SET ROLE shop;`
	if err := run(ctx, config, owner+schema); err != nil {
		return 0, fmt.Errorf("load the shop: make its tables: %w", err)
	}
	sizes := make([]int64, len(shopTables))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for i, t := range shopTables {
		g.Go(func() error {
			conn, err := pgx.ConnectConfig(gctx, config)
			if err != nil {
				return err
			}
			defer conn.Close(context.WithoutCancel(gctx))
			_, err = conn.PgConn().CopyFrom(gctx, d.reader(t, &sizes[i]), "COPY public."+t.name+" ("+t.columns+") FROM STDIN")
			if err != nil {
				return fmt.Errorf("copy into %s: %w", t.name, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return 0, fmt.Errorf("load the shop: %w", err)
	}
	if err := run(ctx, config, "SET ROLE shop; SET maintenance_work_mem = '256MB';"+indexes+"; RESET ROLE; ANALYZE;"); err != nil {
		return 0, fmt.Errorf("load the shop: make its indexes: %w", err)
	}
	var n int64
	for _, s := range sizes {
		n += s
	}
	return n, nil
}

// run executes several statements in a session of their own.
func run(ctx context.Context, config *pgx.ConnConfig, sql string) error {
	conn, err := pgconn.ConnectConfig(ctx, &config.Config)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, sql).ReadAll()
	return err
}
