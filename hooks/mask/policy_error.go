package mask

import "fmt"

// RuleError is what is wrong with one line of a policy.
type RuleError struct {
	Line int
	// Gone says that the line is about something that the dump does not have.
	Gone bool

	err error
}

func (e *RuleError) Error() string { return fmt.Sprintf("policy line %d: %s", e.Line, e.err) }

func (e *RuleError) Unwrap() error { return e.err }
