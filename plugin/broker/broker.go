package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/flood"
	"github.com/seedling-dev/seedling/plugin/preview"
)

const (
	// DefaultHold is how long a request is held while its restore gets on. A
	// server's write timeout must be above it.
	DefaultHold = 4 * time.Second

	// grace is how long a request may take beyond being held: what it asks of
	// the API server may hang, and whoever holds a preview's lock holds up all of
	// its other requests.
	grace = 20 * time.Second

	// stepEvery is the pace of steps that no watch asked for.
	stepEvery = time.Second
	// settle gathers the burst of events that one change makes.
	settle = 20 * time.Millisecond

	// Every review costs the API server a TokenReview, and every step of a
	// preview several calls. So there are bounds for each address, which nobody
	// in a cluster can choose, and for each namespace that a token claims; a hook
	// asks once in some seconds. (Where pods' addresses are hidden behind their
	// node's, the previews of a node share one bound.) The last one is for all.
	sourcePerSecond, sourceBurst       = 10, 20
	namespacePerSecond, namespaceBurst = 5, 10
	namespaceAtOnce                    = 4
	reviewsPerSecond, reviewsAtOnce    = 50, 200
)

// Previews is what the broker asks of the state. Namespaces are the key.
type Previews interface {
	// Live returns the preview that is emitted now in that namespace.
	Live(namespace string) (preview.Preview, bool)
	// Record writes down which snapshot was chosen, and later which claim
	// holds it (until then pvc is empty).
	Record(ctx context.Context, namespace, snapshot string, pvc types.UID) error
	// RecordForeign writes down that the preview holds a volume that is not
	// ours, so that it can be said on the pull request.
	RecordForeign(ctx context.Context, namespace string) error
}

// Options are a Broker's parts. All are needed but what says otherwise.
type Options struct {
	Client   client.WithWatch // uncached
	Reviewer Reviewer
	Previews Previews
	Restorer Restorer
	// Owner is the plugin's own namespace, which marks what is this plugin's.
	Owner string
	// Ready is nil when this process leads and has loaded its state, and a
	// sentence otherwise.
	Ready func() error
	// Say is told the sentence that a preview's hook gets; failed where it is
	// about a failure. It may be nil.
	Say func(namespace, text string, failed bool)
	// Answered is told that a preview's hook was answered that its volume is there.
	// It must not wait, and may be nil.
	Answered func(namespace string)
	// Ended is told that a preview's hook has ended, well or not. As Answered.
	Ended func(namespace string)
	// Hold is DefaultHold where it is 0.
	Hold time.Duration
	Log  *slog.Logger
	// Now is the clock of the bounds, time.Now where it is nil.
	Now func() time.Time
}

// Broker answers preview-restore. It is an http.Handler for
// snapshot.RestorePath.
type Broker struct {
	Options
	locks keylock

	sources, namespaces *flood.Limiter
	atOnce              *flood.Slots
	reviews             *rate.Limiter
	ahead               ahead
	hooks               hooks
	waiting             atomic.Int64
	refused             atomic.Uint64
}

// Stats are the broker's figures at one moment.
type Stats struct {
	// Waiting requests are held, Refused were answered with an error since the
	// start.
	Waiting int
	Refused uint64
}

// Stats says how the broker is doing.
func (b *Broker) Stats() Stats {
	return Stats{Waiting: int(b.waiting.Load()), Refused: b.refused.Load()}
}

// New makes a Broker.
func New(o Options) *Broker {
	if o.Hold == 0 {
		o.Hold = DefaultHold
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Log = flood.Sampled(o.Log)
	return &Broker{
		Options:    o,
		sources:    flood.NewLimiter(sourcePerSecond, sourceBurst),
		namespaces: flood.NewLimiter(namespacePerSecond, namespaceBurst),
		atOnce:     flood.NewSlots(namespaceAtOnce),
		reviews:    rate.NewLimiter(reviewsPerSecond, reviewsAtOnce),
	}
}

// refusal is an error with the status code and the pause it deserves.
type refusal struct {
	status int
	after  time.Duration
	error
}

func (r refusal) Unwrap() error { return r.error }

func refuse(status int, format string, args ...any) error {
	r := refusal{status: status, error: fmt.Errorf(format, args...)}
	if status == http.StatusServiceUnavailable {
		r.after = 2 * time.Second
	}
	return r
}

// ServeHTTP answers one request, as hooks/snapshot's RestoreReply documents.
func (b *Broker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		reply(w, http.StatusMethodNotAllowed, 0, snapshot.RestoreReply{Message: "only POST is served here"})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), b.Hold+grace)
	defer cancel()
	claim, err := b.screen(r)
	if err == nil {
		defer claim.done()
	}
	var p preview.Preview
	if err == nil {
		p, err = b.identify(ctx, claim)
	}
	if err != nil {
		b.refused.Add(1)
		status, after := statusOf(err)
		b.Log.WarnContext(ctx, "restore request refused: it is nobody's who may ask", "status", status, "from", flood.Host(r.RemoteAddr), "error", err)
		reply(w, status, after, snapshot.RestoreReply{Message: err.Error()})
		return
	}
	status, after, answer := b.answer(ctx, p)
	reply(w, status, after, answer)
	if status == http.StatusOK && b.Answered != nil {
		b.Answered(p.Namespace)
	}
}

// answer goes on with a preview's restore for as long as a request is held, says
// on the pull request what there is to say, and returns what its hook is told.
func (b *Broker) answer(ctx context.Context, p preview.Preview) (status int, after time.Duration, told snapshot.RestoreReply) {
	progress, err := b.advance(ctx, p)
	told = snapshot.RestoreReply{Place: progress.Place, Message: progress.Message, Snapshot: progress.Snapshot}
	switch {
	case err != nil:
		b.refused.Add(1)
		status, after = statusOf(err)
		if status == http.StatusConflict {
			if err := b.Previews.RecordForeign(ctx, p.Namespace); err != nil {
				b.Log.WarnContext(ctx, "a foreign volume could not be recorded", "preview", p.Namespace, "error", err)
			}
		}
		b.say(p.Namespace, sayable(err), true)
		b.Log.WarnContext(ctx, "restore request refused", "preview", p.Namespace, "status", status, "error", err)
		return status, after, snapshot.RestoreReply{Message: err.Error(), Snapshot: progress.Snapshot}
	case !progress.Done:
		b.say(p.Namespace, progress.Message, false)
		return http.StatusAccepted, askAgain(progress.Place), told
	default:
		b.say(p.Namespace, "", false)
		return http.StatusOK, 0, told
	}
}

// sayable is what a pull request, which may be public, repeats of an error: our own
// sentences, and not what an API server or a storage driver says.
func sayable(err error) string {
	var foreign *ForeignError
	var refused refusal
	var said StatusError
	switch {
	case errors.As(err, &said):
		return said.Public()
	case errors.As(err, &foreign), errors.As(err, &refused), errors.Is(err, ErrGone), errors.Is(err, ErrStorage), errors.Is(err, snapshot.ErrNone):
		return err.Error()
	}
	return "its volume cannot be made now, which is tried again; its hook and the log of the plugin say why"
}

// askAgain is when a hook should ask again: who is far behind in the queue need
// not ask each second. Velero takes some seconds for one.
func askAgain(place int) time.Duration {
	return min(max(time.Duration(place)*time.Second/4, time.Second), 10*time.Second)
}

// say lets the pull request say what its hook is told.
func (b *Broker) say(namespace, text string, failed bool) {
	if b.Say != nil {
		b.Say(namespace, text, failed)
	}
}

// statusOf maps an error to its status code and the pause before asking again.
func statusOf(err error) (int, time.Duration) {
	var foreign *ForeignError
	var refused refusal
	var said StatusError
	switch {
	case errors.As(err, &refused):
		return refused.status, refused.after
	case errors.As(err, &said):
		return said.Status(), 5 * time.Second
	case errors.As(err, &foreign):
		return http.StatusConflict, 0
	case errors.Is(err, ErrGone):
		return http.StatusForbidden, 0
	default:
		return http.StatusServiceUnavailable, 5 * time.Second
	}
}

func reply(w http.ResponseWriter, status int, after time.Duration, body snapshot.RestoreReply) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	if after > 0 {
		h.Set("Retry-After", strconv.Itoa(int((after+time.Second-1)/time.Second)))
	}
	switch status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="seedling"`)
		h.Set("Connection", "close")
	case http.StatusForbidden, http.StatusTooManyRequests:
		// Who may not ask shall not hold a connection either.
		h.Set("Connection", "close")
	}
	text, err := json.Marshal(body)
	if err != nil { // it is two strings and a number
		status, text = http.StatusInternalServerError, []byte(`{"message":"the answer cannot be written"}`)
	}
	w.WriteHeader(status)
	// The caller asks again when it does not get the answer.
	_, _ = w.Write(append(text, '\n'))
}

// claim is a request that is worth a review.
type claim struct {
	token, from string
	caller      Caller
	done        func()
}

// screen refuses what no review can make good, and bounds the rest, by what is
// in memory alone. What a token claims is not believed, only held against it.
func (b *Broker) screen(r *http.Request) (claim, error) {
	if err := b.Ready(); err != nil {
		return claim{}, refuse(http.StatusServiceUnavailable, "the broker is not ready: %w", err)
	}
	token := bearer(r)
	if token == "" {
		return claim{}, refuse(http.StatusUnauthorized, "the request carries no bearer token")
	}
	caller, err := claimed(token)
	if err != nil {
		return claim{}, refuse(http.StatusUnauthorized, "%w", err)
	}
	if _, err := b.admit(caller); err != nil {
		return claim{}, err
	}
	from, now := flood.Host(r.RemoteAddr), b.Now()
	if wait := b.sources.Take(from, now); wait > 0 {
		return claim{}, tooMany(wait, "too many requests from this address")
	}
	if wait := b.namespaces.Take(caller.Namespace, now); wait > 0 {
		return claim{}, tooMany(wait, "too many requests for this preview")
	}
	done := b.atOnce.Take(caller.Namespace)
	if done == nil {
		return claim{}, tooMany(time.Second, "too many requests for this preview at once")
	}
	return claim{token: token, from: from, caller: caller, done: done}, nil
}

func tooMany(wait time.Duration, message string) error {
	return refusal{status: http.StatusTooManyRequests, after: max(wait, time.Second), error: errors.New(message)}
}

// admit says which live preview a caller is the hook of, by name and by the UID
// that the state has.
func (b *Broker) admit(caller Caller) (preview.Preview, error) {
	if caller.Name != snapshot.HookServiceAccount {
		return preview.Preview{}, refuse(http.StatusForbidden, "ServiceAccount %s/%s may not ask: only %s of a preview may", caller.Namespace, caller.Name, snapshot.HookServiceAccount)
	}
	p, ok := b.Previews.Live(caller.Namespace)
	if !ok {
		return preview.Preview{}, refuse(http.StatusForbidden, "namespace %s is no live preview", caller.Namespace)
	}
	if caller.UID == "" || caller.UID != p.HookUID {
		return preview.Preview{}, refuse(http.StatusForbidden, "ServiceAccount %s/%s is not the one the plugin made", caller.Namespace, caller.Name)
	}
	return p, nil
}

// identify says which live preview is asking: the token's ServiceAccount is
// its hook's, by name and by the UID that both the state and the cluster have.
func (b *Broker) identify(ctx context.Context, c claim) (preview.Preview, error) {
	if !b.reviews.Allow() {
		return preview.Preview{}, refuse(http.StatusServiceUnavailable, "too many requests at once")
	}
	caller, err := b.Reviewer.Review(ctx, c.token)
	switch {
	case errors.Is(err, ErrUnauthenticated):
		b.sources.Fail(c.from, b.Now())
		return preview.Preview{}, refuse(http.StatusUnauthorized, "%w", err)
	case err != nil:
		// A stranger may be asking, and the error names the API server.
		b.Log.ErrorContext(ctx, "a token could not be reviewed", "error", err)
		return preview.Preview{}, refuse(http.StatusServiceUnavailable, "the token cannot be reviewed now")
	}
	p, err := b.admit(caller)
	if err != nil {
		return preview.Preview{}, err
	}
	var account corev1.ServiceAccount
	err = b.Client.Get(ctx, types.NamespacedName{Namespace: caller.Namespace, Name: caller.Name}, &account)
	switch {
	case apierrors.IsNotFound(err) || err == nil && account.UID != caller.UID:
		return preview.Preview{}, refuse(http.StatusForbidden, "ServiceAccount %s/%s is not the one the plugin made", caller.Namespace, caller.Name)
	case err != nil:
		return preview.Preview{}, fmt.Errorf("read ServiceAccount %s/%s: %w", caller.Namespace, caller.Name, err)
	}
	return p, nil
}

// advance steps until the preview has its volume or the request has been held
// long enough. Two requests of one preview step in turn; one that waits does
// not hold the other back.
func (b *Broker) advance(ctx context.Context, p preview.Preview) (Progress, error) {
	started := time.Now()
	held, stop := context.WithTimeout(ctx, b.Hold)
	defer stop()
	b.waiting.Add(1)
	defer b.waiting.Add(-1)
	b.ahead.asked(p.NamespaceUID)
	progress, err := b.steps(ctx, p, held.Done(), nil)
	if err == nil && progress.Done {
		b.Log.InfoContext(ctx, "preview has its volume", "preview", p.Namespace, "snapshot", progress.Snapshot,
			"held", time.Since(started).Round(time.Millisecond))
	}
	return progress, err
}

// steps goes on until the preview has its volume, a step fails, or enough or late
// says that it is time to look up.
func (b *Broker) steps(ctx context.Context, p preview.Preview, enough <-chan struct{}, late <-chan time.Time) (Progress, error) {
	watched, stop := context.WithCancel(ctx)
	defer stop()
	// It begins before the first step, so that no change falls between.
	changed := b.Restorer.Watch(watched, p)
	for {
		progress, err := b.step(ctx, p)
		if err != nil || progress.Done {
			return progress, err
		}
		pause := time.NewTimer(stepEvery)
		select {
		case <-ctx.Done():
			pause.Stop()
			return progress, nil
		case <-enough:
			pause.Stop()
			return progress, nil
		case <-late:
			pause.Stop()
			return progress, nil
		case <-changed:
			pause.Stop()
			time.Sleep(settle)
		case <-pause.C:
		}
	}
}

func (b *Broker) step(ctx context.Context, p preview.Preview) (Progress, error) {
	defer b.locks.lock(p.Namespace)()
	// The preview may have ended, or begun anew, while this request waited.
	live, ok := b.Previews.Live(p.Namespace)
	if !ok || live.NamespaceUID != p.NamespaceUID {
		return Progress{}, refuse(http.StatusForbidden, "namespace %s is no live preview any more", p.Namespace)
	}
	if err := b.Ready(); err != nil {
		return Progress{}, refuse(http.StatusServiceUnavailable, "the broker is not ready: %w", err)
	}
	return b.Restorer.Step(ctx, live)
}
