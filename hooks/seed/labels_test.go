package seed_test

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seedling-dev/seedling/hooks/dump"
	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/seed"
)

// TestSecurityLabels imports dumps that carry security labels on everything
// that can have one (testdata/labels/make), keeping all that a policy can keep:
// the objects come, their labels do not, and plan and report say so.
func TestSecurityLabels(t *testing.T) { //nolint:tparallel // its subtests share a server
	t.Parallel()
	s := pgtest.Start(t)
	const planted = "PLANTEDLABEL"
	want := []string{
		"DATABASE shop", "DOMAIN mail", "FUNCTION initial(text)", "LARGE OBJECT 4711", "PROCEDURE nothing()", "PUBLICATION published",
		"SCHEMA crm", "SEQUENCE counter", "TABLE users", "VIEW emails",
	}
	for _, test := range []struct{ file, policy, objects string }{
		// It comes first, as in TestVersions.
		{"plain.sql", strings.Replace(everythingKept, "large_objects: keep", "large_objects: none", 1), "0"},
		{"custom.dump", everythingKept, "1"},
	} {
		t.Run(test.file, func(t *testing.T) {
			file := filepath.Join("testdata/labels", test.file)
			d, err := dump.Open(t.Context(), file, dump.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			var labelled []string
			for _, e := range d.Entries {
				if strings.Contains(e.Create, planted) {
					labelled = append(labelled, e.Tag)
				}
			}
			slices.Sort(labelled)
			if diff := cmp.Diff(want, labelled); diff != "" {
				t.Fatal(diff)
			}

			o := options(t, s, file, test.policy+"roles: {postgres: postgres}\n")
			plan, err := seed.Plan(t.Context(), o, false)
			if err != nil {
				t.Fatal(err)
			}
			report := mustImport(t, o, seed.Imported)
			for who, left := range map[string][]string{"plan": plan.LeftOut, "report": report.LeftOut} {
				if sentence := "10 security label: security labels belong to the dumped system"; !slices.Contains(left, sentence) {
					t.Errorf("the %s does not say %q: %q", who, sentence, left)
				}
			}
			for query, want := range map[string]string{
				"SELECT count(*) FROM pg_seclabels":  "0",
				"SELECT count(*) FROM pg_seclabel":   "0",
				"SELECT count(*) FROM pg_shseclabel": "0",
				"SELECT count(*) FROM users":         "2",
				"SELECT count(*) FROM emails":        "2",
				"SELECT initial('works')":            "w",
				"SELECT to_regproc('nothing')":       "nothing",
				"SELECT to_regclass('counter')":      "counter",
				"SELECT to_regnamespace('crm')":      "crm",
				"SELECT count(*) FROM pg_attribute WHERE attname = 'email' AND atttypid = to_regtype('mail')": "2",
				"SELECT count(*) FROM pg_publication_tables WHERE pubname = 'published'":                      "1",
				"SELECT count(*) FROM pg_largeobject_metadata":                                                test.objects,
			} {
				if got := s.Strings(t, "app", query); len(got) != 1 || got[0] != want {
					t.Errorf("%s: %v, want %s", query, got, want)
				}
			}
			s.Exec(t, "postgres", "CHECKPOINT")
			if out, err := s.Shell(t, "grep -rl --binary-files=text "+planted+" /var/lib/postgresql"); err == nil {
				t.Errorf("%s stands in %s", planted, out)
			}
			told, err := json.Marshal([]any{plan, report})
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(told)+s.Logs(t), planted) {
				t.Errorf("%s stands in the plan, the report or the server's log", planted)
			}
		})
	}
}
