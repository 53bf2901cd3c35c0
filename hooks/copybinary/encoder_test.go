package copybinary_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/seedling-dev/seedling/hooks/copybinary"
	"github.com/seedling-dev/seedling/hooks/copytext"
	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// columns are the types, with values over g that the server makes of them, and
// those that it writes and that are left to it. Types after the first of a line
// take the same texts.
var columns = []struct {
	types  []string
	values string
	odd    string // literals of the first type
	left   string // a regular expression of texts that may be left
}{
	{types: []string{"text", "varchar", "label", "citext", "name"}, values: "left(md5(g::text), g % 30)", odd: `'', ' ', E'\\', E'\\N', E'\\.', E'\t', E'a\nb', E'\r\n', E'\x08\x0b\x0c\x01\x7f', 'é', '漢字', '😀', 'NULL'`},
	{types: []string{"varchar(64)", "char(64)"}, values: "repeat('é ', g % 20)", odd: `'', ' ', 'x  ', E'\t'`},
	{types: []string{"mood"}, values: "(enum_range(NULL::mood))[1 + g % 3]", odd: "'sad'"},
	{types: []string{"json", "jsonb"}, values: `json_build_object('a', md5(g::text), 'b', array[g, NULL], 'c', E'é"\\\n')`, odd: `'null', '"\\u00e9"', '[1.50, 1e5]', ' {"a":1, "a":2}'`},
	{types: []string{"boolean"}, values: "g % 2 = 0", odd: "true"},
	{types: []string{"smallint", "integer", "bigint", "oid_or_null"}, values: "g * 65 - 32768", odd: "0, -1, 32767, -32768", left: "^-"},
	{types: []string{"integer", "bigint", "positive"}, values: "g * 2147483 + 7", odd: "1, 2147483647"},
	{types: []string{"bigint"}, values: "(random() * 1.8e19 - 9e18)::bigint", odd: "0, 9223372036854775807, -9223372036854775808"},
	{types: []string{"oid", "bigint"}, values: "g::bigint * 4294967", odd: "0, 4294967295"},
	{types: []string{"real", "double precision"}, values: "(exp(random() * 170 - 85) * sign(random() - 0.5))::real", odd: "'NaN', 'Infinity', '-Infinity', 0, -0.0, 3.4028235e38, 1.17549435e-38"},
	{types: []string{"double precision"}, values: "exp(random() * 1400 - 700) * sign(random() - 0.5)", odd: "'NaN', 'Infinity', '-Infinity', 0, -0.0, 1e15, 1e16, 0.0001, 0.00001, 4.9e-324", left: "e\\+308$"},
	{types: []string{"numeric", "numeric(60,9)"}, values: "round((random()::numeric * 10::numeric ^ (g % 40) - 5 * 10::numeric ^ (g % 39)), g % 23)", odd: "0, 0.00, -0.001, 1.0, 10000, 9999, 10000.0001, 0.00010000, 'NaN'"},
	{types: []string{"numeric"}, values: "round(random()::numeric / 10::numeric ^ (g % 90), g % 120)", odd: "'Infinity', '-Infinity', 1e1000, 1e-1000"},
	{types: []string{"date"}, values: "date '4711-01-01 BC' + (random() * 2147000000)::int", odd: "'infinity', '-infinity', '0001-12-31 BC', '0001-01-01', '2024-02-29', '1900-03-01', '0044-03-15 BC', '1600-02-29', '12024-02-29', '4713-12-01 BC', '5874897-12-31'", left: "^4713|^5874897|^4712.*BC"},
	{types: []string{"date"}, values: "date '1582-01-01' + (random() * 200000)::int", odd: "'infinity', '-infinity'"},
	{types: []string{"time", "time(3)"}, values: "time '00:00' + random() * interval '1 day'", odd: "'00:00', '23:59:59.999999'"},
	{types: []string{"time"}, values: "time '23:00'", odd: "'24:00'", left: "^24"},
	{types: []string{"timestamp", "timestamp(0)", "timestamp(3)"}, values: "timestamp '4711-01-01 BC' + random() * interval '298985 years'", odd: "'infinity', '-infinity', '0044-03-15 12:00 BC', '2024-02-29 00:00:00.000001', '2000-01-01', '1999-12-31 23:59:59.999999', '0001-12-31 23:59:59 BC', '294276-12-31 23:59:59.999999'", left: "^294276"},
	{types: []string{"timestamptz", "timestamptz(2)"}, values: "timestamptz '4711-01-02 BC' + random() * interval '298984 years'", odd: "'infinity', '-infinity', '0044-03-15 12:00+00 BC', '1890-01-01 00:00:00+00', '2000-01-01'"},
	{types: []string{"timestamptz"}, values: "timestamptz '1880-01-02' + random() * interval '200 years'", odd: "'infinity'"},
	{types: []string{"uuid"}, values: "gen_random_uuid()", odd: "'00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff'"},
	{types: []string{"bytea"}, values: "decode(left(md5(g::text), 2 * (g % 16)), 'hex')", odd: `'', '\x00', '\x5c'`},
	{types: []string{"inet"}, values: "inet '0.0.0.0' + (random() * 4294967295)::bigint", odd: "'10.1.2.3/8', '::', '::1', '2001:db8::7/64', '::ffff:1.2.3.4', '::ffff:1.2.3.4/100', 'fe80::1:2', '0.0.0.0/0', '::/0'"},
	{types: []string{"cidr", "inet"}, values: "network(set_masklen(inet '0.0.0.0' + (random() * 4294967295)::bigint, g % 33))", odd: "'2001:db8::/32', '::/0', '0.0.0.0/0', '::ffff:0:0/96'"},
}

// TestServerReadsTheSame loads what the server itself writes, and texts that
// lie altered to it, once as text and once in binary format, where Append takes
// it. Both must be accepted, and be the same to the bit. What the server
// writes must be taken, but for what is listed.
func TestServerReadsTheSame(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	server := pgtest.Source(t)
	conn := server.Connect(t, server.Database(t, `CREATE EXTENSION citext;
		CREATE TYPE mood AS ENUM ('sad', 'na"h', E'back\\slash\tand tab');
		CREATE DOMAIN label AS text; CREATE DOMAIN positive AS integer CHECK (VALUE > 0); CREATE DOMAIN oid_or_null AS oid`))
	random := rand.New(rand.NewPCG(1, 2)) // the same texts each time
	// The zone and the digits are those of the session that writes.
	for _, settings := range []string{"SET timezone = 'UTC'; SET extra_float_digits = 3", "SET timezone = 'Europe/Amsterdam'; SET extra_float_digits = 0", "SET timezone = 'America/St_Johns'"} {
		exec(t, conn, settings+"; SELECT setseed(0.5)")
		for _, c := range columns {
			first := c.types[0]
			rows, err := conn.Query(ctx, fmt.Sprintf(`SELECT CASE WHEN v IS NOT NULL THEN format('%%s', v) END, coalesce(v::text ~ nullif($1, ''), false) FROM
				(SELECT (%s)::%s AS v FROM generate_series(1, 1000) g UNION ALL SELECT v::%s FROM unnest(ARRAY[%s]::%s[]) v UNION ALL SELECT NULL) s`,
				c.values, first, first, c.odd, first), c.left)
			if err != nil {
				t.Fatal(err)
			}
			type value struct {
				text *string
				left bool
			}
			list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (v value, err error) {
				return v, row.Scan(&v.text, &v.left)
			})
			if err != nil {
				t.Fatalf("%s: %v", first, err)
			}
			for _, name := range c.types {
				encoder := copybinary.NewEncoder([]copybinary.Type{copybinary.Int4, typeOf(t, conn, name)})
				text, bin := []byte{}, []byte(copybinary.Header)
				id, altered := 0, 0
				add := func(value []byte) (taken bool) {
					row := append(fmt.Appendf(nil, "%d\t", id), value...)
					next, err := encoder.Append(bin, row)
					if err != nil {
						if !errors.Is(err, copybinary.ErrText) || len(next) != len(bin) {
							t.Fatalf("%s: Append left %d bytes and said %v", name, len(next)-len(bin), err)
						}
						return false
					}
					id++
					text, bin = append(append(text, row...), '\n'), next
					return true
				}
				for _, v := range list {
					if v.text == nil {
						if !add([]byte(copytext.Null)) {
							t.Errorf("%s: NULL was left", name)
						}
						continue
					}
					field := copytext.Escape(nil, []byte(*v.text))
					if !add(field) && !v.left {
						t.Fatalf("%s: %q was left, which the server wrote", name, *v.text)
					}
					if exact(name) {
						for range 3 {
							if add(near(random, field)) {
								altered++
							}
						}
					}
				}
				same(t, conn, name, text, append(bin, copybinary.Trailer...))
				t.Logf("%s: %d texts, of them %d altered ones", name, id, altered)
			}
		}
	}
}

// exact says that a text of the type is not just any, and that what is close to
// one breaks no constraint.
func exact(name string) bool {
	for _, p := range []string{"text", "varchar", "char", "label", "citext", "name", "mood", "json", "positive", "numeric("} {
		if strings.HasPrefix(name, p) {
			return false
		}
	}
	return true
}

// near changes a character or two.
func near(random *rand.Rand, text []byte) []byte {
	const others = "0123456789-:. +,/BCeEaxNinfty\\_T"
	out := bytes.Clone(text)
	for range 1 + random.IntN(2) {
		i := random.IntN(len(out) + 1)
		c := others[random.IntN(len(others))]
		switch {
		case i == len(out):
			out = append(out, c)
		case random.IntN(3) == 0:
			out = append(out[:i], out[i+1:]...)
		case random.IntN(2) == 0:
			out = append(out[:i], append([]byte{c}, out[i:]...)...)
		default:
			out[i] = c
		}
	}
	return out
}

func exec(t testing.TB, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.PgConn().Exec(context.Background(), sql).ReadAll(); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// typeOf asks the server by what function it reads a type.
func typeOf(t testing.TB, conn *pgx.Conn, name string) copybinary.Type {
	t.Helper()
	var function string
	err := conn.QueryRow(context.Background(), `SELECT p.prosrc FROM pg_type t LEFT JOIN pg_type b ON b.oid = t.typbasetype
		JOIN pg_proc p ON p.oid = coalesce(b.typreceive, t.typreceive) WHERE t.oid = to_regtype($1)`, name).Scan(&function)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	got, ok := copybinary.ByReceive(function)
	if !ok {
		t.Fatalf("%s: there is no type for %s", name, function)
	}
	return got
}

// same loads rows both ways and compares what is stored.
func same(t *testing.T, conn *pgx.Conn, name string, text, bin []byte) {
	t.Helper()
	ctx := context.Background()
	exec(t, conn, fmt.Sprintf("DROP TABLE IF EXISTS a, b; CREATE TABLE a (id int, v %s); CREATE TABLE b (id int, v %s)", name, name))
	if _, err := conn.PgConn().CopyFrom(ctx, bytes.NewReader(text), "COPY a FROM STDIN"); err != nil {
		t.Fatalf("%s: Append took what the server refuses as text: %v", name, err)
	}
	if _, err := conn.PgConn().CopyFrom(ctx, bytes.NewReader(bin), "COPY b FROM STDIN (FORMAT binary)"); err != nil {
		t.Fatalf("%s: the server refuses the binary form: %v", name, err)
	}
	var rows, differ int
	var example *string
	err := conn.QueryRow(ctx, "SELECT count(*), count(*) FILTER (WHERE a *<> b), min(a.v::text || ' <> ' || b.v::text) FILTER (WHERE a *<> b) FROM a JOIN b USING (id)", pgx.QueryExecModeSimpleProtocol).Scan(&rows, &differ, &example)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(text, []byte{'\n'}); rows != n {
		t.Errorf("%s: %d rows of %d arrived", name, rows, n)
	}
	if differ > 0 {
		t.Errorf("%s: %d of %d values differ, among them %s", name, differ, rows, *example)
	}
}

func TestAppendLeaves(t *testing.T) {
	t.Parallel()
	two := []copybinary.Type{copybinary.Int4, copybinary.Text}
	for _, row := range []string{"", "1", "1\t2\t3", "1\tx\\", `\.`, "\t", "x\ty", "2147483648\tx", "1\ta\\000b"} {
		dst := []byte("before")
		got, err := copybinary.NewEncoder(two).Append(dst, []byte(row))
		if !errors.Is(err, copybinary.ErrText) || string(got) != "before" {
			t.Errorf("%q: got %q, %v", row, got, err)
		}
	}
	if _, err := copybinary.NewEncoder([]copybinary.Type{copybinary.Name}).Append(nil, bytes.Repeat([]byte("x"), 64)); !errors.Is(err, copybinary.ErrText) {
		t.Errorf("a long name: %v", err)
	}
	if got, err := copybinary.NewEncoder(nil).Append(nil, nil); err != nil || !bytes.Equal(got, []byte{0, 0}) {
		t.Errorf("no columns: got %x, %v", got, err)
	}
	for _, function := range []string{"", "array_recv", "interval_recv", "textout"} {
		if _, ok := copybinary.ByReceive(function); ok {
			t.Errorf("%q has a type", function)
		}
	}
}

var shopTypes = []copybinary.Type{copybinary.Int8, copybinary.Int8, copybinary.Text, copybinary.Numeric, copybinary.Text, copybinary.Timestamptz}

const shopRow = "4711\t815\tpaid\t123.45\tLong Street 12, 4f5e\t2024-02-29 12:34:56.789+02"

func TestNoAllocation(t *testing.T) { //nolint:paralleltest // it counts the allocations of the process
	all := []copybinary.Type{copybinary.JSONB, copybinary.Bool, copybinary.Float8, copybinary.Date, copybinary.UUID, copybinary.Bytea, copybinary.Inet, copybinary.Text}
	row := []byte(`{"a": "\\n"}` + "\tt\t1.5e-7\t2024-02-29\t01234567-89ab-cdef-0123-456789abcdef\t\\\\x00ff\t10.1.2.3\ta\\tb")
	for _, c := range []struct {
		types []copybinary.Type
		row   []byte
	}{{shopTypes, []byte(shopRow)}, {all, row}} {
		encoder := copybinary.NewEncoder(c.types)
		var buf []byte
		n := testing.AllocsPerRun(100, func() {
			var err error
			if buf, err = encoder.Append(buf[:0], c.row); err != nil {
				t.Fatal(err)
			}
		})
		if n > 0 {
			t.Errorf("%s: %v allocations a row", c.row, n)
		}
	}
}

// FuzzAppend looks for rows that break the frame: lengths that do not add up, or
// a dst that changed.
func FuzzAppend(f *testing.F) {
	f.Add(shopRow)
	f.Add(`\N` + "\t-1\t\\\\\tNaN\t\\x41\t0044-03-15 12:00:00+00:19:32 BC")
	f.Fuzz(func(t *testing.T, row string) {
		if strings.Contains(row, "\n") {
			return
		}
		got, err := copybinary.NewEncoder(shopTypes).Append([]byte("before"), []byte(row))
		rest, ok := bytes.CutPrefix(got, []byte("before"))
		if !ok {
			t.Fatal("dst was changed")
		}
		if err != nil {
			if len(rest) > 0 {
				t.Fatal("a row that was left has bytes")
			}
			return
		}
		if n := binary.BigEndian.Uint16(rest); int(n) != len(shopTypes) {
			t.Fatalf("%d fields", n)
		}
		rest = rest[2:]
		for range shopTypes {
			size := binary.BigEndian.Uint32(rest)
			if rest = rest[4:]; size != 1<<32-1 {
				rest = rest[size:]
			}
		}
		if len(rest) > 0 {
			t.Fatalf("%d bytes follow the last field", len(rest))
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	encoder := copybinary.NewEncoder(shopTypes)
	row := []byte(shopRow)
	var buf []byte
	b.SetBytes(int64(len(row)))
	for b.Loop() {
		var err error
		if buf, err = encoder.Append(buf[:0], row); err != nil {
			b.Fatal(err)
		}
	}
}
