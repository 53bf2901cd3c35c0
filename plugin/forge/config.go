package forge

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
)

// Config is one entry of the configuration's forges.
type Config struct {
	// Name is what ApplicationSets and webhook addresses call the forge.
	Name string `json:"name"`
	// Type is the kind of host: "gitea" (Forgejo too), "github" (Enterprise
	// too), "gitlab", "bitbucket" (Cloud), "bitbucket-datacenter" or "azure-devops".
	Type string `json:"type"`
	// URL is the base URL that people see, without /api.
	URL string `json:"url"`
	// CredentialFile holds a token, or a GitHub App's private key: read at every
	// use, so it may be rotated.
	CredentialFile string `json:"credentialFile"`
	// AppID is the client ID, or the App ID, of a GitHub App; empty where a token
	// is used.
	AppID string `json:"appID,omitempty"`
	// User is the e-mail address of the Bitbucket Cloud account whose API token
	// the credential is.
	User string `json:"user,omitempty"`
	// WritersGroup is the group of Azure DevOps whose members may write to the
	// repositories, such as [shop]\Contributors.
	WritersGroup string `json:"writersGroup,omitempty"`
	// WebhookSecretFile holds the webhook's secret; without it webhooks of this
	// forge are refused and polling alone finds changes.
	WebhookSecretFile string `json:"webhookSecretFile,omitempty"`
}

var (
	forgeName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	// writersGroup is a project, or the organization, and a group.
	writersGroup = regexp.MustCompile(`^\[[^\]]{1,64}\]\\.{1,256}$`)
	appID        = regexp.MustCompile(`^[A-Za-z0-9.]{1,64}$`)
)

// Validate says everything that is wrong with the entry at once.
func (c Config) Validate() error {
	var wrong []error
	if !forgeName.MatchString(c.Name) {
		wrong = append(wrong, fmt.Errorf("name %q is no DNS label", c.Name))
	}
	if _, ok := hosts[c.Type]; !ok {
		wrong = append(wrong, fmt.Errorf("type %q is unknown: use one of %s", c.Type, strings.Join(Types(), ", ")))
	}
	if c.AppID != "" && c.Type != "github" {
		wrong = append(wrong, errors.New("appID is for type github: leave it out"))
	}
	if c.AppID != "" && !appID.MatchString(c.AppID) {
		wrong = append(wrong, fmt.Errorf("appID %q is neither a client ID nor an App ID", c.AppID))
	}
	if c.User != "" && c.Type != "bitbucket" {
		wrong = append(wrong, errors.New("user is for type bitbucket: leave it out"))
	}
	if c.Type == "bitbucket" && (!strings.Contains(c.User, "@") || strings.ContainsAny(c.User, ":\r\n")) {
		wrong = append(wrong, errors.New("user must be the e-mail address of the account whose API token the credential is"))
	}
	if c.WritersGroup != "" && c.Type != "azure-devops" {
		wrong = append(wrong, errors.New("writersGroup is for type azure-devops: leave it out"))
	}
	if c.Type == "azure-devops" && !writersGroup.MatchString(c.WritersGroup) {
		wrong = append(wrong, errors.New(`writersGroup must name the group whose members may write, as [project]\name: nothing else tells who may`))
	}
	switch u, err := url.Parse(c.URL); {
	case err != nil:
		// The error would quote the URL, which may hold a password.
		wrong = append(wrong, errors.New("url is none"))
	case u.User != nil:
		wrong = append(wrong, errors.New("url holds a user: put credentials in credentialFile"))
	case (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "":
		wrong = append(wrong, errors.New("url must be http(s)://host[/path], without query"))
	case u.Host == "api.github.com" || u.Host == "api.bitbucket.org" || strings.HasPrefix(u.Host, "api.") && strings.HasSuffix(u.Host, ".ghe.com") || strings.Contains(u.Path, "/api/v"):
		wrong = append(wrong, errors.New("url is the API's: give what people open in a browser, such as https://github.com"))
	}
	if c.CredentialFile == "" {
		wrong = append(wrong, errors.New("credentialFile is empty: name a file that holds a token, or a GitHub App's private key"))
	}
	return errors.Join(wrong...)
}

// hosts are the kinds of host there are, by the type in the configuration.
var hosts = map[string]func(Config) Forge{
	"gitea":                func(c Config) Forge { return newGitea(c) },
	"github":               func(c Config) Forge { return newGitHub(c) },
	"gitlab":               func(c Config) Forge { return newGitLab(c) },
	"bitbucket":            func(c Config) Forge { return newBitbucket(c) },
	"azure-devops":         func(c Config) Forge { return newAzure(c) },
	"bitbucket-datacenter": func(c Config) Forge { return newBitbucketDC(c) },
}

// Types are the kinds of host there are.
func Types() []string { return slices.Sorted(maps.Keys(hosts)) }

// New makes a forge of a valid entry. It does not call it.
func New(c Config) (Forge, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("forge %q: %w", c.Name, err)
	}
	return hosts[c.Type](c), nil
}

// CheckSecret says what is wrong with a file that should hold a secret; nil for
// nothing.
func CheckSecret(path string) error {
	_, err := readSecret(path)
	return err
}

// readSecret reads a secret anew. Neither the content nor its length is ever
// in an error.
func readSecret(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if info.Size() > maxCredential {
		return "", fmt.Errorf("%s is larger than %d bytes", path, maxCredential)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	s := strings.TrimSpace(string(b))
	if s == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return s, nil
}

// cut shortens a status description to what every forge takes.
func cut(s string) string {
	r := []rune(s)
	if len(r) <= maxDescription {
		return s
	}
	return string(r[:maxDescription-1]) + "…"
}
