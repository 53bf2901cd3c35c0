package fakecloud

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// web is a plain web server that knows ranges and conditions: RFC 9110.
type web struct{}

func (web) words(*http.Request) words { return nil }

func (web) data(*http.Request) bool { return true }

func (web) allowed(r *http.Request, _ time.Time) string {
	if r.Host == Host && r.Header.Get("Authorization") != WebAuthorization {
		return "401"
	}
	return ""
}

func (web) refuse(w http.ResponseWriter, r *http.Request, status int, _, _ string) {
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="dumps"`) // which section 15.5.2 demands
	}
	http.Error(w, "<h1>"+http.StatusText(status)+"</h1>\n<!-- "+r.Header.Get("Authorization")+" -->", status)
}

func (web) serve(w http.ResponseWriter, r *http.Request, c *Cloud, x *exchange) {
	o := c.object(strings.TrimPrefix(r.URL.Path, "/"), "")
	if o == nil {
		x.refuse(w, r, "404")
		return
	}
	h := w.Header()
	if h["Etag"] == nil {
		sum := sha256.Sum256(fmt.Append(slices.Clip(o.Content), o.Generation))
		h.Set("ETag", fmt.Sprintf(`"%x"`, sum[:16]))
	}
	etag := h.Get("ETag")
	// Section 13.1.1: the comparison is strong, so no weak one ever matches.
	if match := r.Header.Get("If-Match"); match != "" && (match != etag || strings.HasPrefix(etag, "W/")) {
		x.refuse(w, r, "412")
		return
	}
	if h["Last-Modified"] == nil {
		h.Set("Last-Modified", o.updated().Format(http.TimeFormat))
	}
	if o.Encoding != "" {
		h.Set("Content-Encoding", o.Encoding)
	}
	h.Set("Accept-Ranges", "bytes")
	x.send(w, r, o.Content)
}
