package fakecloud

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// googleToken is what the key of GoogleKey is exchanged for.
const googleToken = "google-secret-4711"

// googleAccount is who the key belongs to.
const googleAccount = "importer@project.iam.gserviceaccount.com"

// GoogleKey is a service account's key as Google hands it out.
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
		"client_email": googleAccount, "client_id": "1", "token_uri": "https://oauth2.googleapis.com/token",
	})
	if err != nil {
		panic(err)
	}
	return string(b)
})

// google is Cloud Storage, and the place that gives tokens for it.
type google struct{}

func (google) data(r *http.Request) bool {
	return r.Host != "oauth2.googleapis.com" && !strings.HasPrefix(r.URL.Path, "/storage/v1/")
}

func (google) allowed(r *http.Request) (int, string) {
	if r.Host != "oauth2.googleapis.com" && r.Header.Get("Authorization") != "Bearer "+googleToken {
		return http.StatusUnauthorized, "AuthenticationRequired"
	}
	return 0, ""
}

func (h google) refuse(w http.ResponseWriter, r *http.Request, status int, code string) {
	switch {
	case r.Host == "oauth2.googleapis.com":
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error": %q, "error_description": "Invalid JWT Signature."}`, code)
	case h.data(r):
		w.Header().Set("Content-Type", "application/xml; charset=UTF-8")
		w.WriteHeader(status)
		fmt.Fprintf(w, "<?xml version='1.0' encoding='UTF-8'?><Error><Code>%s</Code><Message>The request was refused.</Message><Details>%s</Details></Error>", code, r.Header.Get("Authorization"))
	default:
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error": {"code": %d, "message": "The request was refused: %s", "errors": [{"message": "The request was refused.", "domain": "global", "reason": %q}]}}`,
			status, r.Header.Get("Authorization"), code)
	}
}

func (h google) serve(w http.ResponseWriter, r *http.Request, c *Cloud, x *exchange) {
	if r.Host == "oauth2.googleapis.com" {
		if r.URL.Path != "/token" || r.PostFormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || strings.Count(r.PostFormValue("assertion"), ".") != 2 {
			h.refuse(w, r, http.StatusBadRequest, "invalid_grant")
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token": %q, "token_type": "Bearer", "expires_in": 3599}`, googleToken)
		return
	}
	if rest, ok := strings.CutPrefix(r.URL.Path, "/storage/v1/b/"+Bucket+"/o/"); ok {
		o := c.object(rest)
		if o == nil {
			h.refuse(w, r, http.StatusNotFound, "notFound")
			return
		}
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
		fmt.Fprintf(w, `{"kind": "storage#object", "bucket": %q, "name": %q, "generation": "%d", "metageneration": "1", "size": "%d", "etag": %q, "updated": %q, "timeCreated": %q, "contentEncoding": %q}`,
			Bucket, rest, o.Generation, len(o.Content), o.etag(), o.Modified.Format("2006-01-02T15:04:05.000Z"), o.Modified.Format("2006-01-02T15:04:05.000Z"), o.Encoding)
		return
	}
	name, ok := strings.CutPrefix(r.URL.Path, "/"+Bucket+"/")
	if !ok {
		h.refuse(w, r, http.StatusNotFound, "notFound")
		return
	}
	o := c.object(name)
	if o == nil {
		h.refuse(w, r, http.StatusNotFound, "NoSuchKey")
		return
	}
	generation := strconv.FormatInt(o.Generation, 10)
	if want := r.Header.Get("X-Goog-If-Generation-Match"); want != "" && want != generation {
		h.refuse(w, r, http.StatusPreconditionFailed, "PreconditionFailed")
		return
	}
	w.Header().Set("X-Goog-Generation", generation)
	w.Header().Set("X-Goog-Metageneration", "1")
	w.Header().Set("X-Goog-Stored-Content-Length", strconv.Itoa(len(o.Content)))
	w.Header().Set("Last-Modified", o.Modified.Format(http.TimeFormat))
	w.Header().Set("ETag", o.etag())
	if o.Encoding == "gzip" {
		w.Header().Set("X-Goog-Stored-Content-Encoding", "gzip")
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			// Decompressive transcoding: the whole, whatever the range.
			z, err := gzip.NewReader(bytes.NewReader(o.Content))
			if err == nil {
				w.Header().Set("Warning", "214 UploadServer gunzipped")
				_, _ = io.Copy(w, z) // a test with other content fails by what it gets
			}
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
	}
	x.send(w, r, o.Content)
}
