package flood_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/seedling-dev/seedling/plugin/flood"
)

var start = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func TestLimiter(t *testing.T) {
	t.Parallel()
	l := flood.NewLimiter(2, 3)
	for range 3 {
		if wait := l.Take("a", start); wait != 0 {
			t.Fatalf("within the burst: wait %s", wait)
		}
	}
	if wait := l.Take("a", start); wait != 500*time.Millisecond {
		t.Errorf("beyond the burst: wait %s", wait)
	}
	if wait := l.Take("b", start); wait != 0 {
		t.Errorf("another key: wait %s", wait)
	}
	if wait := l.Take("a", start.Add(500*time.Millisecond)); wait != 0 {
		t.Errorf("after the wait: wait %s", wait)
	}
}

func TestLimiterAfterFailures(t *testing.T) {
	t.Parallel()
	l, now := flood.NewLimiter(2, 3), start
	for _, seconds := range []int{2, 4, 8, 16, 30, 30} {
		want := time.Duration(seconds) * time.Second
		l.Fail("a", now)
		if wait := l.Take("a", now); wait != want {
			t.Errorf("wait %s, want %s", wait, want)
		}
		now = now.Add(want)
		if wait := l.Take("a", now); wait != 0 {
			t.Errorf("after the pause: wait %s", wait)
		}
	}
	if wait := l.Take("b", start); wait != 0 {
		t.Errorf("another key: wait %s", wait)
	}
	now = now.Add(10 * time.Minute)
	l.Fail("a", now)
	if wait := l.Take("a", now); wait != 2*time.Second {
		t.Errorf("long after: wait %s", wait)
	}
}

func TestSlots(t *testing.T) {
	t.Parallel()
	s := flood.NewSlots(2)
	first, second := s.Take("a"), s.Take("a")
	if first == nil || second == nil || s.Take("a") != nil {
		t.Fatal("it is not two")
	}
	if s.Take("b") == nil {
		t.Error("another key waits")
	}
	first()
	if s.Take("a") == nil {
		t.Error("a slot given back is not free")
	}
}

// pipes is a listener whose connections come from where the test says.
type pipes struct {
	net.Listener
	next chan net.Conn
}

func (p pipes) Accept() (net.Conn, error) { return <-p.next, nil }

type from struct {
	net.Conn
	address string
	closed  *bool
}

func (f from) RemoteAddr() net.Addr { return address(f.address) }

func (f from) Close() error {
	*f.closed = true
	return nil
}

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

func TestListener(t *testing.T) {
	t.Parallel()
	inner := pipes{next: make(chan net.Conn, 1)}
	l := flood.Listener(inner, 4)
	open := func(at string) (net.Conn, *bool) {
		closed := new(bool)
		inner.next <- from{address: at, closed: closed}
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return c, closed
	}
	_, hook := open("10.0.0.1:1")
	_, oldest := open("10.0.0.2:1")
	younger, second := open("10.0.0.2:2")
	open("10.0.0.2:3")
	if *oldest || *second || *hook {
		t.Fatal("one was closed while there was room")
	}
	_, other := open("10.0.0.3:1")
	if !*oldest || *hook || *other {
		t.Errorf("closed: oldest of many %v, the only one of an address %v, the new one %v", *oldest, *hook, *other)
	}
	if err := younger.Close(); err != nil {
		t.Fatal(err)
	}
	if err := younger.Close(); err != nil { // counted once
		t.Fatal(err)
	}
	open("10.0.0.1:2")
	if *hook || *other {
		t.Error("a closed connection did not make room")
	}
}

func TestListenerFails(t *testing.T) {
	t.Parallel()
	inner, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = inner.Close()
	if _, err := flood.Listener(inner, 1).Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
}

func TestSampled(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := flood.Sampled(slog.New(slog.NewTextHandler(&out, nil))).With("part", "broker")
	for range 100 {
		log.Info("refused", "from", "10.0.0.1")
		log.Info("restored", "preview", "preview-a")
	}
	log.Info("restored", "preview", "preview-b")
	for want, times := range map[string]int{"refused": 10, "preview-a": 10, "preview-b": 1, "part=broker": 21} {
		if got := strings.Count(out.String(), want); got != times {
			t.Errorf("%s is said %d times, want %d", want, got, times)
		}
	}
}

// What was left out is counted in the next window.
func TestSampledSaysWhatItLeftOut(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	handler := flood.Sampled(slog.New(slog.NewTextHandler(&out, nil))).Handler()
	at := start
	for range 25 {
		_ = handler.Handle(t.Context(), slog.NewRecord(at, slog.LevelInfo, "refused", 0))
	}
	at = at.Add(11 * time.Second)
	out.Reset()
	_ = handler.Handle(t.Context(), slog.NewRecord(at, slog.LevelInfo, "refused", 0))
	said, _ := io.ReadAll(&out)
	if !strings.Contains(string(said), "more_like_this=15") {
		t.Errorf("it says %s", said)
	}
}

// What is tried again and again warns once an hour; what says something else, or
// is about something else, is said.
func TestQuiet(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	handler := flood.Quiet(slog.New(slog.NewTextHandler(&out, nil))).With("part", "janitor").Handler()
	at := start
	say := func(level slog.Level, about, err string) {
		r := slog.NewRecord(at, level, "it failed", 0)
		r.AddAttrs(slog.String("preview", about), slog.String("error", err))
		if !handler.Enabled(t.Context(), level) {
			return
		}
		_ = handler.Handle(t.Context(), r)
		at = at.Add(time.Second)
	}
	for i := range 100 {
		say(slog.LevelWarn, "preview-a", fmt.Sprintf("dial 10.0.0.1:%d: refused", 40000+i))
		say(slog.LevelInfo, "preview-c", "")
	}
	say(slog.LevelError, "preview-b", "dial 10.0.0.1:1: refused")
	say(slog.LevelError, "preview-a", "another error")
	for want, times := range map[string]int{"preview-a": 2, "preview-b": 1, "preview-c": 100, "another error": 1} {
		if got := strings.Count(out.String(), want); got != times {
			t.Errorf("%s is said %d times, want %d", want, got, times)
		}
	}
	out.Reset()
	at = at.Add(time.Hour)
	say(slog.LevelWarn, "preview-a", "dial 10.0.0.1:9: refused")
	if !strings.Contains(out.String(), "more_like_this=99") {
		t.Errorf("it says %s", out.String())
	}
}
