package preview

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// Defaults of how long a preview lives.
const (
	DefaultKeepLabel  = "preview-keep"
	DefaultTTL        = 7 * 24 * time.Hour
	DefaultKeepFor    = 30 * 24 * time.Hour
	DefaultTTLWarning = 24 * time.Hour
	// DefaultMaxDataAge is how old data may be that anybody works with.
	DefaultMaxDataAge = 30 * 24 * time.Hour

	minTTL = 10 * time.Minute
	maxTTL = 365 * 24 * time.Hour
	maxCap = 10_000
	// dataNotice is for how long at least it is said before that data is too old.
	// Beyond its age data lives no longer than that.
	dataNotice = time.Hour
	// noticeSlack is how much later than it is due an end may be noticed, so that
	// saying so does not put it off.
	noticeSlack = 2 * pollEvery
)

const (
	reasonExpired = "its time is over"
	reasonDataAge = "its data is too old"
)

// expiring are the reasons for ending by time. Such a preview keeps nothing, and
// comes back when somebody does something for it.
var expiring = map[string]bool{reasonExpired: true, reasonDataAge: true}

// Life says how long a preview may live; the zero value for as long as it likes.
type Life struct {
	// TTL counts from the later of the first sight of the head and of the label,
	// and from the emission where it had to wait.
	TTL time.Duration
	// Kept: it has the label that keeps it, and KeepFor is its TTL then.
	Kept    bool
	KeepFor time.Duration
	// Warning is how long before its end that is said. It never ends without
	// having been said for that long: not when the TTL is shortened, nor when a
	// clock leaps.
	Warning time.Duration
	// MaxDataAge is how old its data may become, whoever keeps it.
	MaxDataAge time.Duration
	// Deaf: the forge was not heard of lately, and may have news of it. Nothing
	// ends by time then.
	Deaf bool
}

// Expired is what an expired preview is remembered by until somebody does
// something for it: pushes, or sets the label anew.
type Expired struct {
	// HeadSHA is the head it expired with, ConsentAt when the label was set.
	HeadSHA   string    `json:"headSHA"`
	ConsentAt time.Time `json:"consentAt,omitzero"`
	At        time.Time `json:"at"`
	Reason    string    `json:"reason"`
}

// sentence says why there is no preview, and how there is one again.
func (e *Expired) sentence(a asking) string {
	return e.Reason + " since " + day(e.At) + "; it comes back with a push, or " + a.again()
}

// dataTime is when the data it has was imported, as far as known: never later
// than the preview itself.
func (p *Preview) dataTime() time.Time {
	if !p.DataAt.IsZero() {
		return p.DataAt
	}
	if at, ok := snapshot.TimeOf(p.Snapshot, p.Seed); ok {
		return at
	}
	return p.EmittedAt
}

// age says when a live preview ends by itself, and since when that is said.
func (p *Preview) age(l Life, now time.Time) {
	if l.TTL == 0 {
		p.ExpiresAt, p.ExpiresFor, p.WarnedAt = time.Time{}, "", time.Time{}
		return
	}
	ttl := l.TTL
	if l.Kept {
		ttl = max(ttl, l.KeepFor)
	}
	at, why, notice := latest(latest(p.HeadSeenAt, p.LabelSeenAt), p.EmittedAt).Add(ttl), reasonExpired, l.Warning
	if data := p.dataTime(); l.MaxDataAge > 0 && p.PVCUID != "" && data.Add(l.MaxDataAge).Before(at) {
		at, why, notice = data.Add(l.MaxDataAge), reasonDataAge, min(l.Warning, dataNotice)
	}
	promised := p.ExpiresAt
	p.ExpiresAt, p.ExpiresFor = at, why
	if now.Before(at.Add(-l.Warning)) {
		p.WarnedAt = time.Time{}
		return
	}
	if p.WarnedAt.IsZero() || p.WarnedAt.After(now) {
		p.WarnedAt = now
	}
	if said := p.WarnedAt.Add(notice - min(noticeSlack, notice/10)); said.After(at) {
		p.ExpiresAt = said
	}
	// What was promised for later is taken back with a day's notice: a slip in a TTL
	// shortens its own warning, and would cost everybody their data within minutes.
	if why == reasonExpired && promised.After(p.ExpiresAt) {
		p.ExpiresAt = earliest(promised, latest(p.ExpiresAt, p.WarnedAt.Add(DefaultTTLWarning)))
	}
}

// expired says whether a live preview is to end by time.
func (p *Preview) expired(l Life, now time.Time) bool {
	return !l.Deaf && !p.ExpiresAt.IsZero() && !now.Before(p.ExpiresAt)
}

// forgetful makes of an expired preview that is removed what remembers it.
func (p *Preview) forgetful() *Preview {
	return &Preview{
		Key: p.Key, Namespace: p.OwnName(), Seed: p.Seed, Postgres: p.Postgres, Host: p.Host, Phase: Held, Reason: p.Reason,
		PullRequest: p.PullRequest, FirstSeen: p.FirstSeen, HeadSeenAt: p.HeadSeenAt, ResetSpent: p.ResetSpent, Said: p.Said, CommentID: p.CommentID, CommentText: p.CommentText,
		Expired: p.Expired,
	}
}

// revived says whether somebody did something for an expired preview: pushed,
// set the label anew, or asked for fresh data.
func (p *Preview) revived(f Facts) bool {
	anew := f.Consent.By != "" && f.Consent.At.After(p.Expired.ConsentAt) && !p.Expired.ConsentAt.IsZero()
	return f.PullRequest.HeadSHA != p.Expired.HeadSHA || anew || f.Reset && !p.ResetSpent
}

// day is a time as people read it.
func day(at time.Time) string { return at.UTC().Format("2006-01-02 15:04 UTC") }

// duration reads a span of time: as Go writes it, and in days.
func duration(text string) (time.Duration, bool) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.Atoi(days)
		return time.Duration(n) * 24 * time.Hour, err == nil && n >= 0 && n <= 10_000
	}
	d, err := time.ParseDuration(text)
	return d, err == nil && d >= 0
}

// spanText writes a span of time as it is read.
func spanText(d time.Duration) string {
	if d > 0 && d%(24*time.Hour) == 0 {
		return strconv.Itoa(int(d/(24*time.Hour))) + "d"
	}
	text := d.String()
	text = strings.TrimSuffix(text, "0s")
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return cmp.Or(text, "0s")
}

// Span is a span of time in the configuration: 36h, or 30d.
type Span time.Duration

// UnmarshalJSON implements json.Unmarshaler.
func (s *Span) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return errors.New("a span of time is text, such as 36h or 30d")
	}
	d, ok := duration(text)
	if !ok {
		return fmt.Errorf("%q is no span of time such as 36h or 30d", text)
	}
	*s = Span(d)
	return nil
}

func (s Span) String() string { return spanText(time.Duration(s)) }

// Age says whether it can be how old something may become.
func (s Span) Age() bool {
	return time.Duration(s) >= time.Hour && time.Duration(s) <= 10*maxTTL
}

// lives are the fields of an input that are about how long a preview lives, how
// many there are, and whether they are told of.
var lives = map[string]bool{"ttl": true, "ttlWarning": true, "keepLabel": true, "keepFor": true, "cap": true, "comments": true, "deployments": true}

// parseLife reads them into an input.
func parseLife(in *Input, fields map[string]json.RawMessage, bad func(field, problem string)) {
	in.Comments, in.Deployments = true, true
	in.KeepLabel, in.TTL, in.KeepFor, in.TTLWarning = DefaultKeepLabel, DefaultTTL, DefaultKeepFor, DefaultTTLWarning
	span := func(name string, least time.Duration, into *time.Duration) bool {
		raw, ok := fields[name]
		if !ok {
			return false
		}
		var text string
		d, good := time.Duration(0), false
		if json.Unmarshal(raw, &text) == nil {
			d, good = duration(text)
		}
		if !good || d < least || d > maxTTL {
			bad(name, fmt.Sprintf("must be a time between %s and 365d, such as 36h or 7d", spanText(least)))
			return false
		}
		*into = d
		return true
	}
	span("ttl", minTTL, &in.TTL)
	span("keepFor", minTTL, &in.KeepFor)
	if in.KeepFor < in.TTL {
		if _, ok := fields["keepFor"]; ok {
			bad("keepFor", "must not be shorter than ttl")
		}
		in.KeepFor = in.TTL
	}
	if !span("ttlWarning", 0, &in.TTLWarning) {
		in.TTLWarning = min(in.TTLWarning, in.TTL/4)
	} else if in.TTLWarning >= in.TTL {
		bad("ttlWarning", "must be shorter than ttl")
	}
	if raw, ok := fields["keepLabel"]; ok && (string(raw) == "null" || json.Unmarshal(raw, &in.KeepLabel) != nil) {
		bad("keepLabel", "must be a string")
	}
	for name, into := range map[string]*bool{"comments": &in.Comments, "deployments": &in.Deployments} {
		if raw, ok := fields[name]; ok && (string(raw) == "null" || json.Unmarshal(raw, into) != nil) {
			bad(name, "must be true or false")
		}
	}
	if raw, ok := fields["cap"]; ok {
		var n int64
		if string(raw) == "null" || json.Unmarshal(raw, &n) != nil || n < 1 || n > maxCap {
			bad("cap", fmt.Sprintf("must be a number between 1 and %d", maxCap))
		}
		in.Cap = int(n)
	}
}
