package seed

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/seedling-dev/seedling/hooks/mask"
)

// VerifyReport says whether the seed is what the dump, the policy and the key
// make of each other.
type VerifyReport struct {
	*Report
	Verified []VerifyTable `json:"verified"`
	Leaks    []Leak        `json:"leaks,omitempty"`
	// Partial says that not all originals could be looked for.
	Partial string `json:"partial,omitempty"`
}

// VerifyTable is the comparison of one table.
type VerifyTable struct {
	Table    string `json:"table"`
	Rows     int64  `json:"rows"`     // of the dump, after the row filter
	SeedRows int64  `json:"seedRows"` // of the seed
	Equal    bool   `json:"equal"`
	// Differ names the columns whose values differ, Unsure those that may, since
	// rows that they referenced were left out.
	Differ []string `json:"differ,omitempty"`
	Unsure []string `json:"unsure,omitempty"`
}

// Leak is a kept column that holds what was masked elsewhere.
type Leak struct {
	Table  string `json:"table"`
	Column string `json:"column"`
	Kind   string `json:"kind"`
	Rows   int64  `json:"rows"`
}

// DifferError says that the seed does not hold what it should.
type DifferError struct{ Tables []string }

func (e *DifferError) Error() string {
	return "the seed's rows are not what the dump gives under this policy and key, in " + strings.Join(e.Tables, ", ") +
		": somebody wrote to the seed, or the import was not of this program; drop the seed's database, since what its marker names is not loaded twice, and import again"
}

// LeakError says that kept columns hold what was masked elsewhere.
type LeakError struct{ Leaks []Leak }

func (e *LeakError) Error() string {
	var parts []string
	for _, l := range e.Leaks {
		parts = append(parts, fmt.Sprintf("%s.%s (%s in %d rows)", l.Table, mask.QuoteIdent(l.Column), l.Kind, l.Rows))
	}
	return "columns that the policy keeps hold what it masks elsewhere: " + strings.Join(parts, ", ") + ". Mask them, and import into a fresh volume"
}

// Print writes the comparison as a table.
func (r *VerifyReport) Print(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "rows\tin the seed\t\ttable\t")
	for _, t := range r.Verified {
		verdict := "equal"
		if !t.Equal {
			verdict = "DIFFERS"
		}
		note := ""
		if len(t.Unsure) > 0 {
			note = " (not compared: " + strings.Join(t.Unsure, ", ") + ")"
		}
		fmt.Fprintf(tw, "%d\t%d\t%s\t%s%s\t\n", t.Rows, t.SeedRows, verdict, t.Table, note)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, l := range r.Leaks {
		fmt.Fprintf(w, "LEAK: %s.%s keeps %s that another column masks, in %d rows\n", l.Table, mask.QuoteIdent(l.Column), l.Kind, l.Rows)
	}
	if r.Partial != "" {
		fmt.Fprintln(w, r.Partial)
	}
	return nil
}
