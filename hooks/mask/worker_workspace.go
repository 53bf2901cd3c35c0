package mask

import (
	"fmt"
	"math/rand/v2"
)

// workspace is the memory that transforms work in: one per worker, reused for every
// value.
type workspace struct {
	block  [16]byte // AES works here
	seed   [32]byte
	chacha *rand.ChaCha8

	bufs []*[]byte
	used int

	// entity is the value of the column that the transform's rule names as
	// its entity, valid while the column is masked.
	entity     []byte
	entityNull bool
	entityBuf  []byte

	// escaped is set by a transform that promised to be shaped and wrote a
	// byte that needs escaping all the same.
	escaped bool

	// most, if set, is how many bytes the row's mask may take.
	most int64

	json   jsonWalk
	bounds boundNoise // of the range that is being masked
}

func newWorkspace() *workspace { return &workspace{chacha: rand.NewChaCha8([32]byte{})} }

// tooLong is why a large row is not masked: its mask would take about so many bytes,
// which is more than there are.
type tooLong int64

func (e tooLong) Error() string {
	return fmt.Sprintf("the mask takes about %d MB, for which there is no memory", int64(e)>>20)
}

// within fails when the mask of a large row is longer than there is memory for. So
// far, written bytes of mask stand for the first pos of size bytes of a value.
func (ws *workspace) within(written, pos, size int) error {
	if ws.most == 0 || int64(written) <= ws.most {
		return nil
	}
	return tooLong(int64(written) * int64(size) / int64(max(pos, 1)))
}

// buf lends an empty buffer until release.
func (ws *workspace) buf() *[]byte {
	if ws.used == len(ws.bufs) {
		b := make([]byte, 0, 256)
		ws.bufs = append(ws.bufs, &b)
	}
	b := ws.bufs[ws.used]
	ws.used++
	*b = (*b)[:0]
	return b
}

// release takes back the buffer lent last.
func (ws *workspace) release() { ws.used-- }

// largeRow is the size in bytes above which a row is large: its buffers are given
// back after it.
const largeRow = 1 << 20

// shrink gives back the buffers that a large row left.
func (ws *workspace) shrink() {
	for _, b := range ws.bufs {
		if cap(*b) > largeRow {
			*b = make([]byte, 0, 256)
		}
	}
	if cap(ws.entityBuf) > largeRow {
		ws.entityBuf = nil
	}
	ws.entity = nil
}
