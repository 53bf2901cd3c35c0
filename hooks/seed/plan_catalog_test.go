package seed

import (
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/mask"
)

// An index that mentions the row as a whole depends on each of its columns.
func TestIndexesOnWholeRows(t *testing.T) {
	t.Parallel()
	server := pgtest.Source(t)
	conn := server.Connect(t, server.Database(t, `CREATE TABLE people (id int, name text);
		CREATE FUNCTION label(people) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1.name';
		CREATE UNIQUE INDEX by_label ON people (label(people));
		CREATE UNIQUE INDEX labelled ON people (id) WHERE label(people) <> '';`))
	catalog, err := readCatalog(t.Context(), conn, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := mask.ParsePolicy([]byte("version: 1\ntables: {public.people: {columns: {id: keep, name: first_name}}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := mask.NewKey([]byte("a key of the tests, long enough for a key"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = mask.Compile(policy, key, catalog)
	for _, want := range []string{"unique index by_label is on an expression over name", "unique index labelled holds for some rows only, depending on name"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, error %v", want, err)
		}
	}
}

// A CHECK constraint, of the column or its domain, may list values as an enum does.
func TestListedValues(t *testing.T) {
	t.Parallel()
	server := pgtest.Source(t)
	conn := server.Connect(t, server.Database(t, `CREATE DOMAIN view AS varchar(10) CHECK (VALUE IN ('sea', 'yard'));
		CREATE TABLE rooms (yes_in text CHECK (yes_in IN ('a', 'it''s')), yes_or char(3) CHECK (yes_or = 'a' OR yes_or = 'b' OR yes_or IS NULL), "Yes one" varchar CHECK ("Yes one" = 'a'), yes_domain view, "order" text CHECK ("order" = ANY ('{up,down}')),
			no_range text CHECK (no_range > 'a'), no_two text, no_pattern text CHECK (no_pattern LIKE 'a%'), no_function text CHECK (lower(no_function) IN ('a', 'b')), no_number int CHECK (no_number IN (1, 2)), no_not text CHECK (no_not <> 'a'), no_old text, CHECK (no_two = 'a' OR no_pattern = 'b'), no_length text CHECK (length(no_length) = 2));
		ALTER TABLE rooms ADD CHECK (no_old IN ('a', 'b')) NOT VALID`))
	catalog, err := readCatalog(t.Context(), conn, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range catalog.Tables[0].Columns {
		if want := !strings.HasPrefix(c.Name, "no_"); c.Listed != want && c.Name != "order" {
			t.Errorf("%s: its values are listed is %v, want %v", c.Name, c.Listed, want)
		}
	}
}
