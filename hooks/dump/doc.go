// Package dump opens pg_dump archives where they lie and reads them in place.
//
// A dump is named by a path or a URL (s3://, gs://, azblob://, https://). The
// header and the table of contents are read once; the data of a table is read
// by its offset, by as many readers at once as the caller likes, decompressed
// on the way. Nothing is ever written: no copy of raw data reaches a disk.
//
// The promise to callers: what a dump cannot vouch for is an error. A
// truncated or damaged archive, an object that changes while it is being read,
// or a format the package does not know never turns into fewer rows.
package dump
