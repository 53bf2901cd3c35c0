package seed

import (
	"testing"

	"github.com/seedling-dev/seedling/hooks/recognize"
)

// An original is found in whatever digits, forms and scripts it is written.
func TestOriginalsInAnyForm(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		original string
		of       place
		kept     string
		found    bool
	}{
		{"+966501234567", place{}, "هاتف ٠٥٠ ١٢٣ ٤٥٦٧", true},
		{"۰۹۱۲-۳۴۵-۶۷۸۹", place{}, "call 09123456789", true},
		{"०१२३४५६७८९", place{}, "0123456789", true},
		{"０９０ー１２３４ー５６７８", place{}, "TEL 090-1234-5678", true},
		{"٤١١١ ١١١١ ١١١١ ١١١٢", place{}, "4111111111111112", true},
		{"SE45 5000 0000 0583 9825 7466", place{}, "SE4550000000058398257466", true},
		{"١٩٨٥/٠٣/٠٧", place{}, "1985-03-07", true},
		{"ｔａｒｏ＠ｓｈｏｐ．ｔｅｓｔ", place{}, "taro@shop.test", true},
		{"+49\u00a0170\u20111234567", place{}, "0170 1234567", true},
		{"小早川　さくら", place{}, "担当は小早川 さくら", false}, // は is of the word
		{"小早川　さくら", place{}, "担当: 小早川 さくら", true},
		{"山田太郎", place{people: true}, "担当、山田太郎。", true},
		{"山田太郎", place{}, "担当、山田太郎。", false},
		{"राजेश कुमार", place{}, "श्री राजेश कुमार", true},
		{"100000000000", place{}, "24.7000000000000000", false},
		{"100000000000", place{}, "no. 100000000000", true},
		{"+966501234567", place{}, "050 123 4568", false},
	} {
		o := newOriginals()
		o.add([]byte(c.original), c.of, nil)
		o.finish()
		found := false
		o.candidates([]byte(c.kept), func(_ recognize.Kind, h uint64) { found = found || o.has(h) })
		if found != c.found {
			t.Errorf("%s in %q is found: %v", c.original, c.kept, found)
		}
	}
}
