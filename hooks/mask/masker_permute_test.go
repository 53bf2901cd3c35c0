package mask

import (
	"fmt"
	"strings"
	"testing"
)

// All values of a shape have all values of the shape as their masks, so that
// none comes twice.
func TestPermuteIsAPermutation(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		column string
		shape  string
		count  int
	}{
		"a digit": {"text", "%01d", 10}, "digits": {"char(4)!", "%04d", 10000}, "signs": {"varchar(6)", "%02d-%%", 100},
		"hex letters": {"text", "x%03d", 1000}, "bytes": {"bytea", `\x%04x`, 1 << 16}, "folded": {"citext", "A%03d", 1000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plan, err := tryCompile(t, "tables: {public.t: {columns: {v: permute}}}", tableOf("t", "v "+c.column))
			if err != nil {
				t.Fatal(err)
			}
			tf := plan.Table("public", "t").Columns[0].tf
			ws := newWorkspace()
			seen, same := map[string]bool{}, 0
			for i := range c.count {
				v := fmt.Sprintf(c.shape, i)
				m, err := tf.mask(ws, nil, []byte(v))
				if err != nil {
					t.Fatal(err)
				}
				again, _ := tf.mask(ws, nil, []byte(v))
				if string(again) != string(m) || len(m) != len(v) || seen[strings.ToLower(string(m))] {
					t.Fatalf("%q has the mask %q, then %q", v, m, again)
				}
				seen[strings.ToLower(string(m))] = true
				if string(m) == v {
					same++
				}
			}
			if same > max(3, c.count/50) {
				t.Errorf("%d of %d values are their own masks", same, c.count)
			}
		})
	}
}

// Values that are equal where case is folded have masks that are; other values
// have others.
func TestPermuteKeepsCase(t *testing.T) {
	t.Parallel()
	plan, err := tryCompile(t, "tables: {public.t: {columns: {v: permute}}}", tableOf("t", "v text"))
	if err != nil {
		t.Fatal(err)
	}
	tf, ws := plan.Table("public", "t").Columns[0].tf, newWorkspace()
	masks := map[string]string{}
	for _, v := range []string{"Abc-9", "aBC-9", "abd-9", "Xyz-0", strings.Repeat("Ab1", 40), strings.Repeat("aB1", 40), strings.Repeat("ab2", 40)} {
		m, err := tf.mask(ws, nil, []byte(v))
		if err != nil {
			t.Fatal(err)
		}
		for i := range m {
			if isLetterMask[v[i]] != isLetterMask[m[i]] || v[i]&0x20 != m[i]&0x20 && isLetterMask[v[i]] != 0 {
				t.Errorf("%q has the mask %q, of another shape", v, m)
				break
			}
		}
		folded := strings.ToLower(string(m))
		if before, ok := masks[folded]; ok != (before == strings.ToLower(v)) {
			t.Errorf("%q and %q have the mask %q", before, v, m)
		}
		masks[folded] = strings.ToLower(v)
	}
	for _, v := range []string{"Ελένη", "日本", strings.Repeat("x", maxPermute+1)} {
		if m, err := tf.mask(ws, nil, []byte(v)); err == nil {
			t.Errorf("%.10q has the mask %.10q, want an error", v, m)
		}
	}
}
