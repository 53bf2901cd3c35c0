// Package mask turns rows of production data into masked rows.
//
// A Policy (ParsePolicy) says what happens to every column of a dump. Compile
// puts it together with a Key and the Catalog of the dump's schema, and fails
// closed: a column that nothing covers, a rule for something that is gone, a
// masker that its column's type, length, NOT NULL or unique indexes might not
// take are errors, all reported at once, before the first row. The Plan it
// returns hands out Workers, which mask rows of COPY text one by one without
// allocating.
//
// Masks are deterministic and keyed: the same original under the same key in
// the same column (or in columns joined by a foreign key or a link) has the
// same mask; see prf.go for the function behind them. Masked data is
// pseudonymous, not anonymous: README.md has the policy's language and the
// threat model, MASKERS.md what each masker promises and what an attacker
// still learns.
//
// No error of this package holds a value of a row.
//
// Files are named by layer, from the policy to the row:
//
//	policy*    what a person wrote, its schema and its digest
//	catalog*   the database that the dump describes
//	compile*   policy and catalog become a plan, or everything that is wrong
//	plan       what was decided; census warns where few values tell which is which
//	draft*     a first policy, from names and samples
//	subset*    a part of production's rows, and how large it will be
//	worker*    rows are masked
//	masker*    one masker each: email in masker_email.go
//	prf*, key, permutation   the keyed functions under the maskers
//	date, decimal, equality  how values are read and compared
package mask

// Version of the maskers: it changes when the same policy, key and data give
// other masks.
const Version = "5"
