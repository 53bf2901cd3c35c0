package preview

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/forge"
	"github.com/seedling-dev/seedling/plugin/sight"
)

// modelRuns is how many random lives a test run has; PLUGIN_SOAK, a duration,
// goes on with others until it is over, PLUGIN_MODEL=17 runs life 17 alone.
const (
	modelRuns  = 60
	modelSteps = 60
	modelPulls = 12
)

// TestModel is random lives of a repository: its people, its forge, the cluster
// and we ourselves change and fail in any order. No preview leaves the answer
// unless its pull request was closed, lost its label, or somebody asked for a
// reset, or its namespace or volume was deleted, or its time was over and that
// was said before, or a person confirmed it; and none comes into it beyond the cap
// that needs a place. A preview that is in the answer keeps its namespace, no two
// have one, and one that was made in advance is in it once it says whose it is,
// and is never another one's. While one does not say whose it is, nobody is left out
// for that and nobody has a second namespace. One sleeps when it is due and not
// before, and what sleeps keeps its data. When everything is well again, the answer is
// what the forge says, and whoever sleeps can be woken.
func TestModel(t *testing.T) {
	t.Parallel()
	if only := os.Getenv("PLUGIN_MODEL"); only != "" {
		n, err := strconv.ParseUint(only, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		newModel(t, n).run()
		return
	}
	for n := range uint64(modelRuns) {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			newModel(t, n).run()
		})
	}
	soak, err := time.ParseDuration(os.Getenv("PLUGIN_SOAK"))
	if err != nil {
		return
	}
	for until, n := time.Now().Add(soak), uint64(time.Now().UnixNano()); time.Now().Before(until) && !t.Failed(); n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) { newModel(t, n).run() })
	}
}

// model is one life.
type model struct {
	*world
	rng *rand.Rand
	// clock is the forge's.
	clock time.Time
	// before are versions of pull requests that a cache may still tell of.
	before map[int64]forge.PullRequest
	// causes are why a preview may have left the answer, since it came into it.
	causes map[int64]map[string]bool
	// lies are what was said of whether it is there.
	lies map[int64]*lies
	// losses are the namespaces, by UID, that were deleted or lost their volume.
	losses  map[types.UID]string
	answers map[string]bool
	// shut are those that were closed a while before the last look, lived the lives
	// that were emitted before it; stepped says that our clock was set since the
	// look before.
	shut    map[int64]bool
	lived   map[string]bool
	stepped bool
	// jumped says that our clock was set since the last look.
	jumped bool
	asked  bool
	input  map[string]json.RawMessage
	// well and wrong are what the ApplicationSet asks for, and with a typo.
	well, wrong map[string]json.RawMessage
	most        int // the cap; 0 for none
	// sleeps: previews of this life sleep, after idle (0 for never) and outside of
	// its hours. What follows is by number: when somebody woke it last, when it was
	// called Healthy, and those that slept, as they were.
	sleeps  bool
	idle    time.Duration
	hours   Hours
	woken   map[int64]time.Time
	healthy map[int64]time.Time
	slept   map[int64]Preview
	// touched is when somebody last did something for it, by our clock; warned
	// since when it says that its end comes.
	touched, warned map[int64]time.Time
	// spaces are the namespaces there were before the last look, and seen those
	// that we knew of.
	spaces map[string]bool
	seen   view
	// slots are made in advance in this life; holders are whose they were, names
	// are the namespaces in the last answer.
	slots   bool
	made    int
	holders map[string]int64
	names   map[int64]string
	// whole are the slots that do not say whose they are, as they were, and read the
	// pieces of the state that cannot be read.
	whole map[string]*corev1.Namespace
	read  map[string]string
	// taken are those that somebody took out of the state; true for those that were
	// lost with all of it.
	taken map[int64]bool
	// beyond are those that came back and need no place.
	beyond map[int64]bool
	tale   []string
}

// lies are when it was not there when it was asked for by number, and when lists
// lacked it, by our clock; there is when it was last told by number that it is open.
type lies struct {
	missing, absent []time.Time
	there           time.Time
}

// gone says whether what was said is two sightings that are apart, of which one is
// a list that came later. What was said by number counts until the opposite is.
func (l *lies) gone() bool {
	for _, missing := range l.missing {
		if missing.Before(l.there) {
			continue
		}
		first := missing
		for _, at := range l.absent {
			first = earliest(first, at)
		}
		for _, at := range l.absent {
			if at.Sub(first) >= sight.Apart {
				return true
			}
		}
	}
	return false
}

// How long a preview lives in a model with a life.
const (
	modelTTL    = 6 * time.Hour
	modelKeep   = 20 * time.Hour
	modelNotice = time.Hour
	modelAge    = 15 * time.Hour
	modelHours  = "Sat 12:00-14:00, Sun 03:00-05:00 UTC"
)

func newModel(t *testing.T, seed uint64) *model {
	m := &model{
		world: newWorld(t, newHost()), rng: rand.New(rand.NewPCG(seed, 1)), clock: time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC),
		before: map[int64]forge.PullRequest{}, causes: map[int64]map[string]bool{}, lies: map[int64]*lies{}, losses: map[types.UID]string{}, shut: map[int64]bool{}, lived: map[string]bool{}, answers: map[string]bool{}, asked: true, well: asksForShop, wrong: typo,
		touched: map[int64]time.Time{}, warned: map[int64]time.Time{}, spaces: map[string]bool{}, beyond: map[int64]bool{},
		holders: map[string]int64{}, names: map[int64]string{}, whole: map[string]*corev1.Namespace{}, read: map[string]string{}, taken: map[int64]bool{},
		woken: map[int64]time.Time{}, healthy: map[int64]time.Time{}, slept: map[int64]Preview{},
	}
	m.asksFor(seed)
	m.restart()
	if seed%2 == 0 {
		m.talks = true
		m.restart()
	}
	m.input = m.well
	m.host.lacked = func(n int64) { m.of(n).absent = append(m.of(n).absent, m.now) }
	m.host.there = func(n int64) { m.of(n).there = m.now }
	if m.rng.IntN(2) == 0 {
		m.linger = 15 * time.Minute
		m.restart()
	}
	for n := int64(1); n <= int64(2+m.rng.IntN(9)); n++ {
		m.change(n, func(p *forge.PullRequest) { *p = pull(n) })
	}
	return m
}

// asksFor chooses what the ApplicationSet asks for, and with a typo.
func (m *model) asksFor(seed uint64) {
	fields := map[string]string{}
	if m.slots = seed%5 < 2; m.slots {
		fields["postgres"], fields["domain"] = `"platform"`, `"previews.example.com"`
	}
	if seed%3 != 0 {
		fields["ttl"], fields["keepFor"], fields["ttlWarning"] = `"6h"`, `"20h"`, `"1h"`
	}
	if seed%3 == 1 {
		m.most, m.maxAge = 1+m.rng.IntN(6), modelAge
		fields["cap"] = strconv.Itoa(m.most)
	}
	if m.sleeps = seed%4 >= 2; m.sleeps {
		m.idle = []time.Duration{0, 10 * time.Minute, time.Hour}[seed/4%3]
		if m.idle > 0 {
			fields["sleepAfter"] = `"` + spanText(m.idle) + `"`
		}
		if m.idle == 0 || seed%8 == 3 {
			m.hours, _ = ParseHours(modelHours)
			fields["awakeHours"] = `"` + modelHours + `"`
		}
	}
	m.well = asksWith(fields)
	fields["label"] = string(typo["label"])
	m.wrong = asksWith(fields)
}

func (m *model) note(format string, args ...any) {
	m.tale = append(m.tale, fmt.Sprintf(format, args...))
}

func (m *model) fatal(format string, args ...any) {
	m.t.Helper()
	m.t.Fatalf("cap %d: %s\n\n%s", m.most, fmt.Sprintf(format, args...), strings.Join(m.tale, "\n"))
}

// change changes a pull request as somebody at the forge does.
func (m *model) change(n int64, f func(*forge.PullRequest)) {
	m.clock = m.clock.Add(time.Duration(1+m.rng.IntN(60)) * time.Second)
	m.host.mu.Lock()
	p := m.host.pulls[n]
	m.host.mu.Unlock()
	m.before[n] = p
	p.Labels = slices.Clone(p.Labels)
	f(&p)
	p.UpdatedAt = m.clock
	m.host.set(p)
	// What a life is counted from, where it can be seen: one that is live still has
	// its label as far as we know.
	if is, _ := m.preview(n); is.Phase != Live || p.HeadSHA != m.before[n].HeadSHA {
		m.touched[n] = m.now
	}
}

// steps sets our clock. What was before it was set back may be noticed at an
// earlier time than it happened.
func (m *model) steps(by time.Duration) {
	m.now = m.now.Add(by)
	for _, l := range m.lies {
		for _, at := range slices.Concat(pointers(l.missing), pointers(l.absent), []*time.Time{&l.there}) {
			*at = earliest(*at, m.now)
		}
	}
	if by < 0 {
		for _, times := range []map[int64]time.Time{m.touched, m.warned, m.woken} {
			for n, at := range times {
				times[n] = at.Add(by)
			}
		}
	}
}

func pointers(times []time.Time) (all []*time.Time) {
	for i := range times {
		all = append(all, &times[i])
	}
	return all
}

// of is what was said of a pull request. The caller holds the host.
func (m *model) of(n int64) *lies {
	if m.lies[n] == nil {
		m.lies[n] = &lies{}
	}
	return m.lies[n]
}

func (m *model) any() int64 { return int64(1 + m.rng.IntN(modelPulls)) }

func (m *model) may(n int64, cause string) {
	if m.causes[n] == nil {
		m.causes[n] = map[string]bool{}
	}
	m.causes[n][cause] = true
}

func (m *model) pr(n int64) (forge.PullRequest, bool) {
	m.host.mu.Lock()
	defer m.host.mu.Unlock()
	p, ok := m.host.pulls[n]
	return p, ok
}

// people are what happens at the forge.
func (m *model) people() {
	n := m.any()
	p, there := m.pr(n)
	switch k := m.rng.IntN(10); {
	case k == 8:
		may := m.rng.IntN(2) == 0
		m.note("the maintainer may write: %v", may)
		m.retract(false)
		m.host.with(func(h *host) { h.writers["maintainer"] = may })
	case !there:
		m.note("open %d", n)
		m.change(n, func(p *forge.PullRequest) { *p = pull(n) })
	case k == 0 && p.Open:
		m.note("close %d", n)
		m.may(n, reasonClosed)
		m.may(n, reasonReopened)
		m.change(n, closed)
		if m.rng.IntN(2) == 0 {
			m.Trigger("gitea", "acme/shop", n, m.clock)
		}
	case k == 1 && !p.Open:
		m.note("reopen %d", n)
		m.change(n, func(p *forge.PullRequest) { p.Open = true })
	case k == 2 && p.HasLabel("preview"):
		m.note("unlabel %d", n)
		m.may(n, "the label was removed")
		m.change(n, func(p *forge.PullRequest) { p.Labels = nil })
		if m.rng.IntN(3) == 0 {
			m.note("... and no event tells")
			m.host.with(func(h *host) { delete(h.removals, n); h.labelled[n] = "" })
		}
	case k == 3 && !p.HasLabel("preview"):
		m.note("label %d", n)
		m.change(n, func(p *forge.PullRequest) { p.Labels = append(p.Labels, "preview") })
		m.host.with(func(h *host) { h.labelled[n], h.labelledAt[n] = "maintainer", m.clock })
	case k == 4:
		m.note("push %d", n)
		m.change(n, func(p *forge.PullRequest) { p.HeadSHA = strings.Repeat(strconv.Itoa(m.rng.IntN(10)), 40) })
	case k == 6:
		m.note("keep %d, or no more", n)
		m.change(n, func(p *forge.PullRequest) {
			if p.Labels = slices.DeleteFunc(p.Labels, func(l string) bool { return l == "preview-keep" }); !m.held(n) {
				p.Labels = append(p.Labels, "preview-keep")
			}
		})
	case k == 7 && m.sleeps && !p.HasLabel(DefaultWakeLabel):
		m.note("wake %d", n)
		m.change(n, func(p *forge.PullRequest) { p.Labels = append(p.Labels, DefaultWakeLabel) })
	case k == 5 && !p.HasLabel("preview-reset"):
		m.note("reset %d", n)
		m.may(n, reasonReset)
		m.change(n, func(p *forge.PullRequest) { p.Labels = append(p.Labels, "preview-reset") })
	}
	if m.rng.IntN(2) == 0 {
		m.Trigger("gitea", "acme/shop", n, time.Time{})
	}
}

// retract notes that those whom the state does not know may end: what they ask for
// is asked anew. lies: something is said of them that is not so, and one sighting is
// believed where nothing at all is remembered of them.
func (m *model) retract(lies bool) {
	for n, lost := range m.taken {
		if p, ok := m.preview(n); ok && p.Phase == Live {
			delete(m.taken, n)
		} else if lost || !lies {
			m.may(n, "it is asked anew who wants it")
		}
	}
}

// held says whether somebody keeps a pull request's preview.
func (m *model) held(n int64) bool {
	p, _ := m.pr(n)
	return p.HasLabel("preview-keep")
}

// faults are what the forge and what is before it do wrong for one look.
func (m *model) faults() {
	k := m.rng.IntN(10)
	if k >= 2 && k <= 4 {
		m.retract(true)
	}
	h := m.host
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listErr, h.getErr, h.askErr, h.lies = nil, nil, nil, nil
	clear(h.hidden)
	switch k {
	case 0:
		h.listErr = errDown
		m.tale = append(m.tale, "  (lists fail)")
	case 1:
		h.getErr = errDown
		m.tale = append(m.tale, "  (questions fail)")
	case 2:
		for _, n := range slices.Sorted(maps.Keys(h.pulls)) {
			h.hidden[n] = m.rng.IntN(2) == 0
		}
		m.tale = append(m.tale, fmt.Sprint("  (lists lack ", h.hidden, ")"))
	case 3:
		// It may be absent from a list by another fault later: then two sightings
		// that are apart say that it is gone, and that is believed.
		lost := m.any()
		h.lies = func(n int64, list bool) (forge.PullRequest, error, bool) {
			if n == lost && !list {
				m.of(n).missing = append(m.of(n).missing, m.now)
			}
			return forge.PullRequest{}, forge.ErrGone, n == lost
		}
		m.tale = append(m.tale, fmt.Sprint("  (404 for ", lost, ")"))
		if m.rng.IntN(2) == 0 {
			m.Trigger("gitea", "acme/shop", lost, time.Time{})
		}
	case 4:
		old := map[int64]forge.PullRequest{}
		for _, n := range slices.Sorted(maps.Keys(m.before)) {
			if p := m.before[n]; p.Number != 0 && m.rng.IntN(2) == 0 {
				old[n] = p
			}
		}
		h.lies = func(n int64, _ bool) (forge.PullRequest, error, bool) { p, ok := old[n]; return p, nil, ok }
		m.tale = append(m.tale, "  (old answers)")
	case 5:
		h.askErr = errDown
		m.tale = append(m.tale, "  (nobody tells who labelled)")
	}
}

// platform is what happens in the cluster, and to us.
func (m *model) platform() {
	p, ok := m.preview(m.any())
	switch m.rng.IntN(19) {
	case 17:
		m.note("somebody takes a preview out of the state")
		m.edit()
	case 16:
		m.spoil()
	case 15:
		m.mend()
	case 14:
		if ok && m.WakePreview(m.t.Context(), p.Namespace) == nil {
			m.note("somebody wakes %d", p.Number)
			m.woken[p.Number] = m.now
		}
	case 13:
		if ok {
			status := []string{"Healthy", "Healthy", "Progressing", "Degraded", ""}[m.rng.IntN(5)]
			m.note("Argo CD calls %d %q", p.Number, status)
			m.Health(p.Namespace, status, m.now)
			if status == "Healthy" {
				m.healthy[p.Number] = m.now
			}
		}
	case 12:
		m.note("hours pass")
		m.stepped = true
		m.steps(time.Duration(m.rng.IntN(4*3600)) * time.Second)
	case 0:
		m.note("restart")
		m.cluster.failing(nil)
		m.restart()
		m.set()
	case 1:
		m.note("our clock steps")
		m.stepped, m.jumped = true, true
		m.steps(time.Duration(m.rng.IntN(7200)-3600) * time.Second)
	case 2:
		if ok && p.Phase == Live {
			m.note("namespace of %d is deleted", p.Number)
			m.lose(p, reasonLostNamespace)
			m.wipe(p)
		}
	case 3:
		if ok && p.Phase == Live && p.PVCUID == "" {
			m.note("%d is restored", p.Number)
			m.restored(p)
		}
	case 4:
		if ok && p.Phase == Live && p.PVCUID != "" {
			m.note("volume of %d is deleted", p.Number)
			m.lose(p, reasonLostVolume)
			_ = m.cluster.Delete(m.t.Context(), &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: snapshot.SeedPVC}})
		}
	case 18:
		none := m.rng.IntN(2) == 0
		m.note("the seed has a snapshot: %v", !none)
		m.seeds.set("seed", none)
	case 5:
		m.note("the ApplicationSet has a typo")
		m.retract(false)
		m.input = m.wrong
		m.set()
	case 6:
		m.note("the ApplicationSet is right")
		m.input = m.well
		m.set()
	case 7:
		m.note("the ApplicationSet is gone, its Applications are not")
		m.retract(false)
		m.asked = false
		m.set()
	case 8:
		m.note("the ApplicationSet is back")
		m.asked = true
		m.set()
	case 9:
		m.note("the API server fails")
		m.cluster.failing(m.halfOf())
	case 10:
		m.cluster.failing(nil)
	case 11:
		m.note("somebody touches the state")
		m.touch()
	}
	m.janitor()
	m.stock()
}

// stock makes a slot now and then, and loses the state seldom.
func (m *model) stock() {
	if !m.slots {
		return
	}
	if m.rng.IntN(2) == 0 {
		m.made++
		m.note("a slot is made")
		_, _ = stock(m.t.Context(), m.Namespaces, m.made)
	}
	switch m.rng.IntN(6) {
	case 0:
		m.garble()
	case 1:
		m.repair()
	}
	// Without state nobody knows of what a forge leaves out, or an ApplicationSet
	// does not ask for: all else is well for a moment. Nor who has a place.
	if m.rng.IntN(8) == 0 && m.most == 0 && m.asked && string(m.input["label"]) != string(typo["label"]) {
		m.note("the state is lost")
		clear(m.read)
		for n := range m.names {
			m.taken[n] = true
		}
		m.host.with(func(h *host) {
			h.listErr, h.getErr, h.askErr, h.lies, h.writers["maintainer"] = nil, nil, nil, nil, true
			clear(h.hidden)
		})
		m.cluster.failing(nil)
		m.really(func() error {
			return m.cluster.DeleteAllOf(m.t.Context(), &corev1.ConfigMap{}, client.InNamespace("seedling"))
		})
		m.restart()
		m.set()
		m.round()
	}
}

// garble has a slot say no more whose it is.
func (m *model) garble() {
	var all corev1.NamespaceList
	m.really(func() error { return m.cluster.List(m.t.Context(), &all, client.HasLabels{snapshot.LabelSlot}) })
	if len(all.Items) == 0 {
		return
	}
	ns := &all.Items[m.rng.IntN(len(all.Items))]
	if m.whole[ns.Name] != nil {
		return
	}
	whole := ns.DeepCopy()
	switch m.rng.IntN(6) {
	case 0:
		delete(ns.Annotations, snapshot.AnnotationAssignment)
	case 1:
		ns.Labels[snapshot.LabelPreview] = "77"
	case 2:
		ns.Labels[snapshot.LabelKey] = "0123456789"
	case 3:
		ns.Labels[snapshot.LabelSlot] = "x"
	case 4:
		metav1.SetMetaDataAnnotation(&ns.ObjectMeta, snapshot.AnnotationAssignment, "{")
	case 5:
		metav1.SetMetaDataAnnotation(&ns.ObjectMeta, snapshot.AnnotationAssignment, "{}")
	}
	if _, err := AssignmentOf(ns); err == nil {
		return
	}
	m.note("%s does not say any more whose it is", ns.Name)
	m.really(func() error { return m.cluster.Update(m.t.Context(), ns) })
	m.whole[ns.Name] = whole
}

// repair has every slot say again whose it is.
func (m *model) repair() {
	for _, name := range slices.Sorted(maps.Keys(m.whole)) {
		var ns corev1.Namespace
		m.really(func() error {
			return client.IgnoreNotFound(m.cluster.Get(m.t.Context(), client.ObjectKey{Name: name}, &ns))
		})
		if whole := m.whole[name]; ns.UID == whole.UID {
			m.note("%s says again whose it is", name)
			ns.Labels, ns.Annotations = whole.Labels, whole.Annotations
			m.really(func() error { return m.cluster.Update(m.t.Context(), &ns) })
		}
		delete(m.whole, name)
	}
}

// unreadable is what is wrong with slots that do not say whose they are, as package
// warm looks before each round.
func (m *model) unreadable() (unreadable error) {
	var all corev1.NamespaceList
	m.really(func() error { return m.cluster.List(m.t.Context(), &all, client.HasLabels{snapshot.LabelSlot}) })
	for i := range all.Items {
		if _, err := AssignmentOf(&all.Items[i]); err != nil {
			unreadable = errors.Join(unreadable, err)
		}
	}
	return unreadable
}

// distinct checks the namespaces of an answer.
func (m *model) distinct(answer []map[string]string) {
	whose, now := map[string]int64{}, map[int64]string{}
	for _, p := range answer {
		n, _ := strconv.ParseInt(p["number"], 10, 64)
		name := p["namespace"]
		if other := whose[name]; other != 0 {
			m.fatal("%s is the namespace of %d and of %d", name, other, n)
		}
		if was := m.names[n]; was != "" && was != name && !m.told(n) {
			m.fatal("preview %d was in %s and is in %s", n, was, name)
		}
		whose[name], now[n] = n, name
		if !snapshot.IsSlot(name) {
			continue
		}
		if before := m.holders[name]; before != 0 && before != n {
			m.fatal("%s was preview %d's and is preview %d's", name, before, n)
		}
		m.holders[name] = n
		var ns corev1.Namespace
		m.really(func() error {
			return client.IgnoreNotFound(m.cluster.Get(m.t.Context(), client.ObjectKey{Name: name}, &ns))
		})
		if ns.Name == "" || m.whole[name] != nil {
			continue // it was deleted, which is not known yet, or does not say whose it is
		}
		if a, err := AssignmentOf(&ns); err != nil || a == nil || a.Number != n {
			m.fatal("%s is in the answer as preview %d's, and says %+v, error %v", name, n, a, err)
		}
	}
	m.names = now
}

// halfOf fails every second call or so. Calls side by side come in any order, so
// each kind of call has chances of its own: a life is the same each time.
func (m *model) halfOf() func(verb string, object runtime.Object) error {
	seed, calls := m.rng.Uint64(), map[string]uint64{}
	return func(verb string, object runtime.Object) error {
		call := fmt.Sprintf("%s %T", verb, object)
		if o, ok := object.(client.Object); ok {
			call += " " + o.GetNamespace() + "/" + o.GetName()
		}
		calls[call]++
		h := fnv.New64a()
		_, _ = h.Write([]byte(call)) // does not fail
		if rand.New(rand.NewPCG(seed^h.Sum64(), calls[call])).IntN(2) == 0 {
			return errDown
		}
		return nil
	}
}

func (m *model) set() {
	if m.slots {
		m.shelve()
	}
	m.Applied = func(context.Context, string) (bool, error) { return true, nil }
	if m.asked {
		m.asks(m.input)
	} else {
		m.SetApplicationSets(map[string]Asked{})
	}
}

func (m *model) lose(p Preview, cause string) {
	m.may(p.Number, cause)
	m.losses[p.NamespaceUID] = cause
}

func (m *model) touch() {
	var all corev1.ConfigMapList
	if m.cluster.List(m.t.Context(), &all, client.InNamespace("seedling")) != nil || len(all.Items) == 0 {
		return
	}
	cm := &all.Items[m.rng.IntN(len(all.Items))]
	cm.Annotations = map[string]string{"touched": strconv.Itoa(m.rng.Int())}
	_ = m.cluster.Update(m.t.Context(), cm)
}

// preview is the state's, unless that cannot be read.
func (m *model) preview(n int64) (Preview, bool) {
	if _, err := m.Store.read(m.repo().id); err != nil {
		return Preview{}, false
	}
	return m.world.preview(n)
}

// piece is some part of the state, as it really is; nil for none.
func (m *model) piece() *corev1.ConfigMap {
	var all corev1.ConfigMapList
	m.really(func() error { return m.cluster.List(m.t.Context(), &all, client.InNamespace("seedling")) })
	if len(all.Items) == 0 {
		return nil
	}
	return &all.Items[m.rng.IntN(len(all.Items))]
}

// edit takes a preview that is open, and may be live, out of the state.
func (m *model) edit() {
	cm := m.piece()
	if cm == nil || m.most > 0 { // nobody knows any more who had a place
		return
	}
	d, err := decode(cm)
	if err != nil || len(d.Previews) == 0 {
		return
	}
	at := m.rng.IntN(len(d.Previews))
	p := d.Previews[at]
	is, _ := m.pr(p.Number)
	may := false
	m.host.with(func(h *host) { may = h.writers["maintainer"] && h.labelled[p.Number] != "" })
	if p.Phase != Live || !is.Open || !is.HasLabel("preview") || !may || !m.asked || string(m.input["label"]) == string(typo["label"]) {
		return // nothing would be left that says why it ended
	}
	m.taken[p.Number] = false
	d.Previews = slices.Delete(d.Previews, at, at+1)
	text, err := json.Marshal(d)
	if err != nil {
		m.t.Fatal(err)
	}
	cm.Data[stateKey] = string(text)
	m.really(func() error { return m.cluster.Update(m.t.Context(), cm) })
}

// spoil makes a part of the state one that cannot be read, and mend what it was.
func (m *model) spoil() {
	cm := m.piece()
	if cm == nil || m.read[cm.Name] != "" {
		return
	}
	m.note("a part of the state cannot be read")
	m.read[cm.Name] = cm.Data[stateKey]
	cm.Data[stateKey] = "{"
	m.really(func() error { return m.cluster.Update(m.t.Context(), cm) })
}

func (m *model) mend() {
	for _, name := range slices.Sorted(maps.Keys(m.read)) {
		cm := &corev1.ConfigMap{}
		m.really(func() error {
			return client.IgnoreNotFound(m.cluster.Get(m.t.Context(), client.ObjectKey{Namespace: "seedling", Name: name}, cm))
		})
		if cm.Data[stateKey] == "{" {
			m.note("the state can be read again")
			cm.Data[stateKey] = m.read[name]
			m.really(func() error { return m.cluster.Update(m.t.Context(), cm) })
		}
		delete(m.read, name)
	}
}

func (m *model) restored(p Preview) {
	pvc := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: snapshot.SeedPVC, Labels: map[string]string{snapshot.VeleroRestoreLabel: "x"}}}
	if m.cluster.Create(m.t.Context(), pvc) == nil {
		_ = m.Store.Record(m.t.Context(), p.Namespace, "seed-1", pvc.UID)
	}
}

// wipe deletes a namespace with all that is in it.
func (m *model) wipe(p Preview) {
	ctx := m.t.Context()
	_ = m.cluster.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: p.Namespace}})
	for _, o := range []client.Object{
		&corev1.ServiceAccount{}, &corev1.Secret{}, &corev1.ResourceQuota{}, &corev1.LimitRange{}, &networkingv1.NetworkPolicy{}, &corev1.PersistentVolumeClaim{},
	} {
		_ = m.cluster.DeleteAllOf(ctx, o, client.InNamespace(p.Namespace))
	}
}

// janitor brings to rest what lingers and removes what does not.
func (m *model) janitor() {
	for _, p := range m.Store.Ended() {
		switch {
		case p.Lingers(m.now):
			_ = m.Store.Rest(m.t.Context(), p.Namespace)
		case m.rng.IntN(2) == 0:
			m.wipe(p)
			_ = m.Store.Forget(m.t.Context(), p.Namespace)
		}
	}
}

// look lets us look, and checks what we answer.
func (m *model) look() {
	later := time.Duration(m.rng.IntN(90)) * time.Second
	m.now = m.now.Add(later)
	m.closedFor(later)
	m.clock = m.clock.Add(time.Second)
	m.round()
}

// closedFor notes who must not come into the answer after that time.
func (m *model) closedFor(later time.Duration) {
	clear(m.shut)
	m.host.with(func(h *host) {
		for n, p := range h.pulls {
			// What is seen now is older than the last sighting that counts, and true.
			m.shut[n] = !p.Open && later > freshFor && h.lies == nil && !m.stepped
		}
	})
	m.stepped = false
}

// round looks once, and checks what we answer.
func (m *model) round() {
	clear(m.spaces)
	var all corev1.NamespaceList
	m.really(func() error { return m.cluster.List(m.t.Context(), &all) })
	for _, ns := range all.Items {
		m.spaces[ns.Name] = ns.Labels[snapshot.LabelSlot] != snapshot.SlotFree
	}
	if s, ok := m.Slots.(*shelf); ok {
		s.unreadable = m.unreadable()
	}
	m.seen, _ = m.inventory.current()
	clear(m.lived)
	m.Store.each(func(p *Preview) {
		if p.Phase == Live {
			m.lived[lifeOf(p)] = true
		}
	})
	_ = m.quickRound()
	m.check()
}

// really asks what there is, whether or not the API server fails for us.
func (m *model) really(ask func() error) {
	m.cluster.mu.Lock()
	fails := m.cluster.fail
	m.cluster.mu.Unlock()
	m.cluster.failing(nil)
	if err := ask(); err != nil {
		m.t.Fatal(err)
	}
	m.cluster.failing(fails)
}

// expired checks that a preview's end by time was due, and said before.
func (m *model) expired(p Preview) {
	ttl := modelTTL
	if p.PullRequest.HasLabel("preview-keep") {
		ttl = modelKeep
	}
	is, _ := m.pr(p.Number)
	lived, said := m.now.Sub(m.touched[p.Number]), m.now.Sub(m.warned[p.Number])
	switch {
	case p.Expired == nil || m.warned[p.Number].IsZero():
		m.fatal("preview %d ended (%s) and that was not said before", p.Number, p.Reason)
	case p.Expired.Reason == reasonExpired && lived < ttl && !p.PullRequest.UpdatedAt.Before(is.UpdatedAt): // what it could know of
		m.fatal("preview %d ended by time after %s", p.Number, lived)
	case p.Expired.Reason == reasonDataAge && (m.maxAge == 0 || m.now.Sub(p.EmittedAt) < m.maxAge && p.Phase == Ending):
		m.fatal("preview %d ended by the age of its data after %s", p.Number, m.now.Sub(p.EmittedAt))
	case said < modelNotice*8/10:
		m.fatal("preview %d ended by time, which was said for %s", p.Number, said)
	}
}

// sleeping checks a preview that sleeps, and that it was due.
func (m *model) sleeping(p *Preview) {
	was, slept := m.slept[p.Number]
	if !p.asleep() {
		delete(m.slept, p.Number)
		return
	}
	m.slept[p.Number] = *p
	if p.PVCUID == "" || p.Foreign || !p.Halted || !m.sleeps {
		m.fatal("preview %d sleeps: %+v", p.Number, p)
	}
	slept = slept && lifeOf(&was) == lifeOf(p)
	if slept && (was.PVCUID != p.PVCUID || was.Snapshot != p.Snapshot) {
		m.fatal("preview %d had claim %s while it slept, and has %s", p.Number, was.PVCUID, p.PVCUID)
	}
	var claim corev1.PersistentVolumeClaim
	err := m.cluster.Get(m.t.Context(), client.ObjectKey{Namespace: p.Namespace, Name: snapshot.SeedPVC}, &claim)
	if m.losses[p.NamespaceUID] == "" && claim.UID != p.PVCUID {
		m.fatal("preview %d sleeps, and its data is gone: %v", p.Number, err)
	}
	if slept || m.jumped {
		return
	}
	least, used := m.idle, latest(m.woken[p.Number], p.EmittedAt)
	if !m.hours.Open(m.now) && (least == 0 || least > awakeFor) {
		least = awakeFor
	}
	switch idle := m.now.Sub(used); {
	case least == 0:
		m.fatal("preview %d fell asleep within its hours", p.Number)
	case idle < least:
		m.fatal("preview %d fell asleep after %s, and is to after %s", p.Number, idle, least)
	case m.healthy[p.Number].IsZero() && m.now.Sub(p.EmittedAt) < startsFor:
		m.fatal("preview %d fell asleep before it was ever Healthy, after %s", p.Number, m.now.Sub(p.EmittedAt))
	}
}

// sleepers checks all that sleep.
func (m *model) sleepers() {
	var lives []*Preview
	m.Store.each(func(p *Preview) { lives = append(lives, p) })
	m.really(func() error {
		for _, p := range lives {
			m.sleeping(p)
		}
		return nil
	})
	maps.DeleteFunc(m.slept, func(n int64, _ Preview) bool {
		return !slices.ContainsFunc(lives, func(p *Preview) bool { return p.Number == n })
	})
	m.jumped = false
}

func (m *model) check() {
	live := 0
	m.sleepers()
	m.Store.each(func(p *Preview) {
		if p.Phase == Live {
			live++
		}
		switch {
		case p.Phase == Live && p.WarnedAt.IsZero():
			delete(m.warned, p.Number)
		case p.Phase == Live && m.warned[p.Number].IsZero():
			m.warned[p.Number] = m.now
		}
	})
	if !m.asked {
		return
	}
	body, err := m.Answer(canceled(m.t), "previews", m.input)
	if err != nil {
		return // no answer ends nothing
	}
	m.host.with(func(*host) {
		for n, l := range m.lies {
			m.causeGone(n, l.gone())
		}
	})
	is := map[string]bool{}
	answer := parse(m.t, body)
	m.distinct(answer)
	for _, p := range answer {
		is[p["number"]] = true
	}
	for _, n := range slices.Sorted(maps.Keys(m.answers)) {
		number, _ := strconv.ParseInt(n, 10, 64)
		if is[n] {
			continue
		}
		delete(m.beyond, number)
		if string(m.input["label"]) == string(typo["label"]) && !Massive(m.untold(), modelPulls) {
			continue // they are no mass
		}
		p, _ := m.preview(number)
		if expiring[p.Reason] || p.Expired != nil {
			m.expired(p)
			m.note("  %s expired", n)
			continue
		}
		if !m.told(number) || p.Phase == Ending && !m.causes[number][p.Reason] {
			m.fatal("preview %s left the answer (%s: %s); what happened to it: %v", n, p.Phase, p.Reason, m.causes[number])
		}
		m.note("  %s left: %s", n, p.Reason)
	}
	for n := range is {
		// Who has a namespace comes back beyond the cap.
		number, _ := strconv.ParseInt(n, 10, 64)
		if p, _ := m.preview(number); !m.answers[n] && (m.spaces[p.Namespace] || m.seen.namespace != nil && m.seen.namespace(p.OwnName()) != "" || m.seen.slot != nil && m.seen.slot(p.Key) != "") {
			m.beyond[number] = true
		}
	}
	for n := range is {
		if !m.answers[n] {
			number, _ := strconv.ParseInt(n, 10, 64)
			if p, _ := m.preview(number); m.shut[number] && !m.lived[lifeOf(&p)] {
				m.fatal("preview %s came into the answer, and has been closed for a while", n)
			}
			if !m.beyond[number] && m.most > 0 && live-len(m.beyond) > m.most {
				m.fatal("preview %s began beyond the cap of %d: there are %d, of which came back %v", n, m.most, live, m.beyond)
			}
			m.settleCauses(number)
		}
	}
	m.answers = is
}

// causeGone notes whether it may end because it is gone.
func (m *model) causeGone(n int64, is bool) {
	if m.causes[n] != nil || is {
		m.may(n, reasonGone)
		m.causes[n][reasonGone] = is
	}
}

// untold are how many in the last answer have nothing that would end them, their
// time among it.
func (m *model) untold() (n int) {
	for text := range m.answers {
		number, _ := strconv.ParseInt(text, 10, 64)
		if p, _ := m.preview(number); !m.told(number) && p.Expired == nil && !expiring[p.Reason] {
			n++
		}
	}
	return n
}

// told says whether anything happened to one that would end it.
func (m *model) told(n int64) bool {
	for _, is := range m.causes[n] {
		if is {
			return true
		}
	}
	return false
}

// settleCauses forgets what happened before a preview came into the answer, but
// what is still so.
func (m *model) settleCauses(n int64) {
	p, _ := m.pr(n)
	keep := map[string]bool{}
	if !p.Open {
		keep[reasonClosed], keep[reasonReopened] = true, true
	}
	if !p.HasLabel("preview") {
		keep["the label was removed"] = true
	}
	if p.HasLabel("preview-reset") {
		keep[reasonReset] = true
	}
	// It may come back into the answer before anybody has looked at the cluster.
	if is, ok := m.preview(n); ok && m.losses[is.NamespaceUID] != "" {
		keep[m.losses[is.NamespaceUID]] = true
	}
	m.causes[n] = keep
}

// rested says whether what runs in each live preview is what was decided: those that
// sleep let no pod in, and all others do.
func (m *model) rested() bool {
	rested := true
	m.Store.each(func(p *Preview) {
		var quota corev1.ResourceQuota
		if p.Phase != Live || m.cluster.Get(m.t.Context(), client.ObjectKey{Namespace: p.Namespace, Name: GuardName}, &quota) != nil {
			return
		}
		pods := quota.Spec.Hard["pods"]
		rested = rested && pods.IsZero() == p.asleep() && p.Halted == p.asleep()
	})
	return rested
}

func (m *model) run() {
	m.set()
	for range modelSteps {
		for range m.rng.IntN(3) {
			m.people()
		}
		if m.rng.IntN(3) == 0 {
			m.platform()
		}
		m.faults()
		m.look()
	}
	m.heal()
}

// wakeAll wakes all that sleep, and sees that they have their data.
func (m *model) wakeAll() {
	slept := maps.Clone(m.slept)
	for n, p := range slept {
		if err := m.WakePreview(m.t.Context(), p.Namespace); err != nil {
			m.fatal("preview %d cannot be woken: %v", n, err)
		}
		m.woken[n] = m.now
	}
	m.round()
	for n, was := range slept {
		if p, _ := m.preview(n); p.Phase == Live && (p.asleep() || p.Halted || p.PVCUID != was.PVCUID) {
			m.fatal("preview %d was woken, and is %+v", n, p)
		}
	}
	if len(slept) > 0 && !m.rested() {
		m.fatal("some were woken, and have no pods")
	}
}

// heal makes everything well, and waits for the answer to be what the forge says.
func (m *model) heal() {
	m.note("all is well")
	h := m.host
	h.with(func(h *host) {
		h.listErr, h.getErr, h.askErr, h.lies = nil, nil, nil, nil
		clear(h.hidden)
	})
	m.cluster.failing(nil)
	m.asked, m.input = true, m.well
	m.set()
	m.repair()
	m.mend()
	m.host.with(func(h *host) { h.writers["maintainer"] = true })
	m.seeds.set("seed", false)
	var want, got []string
	for range 60 {
		m.now = m.now.Add(pollEvery)
		m.closedFor(pollEvery)
		m.round()
		m.janitor()
		// What the guard keeps back is confirmed, as a person who looked would.
		if w, ok := m.Status().Withheld["previews"]; ok {
			m.confirmed = confirms.FindStringSubmatch(w.Sentence)[1]
			for n := range m.answers {
				number, _ := strconv.ParseInt(n, 10, 64)
				for _, reason := range []string{reasonLostNamespace, reasonLostVolume, "the label was removed"} {
					m.may(number, reason)
				}
			}
			m.set()
		}
		want, got = nil, m.answeredTo(m.well)
		h.with(func(h *host) {
			for n, p := range h.pulls {
				is, _ := m.preview(n)
				if p.Open && p.HasLabel("preview") && h.labelled[n] != "" && is.Expired == nil {
					want = append(want, strconv.FormatInt(n, 10))
				}
			}
		})
		slices.Sort(want)
		slices.Sort(got)
		full := m.most > 0 && len(got) >= m.most && !slices.ContainsFunc(got, func(n string) bool { return !slices.Contains(want, n) })
		if (slices.Equal(want, got) || full) && m.rested() {
			m.wakeAll()
			return
		}
	}
	for n := int64(1); n <= 12; n++ {
		if p, ok := m.preview(n); ok {
			m.note("%d: %s %s", n, p.Phase, p.Reason)
		}
	}
	m.fatal("the forge says %v, answered are %v", want, got)
}
