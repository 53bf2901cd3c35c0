package seed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/copytext"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/postgres"
	"github.com/seedling-dev/seedling/hooks/sqltext"
)

// Violation is a CHECK constraint that the masks of the sample break.
type Violation struct {
	Table      string   `json:"table"`
	Constraint string   `json:"constraint"`
	Text       string   `json:"text"`   // of the constraint
	Masked     []string `json:"masked"` // columns in it, with their maskers
	Rows       int      `json:"rows"`   // of the sample
	Help       string   `json:"help"`   // what would do instead

	columns []mask.ColumnName
}

// ViolationsError lists them all.
type ViolationsError struct{ Violations []Violation }

func (e *ViolationsError) Error() string {
	parts := make([]string, 0, len(e.Violations))
	for _, v := range e.Violations {
		parts = append(parts, fmt.Sprintf("%s: %s, %s, is broken by the masks of %s in %d rows: %s", v.Table, v.Constraint, v.Text, strings.Join(v.Masked, ", "), v.Rows, v.Help))
	}
	return fmt.Sprintf("the masks of a sample break %d CHECK constraints: %s", len(e.Violations), strings.Join(parts, "; "))
}

// checkConstraint is one of a table, or of a column's domain.
type checkConstraint struct {
	name, text string
	expression string
	columns    []string // that it mentions
	opaque     bool     // it calls functions of the database, which may read other tables
}

// trial asks the server which CHECK constraints masked rows break. The rows pass as
// parameters of a query and are stored nowhere.
type trial struct {
	mu         sync.Mutex
	known      map[mask.Name][]checkConstraint
	types      map[mask.ColumnName]string // that a column's values are cast to
	violations []Violation
}

// newTrial reads the constraints of a database.
func newTrial(ctx context.Context, conn *pgx.Conn) (*trial, error) {
	t := &trial{known: map[mask.Name][]checkConstraint{}, types: map[mask.ColumnName]string{}}
	// A domain's constraint is one of each column of it, with VALUE for the column.
	rows, err := conn.Query(ctx, `
		WITH RECURSIVE made AS (
			SELECT a.attrelid, a.attname, a.atttypid AS typ, a.atttypmod AS typmod FROM pg_catalog.pg_attribute a
				JOIN pg_catalog.pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
				WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
			UNION ALL SELECT m.attrelid, m.attname, t.typbasetype, t.typtypmod FROM made m JOIN pg_catalog.pg_type t ON t.oid = m.typ WHERE t.typtype = 'd')
		SELECT n.nspname, c.relname, m.attname, pg_catalog.format_type(m.typ, m.typmod) FROM made m
			JOIN pg_catalog.pg_class c ON c.oid = m.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
			JOIN pg_catalog.pg_type t ON t.oid = m.typ WHERE t.typtype <> 'd' AND n.nspname NOT IN ('pg_catalog', 'information_schema')`)
	if err != nil {
		return nil, fmt.Errorf("read the constraints: %w", postgres.Redact(err))
	}
	var c mask.ColumnName
	var as string
	if _, err := pgx.ForEachRow(rows, []any{&c.Schema, &c.Table, &c.Column, &as}, func() error {
		t.types[c] = as
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read the constraints: %w", postgres.Redact(err))
	}
	rows, err = conn.Query(ctx, `
		WITH RECURSIVE of AS (
			SELECT a.attrelid, a.attname, a.atttypid AS typ FROM pg_catalog.pg_attribute a
				JOIN pg_catalog.pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p') WHERE a.attnum > 0 AND NOT a.attisdropped
			UNION ALL SELECT o.attrelid, o.attname, t.typbasetype FROM of o JOIN pg_catalog.pg_type t ON t.oid = o.typ WHERE t.typtype = 'd'),
		x AS (
			SELECT oid, conrelid, conname, ARRAY(SELECT a.attname::text FROM unnest(conkey) k JOIN pg_catalog.pg_attribute a ON a.attrelid = conrelid AND a.attnum = k) AS columns,
				'' AS of_domain, conbin FROM pg_catalog.pg_constraint WHERE contype = 'c' AND convalidated AND conrelid <> 0
			UNION ALL SELECT d.oid, o.attrelid, d.conname, ARRAY[o.attname::text], o.attname, d.conbin
				FROM of o JOIN pg_catalog.pg_constraint d ON d.contypid = o.typ WHERE d.contype = 'c' AND d.convalidated)
		SELECT n.nspname, c.relname, x.conname, pg_catalog.pg_get_constraintdef(x.oid), pg_catalog.pg_get_expr(x.conbin, CASE x.of_domain WHEN '' THEN x.conrelid ELSE 0 END),
			x.columns, x.of_domain, `+opaqueCheck+`
		FROM x JOIN pg_catalog.pg_class c ON c.oid = x.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2, 3`)
	if err != nil {
		return nil, fmt.Errorf("read the constraints: %w", postgres.Redact(err))
	}
	var name mask.Name
	var k checkConstraint
	var domainOf string
	if _, err := pgx.ForEachRow(rows, []any{&name.Schema, &name.Name, &k.name, &k.text, &k.expression, &k.columns, &domainOf, &k.opaque}, func() error {
		found := k
		found.columns = slices.Clone(k.columns)
		if domainOf != "" {
			var err error
			if found.expression, err = valueOf(k.expression, domainOf); err != nil {
				return err
			}
		}
		t.known[name] = append(t.known[name], found)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read the constraints: %w", postgres.Redact(err))
	}
	return t, nil
}

// valueOf puts a column in the place of VALUE in a domain's constraint.
func valueOf(expression, column string) (string, error) {
	list, err := sqltext.Split(expression)
	if err != nil || len(list) != 1 {
		return "", command.Misconfiguredf("the constraint of a domain cannot be read")
	}
	var edits []sqltext.Edit
	for _, tok := range list[0].Tokens {
		if tok.Is("VALUE") {
			edits = append(edits, tok.Replace(sqltext.Identifier(column)))
		}
	}
	return sqltext.Apply(list[0].Text, edits), nil
}

// opaqueChecks are the statements that drop and make again the CHECK constraints
// that call functions of the database. Such a function may read other tables, of
// which not all rows are there while one is loaded, in a sample less than ever.
const opaqueChecks = `
	SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', x.conrelid::regclass, x.conname), format('ALTER TABLE %s ADD CONSTRAINT %I %s', x.conrelid::regclass, x.conname, pg_catalog.pg_get_constraintdef(x.oid)), format('%I of %s', x.conname, x.conrelid::regclass)
		FROM pg_catalog.pg_constraint x WHERE x.contype = 'c' AND x.conrelid <> 0 AND x.conislocal AND x.coninhcount = 0 AND ` + opaqueCheck + `
	UNION ALL SELECT format('ALTER DOMAIN %s DROP CONSTRAINT %I', x.contypid::regtype, x.conname), format('ALTER DOMAIN %s ADD CONSTRAINT %I %s', x.contypid::regtype, x.conname, pg_catalog.pg_get_constraintdef(x.oid)), format('%I of %s', x.conname, x.contypid::regtype)
		FROM pg_catalog.pg_constraint x WHERE x.contype = 'c' AND x.contypid <> 0 AND ` + opaqueCheck

// opaqueCheck says it of a constraint x. Extensions' functions in C are as good as
// the server's own.
const opaqueCheck = `EXISTS (SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_proc p ON p.oid = d.refobjid JOIN pg_catalog.pg_language l ON l.oid = p.prolang
	WHERE d.classid = 'pg_catalog.pg_constraint'::regclass AND d.objid = x.oid AND d.refclassid = 'pg_catalog.pg_proc'::regclass AND l.lanname NOT IN ('internal', 'c'))`

// droppedCheck is such a constraint.
type droppedCheck struct{ name, again string }

// dropOpaque drops these constraints and returns the statements that make them
// again. Those of partitions that repeat their table's go after it, and come before.
func dropOpaque(ctx context.Context, conn *pgx.Conn) (again []droppedCheck, err error) {
	for {
		rows, err := conn.Query(ctx, opaqueChecks)
		if err != nil {
			return nil, fmt.Errorf("list the constraints that call functions: %w", postgres.Redact(err))
		}
		var drops []string
		var adds []droppedCheck
		var drop string
		var c droppedCheck
		if _, err := pgx.ForEachRow(rows, []any{&drop, &c.again, &c.name}, func() error {
			drops, adds = append(drops, drop), append(adds, c)
			return nil
		}); err != nil {
			return nil, fmt.Errorf("list the constraints that call functions: %w", postgres.Redact(err))
		}
		if len(drops) == 0 {
			return again, nil
		}
		for _, sql := range drops {
			if err := execSQL(ctx, conn, sql); err != nil {
				return nil, fmt.Errorf("drop a constraint that calls functions, until the rows are there: %w", err)
			}
		}
		again = append(adds, again...)
	}
}

// opaque lists the constraints that no sample can judge.
func (t *trial) opaque() []string {
	var out []string
	for table, list := range t.known {
		for _, k := range list {
			if k.opaque {
				out = append(out, fmt.Sprintf("constraint %s of %s: it calls a function of the database, which may read rows that the sample does not have", mask.QuoteIdent(k.name), table))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// try masks rows of a table, as COPY writes them, and remembers what they break.
func (t *trial) try(ctx context.Context, conn *pgx.Conn, l *tableLoad, data []byte) (broken bool, err error) {
	into := l.plan.LoadInto
	constraints := t.known[into]
	if len(constraints) == 0 {
		return false, nil
	}
	values, err := maskedColumns(l, data)
	if err != nil {
		return false, err
	}
	for _, k := range constraints {
		v, err := t.judge(ctx, conn, into, l, k, values)
		if err != nil {
			return false, err
		}
		if v == nil {
			continue
		}
		broken = true
		t.mu.Lock()
		if !slices.ContainsFunc(t.violations, func(o Violation) bool { return o.Table == v.Table && o.Constraint == v.Constraint }) {
			t.violations = append(t.violations, *v)
		}
		t.mu.Unlock()
	}
	return broken, nil
}

// err lists what was broken, nil where nothing was.
func (t *trial) err() error {
	if len(t.violations) == 0 {
		return nil
	}
	slices.SortFunc(t.violations, func(a, b Violation) int {
		return strings.Compare(a.Table+"\x00"+a.Constraint, b.Table+"\x00"+b.Constraint)
	})
	return command.Misconfigured(&ViolationsError{t.violations})
}

// maskedColumns are the masked values of rows, by column; nil is NULL.
func maskedColumns(l *tableLoad, data []byte) ([][]*string, error) {
	w := l.layout.NewWorker()
	values := make([][]*string, len(l.columns))
	var fields [][]byte
	for {
		row, rest, ok := copytext.CutLine(data)
		if !ok {
			return values, nil
		}
		data = rest
		masked, err := w.Append(nil, row)
		if err != nil {
			return nil, err
		}
		line, _, ok := copytext.CutLine(masked)
		if !ok {
			continue // the filter left it out
		}
		if fields, err = copytext.Split(fields[:0], line); err != nil || len(fields) != len(l.columns) {
			return nil, command.Misconfiguredf("table %s: a row cannot be read", l.plan.LoadInto)
		}
		for i, f := range fields {
			if copytext.IsNull(f) {
				values[i] = append(values[i], nil)
				continue
			}
			v := string(copytext.Unescape(nil, f))
			values[i] = append(values[i], &v)
		}
	}
}

// judge asks for one constraint. It returns nil where nothing breaks it, where no
// masked column is in it, and where the server cannot tell in this way: the load
// into the shadow database will.
func (t *trial) judge(ctx context.Context, conn *pgx.Conn, table mask.Name, l *tableLoad, k checkConstraint, values [][]*string) (*Violation, error) {
	if k.opaque || len(values) == 0 || len(values[0]) == 0 {
		return nil, nil //nolint:nilnil // nothing is known, and nothing is wrong
	}
	v := &Violation{Table: table.String(), Constraint: mask.QuoteIdent(k.name), Text: k.text}
	from, args, maskers := t.rowsOf(table, l, k.columns, values)
	if from == "" || len(maskers) == 0 {
		return nil, nil //nolint:nilnil // the server cannot tell, or it is as in production
	}
	for _, column := range k.columns {
		if masker := maskers[column]; masker != "" {
			v.Masked = append(v.Masked, fmt.Sprintf("%s (%s)", mask.QuoteIdent(column), masker))
			v.columns = append(v.columns, mask.ColumnName{Schema: table.Schema, Table: table.Name, Column: column})
		}
	}
	sql := fmt.Sprintf("SELECT count(*) FROM %s WHERE (%s) IS FALSE", from, k.expression)
	err := conn.QueryRow(ctx, sql, args...).Scan(&v.Rows)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil || v.Rows == 0 {
		return nil, nil //nolint:nilnil,nilerr // the load tells
	}
	v.Help = helpFor(k, maskers)
	return v, nil
}

// rowsOf is a FROM item of columns of masked rows, with its parameters, and the
// maskers of those that are masked. It is "" where the database has to compute one,
// or where there are no rows.
func (t *trial) rowsOf(table mask.Name, l *tableLoad, columns []string, values [][]*string) (from string, args []any, maskers map[string]string) {
	if len(values) == 0 || len(values[0]) == 0 {
		return "", nil, nil
	}
	var arrays, names, casts []string
	maskers = map[string]string{}
	for _, column := range columns {
		at := slices.Index(l.columns, column)
		as := t.types[mask.ColumnName{Schema: table.Schema, Table: table.Name, Column: column}]
		if at < 0 || as == "" {
			return "", nil, nil // generated, or not in the dump
		}
		n := len(args) + 1
		arrays, names = append(arrays, fmt.Sprintf("$%d::text[]", n)), append(names, fmt.Sprintf("c%d", n))
		casts = append(casts, fmt.Sprintf("u.c%d::%s AS %s", n, as, sqltext.Identifier(column)))
		args = append(args, values[at])
		i := slices.IndexFunc(l.plan.Columns, func(c mask.ColumnPlan) bool { return c.Name == column })
		switch masker := l.plan.Columns[i].Masker; masker {
		case "keep", "":
		case "rebuild":
			return "", nil, nil // only the database computes it
		default:
			maskers[column] = masker
		}
	}
	return fmt.Sprintf("(SELECT %s FROM unnest(%s) AS u(%s)) AS %s", strings.Join(casts, ", "), strings.Join(arrays, ", "), strings.Join(names, ", "),
		sqltext.Identifier(table.Name)), args, maskers
}

// uncomputed reports whether an index's expressions or predicate fail on masked rows,
// as a cast to a number fails on letters.
func (t *trial) uncomputed(ctx context.Context, conn *pgx.Conn, l *tableLoad, u mask.Unique, data []byte) (bool, error) {
	into := l.plan.LoadInto
	var parts []string
	for _, e := range u.Expressions {
		parts = append(parts, "("+e+")")
	}
	if u.Predicate != "" {
		parts = append(parts, "("+u.Predicate+")")
	}
	columns := slices.Concat(u.ExpressionColumns, u.PredicateColumns)
	slices.Sort(columns)
	columns = slices.Compact(columns)
	values, err := maskedColumns(l, data)
	if err != nil {
		return false, err
	}
	from, args, masked := t.rowsOf(into, l, columns, values)
	if from == "" || len(masked) == 0 {
		return false, nil
	}
	var n int64
	// As text, so that each is computed, whatever its type compares by.
	err = conn.QueryRow(ctx, "SELECT count(CAST(ROW("+strings.Join(parts, ", ")+") AS text)) FROM "+from, args...).Scan(&n)
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	pe, ok := errors.AsType[*pgconn.PgError](err)
	return ok && strings.HasPrefix(pe.Code, "22"), nil // data exceptions; anything else the load tells
}

// helpFor says what would do in place of the masks that break a constraint.
func helpFor(k checkConstraint, maskers map[string]string) string {
	var words []string
	lengths, patterns, nulls, lists := false, false, false, false
	if list, err := sqltext.Split(k.expression); err == nil && len(list) == 1 {
		for _, tok := range list[0].Tokens {
			words = append(words, strings.ToUpper(tok.Text))
		}
	}
	for i, w := range words {
		lengths = lengths || slices.Contains([]string{"LENGTH", "CHAR_LENGTH", "CHARACTER_LENGTH", "OCTET_LENGTH"}, w)
		patterns = patterns || w == "~" || w == "LIKE" || w == "SIMILAR_TO_ESCAPE"
		nulls = nulls || w == "NULL" && i > 0 && (words[i-1] == "NOT" || words[i-1] == "IS")
		lists = lists || w == "ANY" || w == "ARRAY"
	}
	empty := false
	for _, m := range maskers {
		empty = empty || m == "null" || m == "credential"
	}
	switch {
	case nulls && empty:
		return "a mask that is not NULL, such as hash, or credential or constant with a value"
	case lengths:
		return "a mask of the same length: text or permute"
	case patterns:
		return "a mask that fits the pattern: permute keeps shapes, and with `pattern` what matches it; constant and choice take values that fit, regex replaces a part"
	case lists:
		return "choice with values of the list, or keep if they say nothing about anybody"
	case len(k.columns) > 1:
		return "masks that agree: one rule and a link for columns that must be equal, date_shift by one entity for dates that must stay in order, or keep for what says nothing about anybody"
	}
	return "a constant that fits, choice or number_range within the bounds, or keep if it says nothing about anybody"
}
