// Package preview decides which pull requests have a preview, and keeps the
// namespaces those previews live in.
//
// Its promise: failure is never an empty or a shorter list. What it answers
// is the last list that a forge confirmed completely; what leaves that list
// left by a decision with a recorded reason, or because the forge said of
// that one pull request that it is closed. State is written before it is
// answered.
//
// The parts: a Key names a preview (name.go); Next is the pure state machine
// of one preview (next.go); a Store keeps previews per repository in a
// ConfigMap (state.go); Namespaces makes and guards namespaces (namespace.go);
// a Reconciler brings forge, state and cluster together (reconcile.go).
package preview
