package mask

var uuidMasker = &masker{
	name:  "uuid",
	doc:   maskerDoc{"a random (version 4) UUID", "yes", "nothing", "which rows have equal values"},
	kinds: []kind{kindUUID, kindText},
	build: func(t *target, r *rule) (transform, traits, error) {
		if t.length > 0 && t.length < 36 {
			return nil, traits{}, t.tooLong("uuid", 36)
		}
		return &uuidMask{t.keyed("uuid")}, traits{injective: true, clean: true}, nil
	},
}

type uuidMask struct{ keyed }

func (u *uuidMask) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	if len(value) == 0 {
		return dst, nil
	}
	t := u.tag(ws, value)
	return appendUUID(dst, t.hi, t.lo), nil
}

// appendUUID writes 128 bits as a version 4 UUID.
func appendUUID(dst []byte, hi, lo uint64) []byte {
	hi = hi&^0xf000 | 0x4000
	lo = lo&^(3<<62) | 2<<62
	at := len(dst)
	dst = appendHex(appendHex(dst, hi), lo)
	dst = append(dst, "0000"...)
	b := dst[at:]
	copy(b[24:], b[20:32])
	b[23] = '-'
	copy(b[19:23], b[16:20])
	b[18] = '-'
	copy(b[14:18], b[12:16])
	b[13] = '-'
	copy(b[9:13], b[8:12])
	b[8] = '-'
	return dst
}

func isUUID(b []byte) bool {
	if len(b) != 36 {
		return false
	}
	for i, c := range b {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
		} else if !isHex(c) {
			return false
		}
	}
	return true
}
