package preview

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

const (
	stateKey = "state.json"
	// stateVersion is the format's. Version 1, one piece a repository, is read
	// too; a newer one is refused, not guessed at.
	stateVersion = 2
	// perPiece is how many previews a ConfigMap takes. Of what a pull request
	// brings each field is bounded (bound.go), so that they always fit.
	perPiece = 64
	// spentKept is how many tokens of confirmed endings are remembered.
	spentKept = 16
)

// piece is a part of a repository's state as one ConfigMap holds it. It is
// never changed, only replaced.
type piece struct {
	// object is without its data, which previews and spent are; nil before it was
	// first written.
	object   *corev1.ConfigMap
	previews []*Preview
	spent    []string
}

// pieceJSON is a piece in its ConfigMap.
type pieceJSON struct {
	Version    int        `json:"version"`
	ForgeURL   string     `json:"forgeURL"`
	Repository string     `json:"repository"`
	Spent      []string   `json:"spent,omitempty"`
	Previews   []*Preview `json:"previews"`
}

var pieceNames = regexp.MustCompile(`^previews-(?:[a-z0-9-]+-)?([0-9a-f]{10})(?:-([0-9]{1,4}))?$`)

// pieceName is the name of a repository's ConfigMap number n. The first has
// none, as in version 1.
func pieceName(of Key, n int) string {
	name := "previews-" + Slug(of.Repository, 40) + "-" + of.RepositoryHash()
	if n > 0 {
		name += "-" + strconv.Itoa(n)
	}
	return name
}

// parsePieceName takes a name apart into the repository's hash and the number.
func parsePieceName(name string) (hash string, n int, err error) {
	m := pieceNames.FindStringSubmatch(name)
	if m == nil {
		return "", 0, errors.New("its name is not one the plugin gives: take label " + snapshot.LabelState + " off it if it is somebody else's")
	}
	if m[2] != "" {
		if n, err = strconv.Atoi(m[2]); err != nil {
			return "", 0, err
		}
	}
	return m[1], n, nil
}

// assemble puts a repository's state together from its ConfigMaps.
func (s *Store) assemble(hash string, objects []*corev1.ConfigMap) *stored {
	repo := &stored{current: &record{}}
	number := func(cm *corev1.ConfigMap) int { _, n, _ := parsePieceName(cm.Name); return n }
	sort.Slice(objects, func(i, j int) bool { return number(objects[i]) < number(objects[j]) })
	wrong := func(cm *corev1.ConfigMap, err error) *stored {
		repo.broken = fmt.Errorf("ConfigMap %s/%s: %w", s.namespace, cm.Name, err)
		repo.pieces, repo.current, repo.index = nil, &record{}, nil
		return repo
	}
	seen := map[inRepository]bool{}
	for i, cm := range objects {
		d, err := decode(cm)
		if err != nil {
			return wrong(cm, err)
		}
		key := Key{ForgeURL: d.ForgeURL, Repository: d.Repository}
		switch {
		case key.RepositoryHash() != hash:
			return wrong(cm, errors.New("it holds the state of another repository than its name says"))
		case number(cm) != i:
			return wrong(cm, fmt.Errorf("the piece before it, %s, is missing: restore it, or create it empty as a copy of this one without previews", pieceName(key, i)))
		}
		repo.key = key
		for _, p := range d.Previews {
			if seen[idOf(p)] {
				return wrong(cm, fmt.Errorf("preview %s is in two pieces: remove it from one", p.Namespace))
			}
			seen[idOf(p)] = true
		}
		cm.Data = nil
		repo.pieces = append(repo.pieces, &piece{object: cm, previews: d.Previews, spent: d.Spent})
	}
	repo.rebuild()
	return repo
}

func decode(cm *corev1.ConfigMap) (*pieceJSON, error) {
	var d pieceJSON
	if err := json.Unmarshal([]byte(cm.Data[stateKey]), &d); err != nil {
		return nil, fmt.Errorf("key %s: %w", stateKey, err)
	}
	if d.Version < 1 || d.Version > stateVersion {
		return nil, fmt.Errorf("its format is version %d, this plugin knows up to %d: run the plugin that wrote it", d.Version, stateVersion)
	}
	if d.ForgeURL == "" || d.Repository == "" {
		return nil, errors.New("it names no repository")
	}
	for _, p := range d.Previews {
		if p == nil || p.Namespace != p.Key.Namespace() && !snapshot.IsSlot(p.Namespace) {
			return nil, errors.New("a preview's namespace is neither the one its key gives nor a slot")
		}
	}
	return &d, nil
}

// inRepository tells the previews of a repository apart. A name does not: it
// changes when one is given a slot.
type inRepository struct {
	applicationSet string
	number         int64
}

func idOf(p *Preview) inRepository { return inRepository{p.ApplicationSet, p.Number} }

// divide gives every preview of next its piece: the one it is in, or the first
// with room. It returns the pieces that differ from those there are, by number.
func divide(pieces []*piece, next *record) map[int]*piece {
	left := make(map[inRepository]*Preview, len(next.Previews))
	for _, p := range next.Previews {
		left[idOf(p)] = p
	}
	changed := map[int]*piece{}
	change := func(n int) *piece {
		if changed[n] == nil {
			c := &piece{}
			if n < len(pieces) {
				c.object, c.spent, c.previews = pieces[n].object, pieces[n].spent, slices.Clone(pieces[n].previews)
			}
			changed[n] = c
		}
		return changed[n]
	}
	for n, p := range pieces {
		keep := make([]*Preview, 0, len(p.previews))
		differs := false
		for _, was := range p.previews {
			is := left[idOf(was)]
			delete(left, idOf(was))
			switch {
			case is == nil:
				differs = true
			case same(was, is):
				keep = append(keep, was)
			default:
				differs = true
				keep = append(keep, is)
			}
		}
		if differs {
			change(n).previews = keep
		}
	}
	if len(pieces) > 0 && !slices.Equal(pieces[0].spent, next.Spent) || len(pieces) == 0 && len(next.Spent) > 0 {
		change(0).spent = next.Spent[max(0, len(next.Spent)-spentKept):]
	}
	n := 0
	for _, p := range next.Previews {
		if left[idOf(p)] == nil {
			continue
		}
		for {
			held := 0
			if changed[n] != nil {
				held = len(changed[n].previews)
			} else if n < len(pieces) {
				held = len(pieces[n].previews)
			}
			if held < perPiece {
				break
			}
			n++
		}
		c := change(n)
		c.previews = append(c.previews, p)
	}
	return changed
}

// write is called with repo.writing held.
func (s *Store) write(ctx context.Context, repo *stored, next *record) error {
	s.mu.RLock()
	pieces := repo.pieces
	s.mu.RUnlock()
	changed := divide(pieces, next)
	numbers := make([]int, 0, len(changed))
	for n := range changed {
		numbers = append(numbers, n)
	}
	sort.Ints(numbers)
	var wrong []error
	for _, n := range numbers {
		object, err := s.put(ctx, repo.key, n, changed[n])
		if err != nil {
			wrong = append(wrong, err)
			if apierrors.IsConflict(err) || apierrors.IsNotFound(err) || apierrors.IsAlreadyExists(err) {
				return errors.Join(append(wrong, s.reread(ctx, repo.key.RepositoryHash(), repo))...)
			}
			if n >= len(pieces) {
				break // those behind it would leave a gap
			}
			continue
		}
		changed[n].object = object
		s.mu.Lock()
		all := slices.Clone(repo.pieces)
		if n < len(all) {
			all[n] = changed[n]
		} else {
			all = append(all, changed[n])
		}
		repo.pieces = all
		repo.rebuild()
		s.mu.Unlock()
	}
	return errors.Join(wrong...)
}

// put writes one piece, and returns its ConfigMap without the data. The resource
// version makes a second writer an error.
func (s *Store) put(ctx context.Context, of Key, n int, p *piece) (*corev1.ConfigMap, error) {
	var b strings.Builder
	to := json.NewEncoder(&b)
	to.SetEscapeHTML(false)
	if err := to.Encode(pieceJSON{
		Version: stateVersion, ForgeURL: of.ForgeURL, Repository: of.Repository, Spent: p.spent, Previews: p.previews,
	}); err != nil {
		return nil, err
	}
	if p.object == nil {
		object := &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: s.namespace, Name: pieceName(of, n),
				Labels: map[string]string{snapshot.LabelState: "true", snapshot.LabelOwner: s.namespace, labelPartOf: partOf},
			},
			Data: map[string]string{stateKey: b.String()},
		}
		err := s.client.Create(ctx, object)
		object.Data = nil
		return object, err
	}
	object := p.object.DeepCopy()
	object.Data = map[string]string{stateKey: b.String()}
	// Without its label the next start would not find it.
	metav1.SetMetaDataLabel(&object.ObjectMeta, snapshot.LabelState, "true")
	metav1.SetMetaDataLabel(&object.ObjectMeta, snapshot.LabelOwner, s.namespace)
	err := s.client.Update(ctx, object)
	object.Data = nil
	return object, err
}

// reread follows somebody who made, changed or deleted a ConfigMap: what is
// there is taken; one that is gone is written anew from memory; what cannot be
// read stops the repository. It is called with repo.writing held.
func (s *Store) reread(ctx context.Context, hash string, repo *stored) error {
	var objects []*corev1.ConfigMap
	s.mu.RLock()
	pieces, key := repo.pieces, repo.key
	s.mu.RUnlock()
	if key.Repository == "" { // it was never read
		return s.relist(ctx, hash, repo)
	}
	lost := false
	for n := 0; ; n++ {
		var cm corev1.ConfigMap
		err := s.client.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: pieceName(key, n)}, &cm)
		if apierrors.IsNotFound(err) {
			if n < len(pieces) {
				lost = true
				continue
			}
			break
		}
		if err != nil {
			return err
		}
		objects = append(objects, &cm)
	}
	if lost {
		// Somebody deleted pieces of it: memory knows better than what is left.
		return s.restore(ctx, repo, objects)
	}
	return s.take(hash, repo, objects)
}

// restore writes the pieces from memory that are gone, beside those that are
// there.
func (s *Store) restore(ctx context.Context, repo *stored, objects []*corev1.ConfigMap) error {
	there := map[string]*corev1.ConfigMap{}
	for _, o := range objects {
		there[o.Name] = o
	}
	kept := make([]*piece, len(repo.pieces))
	for n, p := range repo.pieces {
		c := *p
		kept[n] = &c
		name := pieceName(repo.key, n)
		if c.object = there[name]; c.object != nil {
			d, err := decode(c.object)
			if err != nil {
				return fmt.Errorf("ConfigMap %s/%s: %w", s.namespace, name, err)
			}
			c.object.Data, c.previews, c.spent = nil, d.Previews, d.Spent
			continue
		}
		object, err := s.put(ctx, repo.key, n, &c)
		if err != nil {
			return err
		}
		c.object = object
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	repo.pieces = kept
	repo.rebuild()
	return nil
}

// relist reads a repository's ConfigMaps whose address is not known.
func (s *Store) relist(ctx context.Context, hash string, repo *stored) error {
	var list corev1.ConfigMapList
	if err := s.client.List(ctx, &list, client.InNamespace(s.namespace), client.HasLabels{snapshot.LabelState}); err != nil {
		return err
	}
	var objects []*corev1.ConfigMap
	for i := range list.Items {
		if of, _, err := parsePieceName(list.Items[i].Name); err == nil && of == hash {
			objects = append(objects, &list.Items[i])
		}
	}
	return s.take(hash, repo, objects)
}

func (s *Store) take(hash string, repo *stored, objects []*corev1.ConfigMap) error {
	fresh := s.assemble(hash, objects)
	s.mu.Lock()
	defer s.mu.Unlock()
	if fresh.key.Repository != "" {
		repo.key = fresh.key
	}
	repo.broken, repo.pieces, repo.current, repo.index = fresh.broken, fresh.pieces, fresh.current, fresh.index
	return repo.broken
}
