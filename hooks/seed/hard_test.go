package seed_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/seed"
)

// hard is what real schemas carry, in its least convenient form.
func hard() string {
	var wide strings.Builder
	for i := range 300 {
		fmt.Fprintf(&wide, ", c%d %s", i, []string{"int DEFAULT 7", "text DEFAULT 'x'", "numeric(20,5)", "timestamptz", "jsonb"}[i%5])
	}
	return `
CREATE EXTENSION btree_gist; CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION pg_trgm; CREATE EXTENSION ltree;
CREATE SCHEMA "Odd; Schema"; CREATE SCHEMA empty_one;
CREATE COLLATION case_blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TYPE mood AS ENUM ('so so', 'o''k', 'na"h', 'back\slash');
CREATE TYPE pair AS (a int, "B b" text);
CREATE TYPE span AS RANGE (subtype = int);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN short AS varchar(10) NOT NULL DEFAULT 'x';
CREATE FUNCTION double(int) RETURNS int LANGUAGE sql IMMUTABLE AS $f$ SELECT $1 * 2 $f$;
CREATE FUNCTION atomic(a int) RETURNS int LANGUAGE sql IMMUTABLE BEGIN ATOMIC SELECT CASE WHEN a > 0 THEN a ELSE 0 END; SELECT a; END;
CREATE FUNCTION definer() RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path TO 'public', 'pg_temp' AS $_$ BEGIN RETURN '$1; DROP TABLE x'; END $_$;
CREATE PROCEDURE proc(INOUT a int) LANGUAGE plpgsql AS 'BEGIN a := a + 1; END';
CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
CREATE FUNCTION eq(pair, pair) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1.a = $2.a';
CREATE OPERATOR === (LEFTARG = pair, RIGHTARG = pair, FUNCTION = eq);
CREATE CAST (pair AS text) WITH INOUT;
CREATE TEXT SEARCH DICTIONARY dict (TEMPLATE = simple, ACCEPT = false);
CREATE TEXT SEARCH CONFIGURATION conf (COPY = simple); ALTER TEXT SEARCH CONFIGURATION conf ALTER MAPPING FOR word WITH dict, simple;

CREATE TABLE types (id int GENERATED ALWAYS AS IDENTITY (START 100 INCREMENT 5) PRIMARY KEY, m mood, p pair, pp pair[], s span, d positive, sh short,
	arr text[], arr2 int[][], h hstore, l ltree, x xml, j json, jb jsonb, b bytea, bits bit(5), vb varbit, ip inet, cidr cidr, mac macaddr, u uuid, mon money,
	pt point, ts tsvector, i interval, t time, ttz timetz, dt date, ts1 timestamp, tstz timestamptz, n numeric, n2 numeric(30,10), f4 real, f8 double precision,
	c char(7), "char" "char", ci citext, blind text COLLATE case_blind, r int4range, mr int4multirange, o oid, nm name, lsn pg_lsn,
	g int GENERATED ALWAYS AS (coalesce(d, 0) * 2) STORED);
INSERT INTO types (m, p, pp, s, d, sh, arr, arr2, h, l, x, j, jb, b, bits, vb, ip, cidr, mac, u, mon, pt, ts, i, t, ttz, dt, ts1, tstz, n, n2, f4, f8, c, "char", ci, blind, r, mr, o, nm, lsn)
	SELECT (ARRAY['so so', 'o''k', 'na"h', 'back\slash'])[1 + g % 4]::mood, ROW(g, E'a,"b\\')::pair, ARRAY[ROW(1, NULL)::pair, NULL], span(g, g + 5), g, 's' || g,
	ARRAY['a,b', '{', E'\t', '', 'NULL', NULL], ARRAY[[1, 2], [3, g]], hstore('k"=>' || g, NULL), ('a.b' || g)::ltree, '<a>&amp;</a>', '{"a":  1}', '{"b": [1, 2.50, "\u00e9\n"]}',
	decode(md5(g::text), 'hex'), B'10101', B'1' || g::bit(8), '2001:db8::1', '10.0.0.0/8', '08:00:2b:01:02:03', gen_random_uuid(), 12.5::numeric::money, point(g, -g), to_tsvector('a b c'), '1 mon -3 days 04:05:06.7',
	'23:59:59.999', '12:00+05:30', '0044-03-15 BC', 'infinity', '-infinity', 'NaN', 1e19, '1e-30', 'Infinity', 'ab', E'\\', 'CI', 'Blind' || g, '[1,5)', '{[1,2),[5,6)}', 4294967295, 'n', '0/16B3748'
	FROM generate_series(1, 300) g;
INSERT INTO types (sh) VALUES ('nulls');
CREATE TABLE wide (id int PRIMARY KEY` + wide.String() + `);
INSERT INTO wide (id, c2, c4) SELECT g, g, '{}' FROM generate_series(1, 500) g;
CREATE TABLE no_columns (); INSERT INTO no_columns DEFAULT VALUES; INSERT INTO no_columns DEFAULT VALUES;
CREATE TABLE no_rows (id int, t text);
CREATE TABLE dropped (a int, gone text, b text); INSERT INTO dropped VALUES (1, 'x', 'y'); ALTER TABLE dropped DROP COLUMN gone; ALTER TABLE dropped ADD COLUMN "new; one" text DEFAULT E'd''\\';
CREATE TABLE hostile (v text); INSERT INTO hostile VALUES (E'\\.'), (E'a\n\\.\nb'), (''), (E'\\N'), (NULL), (E'\t\r\n\x08\x0b\x0c'), (E'\\\\'), ('é漢字😀'), (repeat('long ', 200000)), (E'\x01\x7f');
CREATE TABLE "Odd; Schema"."we""ird
-- Name: x; Type: TABLE; Schema: public; Owner: y
'$$' \ table" ("a\b" int PRIMARY KEY, "select" text, "Ünï, (cödé)" text);
INSERT INTO "Odd; Schema"."we""ird
-- Name: x; Type: TABLE; Schema: public; Owner: y
'$$' \ table" VALUES (1, 'x', 'y');
CREATE INDEX "i; DROP TABLE x" ON "Odd; Schema"."we""ird
-- Name: x; Type: TABLE; Schema: public; Owner: y
'$$' \ table" ("select");
COMMENT ON COLUMN "Odd; Schema"."we""ird
-- Name: x; Type: TABLE; Schema: public; Owner: y
'$$' \ table"."select" IS E'it''s a\n-- comment; with \\ everything';

CREATE TABLE a (id int PRIMARY KEY, b_id int); CREATE TABLE b (id int PRIMARY KEY, a_id int REFERENCES a DEFERRABLE INITIALLY DEFERRED, self int REFERENCES b);
ALTER TABLE a ADD CONSTRAINT circle FOREIGN KEY (b_id) REFERENCES b DEFERRABLE;
BEGIN; SET CONSTRAINTS ALL DEFERRED; INSERT INTO a SELECT g, g FROM generate_series(1, 50) g; INSERT INTO b SELECT g, g, 51 - g FROM generate_series(1, 50) g; COMMIT;
ALTER TABLE a ADD CONSTRAINT late CHECK (id < 40) NOT VALID;
CREATE TABLE bookings (room int, during tstzrange, EXCLUDE USING gist (room WITH =, during WITH &&));
INSERT INTO bookings SELECT g % 5, tstzrange('2024-01-01'::timestamptz + g * interval '1 day', '2024-01-01'::timestamptz + g * interval '1 day' + interval '1 hour') FROM generate_series(1, 100) g;
CREATE TABLE uniques (a text, b text, c text, d text, UNIQUE NULLS NOT DISTINCT (a, b));
CREATE UNIQUE INDEX lowered ON uniques (lower(c)) INCLUDE (a) WHERE b IS NOT NULL;
CREATE INDEX trgm ON uniques USING gin (d gin_trgm_ops); CREATE INDEX ordered ON uniques (a DESC NULLS LAST, b COLLATE "C");
INSERT INTO uniques SELECT 'a' || g, 'b' || g, 'C' || g, 'd' || g FROM generate_series(1, 100) g;
ALTER TABLE uniques REPLICA IDENTITY FULL;
CREATE TABLE clustered (id int PRIMARY KEY, v text) WITH (fillfactor = 70, autovacuum_enabled = off); ALTER TABLE clustered CLUSTER ON clustered_pkey;
ALTER TABLE clustered ALTER v SET STORAGE EXTERNAL; ALTER TABLE clustered ALTER v SET STATISTICS 500; ALTER TABLE clustered ALTER v SET COMPRESSION pglz;
INSERT INTO clustered SELECT g, 'v' || g FROM generate_series(1, 100) g;
CREATE STATISTICS multi (dependencies, mcv) ON a, b FROM uniques;

CREATE TABLE parts (id int, at date NOT NULL, region text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE parts_23 PARTITION OF parts FOR VALUES FROM (MINVALUE) TO ('2024-01-01') PARTITION BY HASH (id);
CREATE TABLE parts_23_a PARTITION OF parts_23 FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE parts_23_b PARTITION OF parts_23 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE regions (region text, n int) PARTITION BY LIST (region); CREATE TABLE regions_eu PARTITION OF regions FOR VALUES IN ('eu', NULL, 'it''s'); CREATE TABLE regions_rest PARTITION OF regions DEFAULT;
INSERT INTO regions SELECT (ARRAY['eu', 'us', NULL])[1 + g % 3], g FROM generate_series(1, 100) g;
CREATE TABLE parts_24 (region text, id int NOT NULL, extra_gone int, at date NOT NULL); ALTER TABLE parts_24 DROP COLUMN extra_gone;
ALTER TABLE parts ATTACH PARTITION parts_24 FOR VALUES FROM ('2024-01-01') TO (MAXVALUE);
CREATE INDEX ON parts (region);
INSERT INTO parts SELECT g, date '2023-06-01' + g, (ARRAY['eu', 'us', NULL])[1 + g % 3] FROM generate_series(1, 500) g;
CREATE TABLE hashed (id int PRIMARY KEY, v text) PARTITION BY HASH (id);
CREATE TABLE hashed_0 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE hashed_1 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO hashed SELECT g, 'v' FROM generate_series(1, 100) g;
CREATE TABLE refs (id int, at date, FOREIGN KEY (id, at) REFERENCES parts, hid int REFERENCES hashed); INSERT INTO refs SELECT id, at, 1 FROM parts LIMIT 10;
CREATE TABLE parent (id int, v text); CREATE TABLE child (extra text, n int) INHERITS (parent); INSERT INTO parent VALUES (1, 'p'); INSERT INTO child VALUES (2, 'c', 'e', 3);
CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler; CREATE TABLE other_heap (a int) USING heap2; INSERT INTO other_heap VALUES (1);
CREATE TABLE parted_heap (a int) PARTITION BY LIST (a) USING heap2; CREATE TABLE parted_heap_1 PARTITION OF parted_heap FOR VALUES IN (1);

CREATE VIEW grouped AS SELECT id, v, count(*) FROM clustered GROUP BY id;
CREATE VIEW checked WITH (security_invoker = true) AS SELECT * FROM no_rows WHERE id > 0 WITH CASCADED CHECK OPTION;
CREATE VIEW rec WITH (security_barrier = true) AS SELECT 'a;b'::text AS v;
CREATE MATERIALIZED VIEW mv1 AS SELECT id, v FROM clustered WHERE id < 50; CREATE UNIQUE INDEX ON mv1 (id);
CREATE MATERIALIZED VIEW mv2 AS SELECT count(*) AS n FROM mv1; CREATE MATERIALIZED VIEW mv_empty AS SELECT 1 AS one WITH NO DATA;
CREATE RULE redirect AS ON INSERT TO grouped DO INSTEAD (INSERT INTO no_rows VALUES (1, 'x'); INSERT INTO no_rows VALUES (2, ';'));
CREATE FUNCTION trg() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'a trigger ran'; END $$;
CREATE TRIGGER t1 BEFORE INSERT ON a FOR EACH ROW WHEN (NEW.id > 0) EXECUTE FUNCTION trg();
CREATE TRIGGER t2 AFTER UPDATE OF b_id ON a FOR EACH STATEMENT EXECUTE FUNCTION trg('arg;', 'two'); ALTER TABLE a DISABLE TRIGGER t2;
CREATE CONSTRAINT TRIGGER t3 AFTER INSERT ON b DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION trg(); ALTER TABLE b ENABLE ALWAYS TRIGGER t3;
CREATE FUNCTION evt() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER ev ON ddl_command_start WHEN TAG IN ('DROP TABLE') EXECUTE FUNCTION evt();
ALTER TABLE uniques ENABLE ROW LEVEL SECURITY; ALTER TABLE uniques FORCE ROW LEVEL SECURITY;
CREATE POLICY mine ON uniques AS RESTRICTIVE FOR SELECT TO public USING (a = current_user) ; CREATE POLICY "odd ""p" ON uniques FOR INSERT WITH CHECK (b <> ' TO x');
CREATE PUBLICATION pub FOR TABLE a, uniques (a, b) WHERE (a > 'x') WITH (publish = 'insert'); CREATE PUBLICATION pub2 FOR TABLES IN SCHEMA empty_one; CREATE PUBLICATION pub3 FOR ALL TABLES;
CREATE SEQUENCE counter AS smallint MINVALUE -5 CYCLE CACHE 3; SELECT nextval('counter'), nextval('counter');
CREATE SEQUENCE untouched; CREATE TABLE serials (id bigserial, other int DEFAULT nextval('counter')); INSERT INTO serials DEFAULT VALUES; SELECT setval('serials_id_seq', 4000000000);
CREATE UNLOGGED TABLE unlogged (id int GENERATED BY DEFAULT AS IDENTITY, v text); INSERT INTO unlogged (v) VALUES ('survives');
GRANT SELECT (a, b), UPDATE (c) ON uniques TO public; REVOKE EXECUTE ON FUNCTION definer() FROM public; GRANT USAGE ON SCHEMA "Odd; Schema" TO pg_monitor WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES IN SCHEMA empty_one GRANT SELECT ON TABLES TO public;
SELECT lo_from_bytea(101, 'one'), lo_from_bytea(102, decode(repeat('00ff', 300000), 'hex')), lo_create(103); GRANT SELECT ON LARGE OBJECT 101, 102 TO public;
COMMENT ON SCHEMA empty_one IS 'empty'; COMMENT ON INDEX trgm IS 'index'; COMMENT ON CONSTRAINT late ON a IS 'constraint'; COMMENT ON TRIGGER t1 ON a IS 'trigger';
COMMENT ON RULE redirect ON grouped IS 'rule'; COMMENT ON POLICY mine ON uniques IS 'policy'; COMMENT ON PUBLICATION pub IS 'publication'; COMMENT ON STATISTICS multi IS 'statistics';
COMMENT ON EVENT TRIGGER ev IS 'event trigger'; COMMENT ON EXTENSION citext IS 'extension'; COMMENT ON FUNCTION double(int) IS 'function'; COMMENT ON TYPE pair IS 'type';
COMMENT ON DATABASE current IS 'x';`
}

// TestHardSchema restores the hard schema with pg_restore and with an import
// that keeps everything: pg_dump must not see a difference.
func TestHardSchema(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	sql := hard()
	sql = sql[:strings.LastIndex(sql, "COMMENT ON DATABASE")]
	db := src.Database(t, sql)
	file := src.Dump(t, db, "-Fc --no-owner")
	s := pgtest.Start(t)
	report := mustImport(t, options(t, s, file, everythingKept+"roles: {postgres: postgres}\n"), seed.Imported)
	nothingLeft(t, s)
	s.Put(t, file, "/tmp/oracle.dump")
	s.Exec(t, "postgres", "CREATE DATABASE oracle TEMPLATE template0")
	s.MustShell(t, "pg_restore --exit-on-error -h /run/postgresql -U postgres -d oracle --no-owner /tmp/oracle.dump")
	dump := func(db string) string {
		out := s.MustShell(t, "pg_dump -h /run/postgresql -U postgres --no-owner --exclude-schema=seedling "+db+" | grep -v '^.\\(un\\)\\?restrict '")
		return strings.NewReplacer("UNLOGGED ", "", "SET UNLOGGED", "SET LOGGED").Replace(out)
	}
	if diff := cmp.Diff(dump("oracle"), dump("app")); diff != "" {
		t.Error(diff)
	}
	if report.LargeObjects != 3 {
		t.Errorf("%d large objects", report.LargeObjects)
	}
	if got := s.Strings(t, "app", "SELECT v FROM unlogged"); len(got) != 1 || got[0] != "survives" {
		t.Errorf("unlogged table: %v", got)
	}
	invalid := s.Strings(t, "app", "SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid OR NOT indisready")
	if len(invalid) > 0 {
		t.Errorf("invalid indexes: %v", invalid)
	}
}

// TestDraftOfHardSchema: a draft covers every column of the hard schema, and
// plans as it is.
func TestDraftOfHardSchema(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	sql := hard()
	file := src.Dump(t, src.Database(t, sql[:strings.LastIndex(sql, "COMMENT ON DATABASE")]), "-Fc --no-owner")
	s := pgtest.Start(t)
	o := options(t, s, file, everythingKept)
	draft, err := seed.Draft(t.Context(), o, true, true)
	if err != nil {
		t.Fatal(err)
	}
	if o.Policy, err = mask.ParsePolicy(draft); err != nil {
		t.Fatalf("%v\n%s", err, draft)
	}
	if _, err := seed.Plan(t.Context(), o, true); err != nil {
		t.Errorf("plan under the draft: %v\n%s", err, draft)
	}
	nothingLeft(t, s)
}

// family has a foreign key that the inheritance child of its table does not.
const family = `CREATE TABLE parent (id int PRIMARY KEY); INSERT INTO parent VALUES (1);
	CREATE TABLE base (id int, up int NOT NULL REFERENCES parent); CREATE TABLE heir () INHERITS (base);
	INSERT INTO base VALUES (1, 1); INSERT INTO heir VALUES (2, 7);`

const familyPolicy = `
version: 1
tables:
  public.parent: {columns: {id: keep}}
  public.base: {columns: {id: keep, up: keep}}
`

// TestFormats imports one database through every format, with the same masks.
func TestFormats(t *testing.T) { //nolint:tparallel // its subtests share a server, and look at what is left on it
	t.Parallel()
	src := pgtest.Source(t)
	db := src.Database(t, shop)
	s := pgtest.Start(t)
	sums := func() []string {
		var out []string
		for _, table := range []string{"users", "orders", "events", `crm."Contact"`, "carts", "totals"} {
			out = append(out, s.Strings(t, "app", "SELECT '"+table+" ' || count(*) || ' ' || sum(hashtextextended(x::text, 0)) FROM "+table+" x")...)
		}
		return append(out, s.Strings(t, "app", "SELECT indexrelid::regclass || ' ' || indisvalid FROM pg_index WHERE indexrelid::regclass::text !~ '^(pg_|seedling)' ORDER BY 1")...)
	}
	var want []string
	for _, command := range []string{
		"pg_dump -Fc DB", "pg_dump -Fc -Z zstd DB", "pg_dump -Fc -Z lz4 DB", "pg_dump -Ft DB", "pg_dump DB", "pg_dump DB | gzip", "pg_dump -Fc -Z 0 DB | gzip -1", "pg_dump -Ft DB | gzip",
		"rm -rf d && pg_dump -Fd -f d DB && tar c d",
	} {
		t.Run(command, func(t *testing.T) {
			file := src.Pipe(t, command, db)
			o := options(t, s, file, shopPolicy)
			// Large values of parallelism must not hurt either.
			o.Jobs = 4
			mustImport(t, o, seed.Imported)
			nothingLeft(t, s)
			got := sums()
			if want == nil {
				want = got
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("directory", func(t *testing.T) {
		mustImport(t, options(t, s, src.Dump(t, db, "-Fd -j 2"), shopPolicy), seed.Imported)
		if diff := cmp.Diff(want, sums()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("accepted literals", func(t *testing.T) {
		db := src.Database(t, "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT 'boss@corp-holding.com' $$; CREATE TABLE t (v text DEFAULT 'boss@corp-holding.com')")
		var digests []string
		for _, command := range []string{"pg_dump -Fc DB", "pg_dump DB"} {
			err := refused(t, options(t, s, src.Pipe(t, command, db), shopPolicy), "an e-mail address")
			var found *seed.LiteralsError
			if !errors.As(err, &found) {
				t.Fatal(err)
			}
			digests = append(digests, found.Fragment())
		}
		if diff := cmp.Diff(digests[0], digests[1]); diff != "" {
			t.Errorf("what one format's digest accepts, the other's does not: %s", diff)
		}
	})
	for _, command := range []string{"pg_dump --clean --if-exists DB", "pg_dump --create --clean DB", "pg_dump -Fc --quote-all-identifiers DB", "pg_dump -Fc --schema=public --schema=crm --extension=citext DB"} {
		t.Run(command, func(t *testing.T) {
			policy := shopPolicy
			if strings.Contains(command, "--schema") {
				policy = strings.Replace(policy, "large_objects: none", "", 1)
			}
			mustImport(t, options(t, s, src.Pipe(t, command, db), policy), seed.Imported)
			if diff := cmp.Diff(want, sums()); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("rows alone", func(t *testing.T) {
		_ = refused(t, options(t, s, src.Pipe(t, "pg_dump -Fc --data-only DB", db), shopPolicy), "--data-only")
	})
	t.Run("excluded rows", func(t *testing.T) {
		_ = refused(t, options(t, s, src.Pipe(t, "pg_dump -Fc --exclude-table-data=users DB", db), shopPolicy), "references public.users, of which the dump holds no rows")
		// Where the rows cannot be looked at first, it is a warning.
		report, err := seed.Plan(t.Context(), options(t, s, src.Pipe(t, "pg_dump --exclude-table-data=parent DB | gzip", src.Database(t, family)), familyPolicy), true)
		if err != nil || !strings.Contains(strings.Join(report.Warnings, "\n"), "references public.parent, of which the dump holds no rows") {
			t.Errorf("error %v, warnings %v", err, report.Warnings)
		}
		// A foreign key is not inherited.
		if _, err := seed.Plan(t.Context(), options(t, s, src.Pipe(t, "pg_dump -Fc --exclude-table-data=parent DB", src.Database(t, family+"DELETE FROM ONLY base")), familyPolicy), true); err != nil {
			t.Error(err)
		}
	})
	t.Run("a name of two lines", func(t *testing.T) {
		two := src.Database(t, "CREATE TABLE \"two\nlines\" (id int PRIMARY KEY); INSERT INTO \"two\nlines\" VALUES (1); CREATE TABLE kid (id int REFERENCES \"two\nlines\"); INSERT INTO kid VALUES (1)")
		for _, command := range []string{"pg_dump DB", "pg_dump -Fc DB"} {
			if _, err := seed.Plan(t.Context(), options(t, s, src.Pipe(t, command, two), strings.Replace(everythingKept, "large_objects: keep", "large_objects: none", 1)), true); err != nil {
				t.Errorf("%s: %v", command, err)
			}
		}
	})
	t.Run("owners of some", func(t *testing.T) {
		_ = refused(t, options(t, s, src.Pipe(t, "pg_dump DB | sed 's/^\\(-- Name: v; Type: VIEW; .*Owner: \\).*/\\1-/'", db), shopPolicy), "--no-owner")
	})
	t.Run("no rows", func(t *testing.T) {
		_ = refused(t, options(t, s, src.Pipe(t, "pg_dump -Fc --schema-only DB", db), shopPolicy), "--schema-only")
	})
	t.Run("other sessions", func(t *testing.T) {
		_ = refused(t, options(t, s, src.Pipe(t, "pg_dump --use-set-session-authorization DB", db), shopPolicy), "--use-set-session-authorization")
	})
	t.Run("dumpall", func(t *testing.T) {
		alone := pgtest.Start(t) // of the common source other tests drop databases meanwhile
		_ = refused(t, options(t, s, alone.Pipe(t, "pg_dumpall", alone.Database(t, family)), shopPolicy), "pg_dumpall")
	})
	t.Run("large objects of a plain dump", func(t *testing.T) {
		_ = refused(t, options(t, s, src.Pipe(t, "pg_dump DB", db), strings.Replace(shopPolicy, "large_objects: none", "large_objects: keep", 1)), "plain dump")
	})
	t.Run("damaged", func(t *testing.T) {
		for _, cut := range []string{"pg_dump DB | gzip -1 | head -c 100000", "pg_dump DB | head -c 900000", "pg_dump -Fc -Z0 DB | gzip | head -c 100000"} {
			_ = refused(t, options(t, s, src.Pipe(t, cut, db), shopPolicy), "the dump is")
			nothingLeft(t, s)
		}
	})
	t.Run("without what comes behind the rows", func(t *testing.T) {
		keyed := src.Database(t, "CREATE TABLE keyed (id int PRIMARY KEY); INSERT INTO keyed VALUES (1)")
		policy := "version: 1\ntables: {public.keyed: {columns: {id: keep}}}\n"
		report := mustImport(t, options(t, s, src.Pipe(t, "pg_dump -Fc DB", keyed), policy), seed.Imported)
		if len(report.Warnings) > 0 {
			t.Errorf("warnings %q", report.Warnings)
		}
		report = mustImport(t, options(t, s, src.Pipe(t, "pg_dump -Fc --section=pre-data --section=data DB", keyed), policy), seed.Imported)
		if !strings.Contains(strings.Join(report.Warnings, "\n"), "--section") {
			t.Errorf("warnings %q", report.Warnings)
		}
	})
}

// TestForeign: foreign tables become empty local ones, and nothing that names
// another system is restored.
func TestForeign(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	db := src.Database(t, `CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'PLANTEDHOST');
		CREATE USER MAPPING FOR postgres SERVER far OPTIONS (user 'u', password 'PLANTEDPASSWORD'); CREATE USER MAPPING FOR public SERVER far;
		CREATE FOREIGN TABLE far_away (id int OPTIONS (column_name 'PLANTEDCOLUMN') NOT NULL, v text DEFAULT 'x') SERVER far OPTIONS (table_name 'PLANTEDTABLE');
		CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
		CREATE FOREIGN TABLE server (id serial, v int) SERVER far; ALTER TABLE server ADD CONSTRAINT positive CHECK (v > 0) NOT VALID;
		CREATE TRIGGER idle BEFORE INSERT ON server FOR EACH ROW EXECUTE FUNCTION refuse(); ALTER TABLE server DISABLE TRIGGER idle;
		GRANT USAGE ON FOREIGN SERVER far TO public; CREATE VIEW over AS SELECT * FROM far_away;
		CREATE MATERIALIZED VIEW mv AS SELECT 1 AS n FROM far_away WITH NO DATA;
		CREATE SUBSCRIPTION sub CONNECTION 'host=PLANTEDHOST dbname=x' PUBLICATION p WITH (connect = false, slot_name = NONE);
		CREATE SCHEMA a; CREATE SCHEMA "a.b"; CREATE FOREIGN TABLE a."b.c" (id int) SERVER far; CREATE TABLE "a.b".c (id int); INSERT INTO "a.b".c VALUES (5);
		CREATE TABLE t (id int); INSERT INTO t VALUES (1); ANALYZE; COMMENT ON TABLE t IS 'PLANTEDCOMMENT';
		DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET app.tenant = %L', current_database(), 'PLANTEDSETTING'); END $$`)
	file := src.Dump(t, db, "-Fc --create --enable-row-security")
	plain := src.Dump(t, db, "--create")
	src.Exec(t, db, "DROP SUBSCRIPTION sub")
	s := pgtest.Start(t)
	policy := `
version: 1
tables:
  public.t: {columns: {id: keep}}
  public.far_away: {rows: none}
  public.server: {rows: none}
  a."b.c": {rows: none}
  '"a.b".c': {columns: {id: keep}}
`
	mustImport(t, options(t, s, plain, policy), seed.Imported)
	report := mustImport(t, options(t, s, file, policy), seed.Imported)
	for query, want := range map[string]string{
		"SELECT relkind FROM pg_class WHERE relname = 'far_away'":        "r",
		"SELECT count(*) FROM over":                                      "0",
		"SELECT count(*) FROM pg_foreign_server":                         "0",
		"SELECT count(*) FROM pg_user_mapping":                           "0",
		"SELECT count(*) FROM pg_subscription":                           "0",
		"SELECT count(*) FROM pg_db_role_setting WHERE setdatabase <> 0": "0",
		"SELECT count(*) FROM t":                                         "1",
		`SELECT id FROM "a.b".c`:                                         "5",
		"INSERT INTO server (v) VALUES (1) RETURNING id":                 "1",
	} {
		if got := s.Strings(t, "app", query); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %v, want %s", query, got, want)
		}
	}
	s.Exec(t, "postgres", "CHECKPOINT")
	if out, err := s.Shell(t, "grep -rl --binary-files=text PLANTED /var/lib/postgresql"); err == nil {
		t.Errorf("PLANTED stands in %s", out)
	}
	left := strings.Join(report.LeftOut, "\n")
	for _, want := range []string{"foreign server", "user mapping", "subscription", "comment", "settings of the database", "foreign table public.far_away"} {
		if !strings.Contains(left, want) {
			t.Errorf("the report does not say that it left out: %s\n%s", want, left)
		}
	}
}
