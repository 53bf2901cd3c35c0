package seed

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/dump"
)

// checked is an archive whose schema may be restored.
type checked struct {
	*opened
	archive *dump.Dump
	schema  *schema
}

// check opens the dump and turns its table of contents into statements.
func (r *opened) check(ctx context.Context) (*checked, error) {
	d, err := dump.Open(ctx, r.Dump, r.DumpOptions)
	if err != nil {
		return nil, sourceError(err)
	}
	r.report.Dump, r.report.DumpID, r.report.DumpServer, r.report.DumpBytes = d.Name, d.ID, d.Server, d.Size
	r.report.DumpCreated = d.Created
	r.Log.Info("open the dump", "dump", d.Name, "format", d.Format, "server", d.Server, "database", d.Database, "bytes", d.Size, "entries", len(d.Entries))
	s, err := r.checkSchema(d)
	if err != nil {
		d.Close()
		return nil, fmt.Errorf("check dump %s: %w", d.Name, err)
	}
	return &checked{r, d, s}, nil
}

// checkSchema refuses what the archive holds that is not known to be safe.
func (r *opened) checkSchema(d *dump.Dump) (*schema, error) {
	if err := r.checkMajor(d); err != nil {
		return nil, err
	}
	s, err := readSchema(d, r.Policy, r.Owner)
	if err != nil {
		return nil, err
	}
	r.report.LeftOut, r.report.Changed = s.leftOut(), slices.Concat(s.rewritten, s.lostSecurity(d, r.Policy, r.Owner))
	for _, w := range s.idleDrops(r.Policy) {
		r.warn(w)
	}
	if len(s.data) > 0 && !slices.ContainsFunc(d.Entries, func(e *dump.Entry) bool { return afterData[e.Kind] }) {
		r.warn("the dump holds not one index, key, constraint, trigger or row security policy: if production has any, it was made without them (pg_dump --section), and the seed shows what row security hides there")
	}
	warnings, err := checkLiterals(d, r.Policy, &r.Key)
	for _, w := range warnings {
		r.warn(w)
	}
	return s, err
}

// checkMajor refuses a dump of a newer Postgres than the target's, whose schema
// may use words that it does not know, and tells of one that is older.
func (r *opened) checkMajor(d *dump.Dump) error {
	switch have, want := major(d.Server), r.server.version/10000; {
	case have > want:
		return command.Misconfiguredf("the dump is of Postgres %d and the seed runs %d: build seed-postgres with Postgres %d for the seed and its previews (manifests/seed-postgres/README.md, Major versions), and give the seed a fresh volume", have, want, have)
	case have > 0 && have < want:
		r.warn(fmt.Sprintf("the dump is of Postgres %d and the seed runs %d, and so do its previews: what differs between the two is not seen there; manifests/seed-postgres/README.md, Major versions, says which seed shows production's", have, want))
	}
	return nil
}

func major(version string) int {
	n := 0
	for _, c := range version {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + int(c-'0')
	}
	return n
}

// digestCheck computes a declared sha256 beside the import.
type digestCheck struct {
	cancel context.CancelFunc
	done   chan error
}

// digest begins to compute a declared sha256.
func (r *checked) digest(ctx context.Context) *digestCheck {
	ctx, cancel := context.WithCancel(ctx)
	c := &digestCheck{cancel: cancel, done: make(chan error, 1)}
	if r.DumpSHA256 == "" {
		c.done <- nil
		return c
	}
	go func() { c.done <- r.archive.Check(ctx, r.DumpSHA256, nil) }()
	return c
}

func (c *digestCheck) wait(ctx context.Context, p Progress) error {
	p.Start("check the declared sha256", 0)
	defer p.End()
	select {
	case err := <-c.done:
		c.done <- err
		return sourceError(err)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *digestCheck) stop() {
	c.cancel()
	<-c.done //nolint:errcheck // its result no longer matters
}

// sourceError gives errors of the dump the exit code they ask for.
func sourceError(err error) error {
	var we *dump.WindowError
	switch {
	case command.ExitCode(err) == command.ExitMisconfigured:
		return err // it has its exit code
	case errors.As(err, &we):
		return command.Misconfiguredf("%w: give --memory %dMB or more, and the pod as much, or compress it with a smaller window", err, (restMemory+we.Need)>>20)
	case errors.Is(err, dump.ErrUnusable):
		return command.Misconfigured(err)
	}
	return err
}
