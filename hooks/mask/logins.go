package mask

import (
	"bytes"
	"errors"
	"sync"
	"sync/atomic"
	"unicode"

	"github.com/seedling-dev/seedling/hooks/copytext"
)

// Testers' logins are rows that keep the address that they log in with, and get a known
// password hash. The address is told by its value: it passes wherever columns are
// joined with the one that it stands in, by foreign keys or links, so that joins hold,
// and no other value is masked as one. All else is told by the row.

// Login is what a policy says of the testers' accounts of one table.
type Login struct {
	Table Name
	// By is the column of the address, Keep are columns that stay besides.
	By   string
	Keep []string
	// Password is the column that gets the hash, "" for none.
	Password string
	// Accounts are the addresses that the policy lists, in lower case, Domain is whose
	// addresses are all testers', "" for none.
	Accounts []string
	Domain   string

	addresses *addresses
	hash      []byte // as COPY text has it
	// shared are columns by whose values shares decide about rows of other tables.
	shared []sharedColumn
}

type sharedColumn struct {
	column string
	extra  *shareExtra
}

// Logins lists what the policy says of testers' accounts, in its order.
func (p *Plan) Logins() []*Login { return p.loginList }

// Shares reports whether rows that hang on the accounts are in a share of all: whoever
// loads or verifies must find the accounts first.
func (l *Login) Shares() bool { return len(l.shared) > 0 }

// MostLogins is how many accounts of one table may be testers'. More of them are a
// mistake, such as the domain of a mail provider.
const MostLogins = 1000

// Passed is how many addresses of the domain passed so far, in the accounts' own column
// and in those that are joined with it, up to one more than MostLogins.
func (l *Login) Passed() int { return l.addresses.passed.count() }

// Has reports whether an address is that of an account. It is for few values; workers
// have their own memory.
func (l *Login) Has(address []byte) bool {
	var ws workspace
	return l.addresses.find(&ws, address) >= 0
}

// addresses tells testers' addresses. Upper and lower case do not count.
type addresses struct {
	eq     equality
	listed map[string]int // position in the policy
	domain []byte         // with its @, nil for none
	at     bool           // all have an @
	passed passed
}

// passed are the addresses of a domain that were let through. They are few, or the
// domain is not the testers' alone.
type passed struct {
	mu   sync.Mutex
	seen map[string]struct{}
	full atomic.Bool
}

// note remembers one more, which is in lower case.
func (p *passed) note(address []byte) {
	if p.full.Load() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, there := p.seen[string(address)]; there {
		return
	}
	if p.seen == nil {
		p.seen = map[string]struct{}{}
	}
	p.seen[string(address)] = struct{}{}
	p.full.Store(len(p.seen) > MostLogins)
}

func (p *passed) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.seen)
}

// ofDomain is what find returns for an address of the domain that is not listed.
const ofDomain = 1 << 30

// find returns the position of a listed address, ofDomain, or -1.
func (a *addresses) find(ws *workspace, value []byte) int {
	if a.at && bytes.IndexByte(value, '@') < 0 {
		return -1
	}
	buf := ws.buf()
	defer ws.release()
	folded := a.eq.canonical(buf, value)
	if i, ok := a.listed[string(folded)]; ok {
		return i
	}
	if n := len(folded) - len(a.domain); a.domain != nil && n > 0 && string(folded[n:]) == string(a.domain) && isLocalPart(folded[:n]) {
		return ofDomain
	}
	return -1
}

// isLocalPart reports whether what stands before an address' @ can be one account's
// name. A text that ends in an address, or a list of them, tells of others too.
func isLocalPart(b []byte) bool {
	return len(b) <= 64 && !bytes.ContainsAny(b, "@,;:<>()[]|") && !bytes.ContainsFunc(b, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	})
}

// known passes testers' addresses, and masks all else with another transform, so that
// no mask is one of them.
type known struct {
	transform
	addresses *addresses
}

const alwaysKnown = reason("its mask is always the address of a tester's account: give the column another masker")

func (k *known) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	if at := k.addresses.find(ws, value); at >= 0 {
		if at == ofDomain {
			buf := ws.buf()
			k.addresses.passed.note(k.addresses.eq.canonical(buf, value))
			ws.release()
		}
		return append(dst, value...), nil
	}
	start := len(dst)
	out, err := k.transform.mask(ws, dst, value)
	// What is masked as an address is masked again. Those stay what they are, so that
	// distinct values have distinct masks all the same.
	for walked := 0; err == nil && k.addresses.find(ws, out[start:]) >= 0; walked++ {
		if walked > len(k.addresses.listed)+64 {
			return dst[:start], alwaysKnown
		}
		buf := ws.buf()
		*buf = append(*buf, out[start:]...)
		out, err = k.transform.mask(ws, out[:start], *buf)
		ws.release()
	}
	return out, err
}

// shareExtra is what is in a share whatever the key says: what hangs on testers'
// accounts. It is filled before rows are masked.
type shareExtra struct {
	eq     equality
	values map[string]struct{}
}

func (e *shareExtra) has(ws *workspace, value []byte) bool {
	if e == nil || len(e.values) == 0 {
		return false
	}
	buf := ws.buf()
	defer ws.release()
	_, ok := e.values[string(e.eq.canonical(buf, value))]
	return ok
}

func (e *shareExtra) add(value []byte) {
	var buf []byte
	e.values[string(e.eq.canonical(&buf, value))] = struct{}{}
}

// boundLogin is a login for rows of one layout.
type boundLogin struct {
	*Login
	by       int
	keeps    []bool // by column
	password int    // -1: none
	shared   []int  // columns of Login.shared
	listed   []atomic.Int64
	rest     atomic.Int64 // accounts of the domain that are not listed
}

func (l *Layout) bindLogin(login *Login, at map[string]int) error {
	b := &boundLogin{Login: login, password: -1, keeps: make([]bool, len(l.columns)), listed: make([]atomic.Int64, len(login.Accounts))}
	for _, name := range append([]string{login.By, login.Password}, login.Keep...) {
		if _, there := at[name]; !there && name != "" {
			return errors.New("the dump's rows lack column " + QuoteIdent(name) + ", which the policy's logins name")
		}
	}
	b.by = at[login.By]
	for _, name := range login.Keep {
		b.keeps[at[name]] = true
	}
	if login.Password != "" {
		b.password = at[login.Password]
	}
	l.last = max(l.last, b.by, b.password)
	for _, s := range login.shared {
		i, there := at[s.column]
		if !there {
			i = b.by // generated: it is in no dump, and in no share
		}
		b.shared = append(b.shared, i)
		l.last = max(l.last, i)
	}
	l.login = b
	return nil
}

// account says whether the row that was split last is a tester's account, and counts
// it.
func (w *Worker) account(row []byte) bool {
	l := w.layout.login
	field := w.field(row, l.by)
	if copytext.IsNull(field) {
		return false
	}
	ws := w.workspace
	ws.used = 0
	value := field
	if !copytext.Plain(field) {
		buf := ws.buf()
		*buf = copytext.Unescape(*buf, field)
		value = *buf
	}
	return l.addresses.find(ws, value) >= 0
}

// count notes an account that is loaded.
func (w *Worker) count(row []byte) {
	l := w.layout.login
	at := l.addresses.find(w.workspace, plainField(w.field(row, l.by)))
	switch {
	case at == ofDomain:
		l.rest.Add(1)
	case at >= 0:
		l.listed[at].Add(1)
	}
}

// Find looks whether a row, as Append takes it, is a tester's account, and lets what
// hangs on it be in every share. It must not be called while rows are masked.
func (w *Worker) Find(row []byte) error {
	l := w.layout.login
	if l == nil {
		return nil
	}
	if err := w.split(row); err != nil {
		return w.rowError(-1, err)
	}
	if !w.account(row) {
		return nil
	}
	w.count(row)
	for i, s := range l.Login.shared {
		if field := w.field(row, l.shared[i]); l.shared[i] != l.by && !copytext.IsNull(field) || s.column == l.By {
			s.extra.add(plainField(field))
		}
	}
	return nil
}

// LoginCount says how many rows were testers' accounts.
type LoginCount struct {
	Rows int64
	// Missing are listed addresses that no row has.
	Missing []string
}

// Add counts the rows that a layout's workers masked or found.
func (c *LoginCount) Add(l *Layout, found map[string]bool) {
	if l.login == nil {
		return
	}
	for i := range l.login.listed {
		n := l.login.listed[i].Load()
		c.Rows += n
		if n > 0 {
			found[l.login.Accounts[i]] = true
		}
	}
	c.Rows += l.login.rest.Load()
}

// errNoHash is for a plan that was compiled without hashes, to judge a policy alone.
const errNoHash = reason("there is no password hash for testers' accounts")
