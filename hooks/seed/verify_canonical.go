package seed

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/seedling-dev/seedling/hooks/copytext"
	"github.com/seedling-dev/seedling/hooks/mask"
)

// canonicalForm writes a field so that equal values are equal bytes, whether they come
// from the dump or from the server.
type canonicalForm struct {
	write func(dst, field []byte) []byte
	// server, if set, is a type whose values can be written in ways that only the
	// server knows.
	server string
	// loose columns may differ: rows that they referenced were left out
	loose bool
}

func asIs(dst, field []byte) []byte { return append(dst, field...) }

// canonicalFormOf chooses for a column. What is kept was written by a server
// already, so only its time zone can differ; what is masked was written here.
func canonicalFormOf(c mask.Column, kept bool) canonicalForm {
	if c.Array || c.Composite {
		switch c.BaseType {
		case "text", "varchar", "int2", "int4", "int8", "uuid", "bool", "date", "timestamp", "bpchar", "citext", "inet", "jsonb", "json", "numeric":
			if kept {
				return canonicalForm{write: asIs}
			}
		}
		return canonicalForm{write: asIs, server: c.Type}
	}
	switch c.BaseType {
	case "timestamptz":
		return canonicalForm{write: instant}
	case "money":
		return canonicalForm{write: asIs, server: c.Type}
	case "bpchar":
		return canonicalForm{write: func(dst, f []byte) []byte { return append(dst, bytes.TrimRight(f, " ")...) }}
	}
	if kept {
		return canonicalForm{write: asIs}
	}
	switch c.BaseType {
	case "numeric":
		return canonicalForm{write: decimal}
	case "float4":
		return canonicalForm{write: func(dst, f []byte) []byte { return float(dst, f, 32) }}
	case "float8":
		return canonicalForm{write: func(dst, f []byte) []byte { return float(dst, f, 64) }}
	case "jsonb":
		return canonicalForm{write: document}
	case "text", "varchar", "citext", "json", "uuid", "bool", "int2", "int4", "int8", "date", "timestamp", "bytea":
		return canonicalForm{write: asIs}
	}
	if len(c.Enum) > 0 {
		return canonicalForm{write: asIs}
	}
	return canonicalForm{write: asIs, server: c.Type}
}

// instant writes a timestamp with time zone in UTC.
func instant(dst, f []byte) []byte {
	s := string(f)
	for _, layout := range []string{"2006-01-02 15:04:05.999999-07", "2006-01-02 15:04:05.999999-07:00", "2006-01-02 15:04:05.999999-07:00:00"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC().AppendFormat(dst, "2006-01-02 15:04:05.999999")
		}
	}
	if m := farInstant.FindStringSubmatch(s); m != nil {
		var n [6]int
		for i := range n {
			n[i], _ = strconv.Atoi(m[i+1]) // few digits
		}
		if m[12] != "" {
			n[0] = 1 - n[0]
		}
		fraction, _ := strconv.Atoi((m[7] + "000000")[:6])
		zone := 0
		for _, part := range m[9:12] {
			v, _ := strconv.Atoi(part)
			zone = zone*60 + v
		}
		if m[8] == "-" {
			zone = -zone
		}
		t := time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], n[5]-zone, fraction*1000, time.UTC)
		return t.AppendFormat(dst, "2006-01-02 15:04:05.999999")
	}
	return append(dst, f...) // infinity
}

// farInstant is a timestamp with time zone of any year: 9999-12-31, which stands for
// the end of time, is in the year 10000 in other zones.
var farInstant = regexp.MustCompile(`^([0-9]{4,6})-([0-9]{2})-([0-9]{2}) ([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,6}))?([+-])([0-9]{2})(?::([0-9]{2}))?(?::([0-9]{2}))?( BC)?$`)

// decimal drops the zeros that say nothing.
func decimal(dst, f []byte) []byte {
	if bytes.IndexByte(f, '.') >= 0 && bytes.IndexByte(f, 'e') < 0 {
		f = bytes.TrimRight(bytes.TrimRight(f, "0"), ".")
	}
	return append(dst, f...)
}

func float(dst, f []byte, bits int) []byte {
	v, err := strconv.ParseFloat(string(f), bits)
	if err != nil {
		return append(dst, f...)
	}
	return strconv.AppendFloat(dst, v, 'g', -1, bits)
}

// document writes JSON compactly, with sorted keys and the digits of its
// numbers as they are.
func document(dst, f []byte) []byte {
	text := f
	if !copytext.Plain(f) {
		text = copytext.Unescape(nil, f)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return append(dst, f...)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return append(dst, f...)
	}
	return append(dst, b...)
}

// textual says that a column may hold text of any kind.
func textual(c mask.Column) bool {
	return slices.ContainsFunc(c.Attributes, textual) || slices.Contains([]string{"text", "varchar", "bpchar", "citext", "json", "jsonb", "xml", "hstore", "name"}, c.BaseType)
}
