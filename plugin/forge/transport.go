package forge

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// transport is what every host's calls go through. It bounds calls in flight
// and the size of answers, follows no redirect, because our credential would
// go along, and sorts out what a status code alone does not tell: a forge that
// wants no calls for a while, a repository that moved, and a 404 of something in
// between. Proxies come from the environment, CA bundles from SSL_CERT_FILE and
// SSL_CERT_DIR, as for every Go program.
type transport struct {
	base  http.RoundTripper
	slots chan struct{}
	// api is what the path of every call of the API begins with.
	api string
	// limits says of the text of a 403 whether it is about a limit; nil where the
	// headers alone tell.
	limits func(body []byte) bool
	// unauthorized is told of a credential that was refused; nil for nobody.
	unauthorized func(authorization string)

	calls     atomic.Uint64
	remaining atomic.Int64 // see count

	mu      sync.Mutex
	limited time.Time
}

// newClient makes the client of a forge whose API is at that address.
func newClient(api string) *http.Client {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.MaxIdleConnsPerHost = maxCalls
	t := &transport{base: base, slots: make(chan struct{}, maxCalls)}
	if u, err := url.Parse(api); err == nil {
		t.api = u.Path
	}
	return &http.Client{Timeout: callTimeout, Transport: t}
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case t.slots <- struct{}{}:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	defer func() { <-t.slots }()
	t.mu.Lock()
	until := t.limited
	t.mu.Unlock()
	if time.Now().Before(until) {
		return nil, &LimitedError{Until: until}
	}
	res, err := t.base.RoundTrip(r)
	t.count(res)
	if err != nil {
		return nil, err
	}
	res.Body = &boundedBody{body: res.Body, left: maxBody}
	if err := t.judge(r, res); err != nil {
		res.Body.Close()
		return nil, err
	}
	if asksToWait(res) {
		_ = t.limit(res) // this answer is one, and the next call waits
	}
	return res, nil
}

// asksToWait says whether an answer is the last one for a while: Azure DevOps says so
// with those that it delays, and what GitHub gives when nothing is left says until
// when. A bucket that fills up by itself names no such time.
func asksToWait(res *http.Response) bool {
	until := cmp.Or(res.Header.Get("X-Ratelimit-Reset"), res.Header.Get("Ratelimit-Reset"))
	return res.StatusCode < 300 && (res.Header.Get("Retry-After") != "" || spent(res) && until != "")
}

// judge is an error for an answer that is not one of the API about what was
// asked.
func (t *transport) judge(r *http.Request, res *http.Response) error {
	if limited(res) {
		return t.limit(res)
	}
	switch {
	case res.StatusCode == http.StatusForbidden && t.limits != nil:
		body, err := io.ReadAll(io.LimitReader(res.Body, maxErrorBody))
		res.Body.Close()
		if err == nil && t.limits(body) {
			return t.limit(res)
		}
		res.Body = io.NopCloser(bytes.NewReader(body))
	case res.StatusCode == http.StatusUnauthorized && t.unauthorized != nil:
		t.unauthorized(r.Header.Get("Authorization"))
	case res.StatusCode == http.StatusNotFound:
		return ownNotFound(res)
	case res.StatusCode >= 300 && res.StatusCode < 400 && res.StatusCode != http.StatusNotModified:
		return t.redirected(r, res)
	}
	return nil
}

// limit notes that the forge wants no calls for a while, and says so.
func (t *transport) limit(res *http.Response) error {
	until := limitedUntil(res, time.Now())
	t.mu.Lock()
	defer t.mu.Unlock()
	if until.After(t.limited) {
		t.limited = until
	}
	return &LimitedError{Until: until}
}

// limited says whether an answer is that the forge wants no calls for a while.
func limited(res *http.Response) bool {
	switch res.StatusCode {
	case http.StatusTooManyRequests:
		return true
	case http.StatusForbidden: // without a word of limits it is about the credential
		return res.Header.Get("Retry-After") != "" || spent(res)
	case http.StatusServiceUnavailable:
		return res.Header.Get("Retry-After") != ""
	}
	return false
}

func spent(res *http.Response) bool {
	return res.Header.Get("X-Ratelimit-Remaining") == "0" || res.Header.Get("Ratelimit-Remaining") == "0"
}

// limitedUntil is until when a forge wants no calls that said so.
func limitedUntil(res *http.Response, now time.Time) time.Time {
	// Times are by the forge's clock, which may not be ours.
	theirs, err := http.ParseTime(res.Header.Get("Date"))
	if err != nil {
		theirs = now
	}
	wait, retry := limitedFor, res.Header.Get("Retry-After")
	if seconds, err := strconv.Atoi(retry); err == nil {
		wait = time.Duration(min(seconds, int(limitedAtMost/time.Second))) * time.Second
	} else if at, err := http.ParseTime(retry); err == nil {
		wait = at.Sub(theirs)
	} else if spent(res) {
		for _, name := range []string{"X-Ratelimit-Reset", "Ratelimit-Reset"} {
			if at, err := strconv.ParseInt(res.Header.Get(name), 10, 64); err == nil {
				wait = time.Unix(at, 0).Sub(theirs)
				break
			}
		}
	}
	return now.Add(min(max(wait, time.Second), limitedAtMost))
}

// ownNotFound is nil for a 404 in the form of a forge's API: JSON with a
// message. Proxies, and servers that are starting, answer 404 too.
func ownNotFound(res *http.Response) error {
	kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	body, readErr := io.ReadAll(io.LimitReader(res.Body, maxErrorBody))
	res.Body.Close()
	var said map[string]json.RawMessage
	own := err == nil && readErr == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json")) &&
		json.Unmarshal(body, &said) == nil && (said["message"] != nil || said["error"] != nil || said["errors"] != nil)
	if !own {
		return errors.New("a 404 that is not in the form of the forge's API: something in between answers, or url is not its base URL")
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// redirected says what a redirect means. None is followed.
func (t *transport) redirected(r *http.Request, res *http.Response) error {
	to, err := r.URL.Parse(res.Header.Get("Location"))
	switch {
	case err != nil:
	case to.Host == r.URL.Host && to.Scheme == r.URL.Scheme && to.Path != r.URL.Path && strings.HasPrefix(to.Path, t.api+"/") &&
		(strings.Contains(to.Path, "/repos/") || strings.Contains(to.Path, "/repositories/") || strings.Contains(to.Path, "/projects/")):
		return fmt.Errorf("%w: put its present path into the ApplicationSet", ErrMoved)
	case to.Host != r.URL.Host:
		return errors.New("the forge redirects to another host: configure the URL it redirects to")
	}
	return errors.New("the forge redirects: configure the URL it redirects to")
}

// errTooLarge is wrapped where an answer is longer than its bound.
var errTooLarge = errors.New("the answer is too large")

// boundedBody fails on an answer that is too long, rather than cutting it: a
// cut answer could be a short list.
type boundedBody struct {
	body io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("%w: more than %d bytes", errTooLarge, maxBody)
	}
	return n, err
}

func (b *boundedBody) Close() error { return b.body.Close() }

// elements reads a JSON array one element at a time, so that an answer with
// long texts is never in memory as a whole.
func elements(body io.Reader, each func(json.RawMessage) error) error {
	d := json.NewDecoder(body)
	start, err := d.Token()
	if err != nil {
		return err
	}
	if start == nil {
		return nil // Gitea's word for none
	}
	if start != json.Delim('[') {
		return errors.New("the answer is no list")
	}
	for d.More() {
		var e json.RawMessage
		if err := d.Decode(&e); err != nil {
			return err
		}
		if err := each(e); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}
