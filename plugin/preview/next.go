package preview

import (
	"cmp"
	"regexp"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/seedling-dev/seedling/plugin/forge"
)

// Facts are what is known of one pull request at one moment. Whatever could
// not be found out is left as it was before: an unanswered question never
// ends a preview.
type Facts struct {
	// PullRequest is nil when the forge said that it is not open any more.
	PullRequest *forge.PullRequest
	// Refused says why policy wants no preview; empty when it does. Filters
	// speak here, and later TTL and cap.
	Refused string
	// Seed is the seed asked for.
	Seed string
	// Consent is who asked, or why nobody who may has.
	Consent Consent
	// HeadSHA may be emitted; empty where it must not be yet, and then
	// HeadWaits says why.
	HeadSHA   string
	HeadWaits string
	// NoSnapshot says why the seed has no usable snapshot; empty when it has.
	NoSnapshot string
	// Space is the namespace, once Blocked has nothing against making it.
	Space Space
	// Lost says that something a live preview cannot do without is gone.
	Lost *Loss
	// ClosedAt is when the pull request was closed by the forge's clock, though
	// it may be open again; zero if the forge told of no closing.
	ClosedAt time.Time
	// Reset is true while the reset label is on the pull request.
	Reset bool
}

// Consent comes from somebody with write access, or Missing says why it does
// not.
type Consent struct {
	By      string
	At      time.Time
	Missing string
	// Unanswered means that the forge did not say, and is asked again soon.
	Unanswered bool
}

// Loss is something gone that cannot come back: the namespace or the volume
// of those UIDs.
type Loss struct {
	NamespaceUID types.UID
	PVCUID       types.UID
	Reason       string
}

// Space is the state of a preview's namespace.
type Space struct {
	// UID and HookUID are those of the namespace and of its ServiceAccount
	// preview-restore. The namespace may exist without all of its guards.
	UID     types.UID
	HookUID types.UID
	// Blocked says why the preview cannot have the namespace yet.
	Blocked string
}

// Reasons that more than one place says.
const (
	reasonClosed    = "the pull request is closed"
	reasonReopened  = "the pull request was closed and opened again; it begins anew with fresh data"
	reasonReset     = "a fresh preview was asked for"
	reasonFork      = "it comes from a fork, and forks get no data"
	reasonTorndown  = "what the preview before it left is still being removed"
	reasonNamespace = "its namespace is being prepared"
	reasonUnasked   = "no ApplicationSet asks for it any more"

	reasonLostNamespace = "its namespace was deleted; it begins anew with fresh data"
	reasonLostVolume    = "its volume was deleted; it begins anew with fresh data"
)

// renewing are the reasons for ending after which a preview comes back by
// itself.
var renewing = map[string]bool{reasonReopened: true, reasonReset: true, reasonLostNamespace: true, reasonLostVolume: true}

var commit = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// Blocked says what keeps a preview that is asked for from being emitted,
// before its namespace is looked at; empty for nothing.
func Blocked(cur *Preview, f Facts) string {
	switch {
	case f.PullRequest.Fork:
		return reasonFork
	case (cur == nil || cur.ConsentBy == "") && f.Consent.By == "":
		return cmp.Or(f.Consent.Missing, "the forge has not been asked yet who set the label")
	case !commit.MatchString(f.HeadSHA):
		if f.HeadWaits != "" {
			return f.HeadWaits
		}
		return "the forge does not say which commit its head is"
	default:
		return f.NoSnapshot
	}
}

// closedSince says whether a live preview is from before its pull request was
// closed. Opening a pull request again changes it, so one that was emitted
// after that has a later EmittedAsOf. Only for state of an earlier version, and
// for the first closing after it, our own clock must do.
func closedSince(p *Preview, closedAt time.Time) bool {
	if closedAt.IsZero() {
		return false
	}
	if p.EmittedAsOf.IsZero() {
		return closedAt.After(p.EmittedAt)
	}
	return closedAt.After(p.EmittedAsOf)
}

// Next is the state machine of one preview: what it is after the facts, given
// what it was. It returns nil for a pull request that has no preview and
// leaves nothing behind. It changes nothing that it is given.
//
//	(none) -> Held -> Live -> Ending -> (none, by the janitor)
//	           |  \___________^
//	           v
//	         (none)
func Next(cur *Preview, key Key, f Facts, now time.Time) *Preview {
	wanted := f.PullRequest != nil && f.Refused == ""
	if cur == nil {
		if !wanted {
			return nil
		}
		cur = &Preview{
			Key: key, Namespace: key.Namespace(), Seed: f.Seed,
			Phase: Held, FirstSeen: now,
			ResetSpent: f.Reset, // it starts fresh anyway
		}
	}
	p := *cur
	if f.PullRequest != nil {
		if p.PullRequest.HeadSHA != f.PullRequest.HeadSHA {
			p.HeadSeenAt = now
		}
		p.PullRequest = *f.PullRequest
	}
	end := func(reason string) *Preview {
		p.Phase, p.Reason, p.EndedAt = Ending, reason, now
		return &p
	}
	refused := f.Refused
	if f.PullRequest == nil {
		refused = reasonClosed
		p.PullRequest.Open = false
	}

	switch p.Phase {
	case Live:
		switch {
		case !wanted:
			return end(refused)
		case closedSince(&p, f.ClosedAt):
			return end(reasonReopened)
		case f.Lost != nil && f.Lost.NamespaceUID == p.NamespaceUID && f.Lost.PVCUID == p.PVCUID:
			return end(f.Lost.Reason)
		case f.Reset && !p.ResetSpent:
			p.ResetSpent = true
			return end(reasonReset)
		}
		p.ResetSpent = f.Reset
		if p.EmittedAsOf.IsZero() {
			p.EmittedAsOf = f.PullRequest.UpdatedAt
		}
		if commit.MatchString(f.HeadSHA) {
			p.HeadSHA = f.HeadSHA
		}
		return &p

	case Held:
		if !wanted {
			if p.NamespaceUID == "" {
				return nil
			}
			return end(refused)
		}
		p.Seed = f.Seed // nothing of it is used yet
		p.ResetSpent = f.Reset
		if p.ConsentBy == "" && !f.PullRequest.Fork {
			p.ConsentBy, p.ConsentAt = f.Consent.By, f.Consent.At
		}
		if f.Space.UID != "" {
			p.NamespaceUID, p.HookUID = f.Space.UID, f.Space.HookUID
		}
		if p.Reason = Blocked(&p, f); p.Reason != "" {
			return &p
		}
		if p.Reason = f.Space.Blocked; p.Reason != "" {
			return &p
		}
		if f.Space.UID == "" || f.Space.HookUID == "" {
			p.Reason = reasonNamespace
			return &p
		}
		p.Phase, p.EmittedAt, p.HeadSHA = Live, now, f.HeadSHA
		p.EmittedAsOf = f.PullRequest.UpdatedAt
		return &p

	default: // Ending, until the janitor has forgotten it
		return &p
	}
}
