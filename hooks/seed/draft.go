package seed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/copytext"
	"github.com/seedling-dev/seedling/hooks/dump"
	"github.com/seedling-dev/seedling/hooks/mask"
)

// draftKey makes the draft's proposals compile; nothing is masked with it.
var draftKey = []byte("a key that only says whether rules can be built")

// Draft writes a first policy for a dump: a rule for every column, from names,
// types and, with sample, the first rows of each table. The rows are looked at
// here and never leave this program; the schema is built in a shadow database that
// is dropped again. Literals of the schema that look personal stop it before they
// reach the server, unless literals allows them.
func Draft(ctx context.Context, o Options, sample, literals bool) ([]byte, error) {
	policy, err := mask.ParsePolicy([]byte("version: 1\n"))
	if err != nil {
		return nil, err
	}
	key, err := mask.NewKey(draftKey)
	if err != nil {
		return nil, err
	}
	o.Policy, o.Key = policy, key
	text, err := start(o).draftDump(ctx, sample, literals)
	if err != nil {
		return nil, interrupted(ctx, sourceError(err))
	}
	return text, nil
}

func (r *started) draftDump(ctx context.Context, sample, literals bool) (text []byte, err error) {
	opened, err := r.open(ctx)
	if err != nil {
		return nil, err
	}
	defer opened.close(ctx)
	archive, err := dump.Open(ctx, r.Dump, r.DumpOptions)
	if err != nil {
		return nil, err
	}
	defer archive.Close()
	schema, said, err := opened.draftSchema(archive, literals)
	if err != nil {
		return nil, fmt.Errorf("check dump %s: %w", archive.Name, err)
	}
	r.Progress.Start("draft", 0)
	defer r.Progress.End()
	checked := &checked{opened, archive, schema}
	err = checked.withShadow(ctx, func(s *shadow) error {
		var samples map[mask.ColumnName]*mask.Sample
		if sample && !archive.Sequential() {
			if samples, err = checked.samples(ctx, s.catalog); err != nil {
				return fmt.Errorf("look at a sample: %w", err)
			}
		}
		const head = "version: 1\n"
		text = []byte(strings.Replace(string(mask.Draft(s.catalog, samples)), head, head+said, 1))
		return nil
	})
	return text, err
}

// draftSchema reads the schema with every role of the dump standing for the
// owner. It returns too what the policy must say of roles and literals.
func (r *opened) draftSchema(archive *dump.Dump, literals bool) (_ *schema, said string, err error) {
	if err := r.checkMajor(archive); err != nil {
		return nil, "", err
	}
	s, err := readSchema(archive, r.Policy, r.Owner)
	if unmapped, ok := errors.AsType[*UnmappedError](err); ok {
		said = strings.TrimSuffix(strings.ReplaceAll(unmapped.Fragment(), "\n", "   # decide: which role of the seed stands for it\n"), "\n") + "\n"
		said = strings.Replace(said, "roles:   # decide: which role of the seed stands for it\n", "roles:\n", 1)
		r.Policy.Roles = map[string]string{}
		for _, role := range unmapped.Roles {
			r.Policy.Roles[role] = r.Owner
		}
		s, err = readSchema(archive, r.Policy, r.Owner)
	}
	if err != nil {
		return nil, "", err
	}
	_, err = checkLiterals(archive, r.Policy)
	found, personal := errors.AsType[*LiteralsError](err)
	switch {
	case personal && literals:
		// Commented out: only a person accepts.
		said += "# decide: look at each in production, then take the signs off\n# " + strings.ReplaceAll(strings.TrimSuffix(found.Fragment(), "\n"), "\n", "\n# ") + "\n"
	case personal:
		return nil, "", command.Misconfiguredf("%w. To draft a policy all the same, against a Postgres that is thrown away afterwards, add --accept-literals", found)
	case err != nil:
		return nil, "", err
	}
	return s, said, nil
}

// samples looks at the first rows of every table. Those of a partition count for its
// root too, because it follows the root's rules.
func (r *checked) samples(ctx context.Context, c mask.Catalog) (map[mask.ColumnName]*mask.Sample, error) {
	byName := map[mask.Name]mask.Table{}
	for _, t := range c.Tables {
		byName[mask.Name{Schema: t.Schema, Name: t.Name}] = t
	}
	samples := map[mask.ColumnName]*mask.Sample{}
	sampleOf := func(name mask.Name, column string) *mask.Sample {
		key := mask.ColumnName{Schema: name.Schema, Table: name.Name, Column: column}
		if samples[key] == nil {
			for _, c := range byName[name].Columns {
				if c.Name == column {
					samples[key] = mask.NewSample(c)
				}
			}
		}
		return samples[key]
	}
	for _, e := range r.schema.data {
		name, columns := e.table, e.columns
		if _, ok := byName[name]; !ok || !e.HasData || len(columns) == 0 {
			continue
		}
		names := []mask.Name{name}
		for at := byName[name]; len(at.Parents) == 1; at = byName[at.Parents[0]] {
			names = append(names, at.Parents[0])
		}
		var into [][]*mask.Sample // by column
		for _, column := range columns {
			var all []*mask.Sample
			for _, n := range names {
				if s := sampleOf(n, column); s != nil {
					all = append(all, s)
				}
			}
			into = append(into, all)
		}
		if err := r.lookAt(ctx, e.Entry, into); err != nil {
			return nil, err
		}
	}
	return samples, nil
}

// lookAt adds the first rows of a table to the samples of its columns.
func (r *checked) lookAt(ctx context.Context, e *dump.Entry, into [][]*mask.Sample) error {
	data, err := r.archive.Data(ctx, e)
	if err != nil {
		return err
	}
	defer data.Close()
	rest, err := io.ReadAll(io.LimitReader(data, sampleBytes))
	if err != nil {
		return err
	}
	var fields [][]byte
	for range sampleRows {
		line, after, ok := copytext.CutLine(rest)
		if !ok || copytext.IsEnd(line) {
			return nil
		}
		rest = after
		if fields, err = copytext.Split(fields[:0], line); err != nil || len(fields) != len(into) {
			return command.Misconfiguredf("table %s: a row of the dump cannot be read", e.Name())
		}
		for i, f := range fields {
			for _, s := range into[i] {
				s.Add(f)
			}
		}
	}
	return nil
}
