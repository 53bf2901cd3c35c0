package fakecloud

import (
	"crypto/sha256"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strconv"
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
	if dir, ok := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/"), "/"); ok {
		x.index(w, r, c, dir+"/")
		return
	}
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

// index is a folder's page, with links as nginx writes them, relative, and the links
// by which Apache sorts and goes up; one of a folder, one of another host.
func (x *exchange) index(w http.ResponseWriter, r *http.Request, c *Cloud, dir string) {
	var names []string
	for more, after := true, ""; more; {
		var some []string
		if some, more = c.list(dir, after); len(some) > 0 {
			after = some[len(some)-1]
		}
		names = append(names, some...)
	}
	var page strings.Builder
	fmt.Fprintf(&page, "<html>\r\n<head><title>Index of /%s</title></head>\r\n<body>\r\n<h1>Index of /%[1]s</h1><hr><pre><a href=\"../\">../</a>\r\n", dir)
	page.WriteString(`<a href="?C=M;O=A">Last modified</a> <a href="/">Parent Directory</a> <a href="old.dump/">old.dump/</a> <a href="https://elsewhere.example.net/` + dir + `x.dump">x.dump</a>` + "\r\n")
	for _, name := range names {
		name = strings.TrimPrefix(name, dir)
		if strings.Contains(name, "/") {
			continue
		}
		fmt.Fprintf(&page, "<a href=\"%s\">%s</a> 02-Jan-2026 03:04 1\r\n", (&url.URL{Path: name}).EscapedPath(), html.EscapeString(name))
	}
	page.WriteString("</pre><hr></body>\r\n</html>\r\n")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(page.Len()))
	x.body(w, r, []byte(page.String()))
}
