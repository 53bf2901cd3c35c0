// Package broker gives previews their volume. It is the only place that makes
// Velero Restores: whoever may create those is cluster-admin by proxy, so no
// preview may, and preview-restore asks here instead.
//
// A restore begins when its preview goes live (Ahead). Its hook, a Job, is ended here
// when the volume is there (RunHooks), or, on clusters that start a pod for it, asks:
// one request, `POST /v1/restore` with a projected token, says everything: the
// token's review names the preview, the state says which seed it has, and the
// newest usable snapshot is chosen once and written on the namespace before
// anything is restored. Asking again is always safe. A volume that came from
// here is never touched again, so a push costs no developer their data; one
// that did not is refused, because masked data would never reach the preview
// and an empty database would look like success.
//
// In direct mode it makes by itself what a Restore would make, where seed-backup
// has recorded what the storage driver calls the snapshot, and leaves the other
// snapshots to Velero. Names and marks are the same, so that all that looks at
// volumes later takes no notice.
//
// The Client of this package must read from the API server and not from a
// cache: a step decides on what its predecessor has just written.
package broker
