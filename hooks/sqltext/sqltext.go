// Package sqltext reads and writes SQL as text, by the rules of PostgreSQL: it
// cuts statements into tokens, edits them in place, and quotes names and
// literals. It knows no grammar; what a statement means is its caller's to say.
//
// The lexer reads what pg_dump writes and refuses what can be read in more than
// one way, so that its callers and the server never differ on where a literal
// or a statement ends.
package sqltext

import (
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
)

// Identifier writes a name, qualified where it has several parts, in double
// quotes.
func Identifier(parts ...string) string { return pgx.Identifier(parts).Sanitize() }

// Literal writes a string literal that reads the same under either setting of
// standard_conforming_strings.
func Literal(s string) string {
	if strings.Contains(s, `\`) {
		return " E'" + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), "'", "''") + "'"
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}

// Kind tells words from literals in SQL text.
type Kind int

// The kinds of tokens.
const (
	Word      Kind = iota // an unquoted identifier or key word
	Quoted                // a "quoted" identifier
	String                // '...', E'...', U&'...', B'...', X'...'
	Dollar                // $tag$...$tag$
	Number                // 1, 1.5e3
	Parameter             // $1
	Symbol                // one character of anything else
)

// Token is one token of SQL text. Comments and white space are no tokens.
type Token struct {
	Kind       Kind
	Start, End int    // in the text
	Text       string // as written
}

// Is reports whether the token is the key word w, which is in upper case.
func (t Token) Is(w string) bool {
	return t.Kind == Word && len(t.Text) == len(w) && strings.EqualFold(t.Text, w)
}

// IsSymbol reports whether the token is the character c.
func (t Token) IsSymbol(c byte) bool { return t.Kind == Symbol && t.Text[0] == c }

// Name is the identifier that the token spells, and whether it is one.
func (t Token) Name() (string, bool) {
	switch t.Kind {
	case Word:
		return strings.ToLower(t.Text), true
	case Quoted:
		return strings.ReplaceAll(t.Text[1:len(t.Text)-1], `""`, `"`), true
	}
	return "", false
}

// Value is what a literal says, and whether the token is one.
func (t Token) Value() (string, bool) {
	switch t.Kind {
	case String:
		i := strings.IndexByte(t.Text, '\'')
		s := t.Text[i+1 : len(t.Text)-1]
		s = strings.ReplaceAll(s, "''", "'")
		if i == 1 && (t.Text[0] == 'e' || t.Text[0] == 'E') {
			s = strings.NewReplacer(`\\`, `\`, `\'`, `'`, `\n`, "\n", `\t`, "\t").Replace(s)
		}
		return s, true
	case Dollar:
		tag := t.Text[:strings.IndexByte(t.Text[1:], '$')+2]
		return t.Text[len(tag) : len(t.Text)-len(tag)], true
	case Number:
		return t.Text, true
	}
	return "", false
}

// lexError says that a text is not SQL that the lexer understands.
type lexError struct{ reason string }

func (e *lexError) Error() string { return e.reason }

// lex splits SQL text into tokens, by the rules of PostgreSQL with
// standard_conforming_strings on. It refuses what pg_dump does not write and
// reads in more than one way: identifiers with Unicode escapes, and literals in
// several parts, of which the first says what a backslash is in the others.
func lex(s string) ([]Token, error) {
	var out []Token
	for i := 0; i < len(s); {
		skipped, err := skipSpace(s, i)
		if err != nil {
			return nil, err
		}
		if skipped > i {
			i = skipped
			continue
		}
		if n := len(out); s[i] == '\'' && n > 0 && out[n-1].Kind == String {
			return nil, &lexError{"a literal is continued after white space"}
		}
		kind, end, err := lexToken(s, i)
		if err != nil {
			return nil, err
		}
		out = append(out, Token{kind, i, end, s[i:end]})
		i = end
	}
	return out, nil
}

// skipSpace returns where the white space or the comment ends that begins at i; i
// if none does.
func skipSpace(s string, i int) (int, error) {
	switch c := s[i]; {
	case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v':
		return i + 1, nil
	case strings.HasPrefix(s[i:], "--"):
		if n := strings.IndexAny(s[i:], "\r\n"); n >= 0 {
			return i + n, nil
		}
		return len(s), nil
	case strings.HasPrefix(s[i:], "/*"):
		for depth := 0; ; {
			switch {
			case strings.HasPrefix(s[i:], "/*"):
				depth++
				i += 2
			case strings.HasPrefix(s[i:], "*/"):
				depth--
				i += 2
			case i >= len(s):
				return i, &lexError{"a comment has no end"}
			default:
				i++
			}
			if depth == 0 {
				return i, nil
			}
		}
	}
	return i, nil
}

// lexToken returns the kind and the end of the token that begins at start.
func lexToken(s string, start int) (kind Kind, end int, err error) {
	c, i := s[start], start
	after := func(n int) byte { // the byte n further on, 0 behind the end
		if start+n < len(s) {
			return s[start+n]
		}
		return 0
	}
	switch {
	case c == '\'':
		return lexLiteral(s, start+1, false)
	case strings.IndexByte("eEbBxXnN", c) >= 0 && after(1) == '\'':
		return lexLiteral(s, start+2, c == 'e' || c == 'E')
	case (c == 'u' || c == 'U') && after(1) == '&' && after(2) == '"':
		return 0, 0, &lexError{"an identifier is written with Unicode escapes"}
	case (c == 'u' || c == 'U') && after(1) == '&' && after(2) == '\'':
		return lexLiteral(s, start+3, false)
	case c == '"':
		for i++; ; i++ {
			n := strings.IndexByte(s[i:], '"')
			if n < 0 {
				return 0, 0, &lexError{"a quoted identifier has no end"}
			}
			i += n + 1
			if i >= len(s) || s[i] != '"' {
				return Quoted, i, nil
			}
		}
	case c == '$':
		for i++; i < len(s) && wordByte(s[i]) && s[i] != '$'; {
			i++
		}
		if i < len(s) && s[i] == '$' && (i == start+1 || s[start+1] < '0' || s[start+1] > '9') {
			tag := s[start : i+1]
			n := strings.Index(s[i+1:], tag)
			if n < 0 {
				return 0, 0, &lexError{"a dollar-quoted text has no end"}
			}
			return Dollar, i + 1 + n + len(tag), nil
		}
		return Parameter, i, nil
	case isDigit(c) || c == '.' && isDigit(after(1)):
		for i < len(s) && (wordByte(s[i]) && s[i] != '$' || s[i] == '.' || (s[i] == '+' || s[i] == '-') && (s[i-1] == 'e' || s[i-1] == 'E')) {
			i++
		}
		return Number, i, nil
	case wordByte(c):
		for i < len(s) && wordByte(s[i]) {
			i++
		}
		return Word, i, nil
	}
	_, n := utf8.DecodeRuneInString(s[i:])
	return Symbol, i + n, nil
}

// lexLiteral is lexToken for a literal whose content begins at i.
func lexLiteral(s string, i int, escapes bool) (Kind, int, error) {
	end := endLiteral(s, i, escapes)
	if end < 0 {
		return 0, 0, &lexError{"a literal has no end"}
	}
	return String, end, nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func wordByte(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// endLiteral returns the index after the quote that ends a literal whose
// content begins at i, or -1.
func endLiteral(s string, i int, escapes bool) int {
	for i < len(s) {
		switch s[i] {
		case '\\':
			if escapes {
				i++
			}
		case '\'':
			if i+1 >= len(s) || s[i+1] != '\'' {
				return i + 1
			}
			i++
		}
		i++
	}
	return -1
}

// Statement is one SQL statement with its tokens, without the semicolon.
type Statement struct {
	Text   string
	Tokens []Token
}

// Split cuts SQL text into its statements. Its error says what about the text
// cannot be read, and quotes none of it.
func Split(s string) ([]Statement, error) {
	tokens, err := lex(s)
	if err != nil {
		return nil, err
	}
	var out []Statement
	first, depth, atomic := 0, 0, 0
	flush := func(end int) {
		if end > first {
			from, to := tokens[first].Start, tokens[end-1].End
			list := make([]Token, 0, end-first)
			for _, t := range tokens[first:end] {
				t.Start -= from
				t.End -= from
				list = append(list, t)
			}
			out = append(out, Statement{s[from:to], list})
		}
	}
	for i, t := range tokens {
		switch {
		case t.IsSymbol('(') || t.IsSymbol('['):
			depth++
		case t.IsSymbol(')') || t.IsSymbol(']'):
			depth--
		case t.Is("ATOMIC") && i > 0 && tokens[i-1].Is("BEGIN"):
			atomic++
		case atomic > 0 && t.Is("CASE"):
			atomic++
		case atomic > 0 && t.Is("END"):
			atomic--
		case t.IsSymbol(';') && depth <= 0 && atomic <= 0:
			flush(i)
			first = i + 1
		}
	}
	flush(len(tokens))
	return out, nil
}

// Edit replaces a part of a text.
type Edit struct {
	Start, End int
	Text       string
}

// Replace is the edit that puts something else in the token's place.
func (t Token) Replace(with string) Edit { return Edit{t.Start, t.End, with} }

// Apply makes edits, which are in order and do not overlap.
func Apply(s string, edits []Edit) string {
	if len(edits) == 0 {
		return s
	}
	var b strings.Builder
	at := 0
	for _, e := range edits {
		b.WriteString(s[at:e.Start])
		b.WriteString(e.Text)
		at = e.End
	}
	b.WriteString(s[at:])
	return b.String()
}
