// Package janitor removes what ended previews leave behind: Argo CD deletes
// what it made, and nobody else deletes a restored volume, its snapshot
// objects, the namespace or the Restore.
//
// It works level by level: each pass reads what is there and does the next
// thing, so it may stop at any point and go on after a restart. It begins when
// the plugin has ended a preview and its Application is gone, and goes in the
// one order that leaves nothing behind: Restores that have not begun, pods,
// claims, VolumeSnapshots, their contents, the namespace. The Restores are
// deleted apart and not waited for, because that takes Velero and its storage.
//
// Rules without exception: a list that failed is never an empty one; only what
// carries our labels is touched, and exactly the object that was read (its
// UID is a precondition of the deletion); a deletion policy is never changed,
// and a content whose policy is Delete is left alone, because deleting it
// would destroy the snapshot that all previews share.
package janitor
