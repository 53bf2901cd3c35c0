package seed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/copytext"
	"github.com/seedling-dev/seedling/hooks/mask"
)

// checkExcluded names the foreign keys that a dump without some tables' rows
// (pg_dump --exclude-table-data) must break: it would take hours to find out.
func (r *planned) checkExcluded(ctx context.Context, c mask.Catalog) error {
	tables := map[mask.Name]mask.Table{}
	for _, t := range c.Tables {
		tables[mask.Name{Schema: t.Schema, Name: t.Name}] = t
	}
	entries := map[mask.Name][]tableData{} // of each table and its partitions
	for _, e := range r.schema.data {
		name := mask.Name{Schema: e.Schema, Name: e.Tag}
		if _, ok := tables[name]; !ok {
			// Headings of plain dumps write a space for a line end in a name.
			name = e.table
		}
		entries[name] = append(entries[name], e)
		for t := tables[name]; t.PartitionOf; t = tables[name] {
			name = t.Parents[0]
			entries[name] = append(entries[name], e)
		}
	}
	var errs []error
	if len(r.schema.data) == 0 {
		if i := slices.IndexFunc(c.Tables, func(t mask.Table) bool { return !t.Partitioned && r.plan.Table(t.Schema, t.Name).Rows }); i >= 0 {
			return command.Misconfiguredf("it holds no rows of any table (pg_dump --schema-only, or --section without data): dump with the rows, or give the tables `rows: none`")
		}
	}
	for _, t := range c.Tables {
		own := mask.Name{Schema: t.Schema, Name: t.Name}
		plan := r.plan.Table(t.Schema, t.Name)
		if t.PartitionOf || len(entries[own]) == 0 || !plan.Rows {
			continue
		}
		for _, fk := range t.ForeignKeys {
			ref := r.plan.Table(fk.References.Schema, fk.References.Name)
			if ref == nil || !ref.Rows || len(entries[fk.References]) > 0 {
				continue
			}
			optional, nulled := false, false
			for i, col := range t.Columns {
				if slices.Contains(fk.Columns, col.Name) {
					optional = optional || !col.NotNull
					nulled = nulled || plan.Columns[i].Masker == "null"
				}
			}
			if nulled {
				continue
			}
			some, err := r.references(ctx, entries[own], fk.Columns)
			switch {
			case err != nil:
				return err
			case some && !plan.Filtered:
				errs = append(errs, fmt.Errorf("%s: foreign key %s references %s, of which the dump holds no rows (pg_dump --exclude-table-data): give %s `rows: none`, mask the key's columns with null, or dump with the rows", own, fk.Name, fk.References, own))
			case some || optional || r.archive.Sequential():
				r.warn(fmt.Sprintf("%s: foreign key %s references %s, of which the dump holds no rows: any value in it makes the import fail; mask its columns with null to be safe", own, fk.Name, fk.References))
			}
		}
	}
	return command.Misconfigured(errors.Join(errs...))
}

// references reports whether one of an entry's first rows has a value in all of
// the columns. It does not look into a dump that can only be read in order.
func (r *checked) references(ctx context.Context, entries []tableData, columns []string) (bool, error) {
	if r.archive.Sequential() {
		return false, nil
	}
	for _, e := range entries {
		if !e.HasData {
			continue
		}
		at, err := positions(columns, e.columns)
		if err != nil {
			return false, err
		}
		data, err := r.archive.Data(ctx, e.Entry)
		if err != nil {
			return false, sourceError(err)
		}
		rest, err := io.ReadAll(io.LimitReader(data, sampleBytes))
		data.Close()
		if err != nil {
			return false, sourceError(err)
		}
		var fields [][]byte
		for {
			line, after, ok := copytext.CutLine(rest)
			if !ok || copytext.IsEnd(line) {
				break
			}
			rest = after
			if fields, err = copytext.Split(fields[:0], line); err != nil || len(fields) != len(e.columns) {
				return false, command.Misconfiguredf("table %s: a row of the dump cannot be read", e.Name())
			}
			if !slices.ContainsFunc(at, func(i int) bool { return copytext.IsNull(fields[i]) }) {
				return true, nil
			}
		}
	}
	return false, nil
}
