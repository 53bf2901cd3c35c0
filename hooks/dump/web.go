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
}

func newSite(u *url.URL, creds secrets) (*site, error) {
	auth, err := creds.get("AUTHORIZATION")
	if err != nil {
		return nil, err
	}
	return &site{
		client: &http.Client{Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 15 * time.Second}).DialContext,
			TLSHandshakeTimeout:   15 * time.Second,
			ResponseHeaderTimeout: 30 * time.Second,
			DisableCompression:    true,
			MaxIdleConnsPerHost:   16,
		}},
		base: u,
		auth: auth,
	}, nil
}

func (s *site) open(ctx context.Context, name string) (object, error) {
	u := *s.base
	if name != "" {
		u.Path = strings.TrimSuffix(u.Path, "/") + "/" + name
	}
	w := &webObject{site: s, url: u.String()}
	// One byte by range says all: that the server does ranges, size, version.
	res, err := w.get(ctx, 0, 1)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	_, total, found := strings.Cut(res.Header.Get("Content-Range"), "/")
	w.bytes, err = strconv.ParseInt(total, 10, 64)
	if !found || err != nil {
		return nil, unusable("the server does not tell the size of the dump in Content-Range")
	}
	w.etag = res.Header.Get("ETag")
	w.mod, _ = http.ParseTime(res.Header.Get("Last-Modified"))
	return w, nil
}

func (s *site) close() error {
	s.client.CloseIdleConnections()
	return nil
}

type webObject struct {
	site  *site
	url   string
	bytes int64
	etag  string
	mod   time.Time
}

// get asks for a range; the answer is always 206.
func (w *webObject) get(ctx context.Context, off, n int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url, nil)
	if err != nil {
		return nil, unusable("the dump's URL cannot be parsed")
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+n-1))
	if w.site.auth != "" {
		req.Header.Set("Authorization", w.site.auth)
	}
	if strings.HasPrefix(w.etag, `"`) {
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
		return nil, unusable("the server ignores range requests, which reading a dump in place needs")
	case code == http.StatusNotFound || code == http.StatusGone:
		return nil, &unusableError{errNotFound}
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return nil, unusable("the server refused the request with status %d: the signature may have expired, or the credentials are wrong", code)
	case code == http.StatusPreconditionFailed:
		return nil, errChanged
	case code == http.StatusRequestedRangeNotSatisfiable:
		return nil, unusable("the dump is empty")
	default:
		return nil, fmt.Errorf("the server answered with status %d", code)
	}
}

func (w *webObject) read(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	res, err := w.get(ctx, off, n)
	if err != nil {
		return nil, err
	}
	_, total, _ := strings.Cut(res.Header.Get("Content-Range"), "/")
	if total != strconv.FormatInt(w.bytes, 10) || res.Header.Get("ETag") != w.etag {
		res.Body.Close()
		return nil, errChanged
	}
	return res.Body, nil
}

func (w *webObject) size() int64         { return w.bytes }
func (w *webObject) version() string     { return w.etag }
func (w *webObject) modified() time.Time { return w.mod }
func (w *webObject) close() error        { return nil }
