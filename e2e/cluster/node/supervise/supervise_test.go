package supervise

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// launch runs the processes until the test ends.
func launch(t *testing.T, processes ...Process) (*Supervisor, string) {
	t.Helper()
	logs := t.TempDir()
	s, err := New(slog.New(slog.DiscardHandler), logs, processes)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s, logs
}

// eventually waits for a state of one process.
func eventually(t *testing.T, s *Supervisor, name string, want func(State) bool) State {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		for _, state := range s.Status() {
			if state.Name == name && want(state) {
				return state
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s never got there: %+v", name, s.Status())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func ready(s State) bool { return s.Ready }

func TestOrder(t *testing.T) {
	t.Parallel()
	mark := filepath.Join(t.TempDir(), "mark")
	exists := func(context.Context) error {
		_, err := os.Stat(mark)
		return err
	}
	s, _ := launch(t,
		Process{Name: "first", Argv: []string{"sh", "-c", "sleep 0.3; touch " + mark + "; sleep 60"}, Ready: exists},
		Process{Name: "second", Argv: []string{"sh", "-c", "test -e " + mark + " && sleep 60"}, After: []string{"first"}},
	)
	if state := eventually(t, s, "second", ready); state.Starts != 1 {
		t.Errorf("second was started %d times; it ran before first was ready", state.Starts)
	}
}

func TestRestart(t *testing.T) {
	t.Parallel()
	s, logs := launch(t, Process{Name: "brief", Argv: []string{"sh", "-c", "echo hello"}})
	// The second run was started, and has ended: what it wrote is there.
	eventually(t, s, "brief", func(s State) bool { return s.Starts >= 2 && !s.Running })
	said, err := os.ReadFile(filepath.Join(logs, "brief.log"))
	if err != nil || strings.Count(string(said), "hello") < 2 {
		t.Errorf("the log keeps %q (%v), want both runs", said, err)
	}
}

func TestKill(t *testing.T) {
	t.Parallel()
	s, _ := launch(t, Process{Name: "server", Argv: []string{"sleep", "60"}})
	eventually(t, s, "server", ready)
	if err := s.Kill("server"); err != nil {
		t.Fatal(err)
	}
	eventually(t, s, "server", func(s State) bool { return s.Ready && s.Starts == 2 })
	if err := s.Kill("nobody"); !errors.Is(err, ErrUnknown) {
		t.Errorf("killing what is not there gives %v", err)
	}
}

func TestMoreArguments(t *testing.T) {
	t.Parallel()
	said := "one"
	s, logs := launch(t, Process{Name: "server", Argv: []string{"sh", "-c", `echo "$@"; exec sleep 60`, "sh"}, More: func() ([]string, error) {
		defer func() { said = "two" }()
		return []string{said}, nil
	}})
	says := func(want string) func(State) bool {
		return func(State) bool {
			log, err := os.ReadFile(filepath.Join(logs, "server.log"))
			return err == nil && string(log) == want
		}
	}
	eventually(t, s, "server", says("one\n"))
	if err := s.Kill("server"); err != nil {
		t.Fatal(err)
	}
	eventually(t, s, "server", says("one\ntwo\n"))
}

func TestStopAndStart(t *testing.T) {
	t.Parallel()
	s, _ := launch(t, Process{Name: "server", Argv: []string{"sleep", "60"}})
	eventually(t, s, "server", ready)
	if err := s.Stop(t.Context(), "server"); err != nil {
		t.Fatal(err)
	}
	eventually(t, s, "server", func(s State) bool { return s.Stopped && !s.Running })
	time.Sleep(2 * restartPause)
	eventually(t, s, "server", func(s State) bool { return s.Stopped && s.Starts == 1 })
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.Start(ctx, "server"); err != nil {
		t.Fatal(err)
	}
	eventually(t, s, "server", func(s State) bool { return s.Ready && s.Starts == 2 })
}

func TestStoppedClearsAway(t *testing.T) {
	t.Parallel()
	left := filepath.Join(t.TempDir(), "left")
	s, _ := launch(t, Process{
		Name: "server", Argv: []string{"sh", "-c", "touch " + left + "; exec sleep 60"},
		Stopped: func(context.Context) error { return os.Remove(left) },
	})
	eventually(t, s, "server", func(State) bool { _, err := os.Stat(left); return err == nil })
	if err := s.Stop(t.Context(), "server"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); err == nil {
		t.Error("what the process left is still there")
	}
	if err := s.Stop(t.Context(), "server"); err == nil {
		t.Error("a clearing away that failed was not told")
	}
}

func TestPrepareIsRepeated(t *testing.T) {
	t.Parallel()
	tries := 0
	s, _ := launch(t, Process{
		Name: "server", Argv: []string{"sleep", "60"},
		Prepare: func(context.Context) error {
			if tries++; tries < 2 {
				return errors.New("not yet")
			}
			return nil
		},
	})
	eventually(t, s, "server", ready)
}

func TestUnknown(t *testing.T) {
	t.Parallel()
	s, _ := launch(t)
	if err := s.Stop(t.Context(), "nobody"); !errors.Is(err, ErrUnknown) {
		t.Errorf("stop: %v", err)
	}
	if err := s.Start(t.Context(), "nobody"); !errors.Is(err, ErrUnknown) {
		t.Errorf("start: %v", err)
	}
}

func TestImpossible(t *testing.T) {
	t.Parallel()
	for name, processes := range map[string][]Process{
		"after one that comes later": {{Name: "a", After: []string{"b"}}, {Name: "b"}},
		"two of a name":              {{Name: "a"}, {Name: "a"}},
	} {
		if _, err := New(slog.New(slog.DiscardHandler), t.TempDir(), processes); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
