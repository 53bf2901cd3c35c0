// Package seed turns a dump into the masked database of a seed.
//
// The order is the promise. Everything that can be refused is refused before
// the first row is read: the dump's statements against an allow list, its
// roles, its literals, and, on an empty shadow database with the whole schema,
// every column against the policy. Rows are masked on their way, into a scratch
// database that nobody else sees: whatever the server writes, to heap, WAL,
// temporary files or logs, is masked already. The last step renames the scratch
// database into place in one transaction. Whatever fails before it, or kills it,
// leaves the old seed answering with its old data, and the next run removes what
// was left. Event triggers of the dump are in the seed for its users; from
// PostgreSQL 17 on they do not fire in our sessions.
//
// An import goes through phases, each of which returns what it found out. Files
// are named by them:
//
//	import     Import, from phase to phase
//	open*      a server, checked and locked
//	check*     the dump's schema as statements, or why it may not be restored
//	plan*      the policy compiled on the shadow database, and tried on a sample
//	load*      the scratch database: rows, indexes, constraints
//	swap*      the scratch database becomes the seed
//	verify*    masks the dump again and compares, also before the swap
//	record     what an import says of itself to those who sign for it
//	roles      the roles that a policy has made
//	draft      writes a first policy
//	session, databases, marker, report   what the phases share
//
// Errors name the step, the object and the server's SQLSTATE. They never hold
// a value of a row: a server's message quotes its input, so it is not wrapped.
package seed
