package kubefake

import (
	"fmt"
	"net/http"
	"sort"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// kept is how many events of a kind are remembered. A watch from before those
// begins anew with a list.
const kept = 20000

// event is that an object came (was is nil), changed, or went (is is nil).
type event struct {
	version uint64
	was, is *object
}

// history are the last events of a kind.
type history struct {
	events []event
	// first is how many came before those.
	first int
	// since is the version of the last one that is forgotten.
	since uint64
}

func (k *kind) tell(e event) {
	h := &k.log
	h.events = append(h.events, e)
	if len(h.events) > 2*kept {
		h.since, h.first = h.events[kept-1].version, h.first+kept
		h.events = append([]event(nil), h.events[kept:]...)
	}
	close(k.changed)
	k.changed = make(chan struct{})
}

// after is the number of the first event after a version; ok is false where
// there may have been one that is forgotten.
func (h *history) after(version uint64) (n int, ok bool) {
	if version < h.since {
		return 0, false
	}
	return h.first + sort.Search(len(h.events), func(i int) bool { return h.events[i].version > version }), true
}

// as is what an event is to a watch of those that match.
func (e event) as(c call) (kind string, o *object) {
	was, is := e.was != nil && e.was.is(c), e.is != nil && e.is.is(c)
	switch {
	case is && was:
		return "MODIFIED", e.is
	case is:
		return "ADDED", e.is
	case was && e.is != nil:
		return "DELETED", e.is
	case was:
		return "DELETED", e.was
	}
	return "", nil
}

// watch tells of changes until the client, or Drop, ends it.
func (s *Server) watch(w http.ResponseWriter, r *http.Request, c call) {
	if c.name != "" {
		refuse(w, apierrors.NewBadRequest("kubefake watches lists alone"))
		return
	}
	version, err := strconv.ParseUint(r.URL.Query().Get("resourceVersion"), 10, 64)
	s.mu.Lock()
	dropped := s.dropped
	next, known := c.kind.log.after(version)
	var lines []byte
	if err != nil || version == 0 {
		next, known = c.kind.log.first+len(c.kind.log.events), true
		for _, objects := range c.kind.objects {
			for _, o := range objects {
				if o.is(c) {
					lines = append(lines, line("ADDED", o.view(c.partial))...)
				}
			}
		}
	}
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	if !known {
		gone := apierrors.NewResourceExpired("too old resource version").Status()
		gone.Kind, gone.APIVersion = "Status", "v1"
		_, _ = w.Write(line("ERROR", encode(gone))) // or it finds out by itself
		return
	}
	to := http.NewResponseController(w)
	for {
		if _, err := w.Write(lines); err != nil || to.Flush() != nil {
			return
		}
		s.mu.Lock()
		h := &c.kind.log
		changed := c.kind.changed
		lines = lines[:0]
		if next < h.first {
			s.mu.Unlock()
			return // too slow: it begins anew
		}
		for ; next < h.first+len(h.events); next++ {
			if kind, o := h.events[next-h.first].as(c); kind != "" {
				lines = append(lines, line(kind, o.view(c.partial))...)
			}
		}
		s.mu.Unlock()
		if len(lines) > 0 {
			continue
		}
		select {
		case <-changed:
		case <-dropped:
			return
		case <-r.Context().Done():
			return
		}
	}
}

func line(kind string, object []byte) []byte {
	return fmt.Appendf(nil, "{\"type\":%q,\"object\":%s}\n", kind, object)
}
