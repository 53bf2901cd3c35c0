// Package warm keeps previews in advance, which are called slots: namespace,
// guards, restored volume and the platform's Postgres, running and opened with a
// password of its own. The next pull request that is labelled is given one, and
// has a database at once.
//
// Its promise: a slot is nobody's, then one preview's, and never another one's.
// It is assigned by a write to its namespace that succeeds once; who asks again
// is told the same; and while one does not say whose it is, nobody is given
// another. Until then nothing comes in or goes out of it, there is no token in
// it, and the broker does not know it.
//
// What there is stands on the namespaces alone, so that a restart changes
// nothing. A slot that a newer snapshot has outdated, that nobody wants any more
// or that does not come up is drained: marked, so that nobody is given it, and
// removed by the janitor as an ended preview is. Slots are made one at a time,
// and not while a preview waits for its volume.
package warm
