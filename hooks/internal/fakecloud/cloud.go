package fakecloud

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Bucket is the name of the one bucket that each store has.
const Bucket = "dumps"

// Host is the web server's name. It wants [WebAuthorization].
const Host = "files.example.net"

// WebAuthorization is what the web server wants in Authorization.
const WebAuthorization = "Bearer web-secret-4711"

// Fault is what happens to one request instead of, or within, its answer.
type Fault struct {
	Status     int    // answered at once, in the store's words
	Code       string // the store's name for it
	RetryAfter string
	CutAfter   int              // the connection is cut after so many bytes of the body; 0 is never
	Header     http.Header      // set over the answer's own
	Whole      bool             // the Range header is ignored
	Do         http.HandlerFunc // answers instead
}

// Request is what was asked.
type Request struct {
	Method, Host, Path string
	Header             http.Header
	// Data says that content was asked for, not metadata or a token.
	Data bool
	// Begin is where the range begins, and Sent how many bytes were sent.
	Begin, Sent int64
}

// Object is what a bucket or the web server holds under a name.
type Object struct {
	Content    []byte
	Encoding   string // Content-Encoding
	Generation int64
	Modified   time.Time
}

func (o *Object) etag() string {
	sum := sha256.Sum256(fmt.Append(slices.Clip(o.Content), o.Generation))
	return fmt.Sprintf(`"%x"`, sum[:16])
}

// Cloud is all of the stores at once, with the same objects.
type Cloud struct {
	// Transport reaches the cloud under the real names of its hosts.
	Transport http.RoundTripper
	// Fault is asked before each request, if it is set. It is changed only
	// while nothing is asked.
	Fault func(r *Request) *Fault

	mu       sync.Mutex
	objects  map[string]*Object
	requests []*Request
	last     int64
}

// Start runs a cloud for one test.
func Start(t testing.TB) *Cloud {
	t.Helper()
	c := &Cloud{objects: map[string]*Object{}}
	server := httptest.NewUnstartedServer(c)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // cut connections are on purpose
	server.StartTLS()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
		},
		// The test server's certificate is for this name alone.
		TLSClientConfig:    &tls.Config{RootCAs: roots, ServerName: "example.com", MinVersion: tls.VersionTLS12},
		DisableCompression: true,
	}
	c.Transport = transport
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		server.Close()
	})
	return c
}

// Put stores an object, or replaces it by a new generation.
func (c *Cloud) Put(name string, content []byte) *Object {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	o := &Object{Content: content, Generation: 1700000000000000 + c.last, Modified: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	c.objects[name] = o
	return o
}

// Delete removes an object.
func (c *Cloud) Delete(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.objects, name)
}

func (c *Cloud) object(name string) *Object {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.objects[name]
}

// Requests returns what was asked so far.
func (c *Cloud) Requests() []*Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.requests)
}

// Forget begins the list of requests anew.
func (c *Cloud) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = nil
}

// answers is one host's way to say things.
type answers interface {
	// data reports whether a request asks for content.
	data(r *http.Request) bool
	// allowed checks the signature; why is the store's name for what is wrong.
	allowed(r *http.Request) (status int, why string)
	// serve answers a request that is allowed.
	serve(w http.ResponseWriter, r *http.Request, c *Cloud, x *exchange)
	// refuse writes an error.
	refuse(w http.ResponseWriter, r *http.Request, status int, code string)
}

// exchange is one request on its way.
type exchange struct {
	*Request
	fault Fault
}

// ServeHTTP answers for every host.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var host answers
	switch name := r.Host; {
	case name == "oauth2.googleapis.com":
		host = google{}
	case name == "storage.googleapis.com":
		host = google{}
	case strings.HasSuffix(name, ".blob.core.windows.net"):
		host = microsoft{}
	case strings.HasSuffix(name, ".amazonaws.com"):
		host = amazon{}
	default:
		host = web{}
	}
	x := &exchange{Request: &Request{Method: r.Method, Host: r.Host, Path: r.URL.Path, Header: r.Header.Clone(), Data: host.data(r)}}
	if span := rangeOf(r); span != "" {
		first, _, _ := strings.Cut(strings.TrimPrefix(span, "bytes="), "-")
		x.Begin, _ = strconv.ParseInt(first, 10, 64) // checked where it is served
	}
	c.mu.Lock()
	c.requests = append(c.requests, x.Request)
	c.mu.Unlock()
	if c.Fault != nil {
		if f := c.Fault(x.Request); f != nil {
			x.fault = *f
		}
	}
	maps.Copy(w.Header(), x.fault.Header)
	if x.fault.RetryAfter != "" {
		w.Header().Set("Retry-After", x.fault.RetryAfter)
	}
	switch {
	case x.fault.Do != nil:
		x.fault.Do(w, r)
	case x.fault.Status != 0:
		host.refuse(w, r, x.fault.Status, x.fault.Code)
	default:
		if status, why := host.allowed(r); status != 0 {
			host.refuse(w, r, status, why)
			return
		}
		host.serve(w, r, c, x)
	}
}

func rangeOf(r *http.Request) string {
	if v := r.Header.Get("X-Ms-Range"); v != "" {
		return v
	}
	return r.Header.Get("Range")
}

// send answers with a range of an object, as RFC 9110 has it.
func (x *exchange) send(w http.ResponseWriter, r *http.Request, content []byte) {
	span := rangeOf(r)
	if span == "" || x.fault.Whole {
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		w.WriteHeader(http.StatusOK)
		x.body(w, r, content)
		return
	}
	var first, last int
	if n, err := fmt.Sscanf(span, "bytes=%d-%d", &first, &last); n != 2 || err != nil || first > last || first >= len(content) {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", len(content)))
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		return
	}
	last = min(last, len(content)-1)
	if w.Header().Get("Content-Range") == "" {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(content)))
	}
	w.Header().Set("Content-Length", strconv.Itoa(last-first+1))
	w.WriteHeader(http.StatusPartialContent)
	x.body(w, r, content[first:last+1])
}

func (x *exchange) body(w http.ResponseWriter, r *http.Request, content []byte) {
	if r.Method == http.MethodHead {
		return
	}
	cut := x.fault.CutAfter > 0 && x.fault.CutAfter < len(content)
	if cut {
		content = content[:x.fault.CutAfter]
	}
	x.Sent = int64(len(content)) // before the client can have it
	_, _ = w.Write(content)      // it may hang up
	if cut {
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		panic(http.ErrAbortHandler)
	}
}
