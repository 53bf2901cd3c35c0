package mask

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

type optionKind uint8

const (
	optString  optionKind = iota
	optScalar             // any scalar
	optInt                // an integer from min to max
	optNumber             // a decimal number
	optBool               // true or false
	optScalars            // a list of scalars
	optRule               // a rule
	optRules              // a mapping of names to rules
)

type option struct {
	name     string
	kind     optionKind
	choices  []string // of an optString
	min, max int      // of an optInt
	fallback any
	required bool
	remark   bool // it says nothing of masks, and is in no digest
	doc      string
}

// masker is one entry of the registry: how a rule of that name is checked,
// described and built.
type masker struct {
	name    string
	doc     maskerDoc
	kinds   []kind // nil: every type
	options []option
	// digits says that texts are read for their digits, which may be of any script.
	digits bool
	// check looks at options together; the result is a sentence or "".
	check func(r *rule) string
	build func(t *target, r *rule) (transform, traits, error)
}

// maskerDoc is a masker's row in the documentation.
type maskerDoc struct {
	what   string // what the mask looks like
	unique string // whether distinct originals stay distinct
	keeps  string // format and order that survive
	learns string // what an attacker still learns
}

func (m *masker) accepts(k kind) bool { return m.kinds == nil || slices.Contains(m.kinds, k) }

func (m *masker) option(name string) *option {
	for i := range m.options {
		if m.options[i].name == name {
			return &m.options[i]
		}
	}
	return nil
}

// types names the column types the masker takes.
func (m *masker) types() string {
	if m.kinds == nil {
		return "every type"
	}
	var names []string
	for _, k := range m.kinds {
		if s := kindNames[k]; s != "" {
			names = append(names, s)
		}
	}
	return strings.Join(names, ", ")
}

// transform turns one value into its mask. It is read-only and shared by
// workers; what it writes to besides dst lives in the workspace.
type transform interface {
	// mask appends the mask of value to dst. The value is not NULL and not
	// escaped, and neither is what is appended. errNull asks for NULL. Any
	// other error is a sentence without a value in it.
	mask(ws *workspace, dst, value []byte) ([]byte, error)
}

// traits is what the compiler must know of a built transform.
type traits struct {
	// keep says that values pass as they are.
	keep bool
	// injective says that distinct values (under the group's equality) get
	// distinct masks, also when case is folded.
	injective bool
	// within names a column: masks of distinct values stay distinct among
	// rows that agree in that column.
	within string
	// null says that every mask is NULL.
	null bool
	// rebuilt says that masks are NULL, and computed by the loader.
	rebuilt bool
	// frequencySafe says that to know how frequent a value is helps nobody to find
	// its mask: masks say nothing of it, or say it openly, such as a year.
	frequencySafe bool
	// clean says that masks hold no byte that COPY text must escape.
	clean bool
	// shaped says that masks hold such bytes only where their originals do.
	shaped bool
	// entity is the column whose value the transform also reads, "" if none.
	entity string
	// depth is how deep values lie inside of values, each masked by itself.
	depth int
	// kept lists what passes unmasked inside the value, for the keep-set.
	kept []string
	// remedy says what to do where masks must be distinct and are not.
	remedy string
}

// guessable says that whoever knows how frequent a value is can find its mask.
func (tr *traits) guessable() bool {
	return !tr.keep && !tr.null && !tr.frequencySafe && tr.entity == ""
}

// maskerList is the registry in the order of the documentation.
var maskerList = []*masker{
	keepMasker, nullMasker, constantMasker, choiceMasker, credentialMasker, hashMasker, uuidMasker, keyMasker,
	emailMasker, firstNameMasker, lastNameMasker, fullNameMasker, usernameMasker, phoneMasker,
	textMasker, regexMasker,
	streetMasker, cityMasker, postcodeMasker, companyMasker, productMasker, permuteMasker,
	urlMasker, ipMasker, macMasker,
	numberNoiseMasker, numberRangeMasker, latlongMasker, geometryMasker, vectorMasker,
	dateShiftMasker, yearOnlyMasker,
	cardMasker, ibanMasker,
	jsonMasker, arrayMasker, hstoreMasker, byteaMasker, compositeMasker, xmlMasker,
	rebuildMasker,
}

var maskers = func() map[string]*masker {
	m := make(map[string]*masker, len(maskerList))
	for _, d := range maskerList {
		m[d.name] = d
	}
	return m
}()

func maskerNames() []string {
	names := make([]string, len(maskerList))
	for i, m := range maskerList {
		names[i] = m.name
	}
	return names
}

// malformed is the option of maskers that must understand their values.
var malformed = option{
	name: "malformed", kind: optString, choices: []string{"stop", "null", "text"}, fallback: "stop",
	doc: "what to do with a value that the masker cannot read: stop the import, write NULL, or mask it like text",
}

var foldOption = option{
	name: "fold", kind: optBool, fallback: false,
	doc: "upper and lower case mean the same (as in citext): both get the same mask",
}

var uniqueOption = option{
	name: "unique", kind: optBool, fallback: true,
	doc: "distinct values get distinct masks, by 100 bits written into the mask; false gives shorter, prettier ones",
}

// contain takes over what the traits of a rule for values inside say of the whole.
func (tr *traits) contain(sub traits) error {
	tr.depth = max(tr.depth, sub.depth+1)
	return tr.shareEntity(sub)
}

// shareEntity takes over the entity of another rule in the same value.
func (tr *traits) shareEntity(sub traits) error {
	if sub.entity == "" || sub.entity == tr.entity {
		return nil
	}
	if tr.entity != "" {
		return fmt.Errorf("by names %s here and %s elsewhere in the same column: use one", QuoteIdent(sub.entity), QuoteIdent(tr.entity))
	}
	tr.entity = sub.entity
	return nil
}

// errNull is how a transform asks for NULL.
var errNull = errors.New("the mask is NULL")

// reason is why a value cannot be masked: a sentence without a value in it.
type reason string

func (r reason) Error() string { return string(r) }
