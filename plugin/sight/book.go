package sight

import (
	"slices"
	"time"

	"github.com/seedling-dev/seedling/plugin/forge"
)

const (
	// Apart is how far apart two sightings are of which the second confirms
	// what the first made doubtful.
	Apart = 10 * time.Second
	// backwards is for how long a forge must tell of an earlier state, by its
	// own clock, before that is believed: it was restored from a backup. Caches
	// and replicas lag for less.
	backwards = 10 * time.Minute
	// remember is how long a closed pull request is kept, so that a list from
	// before its closing does not open it again.
	remember = 15 * time.Minute
	// sometime is how long ago counts what was seen before our clock was set back.
	sometime = time.Minute
)

// State is what is believed of one pull request.
type State int

const (
	// Unknown is one that was never seen; nothing is certain of it.
	Unknown State = iota
	// Open is so as far as anybody knows.
	Open
	// Closed is what its own record says.
	Closed
	// Gone is one that could not be had, and a list that came later lacks it.
	Gone
)

// Look is what is believed of one pull request.
type Look struct {
	State State
	// PullRequest is as it was last seen. Labels in doubt are still on it.
	PullRequest forge.PullRequest
	// ChangedAt is when this version of it was first seen, by our clock.
	ChangedAt time.Time
	// SeenAt is when the last call began that told of it as it is believed, by
	// our clock; zero while it is in doubt whether it is there.
	SeenAt time.Time
	// Removed are the labels whose removal the forge's record of events tells.
	Removed []string
	// Doubt is true while something about it waits for a second sighting.
	Doubt bool
}

// Book is what is known of one repository's pull requests. It is for one
// goroutine at a time.
type Book struct {
	entries map[int64]*entry
	needed  map[int64]bool
	watched []string
	last    time.Time
}

type entry struct {
	pr forge.PullRequest
	// seen is false for one that is only remembered from before a restart.
	seen bool
	// at is when the call began that told of it; changed when the version of it
	// that is believed was first seen. Both by our clock.
	at, changed time.Time
	// looked is when the last call began that told of it, believed or not.
	looked  time.Time
	gone    *absence
	labels  map[string]*doubt
	removed map[string]bool
	earlier *earlier
}

// absence is a doubt whether the pull request is still there.
type absence struct {
	first time.Time
	// missing: asked for by number, it was not there. listed: a complete list
	// that began Apart after the first sighting lacked it.
	missing, listed bool
	// asked: it was asked for by number since.
	asked bool
}

// doubt is about a label that a sighting lacked.
type doubt struct {
	first time.Time
	// asked: the record of events was asked since, and tells of no removal. set: it
	// tells that the label is there.
	asked, set bool
}

// confirmedBy says whether a list that began then, and lacks the label too, takes
// it off. The record of events has the first word: two lies of a list may be
// apart, and who is asked then knows better.
func (d *doubt) confirmedBy(began time.Time) bool {
	return d.asked && !d.set && began.Sub(d.first) >= Apart
}

// earlier is a version that is older by the forge's clock than the believed.
type earlier struct {
	updated time.Time
	first   time.Time
}

// NewBook makes an empty Book.
func NewBook() *Book { return &Book{entries: map[int64]*entry{}} }

// Need says of which pull requests there are previews, and which labels matter.
// Of all others every sighting is believed at once.
func (b *Book) Need(numbers map[int64]bool, labels []string) {
	b.needed, b.watched = numbers, labels
}

// Needs says whether there is a preview of a pull request.
func (b *Book) Needs(number int64) bool { return b.needed[number] }

// Remember puts in what was known before a restart, unless there is something
// better.
func (b *Book) Remember(pr forge.PullRequest) {
	if _, ok := b.entries[pr.Number]; !ok {
		b.entries[pr.Number] = &entry{pr: pr}
	}
}

// See takes in a pull request's own record, asked for by a call that began at
// that time.
func (b *Book) See(pr forge.PullRequest, began time.Time) { b.take(pr, began, began, false) }

// take takes in a sighting by calls that began at that time, and may have been
// made until told: a doubt counts from then.
func (b *Book) take(pr forge.PullRequest, began, told time.Time, listed bool) {
	b.tick(told)
	e := b.entries[pr.Number]
	if e == nil {
		e = &entry{}
		b.entries[pr.Number] = e
	}
	if pr.Open && e.gone != nil && !began.Before(e.gone.first) {
		e.gone = nil
	}
	e.looked = began
	if e.gone != nil && !listed {
		e.gone.asked = true
	}
	if (e.seen || !e.pr.UpdatedAt.IsZero()) && e.newer(pr, began) && !e.wentBack(pr, began, listed) {
		return
	}
	e.earlier = nil
	before := e.pr
	if !e.seen || !before.UpdatedAt.Equal(pr.UpdatedAt) || before.Open != pr.Open {
		e.changed = began
	}
	if pr.Open && before.Open && b.needed[pr.Number] {
		pr.Labels = e.believe(before.Labels, pr.Labels, b.watched, began, told, listed)
	} else {
		e.labels = nil
	}
	if !pr.Open {
		e.gone = nil
	}
	for _, label := range pr.Labels {
		delete(e.removed, label)
	}
	e.pr, e.at, e.seen = pr, began, true
}

// newer says whether what is believed is newer than a sighting.
func (e *entry) newer(pr forge.PullRequest, began time.Time) bool {
	if was := e.pr.UpdatedAt; !was.IsZero() && !pr.UpdatedAt.IsZero() && !was.Equal(pr.UpdatedAt) {
		return pr.UpdatedAt.Before(was)
	}
	return began.Before(e.at)
}

// wentBack says whether the forge has told of this earlier version for so long
// that its clock, or its data, must have gone back.
func (e *entry) wentBack(pr forge.PullRequest, began time.Time, listed bool) bool {
	if began.Before(e.at) {
		return false
	}
	if e.earlier == nil || !e.earlier.updated.Equal(pr.UpdatedAt) {
		e.earlier = &earlier{updated: pr.UpdatedAt, first: began}
		return false
	}
	return listed && began.Sub(e.earlier.first) >= backwards
}

// believe is the labels of a sighting, and those before it whose loss is still
// in doubt.
func (e *entry) believe(before, now, watched []string, began, told time.Time, listed bool) []string {
	labels := slices.Clone(now)
	for _, label := range watched {
		switch {
		case slices.Contains(now, label) || !slices.Contains(before, label):
			delete(e.labels, label)
		case e.labels[label] == nil:
			if e.labels == nil {
				e.labels = map[string]*doubt{}
			}
			e.labels[label] = &doubt{first: told}
			labels = append(labels, label)
		case listed && e.labels[label].confirmedBy(began):
			delete(e.labels, label)
		default:
			labels = append(labels, label)
		}
	}
	return labels
}

// Missing takes in that a pull request, asked for by number, was not there.
func (b *Book) Missing(number int64, began time.Time) {
	b.tick(began)
	e := b.entries[number]
	if e != nil {
		e.looked = began
		if e.gone != nil {
			e.gone.asked = true
		}
	}
	switch {
	case e == nil || e.seen && !e.pr.Open || e.seen && began.Before(e.at):
		return
	case !b.needed[number]:
		delete(b.entries, number)
		return
	case e.gone == nil:
		e.gone = &absence{first: began}
	}
	e.gone.missing, e.gone.asked = true, true
}

// Removed takes in that the forge's record of events tells of the removal of a
// label, at a time of the forge's clock.
func (b *Book) Removed(number int64, label string, at time.Time) {
	e := b.entries[number]
	if e == nil {
		return
	}
	if d := e.labels[label]; d != nil {
		d.asked = true
	}
	// One from before what was last seen with the label is another removal.
	if e.labels[label] == nil && at.Before(e.pr.UpdatedAt) {
		return
	}
	delete(e.labels, label)
	e.pr.Labels = slices.DeleteFunc(slices.Clone(e.pr.Labels), func(l string) bool { return l == label })
	if at.After(e.pr.UpdatedAt) {
		e.pr.UpdatedAt = at
	}
	if e.removed == nil {
		e.removed = map[string]bool{}
	}
	e.removed[label] = true
}

// Asked takes in that the record of events tells of no removal; set says that it
// tells who set the label that is there now.
func (b *Book) Asked(number int64, label string, set bool) {
	if e := b.entries[number]; e != nil && e.labels[label] != nil {
		e.labels[label].asked, e.labels[label].set = true, set
	}
}

// tick notices that our clock was set back. What was seen after now was seen
// before, nobody knows when: that is no news, and no call that begins now is older.
// A doubt begins anew.
func (b *Book) tick(now time.Time) {
	if !now.Before(b.last.Add(-time.Minute)) {
		b.last = latest(b.last, now)
		return
	}
	b.last = now
	for _, e := range b.entries {
		for _, t := range []*time.Time{&e.at, &e.looked} {
			if t.After(now.Add(-sometime)) {
				*t = now.Add(-sometime)
			}
		}
		times := []*time.Time{&e.changed}
		if e.gone != nil {
			times = append(times, &e.gone.first)
		}
		if e.earlier != nil {
			times = append(times, &e.earlier.first)
		}
		for _, d := range e.labels {
			times = append(times, &d.first)
		}
		for _, t := range times {
			if t.After(now) {
				*t = now
			}
		}
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Listed takes in a complete list. Where it is filtered, label is the label
// that all in it carry.
func (b *Book) Listed(list forge.List, label string) {
	told := latest(list.Began, list.Done)
	b.tick(told)
	in := map[int64]bool{}
	for _, pr := range list.PullRequests {
		in[pr.Number] = true
		b.take(pr, list.Began, told, true)
	}
	for number, e := range b.entries {
		switch {
		case in[number] || e.seen && !e.at.Before(list.Began):
		case e.seen && !e.pr.Open:
			if list.Began.Sub(e.at) > remember && !b.needed[number] {
				delete(b.entries, number)
			}
		case list.Filtered && !e.pr.HasLabel(label):
			// A list of those with the label says nothing of others.
			if !b.needed[number] {
				delete(b.entries, number)
			}
		case !b.needed[number]:
			delete(b.entries, number)
		case list.Filtered && e.labels[label] != nil:
			// It was seen open without the label, and is not among those with it.
			if e.labels[label].confirmedBy(list.Began) {
				delete(e.labels, label)
				e.pr.Labels = slices.DeleteFunc(slices.Clone(e.pr.Labels), func(l string) bool { return l == label })
			}
		case e.gone == nil:
			e.gone = &absence{first: told}
		case list.Began.Sub(e.gone.first) >= Apart:
			e.gone.listed = true
		}
	}
}

// Look says what is believed of a pull request.
func (b *Book) Look(number int64) Look {
	e := b.entries[number]
	if e == nil {
		return Look{}
	}
	l := Look{PullRequest: e.pr, ChangedAt: e.changed, Doubt: e.gone != nil || len(e.labels) > 0}
	if e.gone == nil {
		l.SeenAt = e.at
	}
	for label := range e.removed {
		l.Removed = append(l.Removed, label)
	}
	switch {
	case e.gone != nil && e.gone.missing && e.gone.listed:
		l.State = Gone
	case !e.seen:
		l.State = Unknown
	case e.pr.Open:
		l.State = Open
	default:
		l.State = Closed
	}
	return l
}

// Numbers are those of all pull requests that are known, in order.
func (b *Book) Numbers() []int64 {
	numbers := make([]int64, 0, len(b.entries))
	for n := range b.entries {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	return numbers
}

// Question is a label of which the forge's record of events should be asked.
type Question struct {
	Number int64
	Label  string
}

// Questions are what would settle the doubts there are.
type Questions struct {
	// Get are pull requests to be asked for by number.
	Get []int64
	// Events are labels that may have been removed.
	Events []Question
	// List is when a list should begin; zero where none is needed.
	List time.Time
}

// Questions says what should be asked next. Those of pull requests that a
// filtered list cannot show are among Get once they are older than stale.
func (b *Book) Questions(filter string, stale time.Time) Questions {
	var q Questions
	list := func(first time.Time) {
		if by := first.Add(Apart); q.List.IsZero() || by.Before(q.List) {
			q.List = by
		}
	}
	for _, number := range b.Numbers() {
		e := b.entries[number]
		if !b.needed[number] {
			continue
		}
		switch {
		case e.gone != nil && !e.gone.missing && e.gone.asked && !e.looked.Before(stale):
			// Whoever answered said nothing that settles it; again in a while.
		case e.gone != nil && !e.gone.missing:
			q.Get = append(q.Get, number)
		case e.gone != nil && !e.gone.listed:
			list(e.gone.first)
		case filter != "" && !e.pr.HasLabel(filter) && e.looked.Before(stale) && (!e.seen || e.pr.Open):
			q.Get = append(q.Get, number)
		}
		for _, label := range b.watched {
			d := e.labels[label]
			if d == nil {
				continue
			}
			if !d.asked || d.set {
				q.Events = append(q.Events, Question{Number: number, Label: label})
			} else {
				list(d.first)
			}
		}
	}
	return q
}
