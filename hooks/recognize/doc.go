// Package recognize knows what a text looks like when it is about a person: the
// addresses, numbers, codes and names in it, and the secrets. The draft of a
// policy, the check of a schema's literals and verify ask the same questions
// here, so that what one of them takes for personal the others do, too.
//
// Nothing of it keeps a text or holds one in an error.
package recognize
