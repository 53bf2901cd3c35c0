package seed_test

import (
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/seed"
)

// A draft covers every column, so that an import under it plans; it finds the
// personal columns, and holds no value of the dump.
func TestDraft(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	file := src.Dump(t, src.Database(t, shop), "-Fc")
	s := pgtest.Start(t)
	o := options(t, s, file, everythingKept)
	text, err := seed.Draft(t.Context(), o, true, true)
	if err != nil {
		t.Fatal(err)
	}
	draft := string(text)
	if strings.Contains(strings.ToLower(draft), "planted") {
		t.Errorf("a value of the dump is in the draft:\n%s", draft)
	}
	for _, want := range []string{"phone: phone", "email"} {
		if !strings.Contains(draft, want) {
			t.Errorf("the draft lacks %q:\n%s", want, draft)
		}
	}
	if o.Policy, err = mask.ParsePolicy([]byte(strings.ReplaceAll(draft, "\n# ", "\n"))); err != nil {
		// The signs before what a person must decide are off; comments stay.
		if o.Policy, err = mask.ParsePolicy(text); err != nil {
			t.Fatalf("%v\n%s", err, draft)
		}
	}
	if _, err := seed.Plan(t.Context(), o, true); err != nil {
		t.Errorf("plan under the draft: %v\n%s", err, draft)
	}

	nothingLeft(t, s)

	// A plan that looks at rows warns of masks that frequency gives away. The
	// volume is another one: the draft keeps what this policy masks.
	s = pgtest.Start(t)
	o = options(t, s, file, shopPolicy)
	o.DumpSHA256 = strings.Repeat("0", 64)
	report, err := seed.Plan(t.Context(), o, true)
	if err != nil {
		t.Fatal(err)
	}
	if unchecked := strings.Join(report.Unchecked, "\n"); !strings.Contains(unchecked, "the declared sha256") {
		t.Errorf("not checked: %q", unchecked)
	}
	got := strings.Join(report.Warnings, "\n")
	for want, is := range map[string]bool{
		"public.carts.note: the sample's 100 rows hold 1 value, fewer than min_distinct (20)":                                            true,
		"public.users.prefs at members that no path names: the sample's 200 values hold 3 distinct values, fewer than min_distinct (20)": true,
		"public.users.email:": false, "$.contact.email:": false, "tier": false,
		// Joins of what documents hold find nothing: the plan says what would join them.
		"public.users.prefs $.contact.email (email) hold the same values in the sample": true, "`{mask: email, link: users_email}` for the places inside of values": true,
	} {
		if strings.Contains(got, want) != is {
			t.Errorf("warnings with %q is not %v:\n%s", want, is, got)
		}
	}
	nothingLeft(t, s)
}
