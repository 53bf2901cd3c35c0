package platform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
)

// dial opens a connection to a port of a pod through the API server, as
// kubectl port-forward does, without a port on this host.
func (p *Platform) dial(namespace, pod string, port int) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		return nil, fmt.Errorf("reach port %d of pod %s/%s: %w", port, namespace, pod, err)
	}
	config := p.Cluster.REST()
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fail(err)
	}
	round, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return fail(err)
	}
	url := clients.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("portforward").URL()
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: round}, http.MethodPost, url)
	tunnel, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
	if err != nil {
		return fail(err)
	}
	headers := http.Header{}
	headers.Set(corev1.PortHeader, strconv.Itoa(port))
	headers.Set(corev1.PortForwardRequestIDHeader, "0")
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	complaints, err := tunnel.CreateStream(headers)
	if err != nil {
		return fail(errors.Join(err, tunnel.Close()))
	}
	// Nothing is written there.
	if err := complaints.Close(); err != nil {
		return fail(errors.Join(err, tunnel.Close()))
	}
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := tunnel.CreateStream(headers)
	if err != nil {
		return fail(errors.Join(err, tunnel.Close()))
	}
	near, far := net.Pipe() // it knows deadlines, which streams do not
	c := &tunnelled{Conn: near}
	go func() {
		if said, err := io.ReadAll(complaints); err == nil && len(said) > 0 {
			c.complain(string(said))
			far.Close()
		}
	}()
	go join(far, stream{data, tunnel})
	return c, nil
}

// join moves bytes both ways until either side ends, and ends both.
func join(a, b io.ReadWriteCloser) {
	ended := make(chan struct{}, 2)
	for _, pair := range [][2]io.ReadWriteCloser{{a, b}, {b, a}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1]) // an end is an end, whatever its reason
			ended <- struct{}{}
		}()
	}
	<-ended
	_, _ = a.Close(), b.Close()
	<-ended
}

// stream is the data of a tunnel; its end is the tunnel's.
type stream struct {
	httpstream.Stream
	tunnel httpstream.Connection
}

func (s stream) Close() error { return s.tunnel.Close() }

// tunnelled is a connection whose end says what the kubelet complained of.
type tunnelled struct {
	net.Conn
	mu    sync.Mutex
	cause string
}

func (c *tunnelled) complain(cause string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cause = cause
}

// Read implements net.Conn.
func (c *tunnelled) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.cause != "" {
			err = fmt.Errorf("%w: %s", err, c.cause)
		}
	}
	return n, err
}

// forward makes a port of a pod answer on the returned local port, until the
// channel is closed.
func (p *Platform) forward(ctx context.Context, namespace, pod string, port int) (uint16, chan struct{}, error) {
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, nil, err
	}
	stop := make(chan struct{})
	go func() {
		<-stop
		_ = l.Close()
	}()
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return // stopped
			}
			far, err := p.dial(namespace, pod, port)
			if err != nil {
				_ = near.Close()
				continue
			}
			go join(near, far)
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort().Port(), stop, nil
}
