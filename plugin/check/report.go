package check

import (
	"fmt"
	"io"

	"github.com/seedling-dev/seedling/hooks/command"
)

// Report is what was found, one line each, as it is found.
type Report struct {
	Out io.Writer

	wrong, unseen int
	// final is true where a retry will not cure one of them.
	final bool
}

// Say writes that a thing is well, with a detail, or what is wrong with it. An
// error that is marked as misconfigured makes the whole result so.
func (r *Report) Say(what, detail string, err error) {
	if err == nil {
		fmt.Fprintf(r.Out, "ok     %s%s\n", what, detail)
		return
	}
	fmt.Fprintf(r.Out, "WRONG  %s: %s\n", what, command.OneLine(err.Error()))
	r.wrong++
	r.final = r.final || command.ExitCode(err) == command.ExitMisconfigured
}

// Wrong writes what is wrong with a thing, why it matters and what mends it.
// No retry will cure it.
func (r *Report) Wrong(what, format string, args ...any) {
	r.Say(what, "", command.Misconfiguredf(format, args...))
}

// Refused writes that an attack was refused, and by what.
func (r *Report) Refused(what, by string) {
	fmt.Fprintf(r.Out, "refused %s, by %s\n", what, by)
}

// Open writes that an attack was not refused, what that means, and what mends it.
func (r *Report) Open(what, format string, args ...any) {
	fmt.Fprintf(r.Out, "OPEN   %s: %s\n", what, command.OneLine(fmt.Sprintf(format, args...)))
	r.wrong++
	r.final = true
}

// Note writes something that is worth knowing and not wrong.
func (r *Report) Note(format string, args ...any) {
	fmt.Fprintf(r.Out, "note   %s\n", command.OneLine(fmt.Sprintf(format, args...)))
}

// Unseen writes that a thing was not looked at: why, and how it can be.
func (r *Report) Unseen(what, why, instead string) {
	fmt.Fprintf(r.Out, "unseen %s: not looked at: %s; %s\n", what, command.OneLine(why), instead)
	r.unseen++
}

// Result is nil where nothing is wrong. What could not be looked at is counted
// aloud and is no error.
func (r *Report) Result() error {
	if r.unseen > 0 {
		fmt.Fprintf(r.Out, "note   %d things were not looked at: see the lines that begin with unseen\n", r.unseen)
	}
	if r.wrong == 0 {
		return nil
	}
	err := fmt.Errorf("check: %d of the things above are wrong", r.wrong)
	if r.final {
		return command.Misconfigured(err)
	}
	return err
}
