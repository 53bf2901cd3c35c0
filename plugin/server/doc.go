// Package server is what Argo CD and the cluster see of the plugin: the
// generator's endpoint, the ApplicationSets that use it, the listeners, and
// the Lease that keeps two plugins from running at once.
package server
