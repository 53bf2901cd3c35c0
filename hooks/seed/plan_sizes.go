package seed

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"sync"
	"text/tabwriter"

	"github.com/seedling-dev/seedling/hooks/mask"
)

// TableSize is an estimate of what a table, with its partitions, has in the dump, and
// of what the seed will have of it.
type TableSize struct {
	Table      string `json:"table"`
	Rows       int64  `json:"rows"`
	Bytes      int64  `json:"bytes"` // of COPY text
	RowsAfter  int64  `json:"rowsAfter"`
	BytesAfter int64  `json:"bytesAfter"`

	loaded int64 // bytes, before rows go that reference missing ones
}

// sizes are what a sample tells of the tables' sizes.
type sizes struct {
	estimate *mask.Estimate
	mu       sync.Mutex
	tables   map[mask.Name]rowsAndBytes
}

type rowsAndBytes struct{ rows, bytes float64 }

// add counts the first rows of a table, at the begin of head, which took stored bytes
// of the dump.
func (s *sizes) add(l *tableLoad, rows, head []byte, stored int64) {
	more := 1.0 // how many times that the table has
	if rest := head[len(rows):]; !bytes.HasPrefix(rest, []byte(`\.`)) {
		took := float64(stored) * float64(len(rows)) / float64(len(head))
		more = max(1, float64(l.entry.Bytes)/max(1, took))
	}
	size := more * float64(bytes.Count(rows, []byte{'\n'}))
	s.estimate.Add(l.layout, rows, size)
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tables[l.table]
	t.rows += size
	t.bytes += more * float64(len(rows))
	s.tables[l.table] = t
}

// sizesOf adds up the estimates by table, partitions under their root, the largest
// first.
func (r *planned) sizesOf(s *sizes) []TableSize {
	byTop := map[mask.Name]*TableSize{}
	for n, size := range s.tables {
		top := r.top(n)
		t := byTop[top]
		if t == nil {
			t = &TableSize{Table: top.String()}
			byTop[top] = t
		}
		loaded, kept := s.estimate.Of(r.plan.Table(n.Schema, n.Name))
		t.Rows += int64(size.rows)
		t.Bytes += int64(size.bytes)
		t.RowsAfter += int64(size.rows * kept)
		t.BytesAfter += int64(size.bytes * kept)
		t.loaded += int64(size.bytes * loaded)
	}
	out := make([]TableSize, 0, len(byTop))
	for _, t := range byTop {
		out = append(out, *t)
	}
	slices.SortFunc(out, func(a, b TableSize) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Table, b.Table))
	})
	return out
}

// printSizes writes the tables that are a hundredth of the whole, or lose rows.
func (p *PlanReport) printSizes(w io.Writer) {
	if p.Room == 0 {
		return
	}
	var all, others TableSize
	for _, s := range p.Sizes {
		all.add(s)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "estimates, from the first %d rows of each table; ages as if rows had come evenly:\n", sampleRows)
	fmt.Fprintln(tw, "rows\tGiB\trows in the seed\tGiB\ttable\t")
	n := 0
	for _, s := range p.Sizes {
		if s.RowsAfter == s.Rows && s.Bytes < all.Bytes/100 {
			others.add(s)
			n++
			continue
		}
		s.print(tw, s.Table)
	}
	if n > 0 {
		others.print(tw, fmt.Sprintf("%d others", n))
	}
	all.print(tw, "all")
	_ = tw.Flush() // what w refuses, the next line says
	fmt.Fprintf(w, "about %.2f GiB of rows; the volume needs about %.2f GiB beside the seed that is there\n", gib(p.Text), gib(p.Room))
}

func (t *TableSize) add(o TableSize) {
	t.Rows += o.Rows
	t.Bytes += o.Bytes
	t.RowsAfter += o.RowsAfter
	t.BytesAfter += o.BytesAfter
}

func (t *TableSize) print(w io.Writer, name string) {
	fmt.Fprintf(w, "%d\t%.2f\t%d\t%.2f\t%s\t\n", t.Rows, gib(t.Bytes), t.RowsAfter, gib(t.BytesAfter), name)
}

func gib(bytes int64) float64 { return float64(bytes) / (1 << 30) }
