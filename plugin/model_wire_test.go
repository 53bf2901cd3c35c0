package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
)

// TestMain lets forges, which dial as every Go program does, reach the wires of
// models too.
func TestMain(m *testing.M) {
	if base, ok := http.DefaultTransport.(*http.Transport); ok {
		dial := base.DialContext
		base.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			if w, ok := wires.Load(address); ok {
				return w.(*wire).dial(ctx, network, address) //nolint:forcetypeassert // only wires are stored
			}
			return dial(ctx, network, address)
		}
	}
	// The one that slows errors down remembers when the last one was, and each
	// model has a clock of its own.
	runtime.ErrorHandlers = runtime.ErrorHandlers[:1] //nolint:reassign // there is no other way to it
	klog.SetLogger(logr.Discard())
	ctrllog.SetLogger(logr.Discard())
	gin.SetMode(gin.ReleaseMode)
	os.Exit(m.Run())
}

// wires are the networks in memory, by the addresses that forges have there.
var wires sync.Map

// wire is a network in memory: what waits for it waits durably, as package
// synctest has it, so that its time is not the machine's.
type wire struct {
	mu        sync.Mutex
	listeners map[string]*wireListener
	conns     map[net.Conn]string
}

func newWire() *wire {
	return &wire{listeners: map[string]*wireListener{}, conns: map[net.Conn]string{}}
}

type wireListener struct {
	wire    *wire
	address string
	accept  chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func (w *wire) listen(address string) net.Listener {
	l := &wireListener{wire: w, address: address, accept: make(chan net.Conn), closed: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listeners[address] = l
	return l
}

func (l *wireListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accept:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *wireListener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.wire.mu.Lock()
		defer l.wire.mu.Unlock()
		if l.wire.listeners[l.address] == l {
			delete(l.wire.listeners, l.address)
		}
	})
	return nil
}

func (l *wireListener) Addr() net.Addr { return wireAddress(l.address) }

type wireAddress string

func (wireAddress) Network() string  { return "wire" }
func (a wireAddress) String() string { return string(a) }

func (w *wire) dial(ctx context.Context, _, address string) (net.Conn, error) {
	w.mu.Lock()
	l := w.listeners[address]
	w.mu.Unlock()
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: "wire", Addr: wireAddress(address), Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	here, there := net.Pipe()
	select {
	case l.accept <- there:
	case <-l.closed:
		return nil, errors.New("the listener was closed")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	c := &wireConn{Conn: here, wire: w, there: there}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns[c] = address
	return c, nil
}

// cut ends the connections to an address; to all where it is empty.
func (w *wire) cut(address string) {
	w.mu.Lock()
	var cut []net.Conn
	for c, to := range w.conns {
		if address == "" || to == address {
			cut = append(cut, c)
		}
	}
	w.mu.Unlock()
	for _, c := range cut {
		_ = c.Close() // pipes close
	}
}

type wireConn struct {
	net.Conn
	wire  *wire
	there net.Conn
}

func (c *wireConn) Close() error {
	c.wire.mu.Lock()
	delete(c.wire.conns, c)
	c.wire.mu.Unlock()
	return errors.Join(c.Conn.Close(), c.there.Close())
}
