package seed

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/postgres"
	"github.com/seedling-dev/seedling/hooks/sqltext"
)

// leaveOut removes from what is to be restored the indexes and constraints that
// the policy drops, and what the dump says of them besides.
func (s *schema) leaveOut(dropped []mask.Index) {
	names := map[string]bool{}
	for _, i := range dropped {
		names["INDEX "+i.Table.Schema+"."+i.Name] = true
		names["CONSTRAINT "+i.Table.Schema+"."+i.Table.Name+" "+i.Name] = true
		names["INDEX ATTACH "+i.Table.Schema+"."+i.Name] = true
		names["COMMENT "+i.Table.Schema+".INDEX "+sqltext.Identifier(i.Name)] = true
		names["COMMENT "+i.Table.Schema+".INDEX "+i.Name] = true
		names["COMMENT "+i.Table.Schema+".CONSTRAINT "+i.Name+" ON "+i.Table.Name] = true
		names["COMMENT "+i.Table.Schema+".CONSTRAINT "+sqltext.Identifier(i.Name)+" ON "+sqltext.Identifier(i.Table.Name)] = true
	}
	gone := func(st step) bool { return names[st.entry.Kind+" "+st.entry.Schema+"."+st.entry.Tag] }
	for _, list := range []*[]step{&s.pre, &s.post, &s.grants} {
		*list = slices.DeleteFunc(*list, gone)
	}
}

// dropIndexes drops from the shadow database what the policy drops: those of
// partitioned tables first, which take their partitions' with them.
func (r *planned) dropIndexes(ctx context.Context, database string) error {
	dropped := r.plan.Dropped()
	if len(dropped) == 0 {
		return nil
	}
	conn, err := r.server.session(ctx, database)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	slices.SortStableFunc(dropped, func(a, b mask.Index) int {
		depth := func(i mask.Index) (n int) {
			for at := r.parents[i.Table]; len(at) > 0 && n < 64; at = r.parents[at[0]] {
				n++
			}
			return n
		}
		return depth(a) - depth(b)
	})
	for _, i := range dropped {
		for _, sql := range []string{
			"ALTER TABLE " + sqltext.Identifier(i.Table.Schema, i.Table.Name) + " DROP CONSTRAINT IF EXISTS " + sqltext.Identifier(i.Name),
			"DROP INDEX IF EXISTS " + sqltext.Identifier(i.Table.Schema, i.Name),
		} {
			if err := execSQL(ctx, conn, sql); err != nil {
				return schemaError(fmt.Errorf("drop %s of %s, as the policy says: %w", mask.QuoteIdent(i.Name), i.Table, err))
			}
		}
	}
	return nil
}

// triedError explains a collision in an index that the policy says to try. The policy
// is not wrong, and the rows of another dump may not collide.
func (r *planned) triedError(err error) error {
	pe, ok := errors.AsType[*postgres.Error](err)
	if !ok || r.plan == nil {
		return err
	}
	for _, i := range r.plan.Tried() {
		if i.Name == pe.Constraint && i.Table.Schema == pe.Schema {
			return fmt.Errorf("%w: masked rows collide in %s of %s, which the policy says to `try`: write `drop` in its place, or give its columns a masker that keeps values apart", pe, mask.QuoteIdent(i.Name), i.Table)
		}
	}
	return err
}
