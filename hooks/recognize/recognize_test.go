package recognize

import (
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

func TestSuspicious(t *testing.T) {
	t.Parallel()
	for _, harmless := range []string{"", "new", "2024-01-01 00:00:00+00", "%@corp.com", "^[a-z]+@[a-z]+$", "10.0.0.1", "00000000-0000-0000-0000-000000000000", "public.users_id_seq", "00000000000000000000000000000000", "YYYY-MM-DD", "1.2.3"} {
		if r := Suspicious(harmless); r != "" {
			t.Errorf("%q looks like %s", harmless, r)
		}
	}
	for personal, want := range map[string]string{
		"4111 1111 1111 1111": "card", "DE89 3704 0044 0532 0130 00": "bank", "8.8.8.8": "IP", "078-05-1120": "social", "postgres://u:pw@h/d": "URL",
		"5f4dcc3b5aa765d61d8327deb882cf99": "hash", "(555) 123-4567": "telephone",
	} {
		if r := Suspicious(personal); !strings.Contains(r, want) {
			t.Errorf("%q looks like %q, want %q", personal, r, want)
		}
	}
}

func TestParts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"":                    nil,
		"write to a.b@c.de. ": {"0 a.b@c.de", "2 write to", "2 write to a", "2 to a", "2 to a b", "2 a b", "2 a b c", "2 b c", "2 b c de", "2 c de"},
		"(030) 123-45 67":     {"1 0301234567", "2 030 123", "2 030 123 45", "2 123 45", "2 123 45 67", "2 45 67"},
		"K7M2Q9XA":            {"3 K7M2Q9XA"},
		// Digests and UUIDs hold no numbers; what stands beside them, and account numbers, do.
		"5f4dcc3b5aa765d6142335878123ac99":             {"3 5f4dcc3b5aa765d6142335878123ac99"},
		"0301234567 5f4dcc3b5aa765d6142335878123ac99":  {"1 0301234567", "2 0301234567 5f4dcc3b5aa765d6142335878123ac99", "3 5f4dcc3b5aa765d6142335878123ac99"},
		"9a4dcc3b-1235-4423-8781-2345678123ac":         {"3 9a4dcc3b", "2 9a4dcc3b 1235", "2 9a4dcc3b 1235 4423", "2 1235 4423", "2 1235 4423 8781", "2 4423 8781", "2 4423 8781 2345678123ac", "2 8781 2345678123ac", "3 2345678123ac"},
		"DE89370400440532013000":                       {"1 89370400440532013000", "3 DE89370400440532013000"},
		"SE4550000000058398257466":                     {"1 4550000000058398257466", "3 SE4550000000058398257466"},
		"1234567ab, AB1234567":                         {"3 1234567ab", "2 1234567ab AB1234567", "3 AB1234567"},
		"at 10.249.3.4.":                               {"3 10.249.3.4", "2 at 10", "2 at 10 249", "2 10 249", "2 10 249 3", "2 249 3", "2 249 3 4", "2 3 4"},
		"210.123.45.67":                                {"3 210.123.45.67", "4 2101234567", "2 210 123", "2 210 123 45", "2 123 45", "2 123 45 67", "2 45 67"},
		"192.168.100.200":                              {"3 192.168.100.200", "2 192 168", "2 192 168 100", "2 168 100", "2 168 100 200", "2 100 200"},
		"030.123.45.67":                                {"1 0301234567", "2 030 123", "2 030 123 45", "2 123 45", "2 123 45 67", "2 45 67"},
		"call0301234567":                               {"1 0301234567", "3 call0301234567"},
		"\u0393\u03b9\u03ce\u03c1\u03b3\u03bf\u03c2 X": {"2 \u0393\u03b9\u03ce\u03c1\u03b3\u03bf\u03c2 X"},
	} {
		var got []string
		Parts([]byte(text), func(k Kind, words ...[]byte) {
			line := string('0' + rune(k))
			for _, w := range words {
				line += " " + string(w)
			}
			got = append(got, line)
		})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

// A moment is nobody's number; what stands beside it may be one.
func TestMoments(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"2023-02-02 10:00:00":                           nil,
		"from 2023-02-02T10:00:00.123456+01:00 on":      nil,
		"2023-02-02 10:00:00.123456789-0330":            nil,
		"2023-02-02 10:00Z, 2023-02-03 11:30":           nil,
		"2023-02-02 10:00 0301234567":                   {"0301234567"},
		"0301234567 2023-02-02 10:00":                   {"0301234567"},
		"1985-03-07":                                    {"19850307"}, // a birthday
		"1985-03-07, 10:00":                             {"19850307"},
		"2023-13-02 10:00":                              {"2023130210"},
		"12023-02-02 10:00":                             {"12023020210"},
		"2023-02-02 10:001":                             {"2023020210"},
		"2023-02-02 10:00:00.5 and +49 170 1234567":     {"491701234567"},
		`{"at": "2023-02-02 10:00:00", "to": 30123456}`: {"30123456"},
	} {
		var got []string
		Parts([]byte(text), func(k Kind, words ...[]byte) {
			if k == Number {
				got = append(got, string(words[0]))
			}
		})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

// Digits of any script, full-width forms and unseen marks are what they stand for.
func TestFold(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                         "",
		"+49 170 1234567":          "+49 170 1234567",
		"Grüße aus Köln":           "Grüße aus Köln",
		"٠٥٠-١٢٣٤٥٦٧":              "050-1234567",
		"۰۹۱۲ ۳۴۵ ۶۷۸۹":            "0912 345 6789",
		"९८७६५ ४३२१०":              "98765 43210",
		"๐๘๑-๒๓๔":                  "081-234",
		"０３－１２３４":                  "03-1234",
		"０９０ー１２３４":                 "090-1234",
		"コーポ１０１":                   "コーポ101",
		"\u200e+966\u00a050\u202c": "+966 50",
		"a\u2011b\u22125":          "a-b-5",
		"ｔａｒｏ＠ｓｈｏｐ．ｔｅｓｔ":           "taro@shop.test",
		"\xff٥":                    "\u00ff5",
		"𝟘𝟙𝟗":                      "019",
	} {
		if got := string(Fold([]byte(text))); got != want {
			t.Errorf("%q is folded to %q, want %q", text, got, want)
		}
	}
	// Digits stand in rows of ten, as foldedRune takes them.
	for _, zero := range zeros {
		for d := range rune(10) {
			if !unicode.Is(unicode.Nd, zero+d) || zero > 0x7f && foldedRune(zero+d, 0) != '0'+d {
				t.Errorf("%U is no digit %d", zero+d, d)
			}
		}
	}
}

func TestFoldCostsNothing(t *testing.T) { //nolint:paralleltest // counts allocations
	text := []byte("an ASCII text, +49 170 1234567, costs nothing")
	if n := testing.AllocsPerRun(100, func() { _ = Fold(text) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// The same in other digits is found as it is in ASCII, and secrets of the schema too.
func TestPartsInAnyDigits(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"هاتف ٠٥٠-١٢٣٤٥٦٧":         "0501234567",
		"تلفن ۰۹۱۲۳۴۵۶۷۸۹":         "09123456789",
		"९८७६५-४३२१०":              "9876543210",
		"電話　０３（１２３４）５６７８":          "0312345678",
		"٤١١١ ١١١١ ١١١١ ١١١١":      "4111111111111111",
		"SA٠٣٨٠٠٠٠٠٠٠٦٠٨٠١٠١٦٧٥١٩": "0380000000608010167519",
		"١٩٨٥/٠٣/٠٧":               "19850307",
		"٢٠٢٣-٠٢-٠٢ ١٠:٠٠":         "",
	} {
		got := ""
		Parts([]byte(text), func(k Kind, words ...[]byte) {
			if k == Number {
				got += string(words[0])
			}
		})
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"٤١١١ ١١١١ ١١١١ ١١١١": "card", "SA٠٣٨٠٠٠٠٠٠٠٦٠٨٠١٠١٦٧٥١٩": "bank", "+٩٦٦ ٥٠ ١٢٣٤ ٥٦٧": "telephone", "ｔａｒｏ＠ｓｈｏｐ．ｃｏ．ｊｐ": "e-mail",
	} {
		if r := Suspicious(text); !strings.Contains(r, want) {
			t.Errorf("%s looks like %q, want %q", text, r, want)
		}
	}
	if got := len(Words([]byte("राजेश कुमार"), 4)); got != 2 {
		t.Errorf("a name in Devanagari has %d words", got)
	}
}
