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
	// speak here.
	Refused string
	// Seed is the seed asked for.
	Seed string
	// Postgres is whose Postgres it is asked to have.
	Postgres string
	// Host is what its Ingresses may be called; empty without a domain.
	Host string
	// Team is who pays for it.
	Team string
	// Consent is who asked, or why nobody who may has.
	Consent Consent
	// HeadSHA may be emitted; empty where it must not be yet, and then
	// HeadWaits says why.
	HeadSHA   string
	HeadWaits string
	// Forks says that pull requests from forks may have previews.
	Forks bool
	// Paths is what is told of the input's paths, for HeadSHA.
	Paths *Paths
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
	// Gone says that the pull request is not there any more without having been
	// closed, as far as the forge tells.
	Gone bool
	// Linger is for how long a preview that ends keeps its data.
	Linger time.Duration
	// Life is how long it may live.
	Life Life
	// Sleep says when it sleeps; nil where nothing is known of that.
	Sleep *sleepFacts
	// Queue says why it has to wait for a place; empty when there is one.
	Queue string
	// Outlived: the state that knew of it was lost, and it was not.
	Outlived bool

	asking asking
}

// Consent comes from somebody with write access, or Missing says why it does
// not.
type Consent struct {
	By      string
	At      time.Time
	Missing string
	// Unanswered means that the forge did not say, and is asked again soon;
	// Unrecorded that it has no record of it, which may be late.
	Unanswered, Unrecorded bool
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
	// Namespace is its name, where it may be another one than the preview has.
	Namespace string
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
	reasonGone      = "the pull request is not there any more"
	reasonReopened  = "the pull request was closed and opened again"
	reasonReset     = "a fresh preview was asked for"
	reasonFork      = "it comes from a fork, and forks get no data"
	reasonForkHead  = "it comes from a fork: nobody with write access has approved this very commit: take the label off (or the approval back) and give it again"
	reasonResting   = "it is being stopped, and comes back with its data"
	reasonTorndown  = "what the preview before it left is still being removed"
	reasonNamespace = "its namespace is being prepared"
	reasonNoSpace   = "its namespace could not be prepared; this is tried again"
	reasonUnasked   = "no ApplicationSet asks for it any more"

	reasonUnlabelled = "the label was removed"
	reasonUnapproved = "nobody approves it any more"

	reasonLostNamespace = "its namespace was deleted; it begins anew with fresh data"
	reasonLostVolume    = "its volume was deleted; it begins anew with fresh data"

	reasonSlotSeed    = "another seed is asked for than that of the slot that was given to it"
	reasonSlotConsent = "nobody who may asks for it any more, and its slot is given to nobody else"
)

// renewing are the reasons for ending after which a preview comes back by
// itself.
var renewing = map[string]bool{
	reasonReopened: true, reasonReset: true, reasonLostNamespace: true, reasonLostVolume: true,
	reasonSlotSeed: true, reasonSlotConsent: true,
}

var commit = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// Blocked says what keeps a preview that is asked for from being emitted,
// before its namespace is looked at; empty for nothing. Consent counts at this
// step and not from before: who set the label may have taken it off, or may not
// write any more.
func Blocked(f Facts) string {
	switch {
	case f.PullRequest.Fork && !f.Forks:
		return reasonFork
	case f.Consent.By == "":
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

// wanted says whether the pull request is to have a preview.
func (f *Facts) wanted() bool { return f.PullRequest != nil && f.Refused == "" }

// refusal says why it is not wanted.
func (f *Facts) refusal() string {
	switch {
	case f.PullRequest != nil:
		return f.Refused
	case f.Gone:
		return reasonGone
	default:
		return reasonClosed
	}
}

// Next is the state machine of one preview: what it is after the facts, given
// what it was. It returns nil for a pull request that has no preview and
// leaves nothing behind. It changes nothing that it is given.
//
//	(none) -> Held -> Live -> Ending -> (none, by the janitor)
//	           |  ^\___________^  | |
//	           v  |\______________/ | while it lingers
//	         (none)\________________/ expired, by the janitor
func Next(cur *Preview, key Key, f Facts, now time.Time) *Preview {
	if cur == nil {
		if !f.wanted() {
			return nil
		}
		cur = &Preview{
			Key: key, Namespace: key.Namespace(), Seed: f.Seed, Postgres: f.Postgres,
			Phase: Held, FirstSeen: now, LabelSeenAt: now,
			ResetSpent: f.Reset, // it starts fresh anyway
		}
	}
	p := *cur
	p.see(&f, now)
	switch p.Phase {
	case Live:
		return p.nextLive(&f, now)
	case Held:
		return p.nextHeld(&f, now)
	default: // Ending, until the janitor has forgotten it
		return p.nextEnding(&f, now)
	}
}

// see takes in how the pull request looks.
func (p *Preview) see(f *Facts, now time.Time) {
	if f.wanted() {
		p.Host, p.Team = f.Host, f.Team
	}
	if f.PullRequest == nil {
		p.PullRequest.Open = false
		return
	}
	if p.PullRequest.HeadSHA != f.PullRequest.HeadSHA && !f.PullRequest.Fork {
		p.HeadSeenAt = now
	}
	p.PullRequest = *f.PullRequest
}

// end ends it, with its data.
func (p *Preview) end(reason string, now time.Time) *Preview {
	p.Phase, p.Reason, p.EndedAt, p.Outlived = Ending, reason, now, false
	p.LingersUntil, p.Rests = time.Time{}, false
	p.forgetSleep()
	return p
}

// linger ends it and keeps its data, where it has some.
func (p *Preview) linger(reason string, f *Facts, now time.Time) *Preview {
	p.end(reason, now)
	if f.Linger > 0 && p.PVCUID != "" && !p.Foreign {
		p.LingersUntil = now.Add(f.Linger)
	}
	return p
}

// nextLive is the next step of a preview that is emitted.
func (p *Preview) nextLive(f *Facts, now time.Time) *Preview {
	p.age(f.Life, now)
	switch {
	case !f.wanted() && f.refusal() == reasonUnasked:
		return p.end(reasonUnasked, now)
	case !f.wanted():
		return p.linger(f.refusal(), f, now)
	case closedSince(p, f.ClosedAt):
		return p.linger(reasonReopened, f, now)
	case f.Lost != nil && f.Lost.NamespaceUID == p.NamespaceUID && f.Lost.PVCUID == p.PVCUID:
		return p.end(f.Lost.Reason, now)
	case f.Reset && !p.ResetSpent:
		p.ResetSpent = true
		return p.end(reasonReset, now)
	case p.expired(f.Life, now):
		p.Expired = &Expired{HeadSHA: f.PullRequest.HeadSHA, ConsentAt: p.ConsentAt, At: now, Reason: p.ExpiresFor}
		p.ResetSpent = f.Reset
		return p.end(p.ExpiresFor, now)
	}
	p.ResetSpent = f.Reset
	if f.Consent.By != "" {
		p.ConsentBy, p.ConsentAt = f.Consent.By, f.Consent.At // who asked first may have left
	}
	if p.EmittedAsOf.IsZero() {
		p.EmittedAsOf = f.PullRequest.UpdatedAt
	}
	p.sleep(*f, now)
	// One that was put to sleep is given a commit when it is awake: no hook of its
	// sync could begin before.
	if commit.MatchString(f.HeadSHA) && !p.Halted {
		if f.PullRequest.Fork && p.HeadSHA != f.HeadSHA {
			p.HeadSeenAt = now // a fork's commit counts once it is approved
		}
		p.HeadSHA, p.Paths = f.HeadSHA, f.Paths
	}
	return p
}

// nextEnding is the next step of a preview that ended: while it lingers, it may
// come back with its data.
func (p *Preview) nextEnding(f *Facts, now time.Time) *Preview {
	switch {
	case !f.wanted() || !p.Lingers(now):
		return p
	case f.Seed != p.Seed || f.Reset:
		p.LingersUntil = time.Time{} // its data is not what is asked for
		return p
	case !p.Rests:
		return p
	}
	p.Phase, p.EndedAt, p.LabelSeenAt, p.Start = Held, time.Time{}, now, Start{}
	return p.nextHeld(f, now)
}

// nextHeld is the next step of a preview that is not emitted yet.
func (p *Preview) nextHeld(f *Facts, now time.Time) *Preview {
	returning := !p.LingersUntil.IsZero()
	switch {
	case !f.wanted() && p.NamespaceUID == "":
		return nil
	case !f.wanted():
		return p.linger(f.refusal(), f, now)
	case returning && (!now.Before(p.LingersUntil) || f.Reset || f.Seed != p.Seed):
		return p.end(reasonReset, now)
	// There is data in a slot already: of that seed, and from today.
	case p.hasSlot() && f.Seed != p.Seed:
		return p.end(reasonSlotSeed, now)
	case p.hasSlot() && !returning && f.Consent.Missing != "" && !f.Consent.Unanswered:
		return p.end(reasonSlotConsent, now)
	}
	p.Seed = f.Seed // nothing of it is used yet, or it is the same
	if returning || p.NamespaceUID == "" {
		p.Postgres = f.Postgres // of one that kept its data none is left
	}
	p.Queued, p.Outlived = false, p.Outlived || f.Outlived
	revived := p.Expired != nil && p.revived(*f)
	p.ResetSpent = f.Reset
	if revived {
		p.Expired, p.FirstSeen, p.LabelSeenAt = nil, now, now
	}
	if p.Expired != nil {
		p.Reason = p.Expired.sentence(f.asking)
		return p
	}
	p.takeConsent(f, now)
	p.takeSpace(f, now)
	if p.Reason = p.waits(f); p.Reason != "" {
		p.Queued = p.Reason == f.Queue
		return p
	}
	p.Phase, p.EmittedAt, p.HeadSHA, p.Paths, p.Outlived = Live, now, f.HeadSHA, f.Paths, false
	p.EmittedAsOf = f.PullRequest.UpdatedAt
	p.LingersUntil, p.Rests = time.Time{}, false
	p.age(f.Life, now)
	return p
}

// takeConsent takes in who asks for it; a question without an answer changes
// nothing.
func (p *Preview) takeConsent(f *Facts, now time.Time) {
	switch {
	case f.Consent.By != "" && (!f.PullRequest.Fork || f.Forks):
		if p.ConsentBy == "" || p.Start.Consent.IsZero() {
			p.Start.Consent = now
		}
		p.ConsentBy, p.ConsentAt = f.Consent.By, f.Consent.At
	case f.Consent.Missing != "" && !f.Consent.Unanswered:
		p.ConsentBy, p.ConsentAt, p.Start.Consent = "", time.Time{}, time.Time{}
	}
}

// takeSpace takes in the namespace that was made for it.
func (p *Preview) takeSpace(f *Facts, now time.Time) {
	if f.Space.UID == "" {
		return
	}
	if p.NamespaceUID != f.Space.UID {
		p.Snapshot, p.PVCUID, p.DataAt, p.DumpedAt = "", "", time.Time{}, time.Time{} // of another namespace
		p.Start = Start{Consent: p.Start.Consent, Namespace: now}
		p.Namespace = cmp.Or(f.Space.Namespace, p.Namespace)
	}
	p.NamespaceUID, p.HookUID = f.Space.UID, f.Space.HookUID
}

// waits says what it lacks; empty for nothing.
func (p *Preview) waits(f *Facts) string {
	facts := *f
	if p.Outlived {
		facts.NoSnapshot = "" // it may have its data
	}
	if why := cmp.Or(Blocked(facts), f.Queue, f.Space.Blocked); why != "" {
		return why
	}
	if f.Space.UID == "" || f.Space.HookUID == "" {
		return reasonNamespace
	}
	return ""
}
