package forge

import (
	"strings"
	"testing"
)

func TestBitbucketConfig(t *testing.T) {
	t.Parallel()
	good := Config{Name: "bitbucket", Type: "bitbucket", URL: "https://bitbucket.org", User: "bot@example.com", CredentialFile: "/x"}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Config){
		"user must be":      func(c *Config) { c.User = "" },
		"e-mail address":    func(c *Config) { c.User = "bot@example.com:secret" },
		"user is for type":  func(c *Config) { c.Type = "gitlab" },
		"url is the API's":  func(c *Config) { c.URL = "https://api.bitbucket.org/2.0" },
		"appID is for type": func(c *Config) { c.AppID = "x" },
	} {
		bad := good
		change(&bad)
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("not %q: %v", want, err)
		}
	}
	for base, want := range map[string]string{"https://bitbucket.org": "https://api.bitbucket.org/2.0", "https://git.example.com/x": "https://git.example.com/x/2.0"} {
		if got := bitbucketAPI(base); got != want {
			t.Errorf("%s: %s", base, got)
		}
	}
}
