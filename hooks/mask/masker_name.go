package mask

var firstNameMasker = &masker{
	name:  "first_name",
	doc:   maskerDoc{"a given name from a list of a few hundred", "no", "nothing", "which rows have equal values; frequent names stay frequent"},
	kinds: []kind{kindText},
	build: func(t *target, r *rule) (transform, traits, error) { return t.words(r.name, givenNames) },
}

var lastNameMasker = &masker{
	name:  "last_name",
	doc:   maskerDoc{"a family name from a list of a few hundred", "no", "nothing", "which rows have equal values; frequent names stay frequent"},
	kinds: []kind{kindText},
	build: func(t *target, r *rule) (transform, traits, error) { return t.words(r.name, familyNames) },
}

var fullNameMasker = &masker{
	name:  "full_name",
	doc:   maskerDoc{"a given and a family name", "no", "nothing", "which rows have equal values"},
	kinds: []kind{kindText},
	build: func(t *target, r *rule) (transform, traits, error) {
		return t.phrase(r.name, " ", givenNames, familyNames)
	},
}
