// Package kubefake is a Kubernetes API server in memory that is asked over HTTP:
// for benchmarks, where each call takes as long as is wanted, and for models,
// where calls fail.
//
// Its promise: what the plugin's clients rely on is as in the real one. Resource
// versions make a second writer a conflict, a name is taken once, preconditions
// hold, finalizers keep an object, a namespace takes what is in it along, and a
// watch from a list on misses nothing. It knows no schemas, defaults, quotas,
// admission or rights, nor who manages a field: what is applied is merged.
package kubefake
