package seed

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/seedling-dev/seedling/hooks/copytext"
	"github.com/seedling-dev/seedling/hooks/mask"
)

// canon writes a field so that equal values are equal bytes, whether they come
// from the dump or from the server.
type canon struct {
	write func(dst, field []byte) []byte
	// sure is false where two ways of writing one value are possible that
	// write does not know.
	sure bool
}

func asIs(dst, field []byte) []byte { return append(dst, field...) }

// canonical chooses for a column. What is kept was written by a server
// already, so only its time zone can differ; what is masked was written here.
func canonical(c mask.Column, kept bool) canon {
	if c.Array || c.Composite {
		switch c.BaseType {
		case "text", "varchar", "int2", "int4", "int8", "uuid", "bool", "date", "timestamp", "bpchar", "citext", "inet", "jsonb", "json", "numeric":
			return canon{asIs, kept}
		}
		return canon{asIs, false}
	}
	switch c.BaseType {
	case "timestamptz":
		return canon{instant, true}
	case "money":
		return canon{asIs, false}
	case "bpchar":
		return canon{func(dst, f []byte) []byte { return append(dst, bytes.TrimRight(f, " ")...) }, true}
	}
	if kept {
		return canon{asIs, true}
	}
	switch c.BaseType {
	case "numeric":
		return canon{decimal, true}
	case "float4", "float8":
		return canon{float, true}
	case "jsonb":
		return canon{document, true}
	case "text", "varchar", "citext", "name", "json", "uuid", "bool", "int2", "int4", "int8", "date", "timestamp", "bytea":
		return canon{asIs, true}
	}
	return canon{asIs, len(c.Enum) > 0}
}

// instant writes a timestamp with time zone in UTC.
func instant(dst, f []byte) []byte {
	s := string(f)
	for _, layout := range []string{"2006-01-02 15:04:05.999999-07", "2006-01-02 15:04:05.999999-07:00", "2006-01-02 15:04:05.999999-07:00:00"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC().AppendFormat(dst, "2006-01-02 15:04:05.999999")
		}
	}
	return append(dst, f...) // infinity, or before our era
}

// decimal drops the zeros that say nothing.
func decimal(dst, f []byte) []byte {
	if bytes.IndexByte(f, '.') >= 0 && bytes.IndexByte(f, 'e') < 0 {
		f = bytes.TrimRight(bytes.TrimRight(f, "0"), ".")
	}
	return append(dst, f...)
}

func float(dst, f []byte) []byte {
	v, err := strconv.ParseFloat(string(f), 64)
	if err != nil {
		return append(dst, f...)
	}
	return strconv.AppendFloat(dst, v, 'g', -1, 64)
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
	return slices.Contains([]string{"text", "varchar", "bpchar", "citext", "json", "jsonb", "xml", "hstore", "name"}, c.BaseType)
}
