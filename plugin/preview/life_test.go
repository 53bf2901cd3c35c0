package preview

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seedling-dev/seedling/plugin/forge"
)

// asksWith is what asksForShop asks for, and more.
func asksWith(fields map[string]string) map[string]json.RawMessage {
	all := map[string]json.RawMessage{}
	maps.Copy(all, asksForShop)
	for name, value := range fields {
		all[name] = json.RawMessage(value)
	}
	return all
}

func label(names ...string) func(*forge.PullRequest) {
	return func(p *forge.PullRequest) { p.Labels = append([]string{"preview"}, names...) }
}

func push(sha string) func(*forge.PullRequest) {
	return func(p *forge.PullRequest) { p.HeadSHA = sha }
}

// pass lets time pass in steps, with a look at each, until then or until done.
func (w *world) pass(d, step time.Duration, done func() bool) time.Duration {
	w.t.Helper()
	for past := time.Duration(0); past < d; past += step {
		w.now = w.now.Add(step)
		if err := w.quickRound(); err != nil {
			w.t.Fatal(err)
		}
		if done != nil && done() {
			return past + step
		}
	}
	return d
}

func (w *world) phase(n int64) Phase {
	p, _ := w.preview(n)
	return p.Phase
}

// remove is the janitor's work.
func (w *world) remove(n int64) {
	w.t.Helper()
	p, _ := w.preview(n)
	if err := w.Store.Forget(w.t.Context(), p.Namespace); err != nil {
		w.t.Fatal(err)
	}
}

const dayLong = 24 * time.Hour

// TestLife is whole lives, minute by minute where it counts: when it is warned,
// when it ends, and what brings it back.
func TestLife(t *testing.T) {
	t.Parallel()
	type event struct {
		at   time.Duration
		what func(w *world)
	}
	set := func(change ...func(*forge.PullRequest)) func(w *world) {
		return func(w *world) { w.host.set(pull(1, change...)) }
	}
	for _, test := range []struct {
		name   string
		fields map[string]string
		maxAge time.Duration
		events []event
		// warned and ended are after how long; zero for never within 90 days.
		warned, ended time.Duration
		reason        string
	}{
		{name: "as shipped", warned: 6 * dayLong, ended: 7 * dayLong, reason: reasonExpired},
		{name: "two days", fields: map[string]string{"ttl": `"2d"`}, warned: 36 * time.Hour, ended: 2 * dayLong, reason: reasonExpired},
		{name: "warned an hour before", fields: map[string]string{"ttl": `"48h"`, "ttlWarning": `"1h"`}, warned: 47 * time.Hour, ended: 48 * time.Hour, reason: reasonExpired},
		{name: "pushed", events: []event{{5 * dayLong, set(push(sha2))}}, warned: 11 * dayLong, ended: 12 * dayLong, reason: reasonExpired},
		{name: "pushed when warned", events: []event{{6*dayLong + 12*time.Hour, set(push(sha2))}}, warned: 6 * dayLong, ended: 13*dayLong + 12*time.Hour, reason: reasonExpired},
		{name: "talked about", events: []event{{5 * dayLong, set(func(p *forge.PullRequest) { p.Title, p.UpdatedAt = "Another", time.Now().Add(dayLong) })}}, warned: 6 * dayLong, ended: 7 * dayLong, reason: reasonExpired},
		{name: "kept", events: []event{{dayLong, set(label("preview-keep"))}}, warned: 29 * dayLong, ended: 30 * dayLong, reason: reasonExpired},
		{name: "kept for as long as is asked", fields: map[string]string{"keepFor": `"60d"`}, events: []event{{dayLong, set(label("preview-keep"))}}, warned: 59 * dayLong, ended: 60 * dayLong, reason: reasonExpired},
		{name: "kept no more is said first", events: []event{{dayLong, set(label("preview-keep"))}, {20 * dayLong, set()}}, warned: 20 * dayLong, ended: 21 * dayLong, reason: reasonExpired},
		{name: "a TTL that is shortened is said first", events: []event{{5 * dayLong, func(w *world) { w.asks(asksWith(map[string]string{"ttl": `"1d"`, "ttlWarning": `"12h"`})) }}}, warned: 5 * dayLong, ended: 6 * dayLong, reason: reasonExpired},
		{name: "a slip in a TTL costs nobody their data within minutes", events: []event{{5 * dayLong, func(w *world) { w.asks(asksWith(map[string]string{"ttl": `"30m"`, "ttlWarning": `"0s"`})) }}}, warned: 5 * dayLong, ended: 6 * dayLong, reason: reasonExpired},
		{name: "a clock that leaps is no end", events: []event{{dayLong, func(w *world) { w.now = w.now.Add(20 * dayLong) }}}, warned: dayLong, ended: 2 * dayLong, reason: reasonExpired},
		{name: "old data", maxAge: 5 * dayLong, warned: 4 * dayLong, ended: 5 * dayLong, reason: reasonDataAge},
		{name: "old data that is kept", maxAge: 20 * dayLong, events: []event{{dayLong, set(label("preview-keep"))}}, warned: 19 * dayLong, ended: 20 * dayLong, reason: reasonDataAge},
		{name: "pushing makes data no younger", maxAge: 9 * dayLong, events: []event{{5 * dayLong, set(push(sha2))}}, warned: 8 * dayLong, ended: 9 * dayLong, reason: reasonDataAge},
		{name: "restarted every day", events: []event{{dayLong, (*world).restart}, {3 * dayLong, (*world).restart}, {6*dayLong + time.Hour, (*world).restart}}, warned: 6 * dayLong, ended: 7 * dayLong, reason: reasonExpired},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, newHost(pull(1)))
			w.linger, w.maxAge = 15*time.Minute, test.maxAge
			w.restart()
			if test.fields != nil {
				w.asks(asksWith(test.fields))
			}
			w.mustRound()
			p, _ := w.preview(1)
			(&model{world: w}).restored(p)
			if err := w.Store.RecordData(t.Context(), p.Namespace, w.now, time.Time{}); err != nil {
				t.Fatal(err)
			}
			w.mustRound()
			began, past := w.now, time.Duration(0)
			var warned, ended time.Duration
			events := test.events
			for past < 90*dayLong && ended == 0 {
				step := 90 * time.Minute
				past += step
				w.now = w.now.Add(step)
				if len(events) > 0 && past >= events[0].at {
					events[0].what(w)
					events = events[1:]
				}
				if err := w.quickRound(); err != nil {
					t.Fatal(err)
				}
				p, _ := w.preview(1)
				if warned == 0 && !p.WarnedAt.IsZero() {
					warned = past
					if s := w.host.statuses[p.HeadSHA]; !strings.HasPrefix(s.Description, "Ends 202") || s.State != forge.Success || len(s.Description) > 140 {
						t.Errorf("it says %+v", s)
					}
				}
				if p.Phase == Ending {
					ended = past
					if p.Reason != test.reason || p.Lingers(w.now) {
						t.Errorf("%s, lingers until %s", p.Reason, p.LingersUntil)
					}
				} else if p.Phase != Live {
					t.Fatalf("after %s it is %s: %s", past, p.Phase, p.Reason)
				}
			}
			near := func(a, b time.Duration) bool { return (a - b).Abs() <= 91*time.Minute }
			if !near(warned, test.warned) || !near(ended, test.ended) {
				t.Errorf("began %s, warned after %s, ended after %s; want %s and %s", began, warned, ended, test.warned, test.ended)
			}
			if got := w.answered(); test.fields == nil && len(got) != 0 && !strings.Contains(test.name, "shortened") {
				t.Errorf("answered is %v", got)
			}
		})
	}
}

// TestExpiryLooksFirst: before a preview ends by time its pull request is looked
// at once more: what somebody did since the last list, of which no event came,
// counts.
func TestExpiryLooksFirst(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		is   forge.PullRequest
		down bool
		want Phase
	}{
		{"as it was", pull(1), false, Ending},
		{"kept", pull(1, label("preview-keep")), false, Live},
		{"pushed", pull(1, push(sha2)), false, Live},
		{"nobody knows", pull(1), true, Live},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, newHost(pull(1)))
			w.asks(asksWith(map[string]string{"ttl": `"2h"`, "ttlWarning": `"30m"`}))
			w.mustRound()
			p, _ := w.preview(1)
			(&model{world: w}).restored(p)
			w.mustRound()
			p, _ = w.preview(1)
			w.pass(p.EmittedAt.Add(2*time.Hour).Sub(w.now)-time.Minute, time.Minute, nil)
			if w.phase(1) != Live {
				t.Fatalf("it is %s before its time is over", w.phase(1))
			}
			w.host.set(test.is)
			w.host.with(func(h *host) {
				h.listErr = errDown
				h.lies = func(int64, bool) (forge.PullRequest, error, bool) { return forge.PullRequest{}, errDown, test.down }
			})
			w.now = w.now.Add(2 * time.Minute)
			_ = w.quickRound() // the list fails
			if got := w.phase(1); got != test.want {
				t.Errorf("it is %s, not %s", got, test.want)
			}
		})
	}
}

// TestExpiredComesBack: an expired preview stays away until somebody does
// something for it, and begins anew then.
func TestExpiredComesBack(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name string
		what func(w *world)
		back bool
	}{
		{"nothing", func(*world) {}, false},
		{"a comment", func(w *world) { w.host.set(pull(1, func(p *forge.PullRequest) { p.UpdatedAt = at })) }, false},
		{"the keep label", func(w *world) { w.host.set(pull(1, label("preview-keep"))) }, false},
		{"a push", func(w *world) { w.host.set(pull(1, push(sha2))) }, true},
		{"a reset", func(w *world) { w.host.set(pull(1, label("preview-reset"))) }, true},
		{"the label set again between two looks", func(w *world) {
			w.host.with(func(h *host) { h.labelledAt[1] = at })
			w.host.set(pull(1, func(p *forge.PullRequest) { p.UpdatedAt = at }))
		}, true},
		{"the label set again by a stranger", func(w *world) {
			w.host.with(func(h *host) { h.labelledAt[1], h.labelled[1] = at, "stranger" })
			w.host.set(pull(1, func(p *forge.PullRequest) { p.UpdatedAt = at }))
		}, false},
		{"the label taken off, and set again", func(w *world) {
			w.host.set(pull(1, unlabelled))
			w.mustRound()
			if _, ok := w.preview(1); ok {
				w.t.Error("it is remembered without its label")
			}
			w.host.set(pull(1))
		}, true},
		{"closed", func(w *world) { w.host.set(pull(1, closed)) }, false},
		{"closed and opened again", func(w *world) {
			w.host.set(pull(1, closed))
			w.mustRound()
			w.host.set(pull(1))
		}, true},
	} {
		for _, early := range []bool{false, true} {
			t.Run(fmt.Sprint(test.name, ", before it is removed: ", early), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, newHost(pull(1)))
				w.host.labelledAt[1] = at.Add(-dayLong)
				w.mustRound()
				first, _ := w.preview(1)
				(&model{world: w}).restored(first)
				w.pass(8*dayLong, time.Hour, func() bool { return w.phase(1) == Ending })
				if early {
					if strings.HasPrefix(test.name, "the label taken off") || strings.HasPrefix(test.name, "closed and") {
						t.Skip("what is seen while it is removed is forgotten with it, and the next look tells")
					}
					test.what(w)
					w.mustRound()
				}
				if p, _ := w.preview(1); p.Phase != Ending || p.Reason != reasonExpired {
					t.Fatalf("%s: %s", p.Phase, p.Reason)
				}
				p, _ := w.preview(1)
				(&model{world: w}).wipe(p)
				w.remove(1)
				if !early {
					w.mustRound()
					if p, _ := w.preview(1); p.Phase != Held || p.Expired == nil || !strings.Contains(p.Reason, "comes back with a push") {
						t.Fatalf("%s: %s", p.Phase, p.Reason)
					}
					w.restart()
					w.mustRound()
					test.what(w)
				}
				w.mustRound()
				w.mustRound()
				p, there := w.preview(1)
				if back := p.Phase == Live; back != test.back {
					t.Fatalf("%s: %s", p.Phase, p.Reason)
				}
				if !test.back {
					if got := w.answered(); len(got) != 0 {
						t.Errorf("answered is %v", got)
					}
					if there == (test.name == "closed") {
						t.Errorf("it is remembered: %v", there)
					}
					return
				}
				if p.Expired != nil || p.NamespaceUID == first.NamespaceUID || p.PVCUID != "" || p.ExpiresAt.Before(w.now.Add(6*dayLong)) || !p.WarnedAt.IsZero() {
					t.Errorf("it did not begin anew: %+v", p)
				}
			})
		}
	}
}

// TestExpiryIsNoLoss: however many end by time, no guard keeps them and nobody
// has to confirm it; and with a forge that is not heard of none ends.
func TestExpiryIsNoLoss(t *testing.T) {
	t.Parallel()
	var pulls []forge.PullRequest
	for n := range int64(12) {
		pulls = append(pulls, pull(n+1))
	}
	w := newWorld(t, newHost(pulls...))
	w.mustRound()
	w.pass(7*dayLong-time.Hour, time.Hour, nil)
	if len(w.answered()) != 12 {
		t.Fatalf("answered is %v", w.answered())
	}
	w.host.with(func(h *host) { h.listErr, h.getErr, h.askErr = errDown, errDown, errDown })
	for range 48 {
		w.now = w.now.Add(time.Hour)
		_ = w.quickRound()
	}
	if len(w.answered()) != 12 {
		t.Fatalf("with a forge that does not answer, answered is %v", w.answered())
	}
	w.host.with(func(h *host) { h.listErr, h.getErr, h.askErr = nil, nil, nil })
	w.host.set(pull(3, push(sha2))) // while nobody could see it
	w.pass(2*time.Hour, time.Minute, nil)
	if got := w.answered(); !slices.Equal(got, []string{"3"}) {
		t.Errorf("answered is %v", got)
	}
	if s := w.Status(); len(s.Withheld) != 0 || s.Refusals != 0 {
		t.Errorf("withheld is %+v", s.Withheld)
	}
}

// TestQueue: places are given first come, first served; who waits is told which
// one in the queue it is, and a restart changes nothing of that.
func TestQueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newHost(pull(1), pull(2)))
	w.asks(asksWith(map[string]string{"cap": "2"}))
	w.mustRound()
	for n := int64(9); n >= 3; n-- { // the last is the first to come
		w.host.set(pull(n))
		w.mustRound()
	}
	live := func() (n []int64) {
		for _, p := range w.Store.All() {
			if p.Phase == Live {
				n = append(n, p.Number)
			}
		}
		slices.Sort(n)
		return n
	}
	reason := func(n int64) string { p, _ := w.preview(n); return p.Reason }
	if got := live(); !slices.Equal(got, []int64{1, 2}) {
		t.Fatalf("live are %v", got)
	}
	for n, want := range map[int64]string{
		9: "it is 1st in the queue: the repository has 2 of 2 previews", 8: "it is 2nd in the queue: the repository has 2 of 2 previews", 3: "it is 7th in the queue: the repository has 2 of 2 previews",
	} {
		if got := reason(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
	w.restart()
	w.asks(asksWith(map[string]string{"cap": "2"}))
	w.mustRound()
	// One that lacks something else does not stand in the way of the next.
	w.host.with(func(h *host) { h.labelled[9] = "stranger" })
	w.host.set(pull(9, func(p *forge.PullRequest) { p.UpdatedAt = w.now }))
	w.mustRound()
	w.host.set(pull(1, closed))
	w.mustRound()
	w.mustRound()
	if got := live(); !slices.Equal(got, []int64{2, 8}) {
		t.Errorf("live are %v", got)
	}
	w.host.with(func(h *host) { h.labelled[9] = "maintainer" })
	w.host.set(pull(9, func(p *forge.PullRequest) { p.UpdatedAt = w.now.Add(time.Minute) }))
	w.mustRound()
	w.mustRound()
	if got := reason(9); !strings.HasPrefix(got, "it is 1st in the queue") {
		t.Errorf("9: %s", got)
	}
	// A reset keeps its place.
	w.host.set(pull(2, label("preview-reset")))
	w.mustRound()
	if got := live(); !slices.Equal(got, []int64{8}) {
		t.Errorf("live are %v", got)
	}
	p, _ := w.preview(2)
	(&model{world: w}).wipe(p)
	w.remove(2)
	w.mustRound()
	w.mustRound()
	if got := live(); !slices.Equal(got, []int64{2, 8}) {
		t.Errorf("live are %v", got)
	}
	// A cap that is lowered ends nothing.
	w.asks(asksWith(map[string]string{"cap": "1"}))
	w.mustRound()
	if got := live(); !slices.Equal(got, []int64{2, 8}) {
		t.Errorf("live are %v", got)
	}
	w.asks(asksForShop)
	w.mustRound()
	if got := live(); len(got) != 8 {
		t.Errorf("without a cap live are %v", got)
	}
}

// TestQueueOverAll: a cap over all repositories is first come, first served over
// all of them, and one whose own is full holds up nobody else.
func TestQueueOverAll(t *testing.T) {
	t.Parallel()
	shop, web := asksWith(map[string]string{"cap": "1"}), asksWith(map[string]string{"repo": `"acme/web"`})
	w := newWorld(t, newHost(pull(1), pull(2)))
	w.cap = 2
	w.restart()
	w.asks(shop, web)
	w.mustRound() // of the shop
	w.repoOf("acme/web")
	w.mustRound()
	live := map[string]int{}
	for _, p := range w.Store.All() {
		if p.Phase == Live {
			live[p.Repository]++
		}
	}
	if live["acme/shop"] != 1 || live["acme/web"] != 1 {
		t.Fatalf("live are %v", live)
	}
	for _, p := range w.Store.All() {
		want := map[string]string{"acme/shop": "it is 1st in the queue: the repository has 1 of 1 previews", "acme/web": "it is 2nd in the queue: there are 2 of 2 previews in all"}[p.Repository]
		if p.Phase == Held && p.Reason != want {
			t.Errorf("%s: %s", p.Repository, p.Reason)
		}
	}
}

// TestQueueLetsNobodyGo: a preview whose namespace is there while the state is
// lost is emitted, whatever the cap: left out, it would be deleted.
func TestQueueLetsNobodyGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newHost(pull(1), pull(2), pull(3)))
	w.mustRound()
	for _, p := range w.Store.All() {
		if err := w.Store.update(t.Context(), p.Key, func(r *record) error { r.Previews = nil; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	w.restart()
	w.asks(asksWith(map[string]string{"cap": "1"}))
	for range 3 {
		w.mustRound()
	}
	n := 0
	for _, p := range w.Store.All() {
		if p.Phase == Live {
			n++
		}
	}
	if n != 3 {
		t.Errorf("%d are live", n)
	}
}

func TestLifeInput(t *testing.T) {
	t.Parallel()
	in := mustInput(t, asksForShop)
	if in.TTL != DefaultTTL || in.KeepFor != DefaultKeepFor || in.TTLWarning != DefaultTTLWarning || in.KeepLabel != DefaultKeepLabel || in.Cap != 0 {
		t.Errorf("%+v", in)
	}
	in = mustInput(t, asksWith(map[string]string{"ttl": `"60d"`, "cap": "10"}))
	if in.KeepFor != 60*dayLong || in.TTLWarning != dayLong || in.Cap != 10 {
		t.Errorf("%+v", in)
	}
	if in = mustInput(t, asksWith(map[string]string{"ttl": `"2h"`})); in.TTLWarning != 30*time.Minute {
		t.Errorf("%+v", in)
	}
	for want, fields := range map[string]map[string]string{
		"ttl must be a time between 10m and 365d, such as 36h or 7d":                  {"ttl": `"0s"`},
		"ttl must be a time between 10m and 365d":                                     {"ttl": `"366d"`},
		"ttl must be a time between":                                                  {"ttl": `7`},
		"keepFor must not be shorter than ttl":                                        {"keepFor": `"1d"`},
		"ttlWarning must be shorter than ttl":                                         {"ttlWarning": `"7d"`},
		"ttlWarning must be a time between 0s":                                        {"ttlWarning": `"-1h"`},
		"keepLabel must be a label's name, and another one":                           {"keepLabel": `"preview"`},
		"keepLabel must be a string":                                                  {"keepLabel": `1`},
		"cap must be a number between 1 and 10000":                                    {"cap": `0`},
		"cap must be a number":                                                        {"cap": `"ten"`},
		"cap must be a number ":                                                       {"cap": `null`},
		"keepLabel must be a label's name, and another one than label and resetLabel": {"keepLabel": `"preview-reset"`},
	} {
		var input *InputError
		if _, err := ParseInput(asksWith(fields)); err == nil || !errors.As(err, &input) || !strings.Contains(err.Error(), strings.TrimSpace(want)) {
			t.Errorf("%v: error %v", fields, err)
		}
	}
	_, err := ParseInput(asksWith(map[string]string{"ttl": `"x"`, "cap": `-1`, "keepLabel": `""`, "keepFor": `"y"`, "ttlWarning": `[]`}))
	for _, field := range []string{"ttl", "cap", "keepLabel", "keepFor", "ttlWarning"} {
		if err == nil || !strings.Contains(err.Error(), "input field "+field+" ") {
			t.Errorf("%s is not named in %v", field, err)
		}
	}
	for text, want := range map[string]time.Duration{"7d": 7 * dayLong, "36h": 36 * time.Hour, "90m": 90 * time.Minute, "0d": 0} {
		if got, ok := duration(text); !ok || got != want {
			t.Errorf("%s is %s", text, got)
		}
		if back, ok := duration(spanText(want)); !ok || back != want {
			t.Errorf("%s is written %s", want, spanText(want))
		}
	}
	for _, text := range []string{"", "d", "-1d", "1.5d", "7 d", strconv.Itoa(1<<40) + "d"} {
		if got, ok := duration(text); ok {
			t.Errorf("%q is %s", text, got)
		}
	}
}

// unwilling lets no label be taken off.
type unwilling struct{ *host }

func (unwilling) RemoveLabel(context.Context, string, int64, string) error { return nil }

// TestOneAnswerWithoutALabel: one answer that lacks the label that keeps a preview,
// or the reset label that was acted upon, is not believed: the one would end it,
// the other would take its data.
func TestOneAnswerWithoutALabel(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"preview-keep", "preview-reset"} {
		h := newHost(pull(1))
		w := newWorld(t, h)
		w.Forges["gitea"] = unwilling{h}
		w.asks(asksForShop)
		w.mustRound()
		h.set(pull(1, label(name)))
		for range 3 {
			w.mustRound()
			if p, ok := w.preview(1); ok && p.Phase == Ending {
				(&model{world: w}).wipe(p)
				w.remove(1)
			}
		}
		first, _ := w.preview(1)
		if first.Phase != Live || !first.PullRequest.HasLabel(name) {
			t.Fatalf("%s: %s: %s", name, first.Phase, first.Reason)
		}
		for range 3 {
			h.with(func(h *host) {
				h.lies = func(int64, bool) (forge.PullRequest, error, bool) { return pull(1), nil, true }
			})
			w.Trigger("gitea", "acme/shop", 1, time.Time{})
			if err := w.quickRound(); err != nil {
				t.Fatal(err)
			}
			if p, _ := w.preview(1); !p.PullRequest.HasLabel(name) {
				t.Errorf("%s: one answer without it is believed", name)
			}
			h.with(func(h *host) { h.lies = nil })
			w.mustRound()
			if p, _ := w.preview(1); p.Phase != Live || !p.EmittedAt.Equal(first.EmittedAt) {
				t.Fatalf("%s: %s: %s", name, p.Phase, p.Reason)
			}
		}
		// Two that tell so later do, and so does the record of events at once.
		h.with(func(h *host) { h.pulls[1] = pull(1) })
		w.mustRound()
		w.mustRound()
		if p, _ := w.preview(1); p.PullRequest.HasLabel(name) {
			t.Errorf("%s: it is believed to be there for ever", name)
		}
	}
}
