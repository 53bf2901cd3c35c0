package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strings"
)

// Tokens are the files with the tokens that Argo CD may present. They are read
// at each request, so a rotation needs no restart: the old token goes to
// Previous, the new one to Current, Argo CD's Secret follows.
type Tokens struct {
	Current string
	// Previous may be empty, or name a file that is not there.
	Previous string
}

// Check says whether a token file is fit for use.
func (t Tokens) Check() error {
	token, err := readToken(t.Current)
	if err != nil {
		return fmt.Errorf("read the generator's token: %w", err)
	}
	if !usable(token) {
		return fmt.Errorf("the generator's token in %s is empty or begins with $: Argo CD sends the latter when its Secret lacks the key", t.Current)
	}
	return nil
}

// allow says whether a request carries a token of ours. An empty one and one
// that begins with $ are refused even where a file holds them: Argo CD sends
// the literal reference of a Secret it cannot find.
func (t Tokens) allow(r *http.Request) (bool, error) {
	scheme, presented, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	presented = strings.TrimSpace(presented)
	if !strings.EqualFold(scheme, "Bearer") || !usable(presented) {
		return false, nil
	}
	current, err := readToken(t.Current)
	if err != nil {
		return false, err
	}
	allowed := same(presented, current)
	if t.Previous != "" {
		previous, err := readToken(t.Previous)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		allowed = same(presented, previous) || allowed
	}
	return allowed, nil
}

func usable(token string) bool { return token != "" && !strings.HasPrefix(token, "$") }

// same compares in a time that depends on neither content nor length.
func same(presented, ours string) bool {
	a, b := sha256.Sum256([]byte(presented)), sha256.Sum256([]byte(ours))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && usable(ours)
}

func readToken(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(b)), nil
}
