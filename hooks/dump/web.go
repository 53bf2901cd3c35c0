package dump

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// site is a place behind https: a base URL that names are appended to.
type site struct {
	client *http.Client
	base   *url.URL
	auth   string
	patience
}

const maxRedirects = 5

func newSite(u *url.URL, creds secrets, o Options) (*site, error) {
	auth, err := creds.get("AUTHORIZATION")
	if err != nil {
		return nil, err
	}
	transport := o.transport
	if transport == nil {
		transport = &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 15 * time.Second}).DialContext,
			TLSHandshakeTimeout:   15 * time.Second,
			ResponseHeaderTimeout: 30 * time.Second,
			DisableCompression:    true,
			MaxIdleConnsPerHost:   16,
		}
	}
	return &site{client: &http.Client{Transport: transport, CheckRedirect: redirect}, base: u, auth: auth, patience: o.opening()}, nil
}

// redirect lets a server send us elsewhere (signed URLs of a store behind it),
// but takes nothing there that is not for that place: no credentials, no URL
// of the first server in Referer, no unencrypted connection.
func redirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return unusable("the server redirects more than %d times", maxRedirects)
	}
	if req.URL.Scheme != "https" && !loopback(req.URL.Hostname()) {
		return unusable("the server redirects to %s, which would carry raw data unencrypted", cmpOr(req.URL.Scheme, "nowhere"))
	}
	req.Header.Del("Referer")
	if req.URL.Scheme != via[0].URL.Scheme || req.URL.Host != via[0].URL.Host {
		req.Header.Del("Authorization")
	}
	return nil
}

func (s *site) open(ctx context.Context, name string) (object, error) {
	u := s.base
	if name != "" {
		u = u.JoinPath(url.PathEscape(name))
	}
	w := &webObject{site: s, url: u.String()}
	// One byte by range says all: that the server does ranges, size, version.
	return again(ctx, s.patience, func(ctx context.Context) (object, error) {
		res, err := w.get(ctx, 0, 1)
		if err != nil {
			return nil, err
		}
		defer res.Body.Close()
		if _, w.bytes, err = contentRange(res); err != nil {
			return nil, err
		}
		w.etag, w.changed = res.Header.Get("ETag"), res.Header.Get("Last-Modified")
		if w.etag == "" && w.changed == "" {
			return nil, unusable("the server gives neither ETag nor Last-Modified, so that a dump that changes while it is being read would go unnoticed: serve it from another one")
		}
		return w, nil
	})
}

func (s *site) close() error {
	s.client.CloseIdleConnections()
	return nil
}

type webObject struct {
	site    *site
	url     string
	bytes   int64
	etag    string
	changed string // Last-Modified
}

// strong says that the ETag stands for the very bytes.
func (w *webObject) strong() bool { return strings.HasPrefix(w.etag, `"`) }

// get asks for a range; the answer is always 206.
func (w *webObject) get(ctx context.Context, off, n int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url, nil)
	if err != nil {
		return nil, unusable("the dump's URL cannot be parsed")
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+n-1))
	req.Header.Set("Accept-Encoding", "identity")
	if w.site.auth != "" {
		req.Header.Set("Authorization", w.site.auth)
	}
	if w.strong() {
		req.Header.Set("If-Match", w.etag)
	}
	res, err := w.site.client.Do(req)
	if err != nil {
		// The client's error quotes the URL, which may be signed.
		if ue, ok := errors.AsType[*url.Error](err); ok {
			err = ue.Err
		}
		return nil, err
	}
	if res.StatusCode == http.StatusPartialContent {
		return res, nil
	}
	res.Body.Close()
	switch code := res.StatusCode; {
	case code == http.StatusOK:
		return nil, unusable("the server ignores range requests, which reading a dump in place needs: serve it from another one, or copy the dump to a volume")
	case code == http.StatusPreconditionFailed:
		return nil, errChanged
	case code == http.StatusRequestedRangeNotSatisfiable:
		if w.bytes > 0 {
			return nil, errChanged
		}
		return nil, errEmpty
	}
	return nil, refusal(res)
}

var errEmpty = unusable("the dump is empty")

// refusal is the error for an answer that is none.
func refusal(res *http.Response) error {
	switch code := res.StatusCode; {
	case code == http.StatusNotFound || code == http.StatusGone:
		return &unusableError{errNotFound}
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return unusable("the server refused the request with status %d: the signature may have expired, or the credentials are missing or wrong (file AUTHORIZATION in --dump-credentials)", code)
	case code == http.StatusRequestTimeout || code == http.StatusTooEarly || code == http.StatusTooManyRequests || code >= 500:
		return &busyError{code: code, after: retryAfter(res.Header)}
	default:
		return unusable("the server refused the request with status %d (%s)", code, http.StatusText(code))
	}
}

// contentRange reads where the bytes of an answer begin and how many there are
// in all.
func contentRange(res *http.Response) (off, total int64, err error) {
	from, size, _ := strings.Cut(strings.TrimPrefix(res.Header.Get("Content-Range"), "bytes "), "/")
	first, _, _ := strings.Cut(from, "-")
	off, err1 := strconv.ParseInt(first, 10, 64)
	total, err2 := strconv.ParseInt(size, 10, 64)
	if err1 != nil || err2 != nil || off < 0 || total <= 0 {
		return 0, 0, unusable("the server does not tell in Content-Range which bytes of how many it sends: serve the dump from another one")
	}
	return off, total, nil
}

func (w *webObject) read(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	res, err := w.get(ctx, off, n)
	if errors.Is(err, errNotFound) {
		return nil, errGone
	}
	if err != nil {
		return nil, err
	}
	from, total, err := contentRange(res)
	switch {
	case err != nil:
	case total != w.bytes || res.Header.Get("ETag") != w.etag, !w.strong() && res.Header.Get("Last-Modified") != w.changed:
		err = errChanged
	case from != off:
		err = unusable("the server sent bytes from %d on where it was asked for %d: a proxy on the way may be broken", from, off)
	}
	if err != nil {
		res.Body.Close()
		return nil, err
	}
	return res.Body, nil
}

func (w *webObject) size() int64     { return w.bytes }
func (w *webObject) version() string { return w.etag }
func (w *webObject) modified() time.Time {
	t, _ := http.ParseTime(w.changed) // zero when there is none
	return t
}
func (w *webObject) close() error { return nil }
