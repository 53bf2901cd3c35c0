package argocd

import (
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/gobwas/glob"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
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

// IsGroupKindPermitted says whether a project lets objects of a kind into the
// cluster, by the rules of Argo CD: cluster-wide kinds are those that are listed,
// others are all where nothing is.
func (p *AppProject) IsGroupKindPermitted(kind schema.GroupKind, namespaced bool) bool {
	listed := func(list []metav1.GroupKind) bool {
		return slices.ContainsFunc(list, func(entry metav1.GroupKind) bool {
			return same(entry.Group, kind.Group) && same(entry.Kind, kind.Kind)
		})
	}
	if !namespaced {
		return listed(p.Spec.ClusterResourceWhitelist) && !listed(p.Spec.ClusterResourceBlacklist)
	}
	allowed := p.Spec.NamespaceResourceWhitelist == nil || listed(p.Spec.NamespaceResourceWhitelist)
	return allowed && !listed(p.Spec.NamespaceResourceBlacklist)
}

// same is false also for a pattern that is none. These are those of a path.
func same(pattern, text string) bool {
	ok, err := path.Match(pattern, text)
	return err == nil && ok
}
