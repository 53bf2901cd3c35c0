package greenmask

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/seedling-dev/seedling/hooks/mask"
)

// counterpart finds what a transformer is here.
type counterpart func(t *transformer, c column) mask.Suggestion

// counterparts are Greenmask's transformers by name, those of older releases too.
var counterparts = map[string]counterpart{
	"SetNull":        rules("null"),
	"Replace":        replace,
	"Hash":           hash,
	"Masking":        masking,
	"RegexpReplace":  regexpReplace,
	"Dict":           dict,
	"Json":           asked("json", "Greenmask's Json changes some paths and passes the rest; here all is masked: name under paths what may stay"),
	"HashedPassword": rules("credential"),

	"RandomEmail":               email,
	"RandomPerson":              person,
	"RandomFirstName":           rules("first_name"),
	"RandomFirstNameMale":       rules("first_name"),
	"RandomFirstNameFemale":     rules("first_name"),
	"RandomLastName":            rules("last_name"),
	"RandomName":                rules("full_name"),
	"RandomTitleMale":           rules("{mask: choice, values: [Mr., Dr.]}"),
	"RandomTitleFemale":         rules("{mask: choice, values: [Mrs., Ms., Dr.]}"),
	"RandomUsername":            rules("username"),
	"RandomPassword":            rules("credential"),
	"RandomPhoneNumber":         rules("phone"),
	"RandomE164PhoneNumber":     rules("phone"),
	"RandomTollFreePhoneNumber": rules("phone"),
	"RandomCompany":             template(map[string]string{".CompanyName": "company"}, "company"),
	"RealAddress":               template(map[string]string{".Address": "street", ".City": "city", ".PostalCode": "postcode", ".Latitude": latitude, ".Longitude": longitude}, ""),
	"RandomCCNumber":            rules("card"),
	"RandomCCType":              rules("{mask: choice, values: [Visa, MasterCard, American Express, Discover]}"),
	"RandomCurrency":            rules("{mask: choice, values: [EUR, USD, GBP, JPY]}"),
	"RandomAmountWithCurrency":  rules("{mask: choice, values: [EUR 10.00, EUR 25.50, EUR 99.90]}"),
	"RandomDomainName":          rules("{mask: choice, values: [example.com, example.net, example.org]}"),
	"RandomURL":                 rules("url"),
	"RandomIp":                  rules("{mask: ip, keep4: 0, keep6: 0}"),
	"RandomIP":                  rules("{mask: ip, keep4: 0, keep6: 0}"),
	"RandomIPv4":                rules("{mask: ip, keep4: 0, keep6: 0}"),
	"RandomIPv6":                rules("{mask: ip, keep4: 0, keep6: 0}"),
	"RandomMac":                 rules("mac"),
	"RandomMacAddress":          rules("mac"),
	"RandomUuid":                rules("uuid"),
	"RandomString":              randomString,
	"RandomWord":                rules("text"),
	"RandomSentence":            rules("text"),
	"RandomParagraph":           rules("text"),
	"RandomLatitude":            rules(latitude),
	"RandomLongitude":           rules(longitude),
	"RandomMonthName":           rules("{mask: choice, values: [January, April, July, October]}"),
	"RandomDayOfWeek":           rules("{mask: choice, values: [Monday, Wednesday, Friday]}"),
	"RandomDayOfMonth":          rules("{mask: number_range, min: 1, max: 28}"),
	"RandomYearString":          rules("{mask: number_range, min: 1980, max: 2020}"),
	"RandomTimezone":            rules("{mask: choice, values: [UTC, Europe/Athens, America/New_York, Asia/Tokyo]}"),
	"RandomBool":                rules("{mask: choice, values: [true, false]}"),
	"RandomChoice":              randomChoice,
	"RandomInt":                 between,
	"RandomFloat":               between,
	"RandomNumeric":             between,
	"RandomUnixTimestamp":       between,
	"RandomDate":                randomDate,
	"NoiseInt":                  noise,
	"NoiseFloat":                noise,
	"NoiseNumeric":              noise,
	"NoiseDate":                 noiseDate,
}

const (
	latitude  = "{mask: number_range, min: -90, max: 90, decimals: 6}"
	longitude = "{mask: number_range, min: -180, max: 180, decimals: 6}"
)

func rules(list ...string) counterpart {
	return func(*transformer, column) mask.Suggestion { return mask.Suggestion{Rules: list} }
}

func asked(rule, why string) counterpart {
	return func(*transformer, column) mask.Suggestion { return mask.Suggestion{Rules: []string{rule}, Why: why} }
}

// value is a scalar parameter, "" where it is not there, comes from another column, or
// is a list.
func (t *transformer) value(name string) string {
	if _, dynamic := t.DynamicParams[name]; dynamic {
		return ""
	}
	n, ok := t.Params[name]
	if !ok || n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return ""
	}
	return n.Value
}

// list is a parameter that is a list of scalars, NULLs left out.
func (t *transformer) list(name string) []string {
	n := t.Params[name]
	var out []string
	for _, item := range n.Content {
		if item.Kind == yaml.ScalarNode && item.Tag != "!!null" && item.Value != `\N` {
			out = append(out, item.Value)
		}
	}
	return out
}

// quoted is a value as a scalar of YAML.
func quoted(v string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return `""`
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func quotedList(list []string) string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = quoted(v)
	}
	return "[" + strings.Join(out, ", ") + "]"
}

func replace(t *transformer, _ column) mask.Suggestion {
	n, ok := t.Params["value"]
	switch {
	case len(t.DynamicParams) > 0 || !ok || n.Kind != yaml.ScalarNode:
		return strictest(t.Name)
	case n.Tag == "!!null" || n.Value == `\N`:
		return mask.Suggestion{Rules: []string{"null"}}
	}
	return mask.Suggestion{Rules: []string{"{mask: constant, value: " + quoted(n.Value) + "}"}}
}

func hash(t *transformer, _ column) mask.Suggestion {
	return hexDigits(t.value("max_length"))
}

func randomString(t *transformer, _ column) mask.Suggestion { return hexDigits(t.value("max_length")) }

// hexDigits is masker hash of at most a length, or text where that is too short.
func hexDigits(length string) mask.Suggestion {
	n, err := strconv.Atoi(length)
	switch {
	case err != nil || n <= 0 || n >= 32:
		return mask.Suggestion{Rules: []string{"hash", "text"}}
	case n < 4:
		return mask.Suggestion{Rules: []string{"text"}}
	}
	return mask.Suggestion{Rules: []string{fmt.Sprintf("{mask: hash, digits: %d}", n), "text"}}
}

// masking hides a part of a value with asterisks; the maskers leave less of it.
func masking(t *transformer, _ column) mask.Suggestion {
	rule, ok := map[string]string{
		"": "text", "default": "text", "password": "credential", "name": "full_name", "addr": "street", "email": "email", "mobile": "phone", "tel": "phone",
		"id": "hash", "credit": "card", "url": "url", "postcode": "postcode",
	}[t.value("type")]
	switch {
	case !ok:
		return strictest(t.Name)
	case rule == "text":
		return mask.Suggestion{Rules: []string{rule}}
	}
	return mask.Suggestion{Rules: []string{rule, "text"}}
}

// regexpReplace passes what the expression does not match; here a value that it does
// not match as a whole is masked like text.
func regexpReplace(t *transformer, _ column) mask.Suggestion {
	pattern := t.value("regexp")
	if pattern == "" {
		return strictest(t.Name)
	}
	return mask.Suggestion{
		Rules: []string{"{mask: regex, pattern: " + quoted(pattern) + ", replace: " + quoted(t.value("replace")) + ", malformed: text}"},
		Why:   "Greenmask's RegexpReplace passes what its expression does not match; here the expression must match the whole value, and others are masked like text",
	}
}

// dict writes the values that a dictionary has for others, without saying which for
// which.
func dict(t *transformer, _ column) mask.Suggestion {
	n := t.Params["values"]
	var values []string
	for i := 1; i < len(n.Content); i += 2 {
		if v := n.Content[i]; v.Kind == yaml.ScalarNode && v.Tag != "!!null" && v.Value != `\N` && !slices.Contains(values, v.Value) {
			values = append(values, v.Value)
		}
	}
	if v := t.value("default"); v != "" && v != `\N` && !slices.Contains(values, v) {
		values = append(values, v)
	}
	if len(values) == 0 {
		return strictest(t.Name)
	}
	return mask.Suggestion{
		Rules: []string{"{mask: choice, values: " + quotedList(values) + "}"},
		Why:   "Greenmask's Dict has a value for each; here it is one of those values, the same for equal originals",
	}
}

func email(t *transformer, _ column) mask.Suggestion {
	if t.value("keep_original_domain") == "true" {
		return mask.Suggestion{
			Rules: []string{"{mask: email, domain: keep}", "email"},
			Why:   "Greenmask keeps the domain of each address, which may name an employer or a family, and which mail may reach: email alone keeps nothing",
		}
	}
	return mask.Suggestion{Rules: []string{"email", "{mask: email, unique: false}"}}
}

var field = regexp.MustCompile(`\.[A-Za-z]+`)

// template is a transformer that writes a template of some fields into each column:
// a column of one field has a masker of its own.
func template(byField map[string]string, without string) counterpart {
	return func(t *transformer, c column) mask.Suggestion {
		fields := field.FindAllString(c.template, -1)
		switch {
		case c.template == "" && without != "":
			return mask.Suggestion{Rules: []string{without}}
		case len(fields) == 1 && byField[fields[0]] != "":
			return mask.Suggestion{Rules: []string{byField[fields[0]]}}
		case slices.Contains(fields, ".Address"):
			return mask.Suggestion{Rules: []string{"street"}}
		}
		return strictest(t.Name)
	}
}

func person(t *transformer, c column) mask.Suggestion {
	fields := field.FindAllString(c.template, -1)
	first, last := slices.Contains(fields, ".FirstName"), slices.Contains(fields, ".LastName")
	switch {
	case first && last:
		return mask.Suggestion{Rules: []string{"full_name"}}
	case first:
		return mask.Suggestion{Rules: []string{"first_name"}}
	case last:
		return mask.Suggestion{Rules: []string{"last_name"}}
	case len(fields) == 1 && fields[0] == ".Title":
		return mask.Suggestion{Rules: []string{"{mask: choice, values: [Mr., Ms., Dr.]}"}}
	}
	return strictest(t.Name)
}

func randomChoice(t *transformer, _ column) mask.Suggestion {
	values := t.list("values")
	if len(values) == 0 || len(t.DynamicParams) > 0 {
		return strictest(t.Name)
	}
	return mask.Suggestion{Rules: []string{"{mask: choice, values: " + quotedList(values) + "}"}}
}

var number = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`)

func between(t *transformer, _ column) mask.Suggestion {
	least, most := t.value("min"), t.value("max")
	if !number.MatchString(least) || !number.MatchString(most) {
		return strictest(t.Name)
	}
	decimals := ""
	if d, err := strconv.Atoi(t.value("decimal")); err == nil && d >= 0 && d <= 12 {
		decimals = fmt.Sprintf(", decimals: %d", d)
	}
	return mask.Suggestion{Rules: []string{"{mask: number_range, min: " + least + ", max: " + most + decimals + "}"}}
}

func randomDate(t *transformer, _ column) mask.Suggestion {
	least := t.value("min")
	if least == "" {
		return strictest(t.Name)
	}
	return mask.Suggestion{
		Rules: []string{"{mask: constant, value: " + quoted(least) + "}"},
		Why:   "Greenmask's RandomDate has no counterpart: it is one date for all rows; year_only and date_shift tell more",
	}
}

func noise(t *transformer, _ column) mask.Suggestion {
	ratio := t.value("max_ratio")
	if ratio == "" {
		ratio = t.value("ratio")
	}
	f, err := strconv.ParseFloat(ratio, 64)
	if err != nil || f <= 0 || len(t.DynamicParams) > 0 {
		return strictest(t.Name)
	}
	return mask.Suggestion{Rules: []string{fmt.Sprintf("{mask: number_noise, percent: %d}", min(100, max(1, int(math.Ceil(f*100)))))}}
}

// interval finds the days of an interval as PostgreSQL writes one, hours those
// that may come after them.
var (
	interval = regexp.MustCompile(`([0-9]+) *(y|year|years|mon|mons|month|months|w|week|weeks|d|day|days)\b`)
	hours    = regexp.MustCompile(`^(?:([0-9]+)(?::[0-9:.]+| *(?:h|hour|hours))|[0-9]+ *(?:m|min|mins|minute|minutes|s|sec|secs|second|seconds))$`)
)

func noiseDate(t *transformer, _ column) mask.Suggestion {
	ratio := t.value("max_ratio")
	if ratio == "" {
		ratio = t.value("ratio")
	}
	days := 0
	for _, m := range interval.FindAllStringSubmatch(ratio, -1) {
		n, _ := strconv.Atoi(m[1])
		switch m[2][0] {
		case 'y':
			n *= 365
		case 'm':
			n *= 30
		case 'w':
			n *= 7
		}
		days += n
	}
	if rest := strings.TrimSpace(interval.ReplaceAllString(ratio, "")); rest != "" {
		m := hours.FindStringSubmatch(rest)
		if m == nil {
			return strictest(t.Name)
		}
		h, _ := strconv.Atoi(m[1]) // none of minutes
		days += (h + 23) / 24
	}
	if len(t.DynamicParams) > 0 || ratio == "" {
		return strictest(t.Name)
	}
	// Less than a day is no shift of days.
	days = min(36500, max(1, days))
	return mask.Suggestion{Rules: []string{fmt.Sprintf("{mask: date_shift, by: %s, days: %d}", mask.TheKey, days), "year_only"}}
}
