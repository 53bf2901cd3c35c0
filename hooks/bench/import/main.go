// Command import measures seed-import against pg_restore and against masking
// in place, on generated archives: `make bench-import`.
//
// An even archive has several tables of about the same size; in a skewed one a
// log is most of it. Fourteen columns are masked, JSON among them. -size is the
// GB of COPY text, 3 if not given; archives are kept in $SEEDLING_CACHE (or the
// user's cache folder) and made once per size.
//
// Client and server run in one container, over TCP, on the same cores. All
// sides have the same server and session settings (synchronous_commit off,
// which seed-import sets itself), an empty database and a checkpoint before
// each measurement, and are measured in interleaved rounds. VACUUM and ANALYZE
// are outside on both sides: pg_restore does neither, and seed-import's report
// says what they took. So is the verification of the import, but a ratio with it is
// printed too. The CPU seconds that are printed are of client and server
// together, with seed-import's VACUUM and verification; they tell more than the clock
// where other work shares the machine.
//
// -before names another seed-import, one built from an earlier commit, which is
// measured in the same rounds.
//
// -cores measures on more cores than there are, emulated by slower ones (see
// cores); the names of its figures end in _N_emulated_cores.
//
// It ends with lines `FIGURE name value unit` of medians: for the even archive
// import_masked_vs_pg_restore (ratio to the best -j), import_masked_rate (MB of
// COPY text a second), import_peak_memory (of seed-import, MB),
// import_verified_vs_pg_restore (masked, with the verification), import_unmasked_vs_pg_restore,
// import_masked_vs_update_in_place (ratio to pg_restore -j2, UPDATE and VACUUM
// FULL), and with -before import_masked_vs_before and import_verified_vs_before (ratios to
// all that the other one does, its verification included if it has one); for the skewed one
// the same with _skewed.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
)

func main() { os.Exit(command.Main("bench-import", run)) }

type bench struct {
	env    command.Env
	dir    string // on the host, mounted at /bench
	server *pgtest.Server
	cpu    float64 // seconds of the last timed command

	size   float64 // GB of COPY text
	rounds int
	jobs   int
	cores  int      // to emulate; 0: those there are
	peers  []string // pg_restore's -j
	// What is measured beside seed-import with masks: another seed-import, one that
	// keeps everything, masking in place.
	before, keep, inPlace bool
	profile               string // a folder, if CPU profiles are wanted
}

func run(ctx context.Context, env command.Env) error {
	set := flag.NewFlagSet("bench-import", flag.ContinueOnError)
	size := set.Float64("size", 3, "`GB` of COPY text")
	rounds := set.Int("rounds", 5, "interleaved `rounds`")
	wal := set.String("wal-level", "minimal", "the server's wal_level: minimal, as seeds have it, or replica")
	cores := set.Int("cores", 0, "emulate so many `cores`, more than this machine has, by slower ones; needs root and cgroup v1")
	jobs := set.Int("jobs", 0, "seed-import's `sessions`; 0: -cores, or 2")
	shapes := set.String("shapes", "even,skewed", "which archives: even, skewed")
	peers := set.String("peers", "1,2,4", "pg_restore's `-j`, separated by commas")
	inPlace := set.Bool("in-place", true, "measure pg_restore, UPDATE in place and VACUUM FULL, too")
	keep := set.Bool("unmasked", true, "measure seed-import with everything kept, too")
	before := set.String("before", "", "the `file` of another seed-import, to measure beside this one")
	profile := set.String("profile", "", "a `folder` for CPU profiles of seed-import")
	if err := command.ParseFlags(set, env); err != nil {
		return err
	}
	if *rounds < 1 || *size <= 0 || *jobs < 0 || *cores < 0 {
		return command.Misconfiguredf("--rounds and --size must be above 0, --jobs and --cores not below: a figure needs something to measure")
	}
	if *jobs == 0 {
		*jobs = max(*cores, 2)
	}
	dir, err := folder(env)
	if err != nil {
		return err
	}
	b := &bench{
		env: env, dir: dir, size: *size, rounds: *rounds, jobs: *jobs, cores: *cores, peers: strings.Split(*peers, ","),
		keep: *keep, inPlace: *inPlace, profile: *profile,
	}
	if err := b.build(ctx); err != nil {
		return err
	}
	if *before != "" {
		if err := copyFile(*before, filepath.Join(dir, "seed-import-before")); err != nil {
			return fmt.Errorf("--before: %w", err)
		}
		b.before = true
	}
	b.server, err = pgtest.RunMounted(ctx, dir+":/bench",
		"-c", "fsync=on", "-c", "shared_buffers=1GB", "-c", "max_wal_size=8GB", "-c", "maintenance_work_mem=512MB", "-c", "checkpoint_timeout=30min", "-c", "autovacuum=off", "-c", "wal_level="+*wal)
	if err != nil {
		return err
	}
	defer func() { _ = b.server.Stop() }()
	held := func() error { return nil }
	if b.cores > 0 {
		holding, end := context.WithCancel(ctx)
		wait, err := emulateCores(holding, b.server.ID(), b.cores)
		if err != nil {
			end()
			return err
		}
		held = func() error { end(); return wait() }
		if err := b.showCores(ctx); err != nil {
			return errors.Join(err, held())
		}
	}
	figures, err := b.shapes(ctx, *shapes)
	if err = errors.Join(err, held()); err != nil {
		return err
	}
	fmt.Fprintln(env.Stdout)
	for _, f := range figures {
		fmt.Fprintln(env.Stdout, f)
	}
	return nil
}

// folder is where archives and programs are, which the server reads, too.
func folder(env command.Env) (string, error) {
	cache := env.Getenv("SEEDLING_CACHE")
	if cache == "" {
		home, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		cache = filepath.Join(home, "seedling")
	}
	dir, err := filepath.Abs(filepath.Join(cache, "bench-import"))
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o777)
}

// shapes measures several archives, and returns their figures.
func (b *bench) shapes(ctx context.Context, shapes string) ([]string, error) {
	var figures []string
	for shape := range strings.SplitSeq(shapes, ",") {
		suffix := ""
		if shape != "even" {
			suffix = "_" + shape
		}
		if b.cores > 0 {
			suffix += fmt.Sprintf("_%d_emulated_cores", b.cores)
		}
		lines, err := b.shape(ctx, shape, suffix)
		if err != nil {
			return nil, err
		}
		for _, line := range lines {
			fmt.Fprintln(b.env.Stdout, "  "+line) // the last ones come after all of them
		}
		figures = append(figures, lines...)
	}
	return figures, nil
}

// build makes the static binary that the image holds.
func (b *bench) build(ctx context.Context) error {
	c := exec.CommandContext(ctx, "go", "build", "-tags", "profile", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(b.dir, "seed-import"), "github.com/seedling-dev/seedling/hooks/cmd/seed-import")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	c.Stderr = b.env.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("build seed-import: %w", err)
	}
	return errors.Join(
		os.WriteFile(filepath.Join(b.dir, "key"), []byte(strings.Repeat("0123456789abcdef", 4)), 0o644),
		os.WriteFile(filepath.Join(b.dir, "masked.yaml"), []byte(maskedPolicy), 0o644),
		os.WriteFile(filepath.Join(b.dir, "kept.yaml"), []byte(keptPolicy), 0o644),
	)
}

// sh runs a command in the container and returns its output.
func (b *bench) sh(ctx context.Context, command string) (string, error) {
	c := exec.CommandContext(ctx, "docker", "exec", "-i", "-e", "PGPASSWORD=test-password", "-e", "PGHOST=127.0.0.1", "-e", "PGUSER=postgres", "-e", "PGSSLMODE=disable", b.server.ID(), "bash", "-c", command)
	var out, stderr strings.Builder
	c.Stdout, c.Stderr = &out, &stderr
	if err := c.Run(); err != nil {
		s := stderr.String()
		return "", fmt.Errorf("%s: %w: %s", command, err, s[max(0, len(s)-2000):])
	}
	return out.String(), nil
}

// timed runs a command and returns the seconds it took. It notes the CPU time
// of client and server together, which other work on the machine disturbs
// less.
func (b *bench) timed(ctx context.Context, command string) (float64, error) {
	before, err := b.usage(ctx)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if _, err = b.sh(ctx, command); err != nil {
		return 0, err
	}
	seconds := time.Since(start).Seconds()
	after, err := b.usage(ctx)
	b.cpu = after - before
	return seconds, err
}

// usage is the container's CPU time in seconds.
func (b *bench) usage(ctx context.Context) (float64, error) {
	out, err := b.sh(ctx, "cat /sys/fs/cgroup/cpuacct/cpuacct.usage 2>/dev/null || awk '/usage_usec/ {print $2 * 1000}' /sys/fs/cgroup/cpu.stat")
	if err != nil {
		return 0, err
	}
	ns, err := strconv.ParseFloat(strings.TrimSpace(out), 64)
	return ns / 1e9, err
}

// results are what the rounds took in seconds, by who was measured.
type results map[string][]float64

// shape measures one archive, and returns its figures.
func (b *bench) shape(ctx context.Context, shape, suffix string) ([]string, error) {
	archive, bytes, err := b.archive(ctx, shape, b.size)
	if err != nil {
		return nil, err
	}
	took, peaks := results{}, []float64{}
	add := func(name string, s float64) {
		took[name] = append(took[name], s)
		b.log("  %-24s %7.1f s   %6.1f MB/s   %6.1f CPU s", name, s, bytes/1e6/s, b.cpu)
	}
	for round := range b.rounds {
		b.log("round %d of %d", round+1, b.rounds)
		for _, j := range b.peers {
			if err := b.peer(ctx, "pg_restore -j"+j, "-j "+j+" --no-owner /bench/"+archive, add); err != nil {
				return nil, err
			}
		}
		imports, err := b.imports(ctx, round, archive, add)
		if err != nil {
			return nil, err
		}
		for name, m := range imports {
			took["verified "+name] = append(took["verified "+name], m.all-m.vacuum)
		}
		peaks = append(peaks, imports["masked"].peak)
		if b.inPlace {
			then := " && psql -X -q -v ON_ERROR_STOP=1 -d app -c '" + updateInPlace + "' && vacuumdb -q --full app"
			if err := b.peer(ctx, "in place", "-j 2 --no-owner /bench/"+archive+then, add); err != nil {
				return nil, err
			}
		}
	}
	return b.figures(suffix, took, bytes, median(peaks)), nil
}

// peer measures pg_restore, given the rest of its command.
func (b *bench) peer(ctx context.Context, name, rest string, add func(string, float64)) error {
	if err := b.reset(ctx); err != nil {
		return err
	}
	s, err := b.timed(ctx, "PGOPTIONS='-c synchronous_commit=off' pg_restore -d app "+rest)
	if err != nil {
		return err
	}
	add(name, s)
	return nil
}

// imports measures seed-import in each way that is wanted, by name.
func (b *bench) imports(ctx context.Context, round int, archive string, add func(string, float64)) (map[string]measured, error) {
	type side struct{ name, binary, policy string }
	sides := []side{{"masked", "seed-import", "masked"}}
	if b.before {
		sides = append(sides, side{"before", "seed-import-before", "masked"})
		if round%2 == 1 { // who is second finds the archive in memory
			slices.Reverse(sides)
		}
	}
	if b.keep {
		sides = append(sides, side{"kept", "seed-import", "kept"})
	}
	all := map[string]measured{}
	for _, side := range sides {
		if err := b.reset(ctx); err != nil {
			return nil, err
		}
		m, err := b.seedImport(ctx, archive, side.binary, side.policy, b.profile)
		if err != nil {
			return nil, err
		}
		add("seed-import "+side.name, m.all-m.vacuum-m.verify)
		b.log("  %-24s %7.1f s   VACUUM, ANALYZE %.1f s, verification %.1f s, peak %.0f MB", "  in all", m.all, m.vacuum, m.verify, m.peak)
		all[side.name] = m
	}
	return all, nil
}

// figures are the lines of one archive, of so many bytes of COPY text.
func (b *bench) figures(suffix string, took results, bytes, peak float64) []string {
	var best float64
	for _, j := range b.peers {
		if m := median(took["pg_restore -j"+j]); best == 0 || m < best {
			best = m
		}
	}
	masked := median(took["seed-import masked"])
	lines := []string{
		fmt.Sprintf("FIGURE import_masked_vs_pg_restore%s %.3f ratio", suffix, masked/best),
		fmt.Sprintf("FIGURE import_masked_rate%s %.1f MB/s", suffix, bytes/1e6/masked),
		fmt.Sprintf("FIGURE import_peak_memory%s %.0f MB", suffix, peak),
		fmt.Sprintf("FIGURE import_verified_vs_pg_restore%s %.3f ratio", suffix, median(took["verified masked"])/best),
	}
	if b.before {
		lines = append(lines,
			fmt.Sprintf("FIGURE import_masked_vs_before%s %.3f ratio", suffix, masked/median(took["seed-import before"])),
			fmt.Sprintf("FIGURE import_verified_vs_before%s %.3f ratio", suffix, median(took["verified masked"])/median(took["verified before"])))
	}
	if b.keep {
		lines = append(lines, fmt.Sprintf("FIGURE import_unmasked_vs_pg_restore%s %.3f ratio", suffix, median(took["seed-import kept"])/best))
	}
	if b.inPlace {
		lines = append(lines, fmt.Sprintf("FIGURE import_masked_vs_update_in_place%s %.3f ratio", suffix, masked/median(took["in place"])))
	}
	return lines
}

func (b *bench) log(format string, args ...any) { fmt.Fprintf(b.env.Stdout, format+"\n", args...) }

// archive makes an archive of a shape and size, unless it is there, and returns its
// file's name and how many bytes of COPY text it holds.
func (b *bench) archive(ctx context.Context, shape string, size float64) (name string, bytes float64, err error) {
	name = fmt.Sprintf("%s-%gGB-named.dump", shape, size)
	if _, err := os.Stat(filepath.Join(b.dir, name)); err != nil {
		b.log("make an archive of %g GB, %s", size, shape)
		if err := b.generate(ctx, shape, size, name); err != nil {
			return "", 0, err
		}
	}
	text, err := os.ReadFile(filepath.Join(b.dir, name+".bytes"))
	if err != nil {
		return "", 0, err
	}
	if bytes, err = strconv.ParseFloat(strings.TrimSpace(string(text)), 64); err != nil {
		return "", 0, err
	}
	info, err := os.Stat(filepath.Join(b.dir, name))
	if err != nil {
		return "", 0, err
	}
	b.log("%s: %.0f MB of COPY text, %.0f MB as -Fc", name, bytes/1e6, float64(info.Size())/1e6)
	return name, bytes, nil
}

// reset leaves an empty database app, and nothing of the run before to be
// written.
func (b *bench) reset(ctx context.Context) error {
	_, err := b.sh(ctx, `psql -X -q -d postgres -c 'DROP DATABASE IF EXISTS app WITH (FORCE)' -c 'DELETE FROM seedling.ledger' 2>/dev/null; psql -X -q -v ON_ERROR_STOP=1 -d postgres -c 'CREATE DATABASE app TEMPLATE template0' -c CHECKPOINT && sync`)
	return err
}

// measured is one import: seconds of all of it, what of them was VACUUM and ANALYZE
// and what the verification, and the process' peak memory in MB.
type measured struct{ all, vacuum, verify, peak float64 }

// seedImport measures one import.
func (b *bench) seedImport(ctx context.Context, archive, binary, policy, profile string) (m measured, err error) {
	variables := "SEED_TARGET='host=127.0.0.1 user=postgres password=test-password sslmode=disable'"
	if profile != "" {
		variables += " SEED_IMPORT_PROFILE=/bench/" + policy + ".pprof"
	}
	if b.cores > 0 {
		variables += fmt.Sprintf(" GOMAXPROCS=%d", b.cores)
	}
	_, err = b.timed(ctx, fmt.Sprintf("%s /bench/%s --dump /bench/%s --policy /bench/%s.yaml --key-file /bench/key --jobs %d --report /bench/report.json >/bench/log 2>&1 & pid=$!; peak=0; while kill -0 $pid 2>/dev/null; do p=$(grep VmHWM /proc/$pid/status 2>/dev/null | tr -dc 0-9); [ -n \"$p\" ] && peak=$p; sleep 0.3; done; echo $peak >/bench/peak; wait $pid || { tail -5 /bench/log >&2; exit 1; }", variables, binary, archive, policy, b.jobs))
	if err != nil {
		return m, err
	}
	content, err := os.ReadFile(filepath.Join(b.dir, "report.json"))
	if err != nil {
		return m, err
	}
	var report struct {
		Started  time.Time `json:"started"`
		Finished time.Time `json:"finished"`
		Phases   []struct {
			Name    string  `json:"name"`
			Seconds float64 `json:"seconds"`
		} `json:"phases"`
	}
	if err := json.Unmarshal(content, &report); err != nil {
		return m, err
	}
	// The loop above looks every 0.3 seconds; the report knows better.
	m.all = report.Finished.Sub(report.Started).Seconds()
	for _, p := range report.Phases {
		fmt.Fprintf(b.env.Stdout, "      %6.1f s %s\n", p.Seconds, p.Name)
		switch {
		case strings.Contains(p.Name, "vacuum"):
			m.vacuum += p.Seconds
		case p.Name == "verify":
			m.verify += p.Seconds
		}
	}
	content, err = os.ReadFile(filepath.Join(b.dir, "peak"))
	if err != nil {
		return m, err
	}
	kb, err := strconv.ParseFloat(strings.TrimSpace(string(content)), 64)
	m.peak = kb / 1024
	if profile != "" && err == nil {
		if err := os.MkdirAll(profile, 0o755); err != nil {
			return m, err
		}
		err = copyFile(filepath.Join(b.dir, policy+".pprof"), filepath.Join(profile, policy+".pprof"))
	}
	return m, err
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755) // programs, too
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(list))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
