package seed

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seedling-dev/seedling/hooks/dump"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/postgres"
)

// Options are what an import is told.
type Options struct {
	Dump        string // path or URL, or a pattern of some
	DumpOptions dump.Options
	DumpSHA256  string // declared, or ""
	// DumpPick says which dump to take of those that a pattern matches, and whether
	// its digest is declared by a file beside it.
	DumpPick dump.Pick

	Policy *mask.Policy
	Key    mask.Key
	// Logins are the password hashes of testers' accounts that the policy names.
	Logins mask.PasswordHashes

	Target   *pgx.ConnConfig // see postgres.ReadTarget
	Database string          // the seed's
	Owner    string          // the application's role
	// Namespace is the seed's, for sentences that say what to do there; "" where it is
	// not known.
	Namespace string
	Jobs      int // sessions that load
	// Memory is how many bytes the program may use; DefaultMemory if 0. Verify uses
	// VerifyMemory more.
	Memory int64
	Wait   time.Duration // for a server that does not answer yet
	// Suggested are rules of another tool for Draft, nil for none.
	Suggested *mask.Suggestions
	// Verify says how much of an import is verified before it becomes the seed:
	// VerifySampled, VerifyFull or VerifyOff, which "" is too.
	Verify string
	// VerifyTime bounds a sampled verification; 0 is a twentieth of the import's time
	// until then, a second at least.
	VerifyTime time.Duration
	// Untried says that an import does not try the first rows of every table before
	// it loads.
	Untried bool

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

// An import goes from phase to phase, and each phase returns what it found out:
// started -> opened -> checked -> planned -> loaded. The receiver of a method says
// what it needs.

// started is an import, or another command, that has done nothing yet: its options,
// its names and its report.
type started struct {
	Options
	id     string // of this import
	short  string // of the names of its databases
	report *Report
	// printed says that the report is printed as a whole, warnings among it.
	printed bool
}

// Import replaces the seed's database by the masked content of a dump. The
// report is not nil, also when the import fails.
func Import(ctx context.Context, o Options) (*Report, error) {
	r := start(o)
	r.needHashes()
	defer func() { r.report.Finished = time.Now().UTC() }()
	err := r.importDump(ctx)
	if err != nil {
		err = interrupted(ctx, sourceError(err))
	}
	return r.report, err
}

func start(o Options) *started {
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
	return &started{
		Options: o, id: id, short: hex.EncodeToString(b[:]),
		report: &Report{ImportID: id, Started: time.Now().UTC(), Database: o.Database, PolicyDigest: o.Policy.Digest(), KeyID: o.Key.ID(), MaskerVersion: mask.Version},
	}
}

// needHashes says that rows are masked, for which the password hashes of testers'
// accounts must be there.
func (r *started) needHashes() {
	if r.Logins == nil {
		r.Logins = mask.PasswordHashes{}
	}
}

func (r *started) importDump(ctx context.Context) error {
	opened, err := r.open(ctx)
	if err != nil {
		return err
	}
	defer opened.close(ctx)
	if done, err := opened.unchanged(ctx, nil); err != nil || done {
		return err
	}
	checked, err := opened.check(ctx)
	if err != nil {
		return err
	}
	defer checked.archive.Close()
	if done, err := opened.unchanged(ctx, checked.archive); err != nil || done {
		return err
	}
	planned, err := checked.prepare(ctx, !r.Untried)
	if err != nil {
		return err
	}
	digest := checked.digest(ctx)
	defer digest.stop()
	loaded, err := planned.load(ctx)
	if err != nil {
		return planned.triedError(err)
	}
	defer loaded.discard(ctx)
	if err := digest.wait(ctx, r.Progress); err != nil {
		return err
	}
	if err := loaded.verify(ctx); err != nil {
		return err
	}
	return loaded.swap(ctx)
}

// warn says what a person should know, in the log and in the report.
func (r *started) warn(sentence string) {
	if slices.Contains(r.report.Warnings, sentence) {
		return
	}
	if !r.printed {
		r.Log.Warn(sentence)
	}
	r.report.Warnings = append(r.report.Warnings, sentence)
}

// unchanged reports whether the seed already is what this import would make of an
// archive. Before the archive is open (nil), only the declared digest can tell.
func (r *opened) unchanged(ctx context.Context, archive *dump.Dump) (bool, error) {
	m, err := r.holds(ctx, archive)
	if err != nil || m == nil || !verifiedAs(m.Verified, r.Verify) {
		return false, err
	}
	r.report.Outcome = Unchanged
	r.report.ImportID = m.ImportID
	r.Log.Info("nothing to do: the seed already holds this dump under this policy and key", "import", m.ImportID, "finished", m.FinishedAt.UTC().Format(time.RFC3339))
	return true, nil
}

// holds returns the marker of a seed that holds an archive's data under the policy and
// key, nil of another.
func (r *opened) holds(ctx context.Context, archive *dump.Dump) (*postgres.Marker, error) {
	if archive == nil && r.DumpSHA256 == "" {
		return nil, nil
	}
	m, err := r.server.marker(ctx)
	if err != nil || m == nil {
		return nil, err
	}
	same := sameLogins(m, r.Logins.Fingerprint(r.Key)) && m.PolicyDigest == r.report.PolicyDigest && m.KeyID == r.report.KeyID && m.MaskerVersion == mask.Version && m.VolumeID == r.server.volume
	if archive != nil {
		// A declared digest that is not the marker's must be checked.
		same = same && m.DumpID == archive.ID && (r.DumpSHA256 == "" || strings.EqualFold(m.DumpDigest, r.DumpSHA256))
	} else {
		same = same && strings.EqualFold(m.DumpDigest, r.DumpSHA256)
	}
	if !same {
		return nil, nil
	}
	return m, nil
}
