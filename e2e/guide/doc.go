// Package guide holds the documents to what they say: the commands of README.md
// and docs/ are run as they stand there, by its tests or by the test that its
// table names.
package guide
