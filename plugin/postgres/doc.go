// Package postgres makes and keeps the Postgres of previews that do not bring
// one: StatefulSet and Service `postgres`, from the platform's PodTemplate.
//
// It stands between the broker's hook and its restorer: a hook ends when
// Postgres answers on the restored volume, so that every migration that comes
// after it (PreSync Jobs, Helm's pre-install and pre-upgrade) finds a database.
// Before the volume is there it makes nothing, and the StatefulSet names the
// restored claim instead of having a template for one: a lost volume leaves a
// pod that waits, and never an empty database.
//
// What stands here is the plugin's own: it is made by server-side apply, Argo CD
// tracks none of it, and the admission policies keep a pull request's StatefulSet
// and Service of that name out. What is changed or deleted by hand is put right
// when the one watch over all of them shows it, and whenever a preview's guards
// are looked over. A changed template waits for a preview's next sync, so that
// it does not restart every database at once.
//
// In a slot that is given to a pull request with a Postgres of its own, what was
// made in advance is taken away before the hook ends; the volume stays.
package postgres
