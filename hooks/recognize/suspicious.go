package recognize

import (
	"fmt"
	"math/big"
	"net/netip"
	"regexp"
	"strings"
)

var (
	emailLike  = regexp.MustCompile(`([A-Za-z0-9._%+'-]+)@((?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,})`)
	phoneLike  = regexp.MustCompile(`(?:^|[^\w.+-])(\+[1-9][0-9 ().-]{6,18}[0-9]|\([0-9]{2,4}\) ?[0-9]{3,4}[ -][0-9]{3,4}|[0-9]{3}-[0-9]{3}-[0-9]{4})(?:$|[^\w.-])`)
	socialLike = regexp.MustCompile(`(?:^|[^\w-])[0-9]{3}-[0-9]{2}-[0-9]{4}(?:$|[^\w-])`)
	digitsLike = regexp.MustCompile(`(?:^|[^\w.-])([3-6][0-9]{3}[ -]?(?:[0-9][ -]?){8,15})(?:$|[^\w.-])`)
	ibanLike   = regexp.MustCompile(`\b([A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?)\b`)
	addressIP  = regexp.MustCompile(`(?:^|[^\w.])((?:[0-9]{1,3}\.){3}[0-9]{1,3})(?:$|[^\w.])`)
	secretLike = regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY|\bAKIA[0-9A-Z]{16}\b|\beyJ[A-Za-z0-9_-]{10,}\.|\bgh[pousr]_[A-Za-z0-9]{30,}|\bxox[abprs]-[A-Za-z0-9-]{10,}|\b[rs]k_live_[A-Za-z0-9]{10,}|\bAIza[A-Za-z0-9_-]{30,}|\bglpat-[A-Za-z0-9_-]{15,}`)
	withLogin  = regexp.MustCompile(`[a-z][a-z0-9+]*://[^/\s:@']+:[^@\s/']+@`)
	passwordIs = regexp.MustCompile(`(?i)\b(?:password|passwd|pwd|secret|api_?key|token)\s*[=:]\s*['"]?[^\s'"%;,){}]{6,}`)
	hashLike   = regexp.MustCompile(`(?:^|[^0-9A-Za-z])((?:[0-9a-f]{32,}|[0-9A-F]{32,}))(?:$|[^0-9A-Za-z])`)
	crypted    = regexp.MustCompile(`\$(?:2[aby]|argon2[a-z]*|5|6|scrypt|pbkdf2[a-z0-9-]*)\$`)
)

// Suspicious says why a text looks personal or secret, as a person would call
// what is in it ("an e-mail address"), "" when it does not. It takes what stands
// in the schema of a database or in a value, and reserved domains and addresses
// for nobody's.
func Suspicious(s string) string {
	s = foldString(s)
	if m := emailLike.FindAllStringSubmatch(s, -1); m != nil {
		for _, e := range m {
			if strings.Trim(e[1], "%_.*") != "" && !reservedDomain(strings.ToLower(e[2])) {
				return "an e-mail address"
			}
		}
	}
	switch {
	case secretLike.MatchString(s):
		return "a secret key or token"
	case withLogin.MatchString(s):
		return "a URL with a password"
	case crypted.MatchString(s):
		return "a password hash"
	case passwordIs.MatchString(s):
		return "a password or token"
	}
	for _, m := range ibanLike.FindAllStringSubmatch(s, -1) {
		if validIBAN(strings.ReplaceAll(m[1], " ", "")) {
			return "a bank account number"
		}
	}
	for _, m := range digitsLike.FindAllStringSubmatch(s, -1) {
		if luhn(m[1]) {
			return "a payment card number"
		}
	}
	if phoneLike.MatchString(s) {
		return "a telephone number"
	}
	if socialLike.MatchString(s) {
		return "a social security number"
	}
	for _, m := range addressIP.FindAllStringSubmatch(s, -1) {
		if a, err := netip.ParseAddr(m[1]); err == nil && a.IsGlobalUnicast() && !a.IsPrivate() && !documentation(a) {
			return "an IP address"
		}
	}
	for _, m := range hashLike.FindAllStringSubmatch(s, -1) {
		if strings.Trim(m[1], m[1][:1]) != "" {
			return "a key or hash"
		}
	}
	return ""
}

// reservedDomain says that a domain belongs to nobody (RFC 2606, 6761).
func reservedDomain(d string) bool {
	for _, r := range []string{"example.com", "example.org", "example.net", "example", "test", "invalid", "localhost", "local"} {
		if d == r || strings.HasSuffix(d, "."+r) {
			return true
		}
	}
	return false
}

var documentationNets = []netip.Prefix{
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("240.0.0.0/4"),
}

func documentation(a netip.Addr) bool {
	for _, n := range documentationNets {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

func luhn(s string) bool {
	sum, n := 0, 0
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] < '0' || s[i] > '9' {
			continue
		}
		d := int(s[i] - '0')
		if n%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
		n++
	}
	return n >= 13 && n <= 19 && sum%10 == 0
}

func validIBAN(s string) bool {
	if len(s) < 15 || len(s) > 34 {
		return false
	}
	var b strings.Builder
	for _, c := range s[4:] + s[:4] {
		switch {
		case c >= '0' && c <= '9':
			b.WriteRune(c)
		case c >= 'A' && c <= 'Z':
			fmt.Fprint(&b, c-'A'+10)
		default:
			return false
		}
	}
	n, ok := new(big.Int).SetString(b.String(), 10)
	return ok && n.Mod(n, big.NewInt(97)).Int64() == 1
}
