package preview

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// A slot is a preview that was made in advance: namespace, guards, volume and
// the platform's Postgres, and nobody's yet. Its Preview has a zero Key. It is
// assigned once, by an annotation of its namespace, and is that preview's from
// then on until it ends and is removed as any other.

// Slots gives previews their slots.
type Slots interface {
	// Take returns the namespace of the slot that is assigned to a preview: it was
	// before, or is now; empty where there is none for it. After an error nobody
	// knows, and no other namespace may be used.
	Take(ctx context.Context, p Preview) (namespace string, err error)
	// Readable says that every slot's assignment is known, or why one is not.
	Readable() error
}

// Assignment says whose a slot is.
type Assignment struct {
	Key
	At time.Time `json:"at"`
}

// AssignmentOf reads whose a slot is from its namespace, nil while it is nobody's.
// Labels that say something else are an error: whoever finds it by them would
// not find it.
func AssignmentOf(ns *corev1.Namespace) (*Assignment, error) {
	text, assigned := ns.Annotations[snapshot.AnnotationAssignment]
	hash, number, state := ns.Labels[snapshot.LabelKey], ns.Labels[snapshot.LabelPreview], ns.Labels[snapshot.LabelSlot]
	if !assigned && hash == nobody.Hash() && number == "0" && (state == snapshot.SlotFree || state == snapshot.SlotDraining) {
		return nil, nil
	}
	var a Assignment
	if err := json.Unmarshal([]byte(text), &a); err != nil || a.Number < 1 ||
		hash != a.Hash() || number != strconv.FormatInt(a.Number, 10) || state != snapshot.SlotAssigned {
		return nil, fmt.Errorf("namespace %s does not say whose it is: its labels and its annotation %s differ, or cannot be read; put them right, or delete it if it is no preview's",
			ns.Name, snapshot.AnnotationAssignment)
	}
	return &a, nil
}

// nobody is the key of a slot that is not assigned.
var nobody Key

// unassigned says whether it is a slot that is nobody's.
func (p *Preview) unassigned() bool { return p.Key == nobody && snapshot.IsSlot(p.Namespace) }

// hasSlot says whether its namespace is a slot that was assigned to it.
func (p *Preview) hasSlot() bool { return p.NamespaceUID != "" && snapshot.IsSlot(p.Namespace) }

// OwnName is the name that its key gives: that of its namespace unless it was
// given a slot, and what its host is called either way.
func (p *Preview) OwnName() string {
	if snapshot.IsSlot(p.Namespace) {
		return p.Key.Namespace()
	}
	return p.Namespace
}

// space gives a preview its namespace: the slot that is assigned to it, or its
// own.
func (r *Reconciler) space(ctx context.Context, p Preview) (Space, error) {
	if r.Slots != nil && (p.NamespaceUID == "" || p.hasSlot()) {
		slot, err := r.Slots.Take(ctx, p)
		switch {
		case err != nil:
			return Space{}, err
		case slot != "":
			p.Namespace = slot
		case p.hasSlot(): // it is gone
			p.Namespace, p.NamespaceUID = p.OwnName(), ""
		}
	}
	return r.Namespaces.Prepare(ctx, p)
}

// outlived says whether there may be a namespace of a preview that is not
// emitted: its own, a slot, or one of those that do not say whose they are.
func (r *Reconciler) outlived(seen view, p *Preview) bool {
	return seen.namespace(p.Namespace) != "" || seen.slot(p.Key) != "" || r.Slots != nil && r.Slots.Readable() != nil
}

// rename follows a preview that was given a slot, or lost it. The caller holds mu.
func (r *Reconciler) rename(repo *repository, it *item) {
	from := it.namespace()
	if it.is == nil || it.is.Namespace == from {
		return
	}
	to := it.is.Namespace
	it.name = to
	move(repo.found, from, to)
	move(repo.said, from, to)
	move(repo.sentence, from, to)
	move(repo.lastWords, from, to)
	move(repo.deployed, from, to)
	move(repo.mended, from, to)
	r.line.rename(from, to)
}

func move[V any](m map[string]V, from, to string) {
	if v, ok := m[from]; ok {
		m[to] = v
		delete(m, from)
	}
}

// Reserve makes the namespace of a slot with everything in it that guards it,
// closed, or mends what drifted. One that is assigned, or another one of its
// name, it leaves alone, which is an error.
func (n *Namespaces) Reserve(ctx context.Context, p Preview) (types.UID, error) {
	if !p.unassigned() {
		return "", fmt.Errorf("reserve %s: it is no slot that is nobody's: this is a bug", p.Namespace)
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: p.Namespace, Labels: n.namespaceLabels(p)}}
	if p.NamespaceUID == "" {
		if err := n.Client.Create(ctx, ns); err != nil {
			return "", fmt.Errorf("create slot %s: %w", p.Namespace, err)
		}
	} else {
		is, err := n.free(ctx, p)
		if err != nil {
			return "", err
		}
		if err := n.mark(ctx, is, p); err != nil {
			return "", err
		}
		ns = is
	}
	if _, err := n.guard(ctx, p); err != nil {
		return ns.UID, fmt.Errorf("prepare slot %s: %w", p.Namespace, err)
	}
	return ns.UID, nil
}

// free reads the namespace of a slot that is free; every other one is an error.
func (n *Namespaces) free(ctx context.Context, p Preview) (*corev1.Namespace, error) {
	ns := &corev1.Namespace{}
	if err := n.Client.Get(ctx, types.NamespacedName{Name: p.Namespace}, ns); err != nil {
		return nil, fmt.Errorf("get slot %s: %w", p.Namespace, err)
	}
	a, err := AssignmentOf(ns)
	switch {
	case err != nil:
		return nil, err
	case a != nil || ns.UID != p.NamespaceUID || ns.DeletionTimestamp != nil || ns.Labels[snapshot.LabelSlot] != snapshot.SlotFree ||
		ns.Labels[snapshot.LabelOwner] != n.Owner:
		return nil, fmt.Errorf("slot %s: %w", p.Namespace, ErrNotFree)
	}
	return ns, nil
}

// Drain takes a free slot out of use for good, before it is removed.
func (n *Namespaces) Drain(ctx context.Context, p Preview) error {
	ns, err := n.free(ctx, p)
	if err != nil {
		return err
	}
	before := ns.DeepCopy()
	ns.Labels[snapshot.LabelSlot] = snapshot.SlotDraining
	return n.exactly(ctx, ns, before, "drain")
}

// Assign makes a free slot a preview's. It is the preview's from the moment the
// API server has written it, answered or not.
func (n *Namespaces) Assign(ctx context.Context, slot, p Preview, at time.Time) error {
	ns, err := n.free(ctx, slot)
	if err != nil {
		return err
	}
	if ns.Labels[snapshot.LabelSeed] != p.Seed {
		return fmt.Errorf("slot %s is of seed %s: %w", slot.Namespace, ns.Labels[snapshot.LabelSeed], ErrNotFree)
	}
	p.Namespace = slot.Namespace
	before := ns.DeepCopy()
	n.brand(ns, p)
	n.inscribe(ns, p, at)
	return n.exactly(ctx, ns, before, "assign")
}

// inscribe makes a slot's namespace say whose it is.
func (n *Namespaces) inscribe(ns *corev1.Namespace, p Preview, at time.Time) {
	text, _ := json.Marshal(Assignment{Key: p.Key, At: at.UTC()}) //nolint:errchkjson // strings, a number and a time marshal
	metav1.SetMetaDataAnnotation(&ns.ObjectMeta, snapshot.AnnotationAssignment, string(text))
	metav1.SetMetaDataAnnotation(&ns.ObjectMeta, snapshot.AnnotationRepository, p.Repository)
}

// exactly patches a slot that is still as it was read.
func (n *Namespaces) exactly(ctx context.Context, ns, before *corev1.Namespace, what string) error {
	err := n.Client.Patch(ctx, ns, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	switch {
	case apierrors.IsConflict(err):
		return fmt.Errorf("slot %s: %w", ns.Name, ErrNotFree)
	case err != nil:
		return fmt.Errorf("%s slot %s: %w", what, ns.Name, err)
	}
	return nil
}

// SlotsOf are the namespaces that are assigned to a key.
func (n *Namespaces) SlotsOf(ctx context.Context, k Key) ([]string, error) {
	var list corev1.NamespaceList
	err := n.Client.List(ctx, &list, client.MatchingLabels{
		snapshot.LabelSlot: snapshot.SlotAssigned, snapshot.LabelOwner: n.Owner,
		snapshot.LabelKey: k.Hash(), snapshot.LabelPreview: strconv.FormatInt(k.Number, 10),
	})
	if err != nil {
		return nil, fmt.Errorf("list the slots of %s: %w", k.Namespace(), err)
	}
	var names []string
	for i := range list.Items {
		if _, err := AssignmentOf(&list.Items[i]); err != nil {
			return nil, err
		}
		names = append(names, list.Items[i].Name)
	}
	return names, nil
}

// Exists says whether there is a namespace of that name, whosever.
func (n *Namespaces) Exists(ctx context.Context, name string) (bool, error) {
	err := n.Client.Get(ctx, types.NamespacedName{Name: name}, &corev1.Namespace{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for namespace %s: %w", name, err)
	}
	return true, nil
}

// beginsFor is how long a preview counts as one that begins.
const beginsFor = 2 * time.Minute

// Beginning says whether a preview was emitted a moment ago and has no volume yet.
func (r *Reconciler) Beginning() bool {
	now, begins := r.Now(), false
	r.Store.each(func(p *Preview) {
		age := now.Sub(p.EmittedAt)
		begins = begins || p.Phase == Live && p.PVCUID == "" && age >= 0 && age < beginsFor
	})
	return begins
}
