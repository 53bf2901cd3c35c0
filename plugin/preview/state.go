package preview

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sort"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/internal/turn"
)

// loadTimeout bounds the reading of all state at the start.
const loadTimeout = 30 * time.Second

var (
	// ErrNoPreview is returned by Store methods for a namespace that is no
	// preview's in the phase asked for.
	ErrNoPreview = errors.New("no such preview")
	// ErrNotFree is wrapped for a slot that is somebody's, or drained, or gone.
	ErrNotFree = errors.New("it is not free any more")
	// ErrState is wrapped for a repository whose state cannot be read.
	ErrState = errors.New("the repository's state cannot be read")
)

// record is the state of one repository.
type record struct {
	Previews []*Preview
	// Spent are the tokens of confirmed endings, newest last.
	Spent []string
}

func (r *record) find(applicationSet string, number int64) *Preview {
	for _, p := range r.Previews {
		if p.Number == number && p.ApplicationSet == applicationSet {
			return p
		}
	}
	return nil
}

// put replaces, adds or (with nil) removes a preview.
func (r *record) put(applicationSet string, number int64, p *Preview) {
	at := slices.IndexFunc(r.Previews, func(q *Preview) bool {
		return q.Number == number && q.ApplicationSet == applicationSet
	})
	switch {
	case at < 0 && p != nil:
		r.Previews = append(r.Previews, p)
	case at >= 0 && p != nil:
		r.Previews[at] = p
	case at >= 0:
		r.Previews = slices.Delete(r.Previews, at, at+1)
	}
}

// clone copies the record. Previews are shared: whoever changes one puts
// another in its place.
func (r *record) clone() *record {
	return &record{Previews: slices.Clone(r.Previews), Spent: slices.Clone(r.Spent)}
}

// stored is a repository's record and where it is kept.
type stored struct {
	key Key // without ApplicationSet and Number
	// writing is held from reading the record to having written it.
	writing turn.Lock
	// pieces are what the ConfigMaps hold. Slice and record are never changed,
	// only replaced, under Store.mu.
	pieces  []*piece
	current *record
	// index finds a preview of current by its namespace.
	index map[string]*Preview
	// broken says why the state cannot be read.
	broken error
}

// Store keeps previews per repository, each repository in ConfigMaps of its
// own. A change is in its ConfigMap before anybody sees it.
type Store struct {
	client    client.Client
	namespace string

	mu    sync.RWMutex
	repos map[string]*stored // by Key.RepositoryHash

	// forgotten is told the repository of a preview that was forgotten.
	forgotten func(repository string)
	// changed is told the repository whose preview was recorded upon.
	changed func(repository string)
	now     func() time.Time
}

// NewStore makes a Store that keeps its ConfigMaps in namespace. Load comes
// first.
func NewStore(c client.Client, namespace string) *Store {
	return &Store{
		client: c, namespace: namespace, repos: map[string]*stored{},
		forgotten: func(string) {}, changed: func(string) {}, now: time.Now,
	}
}

// Load reads every repository's state. A repository whose state cannot be read
// is marked so and stands still; whatever else is wrong is an error: without
// the state we would take live previews for unknown ones.
func (s *Store) Load(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	var list corev1.ConfigMapList
	if err := s.client.List(ctx, &list, client.InNamespace(s.namespace), client.HasLabels{snapshot.LabelState}); err != nil {
		return fmt.Errorf("load the state from namespace %s: %w", s.namespace, err)
	}
	byRepository, strays := map[string][]*corev1.ConfigMap{}, map[string]error{}
	for i := range list.Items {
		cm := &list.Items[i]
		hash, _, err := parsePieceName(cm.Name)
		if err != nil {
			// Nobody's state as far as we can tell. While it is there, nothing is
			// taken for an orphan.
			strays[cm.Name] = fmt.Errorf("ConfigMap %s/%s: %w", s.namespace, cm.Name, err)
			continue
		}
		byRepository[hash] = append(byRepository[hash], cm)
	}
	repos := map[string]*stored{}
	for hash, maps := range byRepository {
		repos[hash] = s.assemble(hash, maps)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, err := range strays {
		repos[name] = &stored{current: &record{}, broken: err}
	}
	s.repos = repos
	return nil
}

// Broken are the repositories whose state cannot be read, by hash, with why.
func (s *Store) Broken() map[string]error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	broken := map[string]error{}
	for hash, repo := range s.repos {
		if repo.broken != nil {
			broken[hash] = repo.broken
		}
	}
	return broken
}

// Reload reads the state of a repository again that could not be read.
func (s *Store) Reload(ctx context.Context, repository string) error {
	s.mu.RLock()
	repo := s.repos[repository]
	s.mu.RUnlock()
	if repo == nil || repo.broken == nil {
		return nil
	}
	if err := repo.writing.Take(ctx); err != nil {
		return err
	}
	defer repo.writing.Give()
	return s.reread(ctx, repository, repo)
}

// read returns a repository's record, which is not to be changed.
func (s *Store) read(repository string) (*record, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	repo, ok := s.repos[repository]
	if !ok {
		return &record{}, nil
	}
	if repo.broken != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, repo.broken)
	}
	return repo.current, nil
}

// repositories are the keys of all that have state.
func (s *Store) repositories() map[string]Key {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := map[string]Key{}
	for k, repo := range s.repos {
		if repo.key.Repository != "" {
			out[k] = repo.key
		}
	}
	return out
}

// update changes a repository's record: change gets a copy, and what it makes
// of it is visible when the ConfigMaps hold it. Each piece stands for itself:
// an error leaves those as they were that could not be written.
func (s *Store) update(ctx context.Context, of Key, change func(*record) error) error {
	key := of.RepositoryHash()
	s.mu.Lock()
	repo, ok := s.repos[key]
	if !ok {
		repo = &stored{key: Key{ForgeURL: of.ForgeURL, Repository: of.Repository}, current: &record{}}
		s.repos[key] = repo
	}
	s.mu.Unlock()

	if err := repo.writing.Take(ctx); err != nil {
		return err
	}
	defer repo.writing.Give()
	s.mu.RLock()
	broken := repo.broken
	next := repo.current.clone()
	s.mu.RUnlock()
	if broken != nil {
		return fmt.Errorf("%w: %w", ErrState, broken)
	}
	if err := change(next); err != nil {
		return err
	}
	if err := s.write(ctx, repo, next); err != nil {
		return fmt.Errorf("write the state of %s: %w", of.Repository, err)
	}
	return nil
}

// rebuild makes the record of the pieces. The caller holds mu.
func (repo *stored) rebuild() {
	next := &record{}
	for _, p := range repo.pieces {
		next.Previews = append(next.Previews, p.previews...)
		next.Spent = append(next.Spent, p.spent...)
	}
	sort.Slice(next.Previews, func(i, j int) bool {
		a, b := next.Previews[i], next.Previews[j]
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.ApplicationSet, b.ApplicationSet)) < 0
	})
	repo.current = next
	repo.index = make(map[string]*Preview, len(next.Previews))
	for _, p := range next.Previews {
		repo.index[p.Namespace] = p
	}
}

// same says whether there is nothing in a preview that the state would have to
// be written for.
func same(a, b *Preview) bool {
	if a == b {
		return true
	}
	// Each step compares all previews of a repository: a sixth of what the plugin
	// allocates would be these copies.
	pair, _ := pairs.Get().(*[2]Preview)
	defer func() {
		*pair = [2]Preview{}
		pairs.Put(pair)
	}()
	pair[0], pair[1] = *a, *b
	for i := range pair {
		pair[i].PullRequest.UpdatedAt, pair[i].PullRequest.Approvals = time.Time{}, ""
	}
	return reflect.DeepEqual(&pair[0], &pair[1])
}

var pairs = sync.Pool{New: func() any { return new([2]Preview) }}

// byNamespace finds a preview; the copy is the caller's.
func (s *Store) byNamespace(namespace string) (Preview, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, repo := range s.repos {
		if p, ok := repo.index[namespace]; ok {
			return *p, true
		}
	}
	return Preview{}, false
}

// Live returns the live preview of a namespace.
func (s *Store) Live(namespace string) (Preview, bool) {
	p, ok := s.byNamespace(namespace)
	return p, ok && p.Phase == Live
}

// Record notes what the broker restored into a live preview.
func (s *Store) Record(ctx context.Context, namespace, snapshot string, pvc types.UID) error {
	p, ok := s.Live(namespace)
	if !ok {
		return fmt.Errorf("record the snapshot of %s: %w", namespace, ErrNoPreview)
	}
	if p.Snapshot == snapshot && p.PVCUID == pvc && !p.Foreign {
		return nil
	}
	now := s.now()
	err := s.amendLive(ctx, p, func(q *Preview) {
		if q.Start.Restore.IsZero() {
			q.Start.Restore = now
		}
		if pvc != "" && q.PVCUID != pvc {
			q.Start.Restored = now
		}
		q.Snapshot, q.PVCUID, q.Foreign = snapshot, pvc, false
	})
	if err != nil {
		return fmt.Errorf("record the snapshot of %s: %w", namespace, err)
	}
	return nil
}

// RecordData notes when the data of a live preview was imported, and when its
// source was dumped; zero for what is not told.
func (s *Store) RecordData(ctx context.Context, namespace string, imported, dumped time.Time) error {
	p, ok := s.Live(namespace)
	if !ok || p.DataAt.Equal(imported) && p.DumpedAt.Equal(dumped) {
		return nil
	}
	if err := s.amendLive(ctx, p, func(q *Preview) { q.DataAt, q.DumpedAt = imported, dumped }); err != nil {
		return fmt.Errorf("record the age of the data of %s: %w", namespace, err)
	}
	return nil
}

// RecordForeign notes that a live preview holds a volume that the broker did
// not restore. Record takes that back.
func (s *Store) RecordForeign(ctx context.Context, namespace string) error {
	p, ok := s.Live(namespace)
	if !ok || p.Foreign {
		return nil
	}
	if err := s.amendLive(ctx, p, func(q *Preview) { q.Foreign = true }); err != nil {
		return fmt.Errorf("record the foreign volume of %s: %w", namespace, err)
	}
	return nil
}

// amendLive changes a live preview, unless it has ended or begun anew since it
// was read.
func (s *Store) amendLive(ctx context.Context, p Preview, change func(*Preview)) error {
	return s.amend(ctx, p, func(q *Preview) error {
		if q == nil || q.Phase != Live || q.NamespaceUID != p.NamespaceUID {
			return ErrNoPreview
		}
		change(q)
		return nil
	})
}

// amend changes a copy of a preview, nil if there is none, and puts it in its
// place.
func (s *Store) amend(ctx context.Context, p Preview, change func(*Preview) error) error {
	err := s.update(ctx, p.Key, func(r *record) error {
		q := r.find(p.ApplicationSet, p.Number)
		if q == nil {
			return change(nil)
		}
		c := *q
		if err := change(&c); err != nil {
			return err
		}
		r.put(p.ApplicationSet, p.Number, &c)
		return nil
	})
	if err == nil {
		s.changed(p.RepositoryHash())
	}
	return err
}

// Rest notes that an ended preview that lingers is at rest: its Application and
// its pods are gone, its network is closed. From here it may come back.
func (s *Store) Rest(ctx context.Context, namespace string) error {
	p, ok := s.byNamespace(namespace)
	if !ok || p.Phase != Ending || p.Rests {
		return nil
	}
	err := s.amend(ctx, p, func(q *Preview) error {
		if q == nil || q.Phase != Ending || q.NamespaceUID != p.NamespaceUID {
			return ErrNoPreview
		}
		q.Rests = true
		return nil
	})
	if err != nil {
		return fmt.Errorf("record that %s is at rest: %w", namespace, err)
	}
	return nil
}

// Ended are the previews the plugin ended and the janitor has not forgotten,
// the longest ended first.
func (s *Store) Ended() []Preview {
	return s.list(func(p *Preview) bool { return p.Phase == Ending }, func(p *Preview) time.Time { return p.EndedAt })
}

// All are all previews, the first seen first.
func (s *Store) All() []Preview {
	return s.list(func(*Preview) bool { return true }, func(p *Preview) time.Time { return p.FirstSeen })
}

func (s *Store) list(keep func(*Preview) bool, at func(*Preview) time.Time) []Preview {
	var out []Preview
	s.each(func(p *Preview) {
		if keep(p) {
			out = append(out, *p)
		}
	})
	sort.SliceStable(out, func(i, j int) bool { return at(&out[i]).Before(at(&out[j])) })
	return out
}

// each looks at every preview, which is not to be changed.
func (s *Store) each(look func(*Preview)) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, key := range slices.Sorted(maps.Keys(s.repos)) {
		if repo := s.repos[key]; repo.broken == nil {
			for _, p := range repo.current.Previews {
				look(p)
			}
		}
	}
}

// Count is how many previews there are.
func (s *Store) Count() int {
	n := 0
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, repo := range s.repos {
		n += len(repo.index)
	}
	return n
}

// Forget drops an ended preview of which nothing is left. A pull request that
// is asked for again begins anew from here; of an expired one it is remembered
// that it is, or it would begin anew at once.
func (s *Store) Forget(ctx context.Context, namespace string) error {
	p, ok := s.byNamespace(namespace)
	if !ok {
		return nil // twice is once
	}
	err := s.update(ctx, p.Key, func(r *record) error {
		q := r.find(p.ApplicationSet, p.Number)
		if q == nil {
			return nil
		}
		if q.Phase != Ending {
			return ErrNoPreview
		}
		if q.Expired != nil {
			r.put(p.ApplicationSet, p.Number, q.forgetful())
			return nil
		}
		r.put(p.ApplicationSet, p.Number, nil)
		return nil
	})
	if err != nil {
		return fmt.Errorf("forget preview %s: %w", namespace, err)
	}
	s.forgotten(p.RepositoryHash())
	return nil
}

// Known says whether there may be a preview of that namespace, in whatever
// phase. While some state cannot be read, every namespace may be one's.
func (s *Store) Known(namespace string) bool {
	if _, ok := s.byNamespace(namespace); ok {
		return true
	}
	return len(s.Broken()) > 0
}
