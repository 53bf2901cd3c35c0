package mask

import (
	"regexp"
	"strconv"
	"strings"
)

// snake writes a name in lower case with underscores between its words.
func snake(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r >= 'A' && r <= 'Z':
			if i > 0 && (s[i-1] >= 'a' && s[i-1] <= 'z' || s[i-1] >= '0' && s[i-1] <= '9') {
				b.WriteByte('_')
			}
			b.WriteRune(r + 'a' - 'A')
		case r == '-' || r == ' ' || r == '.':
			b.WriteByte('_')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// yamlKey quotes a mapping key where YAML needs it.
func yamlKey(s string) string {
	if regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`).MatchString(s) {
		switch strings.ToLower(s) {
		case "null", "true", "false", "yes", "no", "on", "off", "y", "n":
		default:
			return s
		}
	}
	if strings.ContainsFunc(s, unprintable) {
		return strconv.Quote(s) // whose escapes are YAML's, too
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}

// comment makes a text, which may hold names of the dump, one that cannot end a
// comment in YAML.
func comment(s string) string {
	return strings.Map(func(r rune) rune {
		if unprintable(r) {
			return ' '
		}
		return r
	}, s)
}

// unprintable characters may end a line.
func unprintable(r rune) bool { return !strconv.IsPrint(r) }
