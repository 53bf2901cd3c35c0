package fakecloud

import (
	"context"
	"crypto/md5" //nolint:gosec // what stores give as ETag
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
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

// maxSkew is how far a client's clock may be from the stores'.
const maxSkew = 15 * time.Minute

// Fault is what happens to one request instead of, or within, its answer.
type Fault struct {
	// Code is the store's word for an error, which is answered at once in the
	// store's own shape; or a status in decimal, which a proxy in front of it
	// or the web server answers.
	Code       string
	RetryAfter string
	CutAfter   int              // the connection is cut after so many bytes of the body; 0 is never
	Hang       bool             // then it stays open, and nothing more comes; without CutAfter nothing comes at all
	Header     http.Header      // set over the answer's own
	Whole      bool             // the Range header is ignored
	Do         http.HandlerFunc // answers instead
}

// Request is what was asked.
type Request struct {
	Method, Host, Path string
	Query              url.Values
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
	Archived   bool   // by S3 or Azure in a tier that is not online
	Generation int64
	Modified   time.Time // the content
	// Metageneration counts changes of the metadata, from 1.
	Metageneration int64
}

// updated is when content or metadata changed last.
func (o *Object) updated() time.Time {
	return o.Modified.Add(time.Duration(o.Metageneration-1) * 11 * time.Second)
}

// md5 is the ETag of S3 (of what was not uploaded in parts) and of Google's
// XML API: the same bytes have the same one.
func (o *Object) md5() string {
	return fmt.Sprintf(`"%x"`, md5.Sum(o.Content)) //nolint:gosec // see above
}

// Cloud is all of the stores at once, with the same objects.
type Cloud struct {
	// Transport reaches the cloud under the real names of its hosts. Like those
	// of the clients themselves it asks for gzip where nobody asks for another
	// encoding, and unpacks it.
	Transport http.RoundTripper
	// Fault is asked before each request, if it is set. It is changed only
	// while nothing is asked.
	Fault func(r *Request) *Fault
	// Skew is how far the stores' clocks are ahead of ours.
	Skew time.Duration
	// Versions says that S3's bucket keeps them.
	Versions bool
	// NoVersionRight says that S3's identity has no s3:GetObjectVersion.
	NoVersionRight bool
	// Page is how many names a list has at most, which is cut there; 1000 if 0.
	Page int
	// NoListRight says that the identity may not list, at S3 and Google: then
	// they do not tell what is not there from what it may not read.
	NoListRight bool

	t       testing.TB
	trusted *rsa.PublicKey
	mu      sync.Mutex
	objects map[string][]*Object // all versions; nil says that it was deleted
	seen    []*Request
	last    int64
}

// Start runs a cloud for one test.
func Start(t testing.TB) *Cloud {
	t.Helper()
	c := &Cloud{t: t, objects: map[string][]*Object{}}
	c.Trust(GoogleKey())
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
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "example.com", MinVersion: tls.VersionTLS12},
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
	o := &Object{Content: content, Generation: 1700000000000000 + c.last, Metageneration: 1, Modified: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	c.objects[name] = append(c.objects[name], o)
	return o
}

// Delete removes an object. A bucket that keeps versions still has them.
func (c *Cloud) Delete(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.objects[name] = append(c.objects[name], nil)
}

// list is a page of the names with a prefix, in order: those after a name, and
// whether there are more.
func (c *Cloud) list(prefix, after string) (names []string, more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	most := c.Page
	if most == 0 {
		most = 1000
	}
	for _, name := range slices.Sorted(maps.Keys(c.objects)) {
		versions := c.objects[name]
		if !strings.HasPrefix(name, prefix) || name <= after || versions[len(versions)-1] == nil {
			continue
		}
		if len(names) == most {
			return names, true
		}
		names = append(names, name)
	}
	return names, false
}

// Purge removes an object and all versions of it.
func (c *Cloud) Purge(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.objects, name)
}

// object finds the newest version of an object, or the one with an id; nil
// when there is none.
func (c *Cloud) object(name, id string) *Object {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, o := range slices.Backward(c.objects[name]) {
		if id == "" && i == len(c.objects[name])-1 || o != nil && id == o.version() {
			return o
		}
	}
	return nil
}

func (c *Cloud) now() time.Time { return time.Now().Add(c.Skew) }

// Requests returns what was asked so far.
func (c *Cloud) Requests() []*Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.seen)
}

// Forget begins the list of requests anew.
func (c *Cloud) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = nil
}

// words are a store's words for errors.
type words map[string]struct {
	status  int
	message string
}

// answers is one host's way to say things.
type answers interface {
	// words are the errors that a request can be answered with.
	words(r *http.Request) words
	// data reports whether a request asks for content.
	data(r *http.Request) bool
	// allowed checks the signature; the store's word for what is wrong.
	allowed(r *http.Request, now time.Time) string
	// serve answers a request that is allowed.
	serve(w http.ResponseWriter, r *http.Request, c *Cloud, x *exchange)
	// refuse writes an error.
	refuse(w http.ResponseWriter, r *http.Request, status int, code, message string)
}

// exchange is one request on its way.
type exchange struct {
	*Request
	t        testing.TB
	hostName answers
	fault    Fault
}

// ServeHTTP answers for every host.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var host answers
	switch name := r.Host; {
	case name == googleTokens || name == "storage.googleapis.com":
		host = google{}
	case strings.HasSuffix(name, ".blob.core.windows.net"):
		host = microsoft{}
	case strings.HasSuffix(name, ".amazonaws.com"):
		host = amazon{}
	default:
		host = web{}
	}
	x := &exchange{
		Request: &Request{Method: r.Method, Host: r.Host, Path: r.URL.Path, Query: r.URL.Query(), Header: r.Header.Clone(), Data: host.data(r)},
		t:       c.t, hostName: host,
	}
	if span := rangeOf(r); span != "" {
		first, _, _ := strings.Cut(strings.TrimPrefix(span, "bytes="), "-")
		x.Begin, _ = strconv.ParseInt(first, 10, 64) // checked where it is served
	}
	c.mu.Lock()
	c.seen = append(c.seen, x.Request)
	c.mu.Unlock()
	if c.Fault != nil {
		if f := c.Fault(x.Request); f != nil {
			x.fault = *f
		}
	}
	w.Header().Set("Date", c.now().UTC().Format(http.TimeFormat))
	maps.Copy(w.Header(), x.fault.Header)
	if x.fault.RetryAfter != "" {
		w.Header().Set("Retry-After", x.fault.RetryAfter)
	}
	switch {
	case x.fault.Hang && x.fault.CutAfter == 0:
		_, _ = io.Copy(io.Discard, r.Body) // only then it is noticed that a client hangs up
		<-r.Context().Done()
	case x.fault.Do != nil:
		x.fault.Do(w, r)
	case x.fault.Code != "":
		x.refuse(w, r, x.fault.Code)
	default:
		if why := host.allowed(r, c.now()); why != "" {
			x.refuse(w, r, why)
			return
		}
		host.serve(w, r, c, x)
	}
}

// refuse answers with an error that the host's documentation knows.
func (x *exchange) refuse(w http.ResponseWriter, r *http.Request, code string) {
	if word, ok := x.hostName.words(r)[code]; ok {
		x.hostName.refuse(w, r, word.status, code, word.message)
		return
	}
	status, err := strconv.Atoi(code)
	if err != nil {
		x.t.Errorf("%s %s has no error %s", r.Host, r.URL.Path, code)
		status = http.StatusTeapot
	}
	web{}.refuse(w, r, status, "", "")
}

func rangeOf(r *http.Request) string {
	if v := r.Header.Get("X-Ms-Range"); v != "" {
		return v
	}
	return r.Header.Get("Range")
}

// send answers with a range of an object.
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
		code := "InvalidRange"
		if x.hostName.words(r) == nil {
			code = "416"
			w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", len(content)))
		}
		x.refuse(w, r, code)
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
		if x.fault.Hang {
			<-r.Context().Done()
		}
		panic(http.ErrAbortHandler)
	}
}
