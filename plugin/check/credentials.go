package check

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/url"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/plugin/argocd"
)

const (
	secretType      = "argocd.argoproj.io/secret-type"
	repositoryType  = "repository"
	credentialsType = "repo-creds"
)

// credential is one of Argo CD's for Git, without what it holds.
type credential struct {
	secret, url string
	// digest is of what it holds, to compare; "" for nothing.
	digest string
	// app says that it is a GitHub App.
	app bool
}

// credentials looks at what Argo CD presents for the repositories of previews.
// A pull request can have it sent to a host of its choice, so it should open
// that repository and no other.
func (c *Cluster) credentials(ctx context.Context, sets []argocd.ApplicationSet) {
	const what = "credentials"
	ours := repositoriesOf(sets)
	if len(sets) == 0 {
		return // which was said
	}
	var secrets corev1.SecretList
	err := c.Kube.List(ctx, &secrets, client.InNamespace(c.ArgoCD), client.HasLabels{secretType})
	if !c.may(what, "list Secrets in namespace "+c.ArgoCD, err) {
		return
	}
	var repositories, templates []credential
	for i := range secrets.Items {
		s := &secrets.Items[i]
		switch s.Labels[secretType] {
		case repositoryType:
			repositories = append(repositories, credentialOf(s))
		case credentialsType:
			templates = append(templates, credentialOf(s))
		}
	}
	for _, repository := range ours {
		if strings.Contains(repository, "{{") {
			c.Report.Unseen("credential of "+repository, "which repository that is comes with each preview", "name the repository in the ApplicationSet")
			continue
		}
		c.credential(repository, repositories, templates)
	}
}

// credential looks at what one repository gets: its own, or the template with
// the longest prefix of its URL.
func (c *Cluster) credential(repository string, repositories, templates []credential) {
	what := "credential of " + repository
	key := normal(repository)
	var used *credential
	for i, r := range repositories {
		if normal(r.url) == key && r.digest != "" {
			used = &repositories[i]
		}
	}
	if used == nil {
		for i, t := range templates {
			if strings.HasPrefix(key, normal(t.url)) && (used == nil || len(normal(t.url)) > len(normal(used.url))) {
				used = &templates[i]
			}
		}
		if used != nil && normal(used.url) != key {
			c.Report.Wrong(what, "Secret %s is a template for all of %s, and a pull request can have it sent to its author: make a Secret %s: repository for this repository alone, with a read-only credential that opens no other (a deploy key, a token or a user of its own)",
				used.secret, safe(used.url), secretType)
			return
		}
	}
	switch {
	case used == nil:
		c.Report.Note("%s: none, so it is public or Argo CD cannot read it", what)
		return
	case used.app:
		c.Report.Note("%s: Secret %s is a GitHub App, whose token opens every repository of its installation: install it on this repository alone, or use a deploy key", what, used.secret)
		return
	}
	for _, other := range append(slices.Clone(repositories), templates...) {
		if other.digest == used.digest && normal(other.url) != key {
			c.Report.Wrong(what, "Secret %s holds the same as Secret %s, so it opens %s too: give each repository a credential of its own", used.secret, other.secret, safe(other.url))
			return
		}
	}
	c.Report.Say(what, ": Secret "+used.secret+", of its own", nil)
}

// repositoriesOf are those that the templates of ApplicationSets name.
func repositoriesOf(sets []argocd.ApplicationSet) []string {
	var all []string
	for i := range sets {
		for _, source := range sets[i].Spec.Template.Spec.AllSources() {
			if !slices.Contains(all, source.RepoURL) && source.RepoURL != "" {
				all = append(all, source.RepoURL)
			}
		}
	}
	return all
}

func credentialOf(s *corev1.Secret) credential {
	found := credential{secret: s.Name, url: string(s.Data["url"]), app: len(s.Data["githubAppPrivateKey"]) > 0}
	sum := sha256.New()
	held := false
	for _, key := range []string{"password", "sshPrivateKey", "bearerToken", "tlsClientCertKey", "githubAppPrivateKey", "gcpServiceAccountKey"} {
		if value := s.Data[key]; len(value) > 0 {
			held = true
			fmt.Fprintf(sum, "%s %d %s", key, len(value), value)
		}
	}
	if held {
		found.digest = string(sum.Sum(nil))
	}
	return found
}

// normal is a repository's URL as Argo CD compares them: without its case, its
// user, its protocol's ssh form, and the ending .git.
func normal(raw string) string {
	raw = strings.ToLower(strings.TrimSpace(raw))
	if !strings.Contains(raw, "://") {
		if host, path, ok := strings.Cut(raw, ":"); ok && strings.Contains(host, "@") {
			raw = "ssh://" + host + "/" + strings.TrimPrefix(path, "/")
		}
	}
	raw = strings.TrimSuffix(raw, ".git")
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	u.User = nil
	return strings.TrimSuffix(u.String(), "/")
}

// safe is a URL without what it may hold for login.
func safe(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "a URL"
	}
	u.User = nil
	return u.String()
}
