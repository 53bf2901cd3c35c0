package dump

import (
	"net/http"
	"time"
)

// Through lets a test put fakes of stores behind a transport, with pauses too
// short to notice.
func Through(o Options, transport http.RoundTripper, attempts int) Options {
	o.transport = transport
	o.patience = patience{attempts: attempts, first: time.Millisecond, most: 4 * time.Millisecond}
	return o
}

// Stalling makes connections count as broken when nothing comes for so long.
func Stalling(o Options, after time.Duration) Options {
	o.patience.stall = after
	return o
}
