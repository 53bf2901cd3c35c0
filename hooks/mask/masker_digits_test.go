package mask

import (
	"testing"
	"unicode/utf8"
)

// A value in digits of another script, or in full-width forms, has the mask of the same
// value in ASCII, in its own forms.
func TestDigitsOfAnyScript(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ rule, plain, other, forms string }{
		{"phone", "+966 50 123-4567", "+٩٦٦ ٥٠ ١٢٣-٤٥٦٧", "٠"},
		{"phone", "0912 345 6789", "۰۹۱۲ ۳۴۵ ۶۷۸۹", "۰"},
		{"phone", "+91 98765 43210", "+९१ ९८७६५ ४३२१०", "०"},
		{"phone", "090-1234-5678", "０９０－１２３４－５６７８", "０"},
		{"phone", "090-1234-5678", "０９０ー１２３４ー５６７８", "０"},
		{"phone", "+966501234567", "\u200e+٩٦٦٥٠١٢٣٤٥٦٧", "٠"},
		{"{mask: phone, unique: true}", "+966501234567", "+٩٦٦٥٠١٢٣٤٥٦٧", "٠"},
		{"card", "4111 1111 1111 1111", "٤١١١ ١١١١ ١١١١ ١١١١", "٠"},
		{"card", "4111111111111111", "４１１１１１１１１１１１１１１１", "０"},
		{"iban", "SA0380000000608010167519", "SA٠٣٨٠٠٠٠٠٠٠٦٠٨٠١٠١٦٧٥١٩", "٠"},
		{"iban", "DE89370400440532013000", "ＤＥ８９３７０４００４４０５３２０１３０００", "０"},
		{"permute", "AB-1234567", "ＡＢ－１２３４５６７", "０"},
		{"permute", "1085234567", "١٠٨٥٢٣٤٥٦٧", "٠"},
		{"year_only", "1985-03-07", "١٩٨٥-٠٣-٠٧", "٠"},
		{"number_noise", "12500", "१२५००", "०"},
	} {
		plan, err := tryCompile(t, "tables: {public.t: {columns: {v: "+c.rule+"}}}", tableOf("t", "v text"))
		if err != nil {
			t.Fatal(err)
		}
		tf, ws := plan.Table("public", "t").Columns[0].tf, newWorkspace()
		plain, err := tf.mask(ws, nil, []byte(c.plain))
		if err != nil {
			t.Fatal(err)
		}
		got, err := tf.mask(ws, nil, []byte(c.other))
		if err != nil {
			t.Errorf("%s: %s: %v", c.rule, c.other, err)
			continue
		}
		folded := []rune(string(plain))
		zero, _ := utf8.DecodeRuneInString(c.forms)
		var back []rune
		for _, r := range string(got) {
			switch {
			case r >= zero && r < zero+10:
				r = r - zero + '0'
			case r >= 0xff01 && r <= 0xff5e:
				r = r - 0xff01 + '!'
			case r == 'ー':
				r = '-'
			case r == '\u200e':
				continue
			case r >= '0' && r <= '9':
				t.Errorf("%s: %s has the mask %s", c.rule, c.other, got)
			}
			back = append(back, r)
		}
		if string(back) != string(folded) || string(plain) == c.plain {
			t.Errorf("%s: %s has the mask %s, and %s has %s", c.rule, c.other, got, c.plain, plain)
		}
	}
}

// Distinct values in several scripts' digits have distinct masks where that is promised.
func TestDigitsOfAnyScriptStayDistinct(t *testing.T) {
	t.Parallel()
	for _, rule := range []string{"permute", "{mask: phone, unique: true}"} {
		plan, err := tryCompile(t, "tables: {public.t: {columns: {v: "+rule+"}}}", tableOf("t", "v text"))
		if err != nil {
			t.Fatal(err)
		}
		tf, ws := plan.Table("public", "t").Columns[0].tf, newWorkspace()
		seen := map[string]string{}
		forms := []string{"0123456789", "٠١٢٣٤٥٦٧٨٩", "０１２３４５６７８９"}
		for i := range 100 {
			for a := range forms {
				for b := range forms {
					v := string([]rune{[]rune(forms[a])[i/10], []rune(forms[b])[i%10]})
					for _, v := range []string{v, "+" + v, "＋" + v, "\u200e" + v} {
						m, err := tf.mask(ws, nil, []byte(v))
						if err != nil {
							t.Fatal(err)
						}
						if other, twice := seen[string(m)]; twice {
							t.Fatalf("%s: %q and %q have the mask %q", rule, other, v, m)
						}
						seen[string(m)] = v
					}
				}
			}
		}
	}
}

// Rows in ASCII cost no memory, and neither do those in other digits.
func TestDigitsAllocateNothing(t *testing.T) { //nolint:paralleltest // counts allocations
	plan, err := tryCompile(t, "tables: {public.t: {columns: {v: phone}}}", tableOf("t", "v text"))
	if err != nil {
		t.Fatal(err)
	}
	w := plan.Table("public", "t").NewWorker()
	buf := make([]byte, 0, 4096)
	for _, line := range []string{"+49 170 1234567", "+٩٦٦ ٥٠ ١٢٣-٤٥٦٧"} {
		row := []byte(line)
		if n := testing.AllocsPerRun(1000, func() { buf, _ = w.Append(buf[:0], row) }); n > 0 {
			t.Errorf("%s: %v allocations per row", line, n)
		}
	}
}
