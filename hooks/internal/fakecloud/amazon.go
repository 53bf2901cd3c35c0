package fakecloud

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// The identity that may read the bucket, and where the bucket is.
const (
	AmazonKeyID  = "AKIAFAKEFAKEFAKE"
	AmazonSecret = "amazon-secret-4711"
	AmazonRegion = "eu-central-1"
)

// amazon is S3 with addresses of the virtual-hosted style.
type amazon struct{}

func (amazon) data(r *http.Request) bool { return r.Method == http.MethodGet }

// allowed computes the signature again over the headers that were signed.
func (amazon) allowed(r *http.Request) (int, string) {
	given := r.Header.Get("Authorization")
	_, rest, _ := strings.Cut(given, "Credential=")
	scope, _, _ := strings.Cut(rest, ",")
	parts := strings.Split(scope, "/") // id, date, region, service, aws4_request
	_, rest, _ = strings.Cut(given, "SignedHeaders=")
	signed, _, _ := strings.Cut(rest, ",")
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if len(parts) != 5 || err != nil {
		return http.StatusForbidden, "AccessDenied"
	}
	if parts[0] != AmazonKeyID {
		return http.StatusForbidden, "InvalidAccessKeyId"
	}
	again, err := http.NewRequestWithContext(r.Context(), r.Method, "https://"+r.Host+r.URL.RequestURI(), nil)
	if err != nil {
		return http.StatusBadRequest, "InvalidURI"
	}
	for name := range strings.SplitSeq(signed, ";") {
		if v := r.Header.Values(name); v != nil && name != "host" {
			again.Header[http.CanonicalHeaderKey(name)] = v
		}
	}
	err = v4.NewSigner().SignHTTP(r.Context(), aws.Credentials{AccessKeyID: AmazonKeyID, SecretAccessKey: AmazonSecret}, again,
		r.Header.Get("X-Amz-Content-Sha256"), parts[3], parts[2], at, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	if err != nil || again.Header.Get("Authorization") != given {
		return http.StatusForbidden, "SignatureDoesNotMatch"
	}
	return 0, ""
}

func (amazon) refuse(w http.ResponseWriter, r *http.Request, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return // S3 gives the status alone
	}
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>%s</Code><Message>The request was refused.</Message><AWSAccessKeyId>%s</AWSAccessKeyId><SignatureProvided>%s</SignatureProvided><RequestId>4442587FB7D0A2F9</RequestId></Error>`,
		code, AmazonKeyID, r.Header.Get("Authorization"))
}

func (h amazon) serve(w http.ResponseWriter, r *http.Request, c *Cloud, x *exchange) {
	bucket, rest, _ := strings.Cut(r.Host, ".")
	if bucket != Bucket {
		h.refuse(w, r, http.StatusNotFound, "NoSuchBucket")
		return
	}
	if rest != "s3."+AmazonRegion+".amazonaws.com" {
		// "permanently redirected": with the region, and without a Location.
		w.Header().Set("X-Amz-Bucket-Region", AmazonRegion)
		h.refuse(w, r, http.StatusMovedPermanently, "PermanentRedirect")
		return
	}
	if r.URL.Path == "/" {
		h.refuse(w, r, http.StatusForbidden, "AccessDenied")
		return
	}
	o := c.object(strings.TrimPrefix(r.URL.Path, "/"))
	if o == nil {
		h.refuse(w, r, http.StatusNotFound, "NoSuchKey")
		return
	}
	if match := r.Header.Get("If-Match"); match != "" && match != o.etag() {
		h.refuse(w, r, http.StatusPreconditionFailed, "PreconditionFailed")
		return
	}
	w.Header().Set("ETag", o.etag())
	w.Header().Set("Last-Modified", o.Modified.Format(http.TimeFormat))
	w.Header().Set("Accept-Ranges", "bytes")
	x.send(w, r, o.Content)
}
