package seed_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/seed"
)

// library has columns made from others, and rows that reference each other.
const library = `
CREATE FUNCTION shout(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper($1)';
CREATE TABLE authors (id int PRIMARY KEY, country text, name text NOT NULL, loud text NOT NULL, length int GENERATED ALWAYS AS (length(name)) STORED);
CREATE TABLE books (id int PRIMARY KEY, author_id int NOT NULL REFERENCES authors, sequel_of int REFERENCES books, title text, search tsvector, "Odd ""one" text);
CREATE TABLE copies (id int, book_id int REFERENCES books ON DELETE RESTRICT, at date NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE copies_1 PARTITION OF copies DEFAULT;
CREATE TABLE reviews (id int PRIMARY KEY, book_id int REFERENCES books, author_id int REFERENCES authors);
CREATE TABLE loans (id int, book_id int REFERENCES books); CREATE TABLE old_loans () INHERITS (loans);
CREATE TABLE notes (id int PRIMARY KEY, on_copy int, tag text, search tsvector) PARTITION BY LIST (id);
CREATE TABLE notes_1 PARTITION OF notes FOR VALUES IN (1); CREATE TABLE notes_rest PARTITION OF notes DEFAULT;
CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'a trigger ran'; END $$;
INSERT INTO authors (id, country, name, loud) SELECT g, (ARRAY['GR', 'DE', 'FR'])[1 + g % 3], 'PLANTED author' || g, 'PLANTED' FROM generate_series(1, 30) g;
INSERT INTO books SELECT g, 1 + g % 30, CASE WHEN g > 100 THEN g - 100 END, 'PLANTED title ' || g, to_tsvector('english', 'planted title'), 'PLANTED' FROM generate_series(1, 300) g;
INSERT INTO copies SELECT g, CASE WHEN g % 10 > 0 THEN 1 + g % 300 END, '2024-01-01' FROM generate_series(1, 600) g;
INSERT INTO loans SELECT g, 1 + g % 300 FROM generate_series(1, 40) g;
INSERT INTO old_loans SELECT g, 1 + g % 300 FROM generate_series(1, 60) g;
INSERT INTO reviews SELECT g, 1 + g % 300, 1 + (g + 1) % 30 FROM generate_series(1, 500) g;
INSERT INTO notes SELECT g, g, 'PLANTED tag', to_tsvector('english', 'planted tag') FROM generate_series(1, 20) g;
CREATE TRIGGER never BEFORE DELETE OR UPDATE OR INSERT ON books FOR EACH ROW EXECUTE FUNCTION never(); ALTER TABLE books ENABLE ALWAYS TRIGGER never;
`

const libraryPolicy = `
version: 1
tables:
  public.authors:
    columns: {id: keep, country: keep, name: full_name, loud: {mask: rebuild, as: "public.shout(name) -- loud"}}
  public.books:
    columns: {id: keep, sequel_of: keep, title: text, search: {mask: rebuild, as: "to_tsvector('english', title)"}, '"Odd ""one"': {mask: rebuild, as: "lower(books.title)"}}
  public.copies: {columns: {id: keep, at: keep}}
  public.reviews: {columns: {id: keep}}
  public.loans: {columns: {id: keep}}
  public.notes: {columns: {id: keep, on_copy: keep, tag: text, search: {mask: rebuild, as: "to_tsvector('simple', tag)"}}}
`

// Columns made from others are made again from masks, and what references a
// dropped row goes, or lets go of it, as the policy says.
func TestRebuildAndOrphans(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	db := src.Database(t, library)
	file := src.Dump(t, db, "-Fc")
	s := pgtest.Start(t)
	query := func(sql string) string { t.Helper(); return strings.Join(s.Strings(t, "app", sql), " ") }
	raw := func(sql string) string { t.Helper(); return strings.Join(src.Strings(t, db, sql), " ") }

	mustImport(t, options(t, s, file, libraryPolicy), seed.Imported)
	for sql, want := range map[string]string{
		"SELECT count(*) FROM authors WHERE loud = upper(name) AND length = length(name)":          "30",
		"SELECT count(*) FROM books WHERE search = to_tsvector('english', title) AND search <> ''": "300",
		`SELECT count(*) FROM books WHERE "Odd ""one" = lower(title)`:                              "300",
		"SELECT count(*) FROM notes WHERE search = to_tsvector('simple', tag) AND search <> ''":    "20",
		"SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal AND tgname <> 'never'":             "0",
		"SELECT count(*) FROM pg_proc WHERE pronamespace = 'seedling'::regnamespace":               "0",
		"SELECT count(*) FROM books WHERE books::text ~* 'planted'":                                "0",
		"SELECT count(*) FROM pg_constraint WHERE conname ~ '^seedling'":                           "0",
	} {
		if got := query(sql); got != want {
			t.Errorf("%s: %s, want %s", sql, got, want)
		}
	}
	if _, err := seed.Verify(t.Context(), options(t, s, file, libraryPolicy)); err != nil {
		t.Errorf("verify: %v", err)
	}

	for as, want := range map[string]string{
		"to_tsvector('english', heading)":                     "heading",
		"(SELECT name FROM public.authors LIMIT 1)::tsvector": "subquery",
		"to_tsvector(title)) IS NOT NULL), ADD CHECK ((true":  "not one SQL expression",
		"pg_read_file('x')::tsvector":                         "immutable",
		"search":                                              "names column search, which has no value",
		`to_tsvector('english', "Odd ""one")`:                 `names column "Odd ""one", which has no value`,
	} {
		_ = refused(t, options(t, s, file, strings.Replace(libraryPolicy, "to_tsvector('english', title)", strings.ReplaceAll(as, `"`, `\"`), 1)), want)
	}
	_ = refused(t, options(t, s, file, strings.Replace(libraryPolicy, "public.shout(name) -- loud", "length::text", 1)), "names column length, which has no value")

	// A row that references a dropped one: it stops, goes, or lets go.
	filtered := func(mode string) string {
		return strings.Replace(libraryPolicy, "public.authors:\n", "public.authors:\n    rows: {where: [{column: country, in: [GR]}]"+mode+"}\n", 1)
	}
	if _, err := seed.Import(t.Context(), options(t, s, file, filtered(""))); err == nil {
		t.Error("rows without their parent were taken")
	}
	// What stays, by the rules, computed from the raw rows.
	const kept = `WITH RECURSIVE lost AS (SELECT id FROM books WHERE author_id IN (SELECT id FROM authors WHERE country <> 'GR')
		UNION SELECT b.id FROM books b JOIN lost ON b.sequel_of = lost.id) `
	report := mustImport(t, options(t, s, file, filtered(", on_missing_parent: drop")), seed.Imported)
	for _, table := range []string{"books", "copies", "reviews", "loans"} {
		column := map[string]string{"books": "id"}[table]
		if column == "" {
			column = "book_id"
		}
		from := table
		if table == "loans" {
			from = "ONLY loans"
		}
		where := " WHERE (" + column + " IS NULL OR " + column + " NOT IN (SELECT id FROM lost))"
		if table == "reviews" {
			where += " AND author_id IN (SELECT id FROM authors WHERE country = 'GR')"
		}
		want := raw(kept + "SELECT count(*) || ' ' || coalesce(sum(id), 0) FROM " + from + where)
		if diff := cmp.Diff(want, query("SELECT count(*) || ' ' || coalesce(sum(id), 0) FROM "+from)); diff != "" || strings.HasPrefix(want, "0 ") {
			t.Errorf("drop: %s: %s", table, diff)
		}
	}
	// A table's foreign keys are not those of its children.
	if got := query("SELECT count(*) FROM old_loans"); got != "60" {
		t.Errorf("%s rows of old_loans are left", got)
	}
	if got := query("SELECT rows FROM seedling.marker"); got != query("SELECT (SELECT count(*) FROM authors) + (SELECT count(*) FROM books) + (SELECT count(*) FROM copies) + (SELECT count(*) FROM reviews) + (SELECT count(*) FROM loans) + (SELECT count(*) FROM notes)") {
		t.Errorf("the marker counts %s rows", got)
	}
	if got := strings.Join(report.Warnings, "\n"); !strings.Contains(got, "public.copies: rows whose foreign key copies_book_id_fkey references a dropped row of public.books are dropped too") {
		t.Errorf("warnings:\n%s", got)
	}
	if v, err := seed.Verify(t.Context(), options(t, s, file, filtered(", on_missing_parent: drop"))); err != nil {
		t.Errorf("verify: %v, %+v", err, v.Verified)
	}

	mustImport(t, options(t, s, file, filtered(", on_missing_parent: null")), seed.Imported)
	for sql, want := range map[string]string{
		"SELECT count(*) FROM books":                            raw("SELECT count(*) FROM books WHERE author_id IN (SELECT id FROM authors WHERE country = 'GR')"),
		"SELECT count(*) FROM copies":                           "600",
		"SELECT count(*) FROM copies WHERE book_id IS NOT NULL": raw("SELECT count(*) FROM copies WHERE book_id IN (SELECT b.id FROM books b JOIN authors a ON a.id = b.author_id WHERE a.country = 'GR')"),
		"SELECT count(*) FROM reviews":                          "500",
		"SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND convalidated AND conparentid = 0": raw("SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conparentid = 0"),
	} {
		if got := query(sql); got != want {
			t.Errorf("null: %s: %s, want %s", sql, got, want)
		}
	}
	nothingLeft(t, s)
}
