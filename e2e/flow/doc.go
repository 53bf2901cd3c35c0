// Package flow holds the tests of the whole: a dump in S3 becomes a masked
// snapshot, and a label on a pull request becomes a preview that holds it, on
// the test cluster's real Argo CD, Velero, Postgres and Git host.
//
// The tests share one installation. Its cluster is named by SEEDLING_CLUSTER,
// and stays up afterwards.
package flow
