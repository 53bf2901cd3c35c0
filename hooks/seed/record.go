package seed

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/postgres"
)

// Record is what an import says of itself to those who must sign for its data. It is
// in the seed's database and so in every snapshot, which carries its digest. It holds
// names and counts, never a value of a row.
type Record struct {
	Version  int       `json:"record"`
	ImportID string    `json:"importId"`
	Started  time.Time `json:"started"`
	Written  time.Time `json:"written"`

	Dump        string    `json:"dump"`
	DumpID      string    `json:"dumpId"`
	DumpSHA256  string    `json:"dumpSha256,omitempty"` // as declared, and checked
	DumpServer  string    `json:"dumpServer,omitempty"`
	DumpCreated time.Time `json:"dumpCreated,omitzero"` // when the source was dumped, as the dump says

	PolicyDigest  string                   `json:"policyDigest"`
	KeyID         string                   `json:"keyId"`
	MaskerVersion string                   `json:"maskerVersion"`
	Server        string                   `json:"server"`
	VolumeID      string                   `json:"volumeId"`
	Roles         map[string]mask.MadeRole `json:"madeRoles,omitempty"`

	Rows   int64          `json:"rows"`
	Tables []RecordTable  `json:"tables"`
	Kept   []RecordColumn `json:"kept"`
	Masked []RecordColumn `json:"masked"`
	// Within is what passes inside of masked values, and large objects and comments.
	Within []string `json:"keptWithin,omitempty"`
	// SmallGroups are what few values tell; nil where no sample was looked at.
	SmallGroups []string      `json:"smallGroups"`
	LeftOut     []string      `json:"leftOut,omitempty"`
	Changed     []string      `json:"restoredDifferently,omitempty"`
	Accepted    []mask.Accept `json:"accepted,omitempty"`
	// Logins are testers' accounts, LoginsID a digest of their password hashes under the
	// masking key.
	Logins   []LoginReport `json:"logins,omitempty"`
	LoginsID string        `json:"loginsId,omitempty"`

	Verify VerifySummary `json:"verify"`
}

// RecordTable counts a table's rows.
type RecordTable struct {
	Table   string `json:"table"`
	Rows    int64  `json:"rows"`
	LeftOut int64  `json:"rowsLeftOut,omitempty"`
	Empty   bool   `json:"withoutRows,omitempty"` // by policy
}

// RecordColumn is what was done with a column, and why. What follows the column of a
// partitioned table is not listed apart.
type RecordColumn struct {
	Table  string `json:"table"`
	Column string `json:"column"`
	Masker string `json:"masker,omitempty"`
	// Why is where the rule comes from, Because what the policy says for it.
	Why     string `json:"why,omitempty"`
	Because string `json:"because,omitempty"`
}

// record writes the record of an import that is about to become the seed, in JSON.
func (r *loaded) record() (string, error) {
	p := r.report
	out := Record{
		Version: 1, ImportID: r.id, Started: p.Started, Written: time.Now().UTC(), Dump: p.Dump, DumpID: p.DumpID, DumpSHA256: r.DumpSHA256, DumpServer: p.DumpServer,
		DumpCreated: p.DumpCreated, PolicyDigest: p.PolicyDigest, KeyID: p.KeyID, MaskerVersion: p.MaskerVersion, Server: p.Server, VolumeID: p.VolumeID,
		Roles: r.Policy.MadeRoles, Rows: p.Rows, Kept: []RecordColumn{}, Masked: []RecordColumn{}, SmallGroups: r.smallGroups, LeftOut: p.LeftOut, Changed: p.Changed, Accepted: r.Policy.Accept,
		Logins: p.Logins, LoginsID: r.Logins.Fingerprint(r.Key), Verify: *p.Verify,
	}
	out.Tables = recordTables(p.Tables)
	for _, k := range p.Kept {
		if passesWithin(k) {
			out.Within = append(out.Within, k)
		}
	}
	for _, t := range r.plan.Tables() {
		for _, c := range t.Columns {
			if strings.HasPrefix(c.Why, "partition of ") || strings.HasPrefix(c.Why, "child of ") {
				continue
			}
			column := RecordColumn{Table: mask.Name{Schema: t.Schema, Name: t.Name}.String(), Column: mask.QuoteIdent(c.Name), Why: c.Why, Because: c.Because}
			switch c.Masker {
			case "":
			case "keep":
				out.Kept = append(out.Kept, column)
			default:
				column.Masker = c.Masker
				out.Masked = append(out.Masked, column)
			}
		}
	}
	b, err := json.Marshal(out)
	if err != nil {
		return "", fmt.Errorf("write the record: %w", err)
	}
	return string(b), nil
}

// recordTables counts by the tables that hold the rows in the seed: what was loaded
// through the root of partitions, because the masked row may belong elsewhere, counts
// for the root.
func recordTables(tables []TableReport) []RecordTable {
	var out []RecordTable
	at := map[mask.Name]int{}
	for _, t := range tables {
		i, there := at[t.into]
		if !there {
			i = len(out)
			at[t.into] = i
			out = append(out, RecordTable{Table: t.into.String(), Empty: true})
		}
		out[i].Rows += t.Rows - t.Dropped
		out[i].LeftOut += t.Dropped
		out[i].Empty = out[i].Empty && t.Empty
	}
	return out
}

// ReadRecord reads the record of the import that a seed holds. The error has exit code
// 2 where there is none.
func ReadRecord(ctx context.Context, target *pgx.ConnConfig, database string) (*Record, string, error) {
	config := target.Copy()
	config.Database = database
	conn, err := postgres.Connect(ctx, config)
	if postgres.Is(err, postgres.InvalidCatalogName) {
		return nil, "", command.Misconfiguredf("the seed has no database %s: nothing was imported yet, or --database names another one", database)
	}
	if err != nil {
		return nil, "", fmt.Errorf("connect to database %s: %w", database, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	m, err := postgres.ReadMarker(ctx, conn)
	switch {
	case err != nil:
		return nil, "", command.Misconfiguredf("read the record in database %s: %w", database, err)
	case m.Record == "":
		return nil, "", command.Misconfiguredf("database %s has no record: an older seed-import filled it; import again", database)
	}
	r, err := parseRecord(m.Record)
	if err != nil {
		return nil, "", command.Misconfiguredf("the record in database %s cannot be read: %w", database, err)
	}
	return r, m.Record, nil
}

func parseRecord(text string) (*Record, error) {
	var r Record
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return nil, err
	}
	return &r, nil
}

// mostListed is how many lines of a list stand on the page; the JSON has all.
const mostListed = 40

// Print writes the record as a page.
func (r *Record) Print(w io.Writer) error {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	line := func(what, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", what, fmt.Sprintf(format, args...)) }
	stamp := func(at time.Time) string {
		if at.IsZero() {
			return "not told"
		}
		return at.UTC().Format(time.RFC3339)
	}
	line("import", "%s, %s", r.ImportID, stamp(r.Written))
	line("source", "%s", r.Dump)
	line("dumped", "%s, Postgres %s", stamp(r.DumpCreated), r.DumpServer)
	if r.DumpSHA256 != "" {
		line("sha256", "%s, checked", r.DumpSHA256)
	}
	line("policy", "%s", r.PolicyDigest)
	line("key, maskers", "%s, version %s", r.KeyID, r.MaskerVersion)
	line("seed", "Postgres %s, volume %s", r.Server, r.VolumeID)
	line("rows", "%d in %d tables", r.Rows, len(r.Tables))
	line("columns", "%d masked, %d kept", len(r.Masked), len(r.Kept))
	line("verified", "%s", r.Verify.sentence())
	if err := t.Flush(); err != nil {
		return err
	}
	list := func(title string, lines []string) {
		for i, l := range lines {
			if i == 0 {
				fmt.Fprintf(&b, "\n%s (%d)\n", title, len(lines))
			}
			if i == mostListed {
				fmt.Fprintf(&b, "  and %d more, in --format json\n", len(lines)-i)
				break
			}
			fmt.Fprintf(&b, "  %s\n", l)
		}
	}
	var found []string
	for _, l := range r.Verify.Found {
		found = append(found, fmt.Sprintf("%s: %s in %d rows", l.qualified(), l.Kind, l.Rows))
	}
	list("Found in what is kept", found)
	list("Testers' logins", loginSentences(r.Logins))
	list("Kept as it is", described(r.Kept))
	list("Kept inside of masked values, or beside them", r.Within)
	if r.SmallGroups == nil {
		b.WriteString("\nSmall groups were not looked for: the import took no sample\n")
	}
	list("Small groups, whose frequency may tell them", r.SmallGroups)
	list("Masked", byMasker(r.Masked))
	var accepted []string
	for _, a := range r.Accepted {
		accepted = append(accepted, a.Object+" "+a.SHA256)
	}
	list("Accepted by the policy", accepted)
	list("Left out", r.LeftOut)
	list("Restored differently", r.Changed)
	_, err := io.WriteString(w, b.String())
	return err
}

// described lists tables with the columns that are kept, by why they are.
func described(columns []RecordColumn) []string {
	by := map[string][]string{}
	var heads []string
	for _, c := range columns {
		why := c.Why
		if c.Because != "" {
			why = c.Because
		}
		head := c.Table + " (" + why + ")"
		if by[head] == nil {
			heads = append(heads, head)
		}
		by[head] = append(by[head], c.Column)
	}
	for i, head := range heads {
		heads[i] += ": " + strings.Join(by[head], ", ")
	}
	return heads
}

// byMasker lists maskers with their columns.
func byMasker(columns []RecordColumn) []string {
	by := map[string][]string{}
	var names []string
	for _, c := range columns {
		if by[c.Masker] == nil {
			names = append(names, c.Masker)
		}
		by[c.Masker] = append(by[c.Masker], c.Table+"."+c.Column)
	}
	slices.Sort(names)
	for i, n := range names {
		names[i] = n + ": " + strings.Join(by[n], ", ")
	}
	return names
}

// sentence says what a verification looked at and found.
func (v *VerifySummary) sentence() string {
	if v.Depth == VerifyOff {
		return "no: it was switched off"
	}
	var rows, compared int64
	parts, counted := 0, 0
	for _, t := range v.Tables {
		rows += t.Rows
		compared += t.Compared
		if t.Rows > 0 && t.Compared == 0 && !t.Partly {
			counted++
		}
		if t.Partly {
			parts++
		}
	}
	s := fmt.Sprintf("%s: %d rows of %d tables were masked again and found in the seed", v.Depth, compared, len(v.Tables))
	if parts > 0 {
		s += fmt.Sprintf(" (of %d of them the first rows)", parts)
	}
	if counted > 0 {
		s += fmt.Sprintf(" (%d of them lost rows with those that they reference: they were counted, and not compared)", counted)
	}
	s += fmt.Sprintf("; %d originals were looked for in what is kept", v.Originals)
	if v.Partial != "" {
		s += ", " + v.Partial
	}
	if len(v.Found) == 0 {
		s += "; none was found but those that the policy accepts"
	}
	return s
}
