package fakecloud

import (
	"net/http"
	"strings"
)

// web is a plain web server that knows ranges and conditions.
type web struct{}

func (web) data(*http.Request) bool { return true }

func (web) allowed(r *http.Request) (int, string) {
	if r.Host == Host && r.Header.Get("Authorization") != WebAuthorization {
		return http.StatusUnauthorized, ""
	}
	return 0, ""
}

func (web) refuse(w http.ResponseWriter, _ *http.Request, status int, _ string) {
	http.Error(w, http.StatusText(status), status)
}

func (h web) serve(w http.ResponseWriter, r *http.Request, c *Cloud, x *exchange) {
	o := c.object(strings.TrimPrefix(r.URL.Path, "/"))
	if o == nil {
		h.refuse(w, r, http.StatusNotFound, "")
		return
	}
	if match := r.Header.Get("If-Match"); match != "" && match != o.etag() {
		h.refuse(w, r, http.StatusPreconditionFailed, "")
		return
	}
	if w.Header()["Etag"] == nil {
		w.Header().Set("ETag", o.etag())
	}
	if w.Header()["Last-Modified"] == nil {
		w.Header().Set("Last-Modified", o.Modified.Format(http.TimeFormat))
	}
	x.send(w, r, o.Content)
}
