package postgres

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// States of SQL that decide something here or in a caller; postgresql.org
// lists them all in its appendix A.
const (
	InvalidParameterValue = "22023"
	InvalidCatalogName    = "3D000" // no such database
	InvalidSchemaName     = "3F000" // no such schema
	DeadlockDetected      = "40P01"
	InsufficientPrivilege = "42501"
	UndefinedColumn       = "42703"
	UndefinedFunction     = "42883"
	UndefinedObject       = "42704"
	WrongObjectType       = "42809"
	UndefinedTable        = "42P01"
	ObjectInUse           = "55006"
	LockNotAvailable      = "55P03"
	UndefinedFile         = "58P01"
)

// Error is what is told of an error of the server: its code and the
// names of objects. The server's message, detail and context quote rows and
// are left behind.
type Error struct {
	Code       string // SQLSTATE
	Message    string // "" unless it can name objects only
	Schema     string
	Table      string
	Column     string
	Constraint string
	Line       int64 // of a COPY, 0 when unknown
}

func (e *Error) Error() string {
	var b strings.Builder
	switch {
	case e.Message != "":
		b.WriteString(e.Message)
	case conditions[e.Code] != "":
		b.WriteString(conditions[e.Code])
	default:
		b.WriteString("the server reports an error")
	}
	fmt.Fprintf(&b, " (SQLSTATE %s)", e.Code)
	if e.Table != "" {
		b.WriteString(", table " + e.Table)
	}
	if e.Column != "" {
		b.WriteString(", column " + e.Column)
	}
	if e.Constraint != "" {
		b.WriteString(", constraint " + e.Constraint)
	}
	return b.String()
}

// conditions are the server's own names for what may go wrong with rows.
var conditions = map[string]string{
	"22000": "data exception",
	"22001": "a value is too long for its column",
	"22003": "a number is out of range",
	"22007": "a date or time cannot be read",
	"22008": "a date or time is out of range",
	"22012": "a division by zero",
	"22021": "a character is not in the encoding",
	"22023": "a parameter has an invalid value",
	"22P02": "a value cannot be read as its column's type",
	"22P04": "the COPY data is malformed",
	"22P05": "a character cannot be translated",
	"23502": "a value is null where it must not be",
	"23503": "a foreign key is violated",
	"23505": "a unique constraint is violated",
	"23514": "a check constraint is violated, or a row finds no partition",
	"23P01": "an exclusion constraint is violated",
	"2BP01": "other objects depend on it",
	"40P01": "a deadlock was found",
	"42601": "a syntax error",
	"53100": "the disk is full",
	"53200": "the server is out of memory",
	"53300": "the server has too many connections",
	"54000": "a value is longer than an index takes, or another limit of the server is exceeded (masks compress less well than what they stand for: hash is a short one)",
	"55006": "the object is in use",
	"57014": "the statement was cancelled",
	"57P01": "the server shut down or ended the session",
	"57P02": "the server crashed",
	"57P03": "the server is starting up or shutting down",
	"58030": "an input or output error on the server",
	"XX000": "an internal error of the server",
	"XX001": "the server found damaged data",
}

// speaks are the codes whose message names objects and settings, never a
// value of a row.
var speaks = map[string]bool{
	"08P01": true, "0A000": true, "28000": true, "28P01": true, "3D000": true, "3F000": true, "42501": true, "42701": true,
	"42703": true, "42704": true, "42710": true, "42723": true, "42883": true, "42P01": true, "42P04": true, "42P06": true,
	"42P07": true, "42P13": true, "42P16": true, "42P17": true, "42P21": true, "42P22": true, "42809": true, "42804": true,
	"53100": true, "53300": true, "55000": true, "55006": true, "55P03": true, "57P03": true, "58P01": true,
}

var copyPlace = regexp.MustCompile(`(?m)^COPY [^,]*, line ([0-9]+)(?:, column ([^:]+))?`)

// raised are the source files of the languages in which a database's functions
// raise what they like, a row's values among it.
var raised = regexp.MustCompile(`^pl(_exec|py|perl|tcl|v8|java|lua|rust|sh|r)[^a-z]`)

// Redact turns an error into one that holds no value. Errors that are not the
// server's pass: those of the connection name hosts and system calls.
func Redact(err error) error {
	var pe *pgconn.PgError
	if !errors.As(err, &pe) {
		return err
	}
	out := &Error{Code: pe.Code}
	m := copyPlace.FindStringSubmatch(pe.Where)
	if m != nil {
		out.Line, _ = strconv.ParseInt(m[1], 10, 64)
	}
	if raised.MatchString(pe.File) {
		return out
	}
	out.Schema, out.Table, out.Column, out.Constraint = pe.SchemaName, pe.TableName, pe.ColumnName, pe.ConstraintName
	if speaks[pe.Code] {
		out.Message = pe.Message
	}
	if m != nil && out.Column == "" {
		out.Column = m[2]
	}
	return out
}

// Tell is Redact for statements that see no row, whose message can hold none: it
// keeps the message and the hint.
func Tell(err error) error {
	var pe *pgconn.PgError
	if !errors.As(err, &pe) {
		return err
	}
	message := pe.Message
	if pe.Hint != "" {
		message += " (" + pe.Hint + ")"
	}
	return &Error{Code: pe.Code, Message: message}
}

// Code is the SQLSTATE of an error, "" when it is none of the server's.
func Code(err error) string {
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pe.Code
	}
	if se, ok := errors.AsType[*Error](err); ok {
		return se.Code
	}
	return ""
}

// Is reports whether an error is the server's, with one of these SQLSTATEs.
func Is(err error, states ...string) bool {
	code := Code(err)
	return code != "" && slices.Contains(states, code)
}

// Lasting says whether an error stays until a person changes something: a wrong
// role or login (class 28), certificates that do not fit, no such database, a
// right that is missing.
func Lasting(err error) bool {
	return strings.HasPrefix(Code(err), "28") || errors.Is(err, errCertificates) || Is(err, InvalidCatalogName, InsufficientPrivilege)
}
