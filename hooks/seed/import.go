package seed

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/seedling-dev/seedling/hooks/dump"
	"github.com/seedling-dev/seedling/hooks/mask"
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

func (silent) Read(int64) {}

func (silent) Rows(int64) {}

func (silent) End() {}

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
