package mask

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/seedling-dev/seedling/hooks/copytext"
)

// Sample is what some values of one column look like, for Draft. It holds
// counts, never a value. A nil Sample has seen nothing.
type Sample struct {
	values   int
	looks    map[string]int // by the masker that would fit
	inside   int            // values with something personal inside a longer text
	long     int            // values of several words
	distinct map[uint64]struct{}
	longest  int
	seed     maphash.Seed
	json     *jsonSample
	isJSON   bool
}

// maxDistinct is from how many distinct values on a sample stops counting.
const maxDistinct = 1000

// NewSample starts a sample of the column's values.
func NewSample(c Column) *Sample {
	return &Sample{looks: map[string]int{}, distinct: map[uint64]struct{}{}, seed: maphash.MakeSeed(), isJSON: c.kind() == kindJSON}
}

// Add looks at one field as a COPY row has it.
func (s *Sample) Add(field []byte) {
	if copytext.IsNull(field) {
		return
	}
	v := field
	if !copytext.Plain(field) {
		v = copytext.Unescape(nil, field)
	}
	if len(v) == 0 || len(v) > 1<<20 {
		return
	}
	s.values++
	s.longest = max(s.longest, len(v))
	if len(s.distinct) < maxDistinct {
		s.distinct[maphash.Bytes(s.seed, v)] = struct{}{}
	}
	if s.isJSON {
		if s.json == nil {
			s.json = newJSONSample()
		}
		d := json.NewDecoder(bytes.NewReader(v))
		d.UseNumber()
		var doc any
		if d.Decode(&doc) == nil {
			s.json.add(doc, 0)
		}
		return
	}
	if what := recognize(v); what != "" {
		s.looks[what]++
	} else if slices.ContainsFunc(bytes.FieldsFunc(v, func(r rune) bool { return strings.ContainsRune(" \t\n,;<>()[]\"'", r) }), personalWord) {
		s.inside++
	}
	if bytes.Count(v, []byte{' '}) >= 3 {
		s.long++
	}
}

func (s *Sample) has() bool { return s != nil && s.values >= 20 }

// looksLike returns the masker that fits most values, and how many in all.
func (s *Sample) looksLike() (string, float64) {
	if s == nil || s.values == 0 {
		return "", 0
	}
	best, n := "", 0
	for _, what := range sortedKeys(s.looks) {
		if s.looks[what] > n {
			best, n = what, s.looks[what]
		}
	}
	if share := float64(n) / float64(s.values); share >= .6 {
		return best, share
	}
	return "", 0
}

// mentions reports whether values hold something personal inside other text.
func (s *Sample) mentions() bool { return s != nil && s.inside > 0 }

// few reports whether the same short values come again and again. Without a
// sample it is not known, and the column's name decides.
func (s *Sample) few() bool {
	return s == nil || s.values < 20 || len(s.distinct) <= 50 && len(s.distinct)*5 <= s.values && s.longest <= 64
}

func (s *Sample) sentences() bool { return s != nil && s.long*2 > s.values }

// recognize names the masker that fits a value as a whole, or "".
func recognize(v []byte) string {
	switch {
	case isEmail(v):
		return "email"
	case bytes.HasPrefix(v, []byte("http://")), bytes.HasPrefix(v, []byte("https://")):
		return "url"
	case isUUID(v):
		return "uuid"
	case isSecret(v):
		return "credential"
	case isAddress(v):
		return "ip"
	case isIBAN(v):
		return "iban"
	case isCard(v):
		return "card"
	case isPhone(v):
		return "phone"
	}
	words := strings.Fields(string(v))
	if len(words) == 0 || len(words) > 4 || len(v) > 60 {
		return ""
	}
	given, family := nameSet[words[0]]&1 != 0, nameSet[words[len(words)-1]]&2 != 0
	switch {
	case len(words) == 1 && given && !family:
		return "first_name"
	case len(words) == 1 && family && !given:
		return "last_name"
	case len(words) > 1 && (given || family) && capitalized(words):
		return "full_name"
	}
	return ""
}

// personalWord reports whether a word in a text names somebody.
func personalWord(w []byte) bool {
	w = bytes.Trim(w, ".:!?")
	return isEmail(w) || isIBAN(w) || isSecret(w) || len(w) >= 10 && w[0] == '+' && isPhone(w)
}

// nameSet holds given names (1) and family names (2).
var nameSet = func() map[string]byte {
	m := map[string]byte{}
	for _, n := range givenNames {
		m[n] |= 1
	}
	for _, n := range familyNames {
		m[n] |= 2
	}
	return m
}()

func capitalized(words []string) bool {
	for _, w := range words {
		r, _ := utf8.DecodeRuneInString(w)
		if r < 'A' || r > 'Z' && r < 0x80 {
			return false
		}
	}
	return true
}

func isEmail(v []byte) bool {
	at := bytes.IndexByte(v, '@')
	if at < 1 || at != bytes.LastIndexByte(v, '@') || len(v) > 254 || bytes.ContainsAny(v, " \t\n,;<>:/") {
		return false
	}
	dot := bytes.LastIndexByte(v[at:], '.')
	return dot > 1 && at+dot+2 < len(v) && isDomain(v[at+1:])
}

func isSecret(v []byte) bool {
	for _, prefix := range []string{"$2a$", "$2b$", "$2y$", "$argon2", "$pbkdf2", "pbkdf2_", "$scrypt", "$5$", "$6$", "sk_live_", "sk_test_", "ghp_", "glpat-", "xoxb-", "AKIA", "-----BEGIN"} {
		if len(v) > len(prefix)+8 && bytes.HasPrefix(v, []byte(prefix)) {
			return true
		}
	}
	return bytes.HasPrefix(v, []byte("eyJ")) && bytes.Count(v, []byte{'.'}) == 2
}

func isAddress(v []byte) bool {
	v, _, _ = bytes.Cut(v, []byte{'/'})
	if _, ok := parseIPv4(v); ok {
		return true
	}
	colons := 0
	for _, c := range v {
		if c == ':' {
			colons++
		} else if !isHex(c) {
			return false
		}
	}
	return colons >= 2 && len(v) > 3
}

func isIBAN(v []byte) bool {
	v = bytes.ReplaceAll(v, []byte{' '}, nil)
	if len(v) < 15 || len(v) > 34 || v[0] < 'A' || v[0] > 'Z' || v[1] < 'A' || v[1] > 'Z' || !isDigit(v[2]) || !isDigit(v[3]) {
		return false
	}
	for _, c := range v {
		if !isDigit(c) && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return 98-ibanRemainder(v) == int(v[2]-'0')*10+int(v[3]-'0')
}

func isCard(v []byte) bool {
	var d []byte
	for _, c := range v {
		if isDigit(c) {
			d = append(d, c)
		} else if c != ' ' && c != '-' {
			return false
		}
	}
	return len(d) >= 13 && len(d) <= 19 && d[0] >= '2' && d[0] <= '6' && luhn(d[:len(d)-1]) == d[len(d)-1]
}

// isPhone wants more than digits, so that plain numbers are not phones.
func isPhone(v []byte) bool {
	n, marks := 0, 0
	for i, c := range v {
		switch {
		case isDigit(c):
			n++
		case c == '+' && i == 0:
			marks += 2
		case c == ' ' || c == '-' || c == '/' || c == '(' || c == ')':
			marks++
		case c != '.':
			return false
		}
	}
	if _, _, date := parseDate(v); date {
		return false
	}
	return n >= 7 && n <= 15 && (marks >= 2 || v[0] == '0' && marks >= 1)
}

// jsonSample is what documents look like at one place.
type jsonSample struct {
	seen    int // documents, or objects above, that have the place
	members map[string]*jsonSample
	items   *jsonSample
	values  *Sample // of strings
	scalars int     // numbers and booleans
	objects int
}

func newJSONSample() *jsonSample { return &jsonSample{members: map[string]*jsonSample{}} }

// maxMembers is from how many different members on an object is taken for a
// map, whose names are data.
const maxMembers = 60

func (s *jsonSample) add(v any, depth int) {
	if depth > 12 {
		return
	}
	switch v := v.(type) {
	case map[string]any:
		s.objects++
		for name, m := range v {
			if !plainName([]byte(name)) || s.members[name] == nil && len(s.members) >= maxMembers {
				name = "*"
			}
			if s.members[name] == nil {
				s.members[name] = newJSONSample()
			}
			s.members[name].seen++
			s.members[name].add(m, depth+1)
		}
	case []any:
		for _, item := range v {
			if s.items == nil {
				s.items = newJSONSample()
			}
			s.items.add(item, depth+1)
		}
	case string:
		if s.values == nil {
			s.values = NewSample(Column{BaseType: "text"})
		}
		s.values.Add(copytext.Escape(nil, []byte(v)))
	case json.Number, bool:
		s.scalars++
	}
}

// proposeJSON proposes a rule for every path that the sample has seen. Names
// of members that may be data are not written down.
func proposeJSON(table Name, s *Sample) proposal {
	if s == nil || s.json == nil {
		return proposal{"json", false, ""}
	}
	var paths []string
	sure := true
	var walk func(n *jsonSample, path, name string)
	walk = func(n *jsonSample, path, name string) {
		if len(paths) >= 200 {
			sure = false
			return
		}
		switch {
		case n.values != nil:
			p := proposeFor(table, name, kindText, false, n.values)
			sure = sure && p.sure
			if p.rule != "text" { // what no path lists is masked like text
				paths = append(paths, fmt.Sprintf("%s: %s", yamlKey(path), p.rule))
			}
		case n.scalars > 0:
			p := proposeFor(table, name, kindNumeric, false, nil)
			sure = sure && p.sure
			if p.rule != "key" { // what no path lists gets other digits
				paths = append(paths, fmt.Sprintf("%s: %s", yamlKey(path), p.rule))
			}
		}
		for _, m := range sortedKeys(n.members) {
			// Named only when many objects have it: a member seen once may be
			// data. What is left out is masked like text.
			if m == "*" || len(n.members) >= maxMembers || n.objects >= 20 && n.members[m].seen*50 < n.objects {
				sure = false
				continue
			}
			walk(n.members[m], path+"."+quoteMember(m), m)
		}
		if n.items != nil {
			walk(n.items, path+"[*]", name)
		}
	}
	walk(s.json, "$", "")
	if len(paths) == 0 {
		return proposal{"json", false, ""}
	}
	return proposal{"{mask: json, paths: {" + strings.Join(paths, ", ") + "}}", sure, "look at the paths"}
}
