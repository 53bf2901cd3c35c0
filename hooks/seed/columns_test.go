package seed

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seedling-dev/seedling/hooks/copytext"
	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/mask"
)

// columnType is a type of a column to mask, with values that a production may
// hold in it.
type columnType struct {
	word   string // that stands for it in MASKERS.md
	sql    string // the type
	values string // an expression over g, 1 to 100
	odd    string // a list of literals: its hostile values
	index  bool   // it takes a unique index
	folds  bool   // lower() and upper() take it
	of     string // for arrays: the word of the element
}

// texts holds, beside names, something for every masker that reads its value.
const texts = `(ARRAY['Ann Müller ' || g, 'ann' || g || '@corp.example', 'ANN' || g || '@corp.example', '+49 170 ' || 1000000 + g, '0171/' || 55000 + g, '4111 1111 1111 1' || 110 + g % 100,
	'DE' || 10 + g % 89 || '37040044053201' || 3000 + g, 'GB29NWBK6016133192' || 6800 + g, '10.1.' || g || '.7', '2001:db8::' || to_hex(g), '08:00:2b:01:02:' || lpad(to_hex(g % 256), 2, '0'),
	'https://corp.example/' || g, 'http://corp.example/u?' || g, g || '.50', '-' || g, '19' || 10 + g % 90 || '-02-28', '2024-02-29 23:59:59.' || g || '+02', '52.5' || g, md5(g::text)::uuid::text,
	'SW' || g || ' 1AA', '12 Elm Street ' || g, 'x' || g, chr(200 + g), chr(g + 32)])[1 + g % 24]`

const oddTexts = `'', ' ', '  x', 'x  ', E'\\', E'\\N', E'\\.', E'\t', E'a\nb', E'\r\n', E'\x08\x0b\x0c\x01\x7f', 'é', 'É', 'ÉÈ', 'éè', 'ß', 'ẞ', 'SS', 'Σ', 'σ', 'ς', 'İ', 'ı', 'K', 'k', 'K', 'ǅ', 'ǆ',
	'漢字', '😀', 'e' || U&'\0301', U&'\00A0', U&'\200B', 'NULL', '"', '''', '{', '0', '-0', '1e400', 'NaN', 'infinity', '0044-03-15 BC', '1.2.3.4/33', '::', '@', 'a@b', '+', '00', '999999999999999999999'`

// only as many characters as the type takes
func short(n int) string { return fmt.Sprintf("left(%s, %d)", texts, n) }

var columnTypes = []columnType{
	{word: "text", sql: "text", values: texts, odd: oddTexts + ", repeat('long é ', 3000)", index: true, folds: true},
	{word: "text", sql: `text COLLATE blind`, values: texts, odd: oddTexts, index: true},
	{word: "text", sql: "label", values: texts, odd: oddTexts, index: true, folds: true},
	{word: "varchar", sql: "varchar(64)", values: texts, odd: oddTexts, index: true, folds: true},
	{word: "varchar", sql: "varchar(20)", values: short(20), odd: oddTexts, index: true, folds: true},
	{word: "char", sql: "char(64)", values: texts, odd: oddTexts, index: true, folds: true},
	{word: "char", sql: "char(10)", values: short(10), odd: "'x', '', ' ', 'é  '", index: true, folds: true},
	{word: "char", sql: `"char"`, values: "chr(32 + g % 90)", odd: `'', E'\\', E'\t'`, index: true},
	{word: "citext", sql: "citext", values: texts, odd: oddTexts, index: true, folds: true},
	{word: "citext", sql: "citext COLLATE \"C\"", values: texts, odd: oddTexts, index: true},
	{word: "name", sql: "name", values: short(60), odd: oddTexts, index: true},
	{word: "enums", sql: "mood", values: "(ARRAY['sad', 'na\"h', E'back\\\\slash'])[1 + g % 3]", odd: "'sad'", index: true},
	{word: "boolean", sql: "boolean", values: "(g % 2 = 0)::text", odd: "'t'", index: true},
	{word: "smallint", sql: "smallint", values: "g * 217 - 10", odd: "0, -1, 32767, -32767, 16383, 16384", index: true},
	{word: "integer", sql: "integer", values: "g * 14316557 - 1073741824", odd: "0, -1, 2147483647, -2147483647, 1073741823, 1073741824", index: true},
	{word: "integer", sql: "positive", values: "g * 31", odd: "1, 2147483647", index: true},
	{word: "bigint", sql: "bigint", values: "g * 61489146912 * 1000000", odd: "0, -1, 9223372036854775807, -9223372036854775807, 4503599627370495, 4503599627370496", index: true},
	{word: "numeric", sql: "numeric", values: "g * 1.10", odd: "0, 0.00, -0.001, 1, 1.0, 1.00, 'NaN', 'Infinity', '-Infinity', 1e100, 1e-100, 99999999999999999999.999999999999999999", index: true},
	{word: "numeric", sql: "numeric(10,2)", values: "g * 1.1", odd: "0, 99999999.99, -99999999.99, 0.01, 'NaN'", index: true},
	{word: "numeric", sql: "numeric(20)", values: "g * 31", odd: "0, 1, -1, 9223372036854775807", index: true},
	{word: "numeric", sql: "numeric(6,-2)", values: "g * 100", odd: "0, 99999900", index: true},
	{word: "numeric", sql: "numeric(3,5)", values: "g * 0.00001", odd: "0.00999", index: true},
	{word: "real", sql: "real", values: "g * 1.1", odd: "'NaN', 'Infinity', '-Infinity', 1e-38, 3.4e38, -0.0, 1.17549435e-38", index: true},
	{word: "double precision", sql: "double precision", values: "g * 1.1", odd: "'NaN', 'Infinity', '-Infinity', 1e-307, 1.7e308, -0.0, 52.520008, 1e15, 123456789.123456789", index: true},
	{word: "date", sql: "date", values: "date '1970-01-01' + g * 97", odd: "'infinity', '-infinity', '0044-03-15 BC', '0001-12-31 BC', '0001-01-01', '2024-02-29', '4000-01-01', '12024-02-29'", index: true},
	{word: "timestamp", sql: "timestamp", values: "timestamp '1970-01-01 23:59:59.999999' + g * interval '97 days 1.5 second'", odd: "'infinity', '-infinity', '0044-03-15 12:00 BC', '2024-02-29 00:00:00.000001', '12024-02-29 01:02:03'", index: true},
	{word: "timestamptz", sql: "timestamptz", values: "timestamptz '1970-01-01 23:59:59.999999+00' + g * interval '97 days 1.5 second'", odd: "'infinity', '-infinity', '0044-03-15 12:00+00 BC', '1890-01-01 00:00:00+00'", index: true},
	{word: "time", sql: "time", values: "time '00:00' + g * interval '7 minutes'", odd: "'24:00', '23:59:59.999999'", index: true},
	{word: "timetz", sql: "timetz", values: "timetz '00:00+05:30' + g * interval '7 minutes'", odd: "'24:00-08', '23:59:59.999999+15:59:59'", index: true},
	{word: "interval", sql: "interval", values: "g * interval '1 mon -3 days 04:05:06.7'", odd: "'0', '-1 year', '178000000 years', '1 mon -1 sec', '-00:00:00.000001'", index: true},
	{word: "uuid", sql: "uuid", values: "md5(g::text)::uuid", odd: "'00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff'", index: true},
	{word: "json", sql: "json", values: `json_build_object('mail', 'ann' || g || '@corp.example', 'n', g, 'on', true, 'list', json_build_array(1.5, NULL, 'é'))`, odd: oddJSON},
	{word: "jsonb", sql: "jsonb", values: `jsonb_build_object('mail', 'ann' || g || '@corp.example', 'n', g, 'on', true, 'list', jsonb_build_array(1.5, NULL, 'é'))`, odd: oddJSON, index: true},
	{word: "bytea", sql: "bytea", values: "decode(md5(g::text), 'hex')", odd: `'', '\x00', '\x5c'`, index: true},
	{word: "inet", sql: "inet", values: "'10.1.' || g || '.7'", odd: "'0.0.0.0', '255.255.255.255', '10.1.2.3/8', '::', '::1', '2001:db8::1/32', '::ffff:1.2.3.4', 'fe80::1'", index: true},
	{word: "cidr", sql: "cidr", values: "'10.' || g || '.0.0/16'", odd: "'0.0.0.0/0', '10.0.0.0/8', '10.1.2.3/32', '::/0', '2001:db8::/32', '2001:db8::1/128'", index: true},
	{word: "macaddr", sql: "macaddr", values: "'08:00:2b:01:02:' || to_hex(g + 15)", odd: "'00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff'", index: true},
	{word: "macaddr8", sql: "macaddr8", values: "'08:00:2b:01:02:03:04:' || to_hex(g + 15)", odd: "'00:00:00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff:ff:ff'", index: true},
	{word: "hstore", sql: "hstore", values: `hstore('mail', 'ann' || g || '@corp.example') || hstore('k"=>\', NULL)`, odd: `'', '"a b"=>"", "NULL"=>"NULL"', '"\"\\"=>"\"\\"'`, index: true},
	{word: "tsvector", sql: "tsvector", values: "to_tsvector('simple', 'ann müller ' || g)", odd: `'', '''a b'':1A,2'`, index: true},
	{word: "tsquery", sql: "tsquery", values: "plainto_tsquery('simple', 'ann müller ' || g)", odd: `'', '!a & (b | c:*)'`, index: true},
	{word: "point", sql: "point", values: "point(g / 7.0, -g)", odd: "'(0,0)', '(1e-300,1e300)', '(-0,52.520008)'"},
	{word: "xml", sql: "xml", values: "('<a b=\"' || g || '\">Ann &amp; Bob</a>')::xml", odd: "'', 'text', '<!-- c --><x/>', '<a><![CDATA[<&]]></a>'"},
	{word: "money", sql: "money", values: "(g * 12.5)::numeric::money", odd: "0, '-1.01', '92233720368547758.07', '-92233720368547758.08'", index: true},
	{word: "bit", sql: "bit(5)", values: "g::bit(5)", odd: "B'00000'", index: true},
	{word: "composite types", sql: "pair", values: "ROW(g, 'Ann, \"' || g)::pair", odd: `'(,)', '(1,)', '(,"")', '(-1,"a""b\\c")'`, index: true},
	{word: "ranges", sql: "int4range", values: "int4range(g, g * 2)", odd: "'empty', '(,)', '[5,)', '(,5)'", index: true},
	{word: "ranges", sql: "int8range", values: "int8range(g, g * 2)", odd: "'empty', '(,)', '[5,)', '(,5)'", index: true},
	{word: "ranges", sql: "numrange", values: "numrange(g, g * 1.5, '[]')", odd: "'empty', '(,)', '[5.00,5.00]', '(,5)', '(1,1e15)'", index: true},
	{word: "ranges", sql: "daterange", values: "daterange(date '2000-01-01' + g, date '2000-01-01' + 2 * g)", odd: "'empty', '(,)', '[2024-02-29,infinity]', '(0044-03-15 BC,2024-01-01)'", index: true},
	{word: "ranges", sql: "tsrange", values: "tsrange(timestamp '2000-01-01' + g * interval '1 day 1 s', timestamp '2001-01-01' + g * interval '1 day')", odd: "'empty', '(,)', '[2024-02-29 12:00,infinity]'", index: true},
	{word: "ranges", sql: "tstzrange", values: "tstzrange(timestamptz '2000-01-01' + g * interval '1 day 1 s', timestamptz '2001-01-01' + g * interval '1 day')", odd: "'empty', '(,)', '[2024-02-29 12:00,infinity]'", index: true},
	{word: "ranges", sql: "int4multirange", values: "int4multirange(int4range(g, g * 2), int4range(g * 3, g * 4))", odd: "'{}', '{(,1),[5,6)}', '{(,)}'", index: true},
	{word: "ranges", sql: "datemultirange", values: "datemultirange(daterange(date '2000-01-01' + g, date '2000-01-01' + 2 * g), daterange('2010-01-01', NULL))", odd: "'{}'", index: true},
	{word: "arrays", of: "text", sql: "text[]", values: "ARRAY[" + texts + ", NULL, g::text]", odd: `'{}', '{NULL,"NULL",""}', '[0:1][1:1]={{a},{"b,{"}}', '{"\"\\"}'`},
	{word: "arrays", of: "varchar", sql: "varchar(40)[]", values: "ARRAY[left(" + texts + ", 30), NULL]", odd: `'{}'`},
	{word: "arrays", of: "citext", sql: "citext[]", values: "ARRAY[" + texts + "]", odd: `'{}', '{A,a}'`},
	{word: "arrays", of: "integer", sql: "integer[]", values: "ARRAY[[g, 2], [3, NULL]]", odd: "'{}', '{2147483647}'"},
	{word: "arrays", of: "numeric", sql: "numeric(8,2)[]", values: "ARRAY[g, g / 3.0]", odd: "'{}', '{NaN}'"},
	{word: "arrays", of: "double precision", sql: "double precision[]", values: "ARRAY[g, g / 3.0]", odd: "'{}', '{NaN,Infinity}'"},
	{word: "arrays", of: "date", sql: "date[]", values: "ARRAY[date '2000-01-01' + g]", odd: "'{}', '{infinity,0044-03-15 BC}'"},
	{word: "arrays", of: "timestamptz", sql: "timestamptz[]", values: "ARRAY[timestamptz '2000-01-01' + g * interval '1 day']", odd: "'{}', '{infinity}'"},
	{word: "arrays", of: "uuid", sql: "uuid[]", values: "ARRAY[md5(g::text)::uuid]", odd: "'{}'"},
	{word: "arrays", of: "jsonb", sql: "jsonb[]", values: `ARRAY[jsonb_build_object('mail', 'ann' || g || '@corp.example', 'q', '"\')]`, odd: "'{}', '{NULL,1}'"},
	{word: "arrays", of: "inet", sql: "inet[]", values: "ARRAY[('10.1.' || g || '.7')::inet]", odd: "'{}'"},
	{word: "arrays", of: "cidr", sql: "cidr[]", values: "ARRAY[('10.' || g || '.0.0/16')::cidr]", odd: "'{}'"},
	{word: "arrays", of: "bytea", sql: "bytea[]", values: "ARRAY[decode(md5(g::text), 'hex'), '']", odd: "'{}'"},
	{word: "arrays", of: "enums", sql: "mood[]", values: "ARRAY['sad', 'na\"h']::mood[]", odd: "'{}'"},
	{word: "arrays", of: "money", sql: "money[]", values: "ARRAY[(g * 1000.5)::numeric::money, NULL]", odd: "'{}'"},
	{word: "arrays", of: "interval", sql: "interval[]", values: "ARRAY[g * interval '1 mon -3 days 04:05:06.7']", odd: "'{}'"},
	{word: "arrays", of: "xml", sql: "xml[]", values: "ARRAY[('<a b=\"' || g || '\">Ann &amp; Bob</a>')::xml]", odd: "'{}'"},
	{word: "arrays", of: "ranges", sql: "int8range[]", values: "ARRAY[int8range(g, g * 2), 'empty', '(,)']", odd: "'{}'"},
	{word: "arrays", of: "ranges", sql: "tstzrange[]", values: "ARRAY[tstzrange(timestamptz '2000-01-01' + g * interval '1 day 1 s', NULL)]", odd: "'{}'"},
	{word: "arrays", of: "composite types", sql: "pair[]", values: "ARRAY[ROW(g, 'Ann, \"' || g)::pair, NULL, ROW(NULL, E'\\\\')::pair]", odd: "'{}'"},
	{word: "arrays", of: "boolean", sql: "boolean[]", values: "ARRAY[g % 2 = 0]", odd: "'{}'"},
}

const oddJSON = `'null', '""', '[]', '{}', '{"": ""}', '{"a": {"a": {"a": []}}}', '"\u00e9\ud83d\ude00\\\"\/\b\f\n\r\t"', '-0.0e-5', '1e400', '[1, 1, "1"]', '{"a@b.c": {"k": 1}, "a@b.d": 2}'`

// columnIndexes are the ways that an index judges the equality of v.
var columnIndexes = map[string]string{
	"none":               "",
	"unique":             "CREATE UNIQUE INDEX ON {} (v)",
	"nulls not distinct": "CREATE UNIQUE INDEX ON {} (v) NULLS NOT DISTINCT",
	"lower":              "CREATE UNIQUE INDEX ON {} (lower(v))",
	"partial":            "CREATE UNIQUE INDEX ON {} (v) WHERE v IS NOT NULL",
	"with entity":        "CREATE UNIQUE INDEX ON {} (v, by)",
	"including":          "CREATE UNIQUE INDEX ON {} (v) INCLUDE (id)",
	"exclusion":          "ALTER TABLE {} ADD EXCLUDE USING btree (v WITH =)",
}

// columnRules are the rules to try for each masker, as they stand in a policy.
// ELEMENT stands for a rule that an array's elements take.
var columnRules = map[string][]string{
	"keep":         {"keep"},
	"null":         {"null"},
	"constant":     {"{mask: constant, value: LITERAL}"},
	"choice":       {"{mask: choice, values: [LITERAL]}", "{mask: choice, values: [LITERAL], by: by}"},
	"credential":   {"credential"},
	"hash":         {"hash", "{mask: hash, digits: 25, fold: true}", "{mask: hash, prefix: 'é\\', digits: 8}"},
	"uuid":         {"uuid"},
	"key":          {"key"},
	"email":        {"email", "{mask: email, fold: true}", "{mask: email, unique: false}", "{mask: email, domain: keep}"},
	"first_name":   {"first_name"},
	"last_name":    {"last_name"},
	"full_name":    {"full_name"},
	"username":     {"username", "{mask: username, unique: false}"},
	"phone":        {"phone", "{mask: phone, unique: true}"},
	"text":         {"text"},
	"regex":        {`{mask: regex, pattern: '[a-z]+', replace: "\\${0}\t", anchored: false}`, `{mask: regex, pattern: '\d+', with: hash, anchored: false}`, `{mask: regex, pattern: '(?s).*', replace: x}`},
	"street":       {"street"},
	"city":         {"city"},
	"postcode":     {"postcode"},
	"company":      {"company"},
	"product":      {"product"},
	"permute":      {"permute"},
	"url":          {"url", "{mask: url, unique: false}"},
	"ip":           {"{mask: ip, malformed: text}", "{mask: ip, malformed: null}", "{mask: ip, keep4: 0, keep6: 0}", "{mask: ip, keep4: 24, keep6: 64}"},
	"mac":          {"{mask: mac, malformed: text}", "{mask: mac, unique: true}"},
	"number_noise": {"{mask: number_noise, malformed: text}", "{mask: number_noise, percent: 100}", "{mask: number_noise, amount: 1000.5}"},
	"number_range": {"{mask: number_range, min: 1, max: 9}", "{mask: number_range, min: -1.5, max: 2, by: by}", "{mask: number_range, min: 0.001, max: 0.002}"},
	"geometry":     {"{mask: geometry, unit: degrees}", "{mask: geometry, metres: 100000, unit: metres}"},
	"vector":       {"vector"},
	"latlong":      {"{mask: latlong, malformed: text}", "{mask: latlong, decimals: 0}"},
	"date_shift":   {"{mask: date_shift, by: by, malformed: text}", "{mask: date_shift, by: by, days: 36500}"},
	"year_only":    {"{mask: year_only, malformed: text}", "year_only"},
	"card":         {"{mask: card, malformed: text}"},
	"iban":         {"{mask: iban, malformed: text}"},
	"json":         {"json", "{mask: json, paths: {$: keep, $.mail: email, '$.list[*]': 'null'}}", "{mask: json, keys: {mail: hash, n: number_noise}}"},
	"array":        {"{mask: array, of: ELEMENT}"},
	"hstore":       {"hstore", "{mask: hstore, keys: {mail: email}}"},
	"bytea":        {"bytea"},
	"rebuild":      {"{mask: rebuild, as: v}"},
	"xml":          {"xml", "{mask: xml, elements: {a: hash, mail: email}, attributes: {b: keep}}"},
	"composite":    {"{mask: composite, attributes: {a: key, b: text}}", "{mask: composite, attributes: {a: 'null', b: hash}}", "{mask: composite, attributes: {a: {mask: number_range, min: 1, max: 9, by: by}, b: keep}}"},
}

// stops lists rules that may stop at some values of a type that they take;
// the others mask every value.
var stops = regexp.MustCompile(`malformed: null|domain: keep|mask: ip|unique: true|percent|amount|latlong|days: 36500|\byear_only}?$|mask: regex|\bkey}?$|permute`)

// Every masker, on every type that MASKERS.md says it takes, writes what a
// column of that type takes, whatever the column held; and where the plan
// accepts a unique index or exclusion constraint, masked rows do not violate
// it. The originals come out of Postgres as they come out of pg_dump.
func TestColumnsTakeMasks(t *testing.T) {
	t.Parallel()
	server := pgtest.Source(t)
	c := &columnsTest{documented: maskersOf(t), accepted: map[string]int{}, masked: map[string]int{}}
	c.run(t, server.Connect(t, server.Database(t, "")), columnTypes)
	// In the C locale upper and lower case are an affair of A to Z.
	server.Exec(t, "postgres", "CREATE DATABASE clocale TEMPLATE template0 LOCALE_PROVIDER libc LOCALE 'C'")
	c.run(t, server.Connect(t, "clocale"), slices.DeleteFunc(slices.Clone(columnTypes), func(typ columnType) bool { return typ.word != "citext" }))
	for _, m := range c.documented {
		if len(columnRules[m.name]) == 0 {
			t.Errorf("masker %s has no rule here", m.name)
		}
		for _, word := range m.words {
			if word != every && c.masked[m.name+" "+word] == 0 && !elsewhere[word] {
				t.Errorf("masker %s says that it takes %s, which was not tried", m.name, word)
			}
		}
		for index := range columnIndexes {
			if index != "lower" && m.name != "keep" && strings.HasPrefix(m.unique, "yes") && c.accepted[m.name+" "+index] == 0 {
				t.Errorf("masker %s says that distinct originals stay distinct, and index %s never had it", m.name, index)
			}
		}
	}
	for _, index := range []string{"hash lower", "email lower", "username lower", "url lower", "uuid lower"} {
		if c.accepted[index] == 0 {
			t.Errorf("%s was never accepted", index)
		}
	}
}

type columnsTest struct {
	documented []documentedMasker
	accepted   map[string]int // masker and index: how often the plan took it
	masked     map[string]int // masker and type's word
}

// columnPlace is a table with one column to mask.
type columnPlace struct {
	columnType
	index, table string
}

func (c *columnsTest) run(t *testing.T, conn *pgx.Conn, types []columnType) {
	t.Helper()
	var ddl strings.Builder
	ddl.WriteString(`CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE TYPE mood AS ENUM ('sad', 'na"h', E'back\\slash');
		CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
		CREATE TYPE pair AS (a int, b text); CREATE DOMAIN label AS text CHECK (VALUE !~ 'refused'); CREATE DOMAIN positive AS int CHECK (VALUE > 0);`)
	var places []columnPlace
	for i, typ := range types {
		// Every kind of index on one type of each word is enough.
		first := slices.IndexFunc(types, func(o columnType) bool { return o.word == typ.word }) == i
		for j, index := range slices.Sorted(maps.Keys(columnIndexes)) {
			if index != "none" && !typ.index || index == "lower" && !typ.folds || index != "none" && index != "unique" && !first {
				continue
			}
			table := fmt.Sprintf("t%d_%d", i, j)
			places = append(places, columnPlace{typ, index, table})
			bare, _, _ := strings.Cut(typ.sql, " COLLATE ")
			for _, sql := range []string{
				fmt.Sprintf("CREATE TABLE %s (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, by int, v %s)", table, typ.sql),
				strings.ReplaceAll(columnIndexes[index], "{}", table),
				fmt.Sprintf("INSERT INTO %s (by, v) SELECT g %% 7, CAST(%s AS %s) FROM generate_series(1, 100) g ON CONFLICT DO NOTHING", table, typ.values, bare),
				fmt.Sprintf("INSERT INTO %s (by, v) SELECT 8, CAST(v AS %s) FROM unnest(ARRAY[%s]::text[]) v ON CONFLICT DO NOTHING", table, bare, typ.odd),
				fmt.Sprintf("INSERT INTO %s VALUES (DEFAULT, NULL, NULL), (DEFAULT, 9, NULL) ON CONFLICT DO NOTHING", table),
			} {
				ddl.WriteString(sql + ";\n")
			}
		}
	}
	if _, err := conn.PgConn().Exec(t.Context(), ddl.String()).ReadAll(); err != nil {
		t.Fatal(err)
	}
	catalog, err := readCatalog(t.Context(), conn, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range places {
		rows := copyOut(t, conn, p.table)
		if len(rows) < 3 {
			t.Fatalf("%s has %d rows", p.sql, len(rows))
		}
		i := slices.IndexFunc(catalog.Tables, func(c mask.Table) bool { return c.Name == p.table })
		one := catalog
		one.Tables = catalog.Tables[i : i+1]
		for _, m := range c.documented {
			if !m.takes(p.word) || !m.matters(p.index) {
				continue
			}
			for _, rule := range p.rules(m.name, c.documented, rows) {
				c.try(t, conn, p, one, m.name, rule, rows)
			}
		}
	}
}

// try masks a table's rows under a rule and loads them, unless the plan
// refuses the rule.
func (c *columnsTest) try(t *testing.T, conn *pgx.Conn, p columnPlace, catalog mask.Catalog, masker, rule string, rows [][]byte) {
	t.Helper()
	what := fmt.Sprintf("%s on %s, index %s", rule, p.sql, p.index)
	policy, err := mask.ParsePolicy([]byte("version: 1\ntables: {public." + p.table + ": {columns: {id: keep, by: keep, v: " + rule + "}}}"))
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	key, err := mask.NewKey([]byte("a key of the tests, long enough for a key"))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := mask.Compile(policy, key, catalog)
	if err != nil {
		if p.index == "none" && !refusable.MatchString(err.Error()) {
			t.Errorf("%s: %v", what, err)
		}
		return
	}
	table := plan.Table("public", p.table)
	w := table.NewWorker()
	var out []byte
	stopped := 0
	for _, row := range rows {
		if out, err = w.Append(out, row); err != nil {
			if stopped++; !stops.MatchString(rule) {
				t.Errorf("%s: %v", what, err)
				break
			}
		}
	}
	if stopped == len(rows) {
		t.Errorf("%s: masks nothing", what)
	}
	if err := copyIn(t, conn, p.table, out); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	c.masked[masker+" "+p.word]++
	if table.Columns[2].Unique {
		c.accepted[masker+" "+p.index]++
	}
}

// refusable are the plan's reasons not to take a masker on some columns of a
// type that it takes otherwise.
var refusable = regexp.MustCompile(`characters and the column takes|the column takes no coordinates|amount is for numbers|takes ranges of|column is NOT NULL|malformed: text is for text columns|key takes numeric only|do not fit|whole numbers|scale is its precision|the value ".*" is longer`)

// elsewhere are types whose extension the image does not have.
var elsewhere = map[string]bool{"vector": true, "halfvec": true, "sparsevec": true, "geometry": true, "geography": true}

const every = "every type"

// documentedMasker is a row of MASKERS.md.
type documentedMasker struct {
	name, unique string
	words        []string
}

func (m *documentedMasker) takes(word string) bool {
	return slices.Contains(m.words, word) || m.words[0] == every
}

// matters reports whether a masker is worth trying under an index: one that
// promises nothing is refused by all of them in the same way.
func (m *documentedMasker) matters(index string) bool {
	switch index {
	case "none":
		return true
	case "unique":
		return m.name != "keep"
	}
	return m.name != "keep" && strings.Contains(m.unique, "yes") || strings.Contains(m.unique, "unique: true")
}

func maskersOf(t *testing.T) []documentedMasker {
	t.Helper()
	var out []documentedMasker
	for line := range strings.Lines(string(mask.Reference())) {
		cells := strings.Split(line, " | ")
		if name, ok := strings.CutPrefix(cells[0], "| `"); ok && len(cells) == 6 {
			out = append(out, documentedMasker{strings.TrimSuffix(name, "`"), cells[3], strings.Split(cells[1], ", ")})
		}
	}
	if len(out) < 30 {
		t.Fatalf("%d maskers in the documentation", len(out))
	}
	return out
}

// rules are the rules to try for a masker on the type.
func (c *columnType) rules(masker string, documented []documentedMasker, rows [][]byte) []string {
	var out []string
	for _, rule := range columnRules[masker] {
		switch {
		case strings.Contains(rule, "LITERAL"):
			out = append(out, strings.ReplaceAll(rule, "LITERAL", yamlLiteral(rows)))
		case strings.Contains(rule, "ELEMENT"):
			for _, m := range documented {
				if m.name == "keep" || m.name == "array" || m.name == "rebuild" || !m.takes(c.of) {
					continue
				}
				for _, of := range columnRules[m.name] {
					if !strings.Contains(of, "LITERAL") {
						out = append(out, strings.ReplaceAll(rule, "ELEMENT", of))
					}
				}
			}
		case strings.Contains(rule, "malformed: text") && !c.text():
			if rule = strings.Replace(rule, ", malformed: text", "", 1); !slices.Contains(out, rule) {
				out = append(out, rule)
			}
		default:
			out = append(out, rule)
		}
	}
	return out
}

func (c *columnType) text() bool {
	return slices.Contains([]string{"text", "varchar", "char", "citext", "name"}, c.word)
}

// yamlLiteral is a value of the rows as a policy may write it.
func yamlLiteral(rows [][]byte) string {
	for _, row := range rows {
		if v := row[bytes.LastIndexByte(row, '\t')+1:]; !copytext.IsNull(v) && len(v) > 0 {
			return strconv.Quote(string(copytext.Unescape(nil, v)))
		}
	}
	return "''"
}

// copyOut returns a table's rows as a dump holds them, and empties the table.
func copyOut(t *testing.T, conn *pgx.Conn, table string) [][]byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := conn.PgConn().CopyTo(t.Context(), &b, "COPY "+table+" TO STDOUT"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "TRUNCATE "+table); err != nil {
		t.Fatal(err)
	}
	return bytes.Split(bytes.TrimSuffix(b.Bytes(), []byte("\n")), []byte("\n"))
}

// copyIn loads rows and takes them back.
func copyIn(t *testing.T, conn *pgx.Conn, table string, rows []byte) error {
	t.Helper()
	if _, err := conn.Exec(t.Context(), "BEGIN"); err != nil {
		t.Fatal(err)
	}
	_, err := conn.PgConn().CopyFrom(t.Context(), bytes.NewReader(rows), "COPY "+table+" FROM STDIN")
	if _, rerr := conn.Exec(t.Context(), "ROLLBACK"); rerr != nil {
		t.Fatal(rerr)
	}
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		return fmt.Errorf("%w (%s %s)", err, pe.Detail, pe.Where) // these rows are the test's own
	}
	return err
}
