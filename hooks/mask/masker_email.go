package mask

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"
)

var emailMasker = &masker{
	name:  "email",
	doc:   maskerDoc{"`mara.holt.<20 characters>@example.com` (a reserved domain; shorter names in a short column)", "yes, unless `unique: false`", "nothing; with `domain: keep` the domain", "which rows have equal values"},
	kinds: []kind{kindText},
	options: []option{
		uniqueOption,
		{name: "domain", kind: optString, fallback: "", doc: "domain to write in place of example.com, .net and .org, for a CHECK that wants one; keep leaves each address its own domain. Mail to a real domain may reach somebody"},
		foldOption,
	},
	build: buildEmail,
}

type email struct {
	keyed
	unique        bool
	keepDomain    bool
	given, family []string // lower case; may be empty
	domains       []string // with @
	length        int
}

var exampleDomains = []string{"@example.com", "@example.net", "@example.org"}

func (e *email) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	if len(value) == 0 {
		return dst, nil
	}
	t := e.tag(ws, value)
	at := len(dst)
	d := t.rest()
	if !e.unique {
		d = t.dice()
	}
	if len(e.given) > 0 {
		dst = append(dst, e.given[d.n(len(e.given))]...)
		dst = append(dst, '.')
	}
	if len(e.family) > 0 {
		dst = append(dst, e.family[d.n(len(e.family))]...)
		if e.unique {
			dst = append(dst, '.')
		}
	}
	if e.unique {
		dst = t.appendUnique(dst)
	} else {
		dst = append(dst, byte('1'+d.n(9)), byte('0'+d.n(10)))
	}
	if e.keepDomain {
		if i := bytes.LastIndexByte(value, '@'); i > 0 && endsName(value[i-1]) && isDomain(value[i+1:]) {
			dst = append(dst, value[i:]...)
			if e.length > 0 && utf8.RuneCount(dst[at:]) > e.length {
				return dst[:at], reason("the mask with the original's domain is longer than the column takes: drop `domain: keep`")
			}
			return dst, nil
		}
	}
	return append(dst, e.domains[d.n(len(e.domains))]...), nil
}

// endsName reports whether an address's local part may end with c: behind a
// space or a colon, an @ starts a handle.
func endsName(c byte) bool { return c > ' ' && strings.IndexByte(`(),:;<>@[\]`, c) < 0 }

// isDomain reports whether b looks like the name of a domain. What else may stand
// behind an @, such as a handle or a number, must not pass.
func isDomain(b []byte) bool {
	if len(b) > 253 {
		return false
	}
	dots, length, letters := 0, 0, false // of the label
	for _, c := range b {
		switch {
		case c == '.' && length > 0:
			dots++
			length, letters = 0, false
			continue
		case isLetterMask[c] != 0:
			letters = true
		case !isDigit(c) && c != '-':
			return false
		}
		length++
	}
	return dots > 0 && length > 1 && letters // no top level is a number
}

func buildEmail(t *target, r *rule) (transform, traits, error) {
	t = t.folded(r)
	e := &email{keyed: t.keyed("email"), unique: r.flag("unique"), domains: exampleDomains, length: t.length}
	tr := traits{injective: e.unique, clean: true, remedy: "leave email its `unique: true`"}
	switch domain := r.text("domain"); {
	case domain == "keep":
		e.keepDomain = true
		tr.kept = []string{"domain"}
		// The domain stays as it is. Two that differ only in case stand behind two
		// distinct local parts, so masks stay distinct.
	case domain != "":
		if strings.ContainsAny(domain, "@\\ \t") || strings.ToLower(domain) != domain || !isPrintable(domain) {
			return nil, traits{}, errors.New("domain must be a domain's name in lower case, such as example.com, or keep")
		}
		e.domains = []string{"@" + domain}
	}
	core := longest(e.domains) + uniqueLen
	if !e.unique {
		core = longest(e.domains) + 2
	}
	for _, n := range []int{12, 9, 7, 5} {
		given, family := lower(fit(givenNames, n)), lower(fit(familyNames, n))
		if t.length == 0 || longest(given)+longest(family)+2+core <= t.length {
			e.given, e.family = given, family
			return e, tr, nil
		}
	}
	if given := lower(fit(givenNames, 5)); longest(given)+1+core <= t.length {
		e.given = given
		return e, tr, nil
	}
	if !e.unique || core > t.length {
		return nil, traits{}, t.tooLong("email", core)
	}
	return e, tr, nil
}
