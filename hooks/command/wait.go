package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Status logs what a command waits for: a line whenever it changes, and a
// reminder every half minute while it does not. It is not safe for concurrent
// use.
type Status struct {
	log   *slog.Logger
	start time.Time
	last  string
	said  time.Time
}

// remindEvery is how long a log may be silent during a wait.
const remindEvery = 30 * time.Second

// NewStatus starts the clock of a wait.
func NewStatus(log *slog.Logger) *Status {
	return &Status{log: log, start: time.Now()}
}

// Set logs the sentence if it is news or the last line is long ago.
func (s *Status) Set(sentence string) {
	now := time.Now()
	message := sentence
	if sentence == s.last {
		if now.Sub(s.said) < remindEvery {
			return
		}
		message = "still: " + sentence
	}
	s.log.Info(message, "after", now.Sub(s.start).Round(time.Second))
	s.last, s.said = sentence, now
}

// ErrTimeout is wrapped by the error of Wait when its time was up.
var ErrTimeout = errors.New("the time is up")

// Wait is how to wait for something: patiently, and saying what for.
type Wait struct {
	// Status says what is waited for.
	Status *Status
	// Every is the pause between two tries. A try may change it.
	Every time.Duration
	// Timeout bounds the whole wait.
	Timeout time.Duration
	// Wake ends a pause early; nil for never.
	Wake <-chan struct{}
}

// Until calls try again and again until it is done, fails, or the time is up.
// try returns a sentence on what it waits for, "" when it is done. An error of
// try ends the wait.
//
// When the time is up the error wraps ErrTimeout and quotes the last sentence;
// when ctx ends first, it carries the context's cause.
func (w *Wait) Until(ctx context.Context, try func(context.Context) (pending string, err error)) error {
	deadline := time.NewTimer(w.Timeout)
	defer deadline.Stop()
	last := "nothing was heard yet"
	for {
		pending, err := try(ctx)
		switch {
		case err == nil && pending == "":
			return nil
		case ctx.Err() != nil:
			return stopped(ctx, last)
		case err != nil:
			return err
		}
		last = pending
		w.Status.Set(pending)
		pause := time.NewTimer(w.Every)
		select {
		case <-pause.C:
		case <-w.Wake:
		case <-ctx.Done():
		case <-deadline.C:
			pause.Stop()
			return fmt.Errorf("%s; %w after %s", pending, ErrTimeout, w.Timeout)
		}
		pause.Stop()
		if ctx.Err() != nil {
			return stopped(ctx, last)
		}
	}
}

func stopped(ctx context.Context, last string) error {
	return fmt.Errorf("stopped while waiting (%s): %w", last, context.Cause(ctx))
}
