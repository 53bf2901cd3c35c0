package mask

import (
	"fmt"
	"regexp"
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

// Under a pattern, values that match it are permuted among themselves, whatever share of
// their shape they are, and so are those that do not.
func TestPermuteWithinAPattern(t *testing.T) {
	t.Parallel()
	for pattern, shape := range map[string]string{
		`^[12]\d{3}$`: "%04d", `^AB-\d{3}$`: "AB-%03d", `^0[1-9]|[1-4]\d$`: "%02d", `^[1-9]\d{2}[A-C]$`: "%03dB", `^\d*$`: "%03d",
	} {
		plan, err := tryCompile(t, "tables: {public.t: {columns: {v: {mask: permute, pattern: '"+pattern+"'}}}}", tableOf("t", "v varchar(9)"))
		if err != nil {
			t.Fatal(err)
		}
		tf, ws, re := plan.Table("public", "t").Columns[0].tf, newWorkspace(), regexp.MustCompile(pattern)
		seen, same, matches := map[string]bool{}, 0, 0
		count := len(fmt.Sprintf(shape, 0))
		for i := range int(shapeCount([]byte(strings.Repeat("0", strings.Count(fmt.Sprintf(shape, 0), "0"))), false)) {
			v := fmt.Sprintf(shape, i)
			m, err := tf.mask(ws, nil, []byte(v))
			if err != nil {
				t.Fatalf("%s: %v", pattern, err)
			}
			if re.MatchString(v) {
				matches++
			}
			if seen[string(m)] || re.Match(m) != re.MatchString(v) || len(m) != count {
				t.Fatalf("%s: %q has the mask %q", pattern, v, m)
			}
			if seen[string(m)] = true; string(m) == v {
				same++
			}
		}
		if same > max(3, len(seen)/50) || matches == 0 {
			t.Errorf("%s: %d of %d values are their own masks, %d match", pattern, same, len(seen), matches)
		}
	}
	if _, err := ParsePolicy([]byte("version: 1\ntables: {public.t: {columns: {v: {mask: permute, pattern: '('}}}}")); err == nil || !strings.Contains(err.Error(), "not a regular expression") {
		t.Error(err)
	}
	for column, sentence := range map[string]string{"v citext": "upper and lower case mean the same", "v bytea": "is for text"} {
		if _, err := tryCompile(t, "tables: {public.t: {columns: {v: {mask: permute, pattern: x}}}}", tableOf("t", column)); err == nil || !strings.Contains(err.Error(), sentence) {
			t.Errorf("%s: %v", column, err)
		}
	}
}

// How many texts a pattern has, and what all of them begin with.
func TestPatternCount(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]string{
		`^[12]\d{9}$`: "2e+09 ", `^SA\d{2}[0-9A-Z]{2}$`: "129600 SA", `^(M|F)$`: "2 ", `^[A-Z]{2,3}$`: "17576 ", `^\+9665\d{8}$`: "1e+08 +9665", `^x+$`: "+Inf ", `(?i)^ab\d$`: "10 ", `x\d`: "10 ", `(`: "0 ",
	} {
		if got := fmt.Sprintf("%.6g %s", patternCount(pattern), literalPrefix(pattern)); got != want {
			t.Errorf("%s: %q, want %q", pattern, got, want)
		}
	}
}
