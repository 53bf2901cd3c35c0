package forge

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
)

// hubSignature is the signature of X-Hub-Signature: sha256= and the HMAC-SHA256
// of the body, in hex; nil where there is none of that form. Both Bitbuckets
// send it for webhooks that have a secret.
func hubSignature(header http.Header) []byte {
	code, ok := strings.CutPrefix(header.Get("X-Hub-Signature"), "sha256=")
	if got, err := hex.DecodeString(code); ok && err == nil && len(got) == sha256.Size {
		return got
	}
	return nil
}

// signedBy says whether got is the HMAC-SHA256 of the parts under a key, in
// constant time.
func signedBy(key, got []byte, parts ...[]byte) bool {
	mac := hmac.New(sha256.New, key)
	for _, part := range parts {
		mac.Write(part)
	}
	return hmac.Equal(got, mac.Sum(nil))
}
