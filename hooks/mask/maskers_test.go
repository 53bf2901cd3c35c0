package mask

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/seedling-dev/seedling/hooks/copytext"
)

// property is one masker under one rule on one type, with originals and what
// must hold for each mask.
type property struct {
	rule   string
	column string // type, as for columnOf()
	value  func(i int) string
	valid  func(original, mask string) error
	// fixed is the share of masks that may equal their original by chance.
	fixed float64
	// distinct says that the plan must promise distinct masks.
	distinct bool
	// coarse says that other columns and keys may give the same masks, often.
	coarse bool
}

func matches(pattern string) func(string, string) error {
	re := regexp.MustCompile(`^(?:` + pattern + `)$`)
	return func(_, mask string) error {
		if !re.MatchString(mask) {
			return fmt.Errorf("does not match %s", pattern)
		}
		return nil
	}
}

func all(checks ...func(string, string) error) func(string, string) error {
	return func(o, m string) error {
		for _, c := range checks {
			if err := c(o, m); err != nil {
				return err
			}
		}
		return nil
	}
}

func sameLength(o, m string) error {
	if utf8.RuneCountInString(o) != utf8.RuneCountInString(m) {
		return fmt.Errorf("%d characters from %d", utf8.RuneCountInString(m), utf8.RuneCountInString(o))
	}
	return nil
}

// sameShape: what is not a letter or digit stays, and letters stay letters.
func sameShape(o, m string) error {
	a, b := []rune(o), []rune(m)
	if len(a) != len(b) {
		return fmt.Errorf("another length")
	}
	for i, r := range a {
		c := b[i]
		switch {
		case r > 127:
		case 'a' <= r && r <= 'z' && 'a' <= c && c <= 'z', 'A' <= r && r <= 'Z' && 'A' <= c && c <= 'Z', '0' <= r && r <= '9' && '0' <= c && c <= '9':
		case isOtherMask[byte(r)] != 0 && r == c:
		default:
			return fmt.Errorf("character %d changed its class", i)
		}
	}
	return nil
}

func person(i int) string {
	return givenNames[i%len(givenNames)] + " " + familyNames[i*7%len(familyNames)] + strconv.Itoa(i)
}

func emailOf(i int) string { return fmt.Sprintf("Person%d@corp%d.test", i, i%9) }

func luhnValid(o, m string) error {
	var d []byte
	for i := range len(m) {
		if isDigit(m[i]) {
			d = append(d, m[i])
		}
	}
	if len(d) >= 12 && luhn(d[:len(d)-1]) != d[len(d)-1] {
		return fmt.Errorf("wrong check digit")
	}
	return nil
}

func ibanValid(o, m string) error {
	s := strings.ReplaceAll(m, " ", "")
	var digits strings.Builder
	for _, c := range s[4:] + s[:4] {
		if c >= 'A' {
			fmt.Fprintf(&digits, "%d", c-'A'+10)
		} else {
			digits.WriteRune(c)
		}
	}
	n, ok := new(big.Int).SetString(digits.String(), 10)
	if !ok || new(big.Int).Mod(n, big.NewInt(97)).Int64() != 1 {
		return fmt.Errorf("wrong check digits")
	}
	if m[:2] != o[:2] {
		return fmt.Errorf("another country")
	}
	return nil
}

func within(lo, hi float64) func(string, string) error {
	return func(_, m string) error {
		f, err := strconv.ParseFloat(m, 64)
		if err != nil || f < lo || f > hi {
			return fmt.Errorf("not a number from %v to %v", lo, hi)
		}
		return nil
	}
}

func near(percent float64) func(string, string) error {
	return func(o, m string) error {
		a, err1 := strconv.ParseFloat(o, 64)
		b, err2 := strconv.ParseFloat(m, 64)
		unit := 1.0
		if i := strings.IndexByte(o, '.'); i >= 0 {
			for range len(o) - i - 1 {
				unit /= 10
			}
		}
		d := b - a
		if d < 0 {
			d = -d
		}
		limit := a * percent / 100
		if limit < 0 {
			limit = -limit
		}
		if err1 != nil || err2 != nil || d > max(limit, unit)*1.0000001 {
			return fmt.Errorf("too far away")
		}
		return nil
	}
}

func decimalsStay(o, m string) error {
	_, a, _ := strings.Cut(o, ".")
	_, b, _ := strings.Cut(m, ".")
	if len(a) != len(b) {
		return fmt.Errorf("other decimals")
	}
	return nil
}

func isIP(o, m string) error {
	a, err := netip.ParseAddr(o)
	b, err2 := netip.ParseAddr(m)
	if err != nil || err2 != nil || a.Is4() != b.Is4() {
		return fmt.Errorf("not an address of the same kind")
	}
	bits := 16
	if a.Is6() {
		bits = 32
	}
	pa, _ := a.Prefix(bits)
	if !pa.Contains(b) {
		return fmt.Errorf("another network")
	}
	return nil
}

func isMAC(_, m string) error {
	_, err := net.ParseMAC(m)
	return err
}

func isJSON(_, m string) error {
	if !json.Valid(copytext.Unescape(nil, []byte(m))) {
		return fmt.Errorf("not JSON")
	}
	return nil
}

var properties = map[string]property{
	"constant":            {rule: "{mask: constant, value: gone}", column: "text", value: person, valid: matches("gone"), coarse: true},
	"choice":              {rule: "{mask: choice, values: [a, b, c]}", column: "text", value: person, valid: matches("[abc]"), coarse: true},
	"choice enum":         {rule: "{mask: choice, values: [happy, sad]}", column: "mood", value: func(i int) string { return "happy" }, valid: matches("happy|sad"), coarse: true, fixed: 1},
	"choice bool":         {rule: "{mask: choice, values: [true, false], by: id}", column: "bool", value: func(i int) string { return "t" }, valid: matches("[tf]"), coarse: true, fixed: .6},
	"credential":          {rule: "credential", column: "text", value: person, valid: matches(`\\N`), coarse: true},
	"credential not null": {rule: "credential", column: "text!", value: person, valid: matches(`!`), coarse: true},
	"hash":                {rule: "hash", column: "text", value: person, valid: matches("[0-9a-f]{32}"), distinct: true},
	"hash prefix":         {rule: "{mask: hash, prefix: cus_, digits: 26}", column: "varchar(30)", value: person, valid: matches("cus_[0-9a-f]{26}"), distinct: true},
	"hash short":          {rule: "hash", column: "varchar(12)", value: person, valid: matches("[0-9a-f]{12}")},
	"hash bytea":          {rule: "hash", column: "bytea", value: func(i int) string { return fmt.Sprintf(`\\x%08x`, i) }, valid: matches(`\\\\x[0-9a-f]{32}`), distinct: true},
	"uuid":                {rule: "uuid", column: "uuid", value: func(i int) string { return uuid.NewSHA1(uuid.Nil, []byte{byte(i), byte(i >> 8)}).String() }, valid: matches("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"), distinct: true},
	"uuid text":           {rule: "uuid", column: "varchar(36)", value: person, valid: matches("[0-9a-f-]{36}"), distinct: true},
	"key":                 {rule: "key", column: "int8", value: strconv.Itoa, valid: within(0, 1<<15), distinct: true, fixed: .01},
	"key negative":        {rule: "key", column: "int4", value: func(i int) string { return strconv.Itoa(-i * 1000003 % (1 << 31)) }, valid: matches(`0|-?[1-9]\d*`), distinct: true, fixed: .01},
	"key int2":            {rule: "key", column: "int2", value: strconv.Itoa, valid: within(0, 1<<15-1), distinct: true, fixed: .01},
	"key large":           {rule: "key", column: "numeric", value: func(i int) string { return strconv.FormatInt(1<<62+int64(i)*1e12, 10) }, valid: within(1<<52, 1<<63), distinct: true},
	"email":               {rule: "email", column: "text", value: emailOf, valid: matches(`[a-z]+\.[a-z]+\.[0-9a-v]{20}@example\.(com|net|org)`), distinct: true},
	"email short":         {rule: "email", column: "varchar(40)", value: emailOf, valid: matches(`[a-z]*\.?[0-9a-v]{20}@example\.(com|net|org)`), distinct: true},
	"email shortest":      {rule: "email", column: "varchar(32)", value: emailOf, valid: matches(`[0-9a-v]{20}@example\.(com|net|org)`), distinct: true},
	"email not unique":    {rule: "{mask: email, unique: false}", column: "text", value: emailOf, valid: matches(`[a-z]+\.[a-z]+\d\d@example\.(com|net|org)`)},
	"email domain":        {rule: "{mask: email, domain: acme.test}", column: "text", value: emailOf, valid: matches(`[a-z]+\.[a-z]+\.[0-9a-v]{20}@acme\.test`), distinct: true},
	"email own domain":    {rule: "{mask: email, domain: keep}", column: "text", value: emailOf, valid: matches(`[a-z]+\.[a-z]+\.[0-9a-v]{20}@corp\d\.test`), distinct: true},
	"first_name":          {rule: "first_name", column: "text", value: person, valid: matches("[A-Z][a-z]+"), coarse: true},
	"first_name short":    {rule: "first_name", column: "varchar(4)", value: person, valid: matches("[A-Z][a-z]{1,3}"), coarse: true},
	"last_name":           {rule: "last_name", column: "varchar(10)", value: person, valid: matches("[A-Z][a-z]{1,9}"), coarse: true},
	"full_name":           {rule: "full_name", column: "text", value: person, valid: matches("[A-Z][a-z]+ [A-Z][a-z]+")},
	"full_name short":     {rule: "full_name", column: "varchar(12)", value: person, valid: matches("[A-Z][a-z]+( [A-Z][a-z]+)?"), coarse: true},
	"username":            {rule: "username", column: "text", value: person, valid: matches("[a-z]+_[0-9a-v]{20}"), distinct: true},
	"username short":      {rule: "{mask: username, unique: false}", column: "varchar(9)", value: person, valid: matches(`[a-z]+_\d{3}`), coarse: true},
	"phone germany":       {rule: "phone", column: "text", value: func(i int) string { return fmt.Sprintf("+49 170 %07d", i*7919%10000000) }, valid: all(sameLength, matches(`\+49 (302|406|221|899|699) .*`)), coarse: true},
	"phone north america": {rule: "phone", column: "text", value: func(i int) string { return fmt.Sprintf("(415) 7%02d-%04d", i%100, i*7919%10000) }, valid: matches(`\([2-9]\d\d\) 555-01\d\d`), coarse: true},
	"phone +1":            {rule: "phone", column: "text", value: func(i int) string { return fmt.Sprintf("+1415%07d", i*7919%10000000) }, valid: matches(`\+1[2-9]\d\d55501\d\d`), coarse: true},
	"phone elsewhere":     {rule: "phone", column: "varchar(16)", value: func(i int) string { return fmt.Sprintf("+370 6%07d", i*7919%10000000) }, valid: matches(`\+370 000\d{5}`), coarse: true},
	"phone national":      {rule: "phone", column: "text", value: func(i int) string { return fmt.Sprintf("0170 %07d", i*7919%10000000) }, valid: matches(`0099 9\d{6}`), coarse: true},
	"phone unique":        {rule: "{mask: phone, unique: true}", column: "text", value: func(i int) string { return fmt.Sprintf("+49 170 %07d", i*7919%10000000) }, valid: matches(`\+888\d\d \d{3} \d{7}`), distinct: true},
	"text": {rule: "text", column: "text", value: func(i int) string {
		return person(i) + ", born 1970-01-01; Straße Übung 東京 " + strings.Repeat("x", i%200)
	}, valid: all(sameLength, sameShape)},
	"text short":              {rule: "text", column: "varchar(3)", value: func(i int) string { return fmt.Sprintf("%03d", i%1000) }, valid: all(sameLength, sameShape), fixed: .02, coarse: true},
	"regex":                   {rule: `{mask: regex, pattern: '(ORD-)\d+', replace: '${1}000'}`, column: "text", value: func(i int) string { return fmt.Sprintf("ORD-%d", i) }, valid: matches("ORD-000"), coarse: true, fixed: .01},
	"regex with":              {rule: `{mask: regex, pattern: '\S+@\S+', anchored: false, with: email}`, column: "text", value: func(i int) string { return "write to " + emailOf(i) + " now" }, valid: matches(`write to \S+@example\.\w+ now`)},
	"street":                  {rule: "street", column: "text", value: person, valid: matches(`[1-9]\d{0,2} \w+ \w+`)},
	"street short":            {rule: "street", column: "varchar(14)", value: person, valid: matches(`[1-9]\d{0,2} \w+ \w+`)},
	"city":                    {rule: "city", column: "text", value: person, valid: matches(`\w+`), coarse: true},
	"postcode":                {rule: "postcode", column: "varchar(8)", value: func(i int) string { return fmt.Sprintf("SW%d %dAa", i%100, i/100%10) }, valid: all(sameLength, sameShape), fixed: .01},
	"company":                 {rule: "company", column: "text", value: person, valid: matches(`\w+ \w+ \w+`)},
	"permute":                 {rule: "permute", column: "char(11)!", value: func(i int) string { return fmt.Sprintf("DE-%06d-%c", 7*i, 'A'+i%26) }, valid: matches(`[A-Z]{2}-[0-9]{6}-[A-Z]`), distinct: true},
	"permute long":            {rule: "permute", column: "varchar(40)", value: func(i int) string { return fmt.Sprintf("a%030dZ", i) }, valid: matches(`[a-z][0-9]{30}[A-Z]`), distinct: true},
	"permute fold":            {rule: "permute", column: "citext", value: func(i int) string { return fmt.Sprintf("aB%04d", i) }, valid: matches(`[a-zA-Z]{2}[0-9]{4}`), distinct: true},
	"permute bytea":           {rule: "permute", column: "bytea", value: func(i int) string { return fmt.Sprintf(`\\x%08x`, i) }, valid: matches(`\\\\x[0-9a-f]{8}`), distinct: true},
	"permute large bytea":     {rule: "permute", column: "bytea", value: func(i int) string { return fmt.Sprintf(`\\x%040x`, i) }, valid: matches(`\\\\x[0-9a-f]{40}`), distinct: true},
	"product":                 {rule: "product", column: "text", value: person, valid: matches(`\w+ \w+`)},
	"product short":           {rule: "product", column: "varchar(9)", value: person, valid: matches(`\w+( \w+)?`), coarse: true},
	"company short":           {rule: "company", column: "varchar(16)", value: person, valid: matches(`\w+( \w+ \w+)?`), coarse: true},
	"url":                     {rule: "url", column: "text", value: func(i int) string { return fmt.Sprintf("http://acme.test/u/%d", i) }, valid: matches(`http://www\.example\.com/[0-9a-v]{20}`), distinct: true},
	"url short":               {rule: "{mask: url, unique: false}", column: "varchar(30)", value: func(i int) string { return fmt.Sprintf("https://acme.test/u/%d", i) }, valid: matches(`https://example\.com/[0-9a-v]{8}`)},
	"ip inet":                 {rule: "ip", column: "inet", value: func(i int) string { return fmt.Sprintf("10.1.%d.%d", i/256%256, i%256) }, valid: isIP, distinct: true, fixed: .01},
	"ip v6":                   {rule: "ip", column: "inet", value: func(i int) string { return fmt.Sprintf("2001:db8:%x::%x", i%500, i+1) }, valid: isIP, distinct: true},
	"ip text":                 {rule: "ip", column: "text", value: func(i int) string { return fmt.Sprintf("10.1.%d.%d", i/256%256, i%256) }, valid: isIP, fixed: .01},
	"ip text v6":              {rule: "ip", column: "text", value: func(i int) string { return fmt.Sprintf("2001:db8:%x::%x", i%500, i+1) }, valid: isIP},
	"cidr":                    {rule: "{mask: ip, keep4: 8}", column: "cidr", value: func(i int) string { return fmt.Sprintf("10.%d.%d.0/24", i/256%256, i%256) }, valid: matches(`10\.\d+\.\d+\.0/24`), distinct: true, fixed: .01},
	"mac":                     {rule: "mac", column: "macaddr", value: func(i int) string { return fmt.Sprintf("08:00:2b:00:%02x:%02x", i/256%256, i%256) }, valid: all(isMAC, matches("[0-9a-f][26ae].*"))},
	"mac unique":              {rule: "{mask: mac, unique: true}", column: "macaddr8", value: func(i int) string { return fmt.Sprintf("08:00:2b:00:00:01:%02x:%02x", i/256%256, i%256) }, valid: isMAC, distinct: true},
	"noise int":               {rule: "number_noise", column: "int4", value: func(i int) string { return strconv.Itoa(i * 37) }, valid: near(10), fixed: .01, coarse: true},
	"noise int2 at its limit": {rule: "{mask: number_noise, percent: 100}", column: "int2", value: func(i int) string { return strconv.Itoa(32767 - i%100) }, valid: within(0, 32767), fixed: .01, coarse: true},
	"noise numeric":           {rule: "number_noise", column: "numeric(7,2)", value: func(i int) string { return fmt.Sprintf("-%d.%02d", 99999-i, i%100) }, valid: all(near(10), decimalsStay, matches(`-\d{1,5}\.\d\d`)), fixed: .01, coarse: true},
	"noise long numeric":      {rule: "number_noise", column: "numeric", value: func(i int) string { return "123456789012345678901234567890." + fmt.Sprintf("%010d", i) }, valid: all(near(10), decimalsStay)},
	"noise amount":            {rule: "{mask: number_noise, amount: 2.5}", column: "float8", value: func(i int) string { return fmt.Sprintf("%d.5", 10+i%90) }, valid: within(0, 110), fixed: .1, coarse: true},
	"noise exponent":          {rule: "number_noise", column: "float8", value: func(i int) string { return fmt.Sprintf("1.%03de+%02d", i%1000, 20+i%70) }, valid: near(10), fixed: .01, coarse: true},
	"range":                   {rule: "{mask: number_range, min: -1.50, max: 3}", column: "numeric(4,2)", value: func(i int) string { return strconv.Itoa(i) }, valid: all(within(-1.5, 3), matches(`-?\d\.\d\d`)), fixed: .01, coarse: true},
	"range by id":             {rule: "{mask: number_range, min: 1, max: 1000, by: id}", column: "int2", value: func(i int) string { return "7" }, valid: within(1, 1000), fixed: .01, coarse: true},
	"latlong": {rule: "latlong", column: "float8", value: func(i int) string { return fmt.Sprintf("-52.%06d", i*7919%1000000) }, valid: func(o, m string) error {
		if o[:5] != m[:5] || len(o) != len(m) {
			return fmt.Errorf("another cell")
		}
		return nil
	}, fixed: .01},
	"geometry":          {rule: "geometry", column: "geometry", value: func(i int) string { return hexPoint(4326, 13+float64(i*7919%100000)/1e5, 52.5) }, valid: sameSquare(1000)},
	"geography":         {rule: "{mask: geometry, metres: 100}", column: "geography", value: func(i int) string { return hexPoint(4326, -70-float64(i*7919%100000)/1e5, -33.5) }, valid: sameSquare(100)},
	"vector":            {rule: "vector", column: "vector", value: func(i int) string { return fmt.Sprintf("[0.%d,-1e-05,2]", i) }, valid: matches(`\[(-?0\.\d\d,){2}-?0\.\d\d\]`)},
	"latlong point":     {rule: "{mask: latlong, decimals: 2}", column: "point", value: func(i int) string { return fmt.Sprintf("(13.%06d,52.5)", i*7919%1000000) }, valid: matches(`\(13\.\d{6},52\.\d\)`), fixed: .01},
	"date_shift":        {rule: "{mask: date_shift, by: id, days: 400}", column: "date", value: func(i int) string { return dateString(int64(i * 11)) }, valid: shifted(400), fixed: .001, coarse: true},
	"date_shift time":   {rule: "{mask: date_shift, by: id}", column: "timestamptz", value: func(i int) string { return dateString(int64(i*11)) + " 12:34:56.789+02" }, valid: all(shifted(180), matches(`.* 12:34:56\.789\+02`)), coarse: true},
	"year_only":         {rule: "year_only", column: "date", value: func(i int) string { return dateString(int64(i * 11)) }, valid: func(o, m string) error { return matches(o[:4]+"-01-01")(o, m) }, fixed: .01, coarse: true},
	"year_only time":    {rule: "year_only", column: "timestamptz", value: func(i int) string { return dateString(int64(i*11)) + " 12:34:56.789+02" }, valid: func(o, m string) error { return matches(o[:4]+`-01-01 00:00:00\+00`)(o, m) }, coarse: true},
	"card":              {rule: "card", column: "varchar(19)", value: func(i int) string { return fmt.Sprintf("5%03d 1234 %04d 9012", i%1000, i) }, valid: all(luhnValid, matches(`5555 55\d\d \d{4} \d{4}`))},
	"card amex":         {rule: "card", column: "text", value: func(i int) string { return fmt.Sprintf("3712345%08d", i) }, valid: all(luhnValid, matches(`378282\d{9}`))},
	"card last four":    {rule: "card", column: "text", value: func(i int) string { return fmt.Sprintf("**** %04d", i%10000) }, valid: matches(`\*{4} \d{4}`), fixed: .01},
	"iban":              {rule: "iban", column: "varchar(34)", value: func(i int) string { return fmt.Sprintf("DE00 3704 0044 %04d 0130 00", i%10000) }, valid: all(ibanValid, sameLength)},
	"iban letters":      {rule: "iban", column: "text", value: func(i int) string { return fmt.Sprintf("GB00WEST1234569%07d", i) }, valid: all(ibanValid, matches(`GB\d\dXXXX\d{14}`))},
	"json":              {rule: "json", column: "jsonb", value: jsonOf, valid: isJSON},
	"json paths":        {rule: "{mask: json, paths: {$: keep, $.mail: email, '$.tags[*]': hash}, keys: {n: number_noise}}", column: "json", value: jsonOf, valid: all(isJSON, matches(`\{"mail": "[^"]+@example\.\w+", "n": [\d.]+, "on": (true|false|null), "tags": \["[0-9a-f]{32}", "[0-9a-f]{32}"\], "o": \{"x": "a.*é"\}\}`))},
	"array":             {rule: "{mask: array, of: email}", column: "text[]", value: func(i int) string { return fmt.Sprintf(`{%s,NULL,"a, b %d"}`, emailOf(i), i) }, valid: matches(`\{\S+@example\.\w+,NULL,\S+@example\.\w+\}`)},
	"array nested":      {rule: "{mask: array, of: text}", column: "text[]", value: func(i int) string { return fmt.Sprintf(`[0:1][1:1]={{"Ann \\"%d"},{Bob}}`, i) }, valid: matches(`\[0:1\]\[1:1\]=\{\{"\w+ \\\\"\d+"\},\{\w+\}\}`)},
	"array of integers": {rule: "{mask: array, of: key}", column: "int4[]", value: func(i int) string { return fmt.Sprintf(`{%d,%d}`, i, i+1) }, valid: matches(`\{\d+,\d+\}`), fixed: .001},
	"hstore": {rule: "{mask: hstore, keys: {mail: email, k: keep}}", column: "hstore", value: func(i int) string {
		return fmt.Sprintf(`"k"=>"v", "mail"=>"%s", "x"=>NULL, "y"=>"say \\"hi\\""`, emailOf(i))
	}, valid: matches(`"k"=>"v", "mail"=>"\S+@example\.\w+", "x"=>NULL, "y"=>"\w+ \\\\"\w+\\\\""`)},
	"noise interval": {rule: "number_noise", column: "interval", value: func(i int) string { return fmt.Sprintf("%d mons -3 days %02d:04:05.678901", i, i%24) }, valid: matches(`(\d+ mons )?(-?\d+ days )?-?\d\d+:\d\d:\d\d(\.\d{6})?`)},
	"noise months": {rule: "number_noise", column: "interval", value: func(i int) string { return fmt.Sprintf("%d mons", 1+i%3) }, valid: func(o, m string) error {
		before, ok1 := parseInterval([]byte(o))
		after, ok2 := parseInterval([]byte(m))
		if d := abs((after.days-before.days)*86400e6 + after.micros); !ok1 || !ok2 || after.months != before.months || d < 1e6 || d > uint64(before.months)*3*86400e6 {
			return fmt.Errorf("%d microseconds more or less", d)
		}
		return nil
	}, coarse: true},
	"noise money":     {rule: "number_noise", column: "money", value: func(i int) string { return fmt.Sprintf("-$9,9%02d.%02d", i%100, i/100) }, valid: matches(`-\$([89]|1?[01]),\d{3}\.\d\d`), fixed: .01, coarse: true},
	"noise money eu":  {rule: "{mask: number_noise, amount: 2}", column: "money", value: func(i int) string { return fmt.Sprintf("1.%03d,%02d €", i%1000, i/1000) }, valid: matches(`[012]\.\d{3},\d\d €`), fixed: .01, coarse: true},
	"noise int range": {rule: "number_noise", column: "int4range", value: func(i int) string { return fmt.Sprintf("[%d,%d)", -i*7, i*9+1) }, valid: ordered, coarse: true},
	"noise int range at its limit": {rule: "{mask: number_noise, percent: 100}", column: "int4range", value: func(i int) string { return fmt.Sprintf("[%d,2147483647)", i) }, valid: func(o, m string) error {
		_, upper, _ := strings.Cut(strings.Trim(m, "[)"), ",")
		return all(func(_, m string) error { return ordered("", m) }, func(string, string) error { return within(-1<<31, 1<<31-1)("", upper) })(o, m)
	}, coarse: true},
	"noise number range": {rule: "{mask: number_noise, amount: 1.5}", column: "numrange", value: func(i int) string { return fmt.Sprintf("(%d.05,%d.1]", i, i) }, valid: all(ordered, matches(`\(-?\d+\.\d\d,-?\d+\.\d\d\]`)), coarse: true, fixed: .01},
	"noise multirange":   {rule: "number_noise", column: "int8range", value: func(i int) string { return fmt.Sprintf("{(,%d),[%d,%d)}", i, i*2+1, i*3+2) }, valid: matches(`\{\(,-?\d+\),\[-?\d+,-?\d+\)\}`), coarse: true},
	"date_shift range": {rule: "{mask: date_shift, by: id}", column: "daterange", value: func(i int) string { return "[" + dateString(int64(i)) + "," + dateString(int64(i+40)) + ")" }, valid: func(o, m string) error {
		a, _, ok1 := parseDate([]byte(m[1:]))
		b, _, ok2 := parseDate([]byte(m[strings.IndexByte(m, ',')+1:]))
		if !ok1 || !ok2 || b.days()-a.days() != 40 {
			return fmt.Errorf("not 40 days")
		}
		return nil
	}, fixed: .01, coarse: true},
	"date_shift time range": {rule: "{mask: date_shift, by: id}", column: "tstzrange", value: func(i int) string { return fmt.Sprintf(`["%s 01:02:03+02",infinity)`, dateString(int64(i))) }, valid: matches(`\["\d{4}-\d\d-\d\d 01:02:03\+02",infinity\)`), fixed: .01, coarse: true},
	"composite":             {rule: "{mask: composite, attributes: {a: key, b: text}}", column: "pair", value: func(i int) string { return fmt.Sprintf(`(%d,"a ""q"" \\\\ %d")`, i, i) }, valid: matches(`\(\d+,"\w ""\w"" |\(\d+,"\w \\\\"\w\\\\" \\\\\\\\ \d+"\)`)},
	"composite comma":       {rule: "{mask: composite, attributes: {a: keep, b: text}}", column: "pair", value: func(i int) string { return fmt.Sprintf(`(%d,"a, b %d")`, i, i) }, valid: matches(`\(\d+,"\w, \w \d+"\)`)},
	"composite nulls":       {rule: "{mask: composite, attributes: {a: 'null', b: keep}}", column: "pair", value: func(i int) string { return fmt.Sprintf(`(%d,"")`, i) }, valid: matches(`\(,""\)`), coarse: true},
	"array of composite":    {rule: "{mask: array, of: {mask: composite, attributes: {a: keep, b: hash}}}", column: "pair[]", value: func(i int) string { return fmt.Sprintf(`{"(%d,\\"a b\\")",NULL}`, i) }, valid: matches(`\{"\(\d+,[0-9a-f]{12}\)",NULL\}`)},
	"xml": {rule: "{mask: xml, elements: {mail: email, n: keep}, attributes: {id: hash}}", column: "xml", value: func(i int) string {
		return fmt.Sprintf(`<?xml version="1.0"?><!-- Ann %d --><a:p xmlns:a="urn:x" id='%d' t="A&amp;B"><mail>a&#%d;@b.test</mail> <n>%d</n><![CDATA[<%d>]]><e/></a:p>`, i, i, 97+i%20, i, i)
	}, valid: matches(`<\?xml version="1.0"\?><a:p xmlns:a="urn:x" id='[0-9a-f]{32}' t="[A-Z]&amp;[A-Z]"><mail>\S+@example\.\w+</mail> <n>\d+</n>&lt;\d+&gt;<e/></a:p>`)},
	"rebuild": {rule: "{mask: rebuild, as: lower(x)}", column: "text!", value: person, valid: matches(`\\N`), coarse: true},
	"bytea":   {rule: "bytea", column: "bytea", value: func(i int) string { return fmt.Sprintf(`\\x%08x%s`, i, strings.Repeat("00", i%300)) }, valid: all(sameLength, matches(`\\\\x([0-9a-f]{2})*`))},
}

// ordered: the bounds of a range stay in order.
func ordered(_, m string) error {
	lower, upper, _ := strings.Cut(strings.Trim(m, "[]()"), ",")
	a, err1 := strconv.ParseFloat(lower, 64)
	b, err2 := strconv.ParseFloat(upper, 64)
	if err1 != nil || err2 != nil || a > b {
		return fmt.Errorf("bounds out of order")
	}
	return nil
}

func jsonOf(i int) string {
	return fmt.Sprintf(`{"mail": "%s", "n": %d.5, "on": %s, "tags": ["a%d", "b"], "o": {"x": "a\\"\\\\\\u00e9 %dé"}}`, emailOf(i), i, []string{"true", "false", "null"}[i%3], i, i)
}

func dateString(days int64) string {
	return string(dateOf(days).appendEra(dateOf(days).appendDay(nil)))
}

func shifted(limit int64) func(string, string) error {
	return func(o, m string) error {
		a, _, ok1 := parseDate([]byte(o))
		b, _, ok2 := parseDate([]byte(m))
		d := b.days() - a.days()
		if !ok1 || !ok2 || d == 0 || d > limit || d < -limit {
			return fmt.Errorf("shifted by %d days", d)
		}
		return nil
	}
}

// Values in properties are written as COPY fields.
func TestMaskerProperties(t *testing.T) {
	t.Parallel()
	tested := map[string]bool{"keep": true, "null": true}
	for name, p := range properties {
		for m := range maskers {
			if strings.HasPrefix(p.rule, "{mask: "+m+",") || p.rule == m {
				tested[m] = true
			}
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testProperty(t, p)
		})
	}
	for m := range maskers {
		if !tested[m] {
			t.Errorf("masker %s has no property test", m)
		}
	}
}

func testProperty(t *testing.T, p property) {
	t.Helper()
	c := Catalog{Tables: []Table{tableOf("t", "id int8", "a "+p.column, "b "+p.column)}}
	policy, err := ParsePolicy([]byte("version: 1\ntables: {public.t: {columns: {id: keep, a: " + p.rule + ", b: " + p.rule + "}}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	key := keyOf(t)
	other, err := NewKey([]byte("another key of thirty-two bytes or more"))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := Compile(policy, key, c)
	if err != nil {
		t.Fatal(err)
	}
	plan2, err := Compile(policy, other, c)
	if err != nil {
		t.Fatal(err)
	}
	if got := plan.Table("public", "t").Columns[1].Unique; got != p.distinct {
		t.Errorf("the plan promises distinct masks: %v, want %v", got, p.distinct)
	}
	w1, w2, w3 := plan.Table("public", "t").NewWorker(), plan.Table("public", "t").NewWorker(), plan2.Table("public", "t").NewWorker()
	length := c.Tables[0].Columns[1].Length
	seen := map[string]string{}
	n, fixed, sameColumn, sameKey := 3000, 0, 0, 0
	for i := range n {
		o := p.value(i)
		row := fmt.Appendf(nil, "%d\t%s\t%s", i, o, o)
		before := bytes.Clone(row)
		out, err := w1.Append(nil, row)
		if err != nil {
			t.Fatalf("%s: %v", o, err)
		}
		if !bytes.Equal(row, before) {
			t.Fatal("the input was written to")
		}
		fields, err := copytext.Split(nil, bytes.TrimSuffix(out, []byte("\n")))
		if err != nil || len(fields) != 3 {
			t.Fatalf("%q: %d fields, %v", out, len(fields), err)
		}
		mask := string(fields[1])
		if err := p.valid(o, mask); err != nil {
			t.Fatalf("%q from %q: %v", mask, o, err)
		}
		if plain := copytext.Unescape(nil, fields[1]); length > 0 && utf8.RuneCount(plain) > length {
			t.Fatalf("%q has more than %d characters", mask, length)
		}
		again, err := w2.Append([]byte("x"), row)
		if err != nil || string(again[1:]) != string(out) {
			t.Fatalf("%q and then %q, %v", out, again, err)
		}
		if first, dup := seen[mask]; p.distinct && dup && first != o {
			t.Fatalf("%q and %q both become %q", o, first, mask)
		}
		seen[mask] = o
		if mask == o {
			fixed++
		}
		if mask == string(fields[2]) {
			sameColumn++
		}
		if keyed, err := w3.Append(nil, row); err != nil || string(keyed) == string(out) {
			sameKey++
		}
	}
	if got := float64(fixed) / float64(n); got > p.fixed {
		t.Errorf("%.3f of the masks equal their original, at most %.3f expected", got, p.fixed)
	}
	if !p.coarse && (sameColumn > n/50 || sameKey > n/50) {
		t.Errorf("of %d masks %d are the same in another column and %d rows under another key", n, sameColumn, sameKey)
	}
	out, err := w1.Append(nil, []byte("1\t\\N\t\\N"))
	if err != nil || string(out) != "1\t\\N\t\\N\n" {
		t.Errorf("NULL becomes %q, %v", out, err)
	}
}

// Values that no masker of that name can read stop the import, and the error
// does not hold them.
func TestMalformedValuesStop(t *testing.T) {
	t.Parallel()
	const canary = "SECRETVALUE"
	malformed := map[string][]string{
		// What follows a date passes as it is: it can be nothing but a time.
		"{mask: date_shift, by: id}": {
			"2024-01-31 - 2024-02-15", "2024-01-31 2024-02-15", "1970-05-01 +49 170 1234567", "1970-05-01 4111 1111 1111 1111", "2024-01-31 12:00:00 0170 1234567",
			"2024-01-31 12:00:00+4917012", "2024-01-31 12:00:00.1701234567", "2024-01-31 99:99:99", "2024-01-31T", "2024-01-31 1", "2024-01-31 12", "2024-01-31 12:00:00+02:00:00:00", "2024-01-31 12:00:00ZZ", "2024-01-31-02",
		},
	}
	// No place on earth: metres of a projection would pass to the centimetre.
	malformed["latlong"] = []string{"5334567.125", "691607", "4917112345678", "361", "-999", "1000"}
	for rule, typ := range map[string]string{
		"{mask: composite, attributes: {a: key, b: text}}": "pair", "{mask: number_noise, percent: 1}": "interval", "{mask: number_noise, percent: 2}": "int8range",
		"{mask: date_shift, by: id, days: 9}": "daterange",
		"ip":                                  "text", "mac": "text", "number_noise": "text", "latlong": "text", "{mask: date_shift, by: id}": "text", "year_only": "text",
		"card": "text", "iban": "text", "json": "jsonb", "{mask: array, of: text}": "text[]", "hstore": "hstore", "bytea": "bytea", "key": "int8", "geometry": "geometry", "vector": "vector",
		"{mask: regex, pattern: '[0-9]+', replace: x}": "text", "{mask: phone, unique: true}": "text",
	} {
		plan, err := tryCompile(t, "tables: {public.t: {columns: {id: keep, a: "+rule+"}}}", tableOf("t", "id int8", "a "+typ))
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range []string{canary, `{"` + canary, canary + "1", "1 " + canary, `"` + canary + `"=>`, `\\x` + canary} {
			_, err = plan.Table("public", "t").NewWorker().Append(nil, []byte("1\t"+v))
			if err == nil {
				t.Errorf("%s: %q was taken", rule, v)
				continue
			}
			if strings.Contains(err.Error(), canary) || strings.Contains(fmt.Sprintf("%#v", err), canary) {
				t.Errorf("%s: the error holds the value: %v", rule, err)
			}
		}
	}
	for rule, values := range malformed {
		plan, err := tryCompile(t, "tables: {public.t: {columns: {id: keep, a: "+rule+"}}}", tableOf("t", "id int8", "a text"))
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			if out, err := plan.Table("public", "t").NewWorker().Append(nil, []byte("1\t"+v)); err == nil {
				t.Errorf("%s: %q was taken, and became %q", rule, v, out)
			}
		}
	}
	xml, err := tryCompile(t, "tables: {public.t: {columns: {a: xml}}}", tableOf("t", "a xml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"<" + canary, "<a " + canary + ">", "<a b=" + canary + "/>", "<a b='" + canary + "/>", "<!DOCTYPE a [<!ENTITY e '" + canary + "'>]><a>&e;</a>", "&" + canary + ";", "&#0;" + canary, "<!--" + canary, "<p_" + canary + "1234/>", "</a b='" + canary + "'>"} {
		if out, err := xml.Table("public", "t").NewWorker().Append(nil, []byte(v)); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("xml: %q becomes %q, %v", v, out, err)
		}
	}
	plan, err := tryCompile(t, "tables: {public.t: {columns: {a: {mask: ip, malformed: text}, b: {mask: ip, malformed: null}}}}", tableOf("t", "a text", "b text"))
	if err != nil {
		t.Fatal(err)
	}
	short, err := tryCompile(t, "tables: {public.t: {columns: {a: {mask: regex, pattern: '[0-9]+', replace: x, malformed: text}, b: {mask: regex, pattern: '[0-9]+', replace: x, malformed: null}}}}", tableOf("t", "a varchar(20)", "b varchar(20)"))
	if err != nil {
		t.Fatal(err)
	}
	if got := maskRow(t, short, "t", "unknown", "unknown"); got[0] == "unknown" || sameShape("unknown", got[0]) != nil || got[1] != `\N` {
		t.Errorf("malformed values in columns with a length became %q", got)
	}
	got := maskRow(t, plan, "t", "unknown host", "unknown host")
	if got[0] == "unknown host" || sameShape("unknown host", got[0]) != nil || got[1] != `\N` {
		t.Errorf("malformed values became %q", got)
	}
}

// char(n) fills values up with spaces, which are not part of them.
func TestPaddedTexts(t *testing.T) {
	t.Parallel()
	for rule, value := range map[string]string{
		"ip": "10.1.2.3", "{mask: ip, keep6: 16}": "2001:db8::1", "mac": "08:00:2b:00:00:01", "number_noise": "1234.50", "latlong": "48.13712", "year_only": "2024-05-06",
		"{mask: date_shift, by: id}": "0044-03-15 BC", "card": "5500 0000 0000 0004", "iban": "DE89370400440532013000", "phone": "+49 170 1234567",
		"{mask: regex, pattern: '[0-9]+', with: text}": "12345",
	} {
		plan, err := tryCompile(t, "tables: {public.t: {columns: {id: keep, a: "+rule+", b: "+rule+"}}}\nlinks: {l: [public.t.a, public.t.b]}",
			tableOf("t", "id int8", "a bpchar(50)", "b varchar(60)"))
		if err != nil {
			t.Fatal(err)
		}
		row := "1\t" + value + strings.Repeat(" ", 50-len(value)) + "\t" + value
		out, err := plan.Table("public", "t").NewWorker().Append(nil, []byte(row))
		if err != nil {
			t.Errorf("%s: %v", rule, err)
			continue
		}
		got := strings.Split(strings.TrimSuffix(string(out), "\n"), "\t")
		if strings.TrimRight(got[1], " ") != got[2] || got[2] == value {
			t.Errorf("%s: %q", rule, got)
		}
	}
}

// Numbers are equal whatever zeros stand behind their point.
func TestNumbersOfAnyScaleAgree(t *testing.T) {
	t.Parallel()
	plan, err := tryCompile(t, "tables: {public.t: {columns: {a: keep, b: {mask: date_shift, by: a}, c: {mask: choice, values: [1, 2, 3, 4, 5, 6, 7, 8, 9]}}}}",
		tableOf("t", "a numeric", "b date", "c numeric"))
	if err != nil {
		t.Fatal(err)
	}
	masks := map[string]int{}
	for _, v := range []string{"50", "50.0", "50.00", "5", "5.5", "5.50", "500"} {
		got := maskRow(t, plan, "t", v, "2024-01-01", v)
		masks[got[1]+" "+got[2]]++
	}
	var times []int
	for _, n := range masks {
		times = append(times, n)
	}
	if slices.Sort(times); !slices.Equal(times, []int{1, 1, 2, 3}) {
		t.Errorf("equal masks: %v", masks)
	}
}

// The mask of a number that fills its column does, too.
func TestNumbersThatFillTheirColumn(t *testing.T) {
	t.Parallel()
	plan, err := tryCompile(t, "tables: {public.t: {columns: {a: number_noise}}}", tableOf("t", "a varchar(5)"))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"12345", "-1234", "12.34"} {
		if got := maskRow(t, plan, "t", v); len(got[0]) != 5 || got[0] == v {
			t.Errorf("%s becomes %s", v, got[0])
		}
	}
	if _, err := plan.Table("public", "t").NewWorker().Append(nil, []byte("-99999")); err == nil {
		t.Error("six characters were taken")
	}
}

// Nothing of these may be in their masks: what a masker keeps, it recognizes.
func TestPartsThatMustNotPass(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ rule, column, value, part string }{
		{"{mask: email, domain: keep}", "text", "@janedoe", "janedoe"},
		{"{mask: email, domain: keep}", "text", "write to @janedoe", "janedoe"},
		{"{mask: email, domain: keep}", "text", "me@janedoe", "janedoe"},
		{"{mask: email, domain: keep}", "text", "me@0171-2345678", "2345678"},
		{"{mask: email, domain: keep}", "text", "me@0171.2345678", "2345678"},
		{"{mask: email, domain: keep}", "text", "me@.janedoe", "janedoe"},
		{"{mask: email, domain: keep}", "text", "me@janedoe.", "janedoe"},
		{"{mask: email, domain: keep}", "text", "@jane.doe", "jane.doe"},
		{"{mask: email, domain: keep}", "text", "cc @jane.doe", "jane.doe"},
		{"{mask: email, domain: keep}", "text", "cc:@jane.doe", "jane.doe"},
		{"{mask: email, domain: keep}", "text", "me@jane..doe", "jane"},
		{"phone", "text", "+0171 2345678", "+017"},
		{"phone", "text", "00171 2345678", "171 2"},
		{"json", "json", `{"n": 1e4917112345678}`, "4917112345678"},
		{"xml", "xml", `<p xml:id="jane.doe"/>`, "jane.doe"},
		{"xml", "xml", `<p xml:base="mailto:jane"/>`, "jane"},
		{"xml", "xml", `<p xml:lang="jane doe"/>`, "jane"},
		{"xml", "xml", `<p xml:space="jane"/>`, "jane"},
		{"xml", "xml", `<p xmlnsmail="jane"/>`, "jane"},
	} {
		plan, err := tryCompile(t, "tables: {public.t: {columns: {a: "+tt.rule+"}}}", tableOf("t", "a "+tt.column))
		if err != nil {
			t.Fatal(err)
		}
		if got := maskRow(t, plan, "t", tt.value); strings.Contains(got[0], tt.part) {
			t.Errorf("%s: %q becomes %q", tt.rule, tt.value, got[0])
		}
	}
	for rule, values := range map[string][]string{
		"{mask: email, domain: keep}": {"a@b.de", "jane.doe@sub.corp-1.test", "\"a@b\"@xn--bcher-kva.example", "a@1und1.de"},
	} {
		plan, err := tryCompile(t, "tables: {public.t: {columns: {a: "+rule+"}}}", tableOf("t", "a text"))
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			if got := maskRow(t, plan, "t", v); !strings.HasSuffix(got[0], v[strings.LastIndexByte(v, '@'):]) {
				t.Errorf("%s: %q becomes %q", rule, v, got[0])
			}
		}
	}
	plan, err := tryCompile(t, "tables: {public.t: {columns: {a: xml}}}", tableOf("t", "a xml"))
	if err != nil {
		t.Fatal(err)
	}
	const declarations = `<p xmlns="urn:a" xmlns:b='urn:b' xml:lang="de-CH" xml:space="preserve" b:x=""/>`
	if got := maskRow(t, plan, "t", declarations); got[0] != declarations {
		t.Errorf("declarations become %q", got[0])
	}
}

func TestEmptyTexts(t *testing.T) {
	t.Parallel()
	for name, p := range properties {
		if typ := columnOf("a " + p.column); typ.elementKind() != kindText || typ.Array {
			continue
		}
		switch name {
		case "constant", "choice", "credential", "credential not null", "regex", "rebuild":
			continue
		}
		plan, err := tryCompile(t, "tables: {public.t: {columns: {id: keep, a: "+p.rule+"}}}", tableOf("t", "id int8", "a "+p.column))
		if err != nil {
			t.Fatal(err)
		}
		if got := maskRow(t, plan, "t", "1", ""); got[1] != "" {
			t.Errorf("%s: an empty text becomes %q", name, got[1])
		}
	}
}

//nolint:paralleltest // AllocsPerRun forbids it
func TestNoAllocations(t *testing.T) {
	for name, p := range properties {
		if strings.HasPrefix(name, "regex") || strings.Contains(name, "v6") {
			continue // the standard library's matcher and parser allocate
		}
		plan, err := tryCompile(t, "tables: {public.t: {columns: {id: keep, a: "+p.rule+"}}}", tableOf("t", "id int8", "a "+p.column))
		if err != nil {
			t.Fatal(err)
		}
		w := plan.Table("public", "t").NewWorker()
		row := []byte("1\t" + p.value(199))
		dst := make([]byte, 0, 1<<16)
		if n := testing.AllocsPerRun(20, func() { dst, err = w.Append(dst[:0], row) }); n != 0 || err != nil {
			t.Errorf("%s: %v allocations per row, %v", name, n, err)
		}
	}
}

// Workers share a plan and nothing else.
func TestWorkersInParallel(t *testing.T) {
	t.Parallel()
	plan := mustCompile(t, benchPolicy, benchCatalog())
	for _, name := range []string{"users", "events", "audit_log"} {
		rows := benchRows(name, 200)
		outputs := make([][]byte, 4)
		var wg sync.WaitGroup
		for i := range outputs {
			wg.Go(func() {
				w := plan.Table("public", name).NewWorker()
				for _, row := range rows {
					var err error
					if outputs[i], err = w.Append(outputs[i], row); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		for _, o := range outputs[1:] {
			if !bytes.Equal(o, outputs[0]) {
				t.Errorf("%s: two workers differ", name)
			}
		}
	}
}

func TestManyKeysStayDistinct(t *testing.T) {
	t.Parallel()
	plan, err := tryCompile(t, "tables: {public.t: {columns: {id: key}}}", tableOf("t", "id int8"))
	if err != nil {
		t.Fatal(err)
	}
	w := plan.Table("public", "t").NewWorker()
	// The whole of the first zone: a permutation hits every number once.
	seen := make([]bool, 1<<14)
	for i := 1; i < 1<<14; i++ {
		out, err := w.Append(nil, strconv.AppendInt(nil, int64(i), 10))
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(strings.TrimSpace(string(out)))
		if err != nil || n < 1 || n >= 1<<14 || seen[n] {
			t.Fatalf("%d becomes %s", i, out)
		}
		seen[n] = true
	}
	for _, typ := range []string{"int2", "int4", "int8"} {
		plan, err := tryCompile(t, "tables: {public.t: {columns: {id: key}}}", tableOf("t", "id "+typ))
		if err != nil {
			t.Fatal(err)
		}
		w := plan.Table("public", "t").NewWorker()
		bits := intBits(typ)
		if _, err := w.Append(nil, strconv.AppendInt(nil, -1<<(bits-1), 10)); err == nil {
			t.Errorf("%s: the least value was taken", typ)
		}
		out, err := w.Append(nil, strconv.AppendUint(nil, 1<<(bits-1)-1, 10))
		if err != nil {
			t.Fatal(err)
		}
		if _, err = strconv.ParseInt(strings.TrimSpace(string(out)), 10, bits); err != nil {
			t.Errorf("%s: %v", typ, err)
		}
	}
}

func TestDates(t *testing.T) {
	t.Parallel()
	for days, want := range map[int64]string{
		0: "1970-01-01", -1: "1969-12-31", 11016: "2000-02-29", -719162: "0001-01-01", -719163: "0001-12-31 BC", -719528: "0001-01-01 BC",
		2932896: "9999-12-31", 2932897: "10000-01-01",
	} {
		if got := dateString(days); got != want {
			t.Errorf("day %d is %s, want %s", days, got, want)
		}
		if d, _, ok := parseDate([]byte(want)); !ok || d.days() != days {
			t.Errorf("%s is day %d, want %d", want, d.days(), days)
		}
	}
	for days := int64(-800000); days < 800000; days += 37 {
		d, _, ok := parseDate([]byte(dateString(days)))
		if !ok || d.days() != days {
			t.Fatalf("day %d comes back as %d", days, d.days())
		}
	}
}

// What follows a date as PostgreSQL, ISO 8601 and JSON write it stays.
func TestTimesStay(t *testing.T) {
	t.Parallel()
	plan, err := tryCompile(t, "tables: {public.t: {columns: {id: keep, a: {mask: date_shift, by: id}}}}", tableOf("t", "id int8", "a text"))
	if err != nil {
		t.Fatal(err)
	}
	for _, rest := range []string{
		"", " BC", " 12:34", " 12:34:56", "T12:34:56", " 24:00:00", " 12:34:56.789", "T12:34:56.123456789Z", " 12:34:56+02", " 12:34:56-05:30", " 12:34:56.7+00:53:28 BC", "T12:34:56+0200",
		"T12:34Z", " 12:34:56 +02", " 23:59:60", " 12:34:56 BC",
	} {
		if got := maskRow(t, plan, "t", "5", "2024-01-31"+rest); !strings.HasSuffix(got[1], rest) || strings.HasPrefix(got[1], "2024-01-31") {
			t.Errorf("%q: %q", rest, got[1])
		}
	}
}

func TestOrderStaysWithinEntity(t *testing.T) {
	t.Parallel()
	plan, err := tryCompile(t, "tables: {public.t: {columns: {id: keep, a: {mask: date_shift, by: id}, b: {mask: date_shift, by: id}}}}", tableOf("t", "id int8", "a timestamp", "b date"))
	if err != nil {
		t.Fatal(err)
	}
	early, late := maskRow(t, plan, "t", "5", "2024-02-28 23:59:59", "2024-02-28"), maskRow(t, plan, "t", "5", "2024-03-01 00:00:00", "2024-03-01")
	a, _, _ := parseDate([]byte(early[1]))
	b, _, _ := parseDate([]byte(late[1]))
	if b.days()-a.days() != 2 || early[1][:10] != early[2] || late[1][:10] != late[2] {
		t.Errorf("%v %v", early, late)
	}
	if got := maskRow(t, plan, "t", `\N`, "infinity", "0044-03-15 BC"); got[1] != "infinity" || !strings.HasSuffix(got[2], " BC") {
		t.Errorf("%v", got)
	}
}
