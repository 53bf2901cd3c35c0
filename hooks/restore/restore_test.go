package restore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/restore"
)

// answer is one of the broker's.
type answer struct {
	code  int
	body  string
	after string // Retry-After
	err   error
}

const (
	done    = `{"message":"restored","snapshot":"seed-1"}`
	waiting = `{"message":"restoring"}`
)

func TestRun(t *testing.T) {
	t.Parallel()
	always := func(a answer) []answer { return []answer{a} }
	tests := []struct {
		name    string
		answers []answer // the last one is repeated
		stop    time.Duration
		code    int
		fault   string
		elapsed time.Duration
		says    []string // the log's sentences, in order
	}{
		{
			name: "at once", answers: always(answer{code: 200, body: done}),
			says: []string{"the volume is there", "snapshot=seed-1", "broker=restored"},
		},
		{
			name:    "after a queue",
			answers: []answer{{code: 202, body: `{"place":2,"message":"queued"}`, after: "1"}, {code: 202, body: `{"place":1,"message":"queued"}`, after: "1"}, {code: 202, body: waiting}, {code: 200, body: done}},
			elapsed: 4 * time.Second,
			says:    []string{"queued (place 2)", "queued (place 1)", "restoring", "the volume is there"},
		},
		{
			name:    "Retry-After is bounded",
			answers: []answer{{code: 202, body: waiting, after: "86400"}, {code: 202, body: waiting, after: "-1"}, {code: 202, body: waiting, after: "soon"}, {code: 200, body: done}},
			elapsed: 34 * time.Second,
		},
		{
			name:    "503, a restart and a proxy in between",
			answers: []answer{{code: 503, body: `{"message":"not the leader"}`, after: "3"}, {err: errors.New("connection refused")}, {code: 502, body: "<html>"}, {code: 429}, {code: 200, body: "<html>"}, {code: 200, body: "{}"}, {code: 200, body: done}},
			elapsed: 23*time.Second + 100*time.Millisecond,
			says:    []string{"cannot serve now (503): not the leader", "does not answer", "connection refused", "(502): Bad Gateway", "(429)", "200 but not the broker's"},
		},
		{
			name:    "the first connections are refused",
			answers: []answer{{err: errors.New("connection refused")}, {err: errors.New("connection refused")}, {err: errors.New("connection refused")}, {code: 200, body: done}},
			elapsed: 700 * time.Millisecond,
		},
		{
			name: "no snapshot in time", answers: always(answer{code: 202, body: `{"message":"no usable snapshot of this seed yet"}`}),
			code: 1, elapsed: 10 * time.Minute, fault: "restore this preview's volume: no usable snapshot of this seed yet; the time is up after 10m0s",
			says: []string{"still: no usable snapshot"},
		},
		{name: "never reachable", answers: always(answer{err: errors.New("no route")}), code: 1, elapsed: 10 * time.Minute, fault: "the broker does not answer"},
		{name: "foreign volume", answers: always(answer{code: 409, body: `{"message":"data-postgres-0 is empty"}`}), code: 2, fault: "not ours: data-postgres-0 is empty"},
		{
			name: "Postgres does not start", answers: []answer{{code: 202, body: `{"message":"the volume is there; Postgres is starting"}`}, {code: 422, body: `{"message":"container open ended with exit code 2"}`}},
			code: 2, elapsed: 2 * time.Second, fault: "Postgres does not start on it: container open ended with exit code 2",
		},
		{name: "422 of another server", answers: always(answer{code: 422}), code: 2, fault: "answers 422: it is not the broker"},
		{name: "no token of a preview", answers: always(answer{code: 403, body: `{"message":"no such preview"}`}), code: 2, fault: "refuses this preview's token (403): no such preview"},
		{name: "token refused without a word", answers: always(answer{code: 401}), code: 2, fault: "refuses this preview's token (401): Unauthorized"},
		{name: "another server", answers: always(answer{code: 404, body: "404 page not found"}), code: 2, fault: "http://broker:8081/v1/restore answers 404: it is not the broker"},
		{name: "a redirect is not followed", answers: always(answer{code: 302}), code: 2, fault: "answers 302"},
		{name: "a signal", answers: always(answer{code: 202, body: waiting}), stop: time.Minute, code: 1, elapsed: time.Minute, fault: "stopped while waiting (restoring): terminated"},
		{
			name: "a hostile sentence stays one bounded line", answers: always(answer{code: 409, body: `{"message":"a\nlevel=INFO\u001b[2J ` + strings.Repeat("x", 10000) + `"}`}),
			code: 2, fault: "a; level=INFO [2J xxx",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			token := filepath.Join(t.TempDir(), "token")
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				if test.stop > 0 {
					time.AfterFunc(test.stop, func() { cancel(errors.New("terminated")) })
				}
				calls := 0
				renew := func() { // as the kubelet does
					if err := os.WriteFile(token, fmt.Appendf(nil, "token-%d\n", calls), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				renew()
				broker := roundTrip(func(r *http.Request) (*http.Response, error) {
					if r.Method != http.MethodPost || r.URL.String() != "http://broker:8081/v1/restore" {
						t.Errorf("asked with %s %s", r.Method, r.URL)
					}
					if got, want := r.Header.Get("Authorization"), fmt.Sprintf("Bearer token-%d", calls); got != want {
						t.Errorf("asked with %q, want %q", got, want)
					}
					a := test.answers[min(calls, len(test.answers)-1)]
					calls++
					renew()
					if a.err != nil {
						return nil, a.err
					}
					header := http.Header{}
					if a.after != "" {
						header.Set("Retry-After", a.after)
					}
					if a.code == 302 {
						header.Set("Location", "http://elsewhere/")
					}
					return &http.Response{StatusCode: a.code, Header: header, Body: io.NopCloser(strings.NewReader(a.body)), Request: r}, nil
				})
				var log bytes.Buffer
				start := time.Now()
				reply, err := restore.Run(ctx, command.NewLog(&log), restore.Options{Broker: "http://broker:8081/", TokenFile: token, Timeout: 10 * time.Minute}, broker)
				if code := command.ExitCode(err); code != test.code {
					t.Errorf("exit code %d, want %d: %v", code, test.code, err)
				}
				if test.code == 0 && reply.Snapshot != "seed-1" {
					t.Errorf("reply is %+v", reply)
				}
				if test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault)) {
					t.Errorf("error %v does not say %q", err, test.fault)
				}
				if err != nil && (strings.Contains(err.Error(), "token-") || len(err.Error()) > 1000 || strings.ContainsAny(err.Error(), "\n\x1b")) {
					t.Errorf("error %.200q is not one harmless line", err)
				}
				if took := time.Since(start); took != test.elapsed {
					t.Errorf("took %s, want %s", took, test.elapsed)
				}
				rest := log.String()
				for _, sentence := range test.says {
					_, after, found := strings.Cut(rest, sentence)
					if !found {
						t.Fatalf("the log does not say %q after what came before:\n%s", sentence, log.String())
					}
					rest = after
				}
				if strings.Contains(log.String(), "token-") {
					t.Errorf("the log carries the token:\n%s", log.String())
				}
			})
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestBadInput(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("good", "ey.x.y")
	tests := []struct {
		name   string
		o      restore.Options
		faults []string
	}{
		{"nothing given", restore.Options{}, []string{"--broker must be", "--token-file is empty", "--timeout is 0s"}},
		{"no scheme", restore.Options{Broker: "plugin:8081", TokenFile: good, Timeout: time.Second}, []string{"--broker must be"}},
		{"a path", restore.Options{Broker: "http://plugin/v1/restore", TokenFile: good, Timeout: time.Second}, []string{"--broker must be"}},
		{"a password", restore.Options{Broker: "http://u:secret@plugin", TokenFile: good, Timeout: time.Second}, []string{"--broker must be"}},
		{"no token file", restore.Options{Broker: "http://plugin", TokenFile: filepath.Join(dir, "none"), Timeout: time.Second}, []string{"read the token", "no such file"}},
		{"empty token file", restore.Options{Broker: "http://plugin", TokenFile: file("empty", "\n"), Timeout: time.Second}, []string{"holds no ServiceAccount token"}},
		{"not a token", restore.Options{Broker: "http://plugin", TokenFile: file("text", "secret words"), Timeout: time.Second}, []string{"holds no ServiceAccount token"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := restore.Run(t.Context(), command.NewLog(io.Discard), test.o, roundTrip(func(*http.Request) (*http.Response, error) {
				t.Error("a request was sent")
				return nil, errors.New("no")
			}))
			if command.ExitCode(err) != 2 {
				t.Fatalf("exit code %d: %v", command.ExitCode(err), err)
			}
			for _, fault := range test.faults {
				if !strings.Contains(err.Error(), fault) {
					t.Errorf("error %v does not say %q", err, fault)
				}
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("error %v quotes its input", err)
			}
		})
	}
}
