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
