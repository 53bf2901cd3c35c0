// Package cluster runs a real Kubernetes in one container, for the tests, the
// demo and daily use alike.
//
// The container (images/node) holds etcd, the control plane, kubelet with
// containerd, CoreDNS, a copy-on-write CSI driver with its sidecars, an S3
// server and Gitea. Argo CD and Velero run in it as pods, from images and
// manifests as users run them. Nothing is pulled from a registry: every binary
// is built from its Go module, every image from images/, and both are cached by
// a hash of what they are made from, under ${SEEDLING_CACHE:-~/.cache/seedling}.
//
// [Up] starts a cluster or adopts the running one of that name, and returns
// when everything in it answers. It does not end with the process; [Cluster.Down]
// ends it.
package cluster
