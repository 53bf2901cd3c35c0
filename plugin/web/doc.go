// Package web is what forges and people see of the plugin: the webhook
// endpoint, the only one with an Ingress, and health and metrics.
//
// A webhook is a hint: it says where to look now, and what is found there
// decides. One thing only is taken from a signed call, because it cannot be
// found afterwards: that a pull request was closed, though it may be open again.
package web
