package preview

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seedling-dev/seedling/plugin/forge"
)

const (
	sha1 = "1111111111111111111111111111111111111111"
	sha2 = "2222222222222222222222222222222222222222"
)

func pull(number int64, change ...func(*forge.PullRequest)) forge.PullRequest {
	p := forge.PullRequest{
		Number: number, Title: "A change", Author: "dev", Branch: "feature/x", TargetBranch: "main",
		HeadSHA: sha1, HeadRepository: "acme/shop", URL: "https://git.example.com/acme/shop/pulls/1",
		Labels: []string{"preview"}, Open: true,
	}
	for _, c := range change {
		c(&p)
	}
	return p
}

// TestNext is the state machine as data: what a preview was, what is known,
// what it becomes.
func TestNext(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	key := Key{ForgeURL: "https://git.example.com", Repository: "acme/shop", ApplicationSet: "previews", Number: 1}
	// good is everything a preview needs.
	good := func(change ...func(*Facts)) Facts {
		pr := pull(1)
		f := Facts{
			PullRequest: &pr, Seed: "seed", HeadSHA: pr.HeadSHA,
			Consent: Consent{By: "maintainer", At: now}, Space: Space{UID: "ns", HookUID: "sa"},
		}
		for _, c := range change {
			c(&f)
		}
		return f
	}
	held := func(change ...func(*Preview)) *Preview {
		p := &Preview{Key: key, Namespace: key.Namespace(), Seed: "seed", Phase: Held, FirstSeen: now, PullRequest: pull(1)}
		for _, c := range change {
			c(p)
		}
		return p
	}
	live := func(change ...func(*Preview)) *Preview {
		return held(append([]func(*Preview){func(p *Preview) {
			p.Phase, p.HeadSHA, p.NamespaceUID, p.HookUID, p.ConsentBy = Live, sha1, "ns", "sa", "maintainer"
		}}, change...)...)
	}
	emitted := func(at time.Time, ahead time.Duration) func(*Preview) {
		return func(p *Preview) { p.EmittedAt, p.EmittedAsOf = at, at.Add(ahead) }
	}
	ending := live(func(p *Preview) { p.Phase, p.Reason = Ending, "before" })

	tests := []struct {
		name   string
		cur    *Preview
		facts  Facts
		phase  Phase // "" for no preview
		reason string
	}{
		{"asked for", nil, good(), Live, ""},
		{"not asked for", nil, good(func(f *Facts) { f.Refused = "it is a draft" }), "", ""},
		{"closed", nil, good(func(f *Facts) { f.PullRequest = nil }), "", ""},
		{"from a fork", nil, good(func(f *Facts) { f.PullRequest.Fork = true }), Held, reasonFork},
		{"fork is never approved by polling", held(func(p *Preview) { p.ConsentBy = "maintainer" }), good(func(f *Facts) { f.PullRequest.Fork = true }), Held, reasonFork},
		{"without consent", nil, good(func(f *Facts) { f.Consent = Consent{Missing: "nobody"} }), Held, "nobody"},
		{"consent not asked", nil, good(func(f *Facts) { f.Consent = Consent{} }), Held, "the forge has not been asked yet who set the label"},
		{"consent of before does not count", held(func(p *Preview) { p.ConsentBy = "maintainer" }), good(func(f *Facts) { f.Consent = Consent{Missing: "nobody"} }), Held, "nobody"},
		{"consent of before, not asked anew", held(func(p *Preview) { p.ConsentBy = "maintainer" }), good(func(f *Facts) { f.Consent = Consent{} }), Held, "the forge has not been asked yet who set the label"},
		{"no snapshot", nil, good(func(f *Facts) { f.NoSnapshot = "none" }), Held, "none"},
		{"no head", nil, good(func(f *Facts) { f.HeadSHA = "" }), Held, "the forge does not say which commit its head is"},
		{"head is no commit", nil, good(func(f *Facts) { f.HeadSHA = "main" }), Held, "the forge does not say which commit its head is"},
		{"status not green", nil, good(func(f *Facts) { f.HeadSHA, f.HeadWaits = "", "waits" }), Held, "waits"},
		{"namespace not made", nil, good(func(f *Facts) { f.Space = Space{} }), Held, reasonNamespace},
		{"namespace of before", nil, good(func(f *Facts) { f.Space = Space{Blocked: reasonTorndown} }), Held, reasonTorndown},
		{"namespace without its guards", nil, good(func(f *Facts) { f.Space = Space{UID: "ns", Blocked: "half"} }), Held, "half"},
		{"namespace without hook", nil, good(func(f *Facts) { f.Space = Space{UID: "ns"} }), Held, reasonNamespace},
		{"held and unlabelled", held(), good(func(f *Facts) { f.Refused = "the label was removed" }), "", ""},
		{"held with namespace and unlabelled", held(func(p *Preview) { p.NamespaceUID = "ns" }), good(func(f *Facts) { f.Refused = "the label was removed" }), Ending, "the label was removed"},
		{"held and ready", held(), good(), Live, ""},
		{"fresh one with reset label", nil, good(func(f *Facts) { f.Reset = true }), Live, ""},

		{"live stays", live(), good(), Live, ""},
		{"live without snapshot stays", live(), good(func(f *Facts) { f.NoSnapshot = "none" }), Live, ""},
		{"live without consent asked stays", live(), good(func(f *Facts) { f.Consent = Consent{} }), Live, ""},
		{"live without namespace fact stays", live(), good(func(f *Facts) { f.Space = Space{} }), Live, ""},
		{"live and closed", live(), good(func(f *Facts) { f.PullRequest = nil }), Ending, reasonClosed},
		// The forge's clock is two hours behind ours here, and then two ahead.
		{"live, closed and open again", live(emitted(now, -2*time.Hour)), good(func(f *Facts) { f.ClosedAt = now.Add(-119 * time.Minute) }), Ending, reasonReopened},
		{"closed before this life", live(emitted(now, 2*time.Hour)), good(func(f *Facts) { f.ClosedAt = now.Add(119 * time.Minute) }), Live, ""},
		{"closed and open again within a second, then emitted", live(emitted(now, 0)), good(func(f *Facts) { f.ClosedAt = now }), Live, ""},
		// Of an earlier version our own clock is all there is.
		{"emitted by an earlier version, closed and open again", live(func(p *Preview) { p.EmittedAt = now.Add(-time.Hour) }), good(func(f *Facts) { f.ClosedAt = now.Add(-time.Minute) }), Ending, reasonReopened},
		{"emitted by an earlier version, closed before", live(func(p *Preview) { p.EmittedAt = now.Add(-time.Minute) }), good(func(f *Facts) { f.ClosedAt = now.Add(-time.Hour) }), Live, ""},
		{"live and unlabelled", live(), good(func(f *Facts) { f.Refused = "the label was removed" }), Ending, "the label was removed"},
		{"live lost its namespace", live(), good(func(f *Facts) { f.Lost = &Loss{NamespaceUID: "ns", Reason: "lost"} }), Ending, "lost"},
		{"the loss is of another life", live(), good(func(f *Facts) { f.Lost = &Loss{NamespaceUID: "older", Reason: "lost"} }), Live, ""},
		{"the loss is of a volume since replaced", live(func(p *Preview) { p.PVCUID = "new" }), good(func(f *Facts) { f.Lost = &Loss{NamespaceUID: "ns", PVCUID: "old", Reason: "lost"} }), Live, ""},
		{"reset", live(), good(func(f *Facts) { f.Reset = true }), Ending, reasonReset},
		{"reset is spent once", live(func(p *Preview) { p.ResetSpent = true }), good(func(f *Facts) { f.Reset = true }), Live, ""},
		{"reset again", live(func(p *Preview) { p.ResetSpent = false }), good(func(f *Facts) { f.Reset = true }), Ending, reasonReset},

		{"ending stays though asked for", ending, good(), Ending, "before"},
		{"ending stays though closed", ending, good(func(f *Facts) { f.PullRequest = nil }), Ending, "before"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var before *Preview
			if test.cur != nil {
				c := *test.cur
				before = &c
			}
			got := Next(test.cur, key, test.facts, now)
			if diff := cmp.Diff(before, test.cur); diff != "" {
				t.Errorf("what was given changed: %s", diff)
			}
			phase, reason := Phase(""), ""
			if got != nil {
				phase, reason = got.Phase, got.Reason
			}
			if phase != test.phase || reason != test.reason {
				t.Fatalf("got %q (%s), want %q (%s)", phase, reason, test.phase, test.reason)
			}
			if phase == Live && (got.HeadSHA == "" || got.NamespaceUID == "" || got.HookUID == "" || got.ConsentBy == "") {
				t.Errorf("a live preview lacks something: %+v", got)
			}
		})
	}
}

func TestNextHead(t *testing.T) {
	t.Parallel()
	key := Key{Number: 1}
	cur := &Preview{Key: key, Phase: Live, HeadSHA: sha1, PullRequest: pull(1)}
	pr := pull(1, func(p *forge.PullRequest) { p.HeadSHA = sha2 })
	if got := Next(cur, key, Facts{PullRequest: &pr, HeadSHA: sha2}, time.Now()); got.HeadSHA != sha2 {
		t.Errorf("a push emits %s", got.HeadSHA)
	}
	if got := Next(cur, key, Facts{PullRequest: &pr}, time.Now()); got.HeadSHA != sha1 {
		t.Errorf("while a status is waited for, %s is emitted", got.HeadSHA)
	}
	if got := Next(&Preview{Key: key, Phase: Live, HeadSHA: sha1, ResetSpent: true, PullRequest: pull(1)}, key, Facts{PullRequest: &pr}, time.Now()); got.ResetSpent {
		t.Error("a reset label that was taken off is still spent")
	}
}

// TestNextAsOf: what the forge's clock said is kept from the emission on, and
// made up for where an earlier version did not.
func TestNextAsOf(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	key := Key{Number: 1}
	changed := func(at time.Time) *forge.PullRequest {
		p := pull(1)
		p.UpdatedAt = at
		return &p
	}
	asOf := now.Add(-3 * time.Hour)
	facts := Facts{
		PullRequest: changed(asOf), HeadSHA: sha1, Consent: Consent{By: "maintainer"}, Space: Space{UID: "ns", HookUID: "sa"},
	}
	p := Next(nil, key, facts, now)
	if p.Phase != Live || !p.EmittedAsOf.Equal(asOf) {
		t.Fatalf("%s (%s), emitted as of %s", p.Phase, p.Reason, p.EmittedAsOf)
	}
	facts.PullRequest = changed(now)
	if p = Next(p, key, facts, now); !p.EmittedAsOf.Equal(asOf) {
		t.Errorf("a later change made it as of %s", p.EmittedAsOf)
	}
	old := &Preview{Key: key, Phase: Live, HeadSHA: sha1, EmittedAt: now, PullRequest: pull(1)}
	if p = Next(old, key, facts, now); !p.EmittedAsOf.Equal(now) {
		t.Errorf("one of an earlier version is as of %s", p.EmittedAsOf)
	}
	facts.PullRequest = changed(time.Time{})
	if p = Next(old, key, facts, now); !p.EmittedAsOf.IsZero() {
		t.Errorf("without an answer of the forge it is as of %s", p.EmittedAsOf)
	}
}
