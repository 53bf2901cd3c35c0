package seed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/copytext"
	"github.com/seedling-dev/seedling/hooks/dump"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/postgres"
)

// draftKey makes the draft's proposals compile; nothing is masked with it.
var draftKey = []byte("a key that only says whether rules can be built")

// Draft writes a first policy for a dump: a rule for every column, from names,
// types and, with sample, the first rows of each table. The rows are looked at
// here. Masked as the draft says they are parameters of queries, which ask what the
// schema's CHECK constraints say of them: the server stores none. The schema is built
// in a shadow database that is dropped again. Literals of the schema that look personal stop it before they
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
	schema, said, err := opened.draftSchema(ctx, archive, literals)
	if err != nil {
		return nil, fmt.Errorf("check dump %s: %w", archive.Name, err)
	}
	r.Progress.Start("draft", 0)
	defer r.Progress.End()
	checked := &checked{opened, archive, schema}
	err = checked.withShadow(ctx, func(s *shadow) error {
		checked.storedSizes(s.catalog)
		var samples map[mask.ColumnName]*mask.Sample
		if sample && !archive.Sequential() {
			if samples, err = checked.samples(ctx, s.catalog); err != nil {
				return fmt.Errorf("look at a sample: %w", err)
			}
		}
		text, err = checked.mended(ctx, s, samples, said)
		return err
	})
	if err != nil && len(schema.dropped) > 0 && postgres.Is(err, undefined...) {
		return nil, fmt.Errorf("%w. They cannot be left out: %w", missingError(schema.dropped), err)
	}
	return text, err
}

// mostRedrafts bounds how often a draft is mended: a column has fewer rules to try.
const mostRedrafts = 12

// mended drafts a policy, tries its rules on the sample, and drafts again without
// those that break a CHECK constraint, and without the indexes whose
// expressions cannot be computed of masks.
func (r *checked) mended(ctx context.Context, s *shadow, samples map[mask.ColumnName]*mask.Sample, said string) ([]byte, error) {
	const head = "version: 1\n"
	text := func(refused mask.Refused) []byte {
		return []byte(strings.Replace(string(mask.Redraft(s.catalog, samples, refused, r.Suggested)), head, head+said, 1))
	}
	refused := mask.Refused{Rules: map[mask.ColumnName][]string{}, Indexes: map[mask.Index]bool{}}
	if samples == nil {
		return text(refused), nil
	}
	conn, err := r.server.session(ctx, s.name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for range mostRedrafts {
		policy, err := mask.ParsePolicy(text(refused))
		if err != nil {
			return nil, fmt.Errorf("read the draft: %w", err)
		}
		plan, err := mask.Compile(policy, r.Key, s.catalog)
		if err != nil {
			break // plan says what a person has to decide
		}
		checks, err := newTrial(ctx, conn)
		if err != nil {
			return nil, err
		}
		uncomputed, err := r.tryDraft(ctx, conn, s.catalog, plan, checks)
		if err != nil {
			return nil, fmt.Errorf("try the draft: %w", err)
		}
		news := false
		for _, i := range uncomputed {
			news = news || !refused.Indexes[i]
			refused.Indexes[i] = true
		}
		for _, v := range checks.violations {
			for _, c := range v.columns {
				t := plan.Table(c.Schema, c.Table)
				i := slices.IndexFunc(t.Columns, func(p mask.ColumnPlan) bool { return p.Name == c.Column })
				if rule := t.Columns[i].Rule; !slices.Contains(refused.Rules[c], rule) {
					refused.Rules[c] = append(refused.Rules[c], rule)
					news = true
				}
			}
		}
		if !news {
			break
		}
	}
	return text(refused), nil
}

// tryDraft asks for the constraints and indexes of all tables that have some and
// rows. It returns the indexes that cannot be computed of masks.
func (r *checked) tryDraft(ctx context.Context, conn *pgx.Conn, c mask.Catalog, plan *mask.Plan, checks *trial) (uncomputed []mask.Index, err error) {
	indexes := map[mask.Name][]mask.Unique{}
	for _, t := range c.Tables {
		for _, u := range slices.Concat(t.Uniques, t.Computed) {
			if len(u.ExpressionColumns)+len(u.PredicateColumns) > 0 {
				name := mask.Name{Schema: t.Schema, Name: t.Name}
				indexes[name] = append(indexes[name], u)
			}
		}
	}
	for _, e := range r.schema.data {
		l, err := newLoad(e, plan, silent{})
		if err != nil {
			return nil, err
		}
		into := l.plan.LoadInto
		if !l.plan.Rows || !e.HasData || l.bare || len(checks.known[into])+len(indexes[into]) == 0 {
			continue
		}
		data, err := r.archive.Data(ctx, e.Entry)
		if err != nil {
			return nil, err
		}
		head, err := io.ReadAll(io.LimitReader(data, sampleBytes))
		data.Close()
		if err != nil {
			return nil, err
		}
		rows := firstRows(head)
		if _, err := checks.try(ctx, conn, l, rows); err != nil {
			return nil, err
		}
		for _, u := range indexes[into] {
			broken, err := checks.uncomputed(ctx, conn, l, u, rows)
			if err != nil {
				return nil, err
			}
			if broken {
				uncomputed = append(uncomputed, mask.Index{Table: into, Name: u.Name})
			}
		}
	}
	return uncomputed, nil
}

// draftDrops has the policy do without the extensions that the server does not
// have. Whether anything needs them, the shadow database tells.
func (r *opened) draftDrops(ctx context.Context, archive *dump.Dump) (said string, err error) {
	var want []string
	for _, e := range archive.Entries {
		if e.Kind == "EXTENSION" {
			want = append(want, e.Tag)
		}
	}
	missing, err := missingExtensions(ctx, r.server.conn, want)
	if err != nil || len(missing) == 0 {
		return "", err
	}
	said = "extensions:\n"
	for _, name := range missing {
		r.Policy.Extensions[name] = true
		said += "  " + yamlText(name) + ": drop   # decide: this image does not have it; nothing but bodies of functions can need it\n"
	}
	return said, nil
}

// draftSchema reads the schema with every role of the dump standing for the owner,
// and without the extensions that the server lacks. It returns too what the policy
// must say of extensions, roles and literals.
func (r *opened) draftSchema(ctx context.Context, archive *dump.Dump, literals bool) (_ *schema, said string, err error) {
	if err := r.checkMajor(archive); err != nil {
		return nil, "", err
	}
	drops, err := r.draftDrops(ctx, archive)
	if err != nil {
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
	s.alone = len(s.data) == 0
	_, err = checkLiterals(archive, r.Policy, nil)
	found, personal := errors.AsType[*LiteralsError](err)
	switch {
	case personal && literals:
		// Only a person accepts.
		said += "# decide: the schema itself holds what looks personal or secret; look at each in production, and change it there\n" + found.Fragment()
	case personal:
		return nil, "", command.Misconfiguredf("%w. To draft a policy all the same, against a Postgres that is thrown away afterwards, add --accept-literals", found)
	case err != nil:
		return nil, "", err
	}
	return s, drops + said, nil
}

// storedSizes tells the draft how much of the dump each table takes.
func (r *checked) storedSizes(c mask.Catalog) {
	stored := map[mask.Name]int64{}
	for _, e := range r.schema.data {
		stored[e.table] += e.Bytes
	}
	for i := range c.Tables {
		t := &c.Tables[i]
		t.Stored = stored[mask.Name{Schema: t.Schema, Name: t.Name}]
	}
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

// lookAt adds the first rows of a table to the samples of its columns, and some more
// to what tells which columns are joined.
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
	for row := 0; ; row++ {
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
				if row < sampleRows {
					s.Add(f)
				} else {
					s.Meet(f)
				}
			}
		}
	}
}
