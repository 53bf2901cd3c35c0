package mask

import (
	"bytes"
	"encoding/binary"
	"net/netip"
)

var ipMasker = &masker{
	name:   "ip",
	doc:    maskerDoc{"an address of the same network: the leading bits stay, the others are permuted", "yes, in inet and cidr columns", "the leading bits (`keep4`, `keep6`), the netmask", "the network, that is provider and region; which rows have equal values"},
	kinds:  []kind{kindInet, kindText},
	digits: true,
	options: []option{
		{name: "keep4", kind: optInt, min: 0, max: 24, fallback: 16, doc: "leading bits of an IPv4 address that stay"},
		{name: "keep6", kind: optInt, min: 0, max: 64, fallback: 32, doc: "leading bits of an IPv6 address that stay"},
		malformed,
	},
	build: buildIP,
}

type ip struct {
	keyed
	bits         *prf
	keep4, keep6 int
	cidr         bool
	padding
	permuted bool // in inet columns; elsewhere the new bits are a plain PRF, eight times cheaper
}

const notIP = reason("the value is not an IP address")

func (m *ip) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	value = m.cut(value)
	if len(value) == 0 {
		return dst, nil
	}
	host, suffix := value, []byte(nil)
	if i := bytes.IndexByte(value, '/'); i >= 0 {
		host, suffix = value[:i], value[i:]
	}
	addr, ok := parseIPv4(host)
	if !ok && len(host) > len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255") {
		return dst, notIP
	}
	if !ok {
		a, err := netip.ParseAddr(string(host))
		if err != nil || a.Zone() != "" {
			return dst, notIP
		}
		addr = a
	}
	width, keep := 32, m.keep4
	if addr.Is6() {
		width, keep = 128, m.keep6
	}
	end := width
	if len(suffix) > 0 {
		n, ok := parseUint(suffix[1:])
		if !ok || n > uint64(width) {
			return dst, notIP
		}
		if m.cidr {
			end = int(n) // the bits behind the netmask must stay zero
		}
	}
	switch {
	case end <= keep:
	case m.permuted:
		addr = m.permute(ws, addr, keep, end)
	default:
		addr = m.replace(ws, addr, keep)
	}
	buf := ws.buf()
	*buf = addr.AppendTo(*buf)
	dst = append(append(dst, *buf...), suffix...)
	ws.release()
	return dst, nil
}

// replace writes pseudo-random bits behind the kept ones.
func (m *ip) replace(ws *workspace, a netip.Addr, keep int) netip.Addr {
	if a.Is4() {
		b := a.As4()
		v := binary.BigEndian.Uint32(b[:])
		rest := uint32(1<<(32-keep) - 1)
		v = v&^rest | uint32(m.prf.one(ws, 4, uint64(v)).lo)&rest
		binary.BigEndian.PutUint32(b[:], v)
		return netip.AddrFrom4(b)
	}
	b := a.As16()
	hi, lo := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	t := m.bits.one(ws, hi, lo)
	rest := ^uint64(0) >> keep
	if keep == 64 {
		rest = 0
	}
	binary.BigEndian.PutUint64(b[:8], hi&^rest|t.hi&rest)
	binary.BigEndian.PutUint64(b[8:], t.lo)
	return netip.AddrFrom16(b)
}

// permute replaces the bits from keep to end, by a permutation that depends
// on the bits before them.
func (m *ip) permute(ws *workspace, a netip.Addr, keep, end int) netip.Addr {
	if a.Is4() {
		b := a.As4()
		v := uint64(binary.BigEndian.Uint32(b[:]))
		shift := 32 - end
		head := v >> (32 - keep)
		v = head<<(end-keep) | m.feistel(ws, head, uint64(keep)<<8|uint64(end), v>>shift&(1<<(end-keep)-1), end-keep)
		binary.BigEndian.PutUint32(b[:], uint32(v<<shift))
		return netip.AddrFrom4(b)
	}
	// In two halves: the bits up to 64, depending on the prefix, and then the rest,
	// depending on all before them. Each step is a permutation.
	b := a.As16()
	hi, lo := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	original := hi
	if top := min(end, 64); top > keep {
		n, shift := top-keep, 64-top
		head := uint64(0)
		if keep > 0 {
			head = hi >> (64 - keep)
		}
		mid := hi >> shift
		if n < 64 {
			mid &= 1<<n - 1
		}
		mid = m.feistel(ws, head, 6<<16|uint64(keep)<<8|uint64(top), mid, n)
		hi = mid
		if keep > 0 {
			hi |= head << n
		}
		hi <<= shift
	}
	if end > 64 {
		n, shift := end-64, 128-end
		lo = m.feistel(ws, original, 7<<16|uint64(end), lo>>shift, n) << shift
	}
	binary.BigEndian.PutUint64(b[:8], hi)
	binary.BigEndian.PutUint64(b[8:], lo)
	return netip.AddrFrom16(b)
}

// feistel permutes width bits under a tweak.
func (m *ip) feistel(ws *workspace, head, tweak, x uint64, width int) uint64 {
	if width == 1 {
		return x ^ m.prf1(ws, head, tweak)&1
	}
	p := permutation{prf: m.bits, n: 0, tweak: m.prf1(ws, head, tweak) &^ 0xff, a: uint(width / 2), b: uint(width - width/2)}
	return p.once(ws, x)
}

// prf1 makes a tweak of a prefix and where it stands; bit 63 keeps its inputs apart
// from those of the rounds.
func (m *ip) prf1(ws *workspace, head, tweak uint64) uint64 {
	return m.prf.one(ws, tweak|1<<63, head).lo
}

func buildIP(t *target, r *rule) (transform, traits, error) {
	m := &ip{keyed: t.keyed("ip"), bits: t.stream("ip"), keep4: r.int("keep4"), keep6: r.int("keep6"), padding: t.padding()}
	m.permuted = t.kind == kindInet
	m.cidr = t.kind == kindInet && t.column.BaseType == "cidr" && !t.inside
	tr := traits{injective: t.kind == kindInet, clean: true, remedy: "give the column type inet", kept: []string{"leading bits"}}
	if t.length > 0 && t.length < 43 {
		tf, err := t.lenient(m, r)
		return &bounded{tf, t.length, r}, tr, err
	}
	tf, err := t.lenient(m, r)
	return tf, tr, err
}

func parseIPv4(b []byte) (netip.Addr, bool) {
	var out [4]byte
	for i := range out {
		n, digits := 0, 0
		for len(b) > 0 && isDigit(b[0]) && digits < 3 {
			n = n*10 + int(b[0]-'0')
			b = b[1:]
			digits++
		}
		if digits == 0 || n > 255 {
			return netip.Addr{}, false
		}
		out[i] = byte(n)
		if i < 3 {
			if len(b) == 0 || b[0] != '.' {
				return netip.Addr{}, false
			}
			b = b[1:]
		}
	}
	return netip.AddrFrom4(out), len(b) == 0
}
