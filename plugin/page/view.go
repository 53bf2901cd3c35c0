package page

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/seedling-dev/seedling/plugin/ended"
	"github.com/seedling-dev/seedling/plugin/forge"
	"github.com/seedling-dev/seedling/plugin/preview"
	"github.com/seedling-dev/seedling/plugin/probe"
	"github.com/seedling-dev/seedling/plugin/queue"
)

const (
	// perPage is how many previews, and how many ended ones, a page shows.
	perPage = 100
	// mostQuery bounds what is looked for, mostSentence what is quoted.
	mostQuery    = 100
	mostSentence = 400
)

// world is all that there is to show at one moment. It is not changed.
type world struct {
	at       time.Time
	starting bool
	previews []found
	ended    []found
	counts   map[preview.State]int
	status   preview.Status
	forges   map[string]forge.Budget
	seeds    []Seed
	network  probe.Recorded
	usage    map[string]Usage
	looked   time.Time
	restores map[string]int // live previews by their snapshot
	wakes    bool           // one that sleeps can be woken
}

// found is a preview, and in small letters what is looked for in.
type found struct {
	report preview.Report
	over   ended.Preview
	text   string
}

// urgency is the order of states: what wants a person first.
var urgency = map[preview.State]int{
	preview.StateFailed: 0, preview.StateDegraded: 0, preview.StateStarting: 1, preview.StateWaiting: 2, preview.StateQueued: 3,
	preview.StateReady: 4, preview.StateAsleep: 5, preview.StateExpired: 6, preview.StateEnding: 7, preview.StateRemoving: 8,
}

var states = slices.SortedFunc(maps.Keys(urgency), func(a, b preview.State) int {
	return cmp.Or(cmp.Compare(urgency[a], urgency[b]), cmp.Compare(b, a))
})

func newWorld(s Sources, now time.Time) *world {
	w := &world{at: now, starting: s.Leads() != nil, counts: map[preview.State]int{}, status: s.Status(), forges: s.Forges(), restores: map[string]int{}, wakes: s.Wake != nil}
	w.seeds, w.network, w.usage, w.looked = s.Cluster.seen()
	going := map[string]bool{}
	for _, r := range s.Previews() {
		w.counts[r.State]++
		if r.Phase == preview.Live {
			w.restores[r.Snapshot]++
		}
		if r.Phase == preview.Ending {
			going[r.Namespace+string(r.NamespaceUID)] = true
		}
		pr := r.PullRequest
		w.previews = append(w.previews, found{report: r, text: haystack(r.Repository, number(r.Number), pr.Title, pr.Author, pr.Branch,
			r.Namespace, string(r.State), r.Sentence, r.Seed, r.Snapshot, r.ApplicationSet, r.HeadSHA)})
	}
	slices.SortStableFunc(w.previews, func(a, b found) int {
		return cmp.Or(cmp.Compare(urgency[a.report.State], urgency[b.report.State]), queued(a, b))
	})
	for _, e := range s.Ended() {
		if !going[e.Namespace+string(e.NamespaceUID)] { // that is shown above
			w.ended = append(w.ended, found{over: e, text: haystack(e.Repository, number(e.Number), e.Title, e.Author, e.Namespace, e.Reason, e.Seed, e.Snapshot, e.ApplicationSet)})
		}
	}
	slices.SortFunc(w.status.Repositories, func(a, b preview.RepositoryStatus) int {
		return cmp.Or(cmp.Compare(a.Forge, b.Forge), cmp.Compare(a.Repository, b.Repository))
	})
	return w
}

// queued orders those that wait for a place as they came; all others stay as they
// are, the newest first.
func queued(a, b found) int {
	if a.report.State == preview.StateQueued && b.report.State == preview.StateQueued {
		return a.report.FirstSeen.Compare(b.report.FirstSeen)
	}
	return 0
}

func number(n int64) string { return "#" + strconv.FormatInt(n, 10) }

func haystack(of ...string) string { return strings.ToLower(strings.Join(of, "\n")) }

// query is what is asked for.
type query struct {
	Text  string
	State preview.State
	// N and E are the pages of previews and of ended ones, from 0.
	N, E int
}

func values(raw string) url.Values {
	v, err := url.ParseQuery(raw)
	if err != nil {
		return nil
	}
	return v
}

// readQuery takes what it knows of an address, and nothing else.
func readQuery(v url.Values) query {
	q := query{Text: strings.TrimSpace(clean(v.Get("q")))}
	if runes := []rune(q.Text); len(runes) > mostQuery {
		q.Text = string(runes[:mostQuery])
	}
	if _, ok := urgency[preview.State(v.Get("state"))]; ok {
		q.State = preview.State(v.Get("state"))
	}
	page := func(name string) int {
		n, err := strconv.Atoi(v.Get(name))
		if err != nil || n < 0 || n > 1000 {
			return 0
		}
		return n
	}
	q.N, q.E = page("n"), page("e")
	return q
}

// encode is the query of an address.
func (q query) encode() string {
	v := url.Values{}
	for name, value := range map[string]string{"q": q.Text, "state": string(q.State)} {
		if value != "" {
			v.Set(name, value)
		}
	}
	for name, n := range map[string]int{"n": q.N, "e": q.E} {
		if n > 0 {
			v.Set(name, strconv.Itoa(n))
		}
	}
	return v.Encode()
}

// of says whether something is asked for: every word is in it.
func (q query) of(text string) bool {
	for word := range strings.FieldsSeq(strings.ToLower(q.Text)) {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

// view is what the templates show.
type view struct {
	Starting bool
	// Summary is said aloud when it changes.
	Summary      string
	Counts       []count
	Alarms       []string
	Previews     list
	Ended        list
	Seeds        []seedView
	Looked       bool
	Repositories []repositoryView
	Forges       []forgeView
	Network      networkView
}

type count struct {
	State   preview.State
	Class   string
	N       int
	Link    string
	Current bool
}

type list struct {
	Rows           []row
	Matches, All   int
	Earlier, Later string // links; empty for none
	From, To       int
}

// row is one preview, or one that ended. What an author wrote is Title, Author and
// Branch.
type row struct {
	Key, Repository, Number, Title, Author, Branch, Link string
	Set, Namespace, Head                                 string
	State                                                preview.State
	Class, Sentence, Address, Health                     string
	Snapshot, Seed                                       string
	Data, Ends, Ended, Removed                           time.Time
	EndsFor                                              string
	Warned                                               bool
	Steps                                                []step
	Took, Untaken                                        string // Untaken where it was not done
	Bars                                                 []bar
	CPU, Memory, Storage                                 string
	Usage                                                bool
	Wakes                                                bool // there is a button for that
	now                                                  time.Time
}

// Now lets templates say how long something is ago.
func (r row) Now() time.Time { return r.now }

// step is one of a start; After is what it took since the one before.
type step struct {
	What  string
	At    time.Time
	After string
	Class string
}

// bar is a step's part of the whole, of 100.
type bar struct {
	X, Width float64
	Class    string
}

func (w *world) view(q query) view {
	now := w.at
	v := view{Starting: w.starting, Looked: !w.looked.IsZero(), Network: networkOf(w.network, now)}
	var said []string
	for _, s := range states {
		if w.counts[s] == 0 && q.State != s {
			continue
		}
		to := query{Text: q.Text, State: s}
		if q.State == s {
			to.State = ""
		}
		v.Counts = append(v.Counts, count{State: s, Class: class(s), N: w.counts[s], Link: "?" + to.encode(), Current: q.State == s})
		said = append(said, fmt.Sprintf("%d %s", w.counts[s], strings.ToLower(string(s))))
	}
	v.Summary = cmp.Or(strings.Join(said, ", "), "no previews")
	v.Alarms = w.alarms()

	matching := slices.DeleteFunc(slices.Clone(w.previews), func(f found) bool {
		return q.State != "" && f.report.State != q.State || !q.of(f.text)
	})
	v.Previews = paged(matching, len(w.previews), q.N, func(n int) string { q := q; q.N = n; return "?" + q.encode() + "#previews" })
	for i, f := range matching[v.Previews.From:v.Previews.To] {
		v.Previews.Rows[i] = w.row(f.report, now)
	}
	over := slices.DeleteFunc(slices.Clone(w.ended), func(f found) bool { return !q.of(f.text) })
	v.Ended = paged(over, len(w.ended), q.E, func(n int) string { q := q; q.E = n; return "?" + q.encode() + "#ended" })
	for i, f := range over[v.Ended.From:v.Ended.To] {
		v.Ended.Rows[i] = endedRow(f.over, now)
	}
	if q.Text != "" || q.State != "" {
		v.Summary += fmt.Sprintf("; %d of %d previews match", len(matching), len(w.previews))
	}
	for _, s := range w.seeds {
		v.Seeds = append(v.Seeds, seedOf(s, w.restores, now))
	}
	for _, r := range w.status.Repositories {
		v.Repositories = append(v.Repositories, repositoryOf(r, now))
	}
	for _, name := range slices.Sorted(maps.Keys(w.status.Queues)) {
		v.Forges = append(v.Forges, forgeOf(name, w.forges[name], w.status.Queues[name], now))
	}
	return v
}

// alarms are what a person has to do something about.
func (w *world) alarms() (out []string) {
	if w.status.Broken > 0 {
		out = append(out, fmt.Sprintf("The state of %d repositories cannot be read; their previews stay as they are. The plugin's log says which.", w.status.Broken))
	}
	for _, set := range slices.Sorted(maps.Keys(w.status.Withheld)) {
		out = append(out, "Withheld: "+quote(w.status.Withheld[set].Sentence))
	}
	return out
}

func paged(of []found, all, n int, link func(int) string) list {
	if n*perPage >= len(of) {
		n = max(len(of)-1, 0) / perPage
	}
	l := list{Matches: len(of), All: all, From: n * perPage, To: min((n+1)*perPage, len(of))}
	l.Rows = make([]row, l.To-l.From)
	if n > 0 {
		l.Earlier = link(n - 1)
	}
	if l.To < len(of) {
		l.Later = link(n + 1)
	}
	return l
}

func (w *world) row(r preview.Report, now time.Time) row {
	pr := r.PullRequest
	out := row{
		Key: r.Namespace, Repository: r.Repository, Number: number(r.Number), Title: clean(pr.Title), Author: clean(pr.Author), Branch: clean(pr.Branch),
		Link: safe(pr.URL), Set: r.ApplicationSet, Namespace: r.Namespace, Head: short(cmp.Or(r.HeadSHA, pr.HeadSHA)),
		State: r.State, Class: class(r.State), Sentence: quote(r.Sentence), Snapshot: r.Snapshot, Seed: r.Seed, Data: r.DataAt,
		Ends: r.ExpiresAt, EndsFor: r.ExpiresFor, Warned: !r.WarnedAt.IsZero(), now: now,
	}
	if r.Phase == preview.Live {
		out.Address = safe(r.Address)
		if r.Health != "Healthy" {
			out.Health = r.Health
		}
		if u, ok := w.usage[r.Namespace]; ok && u.CPU != "" {
			out.CPU, out.Memory, out.Storage, out.Usage = u.CPU, u.Memory, u.Storage, true
		}
	} else {
		out.Ends, out.EndsFor, out.Warned = time.Time{}, "", false
	}
	if r.Phase == preview.Ending {
		out.Ended, out.Ends = r.EndedAt, r.LingersUntil
	}
	out.Wakes = w.wakes && r.State == preview.StateAsleep
	out.Untaken = "under way"
	if r.State == preview.StateFailed {
		out.Untaken = "not Healthy"
	}
	return out.started(&r.Preview)
}

func endedRow(e ended.Preview, now time.Time) row {
	out := row{
		Key: e.Namespace + string(e.NamespaceUID), Repository: e.Repository, Number: number(e.Number), Title: clean(e.Title), Author: clean(e.Author), Link: safe(e.URL),
		Set: e.ApplicationSet, Namespace: e.Namespace, Sentence: quote(e.Reason), Snapshot: e.Snapshot, Seed: e.Seed, Data: e.DataAt,
		Ended: e.EndedAt, Removed: e.RemovedAt, now: now,
	}
	out.Untaken = "never Healthy"
	if !e.EmittedAt.IsZero() {
		out.Health = span(e.EndedAt.Sub(e.EmittedAt))
	}
	return out.started(&preview.Preview{FirstSeen: e.FirstSeen, EmittedAt: e.EmittedAt, Start: e.Start})
}

// started adds how the preview's start went.
func (r row) started(p *preview.Preview) row {
	if !p.ConsentAt.IsZero() {
		r.Steps = append(r.Steps, step{What: "label set, by the forge's clock", At: p.ConsentAt, Class: "s0"})
	}
	seen := p.LabelSeenAt
	if seen.IsZero() {
		seen = p.FirstSeen
	}
	made := []step{
		{What: "label seen", At: seen},
		{What: "consent found", At: p.Start.Consent, Class: "s1"},
		{What: "namespace and guards made", At: p.Start.Namespace, Class: "s2"},
		{What: "given to Argo CD", At: p.EmittedAt, Class: "s3"},
		{What: "hook asked, restore began", At: p.Start.Restore, Class: "s4"},
		{What: "hook answered, volume there", At: p.Start.Restored, Class: "s5"},
		{What: "Healthy", At: p.Start.Healthy, Class: "s6"},
	}
	made = slices.DeleteFunc(made, func(s step) bool { return s.At.IsZero() || s.At.Before(seen) })
	if len(made) == 0 {
		return r
	}
	whole := made[len(made)-1].At.Sub(seen)
	for i := range made {
		if i == 0 {
			continue
		}
		took := made[i].At.Sub(made[i-1].At)
		made[i].After = "+" + span(took)
		if whole > 0 && took > 0 {
			r.Bars = append(r.Bars, bar{X: 100 * made[i-1].At.Sub(seen).Seconds() / whole.Seconds(), Width: 100 * took.Seconds() / whole.Seconds(), Class: made[i].Class})
		}
	}
	r.Steps = append(r.Steps, made...)
	if !p.Start.Healthy.IsZero() {
		r.Took = span(whole)
	}
	return r
}

type seedView struct {
	Seed
	Rows    []snapshotView
	Data    time.Time
	Running bool
	Failed  bool
	now     time.Time
}

// Now lets templates say how long something is ago.
func (s seedView) Now() time.Time { return s.now }

type snapshotView struct {
	Snapshot
	Uses int
}

func seedOf(s Seed, restores map[string]int, now time.Time) seedView {
	v := seedView{Seed: s, now: now}
	v.Problem, v.Unread = quote(s.Problem), quote(s.Unread)
	for _, one := range s.Snapshots {
		one.Unfit = quote(one.Unfit)
		v.Rows = append(v.Rows, snapshotView{one, restores[one.Name]})
		if one.Newest {
			v.Data = one.Data
		}
	}
	switch s.Import.Phase {
	case "Running", "Terminating":
		v.Running = true
	case "Failed", "Error":
		v.Failed = true
	}
	return v
}

type repositoryView struct {
	Forge, Repository string
	Listed            time.Time
	Took, Problem     string
	Failing           int
	now               time.Time
}

// Now lets templates say how long something is ago.
func (r repositoryView) Now() time.Time { return r.now }

func repositoryOf(r preview.RepositoryStatus, now time.Time) repositoryView {
	v := repositoryView{Forge: r.Forge, Repository: r.Repository, Listed: r.Listed, Took: span(r.Took), Failing: r.Failing, now: now}
	if r.Problem != nil {
		v.Problem = quote(r.Problem.Error())
	}
	return v
}

type forgeView struct {
	Name             string
	Calls            uint64
	Left             string
	Limited          time.Time
	Waiting, Running int
	now              time.Time
}

// Now lets templates say how long something is ago.
func (f forgeView) Now() time.Time { return f.now }

func forgeOf(name string, b forge.Budget, q queue.Stats, now time.Time) forgeView {
	v := forgeView{Name: name, Calls: b.Calls, Left: "not told", now: now}
	if b.Known {
		v.Left = strconv.FormatInt(b.Remaining, 10)
	}
	if q.LimitedUntil.After(now) {
		v.Limited = q.LimitedUntil
	}
	for i := range q.Waiting {
		v.Waiting += q.Waiting[i]
		v.Running += q.Running[i]
	}
	return v
}

type networkView struct {
	State, Class, Text string
	At                 time.Time
	now                time.Time
}

// Now lets templates say how long something is ago.
func (n networkView) Now() time.Time { return n.now }

func networkOf(r probe.Recorded, now time.Time) networkView {
	v := networkView{At: r.At, now: now, State: "Not probed", Class: "unknown", Text: "Nobody has found out yet whether this cluster enforces network policies."}
	switch {
	case r.Unread != "":
		v.State, v.Text = "Not known", r.Unread
	case r.At.IsZero():
	case r.Egress && r.Ingress:
		v.State, v.Class, v.Text = "Enforced", "good", "A connection that a policy denies is refused, outwards and inwards."
	case r.Egress:
		v.State, v.Class, v.Text = "Not enforced inwards", "bad", "Previews are open to other pods of the cluster, and kept apart by their passwords alone."
	case r.Ingress:
		v.State, v.Class, v.Text = "Not enforced outwards", "bad", "Previews reach whatever the network reaches."
	default:
		v.State, v.Class, v.Text = "Not enforced", "bad", "Previews are kept apart by their passwords alone, and reach whatever the network reaches."
	}
	return v
}

func class(s preview.State) string {
	switch s {
	case preview.StateFailed, preview.StateDegraded:
		return "bad"
	case preview.StateReady:
		return "good"
	case preview.StateStarting, preview.StateWaiting, preview.StateQueued:
		return "busy"
	}
	return "over"
}

// timeView is a moment as the template "time" shows it.
type timeView struct{ ISO, Exact, Text string }

// moment says when something was, or will be, seen from now.
func moment(at, now time.Time) *timeView {
	if at.IsZero() {
		return nil
	}
	v := &timeView{ISO: at.UTC().Format(time.RFC3339), Exact: at.UTC().Format("2006-01-02 15:04:05 UTC")}
	switch d := now.Sub(at); {
	case d > -time.Minute && d < time.Minute:
		v.Text = "just now"
	case d < 0:
		v.Text = "in " + rough(-d)
	default:
		v.Text = rough(d) + " ago"
	}
	return v
}

// rough is a span as people say it; it changes seldom.
func rough(d time.Duration) string {
	switch {
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours()/24))
}

// span is one that was measured.
func span(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", max(d, 0).Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
	return rough(d)
}

func short(sha string) string { return sha[:min(len(sha), 8)] }

// clean takes out of a text what would be more than a text: control characters,
// and those that are not seen or turn the line.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar || r == '\u2028' || r == '\u2029' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
}

func quote(text string) string {
	text = clean(strings.Join(strings.Fields(text), " "))
	if runes := []rune(text); len(runes) > mostSentence {
		return string(runes[:mostSentence-1]) + "…"
	}
	return text
}

// safe is an address that a link may lead to; empty for any other.
func safe(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return ""
	}
	return address
}

func cpu(q resource.Quantity) string {
	return strconv.FormatFloat(float64(q.MilliValue())/1000, 'f', -1, 64)
}

func gib(q resource.Quantity) string {
	return strconv.FormatFloat(float64(q.Value())/(1<<30), 'f', 1, 64) + " GiB"
}
