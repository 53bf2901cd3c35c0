package mask

import "errors"

var keepMasker = &masker{
	name: "keep",
	doc:  maskerDoc{"the original", "yes", "everything", "everything: the column is in the seed as it is"},
	options: []option{
		{name: "because", kind: optString, fallback: "", remark: true, doc: "why the column may be kept, for the record of those who sign for it; it changes no mask and no digest"},
	},
	build: func(*target, *rule) (transform, traits, error) {
		return keepAll{}, traits{keep: true, injective: true}, nil
	},
}

var nullMasker = &masker{
	name: "null",
	doc:  maskerDoc{"NULL", "a unique index takes any number of NULLs, unless NULLS NOT DISTINCT", "nothing", "nothing; refused on NOT NULL columns"},
	build: func(t *target, _ *rule) (transform, traits, error) {
		if t.notNull {
			return nil, traits{}, errors.New("the column is NOT NULL: use constant, or credential")
		}
		return nullAll{}, traits{null: true}, nil
	},
}

type keepAll struct{}

func (keepAll) mask(_ *workspace, dst, value []byte) ([]byte, error) {
	return append(dst, value...), nil
}

type nullAll struct{}

func (nullAll) mask(_ *workspace, dst, _ []byte) ([]byte, error) { return dst, errNull }
