// Package probe finds out whether a cluster enforces NetworkPolicies, which no
// object of it says: an engine that is missing or switched off ignores them in
// silence.
//
// Its promise: it says enforced only of what it saw open first and refused
// afterwards, and it leaves nothing behind, also when it is interrupted. A
// server and a client run in a namespace of their own; the client's readiness
// is whether it reaches the server, so that objects alone tell.
package probe
