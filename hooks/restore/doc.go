// Package restore asks the broker for a preview's volume and waits for it.
//
// It is the whole of what a preview's hook does, because a preview has no right
// in the cluster: the broker decides what is restored, from what, and says how
// far it is. Asking again is always safe, so a run that was cut off is simply
// repeated.
package restore
