// Package flood bounds what strangers can make this process spend before it
// knows who they are: calls, connections and lines of its log.
//
// Its promise: what one of them takes is taken from that one, nobody else waits
// for it, and the memory for telling them apart is bounded, however many there
// are.
package flood
