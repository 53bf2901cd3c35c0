package mask

import "errors"

var rebuildMasker = &masker{
	name: "rebuild",
	doc:  maskerDoc{"what an SQL expression makes of the row's other columns, masked: `to_tsvector('english', title)`", "no", "nothing of the original, which is not read", "what the expression's columns let learn"},
	options: []option{
		{name: "as", kind: optString, required: true, doc: "an SQL expression over columns of the same table, as a generated column takes it: immutable, no subquery, no aggregate; functions outside pg_catalog with their schema. It is computed for every row while it is loaded"},
	},
	build: func(t *target, _ *rule) (transform, traits, error) {
		if t.nested {
			return nil, traits{}, errors.New("rebuild is for whole columns")
		}
		return nullAll{}, traits{rebuilt: true, frequencySafe: true, remedy: "keep the column, or drop the index in the dump"}, nil
	},
}
