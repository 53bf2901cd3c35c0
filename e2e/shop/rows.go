package shop

import (
	"strconv"
	"time"
)

// table is one table of the shop and how its rows are computed.
type table struct {
	name    string
	columns string
	rows    func(users int) int
	// row appends the row's COPY text line, newline included. i counts from 0.
	row func(dst []byte, g *gen, i int) []byte
}

// shopTables in the order in which they are loaded.
var shopTables = []table{
	{"users", "id, email, first_name, last_name, phone, birthday, street, postcode, city, country, password_hash, newsletter, prefs, created_at", times(1), userRow},
	{"products", "id, sku, name, price_cents, tags", func(users int) int { return users/20 + 50 }, productRow},
	{"orders", "id, user_id, status, total_cents, ship_name, ship_phone, notes, placed_at", times(ordersPerUser), orderRow},
	{"items", "order_id, line, product_id, quantity, price_cents", times(ordersPerUser * itemsPerOrder), itemRow},
	{"events", "id, user_id, at, kind, data", times(eventsPerUser), eventRow},
	{"audit_log", "id, at, actor, detail", times(1), auditRow},
}

const (
	ordersPerUser = 4
	itemsPerOrder = 2
	eventsPerUser = 5
	// bytesPerUser is the COPY text of one user and what belongs to them,
	// measured.
	bytesPerUser = 2790
)

func times(n int) func(int) int { return func(users int) int { return n * users } }

// epoch is when the shop opened; its first year is 2025.
var epoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).Unix()

const year = 365 * 24 * 3600

// gen is the source of chance for one row, and what rows need to know of the
// whole.
type gen struct {
	seed     uint64
	users    int
	products int
	state    uint64
}

// at makes the chance of row i of a table independent of every other row.
func (g *gen) at(table, i int) {
	g.state = g.seed*0x9e3779b97f4a7c15 + uint64(table)<<56 + uint64(i)
	g.next()
}

// next is SplitMix64.
func (g *gen) next() uint64 {
	g.state += 0x9e3779b97f4a7c15
	z := g.state
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

func (g *gen) n(n int) int { return int(g.next() % uint64(n)) }

func (g *gen) one(of []string) string { return of[g.n(len(of))] }

// person is what several tables say of one user. It is computed from the
// user's id alone, so that an order's ship_name is the user's name.
type person struct {
	first, last, domain string
	id                  int
}

func (g *gen) person(id int) person {
	saved := g.state
	g.at(0, id)
	p := person{first: g.one(firstNames), last: g.one(lastNames), domain: g.one(mailDomains), id: id}
	g.state = saved
	return p
}

func (p person) email(dst []byte) []byte {
	dst = slug(dst, p.first)
	dst = append(dst, '.')
	dst = slug(dst, p.last)
	dst = strconv.AppendInt(dst, int64(p.id), 10)
	dst = append(dst, '@')
	return append(dst, p.domain...)
}

func (p person) name(dst []byte) []byte {
	dst = append(dst, p.first...)
	dst = append(dst, ' ')
	return append(dst, p.last...)
}

// phone is in a range reserved for films and examples.
func (p person) phone(dst []byte) []byte {
	dst = append(dst, "+49 30 23125 "...)
	return digits(dst, uint64(p.id), 7)
}

func userRow(dst []byte, g *gen, i int) []byte {
	id := i + 1
	p := g.person(id)
	g.at(1, i)
	c := g.canary(id)
	dst = num(dst, id)
	dst = tab(dst)
	if c.email != "" {
		dst = append(dst, c.email...)
	} else {
		dst = p.email(dst)
	}
	dst = tab(dst)
	dst = append(dst, or(c.first, p.first)...)
	dst = tab(dst)
	dst = append(dst, or(c.last, p.last)...)
	dst = tab(dst)
	switch {
	case c.phone != "":
		dst = append(dst, c.phone...)
	case g.n(10) == 0:
		dst = null(dst)
	default:
		dst = p.phone(dst)
	}
	dst = tab(dst)
	dst = date(dst, epoch-int64(18+g.n(60))*year-int64(g.n(365))*24*3600)
	dst = tab(dst)
	if c.street != "" {
		dst = append(dst, c.street...)
	} else {
		dst = append(dst, g.one(streets)...)
		dst = append(dst, ' ')
		dst = num(dst, 1+g.n(180))
	}
	dst = tab(dst)
	dst = digits(dst, g.next(), 5)
	dst = tab(dst)
	dst = append(dst, g.one(cities)...)
	dst = tab(dst)
	dst = append(dst, g.one(countries)...)
	dst = tab(dst)
	if c.password != "" {
		dst = append(dst, c.password...)
	} else {
		dst = append(dst, "$2y$10$"...)
		for range 3 {
			dst = hexDigits(dst, g.next())
		}
	}
	dst = tab(dst)
	dst = boolean(dst, g.n(3) == 0)
	dst = tab(dst)
	dst = append(dst, `{"theme": "`...)
	dst = append(dst, g.one(themes)...)
	dst = append(dst, `", "page_size": `...)
	dst = num(dst, 10+10*g.n(5))
	dst = append(dst, `, "contact": {"email": "`...)
	switch {
	case c.prefs != "":
		dst = append(dst, c.prefs...)
	default:
		dst = p.email(dst)
	}
	dst = append(dst, `", "by_mail": `...)
	if g.n(2) == 0 {
		dst = append(dst, "true}}"...)
	} else {
		dst = append(dst, "false}}"...)
	}
	dst = tab(dst)
	dst = stamp(dst, epoch-int64(g.n(3*year)))
	return append(dst, '\n')
}

func productRow(dst []byte, g *gen, i int) []byte {
	g.at(2, i)
	dst = num(dst, i+1)
	dst = append(dst, "\tSKU-"...)
	dst = digits(dst, uint64(i+1), 6)
	dst = tab(dst)
	dst = append(dst, g.one(materials)...)
	dst = append(dst, ' ')
	dst = append(dst, g.one(goods)...)
	dst = tab(dst)
	dst = num(dst, 199+g.n(30000))
	dst = append(dst, "\t{"...)
	dst = append(dst, g.one(tags)...)
	if g.n(2) == 0 {
		dst = append(dst, ',')
		dst = append(dst, g.one(tags)...)
	}
	return append(dst, "}\n"...)
}

func orderRow(dst []byte, g *gen, i int) []byte {
	id := i + 1
	g.at(3, i)
	user := 1 + g.n(g.users)
	c := g.canaryOrder(id)
	p := g.person(user)
	dst = num(dst, id)
	dst = tab(dst)
	dst = num(dst, user)
	dst = tab(dst)
	dst = append(dst, g.one(statuses)...)
	dst = tab(dst)
	dst = num(dst, 500+g.n(90000))
	dst = tab(dst)
	if c.name != "" {
		dst = append(dst, c.name...)
	} else {
		dst = p.name(dst)
	}
	dst = tab(dst)
	switch {
	case c.phone != "":
		dst = append(dst, c.phone...)
	case g.n(3) == 0:
		dst = null(dst)
	default:
		dst = p.phone(dst)
	}
	dst = tab(dst)
	switch k := g.n(10); {
	case c.notes != "":
		dst = append(dst, c.notes...)
	case k < 5:
		dst = null(dst)
	case k < 8:
		dst = escape(dst, g.one(remarks))
	default:
		// The leak that matters: people write to people about people.
		dst = escape(dst, g.one(remarks))
		dst = append(dst, " Questions to "...)
		dst = p.email(dst)
		dst = append(dst, " or "...)
		dst = p.phone(dst)
		dst = append(dst, '.')
	}
	dst = tab(dst)
	dst = stamp(dst, epoch+int64(i)*year/int64(ordersPerUser*g.users))
	return append(dst, '\n')
}

func itemRow(dst []byte, g *gen, i int) []byte {
	g.at(4, i)
	dst = num(dst, i/itemsPerOrder+1)
	dst = tab(dst)
	dst = num(dst, i%itemsPerOrder+1)
	dst = tab(dst)
	dst = num(dst, 1+g.n(g.products))
	dst = tab(dst)
	dst = num(dst, 1+g.n(4))
	dst = tab(dst)
	dst = num(dst, 199+g.n(30000))
	return append(dst, '\n')
}

func eventRow(dst []byte, g *gen, i int) []byte {
	id := i + 1
	g.at(5, i)
	user := 1 + g.n(g.users)
	kind := g.one(kinds)
	c := g.canaryEvent(id)
	p := g.person(user)
	dst = num(dst, id)
	dst = tab(dst)
	dst = num(dst, user)
	dst = tab(dst)
	dst = stamp(dst, epoch+int64(i)*year/int64(eventsPerUser*g.users))
	dst = tab(dst)
	dst = append(dst, kind...)
	dst = append(dst, "\t{\"path\": \"/"...)
	dst = append(dst, kind...)
	dst = append(dst, '/')
	dst = num(dst, 1+g.n(g.products))
	dst = append(dst, `", "ms": `...)
	dst = num(dst, 3+g.n(900))
	dst = append(dst, `, "ip": "198.51.100.`...)
	dst = num(dst, g.n(256))
	dst = append(dst, `", "session": "`...)
	if c.session != "" {
		dst = append(dst, c.session...)
	} else {
		dst = hexDigits(dst, g.next())
		dst = hexDigits(dst, g.next())
	}
	dst = append(dst, `", "agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "contact": {"name": "`...)
	if c.name != "" {
		dst = append(dst, c.name...)
	} else {
		dst = p.name(dst)
	}
	dst = append(dst, `", "email": "`...)
	if c.email != "" {
		dst = append(dst, c.email...)
	} else {
		dst = p.email(dst)
	}
	return append(dst, "\"}}\n"...)
}

func auditRow(dst []byte, g *gen, i int) []byte {
	id := i + 1
	p := g.person(id)
	g.at(6, i)
	dst = num(dst, id)
	dst = tab(dst)
	dst = stamp(dst, epoch+int64(i)*year/int64(g.users))
	dst = tab(dst)
	dst = g.person(1 + g.n(g.users)).email(dst)
	dst = tab(dst)
	if c := g.canary(id); c.audit != "" {
		dst = append(dst, c.audit...)
		dst = append(dst, ' ')
	}
	dst = append(dst, "changed the address of "...)
	dst = p.name(dst)
	dst = append(dst, " <"...)
	dst = p.email(dst)
	dst = append(dst, "> after a call from "...)
	dst = p.phone(dst)
	for range 3 {
		dst = append(dst, "; "...)
		dst = append(dst, g.one(streets)...)
		dst = append(dst, ' ')
		dst = num(dst, 1+g.n(180))
		dst = append(dst, ", "...)
		dst = append(dst, g.one(cities)...)
		dst = append(dst, " -> "...)
		dst = append(dst, g.one(streets)...)
		dst = append(dst, ' ')
		dst = num(dst, 1+g.n(180))
		dst = append(dst, ", "...)
		dst = append(dst, g.one(cities)...)
	}
	return append(dst, '\n')
}

func tab(dst []byte) []byte  { return append(dst, '\t') }
func null(dst []byte) []byte { return append(dst, '\\', 'N') }

func num(dst []byte, n int) []byte { return strconv.AppendInt(dst, int64(n), 10) }

func boolean(dst []byte, b bool) []byte {
	if b {
		return append(dst, 't')
	}
	return append(dst, 'f')
}

// digits appends the last n decimal digits of v.
func digits(dst []byte, v uint64, n int) []byte {
	at := len(dst)
	dst = append(dst, "0000000000"[:n]...)
	for i := at + n - 1; i >= at; i-- {
		dst[i] = byte('0' + v%10)
		v /= 10
	}
	return dst
}

func hexDigits(dst []byte, v uint64) []byte {
	const alphabet = "0123456789abcdef"
	for range 16 {
		dst = append(dst, alphabet[v&15])
		v >>= 4
	}
	return dst
}

// date appends a day as ISO 8601. time.Time.AppendFormat would be most of the
// generator's time.
func date(dst []byte, unix int64) []byte {
	days := floor(unix, 24*3600) + 719468 // from 0000-03-01
	era := floor(days, 146097)
	doe := days - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	month := (5*doy + 2) / 153
	day := doy - (153*month+2)/5 + 1
	y := yoe + era*400
	if month += 3; month > 12 {
		month -= 12
		y++
	}
	dst = digits(dst, uint64(y), 4)
	dst = append(dst, '-')
	dst = digits(dst, uint64(month), 2)
	dst = append(dst, '-')
	return digits(dst, uint64(day), 2)
}

// stamp appends a timestamptz in UTC.
func stamp(dst []byte, unix int64) []byte {
	s := uint64(unix - 24*3600*floor(unix, 24*3600))
	dst = date(dst, unix)
	dst = append(dst, ' ')
	dst = digits(dst, s/3600, 2)
	dst = append(dst, ':')
	dst = digits(dst, s/60%60, 2)
	dst = append(dst, ':')
	dst = digits(dst, s%60, 2)
	return append(dst, "+00"...)
}

// floor divides towards minus infinity.
func floor(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// slug keeps the ASCII letters of a name, in lower case.
func slug(dst []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z':
			dst = append(dst, c)
		case c >= 'A' && c <= 'Z':
			dst = append(dst, c+'a'-'A')
		}
	}
	return dst
}

// escape writes text as a COPY text field.
func escape(dst []byte, s string) []byte {
	for i := range len(s) {
		switch s[i] {
		case '\\':
			dst = append(dst, '\\', '\\')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, s[i])
		}
	}
	return dst
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
