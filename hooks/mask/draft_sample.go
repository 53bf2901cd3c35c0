package mask

import (
	"bytes"
	"hash/maphash"
	"math"

	"github.com/seedling-dev/seedling/hooks/copytext"
	"github.com/seedling-dev/seedling/hooks/recognize"
)

// Sample is what some values of one column look like, for Draft. It holds
// counts, never a value. A nil Sample has seen nothing. The values of an array are
// its elements.
type Sample struct {
	kind     kind // of the values
	values   int
	looks    map[string]int // by the masker that would fit
	inside   int            // values with something personal inside a longer text
	long     int            // values of several words
	named    int            // values that look like somebody's name
	surely   int            // values that hold a frequent name of people besides
	within   int            // longer texts with what looks like somebody's name in them
	handles  int            // values that look like a user's name
	dotted   int            // addresses of networks that telephone numbers may be, too
	known    int            // values that say a state, a kind, a format
	numbers  int            // numbers of seven digits and more
	old      int            // dates before 2011
	lastDate int64          // the last date's day, and how many are
	earlier  int            // before the one before them, or
	later    int            // after it
	firstDay int64          // the least and
	lastDay  int64          // the greatest of all dates
	distinct map[uint64]struct{}
	longest  int
	// leastShape is the least number of values that one of the shapes has.
	leastShape float64
	seed       maphash.Seed
	set        *valueSet // nil where no join goes over the column
	json       *jsonSample
	array      *array
	workspace  *workspace
}

// maxDistinct is how many distinct values a sample counts.
const maxDistinct = 1000

// NewSample starts a sample of the column's values.
func NewSample(c Column) *Sample {
	s := &Sample{kind: c.elementKind(), looks: map[string]int{}, distinct: map[uint64]struct{}{}, seed: maphash.MakeSeed(), leastShape: math.Inf(1)}
	if !c.Array {
		s.set = newValueSet(s.kind)
	}
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
	v := plainField(field)
	s.set.add(v)
	if s.array != nil {
		_, _ = s.array.mask(s.workspace, nil, v) // what is not an array has no elements
		return
	}
	s.look(v)
}

// Meet counts a field only for what the column has in common with others, for which
// more rows are looked at.
func (s *Sample) Meet(field []byte) {
	if s.set != nil && !copytext.IsNull(field) {
		s.set.add(plainField(field))
	}
}

// plainField is a field without its escapes.
func plainField(field []byte) []byte {
	if copytext.Plain(field) {
		return field
	}
	return copytext.Unescape(nil, field)
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
		s.lookDate(v)
	case kindText:
		v = recognize.Fold(v)
		s.leastShape = min(s.leastShape, shapeCount(bytes.TrimRight(v, " "), false))
		s.lookText(v)
	case kindBytea:
		s.leastShape = min(s.leastShape, shapeCount(v, true))
	}
}

// lookDate looks at a date or a time.
func (s *Sample) lookDate(v []byte) {
	if len(v) >= 4 && (string(v[:4]) < "2011" || v[0] == '-') {
		s.old++
	}
	d, _, ok := parseDate(v)
	if !ok {
		return
	}
	day := d.days()
	if s.firstDay == 0 && s.lastDay == 0 {
		s.firstDay, s.lastDay = day, day
	} else if day < s.lastDate {
		s.earlier++
	} else if day > s.lastDate {
		s.later++
	}
	s.lastDate, s.firstDay, s.lastDay = day, min(s.firstDay, day), max(s.lastDay, day)
}

// scattered reports whether dates lie over years and in no order, as births do and
// what happens to an application's rows hardly does.
func (s *Sample) scattered() bool {
	return s.has() && s.lastDay-s.firstDay > 4*365 && s.earlier*3 > s.earlier+s.later && s.later*3 > s.earlier+s.later
}

func (s *Sample) lookText(v []byte) {
	if what := recognizeValue(v); what != "" {
		s.looks[what]++
		if what == "ip" && recognize.LikeTelephone(v) {
			s.dotted++
		}
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
		} else if namesWithin(text) {
			s.within++
		}
	}
	if isKnown(text) {
		s.known++
	}
	if bytes.Count(v, []byte{' '}) >= 3 {
		s.long++
	}
}

// enough is how many values a sample must have before few distinct ones mean
// anything.
const enough = 20

func (s *Sample) has() bool { return s != nil && s.values >= enough }

// share is the part of the values that a count is.
func (s *Sample) share(count int) float64 {
	if s == nil || s.values == 0 {
		return 0
	}
	return float64(count) / float64(s.values)
}

// looksLike returns the masker that fits most values, and for what part of them.
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
	if best == "ip" && s.dotted == n { // of addresses of networks one in nine looks so
		if best = "phone"; n < 5 {
			best = "text"
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

// few reports whether the same short values repeat, in a sample large enough to
// tell.
func (s *Sample) few() bool {
	return s.has() && len(s.distinct) <= 50 && len(s.distinct)*4 <= s.values && s.longest <= 64
}

// people reports whether values may be names of people or of users.
func (s *Sample) people() bool { return s != nil && s.share(s.named+s.handles) > .1 }

// knows reports whether almost every value, and every frequent one, is what many
// databases hold.
func (s *Sample) knows() bool { return s != nil && s.values > 0 && s.share(s.known) >= .95 }

func (s *Sample) sentences() bool { return s != nil && s.long*2 > s.values }
