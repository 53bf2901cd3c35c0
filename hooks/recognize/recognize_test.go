package recognize

import (
	"strings"
	"testing"

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
