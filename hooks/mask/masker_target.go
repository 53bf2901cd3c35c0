package mask

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"
)

// target is what a transform is built for: a column, or a place inside its values.
type target struct {
	key     Key
	label   string // names the group whose sub-keys are used
	eq      equality
	column  *Column
	kind    kind
	length  int // most characters of a value, 0 without a limit
	notNull bool
	// addresses are testers', which pass as they are; nil for none
	addresses *addresses
	// inside says that the place is inside a value (JSON, array, hstore).
	inside bool
	// nested says that the place is not a whole column.
	nested bool
	// linked gives the target of a link group, for rules with a link.
	linked func(link string, r *rule, at *target) (*target, error)
	// entity gives the label and equality of another column of the table.
	entity func(column string) (label string, eq equality, err error)
}

func newTarget(key Key, label string, eq equality, c *Column) *target {
	return &target{key: key, label: label, eq: eq, column: c, kind: c.kind(), length: c.lengthLimit(), notNull: c.NotNull}
}

// keyed derives the sub-key of a masker at this place.
func (t *target) keyed(masker string) keyed {
	return keyed{newPRF(t.key, masker+"\x00"+t.label), t.eq}
}

// stream derives a sub-key for streams and other fixed-block uses.
func (t *target) stream(masker string) *prf {
	return newPRF(t.key, masker+"\x00"+t.label+"\x00stream")
}

// at returns the target for a place inside this one's values.
func (t *target) at(where string, k kind) *target {
	sub := *t
	sub.label = t.label + "\x00" + where
	sub.kind, sub.inside, sub.nested, sub.notNull = k, true, true, false
	sub.eq = equality{}
	sub.addresses = nil
	if k != kindText || t.kind != kindArray {
		sub.length = 0
	}
	return &sub
}

// padding says whether values end in spaces that are not part of them: in char(n),
// and in columns joined with one.
func (t *target) padding() padding {
	return padding(t.eq.trim || t.kind == kindText && !t.inside && t.column.BaseType == "bpchar")
}

type padding bool

// cut returns the value without its padding.
func (p padding) cut(value []byte) []byte {
	if !p {
		return value
	}
	return bytes.TrimRight(value, " ")
}

// buildRule builds the transform of r for a place inside a value, following
// the rule's link.
func (t *target) buildRule(r *rule) (transform, traits, error) {
	if !r.accepts(t.kind) {
		return nil, traits{}, fmt.Errorf("masker %s takes %s", r.name, r.types())
	}
	if r.link != "" {
		if t.linked == nil {
			return nil, traits{}, errors.New("a link cannot be used here")
		}
		linked, err := t.linked(r.link, r, t)
		if err != nil {
			return nil, traits{}, err
		}
		t = linked
	}
	return r.construct(t)
}

// construct builds the transform of r for t.
func (r *rule) construct(t *target) (transform, traits, error) {
	tf, tr, err := r.build(t, r)
	if r.text("malformed") == "text" {
		// What the masker cannot read keeps its signs.
		tr.clean, tr.shaped = false, tr.clean || tr.shaped
	}
	if r.digits && t.kind == kindText && err == nil {
		tf = &anyDigits{tf}
	}
	if t.addresses != nil && err == nil && !tr.keep && !tr.null {
		// An address has the signs that its original has.
		tr.clean, tr.shaped = false, tr.clean || tr.shaped
		tf = &known{tf, t.addresses}
	}
	return tf, tr, err
}

// tooLong says that a masker's output does not fit the column.
func (t *target) tooLong(masker string, need int) error {
	return fmt.Errorf("%s needs %d characters and the column takes %d: use hash or text, or widen the column", masker, need, t.length)
}

// lenient applies a masker's option malformed.
func (t *target) lenient(tf transform, r *rule) (transform, error) {
	switch r.text("malformed") {
	case "null":
		if t.notNull {
			return nil, errors.New("malformed: null cannot be used, the column is NOT NULL")
		}
		return &fallback{tf, nil}, nil
	case "text":
		if t.kind != kindText {
			return nil, errors.New("malformed: text is for text columns only")
		}
		return &fallback{tf, newTextMask(t)}, nil
	}
	return tf, nil
}

// fallback masks what its transform refuses with another, or with NULL.
type fallback struct{ first, second transform }

func (f *fallback) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	used := ws.used
	out, err := f.first.mask(ws, dst, value)
	if _, refused := err.(reason); !refused { //nolint:errorlint // reasons are never wrapped on this path
		return out, err
	}
	ws.used = used
	if f.second == nil {
		return dst, errNull
	}
	return f.second.mask(ws, dst, value)
}

// folded applies the option fold.
func (t *target) folded(r *rule) *target {
	if !r.flag("fold") {
		return t
	}
	f := *t
	f.eq.fold = true
	return &f
}

// bounded refuses a mask that is longer than the column takes, for maskers
// whose output's length is not known beforehand.
type bounded struct {
	transform
	length int
	rule   *rule
}

func (b *bounded) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	out, err := b.transform.mask(ws, dst, value)
	if err == nil && utf8.RuneCount(out[len(dst):]) > b.length {
		return out[:len(dst)], reason("the mask is longer than the column takes")
	}
	return out, err
}
