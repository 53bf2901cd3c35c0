package seed

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/big"
	"net/netip"
	"regexp"
	"strings"

	"github.com/seedling-dev/seedling/hooks/dump"
	"github.com/seedling-dev/seedling/hooks/hook"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/sqltext"
)

// Finding is a part of the schema whose text looks personal or secret. The
// text itself is not in it.
type Finding struct {
	Object string `json:"object"`
	Reason string `json:"reason"`
	SHA256 string `json:"sha256"` // of the object's definition
}

// LiteralsError lists the findings that the policy does not accept.
type LiteralsError struct{ Findings []Finding }

func (e *LiteralsError) Error() string {
	var parts []string
	for _, f := range e.Findings {
		parts = append(parts, f.Object+" ("+f.Reason+")")
	}
	return "the schema itself holds what looks personal or secret, and the policy does not accept it: " + strings.Join(parts, "; ") +
		". Change it in production, or look at each and accept it by its digest"
}

// Fragment returns YAML to paste into the policy.
func (e *LiteralsError) Fragment() string {
	var b strings.Builder
	b.WriteString("accept:\n")
	for _, f := range e.Findings {
		fmt.Fprintf(&b, "  - {object: %s, sha256: %s}   # %s\n", yamlText(f.Object), f.SHA256, f.Reason)
	}
	return b.String()
}

// checkLiterals looks at every literal of the schema before any of it reaches
// the server. It returns warnings on acceptances that are not needed.
func checkLiterals(d *dump.Dump, p *mask.Policy) ([]string, error) {
	accepted := map[string]map[string]bool{}
	for _, a := range p.Accept {
		if accepted[a.Object] == nil {
			accepted[a.Object] = map[string]bool{}
		}
		accepted[a.Object][strings.ToLower(a.SHA256)] = true
	}
	used := map[string]bool{}
	var bad []Finding
	for _, e := range d.Entries {
		if k := kinds[e.Kind]; k.pass == session || k.pass == rows || k.pass == never && (e.Kind != "COMMENT" || !p.Comments) {
			continue
		}
		found, err := findings(e)
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			if accepted[f.Object][f.SHA256] {
				used[f.Object] = true
				continue
			}
			bad = append(bad, f)
		}
	}
	if len(bad) > 0 {
		return nil, hook.Misconfigured(&LiteralsError{bad})
	}
	var warnings []string
	for _, a := range p.Accept {
		if !used[a.Object] {
			warnings = append(warnings, fmt.Sprintf("the policy accepts %q, which the dump does not need: remove it", a.Object))
		}
	}
	return warnings, nil
}

// findings lists what looks personal or secret in one entry.
func findings(e *dump.Entry) ([]Finding, error) {
	var out []Finding
	add := func(object, text string, tokens []sqltext.Token) {
		seen := map[string]bool{}
		for _, t := range tokens {
			v, ok := t.Value()
			if !ok || t.Kind == sqltext.Number || e.Kind == "TYPE" && scopeLike.MatchString(v) {
				continue
			}
			if reason := suspicious(v); reason != "" && !seen[reason] {
				seen[reason] = true
				sum := sha256.Sum256([]byte(strings.TrimSpace(text)))
				out = append(out, Finding{object, reason, hex.EncodeToString(sum[:])})
			}
		}
	}
	list, err := sqltext.Split(e.Create)
	if err != nil {
		return nil, hook.Misconfiguredf("%s %s: its definition cannot be read: %w", e.Kind, e.Name(), err)
	}
	if e.Kind == "TABLE" || e.Kind == "FOREIGN TABLE" {
		for _, st := range list {
			for _, el := range elements(st) {
				add(el.object(e), el.text, el.tokens)
			}
		}
		return out, nil
	}
	// The digest is the same whatever the dump's format: plain dumps have the
	// owner's statement among the others.
	var all []sqltext.Token
	var text strings.Builder
	for _, st := range list {
		all = append(all, st.Tokens...)
		if ownerOf(st) == 0 {
			text.WriteString(st.Text + ";\n")
		}
	}
	name := e.Name()
	kind := strings.ToLower(e.Kind)
	switch e.Kind {
	case "DEFAULT", "RULE", "TRIGGER", "POLICY", "CONSTRAINT", "FK CONSTRAINT", "CHECK CONSTRAINT":
		// The tag is "table name".
		name = strings.Replace(name, " ", ".", 1)
		kind = strings.TrimSuffix(kind, " constraint")
	case "TABLE ATTACH":
		kind = "partition"
	case "COMMENT":
		name = e.Tag
	}
	add(kind+" "+name, text.String(), all)
	return out, nil
}

// element is a column, a constraint or another part of CREATE TABLE.
type element struct {
	text   string
	tokens []sqltext.Token
	body   bool // inside the parentheses
}

// object names an element as policies do.
func (el element) object(e *dump.Entry) string {
	t := el.tokens
	if !el.body || len(t) == 0 {
		return "table " + e.Name()
	}
	name, _ := t[0].Name()
	switch {
	case t[0].Is("CONSTRAINT") && len(t) > 1:
		name, _ = t[1].Name()
		return "check " + e.Name() + "." + name
	case t[0].Is("CHECK"), t[0].Is("EXCLUDE"), t[0].Is("LIKE"):
		return "check " + e.Name()
	}
	for _, x := range t[1:] {
		switch {
		case x.Is("DEFAULT"):
			return "default " + e.Name() + "." + name
		case x.Is("GENERATED"):
			return "generated " + e.Name() + "." + name
		case x.Is("CHECK"):
			return "check " + e.Name() + "." + name
		}
	}
	return "column " + e.Name() + "." + name
}

// elements cuts CREATE TABLE at the commas of its column list; any other
// statement is one element.
func elements(st sqltext.Statement) []element {
	t := st.Tokens
	open := -1
	if len(t) > 1 && t[0].Is("CREATE") {
		for i := range t {
			if t[i].IsSymbol('(') {
				open = i
				break
			}
		}
	}
	if open < 0 {
		return []element{{text: st.Text, tokens: t}}
	}
	var out []element
	depth, from := 0, open+1
	flush := func(to int) {
		if to > from {
			out = append(out, element{st.Text[t[from].Start:t[to-1].End], t[from:to], true})
		}
		from = to + 1
	}
	for i := open; i < len(t); i++ {
		switch {
		case t[i].IsSymbol('('), t[i].IsSymbol('['):
			depth++
		case t[i].IsSymbol(')'), t[i].IsSymbol(']'):
			if depth--; depth == 0 {
				flush(i)
				if i+1 < len(t) {
					out = append(out, element{st.Text[t[i+1].Start:], t[i+1:], false})
				}
				return out
			}
		case t[i].IsSymbol(',') && depth == 1:
			flush(i)
		}
	}
	return out
}

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
	// scopeLike is how labels of an enum name permissions: api_key:create.
	scopeLike = regexp.MustCompile(`^[a-z_.]+(?::(?:[a-z_.]+|\*))+$`)
	hashLike  = regexp.MustCompile(`(?:^|[^0-9A-Za-z])((?:[0-9a-f]{32,}|[0-9A-F]{32,}))(?:$|[^0-9A-Za-z])`)
	crypted   = regexp.MustCompile(`\$(?:2[aby]|argon2[a-z]*|5|6|scrypt|pbkdf2[a-z0-9-]*)\$`)
)

// suspicious says why a text looks personal or secret, "" when it does not.
func suspicious(s string) string {
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
