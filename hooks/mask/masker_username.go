package mask

var usernameMasker = &masker{
	name:    "username",
	doc:     maskerDoc{"`mara_<20 characters>`", "yes, unless `unique: false`", "nothing", "which rows have equal values"},
	kinds:   []kind{kindText},
	options: []option{uniqueOption, foldOption},
	build:   buildUsername,
}

type username struct {
	keyed
	unique bool
	given  []string
}

func (u *username) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	if len(value) == 0 {
		return dst, nil
	}
	t := u.tag(ws, value)
	d := t.rest()
	if !u.unique {
		d = t.dice()
	}
	if len(u.given) > 0 {
		dst = append(dst, u.given[d.n(len(u.given))]...)
		dst = append(dst, '_')
	}
	if u.unique {
		return t.appendUnique(dst), nil
	}
	return append(dst, byte('1'+d.n(9)), byte('0'+d.n(10)), byte('0'+d.n(10))), nil
}

func buildUsername(t *target, r *rule) (transform, traits, error) {
	t = t.folded(r)
	u := &username{keyed: t.keyed("username"), unique: r.flag("unique")}
	tr := traits{injective: u.unique, clean: true, remedy: "leave username its `unique: true`"}
	core := 3
	if u.unique {
		core = uniqueLen
	}
	for _, n := range []int{12, 6, 4} {
		if given := lower(fit(givenNames, n)); t.length == 0 || longest(given)+1+core <= t.length {
			u.given = given
			return u, tr, nil
		}
	}
	if !u.unique || core > t.length {
		return nil, traits{}, t.tooLong("username", core)
	}
	return u, tr, nil
}
