package seed

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/postgres"
	"github.com/seedling-dev/seedling/hooks/sqltext"
)

// varattno finds the columns that a stored expression mentions.
var varattno = regexp.MustCompile(`:varattno ([0-9]+)`)

// readCatalog reads the tables of a database that holds a dump's schema.
// withData names the tables the dump has rows for: of an extension's own
// tables, only those count. nil stands for a schema without any rows, where all do
// that pg_dump would take rows of.
func readCatalog(ctx context.Context, conn *pgx.Conn, withData, foreign map[mask.Name]bool) (mask.Catalog, error) {
	r := &catalogReader{conn: conn, version: serverVersion(conn), byOID: map[uint32]int{}, attrs: map[uint32]map[int16]int{}}
	for _, part := range []struct {
		what string
		read func(context.Context) error
	}{
		{"types", r.types},
		{"tables", func(ctx context.Context) error { return r.tables(ctx, withData, foreign) }},
		{"columns", r.columns},
		{"CHECK constraints", r.checks},
		{"sequences", r.sequences},
		{"indexes", r.indexes},
		{"foreign keys", r.foreignKeys},
		{"inheritance", r.inheritance},
	} {
		if err := part.read(ctx); err != nil {
			return mask.Catalog{}, fmt.Errorf("read the catalog's %s: %w", part.what, postgres.Redact(err))
		}
	}
	err := conn.QueryRow(ctx, `SELECT lower(U&'\00C9') = U&'\00C9'`).Scan(&r.out.FoldsASCII)
	if err != nil {
		return mask.Catalog{}, fmt.Errorf("read the catalog's locale: %w", postgres.Redact(err))
	}
	return r.out, nil
}

// serverVersion is the server's major version.
func serverVersion(conn *pgx.Conn) int {
	s := conn.PgConn().ParameterStatus("server_version")
	n := 0
	for _, c := range s {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + int(c-'0')
	}
	return n
}

type pgType struct {
	name              string
	kind              string // typtype
	category          string
	base, elem        uint32
	typmod            int32
	notNull           bool
	enum              []string
	rangeOf           uint32      // of a range or multirange: the bounds' type
	attributes        []attribute // of a composite type
	arrayOfSubscripts bool
}

// attribute is one of a composite type.
type attribute struct {
	name, as string
	typ      uint32
	typmod   int32
}

type catalogReader struct {
	conn    *pgx.Conn
	version int
	out     mask.Catalog
	typeOf  map[uint32]*pgType
	byOID   map[uint32]int           // table's oid: index in out.Tables
	attrs   map[uint32]map[int16]int // table's oid, attnum: index of the column
}

func (r *catalogReader) types(ctx context.Context) error {
	r.typeOf = map[uint32]*pgType{}
	rows, err := r.conn.Query(ctx, `SELECT oid, typname, typtype::text, typcategory::text, typbasetype, typelem, typtypmod, typnotnull,
		typlen = -1 AND typelem <> 0 FROM pg_catalog.pg_type`)
	if err != nil {
		return err
	}
	var oid uint32
	var t pgType
	_, err = pgx.ForEachRow(rows, []any{&oid, &t.name, &t.kind, &t.category, &t.base, &t.elem, &t.typmod, &t.notNull, &t.arrayOfSubscripts}, func() error {
		c := t
		r.typeOf[oid] = &c
		return nil
	})
	if err != nil {
		return err
	}
	rows, err = r.conn.Query(ctx, `SELECT enumtypid, enumlabel FROM pg_catalog.pg_enum ORDER BY enumtypid, enumsortorder`)
	if err != nil {
		return err
	}
	var label string
	_, err = pgx.ForEachRow(rows, []any{&oid, &label}, func() error {
		r.typeOf[oid].enum = append(r.typeOf[oid].enum, label)
		return nil
	})
	if err != nil {
		return err
	}
	multirange := ""
	if r.version >= 14 {
		multirange = " UNION ALL SELECT rngmultitypid, rngsubtype FROM pg_catalog.pg_range"
	}
	rows, err = r.conn.Query(ctx, `SELECT rngtypid, rngsubtype FROM pg_catalog.pg_range`+multirange)
	if err != nil {
		return err
	}
	var of uint32
	_, err = pgx.ForEachRow(rows, []any{&oid, &of}, func() error {
		r.typeOf[oid].rangeOf = of
		return nil
	})
	if err != nil {
		return err
	}
	rows, err = r.conn.Query(ctx, `SELECT t.oid, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.atttypid, a.atttypmod
		FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace JOIN pg_catalog.pg_attribute a ON a.attrelid = t.typrelid
		WHERE t.typtype = 'c' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND a.attnum > 0 AND NOT a.attisdropped
		ORDER BY t.oid, a.attnum`)
	if err != nil {
		return err
	}
	var a attribute
	_, err = pgx.ForEachRow(rows, []any{&oid, &a.name, &a.as, &a.typ, &a.typmod}, func() error {
		r.typeOf[oid].attributes = append(r.typeOf[oid].attributes, a)
		return nil
	})
	return err
}

func (r *catalogReader) tables(ctx context.Context, withData, foreign map[mask.Name]bool) error {
	rows, err := r.conn.Query(ctx, `SELECT c.oid, n.nspname, c.relname, c.relkind::text, c.relispartition,
		coalesce(e.extname, ''), coalesce(c.oid = ANY (e.extconfig), false),
		coalesce(p.partstrat::text, ''), coalesce(p.partdefid <> 0, false)
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		LEFT JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = c.oid
		LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0 AND d.deptype = 'e'
			AND d.refclassid = 'pg_catalog.pg_extension'::regclass
		LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
		WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't'
		AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') ORDER BY n.nspname, c.relname`)
	if err != nil {
		return err
	}
	var oid uint32
	var t mask.Table
	var relkind, strategy string
	var configuration bool
	_, err = pgx.ForEachRow(rows, []any{&oid, &t.Schema, &t.Name, &relkind, &t.PartitionOf, &t.Extension, &configuration, &strategy, &t.DefaultPartition}, func() error {
		counts := withData[mask.Name{Schema: t.Schema, Name: t.Name}] || withData == nil && configuration
		if t.Extension != "" && !counts {
			return nil
		}
		c := t
		c.Partitioned = relkind == "p"
		c.PartitionStrategy = map[string]string{"r": "range", "l": "list", "h": "hash"}[strategy]
		c.Foreign = relkind == "f" || foreign[mask.Name{Schema: c.Schema, Name: c.Name}]
		r.byOID[oid] = len(r.out.Tables)
		r.attrs[oid] = map[int16]int{}
		r.out.Tables = append(r.out.Tables, c)
		return nil
	})
	return err
}

func (r *catalogReader) columns(ctx context.Context) error {
	rows, err := r.conn.Query(ctx, `SELECT a.attrelid, a.attnum, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.atttypid, a.atttypmod,
		a.attnotnull, a.attgenerated <> '', coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid), ''),
		coalesce(NOT l.collisdeterministic, false)
		FROM pg_catalog.pg_attribute a
		JOIN pg_catalog.pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'f')
		LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
		LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
		WHERE a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum`)
	if err != nil {
		return err
	}
	var rel, typ uint32
	var num int16
	var typmod int32
	var col mask.Column
	_, err = pgx.ForEachRow(rows, []any{&rel, &num, &col.Name, &col.Type, &typ, &typmod, &col.NotNull, &col.Generated, &col.Default, &col.Nondeterministic}, func() error {
		i, ok := r.byOID[rel]
		if !ok {
			return nil
		}
		c := col
		r.describe(&c, typ, typmod, 0)
		if c.Generated {
			c.Default = ""
		}
		t := &r.out.Tables[i]
		r.attrs[rel][num] = len(t.Columns)
		t.Columns = append(t.Columns, c)
		return nil
	})
	return err
}

// checks finds the columns whose values a CHECK constraint lists, as people write an
// enum, or holds to a pattern. Constraints of a domain count for all columns of it.
func (r *catalogReader) checks(ctx context.Context) error {
	rows, err := r.conn.Query(ctx, `SELECT a.attrelid, a.attnum, pg_catalog.quote_ident(a.attname), pg_catalog.pg_get_constraintdef(k.oid)
		FROM pg_catalog.pg_constraint k
		JOIN pg_catalog.pg_attribute a ON k.contypid <> 0 AND a.atttypid = k.contypid OR a.attrelid = k.conrelid AND k.conkey = ARRAY[a.attnum]
		WHERE k.contype = 'c' AND k.convalidated AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1, 2`)
	if err != nil {
		return err
	}
	var rel uint32
	var num int16
	var name, definition string
	_, err = pgx.ForEachRow(rows, []any{&rel, &num, &name, &definition}, func() error {
		at, ok := r.attrs[rel][num]
		i, known := r.byOID[rel]
		if !ok || !known {
			return nil
		}
		c := &r.out.Tables[i].Columns[at]
		c.Listed = c.Listed || listsValues(definition, name)
		c.Patterns = append(c.Patterns, patterns(definition)...)
		return nil
	})
	return err
}

var (
	textLiteral = regexp.MustCompile(`'(?:[^']|'')*'`)
	textCast    = regexp.MustCompile(`::(?:text|"char"|bpchar|character(?: varying)?|citext|[a-z_]+\.citext)(?:\([0-9]+\))?(?:\[\])?`)
	listWords   = regexp.MustCompile(`\b(?:ANY|ARRAY|OR|IS NULL|VALUE)\b|[][()=,\s]`)
)

var checkPattern = regexp.MustCompile(`[^!*~<>@#=] ?(~\*?) '((?:[^']|'')*)'::text`)

// patterns are the regular expressions in the definition of a CHECK constraint that a
// column alone is in. Whether masks that match them are enough for it, the draft tries.
func patterns(definition string) (list []string) {
	for _, m := range checkPattern.FindAllStringSubmatch(definition, -1) {
		pattern := strings.ReplaceAll(m[2], "''", "'")
		if m[1] == "~*" {
			pattern = "(?i)" + pattern
		}
		if _, err := regexp.Compile(pattern); err == nil && len(pattern) <= 500 {
			list = append(list, pattern)
		}
	}
	return list
}

// listsValues reports whether the definition of a CHECK constraint lets a column, as
// SQL writes its name, have one of some texts only: c = ANY (ARRAY['a'::text,
// 'b'::text]), c = 'a' OR c = 'b'.
func listsValues(definition, column string) bool {
	rest, ok := strings.CutPrefix(definition, "CHECK ")
	if !ok || !strings.Contains(rest, "'") {
		return false
	}
	rest = textCast.ReplaceAllString(textLiteral.ReplaceAllString(rest, " "), " ")
	rest = regexp.MustCompile(`([( ])`+regexp.QuoteMeta(column)+`([ )])`).ReplaceAllString(rest, "$1$2")
	return listWords.ReplaceAllString(rest, "") == ""
}

// describe resolves a type: domains to what they are made of, arrays to their
// elements, composite types to their attributes.
func (r *catalogReader) describe(c *mask.Column, oid uint32, typmod int32, depth int) {
	t := r.typeOf[oid]
	for range 32 {
		switch {
		case t.kind == "d":
			c.NotNull = c.NotNull || t.notNull && !c.Array
			if typmod < 0 {
				typmod = t.typmod
			}
			t = r.typeOf[t.base]
			continue
		case t.category == "A" && t.arrayOfSubscripts:
			c.Array = true
			t = r.typeOf[t.elem]
			continue
		}
		break
	}
	c.BaseType = t.name
	c.Enum = t.enum
	if of := r.typeOf[t.rangeOf]; of != nil {
		var bound mask.Column
		r.describe(&bound, t.rangeOf, -1, depth+1)
		c.Range = bound.BaseType
	}
	for _, a := range t.attributes {
		if depth > 16 {
			break // a type can hold itself, through arrays of tables' rows
		}
		attr := mask.Column{Name: a.name, Type: a.as}
		r.describe(&attr, a.typ, a.typmod, depth+1)
		c.Attributes = append(c.Attributes, attr)
	}
	c.Composite = t.kind == "c" || t.kind == "r" || t.kind == "m"
	if typmod < 0 {
		return
	}
	switch t.name {
	case "varchar", "bpchar":
		c.Length = int(typmod) - 4
	case "bit", "varbit":
		c.Length = int(typmod)
	case "numeric":
		m := typmod - 4
		c.Precision = int(m >> 16 & 0xffff)
		c.Scale = int((m&0x7ff)^1024) - 1024
	}
}

func (r *catalogReader) sequences(ctx context.Context) error {
	rows, err := r.conn.Query(ctx, `SELECT d.refobjid, d.refobjsubid::int2, n.nspname, s.relname FROM pg_catalog.pg_depend d
		JOIN pg_catalog.pg_class s ON s.oid = d.objid AND s.relkind = 'S' JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace
		WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
		UNION ALL
		SELECT ad.adrelid, ad.adnum, n.nspname, s.relname FROM pg_catalog.pg_attrdef ad
		JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.objid = ad.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass
		JOIN pg_catalog.pg_class s ON s.oid = d.refobjid AND s.relkind = 'S' JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace`)
	if err != nil {
		return err
	}
	var rel uint32
	var num int16
	var schema, name string
	_, err = pgx.ForEachRow(rows, []any{&rel, &num, &schema, &name}, func() error {
		if i, ok := r.byOID[rel]; ok {
			if at, ok := r.attrs[rel][num]; ok {
				c := &r.out.Tables[i].Columns[at]
				if c.Sequence == "" {
					c.Sequence = sqltext.Identifier(schema, name)
				}
			}
		}
		return nil
	})
	return err
}

// mentioned lists the columns that a stored expression of a table mentions; the row as
// a whole mentions all of them.
func (r *catalogReader) mentioned(rel uint32, tree string) []string {
	var out []string
	if strings.Contains(tree, ":varattno 0 ") {
		for _, c := range r.out.Tables[r.byOID[rel]].Columns {
			out = append(out, c.Name)
		}
		return out
	}
	for _, m := range varattno.FindAllStringSubmatch(tree, -1) {
		n, err := strconv.ParseInt(m[1], 10, 16)
		if err != nil {
			continue
		}
		name := r.column(rel, int16(n))
		if name != "" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

func (r *catalogReader) column(rel uint32, num int16) string {
	at, ok := r.attrs[rel][num]
	if !ok {
		return ""
	}
	return r.out.Tables[r.byOID[rel]].Columns[at].Name
}

func (r *catalogReader) indexes(ctx context.Context) error {
	nullsNotDistinct := "false"
	if r.version >= 15 {
		nullsNotDistinct = "i.indnullsnotdistinct"
	}
	rows, err := r.conn.Query(ctx, `SELECT i.indrelid, c.relname, i.indisprimary, `+nullsNotDistinct+`, i.indkey::int2[], i.indnkeyatts,
		ARRAY(SELECT pg_catalog.pg_get_indexdef(i.indexrelid, k, false) FROM generate_series(1, i.indnkeyatts) k ORDER BY k),
		coalesce(i.indexprs::text, ''), coalesce(pg_catalog.pg_get_expr(i.indpred, i.indrelid), ''), coalesce(i.indpred::text, ''),
		ARRAY(SELECT o.oprname::text FROM pg_catalog.pg_constraint x, unnest(x.conexclop) WITH ORDINALITY u(op, at) JOIN pg_catalog.pg_operator o ON o.oid = u.op
			WHERE x.conindid = i.indexrelid AND x.contype = 'x' ORDER BY u.at), i.indisunique OR i.indisexclusion
		FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
		WHERE i.indisunique OR i.indisexclusion OR i.indexprs IS NOT NULL OR i.indpred IS NOT NULL ORDER BY c.relname`)
	if err != nil {
		return err
	}
	var rel uint32
	var u mask.Unique
	var keys []int16
	var nkeys int16
	var defs, ops []string
	var exprs, predicate string
	var unique bool
	_, err = pgx.ForEachRow(rows, []any{&rel, &u.Name, &u.Primary, &u.NullsNotDistinct, &keys, &nkeys, &defs, &exprs, &u.Predicate, &predicate, &ops, &unique}, func() error {
		i, ok := r.byOID[rel]
		if !ok {
			return nil
		}
		c := u
		c.Columns, c.Expressions, c.Exclusion = nil, nil, nil
		for k := range int(nkeys) {
			if keys[k] == 0 {
				c.Expressions = append(c.Expressions, defs[k])
			} else {
				c.Columns = append(c.Columns, r.column(rel, keys[k]))
			}
		}
		c.ExpressionColumns = r.mentioned(rel, exprs)
		c.PredicateColumns = r.mentioned(rel, predicate)
		if len(ops) > 0 {
			c.Exclusion = slices.Clone(ops)
		}
		t := &r.out.Tables[i]
		if unique {
			t.Uniques = append(t.Uniques, c)
		} else {
			t.Computed = append(t.Computed, c)
		}
		return nil
	})
	return err
}

func (r *catalogReader) foreignKeys(ctx context.Context) error {
	rows, err := r.conn.Query(ctx, `SELECT conrelid, conname, conkey, confrelid, confkey, confmatchtype = 'f',
		ARRAY(SELECT format('OPERATOR(%I.%s)', n.nspname, o.oprname) FROM unnest(conpfeqop) WITH ORDINALITY u(op, i)
			JOIN pg_catalog.pg_operator o ON o.oid = u.op JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace ORDER BY i)
		FROM pg_catalog.pg_constraint
		WHERE contype = 'f' AND conparentid = 0 ORDER BY conrelid, conname`)
	if err != nil {
		return err
	}
	var rel, ref uint32
	var name string
	var from, to []int16
	var full bool
	var equals []string
	_, err = pgx.ForEachRow(rows, []any{&rel, &name, &from, &ref, &to, &full, &equals}, func() error {
		i, ok := r.byOID[rel]
		j, ok2 := r.byOID[ref]
		if !ok || !ok2 {
			return nil
		}
		fk := mask.ForeignKey{Name: name, MatchFull: full, Equals: slices.Clone(equals), References: mask.Name{Schema: r.out.Tables[j].Schema, Name: r.out.Tables[j].Name}}
		for k := range from {
			fk.Columns = append(fk.Columns, r.column(rel, from[k]))
			fk.ReferencedColumns = append(fk.ReferencedColumns, r.column(ref, to[k]))
		}
		r.out.Tables[i].ForeignKeys = append(r.out.Tables[i].ForeignKeys, fk)
		return nil
	})
	return err
}

func (r *catalogReader) inheritance(ctx context.Context) error {
	rows, err := r.conn.Query(ctx, `SELECT inhrelid, inhparent FROM pg_catalog.pg_inherits ORDER BY inhrelid, inhseqno`)
	if err != nil {
		return err
	}
	var child, parent uint32
	_, err = pgx.ForEachRow(rows, []any{&child, &parent}, func() error {
		i, ok := r.byOID[child]
		j, ok2 := r.byOID[parent]
		if ok && ok2 {
			p := r.out.Tables[j]
			r.out.Tables[i].Parents = append(r.out.Tables[i].Parents, mask.Name{Schema: p.Schema, Name: p.Name})
		}
		return nil
	})
	if err != nil {
		return err
	}
	rows, err = r.conn.Query(ctx, `SELECT partrelid, partattrs::int2[], coalesce(partexprs::text, '') FROM pg_catalog.pg_partitioned_table`)
	if err != nil {
		return err
	}
	var rel uint32
	var attrs []int16
	var exprs string
	_, err = pgx.ForEachRow(rows, []any{&rel, &attrs, &exprs}, func() error {
		i, ok := r.byOID[rel]
		if !ok {
			return nil
		}
		for _, a := range attrs {
			if name := r.column(rel, a); name != "" {
				r.out.Tables[i].PartitionKey = append(r.out.Tables[i].PartitionKey, name)
			}
		}
		for _, name := range r.mentioned(rel, exprs) {
			if !slices.Contains(r.out.Tables[i].PartitionKey, name) {
				r.out.Tables[i].PartitionKey = append(r.out.Tables[i].PartitionKey, name)
			}
		}
		return nil
	})
	return err
}
