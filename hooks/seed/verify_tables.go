package seed

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/postgres"
)

// group is a table of the seed with the entries of the dump that fill it.
type group struct {
	name    mask.Name
	table   *mask.Table
	plan    *mask.TablePlan
	entries []*tableLoad
	columns []string        // of the digest, sorted
	forms   []canonicalForm // of each of them
	scan    []bool          // kept text, which may hold originals
	partial []int           // columns of which the policy masks parts
	logins  *loginGroup     // testers' accounts among the rows, nil for none
	dropped bool            // rows may be gone with those that they referenced
	mu      sync.Mutex
	dump    digest
	seed    digest

	// Of a sampled verification: rows of the dump that the seed must have, by hash, and
	// how many they are; what was not read to its end.
	sample  map[uint64]int
	wanted  int64
	most    int64
	read    int // entries
	cut     bool
	seedCut bool
}

// masker is that of one of the digest's columns.
func (g *group) masker(column int) string {
	i := slices.IndexFunc(g.plan.Columns, func(p mask.ColumnPlan) bool { return p.Name == g.columns[column] })
	return g.plan.Columns[i].Masker
}

// compile reads the catalog from the seed itself and compiles the policy.
func (v *verification) compile(ctx context.Context, conn *pgx.Conn) error {
	withData := map[mask.Name]bool{}
	for _, e := range v.schema.data {
		withData[e.table] = true
	}
	catalog, err := readCatalog(ctx, conn, withData, v.schema.foreign)
	if err != nil {
		return err
	}
	v.schema.leaveMembers(nil, catalog)
	catalog.Tables = slices.DeleteFunc(catalog.Tables, func(t mask.Table) bool { return t.Schema == postgres.Schema })
	catalog.LargeObjects = len(v.schema.largeObjects) > 0
	catalog.Seed = true
	catalog.Logins = v.Logins
	catalog.Taken = v.archive.Created
	if v.plan, err = mask.Compile(v.Policy, v.Key, catalog); err != nil {
		return command.Misconfigured(err)
	}
	byName := map[mask.Name]*group{}
	for _, e := range v.schema.data {
		l, err := newLoad(e, v.plan, silent{})
		if err != nil {
			return command.Misconfigured(err)
		}
		if !l.plan.Rows || !e.HasData || l.bare {
			continue
		}
		into := l.plan.LoadInto
		g := byName[into]
		if g == nil {
			i := slices.IndexFunc(catalog.Tables, func(t mask.Table) bool { return t.Schema == into.Schema && t.Name == into.Name })
			if i < 0 {
				return fmt.Errorf("table %s is not in the seed", into)
			}
			g = &group{name: into, table: &catalog.Tables[i], plan: l.plan}
			byName[into] = g
			v.groups = append(v.groups, g)
		}
		g.entries = append(g.entries, l)
	}
	for _, g := range v.groups {
		for _, c := range g.table.Columns {
			// Only the database can compute what is rebuilt.
			rebuilt := slices.ContainsFunc(g.plan.Columns, func(p mask.ColumnPlan) bool { return p.Name == c.Name && p.Masker == "rebuild" })
			if !c.Generated && !rebuilt {
				g.columns = append(g.columns, c.Name)
			}
		}
		slices.Sort(g.columns)
		for _, name := range g.columns {
			i := slices.IndexFunc(g.table.Columns, func(c mask.Column) bool { return c.Name == name })
			j := slices.IndexFunc(g.plan.Columns, func(c mask.ColumnPlan) bool { return c.Name == name })
			c, p := g.table.Columns[i], g.plan.Columns[j]
			kept := p.Masker == "keep"
			g.forms = append(g.forms, canonicalFormOf(c, kept))
			g.scan = append(g.scan, textual(c) && (kept || partialMaskers[p.Masker]))
			if textual(c) && partialMaskers[p.Masker] {
				g.partial = append(g.partial, len(g.scan)-1)
			}
		}
		g.logins = newLoginGroup(g.plan.Login(), g.columns)
	}
	v.markOrphans(catalog)
	return nil
}

// markOrphans marks what the policy's on_missing_parent may change after the load.
func (v *verification) markOrphans(c mask.Catalog) {
	parents := map[mask.Name]mask.Name{}
	for _, t := range c.Tables {
		if len(t.Parents) > 0 {
			parents[mask.Name{Schema: t.Schema, Name: t.Name}] = t.Parents[0]
		}
	}
	root := func(n mask.Name) mask.Name {
		for p, ok := parents[n]; ok; p, ok = parents[n] {
			n = p
		}
		return n
	}
	for _, o := range v.plan.Orphans() {
		for _, g := range v.groups {
			if root(g.name) != root(o.Table) {
				continue
			}
			g.dropped = g.dropped || len(o.SetNull) == 0
			for i, name := range g.columns {
				if slices.Contains(o.SetNull, name) {
					g.forms[i] = canonicalForm{write: asIs, loose: true}
				}
			}
		}
	}
}

// partialMaskers are the maskers that may let parts of a value through.
var partialMaskers = map[string]bool{"json": true, "hstore": true, "array": true, "composite": true, "xml": true, "regex": true}

// positions are the indexes of some columns in a row's fields.
func positions(want, have []string) ([]int, error) {
	var out []int
	for _, name := range want {
		i := slices.Index(have, name)
		if i < 0 {
			return nil, command.Misconfiguredf("the dump's rows lack column %s", mask.QuoteIdent(name))
		}
		out = append(out, i)
	}
	return out, nil
}
