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
	"time"
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
	// Statements outside of any entry are settings of the session.
	preamble := &Entry{ID: 0, Kind: "", Section: PreData}
	p := &plainParser{plainReader: &plainReader{s: s}, dump: d, toc: toc, section: PreData, preamble: preamble, cur: preamble}
	for {
		line, err := p.line()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := p.take(line); err != nil {
			return err
		}
	}
	p.leave()
	if !p.ended {
		return unusable("it does not end as pg_dump ends a dump: it is truncated")
	}
	d.numberSpecial()
	return nil
}

// plainParser turns a plain dump into entries.
type plainParser struct {
	*plainReader
	dump     *Dump
	toc      hash.Hash
	section  Section
	access   string // default_table_access_method
	begun    bool   // the first line was seen
	sawData  bool
	ended    bool
	kept     int // bytes in memory
	preamble *Entry
	cur      *Entry
	text     strings.Builder // the statements of cur so far
}

// leave ends the current entry.
func (p *plainParser) leave() {
	if p.cur != p.preamble {
		p.cur.Create = p.text.String()
	}
	p.text.Reset()
}

// take takes a line between statements: a comment, a command of psql or the begin of
// a statement, which it reads to its end.
func (p *plainParser) take(line []byte) error {
	begin := p.at - int64(len(line))
	trimmed := strings.TrimRight(string(line), "\r\n")
	if trimmed == "" || trimmed == "--" {
		return nil
	}
	if !p.begun {
		if strings.Contains(trimmed, "database cluster dump") {
			return unusable("it is the output of pg_dumpall: dump the one database with pg_dump")
		}
		if !strings.HasPrefix(strings.TrimLeft(trimmed, "\xef\xbb\xbf"), "-- PostgreSQL database dump") {
			return unusable("it is not a pg_dump archive")
		}
		p.begun = true
	}
	switch {
	case strings.HasPrefix(trimmed, "--"):
		return p.comment(trimmed)
	case strings.HasPrefix(trimmed, `\`):
		return p.command(trimmed, begin)
	}
	statement, err := p.statement(line)
	if err != nil {
		return err
	}
	if p.kept += len(statement); p.kept > maxTOC {
		return unusable("its statements are longer than %d bytes in all", maxTOC)
	}
	if err := p.add(statement, begin); err != nil {
		return err
	}
	p.toc.Write([]byte(statement))
	return nil
}

// comment takes a comment, which may be the heading of the next entry.
func (p *plainParser) comment(line string) error {
	d := p.dump
	if v, ok := strings.CutPrefix(line, "-- Dumped from database version "); ok {
		d.Server = v
	}
	if v, ok := strings.CutPrefix(line, "-- Dumped by pg_dump version "); ok {
		d.Client = v
	}
	if v, ok := strings.CutPrefix(line, "-- Started on "); ok { // pg_dump --verbose
		p.started(v)
	}
	p.ended = p.ended || line == "-- PostgreSQL database dump complete"
	m := heading.FindStringSubmatch(line)
	if m == nil {
		return nil
	}
	if p.kept += len(line) + 256; p.kept > maxTOC {
		return unusable("its entries are longer than %d bytes in all", maxTOC)
	}
	p.leave()
	e := &Entry{ID: len(d.Entries) + 1, Kind: m[3], Tag: m[2], Schema: m[4], Owner: m[5], Section: p.section}
	if e.Schema == "-" {
		e.Schema = ""
	}
	if e.Owner == "-" {
		e.Owner = ""
	}
	switch e.Kind {
	case "TABLE DATA", "BLOBS", "SEQUENCE SET":
		e.Section, p.sawData = Data, true
	case "TABLE", "MATERIALIZED VIEW":
		e.AccessMethod = p.access
	}
	if p.sawData && e.Section != Data {
		p.section = PostData
		e.Section = PostData
	}
	d.byID[e.ID] = e
	d.Entries = append(d.Entries, e)
	p.cur = e
	return nil
}

// started notes when a plain dump was made: its local time, as archives have it.
func (p *plainParser) started(at string) {
	if len(at) < len(time.DateTime) || !p.dump.Created.IsZero() {
		return
	}
	if t, err := time.Parse(time.DateTime, at[:len(time.DateTime)]); err == nil {
		p.dump.Created = t
	}
}

// command takes a command of psql.
func (p *plainParser) command(line string, begin int64) error {
	word, _, _ := strings.Cut(line, " ")
	switch word {
	case `\restrict`, `\unrestrict`:
		return nil
	case `\connect`:
		if onlyDatabase(p.dump.Entries) {
			p.leave()
			p.cur = p.preamble
			return nil
		}
		return unusable("it holds \\connect between its entries, so it is more than one database: dump the one with pg_dump")
	}
	// Not quoted, since it may be a row.
	return unusable("the line at byte %d begins with a backslash and is not among rows: the dump is damaged, or was given commands of psql: dump with pg_dump", begin)
}

// add adds a statement to the current entry, or takes it for what it sets.
func (p *plainParser) add(statement string, begin int64) error {
	cur := p.cur
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
		return p.set(statement)
	case strings.HasPrefix(statement, "SELECT pg_catalog.set_config('search_path', '', false);"):
	case cur == p.preamble && cleaning.MatchString(statement):
		// Of --clean: there is nothing to drop.
	case cur == p.preamble && strings.HasPrefix(statement, "SET SESSION AUTHORIZATION"):
		return unusable("it was made with pg_dump --use-set-session-authorization: dump without that option")
	case cur == p.preamble:
		return unusable("the statement at byte %d belongs to no entry: pg_dump writes a comment `-- Name: ...; Type: ...` before each", begin)
	default:
		p.text.WriteString(statement)
	}
	return nil
}

// set takes a setting of the session.
func (p *plainParser) set(statement string) error {
	m := setting.FindStringSubmatch(statement)
	name, value := strings.ToLower(m[1]), strings.Trim(m[2], "' ")
	d := p.dump
	switch {
	case name == "default_table_access_method":
		p.access = strings.Trim(value, `"`)
	case name == "search_path" && value != "":
		return unusable("it sets search_path, as pg_dump before 10.3 did: dump with a newer pg_dump")
	case name == "client_encoding":
		d.Entries = append(d.Entries, &Entry{ID: -1, Kind: "ENCODING", Tag: "ENCODING", Section: PreData, Create: statement})
	case name == "standard_conforming_strings":
		d.Entries = append(d.Entries, &Entry{ID: -2, Kind: "STDSTRINGS", Tag: "STDSTRINGS", Section: PreData, Create: "SET standard_conforming_strings = '" + value + "';"})
	}
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
		if s.quote != 0 {
			next, more := s.inside(text, i)
			if !more {
				s.at = next
				return false
			}
			i, done = next, false
			continue
		}
		if next := s.open(text, i); next > i {
			i, done = next, false
			continue
		}
		if identByte(c) {
			i, done = s.word(text, i), false
			continue
		}
		i++
		switch c {
		case ';':
			if s.parens <= 0 && s.atomic <= 0 {
				done = true
				continue
			}
		case '(', '[':
			s.parens++
		case ')', ']':
			s.parens--
		case ' ', '\n', '\r', '\t':
			continue
		}
		done, s.last = false, ""
	}
	s.at = i
	return done && s.quote == 0
}

// inside reads on in the quote or comment that is open, at most to its end. more is
// false where it takes more text than there is, from next on, to tell.
func (s *scan) inside(text []byte, i int) (next int, more bool) {
	c := text[i]
	switch s.quote {
	case '\'':
		if c == '\\' && s.escape {
			i++
		} else if c == '\'' {
			s.quote = 0
		}
	case '"':
		if c == '"' {
			s.quote = 0
		}
	case '$':
		n := bytes.Index(text[i:], []byte(s.tag))
		if n < 0 {
			// The tag may begin at the end of what is there.
			return max(i, len(text)-len(s.tag)+1), false
		}
		s.quote = 0
		return i + n + len(s.tag), true
	case '*':
		switch {
		case bytes.HasPrefix(text[i:], []byte("*/")):
			if s.depth--; s.depth == 0 {
				s.quote = 0
			}
			i++
		case bytes.HasPrefix(text[i:], []byte("/*")):
			s.depth++
			i++
		}
	}
	return i + 1, true
}

// open opens the quote or comment that begins at i, and returns where its content
// does; i if none begins there. A comment to the end of its line it steps over.
func (s *scan) open(text []byte, i int) int {
	switch c := text[i]; {
	case c == '\'':
		s.quote, s.escape = c, i > 0 && (text[i-1] == 'E' || text[i-1] == 'e') && (i < 2 || !identByte(text[i-2]))
		return i + 1
	case c == '"':
		s.quote = c
		return i + 1
	case bytes.HasPrefix(text[i:], []byte("--")):
		if n := bytes.IndexByte(text[i:], '\n'); n >= 0 {
			return i + n
		}
		return len(text)
	case bytes.HasPrefix(text[i:], []byte("/*")):
		s.quote, s.depth = '*', 1
		return i + 2
	case c == '$' && (i == 0 || !identByte(text[i-1])):
		j := i + 1
		for j < len(text) && identByte(text[j]) && text[j] != '$' {
			j++
		}
		if j < len(text) && text[j] == '$' && (j == i+1 || text[i+1] < '0' || text[i+1] > '9') {
			s.tag, s.quote = string(text[i:j+1]), '$'
			return j + 1
		}
		return i + 1
	}
	return i
}

// word steps over a word, and counts what nests by words.
func (s *scan) word(text []byte, i int) int {
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
	return j
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
