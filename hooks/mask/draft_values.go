package mask

import (
	"bytes"
	"strings"

	"github.com/seedling-dev/seedling/hooks/recognize"
)

// epoch reports whether digits are a time of this century, in seconds,
// milliseconds or finer.
func epoch(digits []byte) bool {
	return (len(digits) == 10 || len(digits) == 13 || len(digits) == 16 || len(digits) == 19) && digits[0] == '1' && digits[1] >= '4' && digits[1] <= '9'
}

// mentionsSomebody reports whether a text holds an address, a number or a secret
// of somebody.
func mentionsSomebody(v []byte) bool {
	found := false
	recognize.Parts(v, func(k recognize.Kind, words ...[]byte) {
		found = found || k == recognize.Email || k == recognize.Number && len(words[0]) >= 9
	})
	return found || recognize.Suspicious(string(v)) != ""
}

// recognizeValue names the masker that fits a value as a whole, or "".
func recognizeValue(v []byte) string {
	switch {
	case isEmail(v):
		return "email"
	case bytes.HasPrefix(v, []byte("http://")), bytes.HasPrefix(v, []byte("https://")):
		return "url"
	case isUUID(v):
		return "uuid"
	case isSecret(v):
		return "credential"
	case isAddress(v):
		return "ip"
	case isIBAN(v):
		return "iban"
	case isCard(v):
		return "card"
	case isPhone(v):
		return "phone"
	}
	words := strings.Fields(string(v))
	if len(words) == 1 {
		given, family := nameSet[words[0]]&1 != 0, nameSet[words[0]]&2 != 0
		switch {
		case given && !family:
			return "first_name"
		case family && !given:
			return "last_name"
		}
		return ""
	}
	if nameLike(string(v)) == surelyNamed {
		return "full_name"
	}
	return ""
}

// nameSet holds given names (1) and family names (2).
var nameSet = func() map[string]byte {
	m := map[string]byte{}
	for _, n := range givenNames {
		m[n] |= 1
	}
	for _, n := range familyNames {
		m[n] |= 2
	}
	return m
}()

func isEmail(v []byte) bool {
	at := bytes.IndexByte(v, '@')
	if at < 1 || at != bytes.LastIndexByte(v, '@') || len(v) > 254 || bytes.ContainsAny(v, " \t\n,;<>:/") {
		return false
	}
	dot := bytes.LastIndexByte(v[at:], '.')
	return dot > 1 && at+dot+2 < len(v) && isDomain(v[at+1:])
}

func isSecret(v []byte) bool {
	for _, prefix := range []string{"$2a$", "$2b$", "$2y$", "$argon2", "$pbkdf2", "pbkdf2_", "$scrypt", "$5$", "$6$", "sk_live_", "sk_test_", "ghp_", "glpat-", "xoxb-", "AKIA", "-----BEGIN"} {
		if len(v) > len(prefix)+8 && bytes.HasPrefix(v, []byte(prefix)) {
			return true
		}
	}
	return bytes.HasPrefix(v, []byte("eyJ")) && bytes.Count(v, []byte{'.'}) == 2
}

func isAddress(v []byte) bool {
	v, _, _ = bytes.Cut(v, []byte{'/'})
	if _, ok := parseIPv4(v); ok {
		return true
	}
	colons := 0
	for _, c := range v {
		if c == ':' {
			colons++
		} else if !isHex(c) {
			return false
		}
	}
	return colons >= 2 && len(v) > 3
}

func isIBAN(v []byte) bool {
	v = bytes.ReplaceAll(v, []byte{' '}, nil)
	if len(v) < 15 || len(v) > 34 || v[0] < 'A' || v[0] > 'Z' || v[1] < 'A' || v[1] > 'Z' || !isDigit(v[2]) || !isDigit(v[3]) {
		return false
	}
	for _, c := range v {
		if !isDigit(c) && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return 98-ibanRemainder(v) == int(v[2]-'0')*10+int(v[3]-'0')
}

func isCard(v []byte) bool {
	var d []byte
	for _, c := range v {
		if isDigit(c) {
			d = append(d, c)
		} else if c != ' ' && c != '-' {
			return false
		}
	}
	return len(d) >= 13 && len(d) <= 19 && d[0] >= '2' && d[0] <= '6' && luhn(d[:len(d)-1]) == d[len(d)-1]
}

// isPhone wants more than digits, so that plain numbers are not phones.
func isPhone(v []byte) bool {
	n, marks := 0, 0
	for i, c := range v {
		switch {
		case isDigit(c):
			n++
		case c == '+' && i == 0:
			marks += 2
		case c == ' ' || c == '-' || c == '/' || c == '(' || c == ')':
			marks++
		case c != '.':
			return false
		}
	}
	if _, _, date := parseDate(v); date {
		return false
	}
	return n >= 7 && n <= 15 && (marks >= 2 || v[0] == '0' && marks >= 1)
}
