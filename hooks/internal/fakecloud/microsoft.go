package fakecloud

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// MicrosoftAccount may read the container with [MicrosoftKey].
const MicrosoftAccount = "seedlings"

// MicrosoftKey is the account's key, in base64.
var MicrosoftKey = base64.StdEncoding.EncodeToString([]byte("microsoft-secret-4711"))

// microsoft is Azure Blob Storage.
type microsoft struct{}

func (microsoft) data(r *http.Request) bool { return r.Method == http.MethodGet }

// allowed computes the signature again.
func (microsoft) allowed(r *http.Request) (int, string) {
	h := r.Header
	length := h.Get("Content-Length")
	if length == "0" {
		length = ""
	}
	lines := []string{
		r.Method, h.Get("Content-Encoding"), h.Get("Content-Language"), length, h.Get("Content-MD5"), h.Get("Content-Type"),
		h.Get("Date"), h.Get("If-Modified-Since"), h.Get("If-Match"), h.Get("If-None-Match"), h.Get("If-Unmodified-Since"), h.Get("Range"),
	}
	var names []string
	for k := range h {
		if k = strings.ToLower(k); strings.HasPrefix(k, "x-ms-") {
			names = append(names, k)
		}
	}
	slices.Sort(names)
	for _, k := range names {
		lines = append(lines, k+":"+h.Get(k))
	}
	account, _, _ := strings.Cut(r.Host, ".")
	resource := "/" + account + r.URL.EscapedPath()
	q := r.URL.Query()
	names = names[:0]
	for k := range q {
		names = append(names, k)
	}
	slices.Sort(names)
	lines = append(lines, resource)
	for _, k := range names {
		lines = append(lines, strings.ToLower(k)+":"+strings.Join(q[k], ","))
	}
	key, _ := base64.StdEncoding.DecodeString(MicrosoftKey) // ours
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(strings.Join(lines, "\n")))
	if account != MicrosoftAccount || h.Get("Authorization") != "SharedKey "+account+":"+base64.StdEncoding.EncodeToString(mac.Sum(nil)) {
		return http.StatusForbidden, "AuthenticationFailed"
	}
	return 0, ""
}

func (microsoft) refuse(w http.ResponseWriter, r *http.Request, status int, code string) {
	w.Header().Set("X-Ms-Error-Code", code)
	w.Header().Set("X-Ms-Request-Id", "7b2b1f0e-001e-0000-0000-000000000000")
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return
	}
	fmt.Fprintf(w, "\ufeff<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>%s</Code><Message>The request was refused.\nRequestId:7b2b1f0e</Message>"+
		"<AuthenticationErrorDetail>The MAC signature found in the HTTP request '%s' is not the same as any computed signature.</AuthenticationErrorDetail></Error>",
		code, r.Header.Get("Authorization"))
}

func (h microsoft) serve(w http.ResponseWriter, r *http.Request, c *Cloud, x *exchange) {
	container, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case container != Bucket:
		h.refuse(w, r, http.StatusNotFound, "ContainerNotFound")
		return
	case name == "":
		h.refuse(w, r, http.StatusForbidden, "AuthorizationPermissionMismatch")
		return
	}
	o := c.object(name)
	if o == nil {
		h.refuse(w, r, http.StatusNotFound, "BlobNotFound")
		return
	}
	if match := r.Header.Get("If-Match"); match != "" && match != o.etag() {
		h.refuse(w, r, http.StatusPreconditionFailed, "ConditionNotMet")
		return
	}
	w.Header().Set("ETag", o.etag())
	w.Header().Set("Last-Modified", o.Modified.Format(http.TimeFormat))
	w.Header().Set("X-Ms-Creation-Time", o.Modified.Format(http.TimeFormat))
	w.Header().Set("X-Ms-Version", r.Header.Get("X-Ms-Version"))
	w.Header().Set("X-Ms-Blob-Type", "BlockBlob")
	x.send(w, r, o.Content)
}
