// Package ended remembers which previews ended, for people who look for one that
// is no more.
//
// Its promise: it decides nothing, and nothing waits for it. What it remembers is
// in one ConfigMap of the plugin's namespace, bounded in time, number and size,
// and written at most every [writeEvery]; what a killed plugin had not written is
// forgotten. It holds what the plugin's state holds, and no row and no secret.
package ended

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/preview"
)

const (
	// ConfigMap is where they are remembered, by its name in the plugin's namespace.
	ConfigMap = "plugin-ended"
	key       = "ended.json"

	// For is how long one is remembered.
	For = 30 * 24 * time.Hour
	// Most is how many are remembered.
	Most = 1000
	// mostBytes is what their JSON may take: a ConfigMap takes 1 MiB.
	mostBytes  = 700 << 10
	writeEvery = 10 * time.Second
)

// Preview is one that ended.
type Preview struct {
	preview.Key

	Namespace    string    `json:"namespace"`
	NamespaceUID types.UID `json:"namespaceUID,omitempty"`
	// Title, Author and URL are the pull request's; the first two are an author's.
	Title    string        `json:"title,omitempty"`
	Author   string        `json:"author,omitempty"`
	URL      string        `json:"url,omitempty"`
	Seed     string        `json:"seed"`
	Snapshot string        `json:"snapshot,omitempty"`
	DataAt   time.Time     `json:"dataAt,omitzero"`
	Reason   string        `json:"reason"`
	Start    preview.Start `json:"start,omitzero"`
	// FirstSeen, EmittedAt and EndedAt are those of its state. RemovedAt is when
	// nothing was left of it, zero while something is.
	FirstSeen time.Time `json:"firstSeen"`
	EmittedAt time.Time `json:"emittedAt,omitzero"`
	EndedAt   time.Time `json:"endedAt"`
	RemovedAt time.Time `json:"removedAt,omitzero"`
}

// Book remembers them. Client, Namespace, Log and Now are set before Run.
type Book struct {
	Client client.Client
	// Namespace is the plugin's own.
	Namespace string
	Log       *slog.Logger
	Now       func() time.Time

	mu sync.Mutex
	// all are sorted, the last ended first; dirty: they are not written yet.
	all   []Preview
	dirty bool
}

// Previews are all that are remembered, the last ended first.
func (b *Book) Previews() []Preview {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.all)
}

// Moved takes in what became of a preview. One that comes back with its data has
// not ended.
func (b *Book) Moved(was, is *preview.Preview) {
	switch {
	case is != nil && is.Phase == preview.Ending && was != nil && was.Phase != preview.Ending:
		b.change(is.Namespace, is.NamespaceUID, func(*Preview) *Preview { return of(is) })
	case is != nil && is.Phase == preview.Live && was != nil && was.Phase != preview.Live:
		b.change(is.Namespace, is.NamespaceUID, func(*Preview) *Preview { return nil })
	}
}

// Removed takes in that nothing is left of one.
func (b *Book) Removed(p preview.Preview) {
	now := b.Now()
	b.change(p.Namespace, p.NamespaceUID, func(e *Preview) *Preview {
		if e == nil { // it ended before this was remembered
			e = of(&p)
		}
		e.RemovedAt = now
		return e
	})
}

func of(p *preview.Preview) *Preview {
	return &Preview{
		Key: p.Key, Namespace: p.Namespace, NamespaceUID: p.NamespaceUID,
		Title: p.PullRequest.Title, Author: p.PullRequest.Author, URL: p.PullRequest.URL,
		Seed: p.Seed, Snapshot: p.Snapshot, DataAt: p.DataAt, Reason: p.Reason, Start: p.Start,
		FirstSeen: p.FirstSeen, EmittedAt: p.EmittedAt, EndedAt: p.EndedAt,
	}
}

// change replaces what is remembered of one life of a preview.
func (b *Book) change(namespace string, uid types.UID, to func(*Preview) *Preview) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := slices.IndexFunc(b.all, func(e Preview) bool { return e.Namespace == namespace && e.NamespaceUID == uid })
	var was *Preview
	if at >= 0 {
		e := b.all[at]
		was, b.all = &e, slices.Delete(b.all, at, at+1)
	}
	if is := to(was); is != nil {
		b.all = append(b.all, *is)
	} else if was == nil {
		return
	}
	b.dirty = true
	b.trim()
}

// trim sorts them and forgets what is too old, or too many. The caller holds mu.
func (b *Book) trim() {
	since := b.Now().Add(-For)
	b.all = slices.DeleteFunc(b.all, func(e Preview) bool { return e.EndedAt.Before(since) })
	slices.SortStableFunc(b.all, func(x, y Preview) int { return y.EndedAt.Compare(x.EndedAt) })
	b.all = b.all[:min(len(b.all), Most)]
}

// Run reads what was remembered, and writes what comes to it until ctx ends.
func (b *Book) Run(ctx context.Context) error {
	tick := time.NewTicker(writeEvery)
	defer tick.Stop()
	read, failed := false, false
	for {
		err := error(nil)
		if !read {
			err = b.read(ctx)
			read = err == nil
		}
		if read {
			err = b.write(ctx)
		}
		if err != nil && !failed && ctx.Err() == nil {
			b.Log.WarnContext(ctx, "which previews ended cannot be remembered; previews go on", "error", err, "again_in", writeEvery)
		}
		failed = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// read adds what was written before. What cannot be read is said and begun anew.
func (b *Book) read(ctx context.Context) error {
	var cm corev1.ConfigMap
	err := b.Client.Get(ctx, types.NamespacedName{Namespace: b.Namespace, Name: ConfigMap}, &cm)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read ConfigMap %s/%s: %w", b.Namespace, ConfigMap, err)
	}
	var before []Preview
	if text := cm.Data[key]; text != "" {
		if err := json.Unmarshal([]byte(text), &before); err != nil {
			b.Log.WarnContext(ctx, "the previews that ended before cannot be read, and are forgotten", "configmap", ConfigMap, "error", err)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range before {
		if !slices.ContainsFunc(b.all, func(is Preview) bool { return is.Namespace == e.Namespace && is.NamespaceUID == e.NamespaceUID }) {
			b.all = append(b.all, e)
		}
	}
	b.trim()
	return nil
}

// write keeps them, if there is something new.
func (b *Book) write(ctx context.Context) error {
	b.mu.Lock()
	if !b.dirty {
		b.mu.Unlock()
		return nil
	}
	b.dirty = false
	b.trim()
	text, err := b.fit()
	b.mu.Unlock()
	if err == nil {
		err = b.keep(ctx, text)
	}
	if err != nil {
		b.mu.Lock()
		b.dirty = true
		b.mu.Unlock()
		return fmt.Errorf("write ConfigMap %s/%s: %w", b.Namespace, ConfigMap, err)
	}
	return nil
}

// fit is their JSON. The longest ended are forgotten until it is small enough. The
// caller holds mu.
func (b *Book) fit() (string, error) {
	for {
		text, err := json.Marshal(b.all)
		if err != nil {
			return "", err
		}
		if len(text) <= mostBytes {
			return string(text), nil
		}
		b.all = b.all[:len(b.all)*mostBytes/(len(text)+1)]
	}
}

func (b *Book) keep(ctx context.Context, text string) error {
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Namespace: b.Namespace, Name: ConfigMap, Labels: map[string]string{snapshot.LabelOwner: b.Namespace, "app.kubernetes.io/part-of": "seedling"},
	}}
	err := b.Client.Get(ctx, client.ObjectKeyFromObject(cm), cm)
	cm.Data = map[string]string{key: text}
	if apierrors.IsNotFound(err) {
		return b.Client.Create(ctx, cm)
	}
	if err != nil {
		return err
	}
	return b.Client.Update(ctx, cm)
}
