package copybinary

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"net/netip"
	"strconv"
)

// Type is how the values of a column are converted.
type Type uint8

// The types, by the receive function that reads what they are converted to.
const (
	none        Type = iota
	Text             // textrecv, varcharrecv, bpcharrecv, json_recv, enum_recv: the text itself
	Name             // namerecv: the text itself, of less than 64 bytes
	JSONB            // jsonb_recv: a version, then text
	Bool             // boolrecv
	Int2             // int2recv
	Int4             // int4recv
	Int8             // int8recv
	OID              // oidrecv
	Float4           // float4recv
	Float8           // float8recv
	Numeric          // numeric_recv: digits in base 10,000
	Date             // date_recv: days since 2000-01-01
	Time             // time_recv: microseconds
	Timestamp        // timestamp_recv: microseconds since 2000-01-01
	Timestamptz      // timestamptz_recv: the same, in UTC
	UUID             // uuid_recv
	Bytea            // bytearecv
	Inet             // inet_recv
	CIDR             // cidr_recv
)

var typeByReceive = map[string]Type{
	"textrecv": Text, "varcharrecv": Text, "bpcharrecv": Text, "json_recv": Text, "enum_recv": Text,
	"namerecv": Name, "jsonb_recv": JSONB, "boolrecv": Bool, "int2recv": Int2, "int4recv": Int4, "int8recv": Int8, "oidrecv": OID,
	"float4recv": Float4, "float8recv": Float8, "numeric_recv": Numeric,
	"date_recv": Date, "time_recv": Time, "timestamp_recv": Timestamp, "timestamptz_recv": Timestamptz,
	"uuid_recv": UUID, "bytearecv": Bytea, "inet_recv": Inet, "cidr_recv": CIDR,
}

// ByReceive returns the type that a receive function of the server's own
// (pg_proc.prosrc of pg_type.typreceive, in language internal) reads; false,
// where no text is converted for it. A domain has the receive function of what
// it is over.
func ByReceive(function string) (Type, bool) {
	t, ok := typeByReceive[function]
	return t, ok
}

// Gains reports whether the server reads the type from binary for clearly less
// than from text. Small numbers it does not, and they take more bytes.
func (t Type) Gains() bool {
	switch t {
	case none, Bool, Int2, Int4, Int8, OID, Numeric:
		return false
	}
	return true
}

// append appends a value's binary form; false, if the text is not one that
// PostgreSQL writes, as far as the server would not see it in the binary form.
func (t Type) append(dst, text []byte) ([]byte, bool) {
	switch t {
	case Text:
		return append(dst, text...), true
	case Name:
		// Of a longer one the server takes the begin, if it is text.
		return append(dst, text...), len(text) < 64
	case JSONB:
		return append(append(dst, 1), text...), true
	case Int8:
		n, ok := parseInt(text)
		return binary.BigEndian.AppendUint64(dst, uint64(n)), ok
	case Int4:
		n, ok := parseInt(text)
		return binary.BigEndian.AppendUint32(dst, uint32(n)), ok && n == int64(int32(n))
	case Int2:
		n, ok := parseInt(text)
		return binary.BigEndian.AppendUint16(dst, uint16(n)), ok && n == int64(int16(n))
	case OID:
		n, ok := parseInt(text)
		return binary.BigEndian.AppendUint32(dst, uint32(n)), ok && n == int64(uint32(n))
	case Timestamptz:
		return appendTimestamp(dst, text, true)
	case Timestamp:
		return appendTimestamp(dst, text, false)
	case Numeric:
		return appendNumeric(dst, text)
	case Date:
		return appendDate(dst, text)
	case Time:
		return appendTime(dst, text)
	case Bool:
		if len(text) != 1 || text[0] != 't' && text[0] != 'f' {
			return dst, false
		}
		if text[0] == 't' {
			return append(dst, 1), true
		}
		return append(dst, 0), true
	case Float8:
		f, ok := parseFloat(text, 64)
		return binary.BigEndian.AppendUint64(dst, math.Float64bits(f)), ok
	case Float4:
		f, ok := parseFloat(text, 32)
		return binary.BigEndian.AppendUint32(dst, math.Float32bits(float32(f))), ok
	case UUID:
		return appendUUID(dst, text)
	case Bytea:
		if len(text) < 2 || text[0] != '\\' || text[1] != 'x' {
			return dst, false
		}
		dst, err := hex.AppendDecode(dst, text[2:])
		return dst, err == nil
	case Inet:
		return appendInet(dst, text, false)
	case CIDR:
		return appendInet(dst, text, true)
	}
	return dst, false
}

// parseInt reads a decimal number that fits 64 bits. Zeros in front make an oid
// octal, and are never written.
func parseInt(text []byte) (int64, bool) {
	negative := len(text) > 0 && text[0] == '-'
	if negative {
		text = text[1:]
	}
	if len(text) == 0 || len(text) > 19 || text[0] == '0' && (negative || len(text) > 1) {
		return 0, false
	}
	var n uint64 // of 19 digits: no overflow
	for _, c := range text {
		if c -= '0'; c > 9 {
			return 0, false
		}
		n = n*10 + uint64(c)
	}
	if negative {
		return -int64(n), n <= 1<<63
	}
	return int64(n), n < 1<<63
}

func parseFloat(text []byte, bits int) (float64, bool) {
	switch string(text) {
	case "NaN":
		return math.Float64frombits(0x7ff8 << 48), true // the bits that the server has
	case "Infinity":
		return math.Inf(1), true
	case "-Infinity":
		return math.Inf(-1), true
	}
	for _, c := range text {
		if (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' && c != 'e' {
			return 0, false
		}
	}
	f, err := strconv.ParseFloat(string(text), bits)
	if f == 0 {
		// What is too small is 0 here, and an error there.
		digits, _, _ := bytes.Cut(text, []byte{'e'})
		return f, err == nil && !bytes.ContainsAny(digits, "123456789")
	}
	return f, err == nil
}

const (
	numericNegative = 0x4000
	numericNaN      = 0xC000
	numericInf      = 0xD000
	numericNegInf   = 0xF000
	maxScale        = 0x3fff
	maxWhole        = 131072 // digits before the point
)

// appendNumeric writes the number of digits in base 10,000, the weight of the
// first, the sign and the number of decimals, then the digits.
func appendNumeric(dst, text []byte) ([]byte, bool) {
	head := func(digits, weight int, sign uint16, scale int) {
		dst = binary.BigEndian.AppendUint16(dst, uint16(digits))
		dst = binary.BigEndian.AppendUint16(dst, uint16(weight))
		dst = binary.BigEndian.AppendUint16(dst, sign)
		dst = binary.BigEndian.AppendUint16(dst, uint16(scale))
	}
	switch string(text) {
	case "NaN":
		head(0, 0, numericNaN, 0)
		return dst, true
	case "Infinity":
		head(0, 0, numericInf, 0)
		return dst, true
	case "-Infinity":
		head(0, 0, numericNegInf, 0)
		return dst, true
	}
	var sign uint16
	if len(text) > 0 && text[0] == '-' {
		sign, text = numericNegative, text[1:]
	}
	whole, decimals := text, []byte(nil)
	if i := bytes.IndexByte(text, '.'); i >= 0 {
		whole, decimals = text[:i], text[i+1:]
		if len(decimals) == 0 {
			return dst, false
		}
	}
	if len(whole) == 0 || len(whole) > maxWhole || len(decimals) > maxScale {
		return dst, false
	}
	groups := (len(whole) + 3) / 4
	head(groups+(len(decimals)+3)/4, groups-1, sign, len(decimals))
	for first := len(whole) - (groups-1)*4; len(whole) > 0; first = 4 {
		n, ok := group(whole[:first], first)
		if !ok {
			return dst, false
		}
		dst = binary.BigEndian.AppendUint16(dst, n)
		whole = whole[first:]
	}
	for len(decimals) > 0 {
		size := min(4, len(decimals))
		n, ok := group(decimals[:size], 4)
		if !ok {
			return dst, false
		}
		dst = binary.BigEndian.AppendUint16(dst, n)
		decimals = decimals[size:]
	}
	return dst, true
}

// group reads up to four digits, with zeros for those that lack behind.
func group(text []byte, width int) (uint16, bool) {
	var n uint16
	for i := range width {
		n *= 10
		if i < len(text) {
			c := text[i] - '0'
			if c > 9 {
				return 0, false
			}
			n += uint16(c)
		}
	}
	return n, true
}

func appendUUID(dst, text []byte) ([]byte, bool) {
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return dst, false
	}
	for _, part := range [...][2]int{{0, 8}, {9, 13}, {14, 18}, {19, 23}, {24, 36}} {
		var err error
		if dst, err = hex.AppendDecode(dst, text[part[0]:part[1]]); err != nil {
			return dst, false
		}
	}
	return dst, true
}

// The address families of PostgreSQL's inet.
const (
	familyIPv4 = 2
	familyIPv6 = 3
)

// appendInet writes family, bits of the network, whether it is a cidr, the
// address' length, and the address.
func appendInet(dst, text []byte, cidr bool) ([]byte, bool) {
	address, mask, masked := bytes.Cut(text, []byte{'/'})
	bits := -1
	if masked {
		n, ok := parseInt(mask)
		if !ok || n < 0 || n > 128 {
			return dst, false
		}
		bits = int(n)
	}
	a, ok := parseAddress(address)
	if !ok {
		return dst, false
	}
	family := byte(familyIPv6)
	// An IPv4 address in IPv6 stays one of IPv6.
	if a.Is4() {
		family = familyIPv4
	}
	if bits < 0 {
		bits = a.BitLen()
	}
	if bits > a.BitLen() {
		return dst, false
	}
	flag := byte(0)
	if cidr {
		if flag = 1; netip.PrefixFrom(a, bits).Masked().Addr() != a {
			return dst, false
		}
	}
	dst = append(dst, family, byte(bits), flag, byte(a.BitLen()/8))
	if a.Is4() {
		b := a.As4()
		return append(dst, b[:]...), true
	}
	b := a.As16()
	return append(dst, b[:]...), true
}

// parseAddress does for IPv4, without allocation, what netip does for all.
func parseAddress(text []byte) (netip.Addr, bool) {
	if bytes.IndexByte(text, ':') >= 0 {
		a, err := netip.ParseAddr(string(text))
		return a, err == nil && a.Zone() == ""
	}
	var a [4]byte
	for i := range a {
		part := text
		if j := bytes.IndexByte(text, '.'); i < 3 && j >= 0 {
			part, text = text[:j], text[j+1:]
		} else if i < 3 {
			return netip.Addr{}, false
		}
		n, ok := parseInt(part)
		if !ok || n < 0 || n > 255 {
			return netip.Addr{}, false
		}
		a[i] = byte(n)
	}
	return netip.AddrFrom4(a), true
}
