package seed

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/seedling-dev/seedling/hooks/sqltext"
)

// How much of an import is verified before it becomes the seed. What passed less than
// was asked for is imported again.
const (
	VerifySampled = "sampled"
	VerifyFull    = "full"
	VerifyOff     = "off"
)

func verifyDepth(depth string) string { return cmp.Or(depth, VerifyOff) }

// verifiedAs reports whether an import that was verified in one way is good enough
// where another is asked for.
func verifiedAs(was, asked string) bool {
	rank := map[string]int{VerifyOff: 1, VerifySampled: 2, VerifyFull: 3} // "" is 0
	return rank[was] >= rank[verifyDepth(asked)]
}

// verify compares what was loaded with the dump, before anybody sees it, and looks for
// originals in what is kept. When it fails, the old seed goes on answering.
func (r *loaded) verify(ctx context.Context) error {
	r.report.Verify = &VerifySummary{Depth: verifyDepth(r.Verify)}
	if r.report.Verify.Depth == VerifyOff {
		return nil
	}
	start := time.Now()
	defer func() { r.report.phase("verify", start) }()
	out := &VerifyReport{Report: &Report{}}
	v, err := r.newVerification(ctx, out, r.scratch)
	if err != nil {
		return fmt.Errorf("verify the import: %w", err)
	}
	if r.Verify == VerifySampled {
		v.sampled = newSampling(cmp.Or(r.VerifyTime, max(leastVerifyTime, time.Since(r.report.Started)/20)), v.groups)
		v.originals.most = sampledOriginals
		v.pool.small = true
	}
	err = v.run(ctx)
	for i := range out.Leaks {
		out.Leaks[i].First = "" // in a database that is dropped
	}
	r.report.Verify.Tables, r.report.Verify.Originals, r.report.Verify.Partial, r.report.Verify.Found = out.Verified, out.Originals, out.Partial, out.Leaks
	if differ, ok := errors.AsType[*DifferError](err); ok {
		err = fmt.Errorf("what was loaded is not what the dump gives under this policy and key, in %s: the seed stays as it was; this is a mistake of seed-import or of the server, please report it", strings.Join(differ.Tables, ", "))
	}
	if err != nil {
		return fmt.Errorf("verify the import: %w", err)
	}
	return nil
}

// VerifySummary is what an import's own verification looked at and found.
type VerifySummary struct {
	Depth string `json:"depth"`
	// Tables are those with rows; Compared of their rows were looked for in the seed.
	Tables    []VerifyTable `json:"tables,omitempty"`
	Originals int           `json:"originals"` // that were looked for in what is kept
	Partial   string        `json:"partial,omitempty"`
	Found     []Leak        `json:"found,omitempty"`
}

const (
	leastVerifyTime  = time.Second
	sampledOriginals = 2 << 20 // in memory that the load had
	// sampledBytes of every table are looked at, however little time there is.
	sampledBytes = 64 << 10
	// longestSampled is the length of rows that are looked for one by one: none of
	// their fields is left out by smallRows.
	longestSampled = 60000
	// mostSampledRows of a table, and of all, are looked for one by one.
	mostSampledRows    = 50000
	mostSampledRowsAll = 1 << 20
)

// sampling shares the time of a verification among tables, the small ones first: what
// they leave over is for the large ones.
type sampling struct {
	mu       sync.Mutex
	budget   time.Duration // of each of the three readings
	deadline time.Time
	left     int // tables
	begun    bool
}

func newSampling(whole time.Duration, groups []*group) *sampling {
	for _, g := range groups {
		g.sample = map[uint64]int{}
		g.most = int64(min(mostSampledRows, max(100, mostSampledRowsAll/len(groups))))
	}
	return &sampling{budget: whole / 3}
}

// begin begins a reading of so many tables.
func (s *sampling) begin(tables int) {
	if s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.deadline, s.left, s.begun = time.Now().Add(s.budget), tables, false
	}
}

// next is when the reading of the next table must end.
func (s *sampling) next(jobs int) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	rest := max(0, s.deadline.Sub(now))
	share := min(rest, rest*time.Duration(jobs)/time.Duration(max(1, s.left)))
	s.left--
	s.begun = true
	return now.Add(share)
}

// head returns the first rows of a table in the dump: all of them if there is time.
// The whole is read where the sampling is nil.
func (s *sampling) head(r io.Reader, jobs int) *rowsHead {
	h := &rowsHead{r: r}
	if s != nil {
		h.deadline = s.next(jobs)
	}
	return h
}

// rowsHead reads rows of COPY text until its time is up, and ends them with the end
// mark.
type rowsHead struct {
	r        io.Reader
	deadline time.Time // zero: all
	taken    int
	cut      bool
	rest     []byte // of the end mark
}

func (h *rowsHead) Read(p []byte) (int, error) {
	if h.cut {
		n := copy(p, h.rest)
		h.rest = h.rest[n:]
		if n == 0 {
			return 0, io.EOF
		}
		return n, nil
	}
	n, err := h.r.Read(p)
	h.taken += n
	if err == nil && !h.deadline.IsZero() && h.taken >= sampledBytes && time.Now().After(h.deadline) && endMark(p[:n]) < 0 {
		if i := bytes.LastIndexByte(p[:n], '\n'); i >= 0 {
			h.cut, h.rest = true, []byte("\\.\n")
			return i + 1, nil
		}
	}
	return n, err
}

// errSampled ends a reading of the seed.
var errSampled = errors.New("the sample is complete")

// enough reports whether the reading of a table of the seed may end: its time is up,
// or all rows of a part of the dump were found and nothing else is looked for.
func (w *rowWriter) enough() bool {
	g := w.digester.g
	if w.until.IsZero() || w.bytes < sampledBytes {
		return false
	}
	return time.Now().After(w.until) || g.cut && len(g.sample) == 0 && !w.scans
}

// smallRows adds to a condition on a table's rows that they are small, where large
// ones may come: the sample has no memory for them, and the dump's part ended there.
func (g *group) smallRows(where string) string {
	if !g.cut {
		return where
	}
	word := "WHERE"
	if where != "" {
		where, word = where+" ", "AND"
	}
	for _, c := range g.columns {
		where += fmt.Sprintf("%s coalesce(pg_catalog.pg_column_size(%s), 0) <= %d ", word, sqltext.Identifier(c), sampledBytes)
		word = "AND"
	}
	return where
}

// over reports whether there is no time left for another table. There is for one.
func (s *sampling) over() bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begun && time.Now().After(s.deadline)
}

// sampledTable compares a table of which not all was read: the rows of the dump's part
// must be in the seed, unless the seed was not read to its end.
func (g *group) sampledTable() VerifyTable {
	missing := int64(0)
	for _, n := range g.sample {
		missing += int64(n)
	}
	return VerifyTable{
		Table: g.name.String(), Rows: g.dump.rows, SeedRows: g.seed.rows, Partly: true, Compared: g.wanted - missing,
		Equal: missing == 0 || g.seedCut || g.dropped,
	}
}
