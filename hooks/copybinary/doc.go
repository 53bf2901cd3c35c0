// Package copybinary turns rows of COPY text into rows of COPY's binary
// format.
//
// A server reads a timestamp, a number or a UUID from binary for a fraction of
// what its text costs it, and a load is mostly the server's work. The price is
// that a row must be understood here: types whose text is not converted have no
// Type, and a value that is not written as PostgreSQL writes it is [ErrText].
// Its row then travels as text, and what it means, or what is wrong with it, is
// the server's to say.
//
// The formats are those of PostgreSQL's receive functions ("Binary Format" in
// its manual's page on COPY, and the functions named at each Type).
package copybinary
