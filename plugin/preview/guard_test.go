package preview

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/forge"
)

// lived is a world with that many live previews.
func lived(t *testing.T, n int64) *world {
	t.Helper()
	w := newWorld(t, newHost())
	for i := int64(1); i <= n; i++ {
		w.host.set(pull(i))
	}
	w.mustRound()
	if got := len(w.answered()); got != int(n) {
		t.Fatalf("%d are live", got)
	}
	return w
}

// changed lets f change every pull request as the forge's record of events does
// not tell.
func (h *host) changed(f func(*forge.PullRequest)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for n, p := range h.pulls {
		f(&p)
		h.pulls[n] = p
		h.labelled[n] = ""
	}
}

func (w *world) loseNamespaces(n int64) {
	w.t.Helper()
	for i := int64(1); i <= n; i++ {
		p, _ := w.preview(i)
		if err := w.cluster.Delete(w.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: p.Namespace}}); err != nil {
			w.t.Fatal(err)
		}
	}
}

var typo = map[string]json.RawMessage{"forge": asksForShop["forge"], "repo": asksForShop["repo"], "label": json.RawMessage(`"preveiw"`)}

// masses are what ends many at once without anybody having told of each.
var masses = []struct {
	name string
	do   func(w *world)
	// input is what is asked for afterwards.
	input map[string]json.RawMessage
	heal  func(w *world)
}{
	{
		"the label is renamed in the repository", func(w *world) { w.host.changed(func(p *forge.PullRequest) { p.Labels = []string{"review-app"} }) }, asksForShop,
		func(w *world) { w.host.changed(func(p *forge.PullRequest) { p.Labels = []string{"preview"} }) },
	},
	{"a typo in the ApplicationSet", func(w *world) { w.asks(typo) }, typo, func(w *world) { w.asks(asksForShop) }},
	{"the cluster is restored", func(w *world) { w.loseNamespaces(10) }, asksForShop, nil},
	{
		"nothing is there any more", func(w *world) { w.host.with(func(h *host) { clear(h.pulls) }) }, asksForShop,
		func(w *world) {
			for i := int64(1); i <= 10; i++ {
				w.host.set(pull(i))
			}
		},
	},
}

func (w *world) answeredFor(input map[string]json.RawMessage) int {
	w.t.Helper()
	body, err := w.Answer(canceled(w.t), "previews", input)
	if err != nil {
		w.t.Fatal(err)
	}
	return len(parse(w.t, body))
}

// TestMassGuard: they all stay, after a restart too, and one sentence says what
// to do.
func TestMassGuard(t *testing.T) {
	t.Parallel()
	for _, test := range masses {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := lived(t, 10)
			test.do(w)
			for round := range 5 {
				if err := w.roundOf(); err != nil {
					t.Fatal(err)
				}
				if n := w.answeredFor(test.input); n != 10 {
					t.Fatalf("%d are answered in round %d", n, round)
				}
			}
			if n := strings.Count(w.said.String(), "which looks like a mistake"); n != 1 {
				t.Errorf("it was said %d times", n)
			}
			if got := w.Status().Withheld["previews"]; got.Previews != 10 {
				t.Errorf("withheld %+v", got)
			}
			if seeds := w.Status().Seeds; !slices.Contains(seeds, "seed") {
				t.Errorf("the seeds are %q", seeds)
			}
			w.restart()
			w.asks(test.input)
			for range 3 {
				w.mustRound()
				if n := w.answeredFor(test.input); n != 10 {
					t.Fatalf("%d are answered after a restart", n)
				}
			}
			if test.heal == nil {
				return
			}
			test.heal(w)
			w.mustRound()
			w.mustRound()
			if n := w.answeredFor(asksForShop); n != 10 || len(w.Status().Withheld) > 0 {
				t.Errorf("%d are answered when it is put right, withheld %v", n, w.Status().Withheld)
			}
		})
	}
}

var confirms = regexp.MustCompile(snapshot.AnnotationEndConfirmed + `=(\d+-[0-9a-f]{12})`)

// TestEndConfirmed: a person's word ends exactly those it was printed for, once.
func TestEndConfirmed(t *testing.T) {
	t.Parallel()
	for _, test := range masses {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := lived(t, 10)
			test.do(w)
			for range 4 {
				w.mustRound()
			}
			found := confirms.FindStringSubmatch(w.said.String())
			if found == nil {
				t.Fatalf("no token in %s", w.said)
			}
			for _, wrong := range []string{"true", "10", "11" + found[1][2:], "10-000000000000"} {
				w.confirmed = wrong
				w.asks(test.input)
				w.mustRound()
				if n := w.answeredFor(test.input); n != 10 {
					t.Fatalf("%d are answered for %q", n, wrong)
				}
			}
			w.confirmed = found[1]
			w.asks(test.input)
			w.mustRound()
			if n := w.answeredFor(test.input); n != 0 {
				t.Fatalf("%d are answered when it is confirmed", n)
			}
			for _, p := range w.Store.All() {
				if p.Phase != Ending {
					t.Errorf("%s: %s", p.Namespace, p.Phase)
				}
			}
		})
	}
}

// TestConfirmationIsSpent: the word that was used is no word for the next time,
// also after a restart.
func TestConfirmationIsSpent(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	wants := func() map[string]want {
		m := map[string]want{}
		for n := range 10 {
			m[fmt.Sprint("preview-", n, "/uid")] = want{reason: "a typo"}
		}
		return m
	}
	g := &massGuard{}
	g.confirm(map[string]string{"s": ""})
	if v := g.judge("s", "r", wants(), crowd{live: 10, everything: false}, now); len(v.may) > 0 || v.say == "" {
		t.Fatalf("%+v", v)
	}
	token := g.sets["s"].token
	g.confirm(map[string]string{"s": token})
	v := g.judge("s", "r", wants(), crowd{live: 10, everything: false}, now)
	if len(v.may) != 10 || v.spend != token {
		t.Fatalf("%+v", v)
	}
	for _, h := range []*massGuard{g, {}} {
		h.remember([]string{token})
		h.confirm(map[string]string{"s": token})
		if v := h.judge("s", "r", wants(), crowd{live: 10, everything: false}, now.Add(time.Hour)); len(v.may) > 0 {
			t.Errorf("it was used again: %+v", v)
		}
	}
}

// TestFewPass: what is told of each, and what is few, is not kept back.
func TestFewPass(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		do   func(w *world)
		left int
	}{
		{"all are closed", func(w *world) {
			for i := int64(1); i <= 10; i++ {
				w.host.set(pull(i, closed))
			}
		}, 0},
		{"all are unlabelled, as events tell", func(w *world) {
			for i := int64(1); i <= 10; i++ {
				w.host.set(pull(i, unlabelled))
			}
		}, 0},
		{"three lose their label, as no event tells", func(w *world) {
			w.host.with(func(h *host) {
				for i := int64(1); i <= 3; i++ {
					h.pulls[i], h.labelled[i] = pull(i, unlabelled), ""
				}
			})
		}, 7},
		{"four do", func(w *world) {
			w.host.with(func(h *host) {
				for i := int64(1); i <= 4; i++ {
					h.pulls[i], h.labelled[i] = pull(i, unlabelled), ""
				}
			})
		}, 10},
		{"one is a draft, where drafts are left out", func(w *world) {
			w.host.set(pull(1, func(p *forge.PullRequest) { p.Draft = true }))
			w.asks(map[string]json.RawMessage{"forge": asksForShop["forge"], "repo": asksForShop["repo"], "filters": json.RawMessage(`{"drafts":false}`)})
		}, 9},
		{"one lost its namespace", func(w *world) { w.loseNamespaces(1) }, 9},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := lived(t, 10)
			test.do(w)
			for range 4 {
				w.mustRound()
			}
			live := 0
			for _, p := range w.Store.All() {
				if p.Phase == Live {
					live++
				}
			}
			if live != test.left {
				t.Errorf("%d are left", live)
			}
		})
	}
}

// TestMassComesIntoSight: after a restart the first who are seen are few, and
// the others of the mass come later.
func TestMassComesIntoSight(t *testing.T) {
	t.Parallel()
	w := lived(t, 10)
	w.asks(typo)
	w.mustRound()
	w.restart()
	w.asks(typo)
	seen := int64(2)
	w.host.with(func(h *host) {
		h.listErr = errDown
		h.lies = func(n int64, _ bool) (forge.PullRequest, error, bool) {
			return forge.PullRequest{}, errDown, n > seen
		}
	})
	live := func() (n int) {
		for _, p := range w.Store.All() {
			if p.Phase == Live {
				n++
			}
		}
		return n
	}
	for ; seen <= 10; seen++ {
		for n := int64(1); n <= seen; n++ {
			w.Trigger("gitea", "acme/shop", n, time.Time{})
		}
		_ = w.roundOf()
		if n := live(); n != 10 {
			t.Fatalf("%d are left when %d were seen", n, seen)
		}
	}
	w.host.with(func(h *host) { h.listErr, h.lies = nil, nil })
	for range 3 {
		w.mustRound()
	}
	if n := live(); n != 10 || w.Status().Withheld["previews"].Previews != 10 {
		t.Errorf("%d are left, withheld are %v", n, w.Status().Withheld)
	}
}

// TestMassSettles: the first endings that only configuration causes may be few
// because the others are of a repository that nobody looked at since: they wait
// until all are counted, and pass if there are no more.
func TestMassSettles(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	wants := func(from, to int, settles bool) map[string]want {
		m := map[string]want{}
		for n := from; n < to; n++ {
			m[fmt.Sprint("preview-", n, "/uid")] = want{reason: "a typo", settles: settles}
		}
		return m
	}
	among := crowd{live: 10}

	g := &massGuard{}
	if v := g.judge("s", "r1", wants(0, 2, true), among, now); len(v.may) > 0 || !v.by.Equal(now.Add(settleFor)) {
		t.Errorf("the first of a mass: %+v", v)
	}
	if v := g.judge("s", "r2", wants(2, 10, true), among, now.Add(settleFor/2)); len(v.may) > 0 || v.say == "" {
		t.Errorf("the others of the mass: %+v", v)
	}
	if v := g.judge("s", "r1", wants(0, 2, true), among, now.Add(settleFor)); len(v.may) > 0 {
		t.Errorf("the first of a mass, once it was counted: %+v", v)
	}

	g = &massGuard{}
	g.judge("s", "r1", wants(0, 2, true), among, now)
	if v := g.judge("s", "r1", wants(0, 2, true), among, now.Add(settleFor-time.Second)); len(v.may) > 0 {
		t.Errorf("a few, too early: %+v", v)
	}
	if v := g.judge("s", "r1", wants(0, 2, true), among, now.Add(settleFor)); len(v.may) != 2 {
		t.Errorf("a few that no others followed: %+v", v)
	}
	// One that was not to end meanwhile begins anew.
	g = &massGuard{}
	g.judge("s", "r1", wants(0, 2, true), among, now)
	g.judge("s", "r1", map[string]want{}, among, now.Add(settleFor/2))
	if v := g.judge("s", "r1", wants(0, 2, true), among, now.Add(settleFor)); len(v.may) > 0 {
		t.Errorf("a few that did not stand: %+v", v)
	}

	if v := (&massGuard{}).judge("s", "r1", wants(0, 2, false), among, now); len(v.may) != 2 {
		t.Errorf("a few that were lost: %+v", v)
	}
}

// TestTrickle: a mass that comes little by little is one.
func TestTrickle(t *testing.T) {
	t.Parallel()
	w := lived(t, 10)
	for i := int64(1); i <= 10; i++ {
		w.host.with(func(h *host) { h.pulls[i], h.labelled[i] = pull(i, unlabelled), "" })
		w.mustRound()
	}
	w.mustRound()
	if n := w.answeredFor(asksForShop); n < 7 {
		t.Errorf("%d are left", n)
	}
}

// TestWindow: what ended a while ago does not make a mass of what ends now.
func TestWindow(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	for after, may := range map[time.Duration]int{guardWindow: 0, guardWindow + time.Second: 2} {
		g := &massGuard{}
		lost := func(lives ...string) map[string]want {
			m := map[string]want{}
			for _, id := range lives {
				m[id] = want{reason: reasonLostNamespace}
			}
			return m
		}
		if v := g.judge("s", "r", lost("a", "b"), crowd{live: 10}, now); len(v.may) != 2 {
			t.Fatalf("%+v", v)
		}
		if v := g.judge("s", "r", lost("c", "d"), crowd{live: 8}, now.Add(after)); len(v.may) != may {
			t.Errorf("after %s: %+v", after, v)
		}
	}
}

// TestConfirmationIsOfTheExactSet: a word for these is none for these and one
// more, nor for one of them less, nor for others of the same number.
func TestConfirmationIsOfTheExactSet(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	wants := func(from, to int) map[string]want {
		m := map[string]want{}
		for n := from; n < to; n++ {
			m[fmt.Sprint("preview-", n, "/uid")] = want{reason: reasonLostNamespace}
		}
		return m
	}
	g := &massGuard{}
	g.judge("s", "r", wants(0, 10), crowd{live: 20, everything: false}, now)
	token := g.sets["s"].token
	for name, other := range map[string]map[string]want{"one more": wants(0, 11), "one less": wants(0, 9), "others": wants(1, 11)} {
		h := &massGuard{}
		h.confirm(map[string]string{"s": token})
		if v := h.judge("s", "r", other, crowd{live: 20, everything: false}, now); len(v.may) > 0 || v.spend != "" {
			t.Errorf("%s: %+v", name, v)
		}
	}
	// Those of another ApplicationSet are others, though nothing else differs.
	h := &massGuard{}
	h.confirm(map[string]string{"t": token})
	if v := h.judge("t", "r", wants(0, 10), crowd{live: 20, everything: false}, now); len(v.may) > 0 {
		t.Errorf("of another ApplicationSet: %+v", v)
	}
	// However it is spread over repositories, it is one set.
	h = &massGuard{}
	h.confirm(map[string]string{"s": token})
	first := h.judge("s", "r1", wants(0, 5), crowd{live: 20, everything: true}, now)
	second := h.judge("s", "r2", wants(5, 10), crowd{live: 20, everything: true}, now)
	if len(first.may) > 0 || len(second.may) != 5 || second.spend != token || !slices.Equal(second.wake, []string{"r1"}) {
		t.Errorf("%+v, %+v", first, second)
	}
	if third := h.judge("s", "r1", wants(0, 5), crowd{live: 15, everything: true}, now); len(third.may) != 5 || third.spend != "" {
		t.Errorf("%+v", third)
	}
}
