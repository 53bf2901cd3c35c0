// Package sight keeps what a forge said of a repository's pull requests.
//
// Its promise: what is believed is never older than what was believed before,
// by the forge's own clock, and nothing that can end a preview is believed on
// one answer. A pull request's own record that says closed is enough, and so is
// a removal of the label in the forge's record of events. A 404, an absence
// from a list and a label that is missing are doubts: each needs two sightings
// at least Apart from each other, one of them a complete list that began after
// the first; and of a label the record of events must have been asked since the
// first, and not tell who set it. Until then what was believed before stays.
//
// A Book calls nobody and reads no clock. It says what should be asked next.
package sight
