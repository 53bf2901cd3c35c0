package preview

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

const (
	stateKey = "state.json"
	// stateVersion is the format's. A newer one is refused, not guessed at.
	stateVersion = 1
	// loadTimeout bounds the reading of all state at the start.
	loadTimeout = 30 * time.Second
	// maxState bounds a repository's state. A ConfigMap holds 1 MiB at most.
	maxState = 900 << 10
)

// ErrNoPreview is returned by Store methods for a namespace that is no
// preview's in the phase asked for.
var ErrNoPreview = errors.New("no such preview")

// errFull is returned for a state that does not fit in a ConfigMap.
var errFull = errors.New("the repository's state does not fit in a ConfigMap")

// record is the state of one repository, as it is stored.
type record struct {
	Version    int    `json:"version"`
	ForgeURL   string `json:"forgeURL"`
	Repository string `json:"repository"`
	// Open are the numbers of the last confirmed list: what the guard compares
	// the next one with, after a restart too.
	Open     []int64    `json:"open"`
	Previews []*Preview `json:"previews"`
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
	r.Previews = slices.DeleteFunc(r.Previews, func(q *Preview) bool {
		return q.Number == number && q.ApplicationSet == applicationSet
	})
	if p != nil {
		r.Previews = append(r.Previews, p)
	}
}

func (r *record) clone() *record {
	c := *r
	c.Open = slices.Clone(r.Open)
	c.Previews = make([]*Preview, len(r.Previews))
	for i, p := range r.Previews {
		q := *p
		c.Previews[i] = &q
	}
	return &c
}

// stored is a repository's record and where it is kept.
type stored struct {
	// writing is held from reading the record to having written it.
	writing sync.Mutex
	// current is never changed, only replaced, under Store.mu.
	current *record
	object  *corev1.ConfigMap
}

// Store keeps previews per repository, each repository in a ConfigMap. A
// change is in the ConfigMap before anybody sees it.
type Store struct {
	client    client.Client
	namespace string

	mu    sync.RWMutex
	repos map[string]*stored // by Key.RepositoryHash
	where map[string]string  // preview namespace -> repository

	// forgotten is told the repository of a preview that was forgotten.
	forgotten func(repository string)
	// changed is told the repository whose preview was recorded upon.
	changed func(repository string)
}

// NewStore makes a Store that keeps its ConfigMaps in namespace. Load comes
// first.
func NewStore(c client.Client, namespace string) *Store {
	return &Store{
		client: c, namespace: namespace,
		repos: map[string]*stored{}, where: map[string]string{},
		forgotten: func(string) {}, changed: func(string) {},
	}
}

// Load reads every repository's state. A state that cannot be read is an
// error: without it we would take live previews for unknown ones.
func (s *Store) Load(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	var list corev1.ConfigMapList
	if err := s.client.List(ctx, &list, client.InNamespace(s.namespace), client.HasLabels{snapshot.LabelState}); err != nil {
		return fmt.Errorf("load the state from namespace %s: %w", s.namespace, err)
	}
	repos := map[string]*stored{}
	for i := range list.Items {
		cm := &list.Items[i]
		r, err := decode(cm)
		if err != nil {
			return fmt.Errorf("load the state from ConfigMap %s/%s: %w", s.namespace, cm.Name, err)
		}
		repos[Key{ForgeURL: r.ForgeURL, Repository: r.Repository}.RepositoryHash()] = &stored{current: r, object: cm}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repos = repos
	s.index()
	return nil
}

func decode(cm *corev1.ConfigMap) (*record, error) {
	var r record
	if err := json.Unmarshal([]byte(cm.Data[stateKey]), &r); err != nil {
		return nil, fmt.Errorf("key %s: %w", stateKey, err)
	}
	if r.Version != stateVersion {
		return nil, fmt.Errorf("its format is version %d, this plugin knows %d: run the plugin that wrote it", r.Version, stateVersion)
	}
	if r.ForgeURL == "" || r.Repository == "" {
		return nil, errors.New("it names no repository")
	}
	for _, p := range r.Previews {
		if p == nil || p.Namespace != p.Key.Namespace() {
			return nil, errors.New("a preview's namespace is not the one its key gives")
		}
	}
	return &r, nil
}

// index is called with mu held.
func (s *Store) index() {
	s.where = map[string]string{}
	for key, repo := range s.repos {
		for _, p := range repo.current.Previews {
			s.where[p.Namespace] = key
		}
	}
}

// read returns a repository's record, which is not to be changed.
func (s *Store) read(repository string) *record {
	s.mu.RLock()
	defer s.mu.RUnlock()
	repo, ok := s.repos[repository]
	if !ok {
		return &record{}
	}
	return repo.current
}

// repositories are the keys of all that have state.
func (s *Store) repositories() map[string]Key {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := map[string]Key{}
	for k, repo := range s.repos {
		out[k] = Key{ForgeURL: repo.current.ForgeURL, Repository: repo.current.Repository}
	}
	return out
}

// update changes a repository's record: change gets a copy, and what it makes
// of it is visible when the ConfigMap holds it. An error leaves all as it was.
func (s *Store) update(ctx context.Context, of Key, change func(*record) error) error {
	key := of.RepositoryHash()
	s.mu.Lock()
	repo, ok := s.repos[key]
	if !ok {
		repo = &stored{current: &record{Version: stateVersion, ForgeURL: of.ForgeURL, Repository: of.Repository}}
		s.repos[key] = repo
	}
	s.mu.Unlock()

	repo.writing.Lock()
	defer repo.writing.Unlock()
	s.mu.RLock()
	next := repo.current.clone()
	s.mu.RUnlock()
	if err := change(next); err != nil {
		return err
	}
	sort.Slice(next.Previews, func(i, j int) bool {
		a, b := next.Previews[i], next.Previews[j]
		if a.Number != b.Number {
			return a.Number < b.Number
		}
		return a.ApplicationSet < b.ApplicationSet
	})
	if err := s.write(ctx, of, repo, next); err != nil {
		return fmt.Errorf("write the state of %s: %w", of.Repository, err)
	}
	return nil
}

// write is called with repo.writing held.
func (s *Store) write(ctx context.Context, of Key, repo *stored, next *record) error {
	b, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if len(b) > maxState {
		return fmt.Errorf("%w: %d bytes, %d previews", errFull, len(b), len(next.Previews))
	}
	object := repo.object
	if object == nil {
		slug := Slug(of.Repository, 40)
		object = &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: s.namespace, Name: "previews-" + slug + "-" + of.RepositoryHash(),
				Labels: map[string]string{snapshot.LabelState: "true", "app.kubernetes.io/part-of": "seedling"},
			},
			Data: map[string]string{stateKey: string(b)},
		}
		if err := s.client.Create(ctx, object); err != nil {
			if apierrors.IsAlreadyExists(err) {
				// Ours, of a creation whose answer was lost, or of a restart that did
				// not see it because its label was gone.
				return errors.Join(err, s.reread(ctx, repo, object))
			}
			return err
		}
	} else if object.Data[stateKey] != string(b) || object.Labels[snapshot.LabelState] == "" {
		object = object.DeepCopy()
		object.Data = map[string]string{stateKey: string(b)}
		// Without its label the next start would not find it.
		metav1.SetMetaDataLabel(&object.ObjectMeta, snapshot.LabelState, "true")
		// The resource version makes a second writer an error.
		if err := s.client.Update(ctx, object); err != nil {
			if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
				return errors.Join(err, s.reread(ctx, repo, repo.object))
			}
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	repo.object, repo.current = object, next
	s.index()
	return nil
}

// reread follows somebody who made, changed or deleted the ConfigMap: one that
// is gone is written anew from memory, one that is there is taken.
func (s *Store) reread(ctx context.Context, repo *stored, object *corev1.ConfigMap) error {
	var cm corev1.ConfigMap
	err := s.client.Get(ctx, client.ObjectKeyFromObject(object), &cm)
	s.mu.Lock()
	defer s.mu.Unlock()
	if apierrors.IsNotFound(err) {
		repo.object = nil
		return nil
	}
	if err != nil {
		return err
	}
	r, err := decode(&cm)
	if err != nil {
		return fmt.Errorf("read ConfigMap %s/%s: %w", s.namespace, cm.Name, err)
	}
	if r.ForgeURL != repo.current.ForgeURL || r.Repository != repo.current.Repository {
		return fmt.Errorf("ConfigMap %s/%s holds the state of another repository", s.namespace, cm.Name)
	}
	repo.object, repo.current = &cm, r
	s.index()
	return nil
}

// byNamespace finds a preview; the copy is the caller's.
func (s *Store) byNamespace(namespace string) (Preview, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	repo, ok := s.repos[s.where[namespace]]
	if !ok {
		return Preview{}, false
	}
	for _, p := range repo.current.Previews {
		if p.Namespace == namespace {
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
	err := s.record(ctx, p, func(q *Preview) { q.Snapshot, q.PVCUID, q.Foreign = snapshot, pvc, false })
	if err != nil {
		return fmt.Errorf("record the snapshot of %s: %w", namespace, err)
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
	if err := s.record(ctx, p, func(q *Preview) { q.Foreign = true }); err != nil {
		return fmt.Errorf("record the foreign volume of %s: %w", namespace, err)
	}
	return nil
}

// record changes a live preview, unless it has ended or begun anew since it
// was read.
func (s *Store) record(ctx context.Context, p Preview, change func(*Preview)) error {
	err := s.update(ctx, p.Key, func(r *record) error {
		q := r.find(p.ApplicationSet, p.Number)
		if q == nil || q.Phase != Live || q.NamespaceUID != p.NamespaceUID {
			return ErrNoPreview
		}
		change(q)
		return nil
	})
	if err == nil {
		s.changed(p.RepositoryHash())
	}
	return err
}

// Ended are the previews the plugin ended and the janitor has not forgotten,
// the longest ended first.
func (s *Store) Ended() []Preview {
	return s.all(func(p *Preview) bool { return p.Phase == Ending }, func(p *Preview) time.Time { return p.EndedAt })
}

// All are all previews, the first seen first.
func (s *Store) All() []Preview {
	return s.all(func(*Preview) bool { return true }, func(p *Preview) time.Time { return p.FirstSeen })
}

func (s *Store) all(keep func(*Preview) bool, at func(*Preview) time.Time) []Preview {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []Preview
	for _, key := range slices.Sorted(maps.Keys(s.repos)) {
		for _, p := range s.repos[key].current.Previews {
			if keep(p) {
				out = append(out, *p)
			}
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return at(&out[i]).Before(at(&out[j])) })
	return out
}

// Forget drops an ended preview of which nothing is left. A pull request that
// is asked for again begins anew from here.
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
		r.put(p.ApplicationSet, p.Number, nil)
		return nil
	})
	if err != nil {
		return fmt.Errorf("forget preview %s: %w", namespace, err)
	}
	s.forgotten(p.RepositoryHash())
	return nil
}

// Known says whether there is a preview of that namespace, in whatever phase.
func (s *Store) Known(namespace string) bool {
	_, ok := s.byNamespace(namespace)
	return ok
}
