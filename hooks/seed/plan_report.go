package seed

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/seedling-dev/seedling/hooks/mask"
)

// PlanReport says what an import would do.
type PlanReport struct {
	*Report
	Columns   []PlanColumn `json:"columns"`
	Unchecked []string     `json:"unchecked,omitempty"`
	// Sizes are estimates, the largest table first; none without a sample.
	Sizes []TableSize `json:"estimatedSizes,omitempty"`
	// Text is the estimated COPY text in bytes that stays, Room what the volume
	// needs beside the seed that is there; both 0 without a sample.
	Text int64 `json:"estimatedText,omitempty"`
	Room int64 `json:"estimatedRoom,omitempty"`
	// Snapshots says what becomes of the snapshots that there are; "" where the
	// seed holds nothing.
	Snapshots string `json:"snapshots,omitempty"`
}

// PlanColumn is what happens to one column.
type PlanColumn struct {
	Table  string `json:"table"`
	Column string `json:"column"`
	Masker string `json:"masker"`
	Why    string `json:"why"`
	Unique bool   `json:"unique,omitempty"`
}

// describe fills the report from the compiled plan, if it was compiled.
func (r *planned) describe(out *PlanReport, same bool) {
	if r.plan == nil {
		return
	}
	stored := map[string]int64{}
	for _, e := range r.schema.data {
		stored[e.table.String()] += e.Bytes
	}
	for _, t := range r.plan.Tables() {
		name := mask.Name{Schema: t.Schema, Name: t.Name}.String()
		tr := TableReport{Table: name, Stored: stored[name], Empty: !t.Rows}
		for _, c := range t.Columns {
			if c.Masker == "" {
				continue
			}
			if c.Masker != "keep" {
				tr.Masked++
			}
			out.Columns = append(out.Columns, PlanColumn{name, c.Name, c.Masker, loginNote(t, c.Name, c.Why), c.Unique})
		}
		r.report.Tables = append(r.report.Tables, tr)
	}
	if same {
		out.Unchecked = append(out.Unchecked, "nothing would be loaded: the seed already holds this dump under this policy and key")
	}
	out.Sizes = r.sizes
	for _, s := range r.sizes {
		out.Text += s.BytesAfter
		// Heap and indexes of production take about one and a half times the
		// text; the old seed stays until the swap. Rows that go after the load, and
		// the copy without them, need room as well.
		out.Room += s.loaded * 3 / 2
	}
	for _, e := range r.schema.largeObjects {
		if len(r.sizes) > 0 && r.plan.LargeObjects() {
			out.Room += e.Bytes * 3 / 2 // as they are stored; mostly they do not shrink
		}
	}
	if len(r.sizes) > 0 {
		out.Unchecked = append(out.Unchecked, fmt.Sprintf("rows beyond the first %d of each table", sampleRows))
	} else {
		out.Unchecked = append(out.Unchecked, "the rows: no sample was taken")
	}
	if r.DumpSHA256 != "" && !same {
		out.Unchecked = append(out.Unchecked, "the declared sha256, for which all of the dump is read")
	}
	if len(r.plan.Logins()) > 0 && r.archive.Sequential() {
		out.Unchecked = append(out.Unchecked, "whether testers' accounts are in the dump, which can only be read in order")
	}
	out.Unchecked = append(out.Unchecked, r.opaque...)
	out.Unchecked = append(out.Unchecked, "foreign keys and materialized views, which need all rows")
}

// printKept writes what matters most, by table: what reaches the seed as it is.
func (p *PlanReport) printKept(w io.Writer) {
	var tables []string
	columns := map[string][]string{}
	masked := 0
	for _, c := range p.Columns {
		if c.Masker != "keep" {
			masked++
			continue
		}
		if columns[c.Table] == nil {
			tables = append(tables, c.Table)
		}
		columns[c.Table] = append(columns[c.Table], mask.QuoteIdent(c.Column))
	}
	fmt.Fprintf(w, "kept as they are, %d columns of %d:\n", len(p.Columns)-masked, len(p.Columns))
	for _, t := range tables {
		fmt.Fprintf(w, "  %s: %s\n", t, strings.Join(columns[t], ", "))
	}
	for _, k := range p.Kept {
		if passesWithin(k) {
			fmt.Fprintf(w, "  %s\n", k)
		}
	}
	fmt.Fprintln(w)
}

// Print writes the plan: what is kept first, then every column.
func (p *PlanReport) Print(w io.Writer) error {
	p.printKept(w)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "table\tcolumn\tmasker\tbecause of")
	last := ""
	for _, c := range p.Columns {
		table := c.Table
		if table == last {
			table = ""
		}
		last = c.Table
		masker := c.Masker
		if c.Unique {
			masker += " (unique)"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", table, c.Column, masker, c.Why)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	var empty []string
	for _, t := range p.Tables {
		if t.Empty {
			empty = append(empty, t.Table)
		}
	}
	fmt.Fprintln(w)
	list := func(title string, lines []string) {
		if len(lines) == 0 {
			return
		}
		fmt.Fprintln(w, title)
		for _, l := range lines {
			fmt.Fprintln(w, "  - "+l)
		}
	}
	list("loaded without rows:", empty)
	list("left out:", p.LeftOut)
	list("restored differently:", p.Changed)
	list("testers' logins:", loginSentences(p.Logins))
	list("warnings:", p.Warnings)
	list("not checked:", p.Unchecked)
	p.printSizes(w)
	if p.Snapshots != "" {
		fmt.Fprintln(w, p.Snapshots)
	}
	_, err := fmt.Fprintf(w, "policy digest %s, key id %s\n", p.PolicyDigest, p.KeyID)
	return err
}

func loginSentences(logins []LoginReport) []string {
	var out []string
	for _, l := range logins {
		out = append(out, l.sentence())
	}
	return out
}

// leftOut names what the dump has and the seed will not have.
func (s *schema) leftOut() []string {
	var out []string
	for k, n := range s.left {
		out = append(out, fmt.Sprintf("%d %s: %s", n, strings.ToLower(k), kinds[k].why))
	}
	slices.Sort(out)
	kindsEnd := len(out)
	for name := range s.foreign {
		out = append(out, "rows of foreign table "+name.String()+": it becomes an empty local table")
	}
	slices.Sort(out[kindsEnd:])
	return out
}
