// Package preview decides which pull requests have a preview, and keeps the
// namespaces those previews live in.
//
// Its promise: failure is never an empty or a shorter list, and nothing ends on
// one answer. What it answers is the last list that a forge confirmed
// completely; what leaves that list left by a decision with a recorded reason.
// State is written before it is answered.
//
// Each part has a pace of its own, and waits for no slower one:
//
//   - observe.go: lists and single questions become sightings, which package
//     sight merges by the forge's own clock.
//   - facts.go: consent, commit statuses, snapshots, namespaces and losses are
//     small tasks in the bounded queues of package queue; each result is kept
//     when it comes.
//   - fork.go, approval.go: whose commit, and whose approval, counts.
//   - paths.go: which files a pull request changes, asked once for each head, as
//     a filter and as outputs.
//   - decide.go: state, sightings and facts become the next state. Next
//     (next.go) is the pure state machine of one preview; guard.go keeps back
//     what comes in masses.
//   - publish.go: answers for Argo CD, and pokes.
//   - after.go, comment.go, deployment.go: what only tells, and mending, never in
//     the way.
//   - inventory.go: one watch of what exists in the cluster.
//
// loop.go brings them together, a goroutine for each repository. A Store keeps
// the previews of a repository in ConfigMaps (state.go, piece.go); Namespaces
// makes and guards namespaces (namespace.go); a Key names a preview (name.go).
package preview
