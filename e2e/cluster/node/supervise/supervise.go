// Package supervise keeps a set of processes running: each starts when those
// it comes after are ready, is started again when it ends, and can be stopped
// and started from outside. It promises that a stopped process stays stopped,
// and that stopping the whole ends the processes in reverse order.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Process is a program to keep running.
type Process struct {
	Name string
	Argv []string
	// More returns further arguments, asked for at each start; nil means none.
	More func() ([]string, error)
	// Env is added to the supervisor's own environment.
	Env []string
	// User runs the process as somebody else; nil means as the supervisor.
	User *syscall.Credential
	// After names the processes that must be ready before this one starts for
	// the first time.
	After []string
	// Prepare runs before the first start.
	Prepare func(context.Context) error
	// Ready returns nil when the process serves; nil means it is ready as soon
	// as it runs.
	Ready func(context.Context) error
	// Stopped clears away what the process leaves behind; it runs when
	// [Supervisor.Stop] has ended it.
	Stopped func(context.Context) error
}

// State says how a process is.
type State struct {
	Name    string `json:"name"`
	Running bool   `json:"running"`
	// Ready is true from the first time that the process served, for as long
	// as it runs.
	Ready   bool `json:"ready"`
	Stopped bool `json:"stopped"`
	Starts  int  `json:"starts"`
	// Error is why it is not ready.
	Error string `json:"error,omitempty"`
}

// Supervisor runs processes. Make one with [New].
type Supervisor struct {
	log    *slog.Logger
	logDir string
	units  []*unit
}

// unit is one process with its state. Its goroutine starts and waits; others
// set wanted and signal the running process.
type unit struct {
	Process
	mu      sync.Mutex
	state   State
	wanted  bool
	changed chan struct{} // signals a change of wanted
	ended   chan struct{} // closed when the running process has ended
	pid     int
	once    sync.Once
	ready   chan struct{} // closed when first ready
}

// ErrUnknown is returned for a name that no process has.
var ErrUnknown = errors.New("no process has that name")

const (
	pollInterval  = 100 * time.Millisecond
	restartPause  = time.Second
	stopAllowance = 20 * time.Second
)

// New returns a supervisor of the processes, which are listed in the order of
// their dependencies. Their output goes to <logDir>/<name>.log.
func New(log *slog.Logger, logDir string, processes []Process) (*Supervisor, error) {
	s := &Supervisor{log: log, logDir: logDir}
	for _, p := range processes {
		for _, name := range p.After {
			if s.find(name) == nil {
				return nil, fmt.Errorf("process %s comes after %s, which is not listed before it", p.Name, name)
			}
		}
		if s.find(p.Name) != nil {
			return nil, fmt.Errorf("two processes are called %s", p.Name)
		}
		s.units = append(s.units, &unit{
			Process: p, wanted: true, state: State{Name: p.Name, Error: "not started"},
			changed: make(chan struct{}, 1), ready: make(chan struct{}),
		})
	}
	return s, os.MkdirAll(logDir, 0o755)
}

// Run runs the processes until the context ends, then ends them in reverse
// order.
func (s *Supervisor) Run(ctx context.Context) error {
	keep, release := context.WithCancel(context.WithoutCancel(ctx))
	defer release()
	var running sync.WaitGroup
	for _, u := range s.units {
		running.Go(func() { s.keep(keep, u) })
	}
	<-ctx.Done()
	for _, u := range slices.Backward(s.units) {
		u.want(false)
		u.end()
	}
	release()
	running.Wait()
	return nil
}

// Status returns every process's state.
func (s *Supervisor) Status() []State {
	states := make([]State, 0, len(s.units))
	for _, u := range s.units {
		u.mu.Lock()
		states = append(states, u.state)
		u.mu.Unlock()
	}
	return states
}

// Stop ends a process and returns when it has ended; it stays stopped until
// [Supervisor.Start].
func (s *Supervisor) Stop(ctx context.Context, name string) error {
	u := s.find(name)
	if u == nil {
		return fmt.Errorf("stop %s: %w", name, ErrUnknown)
	}
	u.want(false)
	u.end()
	if u.Stopped != nil {
		if err := u.Stopped(ctx); err != nil {
			return fmt.Errorf("clear away what %s left: %w", name, err)
		}
	}
	return nil
}

// Kill ends a process as a crash would, and only itself. It is started again.
func (s *Supervisor) Kill(name string) error {
	u := s.find(name)
	if u == nil {
		return fmt.Errorf("kill %s: %w", name, ErrUnknown)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.pid == 0 {
		return fmt.Errorf("kill %s: it does not run", name)
	}
	return syscall.Kill(u.pid, syscall.SIGKILL)
}

// Start starts a stopped process and returns when it is ready.
func (s *Supervisor) Start(ctx context.Context, name string) error {
	u := s.find(name)
	if u == nil {
		return fmt.Errorf("start %s: %w", name, ErrUnknown)
	}
	u.want(true)
	for {
		u.mu.Lock()
		state := u.state
		u.mu.Unlock()
		if state.Ready {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("start %s: %w: %s", name, ctx.Err(), state.Error)
		case <-time.After(pollInterval):
		}
	}
}

func (s *Supervisor) find(name string) *unit {
	for _, u := range s.units {
		if u.Name == name {
			return u
		}
	}
	return nil
}

// keep is one process's life.
func (s *Supervisor) keep(ctx context.Context, u *unit) {
	for _, name := range u.After {
		u.fail(fmt.Errorf("waiting for %s", name))
		select {
		case <-s.find(name).ready:
		case <-ctx.Done():
			return
		}
	}
	if u.Prepare != nil {
		for {
			err := u.Prepare(ctx)
			if err == nil {
				break
			}
			err = fmt.Errorf("prepare %s: %w", u.Name, err)
			u.fail(err)
			s.log.Error(err.Error())
			if !pause(ctx, restartPause) {
				return
			}
		}
	}
	for ctx.Err() == nil {
		if !u.isWanted() {
			select {
			case <-u.changed:
			case <-ctx.Done():
			}
			continue
		}
		err := s.runOnce(ctx, u)
		if u.isWanted() && ctx.Err() == nil {
			s.log.Warn("process ended, starting it again", "process", u.Name, "result", err)
			pause(ctx, restartPause)
		}
	}
}

// runOnce runs the process until it ends.
func (s *Supervisor) runOnce(ctx context.Context, u *unit) error {
	log, err := os.OpenFile(filepath.Join(s.logDir, u.Name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		u.fail(err)
		return err
	}
	defer log.Close()
	args := u.Argv[1:]
	if u.More != nil {
		more, err := u.More()
		if err != nil {
			u.fail(err)
			return err
		}
		args = slices.Concat(args, more)
	}
	// A context would kill the process; end asks it first.
	cmd := exec.Command(u.Argv[0], args...) //nolint:noctx // see above
	cmd.Env = append(os.Environ(), u.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: u.User}
	u.mu.Lock()
	if !u.wanted {
		u.mu.Unlock()
		return nil
	}
	if err := cmd.Start(); err != nil {
		u.mu.Unlock()
		u.fail(err)
		_, _ = io.WriteString(log, err.Error()+"\n")
		return err
	}
	ended := make(chan struct{})
	u.pid, u.ended = cmd.Process.Pid, ended
	u.state = State{Name: u.Name, Running: true, Starts: u.state.Starts + 1, Error: "not ready yet"}
	u.mu.Unlock()
	s.log.Info("process started", "process", u.Name, "pid", cmd.Process.Pid)

	watch, done := context.WithCancel(ctx)
	go s.watch(watch, u, time.Now())
	err = cmd.Wait()
	done()
	u.mu.Lock()
	u.pid, u.ended = 0, nil
	u.state.Running, u.state.Ready, u.state.Stopped = false, false, !u.wanted
	u.state.Error = "stopped"
	if u.wanted {
		u.state.Error = fmt.Sprintf("ended: %v", err)
	}
	u.mu.Unlock()
	close(ended)
	return err
}

// watch polls until the process is ready.
func (s *Supervisor) watch(ctx context.Context, u *unit, began time.Time) {
	for {
		var err error
		if u.Ready != nil {
			ask, done := context.WithTimeout(ctx, 5*time.Second)
			err = u.Ready(ask)
			done()
		}
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			u.mu.Lock()
			u.state.Ready, u.state.Error = true, ""
			u.mu.Unlock()
			s.log.Info("process ready", "process", u.Name, "took", time.Since(began).Round(time.Millisecond))
			u.once.Do(func() { close(u.ready) })
			return
		}
		u.fail(err)
		if !pause(ctx, pollInterval) {
			return
		}
	}
}

func (u *unit) isWanted() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.wanted
}

func (u *unit) want(wanted bool) {
	u.mu.Lock()
	u.wanted = wanted
	u.mu.Unlock()
	select {
	case u.changed <- struct{}{}:
	default:
	}
}

// end asks the process to end, and makes it when it does not.
func (u *unit) end() {
	u.mu.Lock()
	pid, ended := u.pid, u.ended
	u.mu.Unlock()
	if ended == nil {
		return
	}
	_ = syscall.Kill(-pid, syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(stopAllowance):
		_ = syscall.Kill(-pid, syscall.SIGKILL)
		<-ended
	}
}

func (u *unit) fail(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.state.Error = err.Error()
}

// pause waits, and reports false when the context ended first.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
