// Package postgres is what everything that works on a seed's Postgres agrees
// on: how it is reached, the maintenance database and the locks in it, the
// stamp of its volume, the marker that an import leaves in the seed's database,
// and what may be told of the server's errors.
//
// Its promise is that a connection string or a password never gets into an
// error, and that an error of the server is told without its message, detail
// and context where these can quote a row.
package postgres
