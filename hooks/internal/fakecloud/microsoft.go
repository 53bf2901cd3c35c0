package fakecloud

import (
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // what the store gives as Content-MD5
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// MicrosoftAccount may read the container with [MicrosoftKey].
const MicrosoftAccount = "seedlings"

// MicrosoftKey is the account's key, in base64.
var MicrosoftKey = base64.StdEncoding.EncodeToString([]byte("microsoft-secret-4711"))

// microsoft is Azure Blob Storage.
type microsoft struct{}

// microsoftWords are codes of "Common REST API error codes" and "Azure Blob
// Storage error codes", with their messages; of the archive tier those of
// Microsoft's emulator, Azurite (StorageErrorFactory.ts).
var microsoftWords = words{
	"AuthenticationFailed":            {403, "Server failed to authenticate the request. Make sure the value of the Authorization header is formed correctly including the signature."},
	"AuthorizationPermissionMismatch": {403, "This request is not authorized to perform this operation using this permission."},
	"BlobArchived":                    {409, "This operation is not permitted on an archived blob."},
	"BlobBeingRehydrated":             {409, "This operation is not permitted because the blob is being rehydrated."},
	"BlobNotFound":                    {404, "The specified blob does not exist."},
	"ConditionNotMet":                 {412, "The condition specified using HTTP conditional header(s) is not met."},
	"ContainerNotFound":               {404, "The specified container does not exist."},
	"InternalError":                   {500, "The server encountered an internal error. Please retry the request."},
	"InvalidAuthenticationInfo":       {401, "Server failed to authenticate the request. Please refer to the information in the www-authenticate header."},
	"InvalidRange":                    {416, "The range specified is invalid for the current size of the resource."},
	"OperationTimedOut":               {500, "The operation could not be completed within the permitted time."},
	"ServerBusy":                      {503, "Egress is over the account limit."},
}

func (microsoft) words(*http.Request) words { return microsoftWords }

func (microsoft) data(r *http.Request) bool {
	return r.Method == http.MethodGet && r.URL.Query().Get("comp") != "list"
}

// allowed computes the signature again.
func (microsoft) allowed(r *http.Request, now time.Time) string {
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
	at, err := http.ParseTime(h.Get("X-Ms-Date"))
	if err != nil || now.Sub(at).Abs() > maxSkew {
		return "AuthenticationFailed"
	}
	if account != MicrosoftAccount || h.Get("Authorization") != "SharedKey "+account+":"+base64.StdEncoding.EncodeToString(mac.Sum(nil)) {
		return "AuthenticationFailed"
	}
	return ""
}

func (microsoft) refuse(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	h := w.Header()
	h.Set("Server", "Windows-Azure-Blob/1.0 Microsoft-HTTPAPI/2.0")
	h.Set("X-Ms-Error-Code", code)
	h.Set("X-Ms-Request-Id", "7b2b1f0e-001e-0000-0000-000000000000")
	h.Set("X-Ms-Version", r.Header.Get("X-Ms-Version"))
	detail := ""
	switch {
	case status == http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Bearer authorization_uri=https://login.microsoftonline.com/tenant/oauth2/authorize resource_id=https://storage.azure.com")
		detail = "<AuthenticationErrorDetail>Lifetime validation failed. The token is expired.</AuthenticationErrorDetail>"
	case code == "AuthenticationFailed":
		detail = "<AuthenticationErrorDetail>The MAC signature found in the HTTP request '" + r.Header.Get("Authorization") + "' is not the same as any computed signature.</AuthenticationErrorDetail>"
	}
	if r.Method == http.MethodHead {
		w.WriteHeader(status)
		return
	}
	h.Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "\ufeff<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>%s</Code><Message>%s\nRequestId:7b2b1f0e-001e-0000-0000-000000000000\nTime:2026-01-02T03:04:05.0391739Z</Message>%s</Error>", code, message, detail)
}

func (microsoft) serve(w http.ResponseWriter, r *http.Request, c *Cloud, x *exchange) {
	container, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case container != Bucket:
		x.refuse(w, r, "ContainerNotFound")
		return
	case name == "" && r.URL.Query().Get("comp") == "list" && !c.NoListRight:
		x.microsoftList(w, r, c)
		return
	case name == "":
		x.refuse(w, r, "AuthorizationPermissionMismatch")
		return
	}
	o := c.object(name, "")
	// A change of metadata changes the ETag too.
	etag := ""
	if o != nil {
		etag = `"` + o.hex() + `"`
	}
	switch match := r.Header.Get("If-Match"); {
	case o == nil:
		x.refuse(w, r, "BlobNotFound")
		return
	case match != "" && match != etag:
		x.refuse(w, r, "ConditionNotMet")
		return
	case o.Archived && r.Method == http.MethodGet:
		x.refuse(w, r, "BlobArchived")
		return
	}
	h := w.Header()
	h.Set("ETag", etag)
	h.Set("Last-Modified", o.updated().Format(http.TimeFormat))
	h.Set("Accept-Ranges", "bytes")
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", "")
	h.Set("Server", "Windows-Azure-Blob/1.0 Microsoft-HTTPAPI/2.0")
	h.Set("X-Ms-Creation-Time", o.Modified.Format(http.TimeFormat))
	h.Set("X-Ms-Request-Id", "7b2b1f0e-001e-0000-0000-000000000000")
	h.Set("X-Ms-Version", r.Header.Get("X-Ms-Version"))
	h.Set("X-Ms-Blob-Type", "BlockBlob")
	h.Set("X-Ms-Lease-State", "available")
	h.Set("X-Ms-Lease-Status", "unlocked")
	h.Set("X-Ms-Server-Encrypted", "true")
	sum := md5.Sum(o.Content) //nolint:gosec // see above
	whole := "Content-MD5"
	if rangeOf(r) != "" {
		whole = "X-Ms-Blob-Content-Md5" // of the blob, not of the range
	}
	h.Set(whole, base64.StdEncoding.EncodeToString(sum[:]))
	if r.Method == http.MethodHead {
		tier := "Hot"
		if o.Archived {
			tier = "Archive"
		}
		h.Set("X-Ms-Access-Tier", tier)
	}
	if o.Encoding != "" {
		h.Set("Content-Encoding", o.Encoding)
	}
	x.send(w, r, o.Content)
}

// hex is the ETag, which another content or other metadata changes.
func (o *Object) hex() string {
	return fmt.Sprintf("0x%X", 0x8DC277000000000+16*o.Generation+o.Metageneration)
}

// microsoftList answers List Blobs.
func (x *exchange) microsoftList(w http.ResponseWriter, r *http.Request, c *Cloud) {
	type properties struct {
		Created  string `xml:"Creation-Time"`
		Modified string `xml:"Last-Modified"`
		Etag     string
		Length   int    `xml:"Content-Length"`
		Type     string `xml:"Content-Type"`
		BlobType string
	}
	type item struct {
		Name       string
		Properties properties
	}
	q := r.URL.Query()
	after, err := base64.StdEncoding.DecodeString(q.Get("marker"))
	if err != nil {
		panic(err)
	}
	names, more := c.list(q.Get("prefix"), string(after))
	list := struct {
		XMLName    xml.Name `xml:"EnumerationResults"`
		Endpoint   string   `xml:"ServiceEndpoint,attr"`
		Container  string   `xml:"ContainerName,attr"`
		Prefix     string
		Blobs      []item `xml:"Blobs>Blob"`
		NextMarker string
	}{Endpoint: "https://" + r.Host + "/", Container: Bucket, Prefix: q.Get("prefix")}
	if more {
		list.NextMarker = base64.StdEncoding.EncodeToString([]byte(names[len(names)-1]))
	}
	for _, name := range names {
		o := c.object(name, "")
		list.Blobs = append(list.Blobs, item{name, properties{
			Created: o.Modified.Format(http.TimeFormat), Modified: o.updated().Format(http.TimeFormat), Etag: o.hex(), Length: len(o.Content),
			Type: "application/octet-stream", BlobType: "BlockBlob",
		}})
	}
	h := w.Header()
	h.Set("Content-Type", "application/xml")
	h.Set("Server", "Windows-Azure-Blob/1.0 Microsoft-HTTPAPI/2.0")
	h.Set("X-Ms-Version", r.Header.Get("X-Ms-Version"))
	x.xml(w, r, list)
}
