package mask

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// PasswordHash is what testers' accounts get in place of production's. It prints as
// what it is, never as its text.
type PasswordHash struct{ text string }

// PasswordHashes are password hashes by the names that the policy has for them.
type PasswordHashes map[string]PasswordHash

// String keeps a hash out of messages.
func (h PasswordHash) String() string { return "a password hash" }

// GoString is the same.
func (h PasswordHash) GoString() string { return h.String() }

// The forms in which applications store password hashes. What is none of them is taken
// for a password, and refused.
var hashForms = []*regexp.Regexp{
	regexp.MustCompile(`^(?:\{bcrypt\})?\$2[abxy]?\$[0-9]{2}\$[./A-Za-z0-9]{53}$`),
	// Modular crypt: MD5, SHA-2, yescrypt, scrypt, Argon2, phpass, PBKDF2 and the like.
	regexp.MustCompile(`^(?:\{[A-Za-z0-9@_.+-]+\})?\$(?:[1567y]|gy|[a-zA-Z][a-zA-Z0-9-]{2,19})\$[./A-Za-z0-9=,$+_-]{20,}$`),
	regexp.MustCompile(`^\$[PHS]\$[./A-Za-z0-9]{31,}$`),
	// Django, Werkzeug, passlib: a scheme, its parameters, a salt and the digest.
	regexp.MustCompile(`^(?:pbkdf2_sha(?:1|256|512)|bcrypt(?:_sha256)?|argon2|scrypt|sha1|md5)\$[./A-Za-z0-9=,$+_:-]{24,}$`),
	regexp.MustCompile(`^(?:pbkdf2:sha[0-9]{1,3}(?::[0-9]+)?|scrypt(?::[0-9]+){0,3}|sha[0-9]{1,3}|argon2(?:id|i|d)?)[:$][./A-Za-z0-9=+_-]+[:$][./A-Za-z0-9=+_-]{24,}$`),
	// LDAP and Spring: the scheme in braces. {noop} and {plain} are none.
	regexp.MustCompile(`(?i)^\{(?:s?sha|s?sha-?(?:224|256|384|512)|s?md5|smd5|crypt|pbkdf2(?:[-@A-Za-z0-9_.]*)|argon2(?:[-@A-Za-z0-9_.]*)|scrypt(?:[-@A-Za-z0-9_.]*))\}[./A-Za-z0-9=$,+_-]{16,}$`),
	// Postgres' own.
	regexp.MustCompile(`^SCRAM-SHA-256\$[0-9]+:[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]+:[A-Za-z0-9+/=]+$`),
	// Hexadecimal digests, perhaps with a salt before or behind.
	regexp.MustCompile(`^(?:\\x|0x)?(?:[0-9a-fA-F]{8,64}[:.$])?(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{56}|[0-9a-fA-F]{64}|[0-9a-fA-F]{96}|[0-9a-fA-F]{128})(?:[:.$][0-9a-fA-F]{8,64})?$`),
}

// NewPasswordHash reads what a file holds: one hash, white space around it trimmed. No
// error has a part of it.
func NewPasswordHash(content []byte) (PasswordHash, error) {
	text := strings.TrimSpace(string(content))
	switch {
	case text == "":
		return PasswordHash{}, errors.New("it is empty: write the hash of the testers' password into it, made as the application makes it")
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return PasswordHash{}, errors.New("it holds more than one word, or signs that no hash has: write one hash into it, made as the application makes it, and never the password")
	}
	for _, form := range hashForms {
		if form.MatchString(text) {
			return PasswordHash{text}, nil
		}
	}
	// ASP.NET Core: a format byte, then parameters, salt and digest.
	if raw, err := base64.StdEncoding.DecodeString(text); err == nil && (len(raw) == 49 && raw[0] == 0 || len(raw) >= 45 && raw[0] == 1) {
		return PasswordHash{text}, nil
	}
	return PasswordHash{}, errors.New("it looks like a password in plain text, and not like its hash ($2b$..., $argon2id$..., pbkdf2_sha256$..., {SSHA}..., a digest in hexadecimal digits): write the hash into it, made as the application makes it, and never the password")
}

// LoadPasswordHashes reads the hashes that the policy names from files of a directory.
func LoadPasswordHashes(directory string, p *Policy) (PasswordHashes, error) {
	names := p.LoginHashes()
	if len(names) == 0 {
		return nil, nil
	}
	if directory == "" {
		return nil, fmt.Errorf("the policy's logins need --logins: a directory with the password hash in file %s (Secret seed-logins)", strings.Join(names, " and "))
	}
	out := PasswordHashes{}
	var errs []error
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(directory, name))
		if err != nil {
			errs = append(errs, fmt.Errorf("read the password hash that the policy's logins need (key %s of Secret seed-logins): %w", name, err))
			continue
		}
		hash, err := NewPasswordHash(content)
		if err != nil {
			errs = append(errs, fmt.Errorf("the password hash in %s: %w", filepath.Join(directory, name), err))
			continue
		}
		out[name] = hash
	}
	return out, errors.Join(errs...)
}

// Fingerprint is a keyed digest of all hashes, "" where there are none: it says whether
// a seed has them, and nobody without the key can test guesses with it.
func (h PasswordHashes) Fingerprint(k Key) string {
	if len(h) == 0 {
		return ""
	}
	var b strings.Builder
	for _, name := range sortedKeys(h) {
		fmt.Fprintf(&b, "%s\x00%s\x00", name, h[name].text)
	}
	return k.Fingerprint("logins", b.String())
}
