package forge

import (
	"crypto/hmac"
	"crypto/sha256"
)

// signedBy says whether got is the HMAC-SHA256 of the parts under a key, in
// constant time.
func signedBy(key, got []byte, parts ...[]byte) bool {
	mac := hmac.New(sha256.New, key)
	for _, part := range parts {
		mac.Write(part)
	}
	return hmac.Equal(got, mac.Sum(nil))
}
