// Package argocd is what the plugin reads of Argo CD's kinds.
//
// Argo CD's own types bring nine hundred packages along (kubectl, go-git, OPA's
// and Redis' clients), which would be two thirds of the plugin's program and a
// third of its memory. So the few fields that are read are named here, as Argo CD
// names them; a test holds each of them to Argo CD's own.
//
// Its promise: what is read here is what Argo CD would read. It is for reading
// alone: whoever wrote one of these back would drop every field that is not here,
// so what changes is patched.
package argocd
