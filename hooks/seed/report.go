package seed

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/seedling-dev/seedling/hooks/mask"
)

// Outcomes of an import that did not fail.
const (
	Imported  = "imported"
	Unchanged = "unchanged"
)

// Report is what an import says of itself. It holds names and counts, never a
// value of a row.
type Report struct {
	Outcome       string    `json:"outcome"` // "" when it failed
	Error         string    `json:"error,omitempty"`
	ImportID      string    `json:"importId"`
	Database      string    `json:"database"`
	Dump          string    `json:"dump,omitempty"`
	DumpID        string    `json:"dumpId,omitempty"`
	DumpBytes     int64     `json:"dumpBytes,omitempty"`
	DumpServer    string    `json:"dumpServer,omitempty"`
	DumpCreated   time.Time `json:"dumpCreated,omitzero"`
	PolicyDigest  string    `json:"policyDigest"`
	KeyID         string    `json:"keyId"`
	MaskerVersion string    `json:"maskerVersion"`
	Server        string    `json:"server,omitempty"`
	VolumeID      string    `json:"volumeId,omitempty"`
	Started       time.Time `json:"started"`
	Finished      time.Time `json:"finished"`

	Rows             int64         `json:"rows"`
	Bytes            int64         `json:"bytes"` // of COPY text that was loaded
	LargeObjects     int64         `json:"largeObjects,omitempty"`
	LargeObjectBytes int64         `json:"largeObjectBytes,omitempty"`
	Tables           []TableReport `json:"tables,omitempty"`
	Phases           []Phase       `json:"phases,omitempty"`
	Kept             []string      `json:"kept,omitempty"`
	LeftOut          []string      `json:"leftOut,omitempty"`
	Changed          []string      `json:"restoredDifferently,omitempty"`
	Warnings         []string      `json:"warnings,omitempty"`
	// Logins are testers' accounts, which keep their address.
	Logins []LoginReport `json:"logins,omitempty"`
	// Verify is what an import verified before it became the seed.
	Verify *VerifySummary `json:"verify,omitempty"`
}

// TableReport counts what was done with one table.
type TableReport struct {
	Table    string `json:"table"`
	Rows     int64  `json:"rows"`    // read
	Dropped  int64  `json:"dropped"` // by the row filter
	BytesIn  int64  `json:"bytesIn"` // COPY text
	BytesOut int64  `json:"bytesOut"`
	Stored   int64  `json:"stored"` // in the dump, compressed
	Masked   int    `json:"maskedColumns"`
	Empty    bool   `json:"empty,omitempty"` // loaded without rows by policy

	into mask.Name // that its rows were loaded into
}

// Phase is how long a part of the import took.
type Phase struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

func (r *Report) phase(name string, start time.Time) {
	r.Phases = append(r.Phases, Phase{name, time.Since(start).Seconds()})
}

// Print writes the report as a table.
func (r *Report) Print(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	if len(r.Tables) > 0 {
		fmt.Fprintln(tw, "rows\tMB\tmasked columns\ttable\t")
		for _, t := range r.Tables {
			note := ""
			switch {
			case t.Empty:
				note = " (loaded empty)"
			case t.Dropped > 0:
				note = fmt.Sprintf(" (%d rows left out)", t.Dropped)
			}
			fmt.Fprintf(tw, "%d\t%.1f\t%d\t%s%s\t\n", t.Rows-t.Dropped, float64(t.BytesOut)/1e6, t.Masked, t.Table, note)
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if r.LargeObjects > 0 {
		fmt.Fprintf(w, "%d large objects, %.1f MB, kept as they were\n", r.LargeObjects, float64(r.LargeObjectBytes)/1e6)
	}
	for _, l := range r.Logins {
		fmt.Fprintf(w, "testers' logins: %s\n", l.sentence())
	}
	for _, p := range r.Phases {
		fmt.Fprintf(w, "%8.1f s  %s\n", p.Seconds, p.Name)
	}
	if r.Verify != nil {
		fmt.Fprintf(w, "verified: %s\n", r.Verify.sentence())
	}
	var err error
	switch r.Outcome {
	case Imported:
		s := r.Finished.Sub(r.Started).Seconds()
		_, err = fmt.Fprintf(w, "%8.1f s  in all: %d rows, %.1f MB, %.1f MB/s; import %s\n", s, r.Rows, float64(r.Bytes)/1e6, float64(r.Bytes)/1e6/max(s, 1e-3), r.ImportID)
	case Unchanged:
		_, err = fmt.Fprintf(w, "nothing to do: import %s holds this dump under this policy and key\n", r.ImportID)
	}
	return err
}
