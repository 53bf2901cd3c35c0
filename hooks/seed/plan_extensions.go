package seed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/dump"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/postgres"
)

// timescale refuses a dump with TimescaleDB: its hypertables are made by functions
// and its rows lie in chunks that belong to it.
const timescale = "the dump is of a database with TimescaleDB, which imports do not support: its hypertables are tables of the extension's own making. " +
	"Dump the hypertables as ordinary tables of a database without it; where there are none, say `extensions: {timescaledb: drop}` in the policy"

// extensions lists those that the dump makes.
func (s *schema) extensions() []string {
	var out []string
	for _, s := range s.pre {
		if s.entry.Kind == "EXTENSION" {
			out = append(out, s.entry.Tag)
		}
	}
	return out
}

// missingExtensions lists those that the server does not have.
func missingExtensions(ctx context.Context, conn *pgx.Conn, want []string) ([]string, error) {
	rows, err := conn.Query(ctx, "SELECT name FROM unnest($1::text[]) name WHERE name NOT IN (SELECT name::text FROM pg_catalog.pg_available_extensions) ORDER BY 1", want)
	if err != nil {
		return nil, fmt.Errorf("ask for extensions: %w", postgres.Redact(err))
	}
	missing, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("ask for extensions: %w", postgres.Redact(err))
	}
	return missing, nil
}

// checkExtensions names all extensions that the server lacks at once.
func (r *checked) checkExtensions(ctx context.Context, conn *pgx.Conn) error {
	missing, err := missingExtensions(ctx, conn, r.schema.extensions())
	if err != nil || len(missing) == 0 {
		return err
	}
	return missingError(missing)
}

func missingError(missing []string) error {
	return command.Misconfiguredf("the dump needs extensions that the seed's image does not have: %s. Build one that has them, for the seed and its previews "+
		"(manifests/seed-postgres/README.md says how); or do without those that nothing in the seed needs: `extensions: {%s: drop}` in the policy, or pg_dump --exclude-extension",
		strings.Join(missing, ", "), missing[0])
}

// extensionError is what CREATE EXTENSION ended with. It sees no row, so that the
// server's sentence, which is the extension's, is told.
func extensionError(name string, err error) error {
	err = fmt.Errorf("make extension %s: %w", name, postgres.Tell(err))
	if code := postgres.Code(err); code == "" || slices.Contains([]string{"08", "40", "53", "57", "58"}, code[:2]) {
		return err
	}
	return command.Misconfigured(fmt.Errorf("%w. If it has to be preloaded, add it to the seed's shared_preload_libraries (manifests/seed-postgres/README.md says how); "+
		"if nothing in the seed needs it, say `extensions: {%s: drop}` in the policy", err, name))
}

// otherExtensions tries those that come after one that could not be made, so that
// all of them are named at once. An extension may end its session.
func (r *checked) otherExtensions(ctx context.Context, database string, first step, err error) error {
	if command.ExitCode(err) != command.ExitMisconfigured {
		return err
	}
	errs := []error{err}
	at := slices.IndexFunc(r.schema.pre, func(s step) bool { return s.entry == first.entry })
	for _, s := range r.schema.pre[at+1:] {
		if s.entry.Kind != "EXTENSION" {
			continue
		}
		conn, err := r.server.session(ctx, database)
		if err != nil {
			return err
		}
		err = execStep(ctx, conn, s)
		_ = conn.Close(context.WithoutCancel(ctx))
		// What it needs may not have been made yet.
		if err != nil && !postgres.Is(err, postgres.InvalidSchemaName, postgres.UndefinedObject) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// undefined are the server's words for a name that nothing has.
var undefined = []string{postgres.UndefinedTable, postgres.UndefinedFunction, postgres.UndefinedObject, postgres.InvalidSchemaName}

// withoutExtension says of a step that failed whether it may be left out: it is
// about something of an extension that the policy does without. What needs one,
// such as a table with a column of its type, may not.
func (s *schema) withoutExtension(st step, err error) bool {
	return len(s.dropped) > 0 && postgres.Is(err, undefined...) && slices.Contains([]string{"ACL", "COMMENT", "SEQUENCE SET"}, st.entry.Kind)
}

// needsExtension adds to an error what may be behind it.
func (s *schema) needsExtension(err error) error {
	if len(s.dropped) == 0 || !postgres.Is(err, undefined...) {
		return err
	}
	return fmt.Errorf("%w; the policy does without %s, which it may need", err, strings.Join(s.dropped, ", "))
}

// leaveMembers leaves out what is about members of extensions that the policy does
// without: steps that failed for it, and rows of tables that are not there.
func (s *schema) leaveMembers(steps map[*dump.Entry]bool, c mask.Catalog) {
	if len(s.dropped) == 0 {
		return
	}
	for _, list := range []*[]step{&s.post, &s.grants} {
		*list = slices.DeleteFunc(*list, func(st step) bool { return steps[st.entry] })
	}
	there := map[mask.Name]bool{}
	for _, t := range c.Tables {
		there[mask.Name{Schema: t.Schema, Name: t.Name}] = true
	}
	s.data = slices.DeleteFunc(s.data, func(d tableData) bool { return !there[d.table] })
}

// idleDrops lists what the policy does without and the dump does not have.
func (s *schema) idleDrops(p *mask.Policy) []string {
	var out []string
	for name := range p.Extensions {
		if !slices.Contains(s.dropped, name) {
			out = append(out, fmt.Sprintf("the policy does without extension %s, which the dump does not have: remove the line", name))
		}
	}
	slices.Sort(out)
	return out
}
