package mask

import (
	"errors"
	"strings"
)

// pattern is a name in a policy: exact, or with * for any characters.
type pattern struct {
	text string
	wild bool
}

// match reports whether the pattern names name.
func (p pattern) match(name string) bool {
	if !p.wild {
		return p.text == name
	}
	return glob(p.text, name)
}

func glob(pat, s string) bool {
	head, rest, found := strings.Cut(pat, "*")
	if !found {
		return pat == s
	}
	if !strings.HasPrefix(s, head) {
		return false
	}
	s = s[len(head):]
	for {
		part, after, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(s, part)
		}
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s, rest = s[i+len(part):], after
	}
}

// weight orders patterns: exact names win, then the one with more characters
// that are not *.
func (p pattern) weight() int {
	if !p.wild {
		return 1 << 20
	}
	return len(p.text) - strings.Count(p.text, "*")
}

func (p pattern) String() string {
	if p.wild {
		return p.text
	}
	return quoteName(p.text)
}

// quoteName quotes a name where the policy's syntax needs it.
func quoteName(s string) string {
	if s != "" && !strings.ContainsAny(s, `."*`) && strings.TrimSpace(s) == s {
		return s
	}
	return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
}

// parseDotted splits a dotted name of n parts. A part may be quoted as in SQL;
// names are taken as they stand, without folding case; an unquoted * matches
// any characters.
func parseDotted(s string, n int) ([]pattern, error) {
	var parts []pattern
	rest := s
	for {
		var p pattern
		var err error
		if p, rest, err = cutPart(rest); err != nil {
			return nil, err
		}
		parts = append(parts, p)
		if rest == "" {
			break
		}
		if rest[0] != '.' {
			return nil, errors.New("a quoted name must be followed by a dot")
		}
		rest = rest[1:]
	}
	if len(parts) != n {
		return nil, errors.New("it must read " + [...]string{1: "column", 2: "schema.table", 3: "schema.table.column"}[n] + " (quote names that hold dots)")
	}
	return parts, nil
}

func cutPart(s string) (p pattern, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		i := strings.IndexByte(s, '.')
		if i < 0 {
			i = len(s)
		}
		name := s[:i]
		if name == "" {
			return p, "", errors.New("a part of the name is empty")
		}
		if strings.Contains(name, `"`) {
			return p, "", errors.New("a quote stands inside an unquoted name")
		}
		return pattern{name, strings.Contains(name, "*")}, s[i:], nil
	}
	var b strings.Builder
	for s = s[1:]; ; {
		i := strings.IndexByte(s, '"')
		if i < 0 {
			return p, "", errors.New("a quote is not closed")
		}
		b.WriteString(s[:i])
		if s = s[i+1:]; !strings.HasPrefix(s, `"`) {
			break
		}
		b.WriteByte('"')
		s = s[1:]
	}
	if b.Len() == 0 {
		return p, "", errors.New("a part of the name is empty")
	}
	return pattern{text: b.String()}, s, nil
}
