package seed

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
)

// sessions opens sessions with a server that lets everybody in and does
// nothing, so that the order of work is all there is.
func sessions(ctx context.Context) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig("host=nowhere sslmode=disable")
	if err != nil {
		return nil, err
	}
	config.LookupFunc = func(context.Context, string) ([]string, error) { return []string{"nowhere"}, nil }
	config.DialFunc = func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go serve(server)
		return client, nil
	}
	return pgx.ConnectConfig(ctx, config)
}

func serve(conn net.Conn) {
	defer conn.Close()
	backend := pgproto3.NewBackend(conn, conn)
	if _, err := backend.ReceiveStartupMessage(); err != nil {
		return
	}
	backend.Send(&pgproto3.AuthenticationOk{})
	backend.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	if backend.Flush() != nil {
		return
	}
	for {
		if _, err := backend.Receive(); err != nil {
			return
		}
	}
}

// works records what runs. Time is the bubble's: a job takes as long as it
// costs, and nothing waits for a clock.
type works struct {
	mu    sync.Mutex
	began []string
	now   []string
	most  int
	clash []string
}

func (w *works) job(name string, cost time.Duration, locks ...tableLock) *job {
	return &job{cost: int64(cost), locks: locks, run: func(ctx context.Context, _ *pgx.Conn) error {
		w.mu.Lock()
		w.began, w.now = append(w.began, name), append(w.now, name)
		w.most = max(w.most, len(w.now))
		w.clash = append(w.clash, strings.Join(w.now, "+"))
		w.mu.Unlock()
		select {
		case <-time.After(cost):
		case <-ctx.Done():
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.now = slices.DeleteFunc(w.now, func(n string) bool { return n == name })
		return ctx.Err()
	}}
}

func together(w *works, a, b string) bool {
	return slices.ContainsFunc(w.clash, func(now string) bool {
		names := strings.Split(now, "+")
		return slices.Contains(names, a) && slices.Contains(names, b)
	})
}

// TestRunJobs: the dearest ready job first, none before what it waits for, as
// many at once as there are sessions, and never two that would block each other
// in the server.
func TestRunJobs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		sessions int
		jobs     func(*works) []*job
		began    string        // in order
		took     time.Duration // of the bubble
		apart    [][2]string
	}{
		{
			name: "no jobs", sessions: 4,
			jobs: func(*works) []*job { return nil },
		},
		{
			name: "the dearest first", sessions: 1, began: "c b a", took: 6,
			jobs: func(w *works) []*job { return []*job{w.job("a", 1), w.job("b", 2), w.job("c", 3)} },
		},
		{
			name: "several at once", sessions: 3, took: 3,
			jobs: func(w *works) []*job {
				return []*job{w.job("a", 3), w.job("b", 3), w.job("c", 3)}
			},
		},
		{
			name: "after what it waits for, though dearer", sessions: 2, began: "rows index key", took: 12,
			jobs: func(w *works) []*job {
				rows, index, key := w.job("rows", 1), w.job("index", 5), w.job("key", 6)
				before(rows, index)
				before(index, key)
				before(rows, key)
				return []*job{key, index, rows}
			},
		},
		{
			name: "an exclusive lock keeps others of the table out", sessions: 3, took: 4,
			jobs: func(w *works) []*job {
				return []*job{w.job("a", 2, tableLock{1, true}), w.job("b", 2, tableLock{1, false}), w.job("c", 2, tableLock{2, true})}
			},
			apart: [][2]string{{"a", "b"}},
		},
		{
			name: "sharers are together, and the exclusive one waits for both", sessions: 3, took: 4,
			jobs: func(w *works) []*job {
				return []*job{w.job("a", 3, tableLock{1, false}), w.job("b", 2, tableLock{1, false}), w.job("c", 1, tableLock{1, true})}
			},
			apart: [][2]string{{"a", "c"}, {"b", "c"}},
		},
		{
			name: "partitions are locked with their root", sessions: 2, took: 4,
			jobs: func(w *works) []*job {
				root, leaf := w.job("root", 2), w.job("leaf", 2, tableLock{3, false})
				root.lock(1, true, map[int][]int{1: {2}, 2: {3}})
				return []*job{root, leaf}
			},
			apart: [][2]string{{"root", "leaf"}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w, start := &works{}, time.Now()
				if err := runJobs(t.Context(), test.jobs(w), test.sessions, sessions, nil); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took != test.took {
					t.Errorf("took %d, want %d; began %v", took, test.took, w.began)
				}
				if w.most > test.sessions {
					t.Errorf("%d jobs at once over %d sessions", w.most, test.sessions)
				}
				if began := strings.Join(w.began, " "); test.began != "" && began != test.began {
					t.Errorf("began %q, want %q", began, test.began)
				}
				for _, pair := range test.apart {
					if together(w, pair[0], pair[1]) {
						t.Errorf("%s and %s ran at the same time: %v", pair[0], pair[1], w.clash)
					}
				}
			})
		})
	}
}

// TestRunJobsFails: the first error ends the others and is what is returned; no
// job begins after it.
func TestRunJobsFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	t.Run("a job", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := &works{}
			bad := &job{cost: 9, run: func(context.Context, *pgx.Conn) error { time.Sleep(2 * time.Nanosecond); return broken }}
			long, after := w.job("long", 8), w.job("after", 1)
			before(bad, after)
			start := time.Now()
			if err := runJobs(t.Context(), []*job{bad, long, after}, 2, sessions, nil); !errors.Is(err, broken) {
				t.Errorf("error %v, want %v", err, broken)
			}
			if slices.Contains(w.began, "after") || time.Since(start) != 2 {
				t.Errorf("began %v in %d", w.began, time.Since(start))
			}
		})
	})
	t.Run("a session", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := &works{}
			open := func(context.Context) (*pgx.Conn, error) { return nil, broken }
			if err := runJobs(t.Context(), []*job{w.job("a", 1)}, 2, open, nil); !errors.Is(err, broken) || len(w.began) > 0 {
				t.Errorf("error %v, began %v", err, w.began)
			}
		})
	})
	t.Run("the caller", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(3, func() { cancel(broken) })
			w := &works{}
			waits := w.job("waits", 1)
			never := &job{outside: true}
			before(never, waits)
			if err := runJobs(ctx, []*job{never, waits}, 2, sessions, nil); !errors.Is(err, broken) || len(w.began) > 0 {
				t.Errorf("error %v, began %v", err, w.began)
			}
		})
	})
}

// TestRunJobsOutside: a job that another one does counts when it says so.
func TestRunJobsOutside(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &works{}
		stream, index := &job{outside: true}, w.job("index", 1)
		before(stream, index)
		reader := &job{cost: 9, run: func(context.Context, *pgx.Conn) error {
			time.Sleep(4 * time.Nanosecond)
			stream.done()
			time.Sleep(4 * time.Nanosecond)
			return nil
		}}
		start := time.Now()
		if err := runJobs(t.Context(), []*job{reader, stream, index}, 2, sessions, nil); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 8 || len(w.began) != 1 {
			t.Errorf("took %d, want 8: the index runs beside the rest of the stream; began %v", took, w.began)
		}
	})
}
