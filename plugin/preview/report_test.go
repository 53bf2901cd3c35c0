package preview

import (
	"testing"
	"time"

	"github.com/seedling-dev/seedling/plugin/forge"
)

// One word for each preview: what wants a person comes before what goes on.
func TestStateOf(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	live := func(edit func(*Preview)) Preview {
		p := Preview{Phase: Live, PVCUID: "pvc"}
		if edit != nil {
			edit(&p)
		}
		return p
	}
	for _, c := range []struct {
		name    string
		p       Preview
		said    forge.State
		health  string
		healthy time.Time
		want    State
	}{
		{"ready", live(nil), forge.Success, "Healthy", now, StateReady},
		{"after a push", live(nil), forge.Success, "Progressing", now, StateReady},
		{"degraded later", live(nil), forge.Success, "Degraded", now, StateDegraded},
		{"asleep", live(func(p *Preview) { p.AsleepSince = now }), forge.Success, "Degraded", now, StateAsleep},
		{"degraded from the first", live(nil), forge.Success, "Degraded", time.Time{}, StateStarting},
		{"no data yet", live(func(p *Preview) { p.PVCUID = "" }), forge.Pending, "Healthy", now, StateStarting},
		{"failed", live(nil), forge.Failure, "Healthy", now, StateFailed},
		{"waiting", Preview{Phase: Held}, forge.Pending, "", time.Time{}, StateWaiting},
		{"refused", Preview{Phase: Held}, forge.Failure, "", time.Time{}, StateFailed},
		{"queued", Preview{Phase: Held, Queued: true}, forge.Pending, "", time.Time{}, StateQueued},
		{"expired", Preview{Phase: Held, Expired: &Expired{}}, forge.Success, "", time.Time{}, StateExpired},
		{"lingers", Preview{Phase: Ending, LingersUntil: now.Add(time.Second)}, forge.Success, "", time.Time{}, StateEnding},
		{"lingered", Preview{Phase: Ending, LingersUntil: now}, forge.Success, "", time.Time{}, StateRemoving},
	} {
		if got := stateOf(&c.p, c.said, c.health, c.healthy, now); got != c.want {
			t.Errorf("%s: %s, not %s", c.name, got, c.want)
		}
	}
}

// When it was Healthy first is kept, whatever Argo CD calls it later; an Application
// that is gone begins anew.
func TestHealth(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	var r Reconciler
	p := Preview{Phase: Live, Namespace: "preview-a", PVCUID: "pvc", Start: Start{Restored: at}}
	want := func(what, status string, healthy time.Time) {
		t.Helper()
		if s, h := r.health.of(&p); s != status || !h.Equal(healthy) {
			t.Errorf("%s: %s since %s", what, s, h)
		}
	}
	want("nothing told", "", time.Time{})
	r.Health("preview-a", "Progressing", at)
	want("progressing", "Progressing", time.Time{})
	r.Health("preview-a", "Healthy", at.Add(2*time.Second))
	want("healthy", "Healthy", at.Add(2*time.Second))
	if !r.health.settled(&p, at.Add(5*time.Second)).IsZero() || !r.health.settled(&p, at.Add(time.Minute)).Equal(at.Add(2*time.Second)) {
		t.Error("it is kept before it stays so, or never")
	}
	r.Health("preview-a", "Progressing", at.Add(3*time.Second))
	want("not yet", "Progressing", time.Time{})
	r.Health("preview-a", "Healthy", at.Add(8*time.Second))
	want("healthy at last", "Healthy", at.Add(8*time.Second))
	r.Health("preview-a", "Progressing", at.Add(time.Hour))
	r.Health("preview-a", "Healthy", at.Add(2*time.Hour))
	want("healthy again", "Healthy", at.Add(8*time.Second))
	r.Health("preview-a", "", time.Time{})
	want("gone", "", time.Time{})
	r.Health("preview-a", "Healthy", at.Add(-time.Second))
	want("clocks differ", "Healthy", at)
	p.Start.Healthy = at.Add(time.Minute)
	want("as the state has it", "Healthy", at.Add(time.Minute))
	p.PVCUID, p.Start = "", Start{}
	want("without data", "Healthy", time.Time{})
}

// The steps of a start are noted when they are made, once, and begin anew with what
// begins anew.
func TestStart(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	key := Key{ForgeURL: "https://git.example.com", Repository: "acme/shop", ApplicationSet: "previews", Number: 1}
	pr := &forge.PullRequest{Number: 1, HeadSHA: "aabbccddeeff00112233445566778899aabbccdd", Open: true}
	facts := Facts{PullRequest: pr, Seed: "seed", HeadSHA: pr.HeadSHA, Consent: Consent{Missing: reasonAsking, Unanswered: true}}
	p := Next(nil, key, facts, now)
	if p.Start != (Start{}) {
		t.Errorf("before consent it has %+v", p.Start)
	}
	facts.Consent = Consent{By: "ada", At: now.Add(-time.Minute)}
	p = Next(p, key, facts, now.Add(time.Second))
	p = Next(p, key, facts, now.Add(2*time.Second))
	facts.Space = Space{UID: "ns", HookUID: "hook"}
	p = Next(p, key, facts, now.Add(3*time.Second))
	want := Start{Consent: now.Add(time.Second), Namespace: now.Add(3 * time.Second)}
	if p.Phase != Live || p.Start != want {
		t.Errorf("it is %s with %+v", p.Phase, p.Start)
	}
	p.PVCUID, p.Start.Restored = "pvc", now.Add(4*time.Second)
	facts.Linger, facts.Refused = time.Hour, "the label is gone"
	p = Next(p, key, facts, now.Add(time.Minute))
	p.Rests, facts.Refused = true, ""
	p = Next(p, key, facts, now.Add(2*time.Minute))
	if p.Phase != Live || !p.Start.Consent.Equal(now.Add(2*time.Minute)) || !p.Start.Restored.IsZero() {
		t.Errorf("when it came back it is %s with %+v", p.Phase, p.Start)
	}
}
