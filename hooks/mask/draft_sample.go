package mask

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"math"
	"strings"

	"github.com/seedling-dev/seedling/hooks/copytext"
	"github.com/seedling-dev/seedling/hooks/recognize"
)

// Sample is what some values of one column look like, for Draft. It holds
// counts, never a value. A nil Sample has seen nothing. Of an array its elements
// are the values.
type Sample struct {
	kind     kind // of the values
	values   int
	looks    map[string]int // by the masker that would fit
	inside   int            // values with something personal inside a longer text
	long     int            // values of several words
	named    int            // values that look like somebody's name
	surely   int            // values that hold a frequent name of people besides
	handles  int            // values that look like a user's name
	known    int            // values that say a state, a kind, a format
	numbers  int            // numbers of seven digits and more
	old      int            // dates before 2011
	distinct map[uint64]struct{}
	longest  int
	// leastShape is how many values the shape of one has, at least.
	leastShape float64
	seed       maphash.Seed
	json       *jsonSample
	array      *array
	workspace  *workspace
}

// maxDistinct is from how many distinct values on a sample stops counting.
const maxDistinct = 1000

// NewSample starts a sample of the column's values.
func NewSample(c Column) *Sample {
	s := &Sample{kind: c.elementKind(), looks: map[string]int{}, distinct: map[uint64]struct{}{}, seed: maphash.MakeSeed(), leastShape: math.Inf(1)}
	if c.Array {
		s.array, s.workspace = &array{of: visitor(s.look)}, newWorkspace()
	}
	return s
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
	if s.array != nil {
		_, _ = s.array.mask(s.workspace, nil, v) // what is none has no elements
		return
	}
	s.look(v)
}

func (s *Sample) look(v []byte) {
	if len(v) == 0 || len(v) > 1<<20 {
		return
	}
	s.values++
	s.longest = max(s.longest, len(v))
	if len(s.distinct) < maxDistinct {
		s.distinct[maphash.Bytes(s.seed, v)] = struct{}{}
	}
	switch s.kind {
	case kindJSON:
		s.lookJSON(v)
	case kindInt, kindNumeric, kindFloat:
		whole, _, _ := bytes.Cut(bytes.TrimLeft(v, "-"), []byte{'.'})
		if len(whole) >= 7 && !epoch(whole) {
			s.numbers++
		}
	case kindDate, kindTimestamp:
		if len(v) >= 4 && (string(v[:4]) < "2011" || v[0] == '-') {
			s.old++
		}
	case kindText:
		s.leastShape = min(s.leastShape, shapeCount(bytes.TrimRight(v, " "), false))
		s.lookText(v)
	case kindBytea:
		s.leastShape = min(s.leastShape, shapeCount(v, true))
	}
}

// epoch reports whether digits are a time of this century, in seconds,
// milliseconds or finer.
func epoch(digits []byte) bool {
	return (len(digits) == 10 || len(digits) == 13 || len(digits) == 16 || len(digits) == 19) && digits[0] == '1' && digits[1] >= '4' && digits[1] <= '9'
}

func (s *Sample) lookJSON(v []byte) {
	if s.json == nil {
		s.json = newJSONSample()
	}
	d := json.NewDecoder(bytes.NewReader(v))
	d.UseNumber()
	var doc any
	if d.Decode(&doc) == nil {
		s.json.add(doc, 0)
	}
}

func (s *Sample) lookText(v []byte) {
	if what := recognizeValue(v); what != "" {
		s.looks[what]++
	} else if _, _, date := parseDate(v); !date && mentionsSomebody(v) {
		s.inside++
	}
	text := string(v)
	switch nameLike(text) {
	case surelyNamed:
		s.surely++
		s.named++
	case maybeNamed:
		s.named++
	case notNamed:
		if handleLike(text) {
			s.handles++
		}
	}
	if isKnown(text) {
		s.known++
	}
	if bytes.Count(v, []byte{' '}) >= 3 {
		s.long++
	}
}

// mentionsSomebody reports whether a text holds an address, a number or a secret
// of somebody.
func mentionsSomebody(v []byte) bool {
	found := false
	recognize.Parts(v, func(k recognize.Kind, words ...[]byte) {
		found = found || k == recognize.Email || k == recognize.Number && len(words[0]) >= 9
	})
	return found || recognize.Suspicious(string(v)) != ""
}

// enough is how many values a sample must have before it tells how few
// different ones there are.
const enough = 20

func (s *Sample) has() bool { return s != nil && s.values >= enough }

// share is the part of the values that a count is.
func (s *Sample) share(count int) float64 {
	if s == nil || s.values == 0 {
		return 0
	}
	return float64(count) / float64(s.values)
}

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
	if share := s.share(n); share >= .6 {
		return best, share
	}
	return "", 0
}

// mentions reports whether values hold something personal.
func (s *Sample) mentions() bool {
	if s == nil {
		return false
	}
	personal := s.inside
	for what, n := range s.looks {
		switch what {
		case "first_name", "last_name", "full_name", "uuid", "url": // judged by their share
		default:
			personal += n
		}
	}
	return personal > 0
}

// few reports whether the same short values come again and again, in a sample
// large enough to tell.
func (s *Sample) few() bool {
	return s.has() && len(s.distinct) <= 50 && len(s.distinct)*4 <= s.values && s.longest <= 64
}

// people reports whether values may be names of people or of users.
func (s *Sample) people() bool { return s != nil && s.share(s.named+s.handles) > .1 }

// knows reports whether almost every value, and every frequent one, is what many
// databases hold.
func (s *Sample) knows() bool { return s != nil && s.values > 0 && s.share(s.known) >= .95 }

func (s *Sample) sentences() bool { return s != nil && s.long*2 > s.values }

// recognizeValue names the masker that fits a value as a whole, or "".
func recognizeValue(v []byte) string {
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
	if len(words) == 1 {
		given, family := nameSet[words[0]]&1 != 0, nameSet[words[0]]&2 != 0
		switch {
		case given && !family:
			return "first_name"
		case family && !given:
			return "last_name"
		}
		return ""
	}
	if nameLike(string(v)) == surelyNamed {
		return "full_name"
	}
	return ""
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
	numbers *Sample
	scalars int // numbers and booleans
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
		s.values.look([]byte(v))
	case json.Number:
		s.scalars++
		if s.numbers == nil {
			s.numbers = NewSample(Column{BaseType: "numeric"})
		}
		s.numbers.look([]byte(v))
	case bool:
		s.scalars++
	}
}

// proposeJSON proposes a rule for every path that the sample has seen. Names
// of members that may be data are not written down.
func proposeJSON(table Name, s *Sample) proposal {
	if s == nil || s.json == nil {
		return proposal{"json", true, ""}
	}
	var paths []string
	sure := true
	propose := func(path, name string, k kind, values *Sample, unlisted string) {
		p := proposeFor(table, name, k, false, values)
		if p.rule != unlisted { // what no path lists is masked so
			paths = append(paths, fmt.Sprintf("%s: %s", yamlKey(path), p.rule))
			sure = sure && p.sure
		}
	}
	var walk func(n *jsonSample, path, name string)
	walk = func(n *jsonSample, path, name string) {
		if len(paths) >= 200 {
			return
		}
		switch {
		case n.values != nil && n.scalars > 0: // whatever it is
		case n.values != nil:
			propose(path, name, kindText, n.values, "text")
		case n.numbers != nil:
			propose(path, name, kindNumeric, n.numbers, "key")
		case n.scalars > 0:
			propose(path, name, kindBool, nil, "")
		}
		for _, m := range sortedKeys(n.members) {
			// Named only when many objects have it: a member seen once may be
			// data. What is left out is masked like text.
			if m == "*" || len(n.members) >= maxMembers || n.objects >= enough && n.members[m].seen*50 < n.objects {
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
		return proposal{"json", true, ""}
	}
	return proposal{"{mask: json, paths: {" + strings.Join(paths, ", ") + "}}", sure, asksPaths}
}
