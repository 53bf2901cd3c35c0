package fakecloud

import (
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"net/http"
	"strconv"
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

// amazonWords are codes of "Error responses", section "List of error codes",
// with the messages S3 gives them.
var amazonWords = words{
	"AccessDenied":          {403, "Access Denied"},
	"ExpiredToken":          {400, "The provided token has expired."},
	"InternalError":         {500, "We encountered an internal error. Please try again."},
	"InvalidAccessKeyId":    {403, "The AWS Access Key Id you provided does not exist in our records."},
	"InvalidObjectState":    {403, "The operation is not valid for the object's storage class"},
	"InvalidRange":          {416, "The requested range is not satisfiable"},
	"InvalidToken":          {400, "The provided token is malformed or otherwise not valid."},
	"NoSuchBucket":          {404, "The specified bucket does not exist"},
	"NoSuchKey":             {404, "The specified key does not exist."},
	"NoSuchVersion":         {404, "The specified version does not exist."},
	"PermanentRedirect":     {301, "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint."},
	"PreconditionFailed":    {412, "At least one of the pre-conditions you specified did not hold"},
	"RequestTimeTooSkewed":  {403, "The difference between the request time and the current time is too large."},
	"RequestTimeout":        {400, "Your socket connection to the server was not read from or written to within the timeout period."},
	"SignatureDoesNotMatch": {403, "The request signature we calculated does not match the signature you provided. Check your key and signing method."},
	"SlowDown":              {503, "Please reduce your request rate."},
}

func (amazon) words(*http.Request) words { return amazonWords }

func (amazon) data(r *http.Request) bool { return r.Method == http.MethodGet && r.URL.Path != "/" }

// allowed computes the signature again over the headers that were signed.
func (amazon) allowed(r *http.Request, now time.Time) string {
	given := r.Header.Get("Authorization")
	_, rest, _ := strings.Cut(given, "Credential=")
	scope, _, _ := strings.Cut(rest, ",")
	parts := strings.Split(scope, "/") // id, date, region, service, aws4_request
	_, rest, _ = strings.Cut(given, "SignedHeaders=")
	signed, _, _ := strings.Cut(rest, ",")
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if len(parts) != 5 || err != nil {
		return "AccessDenied"
	}
	if parts[0] != AmazonKeyID {
		return "InvalidAccessKeyId"
	}
	if now.Sub(at).Abs() > maxSkew {
		return "RequestTimeTooSkewed"
	}
	again, err := http.NewRequestWithContext(r.Context(), r.Method, "https://"+r.Host+r.URL.RequestURI(), nil)
	if err != nil {
		return "AccessDenied"
	}
	for name := range strings.SplitSeq(signed, ";") {
		if v := r.Header.Values(name); v != nil && name != "host" {
			again.Header[http.CanonicalHeaderKey(name)] = v
		}
	}
	err = v4.NewSigner().SignHTTP(r.Context(), aws.Credentials{AccessKeyID: AmazonKeyID, SecretAccessKey: AmazonSecret}, again,
		r.Header.Get("X-Amz-Content-Sha256"), parts[3], parts[2], at, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	if err != nil || again.Header.Get("Authorization") != given {
		return "SignatureDoesNotMatch"
	}
	return ""
}

func (amazon) refuse(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	h := w.Header()
	h.Set("Server", "AmazonS3")
	h.Set("X-Amz-Request-Id", "4442587FB7D0A2F9")
	h.Set("Content-Type", "application/xml")
	detail := ""
	switch code {
	case "ExpiredToken", "InvalidToken":
		detail = "<Token-0>" + r.Header.Get("X-Amz-Security-Token") + "</Token-0>"
	case "SignatureDoesNotMatch", "InvalidAccessKeyId":
		_, signature, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
		detail = "<AWSAccessKeyId>" + AmazonKeyID + "</AWSAccessKeyId><StringToSign>AWS4-HMAC-SHA256\n" + r.Header.Get("X-Amz-Date") + "</StringToSign><SignatureProvided>" + signature + "</SignatureProvided>"
	case "RequestTimeTooSkewed":
		detail = "<RequestTime>" + r.Header.Get("X-Amz-Date") + "</RequestTime><MaxAllowedSkewMilliseconds>900000</MaxAllowedSkewMilliseconds>"
	case "NoSuchKey", "NoSuchVersion":
		detail = "<Key>" + strings.TrimPrefix(r.URL.Path, "/") + "</Key>"
	case "PreconditionFailed":
		detail = "<Condition>If-Match</Condition>"
	case "InvalidRange":
		detail = "<RangeRequested>" + r.Header.Get("Range") + "</RangeRequested>"
	case "PermanentRedirect":
		// With the region, and without a Location.
		h.Set("X-Amz-Bucket-Region", AmazonRegion)
		detail = "<Endpoint>" + Bucket + ".s3." + AmazonRegion + ".amazonaws.com</Endpoint><Bucket>" + Bucket + "</Bucket>"
	}
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return // "it's not possible to retrieve the exact exception"
	}
	fmt.Fprintf(w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>%s</Message>%s<RequestId>4442587FB7D0A2F9</RequestId><HostId>YdLPHh+mF4R8</HostId></Error>", code, message, detail)
}

func (amazon) serve(w http.ResponseWriter, r *http.Request, c *Cloud, x *exchange) {
	bucket, rest, _ := strings.Cut(r.Host, ".")
	id := r.URL.Query().Get("versionId")
	switch {
	case bucket != Bucket:
		x.refuse(w, r, "NoSuchBucket")
		return
	case rest != "s3."+AmazonRegion+".amazonaws.com":
		x.refuse(w, r, "PermanentRedirect")
		return
	case r.URL.Path == "/" && (c.NoListRight || r.URL.Query().Get("list-type") != "2"):
		x.refuse(w, r, "AccessDenied") // s3:ListBucket is missing
		return
	case r.URL.Path == "/":
		x.amazonList(w, r, c)
		return
	case id != "" && c.NoVersionRight:
		x.refuse(w, r, "AccessDenied") // s3:GetObjectVersion is missing
		return
	}
	o := c.object(strings.TrimPrefix(r.URL.Path, "/"), id)
	switch match := r.Header.Get("If-Match"); {
	case o == nil && c.NoListRight:
		x.refuse(w, r, "AccessDenied") // s3:ListBucket is missing
		return
	case o == nil && id != "":
		x.refuse(w, r, "NoSuchVersion")
		return
	case o == nil:
		x.refuse(w, r, "NoSuchKey")
		return
	case match != "" && match != o.md5():
		x.refuse(w, r, "PreconditionFailed")
		return
	case o.Archived && r.Method == http.MethodGet:
		x.refuse(w, r, "InvalidObjectState")
		return
	}
	h := w.Header()
	h.Set("ETag", o.md5())
	h.Set("Last-Modified", o.Modified.Format(http.TimeFormat))
	h.Set("Accept-Ranges", "bytes")
	h.Set("Content-Type", "binary/octet-stream")
	h.Set("Server", "AmazonS3")
	h.Set("X-Amz-Request-Id", "4442587FB7D0A2F9")
	h.Set("X-Amz-Server-Side-Encryption", "AES256")
	if c.Versions {
		h.Set("X-Amz-Version-Id", o.version())
	}
	if o.Archived {
		h.Set("X-Amz-Storage-Class", "GLACIER")
	}
	if o.Encoding != "" {
		h.Set("Content-Encoding", o.Encoding)
	}
	x.send(w, r, o.Content)
}

// amazonList answers ListObjectsV2.
func (x *exchange) amazonList(w http.ResponseWriter, r *http.Request, c *Cloud) {
	type contents struct {
		Key, LastModified, ETag string
		Size                    int
		StorageClass            string
	}
	q := r.URL.Query()
	after, err := base64.StdEncoding.DecodeString(q.Get("continuation-token"))
	if err != nil {
		panic(err)
	}
	names, more := c.list(q.Get("prefix"), string(after))
	list := struct {
		XMLName               xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
		Name, Prefix          string
		NextContinuationToken string `xml:",omitempty"`
		KeyCount, MaxKeys     int
		IsTruncated           bool
		Contents              []contents
	}{Name: Bucket, Prefix: q.Get("prefix"), KeyCount: len(names), MaxKeys: 1000, IsTruncated: more}
	if more {
		list.NextContinuationToken = base64.StdEncoding.EncodeToString([]byte(names[len(names)-1]))
	}
	for _, name := range names {
		o := c.object(name, "")
		list.Contents = append(list.Contents, contents{Key: name, LastModified: o.Modified.Format("2006-01-02T15:04:05.000Z"), ETag: o.md5(), Size: len(o.Content), StorageClass: "STANDARD"})
	}
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Server", "AmazonS3")
	w.Header().Set("X-Amz-Bucket-Region", AmazonRegion)
	x.xml(w, r, list)
}

func (x *exchange) xml(w http.ResponseWriter, r *http.Request, v any) {
	b, err := xml.Marshal(v)
	if err != nil {
		panic(err)
	}
	x.body(w, r, append([]byte(xml.Header), b...))
}

// version is the object's id in a bucket that keeps versions.
func (o *Object) version() string { return "v" + strconv.FormatInt(o.Generation, 36) }
