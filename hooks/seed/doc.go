// Package seed turns a dump into the masked database of a seed.
//
// The order is the promise. Everything that can be refused is refused before
// the first row is read: the dump's statements against an allow list, its
// roles, its literals, and, on an empty shadow database that carries the whole
// schema, every column against the policy. Rows are masked on their way, into
// a scratch database that nobody else sees; what the server ever writes, to
// heap, WAL, temporary files or logs, is masked already. The last step renames
// the scratch database into place in one transaction, so that whatever fails
// before it, or kills it, leaves the old seed answering with its old data, and
// the next run removes what was left. Event triggers of the dump are in the
// seed for its users; from PostgreSQL 17 on they fire in no session of ours.
//
// Errors name the step, the object and the server's SQLSTATE. They never hold
// a value of a row: a server's message quotes its input, so it is not wrapped.
package seed
