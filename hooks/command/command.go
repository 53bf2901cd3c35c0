package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// Exit codes of every command.
const (
	ExitDone          = 0
	ExitRetry         = 1
	ExitMisconfigured = 2
)

// Env is what a command gets from the outside.
type Env struct {
	// Args are the arguments without the command's name.
	Args           []string
	Getenv         func(string) string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Log writes to Stderr.
	Log *slog.Logger
}

// Main runs a command with the process' own arguments, streams and signals and
// returns its exit code; main passes it to os.Exit. The context ends at SIGTERM
// (a pod's end) and SIGINT, with a cause that names the signal.
func Main(name string, run func(context.Context, Env) error) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	env := Env{
		Args:   os.Args[1:],
		Getenv: os.Getenv,
		Stdin:  os.Stdin,
		Stdout: os.Stdout,
		Stderr: os.Stderr,
		Log:    NewLog(os.Stderr),
	}
	return Run(ctx, env, name, run)
}

// Run is Main with an environment of the caller's. Every command answers
// `version` by itself.
func Run(ctx context.Context, env Env, name string, run func(context.Context, Env) error) int {
	if len(env.Args) == 1 && (env.Args[0] == "version" || env.Args[0] == "--version") {
		fmt.Fprintf(env.Stdout, "%s %s\n", name, ThisBuild())
		return ExitDone
	}
	return Report(env.Stderr, name, run(ctx, env))
}

// Report writes the sentence a command ends with, as one line, and returns the
// exit code that belongs to it.
func Report(w io.Writer, name string, err error) int {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return ExitDone
	}
	fmt.Fprintf(w, "%s: %s\n", name, OneLine(err.Error()))
	return ExitCode(err)
}

// ExitCode is the exit code for an error: what Misconfigured marked is 2, any
// other error 1.
func ExitCode(err error) int {
	var m *misconfiguredError
	switch {
	case err == nil:
		return ExitDone
	case errors.As(err, &m):
		return ExitMisconfigured
	default:
		return ExitRetry
	}
}

// Misconfigured marks an error as one that a retry will not cure.
func Misconfigured(err error) error {
	if err == nil {
		return nil
	}
	return &misconfiguredError{err}
}

// Misconfiguredf is Misconfigured of fmt.Errorf.
func Misconfiguredf(format string, args ...any) error {
	return &misconfiguredError{fmt.Errorf(format, args...)}
}

type misconfiguredError struct{ err error }

func (m *misconfiguredError) Error() string { return m.err.Error() }
func (m *misconfiguredError) Unwrap() error { return m.err }

// ParseFlags parses the flags of a command that takes nothing else. What is
// wrong with them is the returned error and is not printed besides; --help
// prints the usage and returns flag.ErrHelp.
func ParseFlags(set *flag.FlagSet, env Env) error {
	set.SetOutput(io.Discard)
	set.Usage = func() {}
	err := set.Parse(env.Args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		set.SetOutput(env.Stdout)
		fmt.Fprintf(env.Stdout, "Usage of %s:\n", set.Name())
		set.PrintDefaults()
		return err
	case err != nil:
		return Misconfiguredf("read the flags: %w; see %s --help", err, set.Name())
	case set.NArg() > 0:
		return Misconfiguredf("read the flags: %q is not a flag, and no other arguments are taken; see %s --help", set.Arg(0), set.Name())
	}
	return nil
}

// NewLog returns the log of a command: a line of text for each step, times in
// UTC and whole seconds.
func NewLog(w io.Writer) *slog.Logger { return NewLogAt(w, slog.LevelInfo) }

// NewLogAt is NewLog from a level on.
func NewLogAt(w io.Writer, level slog.Leveler) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.String(a.Key, a.Value.Time().UTC().Format(time.RFC3339))
			}
			return a
		},
	}))
}

// OneLine makes one line of a text: line ends become "; ", other control
// characters spaces.
func OneLine(s string) string {
	var lines []string
	for line := range strings.SplitSeq(s, "\n") {
		line = strings.TrimSpace(strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f {
				return ' '
			}
			return r
		}, line))
		if line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}
