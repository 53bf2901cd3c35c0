package forge

import "time"

// Grant is that somebody set the label, or approved, while the pull request had
// that head. It comes from a call whose signature covers its body, and only from
// one: a list tells of a label and of a head, and not that they were seen
// together.
type Grant struct {
	Number  int64
	HeadSHA string
	// By did it, At by the forge's clock.
	By string
	At time.Time
}

// Granter is a Forge whose webhooks tell of Grants.
type Granter interface {
	// CannotGrant says why they do not as it is configured, and what would help;
	// empty where they do.
	CannotGrant() string
}

// CheckForks says why no pull request from a fork can have a preview on this
// forge; empty where one can.
func CheckForks(f Forge) string {
	if g, ok := f.(Granter); ok {
		return g.CannotGrant()
	}
	return "is not possible on this forge: no signed event of it tells which commit somebody approved"
}

const needsSecret = "needs webhookSecretFile of its forge: without a signed event nothing tells which commit somebody approved"

// CannotGrant implements Granter.
func (g *Gitea) CannotGrant() string { return withoutSecret(g.config) }

// CannotGrant implements Granter.
func (g *GitHub) CannotGrant() string { return withoutSecret(g.config) }

// CannotGrant implements Granter.
func (b *BitbucketDC) CannotGrant() string { return withoutSecret(b.config) }

// CannotGrant implements Granter. A secret token proves nothing of what is said.
func (g *GitLab) CannotGrant() string {
	if why := withoutSecret(g.config); why != "" {
		return why
	}
	if secret, err := readSecret(g.config.WebhookSecretFile); err != nil || !gitlabSigns(secret) {
		return "needs a webhook with a signing token (whsec_...) in webhookSecretFile: a secret token proves nothing of which commit somebody approved"
	}
	return ""
}

func withoutSecret(c Config) string {
	if c.WebhookSecretFile == "" {
		return needsSecret
	}
	return ""
}

// granted is that of an event; nil where it lacks something.
func (e *Event) granted(at time.Time) *Grant {
	if e.Sender == "" || e.PullRequest.Number <= 0 || !commitSHA.MatchString(e.PullRequest.HeadSHA) || at.IsZero() {
		return nil
	}
	return &Grant{Number: e.PullRequest.Number, HeadSHA: e.PullRequest.HeadSHA, By: e.Sender, At: at}
}
