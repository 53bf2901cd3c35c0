package mask

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// loginRule says which accounts of a table are testers': they keep their address and
// get a password hash.
type loginRule struct {
	table    Name
	by       string   // column of the address
	accounts []string // addresses, in lower case
	domain   string   // or all of one domain, in lower case; "" for none
	keep     []string // columns that these rows keep besides
	password string   // column that gets the hash, "" for none
	hash     string   // the hash's name: the file, or the Secret's key
	line     int
}

// DefaultLoginHash is the name of a password hash that a policy does not name.
const DefaultLoginHash = "password-hash"

// LoginHashes are the names of the password hashes that the policy needs.
func (p *Policy) LoginHashes() []string {
	var out []string
	for _, l := range p.logins {
		if l.password != "" {
			out = append(out, l.hash)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// LoginTables are the tables of testers' accounts.
func (p *Policy) LoginTables() []Name {
	var out []Name
	for _, l := range p.logins {
		out = append(out, l.table)
	}
	return out
}

var (
	secretKey   = regexp.MustCompile(`^[-_a-zA-Z0-9][-._a-zA-Z0-9]*$`)
	loginFields = []string{"by", "accounts", "domain", "keep", "password", "hash"}
)

// mostAddresses is how many accounts a policy may list.
const mostAddresses = 1000

func (p *parser) loginRules(n *yaml.Node) {
	p.mapping(n, "logins", func(name string, k, v *yaml.Node) {
		parts, err := parseDotted(name, 2)
		if err != nil || parts[0].wild || parts[1].wild {
			p.fail(k, "logins: %q must be one table, schema.table without *", name)
			return
		}
		l := loginRule{table: Name{parts[0].text, parts[1].text}, line: k.Line}
		what := "logins of " + l.table.String()
		said := p.mapping(v, what, func(field string, k, v *yaml.Node) {
			switch field {
			case "by":
				l.by, _ = p.str(v, "by of "+what)
			case "accounts":
				l.accounts = p.addresses(v, what)
			case "domain":
				domain, _ := p.str(v, "domain of "+what)
				if l.domain = strings.ToLower(strings.TrimPrefix(domain, "@")); !isDomain([]byte(l.domain)) {
					p.fail(v, "domain of %s must be the name of a domain, such as testers.shop.example", what)
				}
			case "keep":
				for _, s := range p.scalars(v, "keep of "+what) {
					l.keep = append(l.keep, s.text)
				}
			case "password":
				l.password, _ = p.str(v, "password of "+what)
			case "hash":
				if l.hash, _ = p.str(v, "hash of "+what); !secretKey.MatchString(l.hash) {
					p.fail(v, "hash of %s must be the name of a file, or the key of a Secret, that holds the hash (letters, digits, -, _ and .), and never the hash", what)
				}
			default:
				p.unknown(k, "field of "+what, field, loginFields)
			}
		})
		if !said {
			return
		}
		switch {
		case l.by == "":
			p.fail(k, "%s have no by: name the column of the address, such as email", what)
		case len(l.accounts) == 0 && l.domain == "":
			p.fail(k, "%s name no account: write accounts: [tester@...], or a domain whose accounts are all testers'", what)
		case l.password == "" && l.hash != "":
			p.fail(k, "%s have a hash and no password: name the column that gets it", what)
		}
		if l.password != "" && l.hash == "" {
			l.hash = DefaultLoginHash
		}
		slices.Sort(l.keep)
		l.keep = slices.Compact(l.keep)
		p.policy.logins = append(p.policy.logins, l)
	})
}

// addresses reads the accounts of a login. Case does not count.
func (p *parser) addresses(n *yaml.Node, what string) []string {
	var out []string
	for _, s := range p.scalars(n, "accounts of "+what) {
		address := strings.ToLower(s.text)
		switch {
		case address == "" || strings.TrimSpace(address) != address || strings.ContainsFunc(address, unprintable) || strings.Contains(address, `\`):
			p.fail(n, "an account of %s is empty, or has signs that no address has", what)
		case slices.Contains(out, address):
			p.fail(n, "%s name %s twice", what, address)
		default:
			out = append(out, address)
		}
	}
	if len(out) > mostAddresses {
		p.fail(n, "%s name %d accounts: testers' are %d at most", what, len(out), mostAddresses)
	}
	slices.Sort(out)
	return out
}

// digestLogin is a login as the policy's digest sees it.
type digestLogin struct {
	By       string   `json:"by"`
	Accounts []string `json:"accounts,omitempty"`
	Domain   string   `json:"domain,omitempty"`
	Keep     []string `json:"keep,omitempty"`
	Password string   `json:"password,omitempty"`
	Hash     string   `json:"hash,omitempty"`
}

func (p *Policy) digestLogins() map[string]digestLogin {
	if len(p.logins) == 0 {
		return nil
	}
	out := map[string]digestLogin{}
	for _, l := range p.logins {
		out[l.table.String()] = digestLogin{l.by, l.accounts, l.domain, l.keep, l.password, l.hash}
	}
	return out
}

func loginSchema() object {
	return strict([]string{"by"}, object{
		"by":       object{"type": nameSchema["type"], "description": "the column of the address that testers log in with"},
		"accounts": object{"type": "array", "items": scalarSchema, "minItems": 1, "maxItems": mostAddresses, "description": "addresses of testers' accounts, whatever their case"},
		"domain":   object{"type": "string", "description": "all accounts with an address of this domain are testers'"},
		"keep":     object{"type": "array", "items": nameSchema, "minItems": 1, "description": "columns that these rows keep as they are, beside the address"},
		"password": object{"type": nameSchema["type"], "description": "the column that gets the password hash"},
		"hash":     object{"type": "string", "pattern": secretKey.String(), "default": DefaultLoginHash, "description": "the name of the hash: the file, or the key of Secret seed-logins; never the hash itself"},
	})
}
