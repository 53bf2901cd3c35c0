package fakecloud

import (
	"bytes"
	"compress/gzip"
	"crypto"
	"crypto/md5" //nolint:gosec // what the store gives as hash and ETag
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// googleToken is what a token of GoogleKey is exchanged for.
const googleToken = "google-secret-4711"

// googleAccount is who the key belongs to.
const googleAccount = "importer@project.iam.gserviceaccount.com"

const (
	googleTokens = "oauth2.googleapis.com"
	googleScope  = "https://www.googleapis.com/auth/devstorage.read_only"
)

// GoogleKey is a service account's key as Google hands it out. It is another
// one in each process: see [Cloud.Trust].
var GoogleKey = sync.OnceValue(func() string {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	b, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "project", "private_key_id": "1",
		"private_key":  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"client_email": googleAccount, "client_id": "1", "token_uri": "https://" + googleTokens + "/token",
	})
	if err != nil {
		panic(err)
	}
	return string(b)
})

// Trust makes the cloud take what a service account's key signs, instead of
// GoogleKey.
func (c *Cloud) Trust(key string) {
	var file struct {
		Private string `json:"private_key"`
	}
	if err := json.Unmarshal([]byte(key), &file); err != nil {
		panic(err)
	}
	block, _ := pem.Decode([]byte(file.Private))
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		panic(err)
	}
	c.trusted = &private.(*rsa.PrivateKey).PublicKey //nolint:forcetypeassert // GoogleKey made it
}

// google is Cloud Storage, and the place that gives tokens for it.
type google struct{}

var (
	// googleXML are codes of "HTTP status and error codes for XML".
	googleXML = words{
		"AccessDenied":           {403, "Access denied."},
		"AuthenticationRequired": {401, "Authentication required."},
		"InternalError":          {500, "We encountered an internal error. Please try again."},
		"InvalidRange":           {416, "The requested range cannot be satisfied."},
		"NoSuchBucket":           {404, "The specified bucket does not exist."},
		"NoSuchKey":              {404, "The specified key does not exist."},
		"PreconditionFailed":     {412, "At least one of the pre-conditions you specified did not hold."},
		"ServiceUnavailable":     {503, "Service Unavailable."},
	}
	// googleJSON are reasons of "HTTP status and error codes for JSON".
	googleJSON = words{
		"authError":         {401, "Invalid Credentials"},
		"backendError":      {503, "Backend Error"},
		"forbidden":         {403, googleAccount + " does not have storage.objects.get access to the Google Cloud Storage object. Permission 'storage.objects.get' denied on resource (or it may not exist)."},
		"notFound":          {404, "No such object: " + Bucket},
		"rateLimitExceeded": {429, "The project exceeded the rate limit for requests."},
	}
	// googleAuth are codes of "Using OAuth 2.0 for Server to Server
	// Applications", section "JWT error codes", and internal_failure, which
	// Google's own client for Python takes for one that passes.
	googleAuth = words{
		"internal_failure": {503, "Backend Error"},
		"invalid_grant":    {400, "Invalid JWT Signature."},
		"invalid_scope":    {400, "Invalid OAuth scope or ID token audience provided."},
		"short_lived":      {400, "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim."},
	}
)

func (h google) words(r *http.Request) words {
	switch {
	case r.Host == googleTokens:
		return googleAuth
	case h.data(r):
		return googleXML
	}
	return googleJSON
}

func (google) data(r *http.Request) bool {
	return r.Host != googleTokens && !strings.HasPrefix(r.URL.Path, "/storage/v1/")
}

func (h google) allowed(r *http.Request, _ time.Time) string {
	switch {
	case r.Host == googleTokens || r.Header.Get("Authorization") == "Bearer "+googleToken:
		return ""
	case h.data(r):
		return "AuthenticationRequired"
	}
	return "authError"
}

func (h google) refuse(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	head := w.Header()
	if status == http.StatusUnauthorized {
		head.Set("WWW-Authenticate", `Bearer realm="https://accounts.google.com/", error="invalid_token"`)
	}
	switch {
	case r.Host == googleTokens:
		if code == "short_lived" {
			code = "invalid_grant"
		}
		head.Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error": %q, "error_description": %q}`, code, message)
	case h.data(r):
		head.Set("Server", "UploadServer")
		head.Set("Content-Type", "application/xml; charset=UTF-8")
		head.Set("Cache-Control", "private, max-age=0")
		w.WriteHeader(status)
		fmt.Fprintf(w, "<?xml version='1.0' encoding='UTF-8'?><Error><Code>%s</Code><Message>%s</Message><Details>%s</Details></Error>", code, message, r.Header.Get("Authorization"))
	default:
		head.Set("Server", "UploadServer")
		head.Set("Content-Type", "application/json; charset=UTF-8")
		head.Set("Cache-Control", "no-cache, no-store, max-age=0, must-revalidate")
		message += " " + r.Header.Get("Authorization")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error":{"code":%d,"message":%q,"errors":[{"message":%q,"domain":"global","reason":%q}]}}`, status, message, message, code)
	}
}

// token says what is wrong with a request for a token, "" when nothing is.
func (c *Cloud) token(r *http.Request) string {
	if r.URL.Path != "/token" || r.PostFormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		return "invalid_grant"
	}
	signed, signature, _ := cutLast(r.PostFormValue("assertion"), ".")
	_, payload, _ := strings.Cut(signed, ".")
	claims, err1 := base64.RawURLEncoding.DecodeString(payload)
	mark, err2 := base64.RawURLEncoding.DecodeString(signature)
	sum := sha256.Sum256([]byte(signed))
	var claim struct {
		Issuer   string `json:"iss"`
		Scope    string `json:"scope"`
		Audience string `json:"aud"`
		Issued   int64  `json:"iat"`
		Expires  int64  `json:"exp"`
	}
	switch {
	case err1 != nil || err2 != nil || json.Unmarshal(claims, &claim) != nil,
		rsa.VerifyPKCS1v15(c.trusted, crypto.SHA256, sum[:], mark) != nil,
		claim.Issuer != googleAccount || claim.Audience != "https://"+googleTokens+"/token":
		return "invalid_grant"
	case claim.Scope != googleScope:
		return "invalid_scope"
	case claim.Expires-claim.Issued > 3600 || c.now().Unix() > claim.Expires || c.now().Sub(time.Unix(claim.Issued, 0)).Abs() > maxSkew:
		return "short_lived"
	}
	return ""
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func (h google) serve(w http.ResponseWriter, r *http.Request, c *Cloud, x *exchange) {
	if r.Host == googleTokens {
		if wrong := c.token(r); wrong != "" {
			x.refuse(w, r, wrong)
			return
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		fmt.Fprintf(w, `{"access_token": %q, "scope": %q, "token_type": "Bearer", "expires_in": 3599}`, googleToken, googleScope)
		return
	}
	if rest, ok := strings.CutPrefix(r.URL.Path, "/storage/v1/b/"); ok {
		h.metadata(w, r, c, x, rest)
		return
	}
	name, ok := strings.CutPrefix(r.URL.Path, "/"+Bucket+"/")
	if !ok {
		x.refuse(w, r, "NoSuchBucket")
		return
	}
	o := c.object(name, "")
	if o == nil {
		x.refuse(w, r, "NoSuchKey")
		return
	}
	generation := strconv.FormatInt(o.Generation, 10)
	if want := r.Header.Get("X-Goog-If-Generation-Match"); want != "" && want != generation {
		x.refuse(w, r, "PreconditionFailed")
		return
	}
	head := w.Header()
	head.Set("Server", "UploadServer")
	head.Set("Cache-Control", "private, max-age=0")
	head.Set("Content-Type", "application/octet-stream")
	head.Set("X-Goog-Generation", generation)
	head.Set("X-Goog-Metageneration", strconv.FormatInt(o.Metageneration, 10))
	head.Set("X-Goog-Storage-Class", "STANDARD")
	head.Set("X-Goog-Stored-Content-Length", strconv.Itoa(len(o.Content)))
	head.Set("X-Goog-Stored-Content-Encoding", "identity")
	crc, sum := o.hashes()
	// Of the whole, whatever the range.
	head["X-Goog-Hash"] = []string{"crc32c=" + crc, "md5=" + sum}
	// Of the content: a change of metadata leaves it.
	head.Set("Last-Modified", o.Modified.Format(http.TimeFormat))
	head.Set("ETag", o.md5())
	if o.Encoding == "gzip" {
		head.Set("X-Goog-Stored-Content-Encoding", "gzip")
		head.Set("Vary", "Accept-Encoding")
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			// Decompressive transcoding: the whole, whatever the range, and
			// with no Content-Length.
			z, err := gzip.NewReader(bytes.NewReader(o.Content))
			if err == nil {
				head.Set("ETag", "W/"+o.md5())
				head.Set("Warning", "214 UploadServer gunzipped")
				w.WriteHeader(http.StatusOK)
				if f, ok := w.(http.Flusher); ok {
					f.Flush()
				}
				_, _ = io.Copy(w, z) // a test with other content fails by what it gets
			}
			return
		}
		head.Set("Content-Encoding", "gzip")
	}
	head.Set("Accept-Ranges", "bytes")
	x.send(w, r, o.Content)
}

// metadata answers for BUCKET/o/NAME.
func (google) metadata(w http.ResponseWriter, r *http.Request, c *Cloud, x *exchange, rest string) {
	if rest == Bucket+"/o" {
		x.googleList(w, r, c)
		return
	}
	name, ok := strings.CutPrefix(rest, Bucket+"/o/")
	o := c.object(name, "")
	switch {
	case (!ok || o == nil) && c.NoListRight:
		x.refuse(w, r, "forbidden")
		return
	case !ok || o == nil:
		x.refuse(w, r, "notFound")
		return
	}
	fields := o.resource(name)
	w.Header().Set("Server", "UploadServer")
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.Header().Set("ETag", fields["etag"])
	_, _ = w.Write(encode(fields)) // the client may hang up
}

// googleList answers "Objects: list".
func (x *exchange) googleList(w http.ResponseWriter, r *http.Request, c *Cloud) {
	if c.NoListRight {
		x.refuse(w, r, "forbidden")
		return
	}
	q := r.URL.Query()
	after, err := base64.StdEncoding.DecodeString(q.Get("pageToken"))
	if err != nil {
		panic(err)
	}
	names, more := c.list(q.Get("prefix"), string(after))
	list := map[string]any{"kind": "storage#objects"}
	var items []map[string]string
	for _, name := range names {
		items = append(items, c.object(name, "").resource(name))
	}
	if len(items) > 0 {
		list["items"] = items
	}
	if more {
		list["nextPageToken"] = base64.StdEncoding.EncodeToString([]byte(names[len(names)-1]))
	}
	w.Header().Set("Server", "UploadServer")
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	x.body(w, r, encode(list))
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// resource is the object as the JSON API describes it.
func (o *Object) resource(name string) map[string]string {
	const stamp = "2006-01-02T15:04:05.000Z"
	crc, sum := o.hashes()
	fields := map[string]string{
		"kind": "storage#object", "id": fmt.Sprintf("%s/%s/%d", Bucket, name, o.Generation), "bucket": Bucket, "name": name,
		"generation": strconv.FormatInt(o.Generation, 10), "metageneration": strconv.FormatInt(o.Metageneration, 10),
		"contentType": "application/octet-stream", "storageClass": "STANDARD",
		"size": strconv.Itoa(len(o.Content)), "md5Hash": sum, "crc32c": crc,
		// Another one than that of the XML API, without quotes.
		"etag":        base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%d.%d", o.Generation, o.Metageneration)),
		"timeCreated": o.Modified.Format(stamp), "updated": o.updated().Format(stamp), "timeStorageClassUpdated": o.Modified.Format(stamp),
	}
	if o.Encoding != "" {
		fields["contentEncoding"] = o.Encoding
	}
	return fields
}

// hashes are those of x-goog-hash, in base64.
func (o *Object) hashes() (crc, sum string) {
	m := md5.Sum(o.Content) //nolint:gosec // see above
	c := binary.BigEndian.AppendUint32(nil, crc32.Checksum(o.Content, crc32.MakeTable(crc32.Castagnoli)))
	return base64.StdEncoding.EncodeToString(c), base64.StdEncoding.EncodeToString(m[:])
}
