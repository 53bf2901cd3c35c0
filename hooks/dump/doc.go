// Package dump opens pg_dump archives where they lie and reads them in place.
//
// A dump is named by a path or a URL (s3://, gs://, azblob://, https://). The
// header and the table of contents are read once; the data of a table is read
// by its offset, by as many readers at once as the caller likes, decompressed
// on the way. Nothing is ever written: no copy of raw data reaches a disk, and
// there is no spool. A dump that is compressed as a whole is read in its own
// order instead (Walk), from begin to end.
//
// # Versions
//
// Archives 1.12 to 1.16, which pg_dump 9.0 to 18 write, are read without any
// client of Postgres; dumps by the real pg_dump 13, 15, 17 and 18, of servers
// 13 to 18, are in testdata. A newer archive version is an error that names
// both.
//
// # Connections
//
// A read that breaks off goes on at the byte where it broke, after pauses that
// double, and gives up after twelve attempts in a row without a byte in
// between, about forty seconds. A connection over which nothing comes for a
// minute counts as broken. Each request is bound to the version that was
// opened: the ETag (If-Match) on S3, Azure and web servers, the version id
// where an S3 bucket keeps versions and the identity has s3:GetObjectVersion,
// the generation on Google's. An object that was replaced or deleted in between
// is an error, except for a version that is kept. So is a web server that does
// not do ranges, or that says nothing by which a change could be noticed. What
// is stored compressed is read as it is stored, whatever Content-Encoding says.
//
// The right to read objects is enough, but for Newest, which lists them: it finds
// the newest whole object that a pattern matches, and the digest beside it. A list
// that breaks off is asked for again or is an error, and never a shorter one. To an
// identity that may not list, S3 and Google refuse a name that is not there with
// the status of a missing right.
// Credentials go to the host they are for, also when it redirects; errors name
// a status and the store's word for it, and quote neither URLs nor answers.
//
// # The promise
//
// What a dump cannot vouch for is an error. A truncated or damaged archive, an
// object that changes while it is being read, or a format the package does not
// know never turns into fewer rows.
//
// Every dump tells when it was cut. A flipped bit in rows is noticed where a
// checksum covers them: gzip (the default), zlib inside of custom archives.
// Zstd and lz4 carry one only if the program that compressed asked for it,
// which pg_dump does not. Nothing covers archives made with -Z 0, plain dumps,
// and the statements and names in any table of contents: a declared sha256
// (Check) covers all of it.
package dump
