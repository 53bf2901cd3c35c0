package snapshot

// RestorePath is where the broker takes `POST` with an empty body and a
// projected token of the preview's hook as bearer.
const RestorePath = "/v1/restore"

// RestoreReply is the broker's answer, as JSON, with each of its status codes:
//
//	200  the preview has its volume, and where the platform makes it a Postgres that
//	     answers; Snapshot names where the data came from
//	202  not yet, ask again after Retry-After; Place is the place in the queue
//	401  the token is not one
//	403  the token is of no live preview
//	409  the preview holds a volume that is not ours
//	422  the volume is there, and the preview's Postgres does not start on it
//	503  the broker cannot serve now, ask again
type RestoreReply struct {
	// Place is the place in the queue, 1 for the next one, 0 where there is
	// no queue.
	Place int `json:"place,omitempty"`
	// Message is a sentence for the log.
	Message string `json:"message"`
	// Snapshot is the name of the Backup that was chosen, once it is.
	Snapshot string `json:"snapshot,omitempty"`
}
