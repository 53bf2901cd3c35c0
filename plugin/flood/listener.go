package flood

import (
	"container/list"
	"net"
	"sync"
)

// Listener is a net.Listener with at most a number of open connections. When
// one too many comes, the oldest one of the address with the most makes room:
// who opens many costs itself its own, and a call that is quick is not hurt by
// those that are slow on purpose.
func Listener(inner net.Listener, most int) net.Listener {
	return &bounded{Listener: inner, most: most, open: map[string]*list.List{}}
}

type bounded struct {
	net.Listener
	most int

	mu    sync.Mutex
	total int
	// open connections by address, oldest first.
	open map[string]*list.List
}

// Accept implements net.Listener.
func (l *bounded) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	full := l.full()
	l.mu.Lock()
	host := Host(c.RemoteAddr().String())
	if l.open[host] == nil {
		l.open[host] = list.New()
	}
	kept := &conn{Conn: c, listener: l, host: host}
	kept.at = l.open[host].PushBack(kept)
	l.total++
	l.mu.Unlock()
	if full != nil {
		_ = full.Close()
	}
	return kept, nil
}

// full is the connection that must go, nil while there is room.
func (l *bounded) full() *conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total < l.most {
		return nil
	}
	var longest *list.List
	for _, conns := range l.open {
		if longest == nil || conns.Len() > longest.Len() {
			longest = conns
		}
	}
	if longest == nil {
		return nil
	}
	oldest, _ := longest.Front().Value.(*conn)
	return oldest
}

func (l *bounded) forget(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	conns := l.open[c.host]
	conns.Remove(c.at)
	l.total--
	if conns.Len() == 0 {
		delete(l.open, c.host)
	}
}

type conn struct {
	net.Conn
	listener *bounded
	host     string
	at       *list.Element
	once     sync.Once
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.once.Do(func() { c.listener.forget(c) })
	return c.Conn.Close()
}

// CloseWrite lets a server end an answer before it has read the whole request.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Host is an address without its port.
func Host(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}
