package forge

import (
	"strings"
	"testing"
)

func TestAzureConfig(t *testing.T) {
	t.Parallel()
	good := Config{Name: "azure", Type: "azure-devops", URL: "https://dev.azure.com/acme", WritersGroup: `[shop]\Contributors`, CredentialFile: "/x"}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Config){
		"writersGroup must name":       func(c *Config) { c.WritersGroup = "" },
		"as [project]":                 func(c *Config) { c.WritersGroup = "Contributors" },
		"nothing else tells":           func(c *Config) { c.WritersGroup = `[]\Contributors` },
		"writersGroup is for type":     func(c *Config) { c.Type = "gitlab" },
		"user is for type bitbucket":   func(c *Config) { c.User = "bot@example.com" },
		"appID is for type github":     func(c *Config) { c.AppID = "x" },
		"one of azure-devops, bitbuck": func(c *Config) { c.Type = "azure" },
	} {
		bad := good
		change(&bad)
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("not %q: %v", want, err)
		}
	}
	for base, want := range map[string]string{
		"https://dev.azure.com/acme": "https://vssps.dev.azure.com/acme", "https://azure.example.com/tfs/acme": "https://azure.example.com/tfs/acme",
	} {
		if got := azurePeople(base); got != want {
			t.Errorf("%s: %s", base, got)
		}
	}
}
