package forge

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/go-github/v89/github"
)

// githubApp makes the tokens of a GitHub App: one for each account that it is
// installed for. A token is kept in memory, until shortly before its end.
type githubApp struct {
	config Config
	rest   string
	http   *http.Client

	mu            sync.Mutex
	installations map[string]*installation // by owner, in small letters
}

// installation is the App at one account.
type installation struct {
	mu     sync.Mutex
	id     int64
	token  string
	until  time.Time // by our clock
	rights *github.InstallationPermissions
}

// token is a token for calls about a repository, and what it may.
func (a *githubApp) token(ctx context.Context, repository string) (string, *github.InstallationPermissions, error) {
	owner, repo, err := split(repository)
	if err != nil {
		return "", nil, err
	}
	a.mu.Lock()
	i := a.installations[strings.ToLower(owner)]
	if i == nil {
		i = &installation{}
		a.installations[strings.ToLower(owner)] = i
	}
	a.mu.Unlock()

	i.mu.Lock()
	defer i.mu.Unlock()
	if i.token != "" && time.Now().Before(i.until) {
		return i.token, i.rights, nil
	}
	c, err := a.client()
	if err != nil {
		return "", nil, err
	}
	if i.id == 0 {
		found, res, err := c.Apps.GetRepositoryInstallation(ctx, owner, repo)
		err = githubOutcome(res, err)
		if errors.Is(err, errNotFound) {
			err = fmt.Errorf("%w: the GitHub App is not installed for %s: install it for that repository", ErrCredential, repository)
		}
		if err != nil {
			return "", nil, fmt.Errorf("find the App's installation: %w", err)
		}
		i.id = found.GetID()
	}
	began := time.Now()
	made, res, err := c.Apps.CreateInstallationToken(ctx, i.id, nil)
	if err := githubOutcome(res, err); err != nil {
		i.id = 0 // it may have been installed anew
		return "", nil, fmt.Errorf("make a token of the App's installation: %w", err)
	}
	if made.GetToken() == "" {
		return "", nil, errors.New("make a token of the App's installation: the answer has none")
	}
	// How long it is good is told by the forge's clock.
	theirs, err := http.ParseTime(res.Header.Get("Date"))
	if err != nil {
		theirs = began
	}
	i.token, i.rights = made.GetToken(), made.GetPermissions()
	i.until = began.Add(made.GetExpiresAt().Sub(theirs) - renewBefore)
	return i.token, i.rights, nil
}

// refused forgets a token that the forge does not accept.
func (a *githubApp) refused(authorization string) {
	a.mu.Lock()
	installations := make([]*installation, 0, len(a.installations))
	for _, i := range a.installations {
		installations = append(installations, i)
	}
	a.mu.Unlock()
	for _, i := range installations {
		// One that is being renewed is not the one that was refused.
		if !i.mu.TryLock() {
			continue
		}
		if i.token != "" && authorization == "Bearer "+i.token {
			i.token = ""
		}
		i.mu.Unlock()
	}
}

// forget forgets where the App is installed, and all tokens.
func (a *githubApp) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.installations)
}

// login is the name that the App acts by.
func (a *githubApp) login(ctx context.Context) (string, error) {
	c, err := a.client()
	if err != nil {
		return "", err
	}
	app, res, err := c.Apps.Get(ctx, "")
	if err := githubOutcome(res, err); err != nil {
		return "", err
	}
	if app.GetSlug() == "" {
		return "", errors.New("the answer names no App")
	}
	return app.GetSlug() + "[bot]", nil
}

// client makes calls as the App itself.
func (a *githubApp) client() (*github.Client, error) {
	key, err := readSecret(a.config.CredentialFile)
	if err != nil {
		return nil, fmt.Errorf("read the App's private key: %w", err)
	}
	proof, err := appProof(a.config.AppID, key, time.Now())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.config.CredentialFile, err)
	}
	return githubClient(a.http, a.rest, proof)
}

// appProof is the JSON web token by which an App proves who it is: RS256, from a
// minute ago, because clocks differ, and for less than the ten minutes that
// GitHub accepts.
func appProof(id, key string, now time.Time) (string, error) {
	signer, err := parseKey(key)
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(map[string]any{"iss": id, "iat": now.Add(-time.Minute).Unix(), "exp": now.Add(9 * time.Minute).Unix()})
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + encode(claims)
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, signer, crypto.SHA256, digest[:])
	if err != nil {
		return "", errors.New("the private key cannot sign")
	}
	return signed + "." + encode(signature), nil
}

// parseKey reads a private key as GitHub gives it, or in PKCS #8. No error
// quotes it.
func parseKey(key string) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(key))
	if block == nil {
		return nil, fmt.Errorf("%w: it holds no private key in PEM: generate one on the App's page", ErrCredential)
	}
	if k, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return k, nil
	}
	if parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		if k, ok := parsed.(*rsa.PrivateKey); ok {
			return k, nil
		}
	}
	return nil, fmt.Errorf("%w: it holds no RSA private key: generate one on the App's page", ErrCredential)
}
