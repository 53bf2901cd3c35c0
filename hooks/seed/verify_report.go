package seed

import (
	"fmt"
	"io"
	"slices"
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
	// Originals is how many were looked for in what is kept.
	Originals int `json:"originals"`
	// Partial says that not all originals could be looked for.
	Partial string `json:"partial,omitempty"`
}

// VerifyTable is the comparison of one table.
type VerifyTable struct {
	Table    string `json:"table"`
	Rows     int64  `json:"rows"`     // of the dump, after the row filter
	SeedRows int64  `json:"seedRows"` // of the seed
	Equal    bool   `json:"equal"`
	// Compared is how many rows of the dump were found in the seed, or not. Partly says
	// that a sample was: Rows and SeedRows are what was read.
	Compared int64 `json:"compared"`
	Partly   bool  `json:"partly,omitempty"`
	// Differ names the columns whose values differ, Unsure those that may, since
	// rows that they referenced were left out.
	Differ []string `json:"differ,omitempty"`
	Unsure []string `json:"unsure,omitempty"`
}

// Leak is a kept column, or one of which parts are kept, that holds what was masked
// elsewhere.
type Leak struct {
	Table  string `json:"table"`
	Column string `json:"column"`
	Kind   string `json:"kind"`
	Rows   int64  `json:"rows"`
	// Masker is keep, or the one that lets parts through.
	Masker string `json:"masker"`
	// First is a query of the seed for the first of these rows, "" where there is none.
	First string `json:"first,omitempty"`

	object string
	prints []string // what a policy may accept; none where it is too much
}

func (l Leak) qualified() string { return l.Table + "." + mask.QuoteIdent(l.Column) }

// DifferError says that the seed does not hold what it should.
type DifferError struct{ Tables []string }

func (e *DifferError) Error() string {
	return "the seed's rows are not what the dump gives under this policy and key, in " + strings.Join(e.Tables, ", ") +
		": somebody wrote to the seed, or the import was not of this program; drop the seed's database, since what its marker names is not loaded twice, and import again"
}

// LeakError says that kept columns hold what was masked elsewhere.
type LeakError struct{ Leaks []Leak }

func (e *LeakError) Error() string {
	var parts, advice []string
	kept, partial, acceptable := false, []string{}, false
	for _, l := range e.Leaks {
		parts = append(parts, fmt.Sprintf("%s (%s in %d rows)", l.qualified(), l.Kind, l.Rows))
		acceptable = acceptable || len(l.prints) > 0
		if l.Masker == "keep" {
			kept = true
		} else if !slices.Contains(partial, l.qualified()) {
			partial = append(partial, l.qualified())
		}
	}
	if kept {
		advice = append(advice, "mask what is kept as a whole, and import into a fresh volume, since this one holds it")
	}
	if len(partial) > 0 {
		advice = append(advice, "give the places in "+strings.Join(partial, ", ")+" that are kept a rule, and import into a fresh volume")
	}
	if acceptable {
		advice = append(advice, "where what stands there names nobody, accept it in the policy, by the lines that are printed")
	}
	return "columns that the policy keeps hold what it masks elsewhere: " + strings.Join(parts, ", ") + ". Look at them; then " + strings.Join(advice, "; or ")
}

// Fragment returns YAML for the policy, without effect until somebody takes the signs
// off: only a person can tell that a name is nobody's.
func (e *LeakError) Fragment() string {
	var b strings.Builder
	for _, l := range e.Leaks {
		for _, p := range l.prints {
			fmt.Fprintf(&b, "#  - {object: %s, sha256: %s}   # %s\n", yamlText(l.object), p, l.Kind)
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "# accept:   # what names nobody; take these signs off after you have looked at the rows\n" + b.String()
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
		fmt.Fprintf(w, "LEAK: %s keeps %s that another column masks, in %d rows\n", l.qualified(), l.Kind, l.Rows)
		if l.First != "" {
			fmt.Fprintf(w, "      the first, in the seed: %s\n", l.First)
		}
	}
	if r.Partial != "" {
		fmt.Fprintln(w, r.Partial)
	}
	return nil
}
