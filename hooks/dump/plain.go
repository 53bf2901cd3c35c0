package dump

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"hash"
	"io"
	"regexp"
	"strings"
)

// isPlain reports whether a file begins like pg_dump's plain format.
func isPlain(magic []byte) bool {
	s := strings.TrimLeft(string(magic), "\xef\xbb\xbf\r\n")
	return strings.HasPrefix(s, "--\n-- PostgreSQL database") || strings.HasPrefix(s, "--\r\n-- PostgreSQL database")
}

// maxStatement bounds a single statement of a plain dump, and a single text of
// a table of contents.
const maxStatement = 64 << 20

// plainReader cuts a plain dump into comments, statements and rows.
type plainReader struct {
	s   *streamed
	at  int64
	buf []byte
}

// line reads a line with its newline.
func (p *plainReader) line() ([]byte, error) {
	p.buf = p.buf[:0]
	for {
		part, err := p.s.ReadSlice('\n')
		p.buf = append(p.buf, part...)
		p.at += int64(len(part))
		switch {
		case err == nil:
			return p.buf, nil
		case errors.Is(err, io.EOF) && len(p.buf) > 0:
			return p.buf, nil
		case len(p.buf) > maxStatement:
			return nil, unusable("a line is longer than %d bytes", maxStatement)
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

// heading is the comment that pg_dump writes before each entry.
var heading = regexp.MustCompile(`^-- (Data for |Statistics for )?Name: (.*); Type: ([A-Z][A-Z ]*); Schema: (.*?); Owner: ?(.*?)(; Tablespace: .*)?$`)

// openPlain reads the statements of a plain dump and notes where the rows are.
func (d *Dump) openPlain(s *streamed, toc hash.Hash) error {
	d.Format = Plain
	d.Version = "plain"
	d.byID = map[int]*Entry{}
	p := &plainReader{s: s}
	section := PreData
	access := ""
	var sawData, ended bool
	kept := 0 // bytes in memory
	// Statements outside of any entry are settings of the session.
	preamble := &Entry{ID: 0, Kind: "", Section: PreData}
	cur := preamble
	first := true
	var text strings.Builder // the statements of cur so far
	flush := func() {
		if cur != preamble {
			cur.Create = text.String()
		}
		text.Reset()
	}
	for {
		line, err := p.line()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		trimmed := strings.TrimRight(string(line), "\r\n")
		if first && trimmed != "" && trimmed != "--" {
			if strings.Contains(trimmed, "database cluster dump") {
				return unusable("it is the output of pg_dumpall: dump the one database with pg_dump")
			}
			if !strings.HasPrefix(strings.TrimLeft(trimmed, "\xef\xbb\xbf"), "-- PostgreSQL database dump") {
				return unusable("it is not a pg_dump archive")
			}
			first = false
		}
		// Between statements the line is a comment, a command of psql or the
		// begin of a statement.
		switch {
		case trimmed == "" || trimmed == "--":
			continue
		case strings.HasPrefix(trimmed, "--"):
			if v, ok := strings.CutPrefix(trimmed, "-- Dumped from database version "); ok {
				d.Server = v
			}
			if v, ok := strings.CutPrefix(trimmed, "-- Dumped by pg_dump version "); ok {
				d.Client = v
			}
			ended = ended || trimmed == "-- PostgreSQL database dump complete"
			m := heading.FindStringSubmatch(trimmed)
			if m == nil {
				continue
			}
			if kept += len(trimmed) + 256; kept > maxTOC {
				return unusable("its entries are longer than %d bytes in all", maxTOC)
			}
			flush()
			cur = &Entry{ID: len(d.Entries) + 1, Kind: m[3], Tag: m[2], Schema: m[4], Owner: m[5], Section: section}
			if cur.Schema == "-" {
				cur.Schema = ""
			}
			if cur.Owner == "-" {
				cur.Owner = ""
			}
			switch cur.Kind {
			case "TABLE DATA", "BLOBS", "SEQUENCE SET":
				cur.Section, sawData = Data, true
			case "TABLE", "MATERIALIZED VIEW":
				cur.AccessMethod = access
			}
			if sawData && cur.Section != Data {
				section = PostData
				cur.Section = PostData
			}
			d.byID[cur.ID] = cur
			d.Entries = append(d.Entries, cur)
			continue
		case strings.HasPrefix(trimmed, `\`):
			word, _, _ := strings.Cut(trimmed, " ")
			switch word {
			case `\restrict`, `\unrestrict`:
				continue
			case `\connect`:
				if onlyDatabase(d.Entries) {
					flush()
					cur = preamble
					continue
				}
				return unusable("it holds \\connect between its entries, so it is more than one database: dump the one with pg_dump")
			}
			// Not quoted, since it may be a row.
			return unusable("the line at byte %d begins with a backslash and is not among rows: the dump is damaged, or was given commands of psql: dump with pg_dump", p.at-int64(len(line)))
		}
		begin := p.at - int64(len(line))
		statement, err := p.statement(line)
		if err != nil {
			return err
		}
		if kept += len(statement); kept > maxTOC {
			return unusable("its statements are longer than %d bytes in all", maxTOC)
		}
		switch {
		case strings.HasPrefix(statement, "COPY ") && strings.HasSuffix(strings.TrimRight(statement, "\r\n"), "FROM stdin;"):
			if cur.Kind != "TABLE DATA" || cur.Copy != "" {
				return unusable("rows at byte %d belong to no table of the dump", begin)
			}
			if strings.HasSuffix(statement, "\r\n") {
				return unusable("its lines end in CR LF, and so would its last columns: something rewrote it, as shells of Windows do: dump with pg_dump --file, or restore the line ends (dos2unix)")
			}
			cur.Copy, cur.HasData, cur.offset = statement, true, p.at
			if err := p.skipRows(); err != nil {
				return err
			}
			cur.Bytes = p.at - cur.offset
		case cur.Kind == "BLOBS", cur.Kind == "TABLE DATA":
			// Large objects as statements, or INSERT: that entry stays without COPY.
			if !beside.MatchString(statement) {
				return unusable("what begins at byte %d is neither rows nor a statement that pg_dump writes beside them: the dump is damaged", begin)
			}
			cur.HasData = cur.HasData || cur.Kind == "BLOBS"
		case setting.MatchString(statement):
			m := setting.FindStringSubmatch(statement)
			name, value := strings.ToLower(m[1]), strings.Trim(m[2], "' ")
			switch {
			case name == "default_table_access_method":
				access = strings.Trim(value, `"`)
			case name == "search_path" && value != "":
				return unusable("it sets search_path, as pg_dump before 10.3 did: dump with a newer pg_dump")
			case name == "client_encoding":
				d.Entries = append(d.Entries, &Entry{ID: -1, Kind: "ENCODING", Tag: "ENCODING", Section: PreData, Create: statement})
			case name == "standard_conforming_strings":
				d.Entries = append(d.Entries, &Entry{ID: -2, Kind: "STDSTRINGS", Tag: "STDSTRINGS", Section: PreData, Create: "SET standard_conforming_strings = '" + value + "';"})
			}
		case strings.HasPrefix(statement, "SELECT pg_catalog.set_config('search_path', '', false);"):
		case cur == preamble && cleaning.MatchString(statement):
			// Of --clean: there is nothing to drop.
		case cur == preamble && strings.HasPrefix(statement, "SET SESSION AUTHORIZATION"):
			return unusable("it was made with pg_dump --use-set-session-authorization: dump without that option")
		case cur == preamble:
			return unusable("the statement at byte %d belongs to no entry: pg_dump writes a comment `-- Name: ...; Type: ...` before each", begin)
		default:
			text.WriteString(statement)
		}
		toc.Write([]byte(statement))
	}
	flush()
	if !ended {
		return unusable("it does not end as pg_dump ends a dump: it is truncated")
	}
	d.numberSpecial()
	return nil
}

// numberSpecial gives the entries made of settings ids of their own.
func (d *Dump) numberSpecial() {
	next := len(d.Entries) + 1
	for _, e := range d.Entries {
		if e.ID <= 0 {
			e.ID = next
			next++
			d.byID[e.ID] = e
		}
	}
}

var setting = regexp.MustCompile(`^SET (?:SESSION )?([a-z_]+) *(?:=|TO) *(.*?);\s*$`)

// beside matches what pg_dump writes around rows and large objects, and INSERT
// in place of rows. Anything else would be rows behind an end mark that is none.
var beside = regexp.MustCompile(`^(?:INSERT INTO |ALTER TABLE |SET |RESET |BEGIN;|COMMIT;|SELECT pg_catalog\.(?:lo_[a-z]+|lowrite)\()`)

// cleaning matches what pg_dump --clean writes before its first entry.
var cleaning = regexp.MustCompile(`^(?:DROP |ALTER [^;]* DROP |CREATE OR REPLACE VIEW |SELECT pg_catalog\.lo_unlink\()`)

// onlyDatabase says that nothing but the database's own entries came so far,
// which is where pg_dump --create writes \connect.
func onlyDatabase(entries []*Entry) bool {
	for _, e := range entries {
		switch {
		case strings.HasPrefix(e.Kind, "DATABASE"), e.Kind == "ENCODING", e.Kind == "STDSTRINGS", e.Kind == "COMMENT", e.Kind == "SECURITY LABEL", e.Kind == "ACL":
		default:
			return false
		}
	}
	return true
}

// statement reads a statement that begins with a line, to the line that its
// semicolon ends.
func (p *plainReader) statement(line []byte) (string, error) {
	var st scan
	text := bytes.Clone(line)
	for !st.ends(text) {
		next, err := p.line()
		if errors.Is(err, io.EOF) {
			return "", unusable("it ends in the middle of a statement: the dump is truncated")
		}
		if err != nil {
			return "", err
		}
		if len(text)+len(next) > maxStatement {
			return "", unusable("a statement is longer than %d bytes", maxStatement)
		}
		text = append(text, next...)
	}
	return string(text), nil
}

// scan follows a statement's text to its end.
type scan struct {
	at     int
	quote  byte   // the quote or comment that is open, 0 for none
	escape bool   // of an E'' literal
	tag    string // of a dollar quote
	depth  int    // of comments
	parens int
	atomic int // BEGIN ATOMIC ... END
	last   string
}

// ends reports whether the text, which has grown since the last call, is a
// whole statement: a semicolon outside of everything, and nothing after it on
// its line.
func (s *scan) ends(text []byte) bool {
	i := s.at
	done := false
	for i < len(text) {
		c := text[i]
		switch {
		case s.quote == '\'':
			if c == '\\' && s.escape {
				i++
			} else if c == '\'' {
				s.quote = 0
			}
			i++
		case s.quote == '"':
			if c == '"' {
				s.quote = 0
			}
			i++
		case s.quote == '$':
			n := bytes.Index(text[i:], []byte(s.tag))
			if n < 0 {
				// The tag may begin at the end of what is there.
				s.at = max(i, len(text)-len(s.tag)+1)
				return false
			}
			i += n + len(s.tag)
			s.quote = 0
		case s.quote == '*':
			switch {
			case bytes.HasPrefix(text[i:], []byte("*/")):
				if s.depth--; s.depth == 0 {
					s.quote = 0
				}
				i += 2
			case bytes.HasPrefix(text[i:], []byte("/*")):
				s.depth++
				i += 2
			default:
				i++
			}
		case c == '\'':
			s.quote, s.escape = c, i > 0 && (text[i-1] == 'E' || text[i-1] == 'e') && (i < 2 || !identByte(text[i-2]))
			i++
		case c == '"':
			s.quote = c
			i++
		case c == '-' && bytes.HasPrefix(text[i:], []byte("--")):
			n := bytes.IndexByte(text[i:], '\n')
			if n < 0 {
				n = len(text) - i
			}
			i += n
		case c == '/' && bytes.HasPrefix(text[i:], []byte("/*")):
			s.quote, s.depth = '*', 1
			i += 2
		case c == '$' && (i == 0 || !identByte(text[i-1])):
			j := i + 1
			for j < len(text) && identByte(text[j]) && text[j] != '$' {
				j++
			}
			if j < len(text) && text[j] == '$' && (j == i+1 || text[i+1] < '0' || text[i+1] > '9') {
				s.tag, s.quote = string(text[i:j+1]), '$'
				i = j + 1
				break
			}
			i++
		case identByte(c):
			j := i
			for j < len(text) && identByte(text[j]) {
				j++
			}
			w := strings.ToUpper(string(text[i:j]))
			switch {
			case w == "ATOMIC" && s.last == "BEGIN", s.atomic > 0 && w == "CASE":
				s.atomic++
			case s.atomic > 0 && w == "END":
				s.atomic--
			}
			s.last = w
			i = j
		default:
			switch c {
			case '(', '[':
				s.parens++
			case ')', ']':
				s.parens--
			case ';':
				if s.parens <= 0 && s.atomic <= 0 {
					done = true
					i++
					continue
				}
			}
			if c != ' ' && c != '\n' && c != '\r' && c != '\t' {
				done = false
				s.last = ""
			}
			i++
			continue
		}
		done = false
	}
	s.at = i
	return done && s.quote == 0
}

func identByte(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// skipRows passes over the rows of a COPY, with the end mark.
func (p *plainReader) skipRows() error {
	begin := true // of a line
	for {
		part, err := p.s.ReadSlice('\n')
		p.at += int64(len(part))
		full := errors.Is(err, bufio.ErrBufferFull)
		if err != nil && !full {
			return truncated(err)
		}
		if begin && len(part) <= 4 && string(bytes.TrimRight(part, "\r\n")) == `\.` {
			return nil
		}
		begin = !full
	}
}

// plainData opens the rows of a table of an uncompressed plain dump.
func (d *Dump) plainData(ctx context.Context, e *Entry) (io.ReadCloser, error) {
	return member{obj: d.obj, offset: e.offset, size: e.Bytes}.open(ctx, d)
}

// walkPlain gives the rows of a compressed plain dump in its order.
func (d *Dump) walkPlain(s *streamed, each func(*Entry, uint32, io.Reader) error) error {
	var at int64
	for _, e := range d.Entries {
		if !e.HasData || e.Kind == "BLOBS" {
			continue
		}
		if _, err := io.CopyN(io.Discard, s, e.offset-at); err != nil {
			return err
		}
		rows := &io.LimitedReader{R: s, N: e.Bytes}
		if err := each(e, 0, &counting{rows, s}); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, rows); err != nil {
			return err
		}
		if rows.N > 0 {
			return io.ErrUnexpectedEOF
		}
		at = e.offset + e.Bytes
	}
	return nil
}

// errPlainObjects says what cannot be read from a plain dump.
var errPlainObjects = unusable("a plain dump holds its large objects as statements, which are not read: dump with -Fc, or leave them out (large_objects: none)")
