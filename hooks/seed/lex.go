package seed

import (
	"strings"
	"unicode/utf8"
)

// tokenKind tells words from literals in SQL text.
type tokenKind int

const (
	word    tokenKind = iota // an unquoted identifier or key word
	quoted                   // a "quoted" identifier
	literal                  // '...', E'...', U&'...', B'...', X'...'
	dollar                   // $tag$...$tag$
	number                   // 1, 1.5e3
	param                    // $1
	symbol                   // one character of anything else
)

// token is one token of SQL text. Comments and white space are no tokens.
type token struct {
	kind       tokenKind
	start, end int    // in the text
	text       string // as written
}

// is reports whether the token is the key word w, which is in upper case.
func (t token) is(w string) bool {
	return t.kind == word && len(t.text) == len(w) && strings.EqualFold(t.text, w)
}

// sym reports whether the token is the character c.
func (t token) sym(c byte) bool { return t.kind == symbol && t.text[0] == c }

// name is the identifier that the token spells, and whether it is one.
func (t token) name() (string, bool) {
	switch t.kind {
	case word:
		return strings.ToLower(t.text), true
	case quoted:
		return strings.ReplaceAll(t.text[1:len(t.text)-1], `""`, `"`), true
	}
	return "", false
}

// value is what a literal says.
func (t token) value() (string, bool) {
	switch t.kind {
	case literal:
		i := strings.IndexByte(t.text, '\'')
		s := t.text[i+1 : len(t.text)-1]
		s = strings.ReplaceAll(s, "''", "'")
		if i == 1 && (t.text[0] == 'e' || t.text[0] == 'E') {
			s = strings.NewReplacer(`\\`, `\`, `\'`, `'`, `\n`, "\n", `\t`, "\t").Replace(s)
		}
		return s, true
	case dollar:
		tag := t.text[:strings.IndexByte(t.text[1:], '$')+2]
		return t.text[len(tag) : len(t.text)-len(tag)], true
	case number:
		return t.text, true
	}
	return "", false
}

// errLex says that a text is not SQL that the lexer understands.
type errLex struct{ reason string }

func (e *errLex) Error() string { return e.reason }

// lex splits SQL text into tokens, by the rules of PostgreSQL with
// standard_conforming_strings on. It refuses what pg_dump does not write and
// reads in more than one way: identifiers with Unicode escapes, and literals in
// several parts, of which the first says what a backslash is in the others.
func lex(s string) ([]token, error) {
	var out []token
	for i := 0; i < len(s); {
		c := s[i]
		start := i
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v':
			i++
			continue
		case c == '-' && strings.HasPrefix(s[i:], "--"):
			n := strings.IndexAny(s[i:], "\r\n")
			if n < 0 {
				n = len(s) - i
			}
			i += n
			continue
		case c == '/' && strings.HasPrefix(s[i:], "/*"):
			depth := 0
			for {
				switch {
				case strings.HasPrefix(s[i:], "/*"):
					depth++
					i += 2
				case strings.HasPrefix(s[i:], "*/"):
					depth--
					i += 2
				case i >= len(s):
					return nil, &errLex{"a comment has no end"}
				default:
					i++
				}
				if depth == 0 {
					break
				}
			}
			continue
		case c == '\'':
			if n := len(out); n > 0 && out[n-1].kind == literal {
				return nil, &errLex{"a literal is continued after white space"}
			}
			n := endLiteral(s, i+1, false)
			if n < 0 {
				return nil, &errLex{"a literal has no end"}
			}
			i = n
			out = append(out, token{literal, start, i, s[start:i]})
		case (c == 'e' || c == 'E' || c == 'b' || c == 'B' || c == 'x' || c == 'X' || c == 'n' || c == 'N') && i+1 < len(s) && s[i+1] == '\'':
			n := endLiteral(s, i+2, c == 'e' || c == 'E')
			if n < 0 {
				return nil, &errLex{"a literal has no end"}
			}
			i = n
			out = append(out, token{literal, start, i, s[start:i]})
		case (c == 'u' || c == 'U') && i+2 < len(s) && s[i+1] == '&' && (s[i+2] == '\'' || s[i+2] == '"'):
			if s[i+2] == '"' {
				return nil, &errLex{"an identifier is written with Unicode escapes"}
			}
			n := endLiteral(s, i+3, false)
			if n < 0 {
				return nil, &errLex{"a literal has no end"}
			}
			i = n
			out = append(out, token{literal, start, i, s[start:i]})
		case c == '"':
			for i++; ; i++ {
				n := strings.IndexByte(s[i:], '"')
				if n < 0 {
					return nil, &errLex{"a quoted identifier has no end"}
				}
				i += n + 1
				if i >= len(s) || s[i] != '"' {
					break
				}
			}
			out = append(out, token{quoted, start, i, s[start:i]})
		case c == '$':
			i++
			for i < len(s) && (wordByte(s[i]) && s[i] != '$') {
				i++
			}
			if i < len(s) && s[i] == '$' && (i == start+1 || s[start+1] < '0' || s[start+1] > '9') {
				tag := s[start : i+1]
				n := strings.Index(s[i+1:], tag)
				if n < 0 {
					return nil, &errLex{"a dollar-quoted text has no end"}
				}
				i += 1 + n + len(tag)
				out = append(out, token{dollar, start, i, s[start:i]})
				break
			}
			out = append(out, token{param, start, i, s[start:i]})
		case c >= '0' && c <= '9' || c == '.' && i+1 < len(s) && s[i+1] >= '0' && s[i+1] <= '9':
			for i < len(s) && (wordByte(s[i]) && s[i] != '$' || s[i] == '.' || (s[i] == '+' || s[i] == '-') && (s[i-1] == 'e' || s[i-1] == 'E') && s[start] != 'x') {
				i++
			}
			out = append(out, token{number, start, i, s[start:i]})
		case wordByte(c) && c != '$':
			for i < len(s) && wordByte(s[i]) {
				i++
			}
			out = append(out, token{word, start, i, s[start:i]})
		default:
			_, n := utf8.DecodeRuneInString(s[i:])
			i += n
			out = append(out, token{symbol, start, i, s[start:i]})
		}
	}
	return out, nil
}

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

// statement is one SQL statement with its tokens, without the semicolon.
type statement struct {
	text   string
	tokens []token
}

// split cuts SQL text into its statements.
func split(s string) ([]statement, error) {
	tokens, err := lex(s)
	if err != nil {
		return nil, err
	}
	var out []statement
	first, depth, atomic := 0, 0, 0
	flush := func(end int) {
		if end > first {
			from, to := tokens[first].start, tokens[end-1].end
			list := make([]token, 0, end-first)
			for _, t := range tokens[first:end] {
				t.start -= from
				t.end -= from
				list = append(list, t)
			}
			out = append(out, statement{s[from:to], list})
		}
	}
	for i, t := range tokens {
		switch {
		case t.sym('(') || t.sym('['):
			depth++
		case t.sym(')') || t.sym(']'):
			depth--
		case t.is("ATOMIC") && i > 0 && tokens[i-1].is("BEGIN"):
			atomic++
		case atomic > 0 && t.is("CASE"):
			atomic++
		case atomic > 0 && t.is("END"):
			atomic--
		case t.sym(';') && depth <= 0 && atomic <= 0:
			flush(i)
			first = i + 1
		}
	}
	flush(len(tokens))
	return out, nil
}

// edit replaces parts of a text; parts are in order and do not overlap.
type edit struct {
	start, end int
	text       string
}

func apply(s string, edits []edit) string {
	if len(edits) == 0 {
		return s
	}
	var b strings.Builder
	at := 0
	for _, e := range edits {
		b.WriteString(s[at:e.start])
		b.WriteString(e.text)
		at = e.end
	}
	b.WriteString(s[at:])
	return b.String()
}
