package mask

// keyed is a sub-key together with the equality of the group's columns: equal
// values have equal tags.
type keyed struct {
	prf *prf
	eq  equality
}

func (k *keyed) tag(ws *workspace, value []byte) tag {
	if !k.eq.fold && !k.eq.trim && !k.eq.scale {
		return k.prf.sum(ws, value)
	}
	buf := ws.buf()
	t := k.prf.sum(ws, k.eq.canonical(buf, value))
	ws.release()
	return t
}

// stream is the pseudo-random stream that starts from a tag.
type stream struct {
	ws    *workspace
	prf   *prf
	tag   tag
	have  int    // blocks used
	word  uint64 // bits left
	left  int    // bytes left in word
	spare uint64 // the second half of an AES block
	half  bool
	fast  bool
}

// streamBlocks is how many blocks a stream reads before it goes over to
// ChaCha8, the tag included.
const streamBlocks = 4

// newStream starts a stream: the tag itself, then blocks under prf, which must
// be a sub-key used for streams alone.
func newStream(ws *workspace, p *prf, t tag) stream { return stream{ws: ws, prf: p, tag: t} }

// next returns 64 fresh bits.
func (r *stream) next() uint64 {
	if r.half {
		r.half = false
		return r.spare
	}
	if r.fast {
		return r.ws.chacha.Uint64()
	}
	switch r.have {
	case 0:
		r.have++
		r.half, r.spare = true, r.tag.lo
		return r.tag.hi
	case streamBlocks:
		r.fast = true
		for i := range 2 {
			r.block()
			copy(r.ws.seed[16*i:], r.ws.block[:])
		}
		r.ws.chacha.Seed(r.ws.seed)
		return r.ws.chacha.Uint64()
	}
	t := r.block()
	r.half, r.spare = true, t.lo
	return t.hi
}

func (r *stream) block() tag {
	t := r.prf.one(r.ws, r.tag.hi, r.tag.lo^uint64(r.have))
	r.have++
	return t
}

// byte returns a fresh byte.
func (r *stream) byte() byte {
	if r.left == 0 {
		r.word, r.left = r.next(), 8
	}
	b := byte(r.word)
	r.word >>= 8
	r.left--
	return b
}
