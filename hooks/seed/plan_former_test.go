package seed

import (
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/postgres"
)

// A plan says what becomes of the snapshots that there are.
func TestFormerSnapshots(t *testing.T) {
	t.Parallel()
	policy, err := mask.ParsePolicy([]byte("version: 1\ntables: {public.users: {columns: {id: keep, email: email}}}"))
	if err != nil {
		t.Fatal(err)
	}
	packed := func(columns ...string) string {
		table := mask.RevealedTable{Schema: "public", Table: "users"}
		for _, c := range columns {
			table.Columns = append(table.Columns, mask.RevealedColumn{Column: c})
		}
		text, err := mask.Revealed{Version: mask.RevealedVersion, Tables: []mask.RevealedTable{table}}.Pack()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name, test := range map[string]struct {
		marker *postgres.Marker
		says   string
	}{
		"an empty seed":        {nil, ""},
		"the same policy":      {&postgres.Marker{KeyID: "aa", PolicyDigest: policy.Digest()}, "stay usable"},
		"permitted":            {&postgres.Marker{KeyID: "aa", PolicyDigest: "cd", Revealed: packed("id")}, "stay usable until a newer one is there: this policy permits"},
		"tightened":            {&postgres.Marker{KeyID: "aa", PolicyDigest: "cd", Revealed: packed("id", "email")}, "give no new preview once this request is synced: it keeps public.users.email"},
		"tightened much":       {&postgres.Marker{KeyID: "aa", PolicyDigest: "cd", Revealed: packed("a", "b", "c", "d", "e", "f", "g")}, "and 2 more"},
		"an older seed-import": {&postgres.Marker{KeyID: "aa", PolicyDigest: "cd"}, "give no new preview once this request is synced: an older seed-import"},
		"no record":            {&postgres.Marker{KeyID: "aa", PolicyDigest: "cd", Revealed: "x"}, "give no new preview once this request is synced: read what"},
		"another key":          {&postgres.Marker{KeyID: "bb", PolicyDigest: policy.Digest()}, "--previous-key-id bb"},
	} {
		got := former(test.marker, policy, "aa")
		if !strings.Contains(got, test.says) || test.says == "" && got != "" {
			t.Errorf("%s: %q does not say %q", name, got, test.says)
		}
	}
}
