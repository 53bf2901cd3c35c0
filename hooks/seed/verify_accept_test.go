package seed_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/seed"
)

// TestAcceptedLeaks: what verify finds and nobody is named by is accepted in the
// policy, thing by thing; the next thing in the same column is found all the same.
// Towns, countries and words of states are nobody's from the start.
func TestAcceptedLeaks(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	content := func(more string) string {
		return src.Dump(t, src.Database(t, `
		CREATE TABLE places (id int, state_name text, remark text, tags text[], doc jsonb);
		CREATE TABLE people (id int, answer text, note text, town text, hobby text);
		INSERT INTO people VALUES (1, 'New York', 'United Kingdom', 'Upper Nowhere', 'in progress'), (2, 'Blue Falcon', 'Kay Reed', 'Old Bridge', 'Grand Canyon Trip');
		INSERT INTO places VALUES (1, 'New York', 'We met in the United Kingdom; in progress.', '{"Upper Nowhere"}', '{"club": "Blue Falcon"}'),
			(2, 'Ohio', 'the Blue Falcon opens again', '{"x"}', '{"club": "none"}'), (3, 'Utah', 'blue falcon, Old Bridge`+more+`', NULL, NULL)`), "-Fc")
	}
	const policy = `
version: 1
tables:
  public.places: {columns: {id: keep, state_name: keep, remark: keep, tags: keep, doc: {mask: json, paths: {"$.club": keep}}}}
  public.people: {columns: {id: keep, answer: text, note: text, town: city, hobby: text}}
`
	s := pgtest.Start(t)
	file := content("")
	o := options(t, s, file, policy)
	mustImport(t, o, seed.Imported)
	report, err := seed.Verify(t.Context(), o)
	leak, ok := errors.AsType[*seed.LeakError](err)
	if !ok || command.ExitCode(err) != command.ExitMisconfigured || len(report.Leaks) != 2 || report.Leaks[0].Column != "doc" {
		t.Fatalf("error %v, leaks %+v", err, report.Leaks)
	}
	for _, advice := range []string{"mask what is kept as a whole", "give the places in public.places.doc", "accept it in the policy"} {
		if !strings.Contains(err.Error(), advice) {
			t.Errorf("the error lacks %q: %v", advice, err)
		}
	}
	l := report.Leaks[1]
	if l.Column != "remark" || l.Rows != 2 {
		t.Errorf("leak %+v", l)
	}
	if got := s.Strings(t, "app", l.First); len(got) != 1 || got[0] != "the Blue Falcon opens again" {
		t.Errorf("%s gives %q", l.First, got)
	}
	fragment := strings.Join(seed.Fragments(err), "")
	for _, text := range []string{fragment, err.Error()} {
		if strings.Contains(strings.ToLower(text), "falcon") {
			t.Errorf("it quotes what it found: %s", text)
		}
	}
	if leak.Fragment() != fragment || !strings.Contains(fragment, `#  - {object: "leak public.places.remark", sha256: `) {
		t.Fatalf("fragment %q", fragment)
	}
	if p, perr := mask.ParsePolicy([]byte(policy + fragment)); perr != nil || len(p.Accept) > 0 {
		t.Errorf("pasted as it stands it accepts something: %v", perr)
	}

	accepted := policy + strings.ReplaceAll(strings.Replace(fragment, "# ", "", 1), "#  -", "  -")
	o = options(t, s, file, accepted)
	if r := mustImport(t, o, seed.Imported); strings.Contains(strings.Join(r.Warnings, "\n"), "accepts") {
		t.Errorf("warnings %q", r.Warnings)
	}
	if _, err := seed.Verify(t.Context(), o); err != nil {
		t.Errorf("accepted, and refused all the same: %v", err)
	}
	// Under another key the fingerprints are of nothing.
	elsewhere := o
	if elsewhere.Key, err = mask.NewKey([]byte("another key of the tests, long enough")); err != nil {
		t.Fatal(err)
	}
	mustImport(t, elsewhere, seed.Imported)
	if _, err := seed.Verify(t.Context(), elsewhere); err == nil {
		t.Error("accepted under one key, and under another")
	}
	o = options(t, s, content(", says Kay Reed"), accepted)
	mustImport(t, o, seed.Imported)
	report, err = seed.Verify(t.Context(), o)
	if err == nil || len(report.Leaks) != 1 || report.Leaks[0].Rows != 1 {
		t.Errorf("something new: error %v, leaks %+v", err, report.Leaks)
	}
}
