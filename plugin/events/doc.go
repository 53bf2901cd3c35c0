// Package events tells the life of previews as Kubernetes Events of their
// Applications, where `kubectl describe` and Argo CD's page show them.
//
// Its promise: an event is told when a preview's state changes, never because time
// has passed, and many of the same are one that counts. None holds a secret, a value
// of a row, or a word that an author wrote. Events tell and decide nothing: what
// cannot be written is dropped.
package events
