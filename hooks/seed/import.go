package seed

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/dump"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/postgres"
	"github.com/seedling-dev/seedling/hooks/sqltext"
)

// Options are what an import is told.
type Options struct {
	Dump        string // path or URL
	DumpOptions dump.Options
	DumpSHA256  string // declared, or ""

	Policy *mask.Policy
	Key    mask.Key

	Target   *pgx.ConnConfig // see postgres.ReadTarget
	Database string          // the seed's
	Owner    string          // the application's role
	Jobs     int             // sessions that load
	// Memory is how many bytes the program may take; DefaultMemory if 0. Verify
	// takes VerifyMemory more.
	Memory int64
	Wait   time.Duration // for a server that does not answer yet

	Log      *slog.Logger
	Progress Progress
}

// Progress is told how the work goes on. Its methods are called from many
// goroutines.
type Progress interface {
	// Start begins a step; total is its stored bytes, 0 when it has none.
	Start(step string, total int64)
	// Read adds stored bytes of the dump, Rows rows that were loaded.
	Read(bytes int64)
	Rows(rows int64)
	End()
}

type silent struct{}

func (silent) Start(string, int64) {}
func (silent) Read(int64)          {}
func (silent) Rows(int64)          {}
func (silent) End()                {}

// run is one import under way.
type run struct {
	Options
	id     string // of this import
	short  string // of the names of its databases
	target *target
	dump   *dump.Dump
	schema *schema
	plan   *mask.Plan
	// ordinary says which tables hold rows of their own
	ordinary map[mask.Name]bool
	parents  map[mask.Name][]mask.Name // of partitions and inheritance children
	locale   string
	report   *Report

	objects, objectBytes atomic.Int64 // large objects that were loaded
	sampling             bool
	sampled              struct{ text, stored int64 }
}

// Import replaces the seed's database by the masked content of a dump. The
// report is not nil, also when the import fails.
func Import(ctx context.Context, o Options) (*Report, error) {
	r := newRun(o)
	r.sampling = true
	defer func() { r.report.Finished = time.Now().UTC() }()
	err := r.run(ctx)
	if err != nil {
		err = interrupted(ctx, sourceError(err))
	}
	return r.report, err
}

func newRun(o Options) *run {
	if o.Progress == nil {
		o.Progress = silent{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Jobs = max(1, o.Jobs)
	if o.Memory == 0 {
		o.Memory = DefaultMemory
	}
	o.DumpOptions.Windows = o.Memory - restMemory
	id := uuid.NewString()
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	return &run{
		Options: o, id: id, short: hex.EncodeToString(b[:]),
		report: &Report{ImportID: id, Started: time.Now().UTC(), Database: o.Database, PolicyDigest: o.Policy.Digest(), KeyID: o.Key.ID(), MaskerVersion: mask.Version},
	}
}

func (r *run) run(ctx context.Context) error {
	if err := r.open(ctx); err != nil {
		return err
	}
	defer r.close(ctx)
	if done, err := r.unchanged(ctx, false); err != nil || done {
		return err
	}
	if err := r.read(ctx); err != nil {
		return err
	}
	defer r.dump.Close()
	if done, err := r.unchanged(ctx, true); err != nil || done {
		return err
	}
	if err := r.prepare(ctx); err != nil {
		return err
	}
	checked := r.checkDigest(ctx)
	defer checked.stop()
	return r.triedError(r.load(ctx, checked))
}

// warn says what a person should know, in the log and in the report.
func (r *run) warn(sentence string) {
	r.Log.Warn(sentence)
	r.report.Warnings = append(r.report.Warnings, sentence)
}

// open connects, checks the server and takes the lock.
func (r *run) open(ctx context.Context) error {
	t, err := dial(ctx, r.Target, r.Database, r.Wait, r.Log)
	if err != nil {
		return err
	}
	r.target = t
	err = func() error {
		warnings, err := t.check(ctx)
		if err != nil {
			return err
		}
		for _, w := range warnings {
			r.warn(w)
		}
		r.report.Server = t.versionIs
		if err := t.stamp(ctx); err != nil {
			return err
		}
		r.report.VolumeID = t.volume
		if err := t.role(ctx, r.Owner); err != nil {
			return err
		}
		if err := t.lock(ctx); err != nil {
			return err
		}
		return t.sweep(ctx)
	}()
	if err != nil {
		r.close(ctx)
	}
	return err
}

func (r *run) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	_ = r.target.conn.Close(ctx)
}

// read opens the dump and turns its table of contents into statements.
func (r *run) read(ctx context.Context) error {
	d, err := dump.Open(ctx, r.Dump, r.DumpOptions)
	if err != nil {
		return sourceError(err)
	}
	r.dump = d
	r.report.Dump, r.report.DumpID, r.report.DumpServer, r.report.DumpBytes = d.Name, d.ID, d.Server, d.Size
	r.report.DumpCreated = d.Created
	r.Log.Info("open the dump", "dump", d.Name, "format", d.Format, "server", d.Server, "database", d.Database, "bytes", d.Size, "entries", len(d.Entries))
	err = func() error {
		if err := r.checkMajor(); err != nil {
			return err
		}
		r.schema, err = readSchema(d, r.Policy, r.Owner)
		if err != nil {
			return err
		}
		r.report.LeftOut, r.report.Changed = r.schema.leftOut(), r.schema.rewritten
		if len(r.schema.data) > 0 && !slices.ContainsFunc(d.Entries, func(e *dump.Entry) bool { return afterData[e.Kind] }) {
			r.warn("the dump holds not one index, key, constraint, trigger or row security policy: if production has any, it was made without them (pg_dump --section), and the seed shows what row security hides there")
		}
		warnings, err := checkLiterals(d, r.Policy)
		for _, w := range warnings {
			r.warn(w)
		}
		return err
	}()
	if err != nil {
		d.Close()
		return fmt.Errorf("check dump %s: %w", d.Name, err)
	}
	return nil
}

// checkMajor refuses a dump of a newer Postgres than the target's, whose schema
// may be of words that it does not know.
func (r *run) checkMajor() error {
	if have, want := major(r.dump.Server), r.target.version/10000; have > want {
		return command.Misconfiguredf("the dump is of Postgres %d and the seed runs %d: use a seed-postgres of the same major version", have, want)
	}
	return nil
}

func major(version string) int {
	n := 0
	for _, c := range version {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + int(c-'0')
	}
	return n
}

// prepare builds the shadow database, compiles the policy against it, and
// refuses what can be refused before the first row.
func (r *run) prepare(ctx context.Context) (err error) {
	start := time.Now()
	r.Progress.Start("plan", 0)
	defer r.Progress.End()
	name := "seedling_shadow_" + r.short
	defer func() {
		if derr := r.drop(ctx, name); err == nil {
			err = derr
		}
	}()
	catalog, err := r.shadow(ctx, name)
	if err != nil {
		return err
	}
	plan, err := mask.Compile(r.Policy, r.Key, catalog)
	if err != nil {
		return command.Misconfigured(err)
	}
	r.plan = plan
	if plan.LargeObjects() && r.dump.Format == dump.Plain && len(r.schema.largeObjects) > 0 {
		return command.Misconfiguredf("the policy keeps large objects, which cannot be read from a plain dump: dump with -Fc, or leave them out (large_objects: none)")
	}
	r.ordinary = map[mask.Name]bool{}
	r.parents = map[mask.Name][]mask.Name{}
	for _, t := range catalog.Tables {
		r.ordinary[mask.Name{Schema: t.Schema, Name: t.Name}] = !t.Partitioned
		if len(t.Parents) > 0 {
			r.parents[mask.Name{Schema: t.Schema, Name: t.Name}] = t.Parents
		}
	}
	for _, w := range r.plan.Warnings {
		r.warn(w)
	}
	r.report.Kept = r.plan.Kept()
	if r.plan.LargeObjects() {
		r.report.Kept = append(r.report.Kept, keptObjects)
	}
	if r.Policy.Comments && r.schema.comments {
		r.report.Kept = append(r.report.Kept, keptComments)
	}
	if err := r.checkExcluded(ctx, catalog); err != nil {
		return err
	}
	r.schema.leaveOut(plan.Dropped())
	if err := r.dropIndexes(ctx, name); err != nil {
		return err
	}
	r.report.phase("plan", start)
	if err := r.checkRebuilds(ctx, name); err != nil {
		return err
	}
	if err := r.checkLedger(ctx); err != nil || !r.sampling {
		return err
	}
	start = time.Now()
	// The sample, too, puts kept values onto the volume.
	if err := r.writeLedger(ctx); err != nil {
		return err
	}
	err = r.triedError(r.sample(ctx, name))
	r.report.phase("sample", start)
	return err
}

// drop removes a database of ours even when the import was stopped.
func (r *run) drop(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 60*time.Second)
	defer cancel()
	return r.target.drop(ctx, name)
}

// shadow builds the dump's whole schema in an empty database and reads its
// catalog.
func (r *run) shadow(ctx context.Context, name string) (c mask.Catalog, err error) {
	if err := r.createShadow(ctx, name); err != nil {
		return c, err
	}
	conn, err := r.target.session(ctx, name)
	if err != nil {
		return c, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if err := r.checkExtensions(ctx, conn); err != nil {
		return c, err
	}
	for _, list := range [][]step{r.schema.pre, r.schema.post, r.schema.grants, r.schema.last} {
		for _, s := range list {
			if s.entry.Kind == "MATERIALIZED VIEW DATA" || s.aboutLargeObjects() || aboutEventTrigger(s.entry) {
				continue
			}
			if err := execStep(ctx, conn, s); err != nil {
				return c, schemaError(err)
			}
			if s.entry.Kind == "EVENT TRIGGER" {
				// It was only to be tried: what follows is ours.
				if err := execSQL(ctx, conn, "DROP EVENT TRIGGER "+sqltext.Identifier(s.entry.Tag)); err != nil {
					return c, fmt.Errorf("drop event trigger %s of the shadow: %w", s.entry.Tag, err)
				}
			}
		}
	}
	withData := map[mask.Name]bool{}
	for _, e := range r.schema.data {
		t, _, err := copyTarget(e)
		if err != nil {
			return c, err
		}
		withData[t] = true
	}
	c, err = readCatalog(ctx, conn, withData, r.schema.foreign)
	c.LargeObjects = len(r.schema.largeObjects) > 0
	return c, err
}

// checkExtensions names all extensions that the server lacks at once.
func (r *run) checkExtensions(ctx context.Context, conn *pgx.Conn) error {
	var want []string
	for _, s := range r.schema.pre {
		if s.entry.Kind == "EXTENSION" {
			want = append(want, s.entry.Tag)
		}
	}
	rows, err := conn.Query(ctx, "SELECT name FROM unnest($1::text[]) name WHERE name NOT IN (SELECT name::text FROM pg_catalog.pg_available_extensions) ORDER BY 1", want)
	if err != nil {
		return postgres.Redact(err)
	}
	missing, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return postgres.Redact(err)
	}
	if len(missing) > 0 {
		return command.Misconfiguredf("the dump needs extensions that the seed's image does not have: %s. Build one that has them, for the seed and its previews "+
			"(manifests/seed-postgres/README.md says how), or leave them out of the dump with pg_dump --exclude-extension", strings.Join(missing, ", "))
	}
	return nil
}

// schemaError marks what the server refuses about the schema, or about rows, as
// a matter for a person: the same statement or row will be refused again.
func schemaError(err error) error {
	switch c := postgres.Code(err); {
	case c == "", strings.HasPrefix(c, "57"), strings.HasPrefix(c, "53"), strings.HasPrefix(c, "58"), strings.HasPrefix(c, "40"), strings.HasPrefix(c, "08"), strings.HasPrefix(c, "XX"), c == postgres.ObjectInUse:
		return err
	}
	return command.Misconfigured(err)
}

// load fills a scratch database and swaps it in.
func (r *run) load(ctx context.Context, checked *digestCheck) (err error) {
	name := "seedling_scratch_" + r.short
	swapped := false
	defer func() {
		if swapped {
			return
		}
		if derr := r.drop(ctx, name); derr != nil {
			r.Log.Warn("the scratch database could not be dropped; the next import removes it", "database", name, "error", derr)
		}
	}()
	start := time.Now()
	if err := r.target.create(ctx, name, r.id, r.locale); err != nil {
		return err
	}
	conn, err := r.target.session(ctx, name)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for _, s := range r.schema.pre {
		if err := execStep(ctx, conn, s); err != nil {
			return schemaError(err)
		}
	}
	if err := postgres.CreateMarker(ctx, conn); err != nil {
		return err
	}
	if err := r.createObjects(ctx, conn); err != nil {
		return err
	}
	if err := r.createRebuilds(ctx, conn); err != nil {
		return err
	}
	r.report.phase("schema", start)

	start = time.Now()
	if err := r.rows(ctx, name); err != nil {
		return err
	}
	if err := r.dropRebuilds(ctx, conn); err != nil {
		return err
	}
	if err := r.removeOrphans(ctx, conn); err != nil {
		return err
	}
	r.report.phase("rows and indexes", start)

	start = time.Now()
	r.Progress.Start("constraints, triggers, grants", 0)
	if err := r.after(ctx, conn); err != nil {
		return err
	}
	r.report.phase("constraints, triggers, grants", start)
	r.Progress.End()

	start = time.Now()
	r.Progress.Start("vacuum and analyze", 0)
	if err := r.vacuum(ctx, name); err != nil {
		return err
	}
	r.report.phase("vacuum and analyze", start)
	r.Progress.End()

	if err := checked.wait(ctx, r.Progress); err != nil {
		return err
	}
	if err := r.mark(ctx, conn); err != nil {
		return err
	}
	if err := conn.Close(ctx); err != nil {
		return fmt.Errorf("leave database %s: %w", name, err)
	}
	start = time.Now()
	old, err := r.swap(ctx, name)
	if err != nil {
		return err
	}
	swapped = true
	r.report.phase("swap", start)
	r.report.Outcome = Imported
	if old != "" {
		start = time.Now()
		defer func() { r.report.phase("drop the old database", start) }()
		// The import is done; what cannot be dropped now, the next run drops.
		if err := r.drop(ctx, old); err != nil {
			r.Log.Warn("the old database could not be dropped; the next import removes it", "database", old, "error", err)
		}
	}
	return nil
}

// digestCheck computes a declared sha256 beside the import.
type digestCheck struct {
	cancel context.CancelFunc
	done   chan error
}

func (r *run) checkDigest(ctx context.Context) *digestCheck {
	ctx, cancel := context.WithCancel(ctx)
	c := &digestCheck{cancel: cancel, done: make(chan error, 1)}
	if r.DumpSHA256 == "" {
		c.done <- nil
		return c
	}
	go func() { c.done <- r.dump.Check(ctx, r.DumpSHA256, nil) }()
	return c
}

func (c *digestCheck) wait(ctx context.Context, p Progress) error {
	p.Start("check the declared sha256", 0)
	defer p.End()
	select {
	case err := <-c.done:
		c.done <- err
		return sourceError(err)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *digestCheck) stop() {
	c.cancel()
	<-c.done //nolint:errcheck // nobody waits for its verdict any more
}

// unchanged reports whether the seed already is what this import would make.
// Before the dump is opened only its declared digest can tell.
func (r *run) unchanged(ctx context.Context, opened bool) (bool, error) {
	if !opened && r.DumpSHA256 == "" {
		return false, nil
	}
	m, err := r.target.marker(ctx)
	if err != nil || m == nil {
		return false, err
	}
	same := m.PolicyDigest == r.report.PolicyDigest && m.KeyID == r.report.KeyID && m.MaskerVersion == mask.Version && m.VolumeID == r.target.volume
	if opened {
		// Another declared digest than the marker's asks for a check.
		same = same && m.DumpID == r.dump.ID && (r.DumpSHA256 == "" || strings.EqualFold(m.DumpDigest, r.DumpSHA256))
	} else {
		same = same && strings.EqualFold(m.DumpDigest, r.DumpSHA256)
	}
	if same {
		r.report.Outcome = Unchanged
		r.report.ImportID = m.ImportID
		r.Log.Info("nothing to do: the seed already holds this dump under this policy and key", "import", m.ImportID, "finished", m.FinishedAt.UTC().Format(time.RFC3339))
	}
	return same, nil
}

// createShadow makes the shadow database, with the locale of the dump where
// the server has it: comparisons and sort orders are then as in production.
func (r *run) createShadow(ctx context.Context, name string) error {
	r.locale = dumpLocale(r.dump)
	err := r.target.create(ctx, name, r.id, r.locale)
	// These are how servers say that they do not know a locale.
	if r.locale == "" || !postgres.Is(err, postgres.InvalidParameterValue, postgres.UndefinedObject, postgres.WrongObjectType) {
		return err
	}
	w := "the server does not have the dump's locale (" + strings.TrimSpace(r.locale) + "): text sorts by the server's own"
	r.warn(w)
	r.locale = ""
	return r.target.create(ctx, name, r.id, r.locale)
}
