// Package queue bounds what is asked of one service at a time, and shares it
// fairly.
//
// Its promise: nobody waits for a place within a deadline, because work begins
// its own when its turn comes; whoever asks for much does not keep others from
// their little; what only tells never takes the places of what decides; and
// while a service says that it wants no calls, nothing of it begins.
package queue
