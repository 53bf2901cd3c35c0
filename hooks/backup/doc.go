// Package backup takes a snapshot of a seed: it makes sure that the seed holds
// one finished import, made as asked and nothing else, has Velero back its
// volume up, and accepts what came out.
//
// Its promises: no snapshot of a seed without a marker, of another policy, key
// or volume, beside a database nobody knows, or while an import runs; none
// twice of the same import; and a Backup that Velero called Completed while it
// holds no volume is a failure, not a snapshot.
package backup
