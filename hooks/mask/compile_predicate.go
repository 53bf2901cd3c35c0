package mask

import (
	"regexp"
	"slices"
	"strings"

	"github.com/seedling-dev/seedling/hooks/sqltext"
)

// A partial index takes masked rows when the same rows are in it as before, or
// none. That is worked out from the predicate's text: its answer is the same where
// it asks about columns that stay, or about what a masker promises.

// answer is what is known of a part of a predicate on masked rows.
type answer struct {
	same   bool  // it says of each row what it said of the original
	values truth // what it may say
}

// truth is a set of what a predicate may say.
type truth uint8

const (
	saysTrue truth = 1 << iota
	saysFalse
	saysNull
	saysAnything = saysTrue | saysFalse | saysNull
)

// predicateReader reads a predicate as pg_get_expr prints it.
type predicateReader struct {
	tokens []sqltext.Token
	at     int
	table  *tableState
}

// judgedPredicate says what is known of a predicate; where it cannot be read, that
// is nothing.
func (t *tableState) judgedPredicate(predicate string) answer {
	nothing := answer{false, saysAnything}
	statements, err := sqltext.Split(predicate)
	if err != nil || len(statements) != 1 {
		return nothing
	}
	r := &predicateReader{tokens: statements[0].Tokens, table: t}
	for i := range r.tokens {
		if r.tokens[i].IsSymbol('(') && r.closing(i) == 0 {
			return nothing
		}
	}
	a := r.or()
	if r.at != len(r.tokens) {
		return nothing
	}
	return a
}

func (r *predicateReader) is(word string) bool {
	return r.at < len(r.tokens) && r.tokens[r.at].Is(word)
}

func (r *predicateReader) or() answer {
	a := r.and()
	for r.is("OR") {
		r.at++
		b := r.and()
		a = answer{a.same && b.same, combine(a.values, b.values, saysTrue, saysFalse)}
	}
	return a
}

func (r *predicateReader) and() answer {
	a := r.not()
	for r.is("AND") {
		r.at++
		b := r.not()
		a = answer{a.same && b.same, combine(a.values, b.values, saysFalse, saysTrue)}
	}
	return a
}

// combine is what two parts say together: one value decides whatever the other part
// says, and NULL wins over the neutral one.
func combine(a, b, decides, neutral truth) truth {
	var out truth
	if a&decides != 0 || b&decides != 0 {
		out |= decides
	}
	if a&saysNull != 0 && b&^decides != 0 || b&saysNull != 0 && a&^decides != 0 {
		out |= saysNull
	}
	if a&neutral != 0 && b&neutral != 0 {
		out |= neutral
	}
	if a == decides || b == decides {
		return decides
	}
	return out
}

func (r *predicateReader) not() answer {
	if r.is("NOT") {
		r.at++
		a := r.not()
		var flipped truth
		if a.values&saysTrue != 0 {
			flipped |= saysFalse
		}
		if a.values&saysFalse != 0 {
			flipped |= saysTrue
		}
		return answer{a.same, flipped | a.values&saysNull}
	}
	// A parenthesis holds a predicate if AND, OR or the end follows it; otherwise it
	// belongs to an atom.
	if r.at < len(r.tokens) && r.tokens[r.at].IsSymbol('(') {
		end := r.closing(r.at)
		if end > 0 && (end+1 == len(r.tokens) || r.tokens[end+1].Is("AND") || r.tokens[end+1].Is("OR") || r.tokens[end+1].IsSymbol(')')) {
			r.at++
			a := r.or()
			if r.at != end {
				r.at = len(r.tokens) + 1 // not read
				return answer{false, saysAnything}
			}
			r.at = end + 1
			return a
		}
	}
	return r.atom()
}

// closing is the index of the token that closes a parenthesis, or 0.
func (r *predicateReader) closing(open int) int {
	depth := 0
	for i := open; i < len(r.tokens); i++ {
		switch {
		case r.tokens[i].IsSymbol('('), r.tokens[i].IsSymbol('['):
			depth++
		case r.tokens[i].IsSymbol(')'), r.tokens[i].IsSymbol(']'):
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return 0
}

// atom reads up to the next AND or OR outside of parentheses.
func (r *predicateReader) atom() answer {
	from, depth := r.at, 0
	between := false // BETWEEN a AND b
	for ; r.at < len(r.tokens); r.at++ {
		t := r.tokens[r.at]
		switch {
		case t.IsSymbol('('), t.IsSymbol('['):
			depth++
		case t.IsSymbol(')'), t.IsSymbol(']'):
			depth--
		case t.Is("BETWEEN"):
			between = true
		case depth == 0 && t.Is("AND") && between:
			between = false
			continue
		}
		if depth < 0 || depth == 0 && (t.Is("AND") || t.Is("OR")) {
			break
		}
	}
	return r.table.judgeAtom(r.tokens[from:r.at])
}

// judgeAtom says what is known of one test.
func (t *tableState) judgeAtom(tokens []sqltext.Token) answer {
	var masked *columnState
	several := false
	for _, tok := range tokens {
		name, ok := tok.Name()
		if c := t.byName[name]; ok && c != nil && c.changes() {
			several = several || masked != nil && masked != c
			masked = c
		}
		if c := t.byName[name]; ok && c == nil && name == t.Name {
			return answer{false, saysAnything} // the row as a whole
		}
	}
	switch {
	case masked == nil:
		return answer{true, saysAnything}
	case several || masked.Generated:
		return answer{false, saysAnything}
	}
	value, isConstant := masked.constantMask()
	operator, literal, isNull, plain := comparison(tokens, masked.Name)
	switch {
	case !plain:
	case masked.traits.null && isNull == "IS NULL":
		return answer{false, saysTrue}
	case masked.traits.null && isNull == "IS NOT NULL":
		return answer{false, saysFalse}
	case masked.traits.null:
		return answer{false, saysNull}
	case isNull != "" && masked.staysNull():
		return answer{true, saysTrue | saysFalse}
	case isNull != "":
	case isConstant:
		if says, known := compare(value, operator, literal); known {
			if !masked.NotNull {
				says |= saysNull
			}
			return answer{false, says}
		}
	case literal == "" && (operator == "=" || operator == "<>") && masked.emptyStays():
		return answer{true, saysAnything}
	}
	return answer{false, saysAnything}
}

// constantMask is the one mask of all values of a column.
func (c *columnState) constantMask() (string, bool) {
	v, ok := c.tf.(constant)
	return string(v), ok && (c.BaseType == "text" || c.BaseType == "varchar") && !c.Array
}

// emptyStays reports whether masks are empty exactly where values are.
func (c *columnState) emptyStays() bool {
	if c.kind() != kindText || !c.staysNull() || c.find().info.eq.trim { // spaces alone count as empty there
		return false
	}
	return slices.Contains([]string{"text", "email", "first_name", "last_name", "full_name", "username", "phone", "street", "city", "postcode", "company", "product", "permute", "hash", "uuid", "url", "iban", "card"}, c.rule.name)
}

// comparison reads a test of one column against a literal, or of NULL. The
// column may stand in parentheses, and both under casts to text.
func comparison(tokens []sqltext.Token, column string) (operator, literal, isNull string, ok bool) {
	var words []sqltext.Token
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		switch {
		case t.IsSymbol('('), t.IsSymbol(')'):
		case t.IsSymbol(':'):
			// A cast is all the names that follow.
			for i+1 < len(tokens) && tokens[i+1].IsSymbol(':') {
				i++
			}
			var cast []string
			for i+1 < len(tokens) {
				name, isName := tokens[i+1].Name()
				if !isName || tokens[i+1].Is("IS") || tokens[i+1].Is("AND") || tokens[i+1].Is("OR") {
					break
				}
				cast = append(cast, name)
				i++
			}
			if !slices.Contains([]string{"text", "character varying", "varchar", "citext"}, strings.Join(cast, " ")) {
				return "", "", "", false
			}
		default:
			words = append(words, t)
		}
	}
	if len(words) < 3 {
		return "", "", "", false
	}
	if name, isName := words[0].Name(); !isName || name != column {
		return "", "", "", false
	}
	rest := words[1:]
	switch {
	case len(rest) == 2 && rest[0].Is("IS") && rest[1].Is("NULL"):
		return "", "", "IS NULL", true
	case len(rest) == 3 && rest[0].Is("IS") && rest[1].Is("NOT") && rest[2].Is("NULL"):
		return "", "", "IS NOT NULL", true
	}
	for _, t := range rest[:len(rest)-1] {
		operator += t.Text
	}
	literal, ok = rest[len(rest)-1].Value()
	return operator, literal, "", ok && operators[operator]
}

var operators = map[string]bool{"=": true, "<>": true, "~": true, "!~": true, "~~": true, "!~~": true}

// compare says what a comparison of a constant with a literal says.
func compare(value, operator, literal string) (truth, bool) {
	var yes bool
	switch operator {
	case "=", "<>":
		yes = value == literal
	case "~", "!~":
		// What RE2 and Postgres read alike.
		re, err := regexp.Compile(literal)
		if err != nil || !simplePattern.MatchString(literal) {
			return 0, false
		}
		yes = re.MatchString(value)
	case "~~", "!~~":
		var b strings.Builder
		for _, c := range literal {
			switch c {
			case '%':
				b.WriteString("(?s:.*)")
			case '_':
				b.WriteString("(?s:.)")
			case '\\':
				return 0, false
			default:
				b.WriteString(regexp.QuoteMeta(string(c)))
			}
		}
		re, err := regexp.Compile(`\A` + b.String() + `\z`)
		if err != nil {
			return 0, false
		}
		yes = re.MatchString(value)
	default:
		return 0, false
	}
	if (operator == "<>" || operator[0] == '!') != yes {
		return saysTrue, true
	}
	return saysFalse, true
}

// simplePattern are patterns without what differs between dialects.
var simplePattern = regexp.MustCompile(`^\^?(?:[A-Za-z0-9 @._-]|\[\^?[A-Za-z0-9 @._-]+\]|[*+?])*\$?$`)
