package mask

import (
	"strings"
	"time"
)

// Name is the qualified name of a table, as the catalog has it (unquoted).
type Name struct {
	Schema string `json:"Schema"`
	Name   string `json:"Name"`
}

// String writes the name as SQL would, with quotes where they are needed.
func (n Name) String() string { return QuoteIdent(n.Schema) + "." + QuoteIdent(n.Name) }

// ColumnName is the qualified name of a column, as the catalog has it.
type ColumnName struct {
	Schema string `json:"Schema"`
	Table  string `json:"Table"`
	Column string `json:"Column"`
}

// String writes the name as SQL would, with quotes where they are needed.
func (n ColumnName) String() string {
	return QuoteIdent(n.Schema) + "." + QuoteIdent(n.Table) + "." + QuoteIdent(n.Column)
}

// QuoteIdent quotes an identifier unless it is lower-case letters, digits and
// underscores. Key words are not quoted: the policy's syntax has none.
func QuoteIdent(s string) string {
	plain := s != "" && (s[0] < '0' || s[0] > '9')
	for i := 0; plain && i < len(s); i++ {
		c := s[i]
		plain = c == '_' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
	}
	if plain {
		return s
	}
	return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
}

// Catalog is what the compiler must know of the database that a dump
// describes, read from a server that built its schema.
type Catalog struct {
	// Tables are all tables that may carry rows in the dump: ordinary,
	// partitioned, partitions, inheritance children, extension configuration
	// tables.
	Tables []Table
	// LargeObjects says that the dump carries large objects.
	LargeObjects bool
	// FoldsASCII says that lower() of the database changes A to Z only, as in
	// the C locale.
	FoldsASCII bool
	// Taken is when the dump was made, zero where it does not say.
	Taken time.Time
	// Logins are the password hashes of testers' accounts; nil to judge a policy alone.
	Logins PasswordHashes
	// Seed says that it is the catalog of a seed, which lacks the indexes that
	// the policy drops.
	Seed bool
}

// Table is one table of the catalog.
type Table struct {
	Schema, Name string
	// Columns in attribute order, generated ones included, dropped ones not.
	Columns []Column
	Uniques []Unique
	// Computed are the other indexes, those of them that have expressions or a predicate:
	// a row for which these cannot be computed is refused.
	Computed    []Unique
	ForeignKeys []ForeignKey
	// Parents are the tables this one is a partition or an inheritance child
	// of (pg_inherits); a partition has one.
	Parents []Name
	// Partitioned says that the table is partitioned (relkind p) and has no
	// rows of its own.
	Partitioned bool
	// PartitionOf says that the table is a partition of its only parent
	// (relispartition).
	PartitionOf bool
	// PartitionStrategy of a partitioned table: "range", "list" or "hash".
	PartitionStrategy string
	// PartitionKey names the columns that the partition key mentions, in
	// expressions too.
	PartitionKey []string
	// DefaultPartition says that a partitioned table has a default partition.
	DefaultPartition bool
	// Foreign says that the table is a foreign table: it is restored empty.
	Foreign bool
	// Extension is the extension that the table belongs to, whose configuration it
	// holds; "" for all others.
	Extension string
	// Stored is how many bytes its rows take in the dump, for Draft.
	Stored int64
}

// Column is one column of a table.
type Column struct {
	Name string
	// Type is format_type(atttypid, atttypmod), for people.
	Type string
	// BaseType is pg_type.typname with domains resolved: text, varchar,
	// bpchar, citext, int4, numeric, timestamptz, jsonb, uuid, ...; for an
	// array the element's typname, with Array set.
	BaseType string
	// Array says that the column is an array of BaseType.
	Array bool
	// Enum holds the labels when the (element) type is an enum.
	Enum []string
	// Composite says that the type is a composite, range or multirange type.
	Composite bool
	// Attributes of the (element) type when it is a composite type, in order.
	Attributes []Column
	// Range is the BaseType of the bounds when the (element) type is a range or
	// multirange type.
	Range string
	// Length is n of varchar(n), char(n), bit(n), of a domain over them too;
	// 0 when there is no limit.
	Length int
	// Precision and Scale of numeric(p,s); Precision is 0 when unlimited.
	Precision, Scale int
	// NotNull includes NOT NULL of domains.
	NotNull bool
	// Generated columns (GENERATED ALWAYS AS (...) STORED) are computed and
	// are not in the dump's rows.
	Generated bool
	// Sequence is the qualified name of the sequence that feeds the column
	// (identity, serial, or a default of nextval), "" when there is none.
	Sequence string
	// Nondeterministic says that the column's collation is not deterministic.
	Nondeterministic bool
	// Default is the default's expression, "" when there is none.
	Default string
	// Listed says that a CHECK constraint of the column, or its domain's, lists the
	// values that it may have.
	Listed bool
	// Patterns are the regular expressions that CHECK constraints of the column, or its
	// domain's, want its texts to match, those of them that RE2 can read.
	Patterns []string
}

// Unique is a primary key, a unique constraint, a unique index or an
// exclusion constraint.
type Unique struct {
	Name string
	// Columns are the plain key columns, INCLUDE columns not.
	Columns []string
	// Expressions are the key's expressions as pg_get_indexdef prints them.
	Expressions []string
	// ExpressionColumns are the columns that the expressions mention.
	ExpressionColumns []string
	// Predicate of a partial index as pg_get_expr prints it, "" when whole.
	Predicate string
	// PredicateColumns are the columns that the predicate mentions.
	PredicateColumns []string
	NullsNotDistinct bool
	Primary          bool
	// Exclusion holds the operators of an exclusion constraint, one for each
	// key column and expression; nil for everything else.
	Exclusion []string
}

// ForeignKey is one foreign key of a table.
type ForeignKey struct {
	Name       string
	Columns    []string
	References Name
	// ReferencedColumns in the order of Columns.
	ReferencedColumns []string
	// Equals are the operators that compare a referenced column with a referencing
	// one, as SQL with their schema: those of the types, not of whoever asks.
	Equals []string
	// MatchFull says that all columns are NULL, or none.
	MatchFull bool
}
