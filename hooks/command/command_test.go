package command_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seedling-dev/seedling/hooks/command"
)

func TestReport(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		err  error
		line string
		code int
	}{
		{"done", nil, "", 0},
		{"help", flag.ErrHelp, "", 0},
		{"retry", errors.New("no answer"), "cmd: no answer\n", 1},
		{"misconfigured", command.Misconfiguredf("no key"), "cmd: no key\n", 2},
		{"misconfigured deep down", fmt.Errorf("start: %w", command.Misconfigured(errors.New("no key"))), "cmd: start: no key\n", 2},
		{"many lines", errors.Join(errors.New("a is wrong\r"), errors.New("\tb is wrong\x00")), "cmd: a is wrong; b is wrong\n", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			if code := command.Report(&out, "cmd", test.err); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if out.String() != test.line {
				t.Errorf("wrote %q, want %q", out.String(), test.line)
			}
		})
	}
	if command.Misconfigured(nil) != nil {
		t.Error("Misconfigured(nil) is an error")
	}
}

func TestParseFlags(t *testing.T) {
	t.Parallel()
	tests := []struct {
		args  []string
		fault string
		code  int
	}{
		{[]string{"--n=3"}, "", 0},
		{[]string{"--help"}, "help requested", 0},
		{[]string{"--m"}, "flag provided but not defined: -m; see cmd --help", 2},
		{[]string{"--n=x"}, `invalid value "x" for flag -n`, 2},
		{[]string{"extra"}, `"extra" is not a flag`, 2},
	}
	for _, test := range tests {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			set := flag.NewFlagSet("cmd", flag.ContinueOnError)
			n := set.Int("n", 1, "a number")
			err := command.ParseFlags(set, command.Env{Args: test.args, Stdout: &out, Stderr: io.Discard})
			if test.fault == "" {
				if err != nil || *n != 3 {
					t.Fatalf("n=%d, error %v", *n, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.fault) {
				t.Fatalf("error %v does not say %q", err, test.fault)
			}
			if code := command.Report(io.Discard, "cmd", err); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if help := test.code == 0; help != strings.Contains(out.String(), "a number") {
				t.Errorf("printed %q", out.String())
			}
		})
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	quiet := slog.New(slog.DiscardHandler)
	tests := []struct {
		name    string
		try     func(n int) (string, error)
		stop    time.Duration
		elapsed time.Duration
		fault   string
		timeout bool
	}{
		{"done at once", func(int) (string, error) { return "", nil }, 0, 0, "", false},
		{"done later", func(n int) (string, error) {
			if n == 3 {
				return "", nil
			}
			return "not yet", nil
		}, 0, 2 * time.Second, "", false},
		{"error ends it", func(n int) (string, error) { return "", errors.New("broken") }, 0, 0, "broken", false},
		{"timeout quotes the last sentence", func(n int) (string, error) { return fmt.Sprintf("try %d", min(n, 7)), nil }, 0, 9500 * time.Millisecond, "try 7; the time is up after 9.5s", true},
		{"signal", func(int) (string, error) { return "not yet", nil }, 1500 * time.Millisecond, 1500 * time.Millisecond, "stopped while waiting (not yet): terminated", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				if test.stop > 0 {
					time.AfterFunc(test.stop, func() { cancel(errors.New("terminated")) })
				}
				start, n := time.Now(), 0
				wait := command.Wait{Status: command.NewStatus(quiet), Every: time.Second, Timeout: 9500 * time.Millisecond}
				err := wait.Until(ctx, func(context.Context) (string, error) {
					n++
					return test.try(n)
				})
				if got := time.Since(start); got != test.elapsed {
					t.Errorf("took %s, want %s", got, test.elapsed)
				}
				if test.fault == "" && err != nil {
					t.Errorf("unexpected error %v", err)
				}
				if test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault)) {
					t.Errorf("error %v does not say %q", err, test.fault)
				}
				if errors.Is(err, command.ErrTimeout) != test.timeout {
					t.Errorf("error %v, want timeout %v", err, test.timeout)
				}
			})
		})
	}
}

func TestWaitIsWoken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		wake := make(chan struct{}, 1)
		time.AfterFunc(3*time.Second, func() { wake <- struct{}{} })
		start, n := time.Now(), 0
		wait := command.Wait{Status: command.NewStatus(slog.New(slog.DiscardHandler)), Every: time.Hour, Timeout: 2 * time.Hour, Wake: wake}
		err := wait.Until(t.Context(), func(context.Context) (string, error) {
			if n++; n == 2 {
				return "", nil
			}
			return "not yet", nil
		})
		if err != nil || time.Since(start) != 3*time.Second {
			t.Errorf("error %v after %s", err, time.Since(start))
		}
	})
}

func TestStatusSaysNewsAndReminds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		status := command.NewStatus(command.NewLog(&out))
		for i := range 100 {
			if i < 70 {
				status.Set("queued")
			} else {
				status.Set("running")
			}
			time.Sleep(time.Second)
		}
		var said []string
		for line := range strings.Lines(out.String()) {
			_, message, _ := strings.Cut(strings.TrimSpace(line), "msg=")
			said = append(said, message)
		}
		want := []string{
			`queued after=0s`, `"still: queued" after=30s`, `"still: queued" after=1m0s`, `running after=1m10s`,
		}
		if strings.Join(said, "\n") != strings.Join(want, "\n") {
			t.Errorf("said\n%s\nwant\n%s", strings.Join(said, "\n"), strings.Join(want, "\n"))
		}
	})
}

func TestVerbs(t *testing.T) {
	t.Parallel()
	say := func(name string) command.Verb {
		return command.Verb{Name: name, Does: "do " + name, Run: func(_ context.Context, env command.Env) error {
			fmt.Fprint(env.Stdout, strings.Join(append([]string{name}, env.Args...), " "))
			return nil
		}}
	}
	with := command.Verbs{Name: "cmd", About: "cmd does things.", Default: "run", List: []command.Verb{say("run"), say("plan")}}
	without := command.Verbs{Name: "cmd", About: "cmd does things.", List: with.List}
	tests := []struct {
		name       string
		verbs      command.Verbs
		args       []string
		ran        string
		code       int
		out, fault string
	}{
		{name: "the default", verbs: with, ran: "run"},
		{name: "the default with flags", verbs: with, args: []string{"--x"}, ran: "run --x"},
		{name: "one by name", verbs: with, args: []string{"plan", "--x"}, ran: "plan --x"},
		{name: "help", verbs: with, args: []string{"help"}, out: "cmd plan          do plan"},
		{name: "the default and help", verbs: with, args: []string{"--help"}, out: "cmd plan          do plan"},
		{name: "help of one", verbs: with, args: []string{"help", "plan"}, out: "cmd plan: do plan.\n\nplan --help"},
		{name: "one and help", verbs: with, args: []string{"plan", "-h"}, out: "cmd plan: do plan.\n\nplan -h"},
		{name: "an unknown one", verbs: with, args: []string{"fly"}, code: 2, fault: `"fly" is not a subcommand: use one of run, plan`},
		{name: "none", verbs: without, code: 2, fault: "say what to do: run, plan"},
		{name: "none and help", verbs: without, args: []string{"--help"}, out: "cmd version"},
		{name: "flags and none", verbs: without, args: []string{"--x"}, code: 2, fault: `"--x" is not a subcommand`},
		{name: "the version", verbs: without, args: []string{"version"}, out: "cmd dev (commit "},
		{name: "the version as a flag", verbs: with, args: []string{"--version"}, out: "cmd dev (commit "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			code := command.Run(t.Context(), command.Env{Args: test.args, Stdout: &stdout, Stderr: &stderr}, "cmd", test.verbs.Run)
			if code != test.code || test.ran != "" && stdout.String() != test.ran {
				t.Errorf("exit code %d, ran %q; want %d, %q", code, stdout.String(), test.code, test.ran)
			}
			if !strings.Contains(stdout.String(), test.out) || !strings.Contains(stderr.String(), test.fault) {
				t.Errorf("it says %q and %q; want %q and %q", stdout.String(), stderr.String(), test.out, test.fault)
			}
		})
	}
}
