package mask

var credentialMasker = &masker{
	name:  "credential",
	doc:   maskerDoc{"NULL, or a constant that opens nothing (`!`) where the column is NOT NULL", "no", "nothing", "nothing"},
	kinds: []kind{kindText, kindBytea, kindJSON, kindArray, kindLeaf},
	options: []option{
		{name: "value", kind: optScalar, doc: "a constant to write instead, such as the hash of a password for testers"},
	},
	build: buildCredential,
}

func buildCredential(t *target, r *rule) (transform, traits, error) {
	if r.has("value") {
		v, err := t.literal(r.scalar())
		return constant(v), traits{frequencySafe: true}, err
	}
	if !t.notNull {
		return nullAll{}, traits{null: true}, nil
	}
	switch t.kind {
	case kindBytea:
		return constant(`\x`), traits{frequencySafe: true}, nil
	case kindJSON:
		return constant(`{}`), traits{frequencySafe: true}, nil
	case kindArray:
		return constant(`{}`), traits{frequencySafe: true}, nil
	}
	return constant("!"), traits{clean: true, frequencySafe: true}, nil
}
