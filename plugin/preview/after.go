package preview

import (
	"cmp"
	"context"
	"hash/fnv"
	"strconv"
	"time"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/forge"
	"github.com/seedling-dev/seedling/plugin/queue"
)

const (
	// tellTimeout bounds one commit status, tellApart how often one preview's is
	// written while it only gets on.
	tellTimeout = 20 * time.Second
	tellApart   = 5 * time.Second
	// mendEvery is how often the guards of a live preview are looked over, give
	// or take a quarter; mendEach how long one takes in the mean, so that many
	// previews are looked over less often.
	mendEvery = 10 * time.Minute
	mendEach  = 500 * time.Millisecond
)

// ownStatuses is what the names of all our commit statuses begin with: no head
// waits for one, which waits for it.
const (
	ownStatuses      = "seedling/"
	problemOwnStatus = "must not be a commit status of the plugin itself, which waits for it"
)

// statusContext names our commit status: one for each ApplicationSet and pull
// request, because two pull requests may have one commit as their head.
func statusContext(k Key) string {
	return ownStatuses + k.ApplicationSet + "/" + strconv.FormatInt(k.Number, 10)
}

// sentence is what others say of a live preview: the broker, Argo CD.
type sentence struct {
	// Broker is the hook's own sentence while it waits, Sync why the sync of a
	// commit failed. An empty one says nothing.
	broker, sync string
	// hangs is what the removal of an ended preview waits for.
	hangs string
	// failed: the broker's sentence is about a failure.
	failed bool
	// commit is the one whose sync failed.
	commit string
	toldAt time.Time
}

// tell is a commit status that is to be written; text is a digest of it.
type tell struct {
	sha, text string
	status    forge.Status
}

// Say takes in what the broker tells a preview's hook. failed: it is a failure,
// though it may be tried again.
func (r *Reconciler) Say(namespace, text string, failed bool) {
	r.saying(namespace, func(s *sentence) { s.broker, s.failed = text, failed })
}

// SyncFailed takes in that Argo CD could not sync a preview's commit, and why;
// an empty text that it could.
func (r *Reconciler) SyncFailed(namespace, commit, text string) {
	r.saying(namespace, func(s *sentence) { s.sync, s.commit = text, commit })
}

// Hangs takes in what the removal of an ended preview waits for.
func (r *Reconciler) Hangs(namespace, what string) {
	if p, ok := r.Store.byNamespace(namespace); ok && p.Phase == Ending {
		r.change(p, func(s *sentence) { s.hangs = what })
	}
}

func (r *Reconciler) saying(namespace string, change func(*sentence)) {
	if p, ok := r.Store.Live(namespace); ok {
		r.change(p, change)
	}
}

func (r *Reconciler) change(p Preview, change func(*sentence)) {
	namespace := p.Namespace
	r.mu.Lock()
	repo := r.repos[p.RepositoryHash()]
	r.mu.Unlock()
	if repo == nil {
		return
	}
	repo.mu.Lock()
	before := repo.sentence[namespace]
	s := before
	change(&s)
	repo.sentence[namespace] = s
	repo.mu.Unlock()
	if s != before {
		repo.wake(nil)
	}
}

// commitStatus is what is said of a preview on its pull request. Held back for good,
// until somebody does something, is a failure; what is tried again is pending.
func commitStatus(p *Preview, it *item, said sentence) forge.Status {
	asked, wanted := it.facts.Consent, it.facts.PullRequest != nil && it.facts.Refused == ""
	s := forge.Status{Context: statusContext(p.Key), State: forge.Pending}
	switch p.Phase {
	case Held:
		s.Description = "Held back: " + p.Reason
		if p.Expired != nil {
			s.State, s.Description = forge.Success, "No preview: "+p.Reason
			break
		}
		if p.Reason == reasonFork || p.Reason == reasonForkHead || p.ConsentBy == "" && asked.Missing != "" && !asked.Unanswered {
			s.State = forge.Failure
		}
	case Live:
		statusLive(p, it, said, &s)
	case Ending:
		if said.hangs != "" {
			s.Description = "The removal of its preview waits for " + said.hangs
			if wanted {
				s.Description = "It begins anew once its old preview is removed, which waits for " + said.hangs
			}
			break
		}
		if renewing[p.Reason] && p.LingersUntil.IsZero() {
			s.Description = "The preview is being removed: " + p.Reason
			break
		}
		s.State = forge.Success
		s.Description = "No preview: " + p.Reason
	}
	return s
}

// behind says why a live preview is not at the pull request's head yet; empty where
// it is.
func behind(p *Preview, it *item) string {
	if p.Phase != Live || it.facts.PullRequest == nil || p.HeadSHA == it.facts.PullRequest.HeadSHA {
		return ""
	}
	return it.facts.HeadWaits
}

func statusLive(p *Preview, it *item, said sentence, s *forge.Status) {
	in, waits := it.in, behind(p, it)
	if p.Foreign {
		s.State = forge.Failure
		s.Description = "Its volume is not the restored one: " + in.asking.reset(in) + " for a fresh preview, or delete claim " + snapshot.SeedPVC + " and sync"
		if in.asking.unlabelled {
			s.Description = "Its volume is not the restored one: delete claim " + snapshot.SeedPVC + " and sync"
		}
		return
	}
	s.URL = in.url(p.OwnName())
	switch {
	// Why there is no data is why its hook failed, and says more.
	case p.PVCUID == "" && said.failed:
		s.State = forge.Failure
		s.Description = "No data yet: " + said.broker
	case waits != "":
		s.Description = "The preview stays at " + short(p.HeadSHA) + ": " + waits
		if waits == reasonForkHead {
			s.State = forge.Failure
		}
	case said.sync != "" && said.commit == p.HeadSHA:
		s.State = forge.Failure
		s.Description = "Argo CD could not sync it: " + said.sync
	case p.PVCUID == "":
		s.Description = "Preview " + p.Namespace + " is starting"
		if said.broker != "" {
			s.Description = "Starting: " + said.broker
		}
	case !p.WarnedAt.IsZero():
		s.State = forge.Success
		s.Description = "Ends " + day(p.ExpiresAt) + ", " + p.ExpiresFor + ": " + remedy(p, in)
	case sleepSentence(p, in) != "":
		s.Description = sleepSentence(p, in)
		if p.asleep() {
			s.State = forge.Success
		}
	default:
		s.State = forge.Success
		s.Description = "Preview " + p.Namespace + " has the masked data of snapshot " + p.Snapshot
	}
}

// remedy says what keeps a preview from ending by itself.
func remedy(p *Preview, in Input) string {
	reset := in.asking.reset(in) + " for fresh data"
	switch {
	case p.ExpiresFor == reasonDataAge:
		return reset
	case p.PullRequest.HasLabel(in.KeepLabel):
		return "push, or " + reset
	case in.asking.unlabelled:
		return "push"
	}
	return "push, or set label " + cmp.Or(in.KeepLabel, DefaultKeepLabel)
}

// after plans what only tells, and what mends: none of it decides anything, and
// it waits in a class of its own. The caller holds mu.
func (r *Reconciler) after(repo *repository, items []*item, events []transition, e *errands) {
	for _, it := range items {
		p := it.is
		if p == nil && it.cur != nil && it.cur.Phase == Held {
			p = givenUp(it)
		}
		if p == nil || it.unsure {
			continue
		}
		said := repo.said[p.Namespace] != "" || repo.sentence[p.Namespace].hangs != ""
		// Nothing is written for what nobody asked for who may: whoever can label,
		// or open a pull request, would write on a commit that is others' too.
		asked := p.ConsentBy != "" || it.facts.Consent.By != ""
		open := it.facts.PullRequest != nil || repo.sentence[p.Namespace].hangs != ""
		if repo.forge != nil && !it.unasked && open && (asked || said) && commit.MatchString(p.PullRequest.HeadSHA) {
			r.tell(repo, it, p, e)
		}
		if p.Phase == Live {
			r.mend(repo, p, e)
			r.sleeping(repo, it, p, e)
		}
	}
	for _, t := range events {
		if repo.forge != nil && t.is != nil && t.is.Phase == Ending && t.is.Reason == reasonReset {
			e.want(r.unlabelTask(repo, t.is, t.in.ResetLabel))
		}
	}
}

// givenUp is a preview that was held back and is not asked for any more. It
// left nothing but what was said of it, which would stand on the commit as
// pending or failed for ever.
func givenUp(it *item) *Preview {
	p := *it.cur
	p.Phase, p.Reason = Ending, it.facts.Refused
	return &p
}

// tell writes the commit status if it differs from what was said last. What
// only gets on is said now and then.
func (r *Reconciler) tell(repo *repository, it *item, p *Preview, e *errands) {
	said := repo.sentence[p.Namespace]
	if unanswered[behind(p, it)] {
		return // what was said of the head before it stands there, and of this one nothing is known
	}
	s := commitStatus(p, it, said)
	text := digest(p.PullRequest.HeadSHA, string(s.State), s.Description, s.URL)[:16]
	if repo.said[p.Namespace] == text {
		return
	}
	if at := said.toldAt.Add(tellApart); s.State == forge.Pending && at.After(e.now) && !said.toldAt.After(e.now) {
		e.by(at)
		return
	}
	// A task that waits for its turn says what is so then: behind thousands of others
	// what was so when it was planned is over.
	repo.tells[p.Namespace] = tell{sha: p.PullRequest.HeadSHA, status: s, text: text}
	f, repository, namespace := repo.forge, p.Repository, p.Namespace
	e.want(task{key: "tell/" + namespace, class: queue.Telling, timeout: tellTimeout, do: func(ctx context.Context) (bool, error) {
		repo.mu.Lock()
		is, ok := repo.tells[namespace]
		repo.mu.Unlock()
		if !ok {
			return false, nil
		}
		if err := f.SetStatus(ctx, repository, is.sha, is.status); err != nil {
			return false, err
		}
		repo.mu.Lock()
		defer repo.mu.Unlock()
		repo.said[namespace] = is.text
		told := repo.sentence[namespace]
		told.toldAt = r.Now()
		repo.sentence[namespace] = told
		return false, nil
	}})
}

// unlabelTask takes off a reset label that was acted upon. It is spent, and does
// nothing more where that fails.
func (r *Reconciler) unlabelTask(repo *repository, p *Preview, label string) task {
	f, repository, n := repo.forge, p.Repository, p.Number
	return task{key: "unlabel/" + p.Namespace, class: queue.Telling, timeout: tellTimeout, do: func(ctx context.Context) (bool, error) {
		return false, f.RemoveLabel(ctx, repository, n, label)
	}}
}

// mend looks over the guards of a live preview now and then. Never making the
// namespace anew: a lost one is a reset.
func (r *Reconciler) mend(repo *repository, p *Preview, e *errands) {
	every := max(mendEvery, time.Duration(r.Store.Count())*mendEach)
	last, ok := repo.mended[p.Namespace]
	if !ok {
		// After a restart as if it had been looked over at some time in between.
		last = e.now.Add(-jitter(p.Namespace, every))
		if p.EmittedAt.After(last) && !p.EmittedAt.After(e.now) {
			last = p.EmittedAt
		}
		repo.mended[p.Namespace] = last
	}
	due := last.Add(every - every/4 + jitter(p.Namespace, every/2))
	if due.After(e.now) && !last.After(e.now) {
		e.by(due)
		return
	}
	q := *p
	e.want(task{key: "mend/" + p.Namespace, cluster: true, class: queue.Telling, timeout: spaceTimeout, do: func(ctx context.Context) (bool, error) {
		repo.mu.Lock()
		repo.mended[q.Namespace] = r.Now()
		repo.mu.Unlock()
		now, live := r.Store.Live(q.Namespace) // it may have gone to sleep since
		if !live {
			return false, nil
		}
		return false, r.Namespaces.Mend(ctx, now)
	}})
}

// jitter is a part of a span, the same for one name and spread over many.
func jitter(name string, span time.Duration) time.Duration {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // does not fail
	return time.Duration(h.Sum64() % uint64(max(span, 1)))
}
