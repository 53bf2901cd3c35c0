package preview

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strconv"
	"strings"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

const hashLength = 10

// Key is what a preview is the preview of. Two keys that differ in spelling
// only (case, a trailing slash or .git) are the same preview.
type Key struct {
	// ForgeURL is the forge's base URL as configured.
	ForgeURL string `json:"forgeURL"`
	// Repository is the repository's path on the forge, such as acme/shop.
	Repository string `json:"repository"`
	// ApplicationSet is the ApplicationSet that asks for the preview.
	ApplicationSet string `json:"applicationSet"`
	// Number is the pull request's number.
	Number int64 `json:"number"`
}

// Namespace is the name of the preview's namespace and Application: a DNS
// label of at most snapshot.MaxPreview characters, the same for ever.
func (k Key) Namespace() string {
	number := "-" + strconv.FormatInt(k.Number, 10)
	room := snapshot.MaxPreview - len(snapshot.PreviewPrefix) - len(number) - 1 - hashLength
	repository := canonicalRepository(k.Repository)
	slug := Slug(repository[strings.LastIndexByte(repository, '/')+1:], room)
	if slug == "" {
		slug = "x"
	}
	return snapshot.PreviewPrefix + slug + number + "-" + k.Hash()
}

// Hash is the part of the name that tells forges, repositories and
// ApplicationSets apart: 10 hex digits over the three.
func (k Key) Hash() string {
	return digest(canonicalURL(k.ForgeURL), canonicalRepository(k.Repository), k.ApplicationSet)[:hashLength]
}

// RepositoryHash tells repositories apart, whatever ApplicationSet asks.
func (k Key) RepositoryHash() string {
	return digest(canonicalURL(k.ForgeURL), canonicalRepository(k.Repository))[:hashLength]
}

// digest hashes parts so that no two lists of parts share an input.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(strconv.Itoa(len(p))))
		h.Write([]byte{':'})
		h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Slug makes a DNS label part of at most room characters out of any text:
// lower-case letters, digits and single dashes, none at either end. It is
// empty where the text holds no letter or digit of ASCII.
func Slug(text string, room int) string {
	var b strings.Builder
	dash := false
	for _, r := range strings.ToLower(text) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			if dash && b.Len() > 0 {
				b.WriteByte('-')
			}
			dash = false
			b.WriteRune(r)
		default:
			dash = true
		}
	}
	s := b.String()
	if room < 0 {
		room = 0
	}
	if len(s) > room {
		s = s[:room]
	}
	return strings.Trim(s, "-")
}

// canonicalURL spells a forge's base URL in one way.
func canonicalURL(s string) string {
	s = strings.TrimRight(strings.TrimSpace(s), "/")
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return strings.ToLower(s)
	}
	host := strings.ToLower(u.Host)
	switch scheme := strings.ToLower(u.Scheme); {
	case scheme == "https" && strings.HasSuffix(host, ":443"):
		host = strings.TrimSuffix(host, ":443")
	case scheme == "http" && strings.HasSuffix(host, ":80"):
		host = strings.TrimSuffix(host, ":80")
	}
	return strings.ToLower(u.Scheme) + "://" + host + strings.TrimRight(u.EscapedPath(), "/")
}

// canonicalRepository spells a repository's path in one way. Every forge we
// know compares paths without regard to case.
func canonicalRepository(s string) string {
	s = strings.ToLower(strings.Trim(strings.TrimSpace(s), "/"))
	return strings.TrimSuffix(s, ".git")
}
