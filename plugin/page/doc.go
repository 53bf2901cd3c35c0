// Package page is the status page: what becomes of previews, seeds and
// repositories, for people.
//
// Its promise: it reads copies, changes nothing, and is never in the way. It is
// made of what the plugin has in memory, at most once every two seconds however
// many look at it; what only the cluster knows is read while somebody looks, within
// a budget of its own (look.go). Nobody sees it who may not (access.go), and there
// is no secret and no row on it. It works without JavaScript; what an author wrote
// is escaped by html/template, and the browser runs, loads and sends nothing from
// or to elsewhere.
package page
