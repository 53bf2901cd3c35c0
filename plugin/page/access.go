package page

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"
)

const (
	// cookie holds a login. It has no prefix __Host-, which not every browser takes
	// from localhost: whoever sets one of that name from a neighbouring host has no
	// login, and takes none away.
	cookie = "seedling-page"
	// loginFor is how long a login lasts.
	loginFor = 12 * time.Hour
	// shortest is how short a token may be: nobody guesses 20 characters.
	shortest = 20
	// longest is how long what somebody presents may be.
	longest = 512
)

// Config says who may look at the page. Its zero value is for nobody.
type Config struct {
	// TokenFile holds the token that opens the page, by a form or a header. It is
	// read at each use; a new token ends the logins of the old one.
	TokenFile string `json:"tokenFile"`
	// UserHeader is a header in which an auth proxy names who is logged in. It is
	// believed from the addresses of TrustedProxies and from nowhere else.
	UserHeader     string   `json:"userHeader"`
	TrustedProxies []string `json:"trustedProxies"`
}

// On says whether there is a page.
func (c Config) On() bool { return c.TokenFile != "" || c.UserHeader != "" }

// Validate says all that is wrong.
func (c Config) Validate() error {
	var wrong []error
	if (c.UserHeader == "") != (len(c.TrustedProxies) == 0) {
		wrong = append(wrong, errors.New("page: userHeader and trustedProxies belong together: a header that anybody could send proves nothing"))
	}
	switch http.CanonicalHeaderKey(c.UserHeader) {
	case "Authorization", "Cookie", "Host", "User-Agent", "Referer", "X-Forwarded-For":
		wrong = append(wrong, fmt.Errorf("page.userHeader: browsers send %s themselves", c.UserHeader))
	}
	if strings.ContainsFunc(c.UserHeader, func(r rune) bool {
		return r != '-' && (r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r))
	}) {
		wrong = append(wrong, errors.New("page.userHeader: it is no name of a header"))
	}
	for _, block := range c.TrustedProxies {
		if p, err := netip.ParsePrefix(block); err != nil || p.Bits() == 0 {
			wrong = append(wrong, fmt.Errorf("page.trustedProxies: %q is no block of addresses such as 10.244.0.0/16", block))
		}
	}
	return errors.Join(wrong...)
}

// Check says whether the token's file is fit for use.
func (c Config) Check() error {
	if c.TokenFile == "" {
		return nil
	}
	_, err := c.token()
	return err
}

func (c Config) token() (string, error) {
	b, err := os.ReadFile(c.TokenFile)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(b))
	if len(token) < shortest || len(token) > longest {
		return "", fmt.Errorf("the page's token in %s has not between %d and %d characters: `openssl rand -hex 32` makes one", c.TokenFile, shortest, longest)
	}
	return token, nil
}

// access is who asks, and whether they may.
type access int

const (
	// nobody who may; stranger may log in.
	nobody access = iota
	stranger
	reader
)

// of says who asks. The error says that it cannot be told.
func (c Config) of(r *http.Request, now time.Time) (access, error) {
	if c.proxied(r) {
		return reader, nil
	}
	if c.TokenFile == "" {
		return nobody, nil
	}
	token, err := c.token()
	if err != nil {
		return nobody, err
	}
	if scheme, presented, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") && same(strings.TrimSpace(presented), token) {
		return reader, nil
	}
	for _, k := range r.CookiesNamed(cookie) {
		if loggedIn(k.Value, token, now) {
			return reader, nil
		}
	}
	return stranger, nil
}

// proxied says whether a proxy that we trust names who is logged in, once.
func (c Config) proxied(r *http.Request) bool {
	if c.UserHeader == "" {
		return false
	}
	users := r.Header.Values(c.UserHeader)
	if len(users) != 1 || strings.TrimSpace(users[0]) == "" || len(users[0]) > longest {
		return false
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	from, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	for _, block := range c.TrustedProxies {
		if p, err := netip.ParsePrefix(block); err == nil && p.Contains(from.Unmap().WithZone("")) {
			return true
		}
	}
	return false
}

// same compares in a time that depends on neither content nor length.
func same(presented, token string) bool {
	a, b := sha256.Sum256([]byte(presented)), sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// login is the value of a cookie: until when it is good, sealed with the token,
// which is not in it.
func login(token string, now time.Time) string {
	until := strconv.FormatInt(now.Add(loginFor).Unix(), 10)
	return until + "." + seal(until, token)
}

func loggedIn(value, token string, now time.Time) bool {
	until, sealed, ok := strings.Cut(value, ".")
	at, err := strconv.ParseInt(until, 10, 64)
	if !ok || err != nil || len(value) > longest {
		return false
	}
	good := hmac.Equal([]byte(sealed), []byte(seal(until, token)))
	return good && now.Before(time.Unix(at, 0)) && time.Unix(at, 0).Before(now.Add(loginFor+time.Minute))
}

func seal(until, token string) string {
	m := hmac.New(sha256.New, []byte(token))
	m.Write([]byte("seedling page until " + until))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// setLogin sets, or with an empty value removes, the cookie.
func setLogin(w http.ResponseWriter, value string) {
	k := &http.Cookie{Name: cookie, Value: value, Path: "/", MaxAge: int(loginFor.Seconds()), HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode}
	if value == "" {
		k.MaxAge = -1
	}
	http.SetCookie(w, k)
}
