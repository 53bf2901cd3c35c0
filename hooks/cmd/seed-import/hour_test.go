package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
)

// hourSchema is a database of testdata/hour: statements that make it and, in
// comments behind them, what a person says of its columns.
type hourSchema struct {
	name   string
	sql    string
	labels []hourLabel
}

// hourLabel says of places in a table, expressions that is, whether they are about
// somebody. Columns that no label names are about nobody.
type hourLabel struct {
	table  string
	about  bool // somebody; otherwise either will do
	places []string
}

// pick is what makes the rows of those databases: one of some texts, always the
// same for a number.
const pick = `CREATE FUNCTION pg_temp.pick(n int, VARIADIC a text[]) RETURNS text LANGUAGE sql AS $$ SELECT a[1 + (hashint4(n) & 2147483647) % cardinality(a)] $$;`

// readHour reads the databases. Each makes its tables in the schema it is given,
// and what else it makes has a name with the suffix.
func readHour(t *testing.T, schema, suffix string) []hourSchema {
	t.Helper()
	paths, err := filepath.Glob("testdata/hour/*.sql")
	if err != nil || len(paths) < 8 {
		t.Fatalf("%d schemas: %v", len(paths), err)
	}
	var all []hourSchema
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		s := hourSchema{name: strings.TrimSuffix(filepath.Base(path), ".sql")}
		named := schema
		if suffix != "" {
			named = s.name + "_app" + suffix
		}
		s.sql = strings.NewReplacer("{P}", named, "{S}", suffix).Replace(string(text))
		for line := range strings.Lines(s.sql) {
			label, ok := strings.CutPrefix(line, "-- about somebody: ")
			if !ok {
				if label, ok = strings.CutPrefix(line, "-- either: "); !ok {
					continue
				}
			}
			parts := strings.Split(strings.TrimSpace(label), " | ")
			table := parts[0]
			if !strings.Contains(table, ".") {
				table = named + "." + table
			}
			s.labels = append(s.labels, hourLabel{table, strings.HasPrefix(line, "-- about"), parts[1:]})
		}
		all = append(all, s)
	}
	return all
}

// hourFigures are counts over all databases.
type hourFigures struct {
	places, missed, harmless, masked int
	seconds                          map[string]float64 // of the slowest database, by step
}

// TestHour is a new user's first hour, with databases that nobody drafted a policy
// for before: a draft, a plan under it, the import and its verification end with 0,
// with the draft as it stands; nothing about anybody goes through, and little else
// is masked.
func TestHour(t *testing.T) { //nolint:tparallel // its subtests share a server
	t.Parallel()
	src, s := pgtest.Source(t), pgtest.Start(t)
	figures := hourFigures{seconds: map[string]float64{}}
	for _, schema := range readHour(t, "public", "") {
		t.Run(schema.name, func(t *testing.T) {
			// Each database is a volume of its own, which has seen no other.
			s.Exec(t, "postgres", "DROP DATABASE IF EXISTS app WITH (FORCE)")
			s.Exec(t, "postgres", "DO $$ BEGIN IF to_regclass('seedling.ledger') IS NOT NULL THEN DELETE FROM seedling.ledger; END IF; END $$")
			db := src.Database(t, pick+schema.sql)
			draft := hour(t, s, src.Dump(t, db, "-Fc"), &figures)
			figures.judge(t, src, s, db, schema.labels)
			sameObjects(t, src, s, db, draft)
		})
	}
	over := float64(figures.masked) * 100 / float64(max(1, figures.harmless))
	fmt.Fprintf(os.Stderr, "FIGURE hour_draft_missed %d count\nFIGURE hour_draft_overmasked %.1f percent\n", figures.missed, over)
	for _, step := range slices.Sorted(maps.Keys(figures.seconds)) {
		fmt.Fprintf(os.Stderr, "FIGURE hour_%s %.1f s\n", step, figures.seconds[step])
	}
	if figures.places < 150 || figures.harmless < 150 {
		t.Errorf("%d places are about somebody, %d about nobody: 150 of each are wanted", figures.places, figures.harmless)
	}
	if over > 15 {
		t.Errorf("%.1f %% of what is about nobody is masked", over)
	}
}

// TestHourOfManyColumns is the same with all of them in one database, again and again
// until it has a thousand columns, as large applications grow: few questions are asked
// of a person, the riskiest first.
func TestHourOfManyColumns(t *testing.T) {
	t.Parallel()
	src, s := pgtest.Source(t), pgtest.Start(t)
	figures := hourFigures{seconds: map[string]float64{}}
	db := src.Database(t, "")
	var labels []hourLabel
	columns := 0
	for round := 1; columns < 1000; round++ {
		for _, schema := range readHour(t, "", fmt.Sprintf("_%d", round)) {
			src.Exec(t, db, pick+schema.sql)
			labels = append(labels, schema.labels...)
		}
		var err error
		if columns, err = strconv.Atoi(src.Strings(t, db, `SELECT count(*) FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
			WHERE t.table_type = 'BASE TABLE' AND table_schema !~ '^pg_|^information_schema$' AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = format('%I.%I', table_schema, table_name)::regclass)`)[0]); err != nil {
			t.Fatal(err)
		}
	}
	draft := hour(t, s, src.Dump(t, db, "-Fc"), &figures)
	figures.judge(t, src, s, db, labels)
	sameObjects(t, src, s, db, draft)
	head, _, _ := strings.Cut(draft, "version:")
	questions := strings.Count(head, "\n# - ")
	over := float64(figures.masked) * 100 / float64(max(1, figures.harmless))
	fmt.Fprintf(os.Stderr, "FIGURE hour_columns %d count\nFIGURE hour_columns_draft_missed %d count\nFIGURE hour_columns_draft_overmasked %.1f percent\nFIGURE hour_columns_draft_questions %d count\n",
		columns, figures.missed, over, questions)
	for _, step := range slices.Sorted(maps.Keys(figures.seconds)) {
		fmt.Fprintf(os.Stderr, "FIGURE hour_columns_%s %.1f s\n", step, figures.seconds[step])
	}
	if questions > 40 {
		t.Errorf("%d questions for %d columns: 40 at most are wanted\n%s", questions, columns, head)
	}
	if over > 15 {
		t.Errorf("%.1f %% of what is about nobody is masked", over)
	}
}

// hour goes through the commands that a new user types.
func hour(t *testing.T, s *pgtest.Server, dump string, figures *hourFigures) (draft string) {
	t.Helper()
	f := newFiles(t, dump)
	step := func(name string, args ...string) outcome {
		t.Helper()
		start := time.Now()
		got := invoke(t, s.DSN("postgres"), args...)
		figures.seconds[name] = max(figures.seconds[name], time.Since(start).Seconds())
		if got.code != 0 {
			t.Fatalf("%s: exit code %d\n%s\n%s\nunder\n%s", name, got.code, got.stdout, got.stderr, draft)
		}
		if testing.Verbose() {
			t.Logf("%s:\n%s\n%s", name, got.stdout, got.stderr)
		}
		return got
	}
	step("draft", "draft-policy", "--dump", f.dump, "--output", f.policy)
	content, err := os.ReadFile(f.policy)
	if err != nil {
		t.Fatal(err)
	}
	draft = string(content)
	if testing.Verbose() {
		t.Log(draft)
	}
	step("plan", append([]string{"plan"}, f.args()...)...)
	step("run", append([]string{"run"}, f.args("--verify=full")...)...)
	step("verify", append([]string{"verify"}, f.args()...)...)
	step("evidence", "evidence")
	return draft
}

// judge compares every place of the seed with the dump's.
func (f *hourFigures) judge(t *testing.T, src, s *pgtest.Server, db string, labels []hourLabel) {
	t.Helper()
	// A session for each of thousands of questions would take minutes.
	dump, seed := src.Connect(t, db), s.Connect(t, "app")
	known := map[string]map[string]bool{} // of a table, what a label names
	for _, l := range labels {
		table := strings.ReplaceAll(l.table, `"`, "")
		if known[table] == nil {
			known[table] = map[string]bool{}
		}
		for _, place := range l.places {
			known[table][strings.Trim(place, `"`)] = true
			if !l.about {
				continue
			}
			f.places++
			before, after := distinct(t, dump, l.table, place), distinct(t, seed, l.table, place)
			if len(before) == 0 {
				t.Fatalf("%s: %s has no value", l.table, place)
			}
			if same := common(before, after); same*5 > len(after) {
				f.missed++
				t.Errorf("%s: %s is about somebody, and %d of the seed's %d values are the dump's", l.table, place, same, len(after))
			}
		}
	}
	for _, line := range src.Strings(t, db, `SELECT format('%I.%I', n.nspname, c.relname) || chr(9) || attname FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid JOIN pg_namespace n ON n.oid = relnamespace
		WHERE relkind = 'r' AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND nspname !~ '^pg_' AND attnum > 0 AND NOT attisdropped AND NOT relispartition AND attgenerated = '' OR relkind = 'p' AND attnum > 0 AND NOT relispartition AND attgenerated = '' ORDER BY 1`) {
		table, column, _ := strings.Cut(line, "\t")
		if known[strings.ReplaceAll(table, `"`, "")][column] {
			continue
		}
		before, after := distinct(t, dump, table, strconv.Quote(column)), distinct(t, seed, table, strconv.Quote(column))
		if len(before) == 0 {
			continue
		}
		f.harmless++
		if same := common(before, after); same*5 < len(before)*4 {
			f.masked++
			t.Logf("%s: %s is about nobody, and %d of its %d values are not in the seed", table, column, len(before)-same, len(before))
		}
	}
}

// distinct are the texts in a place of a table.
func distinct(t *testing.T, conn *pgx.Conn, table, place string) map[string]bool {
	t.Helper()
	// A place may be a set: it is computed in a list of columns.
	rows, err := conn.Query(t.Context(), "SELECT DISTINCT v::text FROM (SELECT "+place+" AS v FROM "+table+") p WHERE v IS NOT NULL", pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatalf("%s of %s: %v", place, table, err)
	}
	values, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s of %s: %v", place, table, err)
	}
	all := map[string]bool{}
	for _, v := range values {
		all[v] = true
	}
	return all
}

func common(a, b map[string]bool) (n int) {
	for v := range a {
		if b[v] {
			n++
		}
	}
	return n
}

var hourObjects = regexp.MustCompile(`(?m)^(?:CREATE .*|ALTER TABLE .*\n    ADD .*|ALTER TABLE .* (?:ENABLE|FORCE|CLUSTER|REPLICA) .*|    CONSTRAINT .*)$`)

// sameObjects compares what both databases are made of: nothing may be lost but what
// is foreign, and indexes of which the draft says so.
func sameObjects(t *testing.T, src, s *pgtest.Server, db, draft string) {
	t.Helper()
	var dropped []string
	for _, m := range regexp.MustCompile(`(?m)^      ("?[^"\n]+"?|'[^'\n]+'): drop$`).FindAllStringSubmatch(draft, -1) {
		name := strings.Trim(m[1], `'"`)
		dropped = append(dropped, name) // and its copies in partitions
		dropped = append(dropped, src.Strings(t, db, `WITH RECURSIVE parts AS (SELECT oid FROM pg_class WHERE relkind IN ('i', 'I') AND relname = '`+name+`'
			UNION ALL SELECT inhrelid FROM pg_inherits JOIN parts ON inhparent = parts.oid) SELECT relname FROM pg_class JOIN parts USING (oid)`)...)
	}
	list := func(s *pgtest.Server, db string) []string {
		out := s.MustShell(t, "pg_dump -h /run/postgresql -U postgres --schema-only --no-owner --no-privileges --no-comments --exclude-schema=seedling "+db)
		lines := hourObjects.FindAllString(out, -1)
		slices.Sort(lines)
		return lines
	}
	before, after := list(src, db), list(s, "app")
	for _, line := range before {
		if strings.HasPrefix(line, "CREATE SERVER") || slices.ContainsFunc(dropped, func(name string) bool { return strings.Contains(line, name) }) {
			continue
		}
		line = strings.Replace(line, "CREATE FOREIGN TABLE", "CREATE TABLE", 1)
		if i, ok := slices.BinarySearch(after, line); ok {
			after = slices.Delete(after, i, i+1)
		} else {
			t.Errorf("the seed has lost %s", line)
		}
	}
	for _, line := range after {
		t.Errorf("the dump has no %s", line)
	}
}
