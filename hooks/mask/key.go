package mask

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
)

// MinKeyBytes is the least length of a key.
const MinKeyBytes = 32

// Key is the secret that masks depend on: the same key and the same original
// give the same mask. It prints as its ID.
type Key struct{ secret []byte }

// LoadKey reads a key file: its content, white space around it trimmed, at
// least MinKeyBytes long, used as it is (raw bytes, hex or base64 alike).
func LoadKey(path string) (Key, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return Key{}, fmt.Errorf("read the key: %w", err)
	}
	k, err := NewKey(content)
	if err != nil {
		return Key{}, fmt.Errorf("key file %s: %w", path, err)
	}
	return k, nil
}

// NewKey makes a key of a key file's content.
func NewKey(content []byte) (Key, error) {
	secret := bytes.TrimSpace(content)
	if len(secret) < MinKeyBytes {
		return Key{}, fmt.Errorf("the key has %d bytes, at least %d are needed: make one with `openssl rand -hex 32`", len(secret), MinKeyBytes)
	}
	if bytes.Count(secret, secret[:1]) == len(secret) {
		return Key{}, errors.New("the key is one byte repeated: make one with `openssl rand -hex 32`")
	}
	return Key{bytes.Clone(secret)}, nil
}

// ID identifies the key without giving it away: 16 hex digits of a value
// derived from it.
func (k Key) ID() string {
	id, err := hkdf.Key(sha256.New, k.secret, []byte("seedling mask"), "key id", 8)
	if err != nil {
		panic("mask: derive the key id: " + err.Error()) // only for impossible lengths
	}
	return hex.EncodeToString(id)
}

// String is the key's ID, so that no format verb prints the secret.
func (k Key) String() string { return "key " + k.ID() }

// GoString is the key's ID too.
func (k Key) GoString() string { return k.String() }

// Valid reports whether the key holds a secret.
func (k Key) Valid() bool { return len(k.secret) >= MinKeyBytes }

// Fingerprint is a keyed digest of a text, 64 hex digits, other ones for each use.
// Without the key nobody can test guesses with it.
func (k Key) Fingerprint(use, text string) string {
	sub, err := hkdf.Key(sha256.New, k.secret, []byte("seedling mask"), "fingerprint\x00"+use, 32)
	if err != nil {
		panic("mask: derive a key: " + err.Error()) // only for impossible lengths
	}
	h := hmac.New(sha256.New, sub)
	_, _ = h.Write([]byte(text))
	return hex.EncodeToString(h.Sum(nil))
}
