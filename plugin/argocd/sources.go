package argocd

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/gobwas/glob"
)

// IsSourcePermitted says whether a project lets manifests come from a
// repository, by the rules of Argo CD: patterns of gobwas/glob, and with an
// exclamation mark in front all but those.
func (p *AppProject) IsSourcePermitted(repository string) bool {
	repository = normal(repository)
	permitted := false
	for _, entry := range p.Spec.SourceRepos {
		pattern, negated := strings.CutPrefix(entry, "!")
		pattern = normal(pattern)
		switch matches := pattern == "*" && !negated || matched(pattern, repository); {
		case matches && negated:
			return false
		case matches || negated:
			permitted = true
		}
	}
	return permitted
}

// matched is false also for a pattern that is none.
func matched(pattern, text string) bool {
	g, err := glob.Compile(pattern, '/')
	return err == nil && g.Match(text)
}

var ssh = regexp.MustCompile(`^(ssh://)?([^/:]*?)@[^@]+$`)

// normal is a repository's URL, or a pattern of some, as Argo CD compares them:
// without its case, ssh's protocol, and the ending .git.
func normal(repository string) string {
	repository = strings.ToLower(strings.TrimSpace(repository))
	if ssh.MatchString(repository) && !strings.HasPrefix(repository, "ssh://") {
		repository = "ssh://" + strings.Replace(repository, ":", "/", 1)
	}
	u, err := url.Parse(strings.TrimSuffix(repository, ".git"))
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(u.String(), "ssh://")
}
