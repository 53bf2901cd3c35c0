package seed_test

import (
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/seed"
)

// TestRaised: a function of the dump quotes a row in an error of a kind that is
// otherwise about objects.
func TestRaised(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	file := src.Dump(t, src.Database(t, `
		CREATE FUNCTION judge(kept text, note text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
			$$BEGIN IF note = 'good' THEN RETURN true; END IF; RAISE EXCEPTION 'no good: %', kept USING ERRCODE = 'object_not_in_prerequisite_state', TABLE = kept, COLUMN = kept, CONSTRAINT = kept; END$$;
		CREATE TABLE notes (kept text, note text, CHECK (public.judge(kept, note))); INSERT INTO notes VALUES ('PLANTED', 'good')`), "-Fc")
	s := pgtest.Start(t)
	report, err := seed.Import(t.Context(), options(t, s, file, "version: 1\ntables: {public.notes: {columns: {kept: keep, note: text}}}\n"))
	if err == nil || strings.Contains(err.Error(), "PLANTED") || !strings.Contains(err.Error(), "make CHECK constraint notes_check of public.notes") {
		t.Errorf("error %v, report %+v", err, report)
	}
	nothingLeft(t, s)
}
