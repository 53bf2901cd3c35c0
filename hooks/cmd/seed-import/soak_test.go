package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
)

// soaked is the database of the soak: rows in several tables, indexes, a
// foreign key, partitions, large objects. {N} is how many people there are.
const soaked = `
CREATE TABLE people (id bigint PRIMARY KEY, email text UNIQUE, note text);
CREATE TABLE visits (id bigint PRIMARY KEY, person bigint REFERENCES people, at timestamptz) PARTITION BY RANGE (id);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (15000); CREATE TABLE visits_2 PARTITION OF visits FOR VALUES FROM (15000) TO (100000000);
INSERT INTO people SELECT g, 'PLANTED' || g || '@corp.test', 'PLANTED ' || repeat(md5(g::text), 10) FROM generate_series(1, {N}) g;
INSERT INTO visits SELECT g, 1 + g % {N}, '2024-01-01'::timestamptz + g * interval '1 minute' FROM generate_series(1, 2 * {N}) g;
CREATE INDEX ON people (note); CREATE INDEX ON visits (person); CREATE INDEX ON visits (at);
CREATE MATERIALIZED VIEW busy AS SELECT person, count(*) FROM visits GROUP BY person;
SELECT lo_from_bytea(100 + g, decode(repeat('00ff', 3000 * g), 'hex')) FROM generate_series(1, 20) g;`

const soakedPolicy = `
version: 1
large_objects: keep
tables:
  public.people: {columns: {id: keep, email: email, note: text}}
  public.visits: {columns: {id: keep, person: keep, at: keep}}
`

// soakedDigest tells the two databases of the soak apart, whole from partial.
const soakedDigest = `SELECT (SELECT count(*) || ' ' || sum(hashtextextended(p::text, 0)) FROM people p) || ' ' || (SELECT count(*) || ' ' || sum(hashtextextended(v::text, 0)) FROM visits v)
	|| ' ' || (SELECT count(*) FROM busy) || ' ' || (SELECT sum(length(lo_get(oid))) FROM pg_largeobject_metadata)
	|| ' ' || (SELECT count(*) FILTER (WHERE indisvalid) FROM pg_index) || ' ' || (SELECT count(*) FROM pg_constraint)`

// soak is a seed that goes back and forth between two dumps, through imports
// that something happens to.
type soak struct {
	s     *pgtest.Server
	f     files
	dumps [2]string
	sums  [2]string
	want  [2]string // digests
	now   int       // which of them the seed holds
	usual time.Duration
	roles []string
	// orphans are folders of databases that Postgres was making when it crashed,
	// and which it does not remove
	orphans string
	temp    string
}

// TestSoak lets imports fail in every way at random points. SEED_IMPORT_SOAK
// is how many runs, or the seed of one run as =N (see `make soak-import`).
func TestSoak(t *testing.T) { //nolint:tparallel // its runs share a seed, and follow one another
	t.Parallel()
	first, runs := 0, len(faults())
	if v := os.Getenv("SEED_IMPORT_SOAK"); v != "" {
		one, only := strings.CutPrefix(v, "=")
		n, err := strconv.Atoi(one)
		if err != nil {
			t.Fatal(err)
		}
		if runs = n; only {
			first, runs = n, 1
		}
	}
	src := pgtest.Source(t)
	k := &soak{s: pgtest.StartSmall(t, 700), temp: t.TempDir()}
	for i, people := range []string{"9000", "11000"} {
		k.dumps[i] = src.Dump(t, src.Database(t, strings.ReplaceAll(soaked, "{N}", people)), "-Fc")
		b, err := os.ReadFile(k.dumps[i])
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(b)
		k.sums[i] = hex.EncodeToString(sum[:])
	}
	k.f = newFiles(t, "")
	k.f.write(t, k.f.policy, soakedPolicy)
	for i := range 2 {
		start := time.Now()
		k.recover(t, i)
		k.want[i] = k.digest(t)
		k.usual = time.Since(start)
	}
	k.orphans = k.folders(t)
	k.roles = k.s.Strings(t, "postgres", "SELECT rolname FROM pg_roles ORDER BY 1")
	for n := first; n < first+runs; n++ {
		fault := faults()[n%len(faults())]
		if !t.Run(fmt.Sprintf("%s=%d", fault.name, n), func(t *testing.T) { k.run(t, fault, uint64(n)) }) {
			t.Fatalf("to see run %d again: SEED_IMPORT_SOAK==%d", n, n)
		}
	}
}

// fault is one way in which an import fails.
type fault struct {
	name string
	// ends: sessions of the old seed end, too
	ends bool
	run  func(k *soak, t *testing.T, r *rand.Rand, next int) outcome
}

func faults() []fault {
	return []fault{
		{"killed", false, (*soak).killed},
		{"postgres restarted", true, (*soak).restarted},
		{"disk full", true, (*soak).full},
		{"connection cut", false, (*soak).cut},
		{"dump damaged", false, (*soak).damaged},
		{"two at once", false, (*soak).two},
		{"users connected", false, (*soak).crowded},
	}
}

// run is one import with a fault, what must hold after it, and the next import.
func (k *soak) run(t *testing.T, f fault, number uint64) {
	r := rand.New(rand.NewPCG(number, 1))
	next := 1 - k.now
	idle, err := pgx.Connect(t.Context(), k.s.DSN("app"))
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close(context.Background())
	got := f.run(k, t, r, next)
	t.Logf("exit code %d: %s", got.code, got.last())
	if strings.Contains(got.stdout+got.stderr, "PLANTED") {
		t.Error("the output holds raw values")
	}
	switch have := k.digest(t); {
	case have == k.want[next]:
		k.now = next
	case have != k.want[k.now]:
		t.Errorf("the seed holds %s, which is neither of %s", have, k.want)
	case got.code == 0:
		t.Error("the import says that it is done, and the old data answers")
	case !f.ends && !strings.Contains(got.stderr, "swap: the sessions of the old database end now"):
		var one int
		if err := idle.QueryRow(t.Context(), "SELECT 1").Scan(&one); err != nil {
			t.Errorf("a session of the old seed ended without a swap: %v", err)
		}
	}
	k.recover(t, next)
	if have := k.digest(t); have != k.want[next] {
		t.Errorf("after the next import the seed holds %s, not %s", have, k.want[next])
	}
	k.clean(t, f)
}

// recover imports without a fault.
func (k *soak) recover(t *testing.T, next int) {
	t.Helper()
	got := k.start(t, k.s.DSN("postgres"), next).outcome(t)
	if got.code != 0 {
		t.Fatalf("the next import fails: exit code %d: %s", got.code, got.stderr)
	}
	k.now = next
}

// clean expects nothing of ours but the seed.
func (k *soak) clean(t *testing.T, f fault) {
	t.Helper()
	if got := k.s.Strings(t, "postgres", "SELECT datname FROM pg_database WHERE datname NOT IN ('postgres', 'template0', 'template1', 'app')"); len(got) > 0 {
		t.Errorf("databases are left: %v", got)
	}
	if got := k.s.Strings(t, "postgres", "SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'seed-import%'"); len(got) > 0 {
		t.Errorf("sessions are left: %v", got)
	}
	if got := k.s.Strings(t, "postgres", "SELECT rolname FROM pg_roles ORDER BY 1"); !slices.Equal(got, k.roles) {
		t.Errorf("roles are %v, and were %v", got, k.roles)
	}
	if got := k.folders(t); f.ends {
		k.orphans = got
	} else if got != k.orphans {
		t.Errorf("%s folders belong to no database, and %s did", got, k.orphans)
	}
	if got := k.s.Strings(t, "postgres", "SELECT name FROM pg_ls_tmpdir()"); len(got) > 0 {
		t.Errorf("temporary files are left: %v", got)
	}
	if got, err := os.ReadDir(k.temp); err != nil || len(got) > 0 {
		t.Errorf("the command left files: %v, error %v", got, err)
	}
}

func (k *soak) folders(t *testing.T) string {
	t.Helper()
	return k.s.Strings(t, "postgres", "SELECT (SELECT count(*) FROM pg_ls_dir('base') d WHERE d ~ '^[0-9]+$') - (SELECT count(*) FROM pg_database)")[0]
}

func (k *soak) digest(t *testing.T) string {
	t.Helper()
	return k.s.Strings(t, "app", soakedDigest)[0]
}

// start starts an import of one of the dumps.
func (k *soak) start(t *testing.T, target string, which int, more ...string) *running {
	t.Helper()
	f := k.f
	f.dump = k.dumps[which]
	return launch(t, target, k.temp, f.args(append([]string{"--jobs", "3"}, more...)...)...)
}

// running is the command as a process of its own.
type running struct {
	*exec.Cmd
	stdout, stderr bytes.Buffer
	done           chan struct{}
}

// launch starts the command; temp is its folder for temporary files.
func launch(t *testing.T, target, temp string, args ...string) *running {
	t.Helper()
	c := &running{Cmd: exec.CommandContext(t.Context(), os.Args[0], args...), done: make(chan struct{})}
	c.Env = append(os.Environ(), asCommand+"=1", "SEED_TARGET="+target, "TMPDIR="+temp)
	c.Stdout, c.Stderr = &c.stdout, &c.stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(c.done); _ = c.Wait() }()
	return c
}

// outcome waits for the end.
func (c *running) outcome(t *testing.T) outcome {
	t.Helper()
	select {
	case <-c.done:
	case <-time.After(5 * time.Minute):
		_ = c.Process.Signal(syscall.SIGQUIT) // shows where it hangs
		<-c.done
		t.Fatalf("the command hangs: %s", &c.stderr)
	}
	return outcome{c.ProcessState.ExitCode(), c.stdout.String(), c.stderr.String()}
}

// while waits for a random point of an import, or its end.
func (k *soak) while(r *rand.Rand, c *running) {
	select {
	case <-c.done:
	case <-time.After(time.Duration(r.Float64() * 1.1 * float64(k.usual))):
	}
}

// failing expects the exit code of what a retry may help.
func failing(t *testing.T, got outcome) outcome {
	t.Helper()
	if got.code != 0 && (got.code != 1 || !strings.HasPrefix(got.last(), "seed-import: ")) {
		t.Errorf("exit code %d: %s", got.code, got.stderr)
	}
	return got
}

func (k *soak) killed(t *testing.T, r *rand.Rand, next int) outcome {
	c := k.start(t, k.s.DSN("postgres"), next)
	k.while(r, c)
	if r.IntN(4) == 0 {
		_ = c.Process.Signal(syscall.SIGTERM)
		got := c.outcome(t)
		if got.code < 0 && got.stderr == "" {
			return got // it had not begun to listen for signals
		}
		return failing(t, got)
	}
	_ = c.Process.Kill()
	return c.outcome(t)
}

func (k *soak) restarted(t *testing.T, r *rand.Rand, next int) outcome {
	c := k.start(t, k.s.DSN("postgres"), next)
	k.while(r, c)
	k.s.MustShell(t, []string{"kill -9 $(head -1 $PGDATA/postmaster.pid)", "pg_ctl stop -m immediate", "pg_ctl stop -m fast"}[r.IntN(3)])
	got := failing(t, c.outcome(t))
	k.s.Await(t)
	return got
}

func (k *soak) full(t *testing.T, r *rand.Rand, next int) outcome {
	filler := filepath.Dir(pgtest.DataDir) + "/filler"
	k.s.MustShell(t, fmt.Sprintf("fallocate -l $(($(df --output=avail -B1 %[1]s | tail -1) - %[2]d)) %[1]s/filler", filepath.Dir(pgtest.DataDir), 1<<20+r.IntN(40<<20)))
	got := failing(t, k.start(t, k.s.DSN("postgres"), next).outcome(t))
	k.s.MustShell(t, "rm "+filler)
	k.s.Await(t)
	return got
}

// cut ends all connections of an import at once, in the middle of whatever
// they carry.
func (k *soak) cut(t *testing.T, r *rand.Rand, next int) outcome {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var open []net.Conn
	var copies sync.WaitGroup
	copies.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", k.s.Address())
			if err != nil {
				in.Close()
				continue
			}
			mu.Lock()
			open = append(open, in, out)
			mu.Unlock()
			for _, p := range [][2]net.Conn{{in, out}, {out, in}} {
				copies.Go(func() {
					_, _ = io.Copy(p[0], p[1])
					p[0].Close()
					p[1].Close()
				})
			}
		}
	})
	dsn := strings.Replace(k.s.DSN("postgres"), k.s.Address(), l.Addr().String(), 1)
	c := k.start(t, dsn, next)
	k.while(r, c)
	l.Close()
	mu.Lock()
	for _, conn := range open {
		conn.Close()
	}
	mu.Unlock()
	copies.Wait()
	return failing(t, c.outcome(t))
}

// damaged imports a dump that lacks its end, or of which a bit is another.
func (k *soak) damaged(t *testing.T, r *rand.Rand, next int) outcome {
	b, err := os.ReadFile(k.dumps[next])
	if err != nil {
		t.Fatal(err)
	}
	declared := r.IntN(2) == 0
	at := r.IntN(len(b))
	truncated := r.IntN(2) == 0
	if truncated {
		b = b[:at]
	} else {
		b[at] ^= 1 << r.IntN(8)
	}
	whole := k.dumps[next]
	k.dumps[next] = k.f.write(t, "damaged.dump", string(b))
	defer func() { k.dumps[next] = whole }()
	var more []string
	if declared {
		more = []string{"--dump-sha256", k.sums[next]}
	}
	got := k.start(t, k.s.DSN("postgres"), next, more...).outcome(t)
	// Without a declared digest a bit of a name or a number may pass: the
	// table of contents has no checksum.
	if got.code != 2 && (declared || truncated || got.code != 0) {
		t.Errorf("byte %d of %d, truncated %v, declared %v: exit code %d: %s", at, len(b), truncated, declared, got.code, got.stderr)
	}
	return got
}

func (k *soak) two(t *testing.T, r *rand.Rand, next int) outcome {
	a := k.start(t, k.s.DSN("postgres"), next)
	k.while(r, a)
	b := k.start(t, k.s.DSN("postgres"), next)
	first, second := failing(t, a.outcome(t)), failing(t, b.outcome(t))
	if first.code != 0 && second.code != 0 {
		t.Errorf("neither of two imports succeeds: %s %s", first.last(), second.last())
	}
	return outcome{first.code * second.code, first.stdout + second.stdout, first.stderr + second.stderr}
}

// crowded has users who read the seed all the time: each query gives the old
// data or the new.
func (k *soak) crowded(t *testing.T, r *rand.Rand, next int) outcome {
	ctx, stop := context.WithCancel(t.Context())
	var users sync.WaitGroup
	for range 2 + r.IntN(6) {
		users.Go(func() {
			for ctx.Err() == nil {
				conn, err := pgx.Connect(ctx, k.s.DSN("app"))
				if err != nil {
					continue
				}
				var n int
				for err == nil && ctx.Err() == nil {
					if err = conn.QueryRow(ctx, "SELECT count(*) FROM people").Scan(&n); err == nil && n != 9000 && n != 11000 {
						t.Errorf("a user sees %d rows", n)
					}
				}
				conn.Close(context.Background())
			}
		})
	}
	got := k.start(t, k.s.DSN("postgres"), next).outcome(t)
	stop()
	users.Wait()
	if got.code != 0 {
		t.Errorf("exit code %d: %s", got.code, got.stderr)
	}
	return got
}
