package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/seedling-dev/seedling/plugin/preview"
)

// Restorer brings a preview to its volume, one short step at a time. Steps are
// idempotent, and the broker runs one at a time for each preview.
type Restorer interface {
	// Step does what can be done now. A *ForeignError says that the preview
	// holds a volume that is not ours, ErrGone that its namespace is not the
	// one of the state; every other error may pass by itself.
	Step(ctx context.Context, p preview.Preview) (Progress, error)
	// Watch signals when another step may get further, until ctx ends. It may
	// signal too often, and the broker steps now and then without it.
	Watch(ctx context.Context, p preview.Preview) <-chan struct{}
}

// Progress is how far a preview has come.
type Progress struct {
	// Done: the volume is there and ours.
	Done bool
	// Place in the queue, 1 for the next one; 0 where there is none.
	Place int
	// Message is a sentence for the hook's log.
	Message string
	// Snapshot is the chosen Backup's name, "" before the choice.
	Snapshot string
}

// StatusError is an error of a Restorer that knows how it is answered.
type StatusError interface {
	error
	// Status is the status code, Public what a pull request may repeat.
	Status() int
	Public() string
}

// ErrGone is wrapped by Step when the preview's namespace is missing, going or
// another one than the state knows.
var ErrGone = errors.New("the preview's namespace is gone")

// ForeignError says that a preview holds a volume that the broker did not
// restore.
type ForeignError struct {
	Namespace, PVC string
	// Reason is a half sentence: "it carries no restore of ours".
	Reason string
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("PersistentVolumeClaim %s/%s is not the restored one: %s; set the label preview-reset on the pull request for a fresh preview, or delete that claim and sync again",
		e.Namespace, e.PVC, e.Reason)
}
