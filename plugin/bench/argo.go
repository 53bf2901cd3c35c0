package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

const (
	// requeue is what applicationsets/previews.yaml says.
	requeue = time.Minute
	// afterError is how long Argo CD waits after an error.
	afterError = 3 * time.Minute
	// atOnce is Argo CD's default of ApplicationSets side by side.
	atOnce = 10
	// patience is how long an answer is waited for.
	patience = 2 * time.Minute
)

// argo plays Argo CD's ApplicationSet controller.
type argo struct {
	plugin  *plugin
	cluster *clusterServer
	turns   chan struct{}
	sets    map[string]*applicationSet
	paused  atomic.Bool

	mu sync.Mutex
	// changed is closed when an answer came, and replaced.
	changed chan struct{}
}

// applicationSet is what Argo CD knows of one.
type applicationSet struct {
	name    string
	request []byte
	poke    chan time.Time
	// answer are the commits by number; history are those that were answered at
	// a poke.
	answer map[int64]string
	at     sighting
}

// sighting is an answer, and the poke that led to it.
type sighting struct{ poked, answered time.Time }

func newArgo(p *plugin, c *clusterServer) *argo {
	a := &argo{plugin: p, cluster: c, turns: make(chan struct{}, atOnce), sets: map[string]*applicationSet{}, changed: make(chan struct{})}
	for name, input := range c.inputs {
		request, _ := json.Marshal(map[string]any{"applicationSetName": name, "input": map[string]any{"parameters": input}}) //nolint:errchkjson // maps and strings marshal
		a.sets[name] = &applicationSet{name: name, request: request, poke: make(chan time.Time, 1), answer: map[int64]string{}}
	}
	return a
}

func (a *argo) run(ctx context.Context) {
	for _, set := range a.sets {
		go a.follow(ctx, set)
	}
	for ctx.Err() == nil {
		if err := a.watch(ctx); err != nil {
			_ = wait(ctx, time.Second)
		}
	}
}

// watch sees pokes as an informer does.
func (a *argo) watch(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.cluster.url+"/apis/argoproj.io/v1alpha1/namespaces/argocd/applicationsets?watch=true", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	for d := json.NewDecoder(res.Body); ; {
		var e struct {
			Type   string `json:"type"`
			Object struct {
				Metadata struct {
					Name        string            `json:"name"`
					Annotations map[string]string `json:"annotations"`
				} `json:"metadata"`
			} `json:"object"`
		}
		if err := d.Decode(&e); err != nil {
			return err
		}
		if set := a.sets[e.Object.Metadata.Name]; set != nil && e.Type == "MODIFIED" && e.Object.Metadata.Annotations[snapshot.AnnotationPoke] != "" {
			select {
			case set.poke <- time.Now():
			default: // it is asked for
			}
		}
	}
}

// follow asks for one ApplicationSet when it is poked, and now and then.
func (a *argo) follow(ctx context.Context, set *applicationSet) {
	next := time.Duration(rand.Int64N(int64(requeue))) //nolint:gosec // it only spreads them
	for {
		timer := time.NewTimer(next)
		var poked time.Time
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case poked = <-set.poke:
			timer.Stop()
		case <-timer.C:
			poked = time.Now()
			if a.paused.Load() {
				next = time.Second
				continue
			}
		}
		a.turns <- struct{}{}
		body, err := a.ask(ctx, set)
		<-a.turns
		next = requeue
		if err != nil {
			next = afterError
			continue
		}
		if err := a.take(set, body, poked); err != nil {
			panic(err) // the plugin answered 200 with what is no answer
		}
	}
}

func (a *argo) ask(ctx context.Context, set *applicationSet) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+a.plugin.generator+"/api/v1/getparams.execute", bytes.NewReader(set.request))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+generatorToken)
	res, err := a.plugin.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("the generator answers %s: %s", res.Status, body)
	}
	return body, err
}

// take takes in an answer, and makes its Applications.
func (a *argo) take(set *applicationSet, body []byte, poked time.Time) error {
	now := time.Now()
	var answer struct {
		Output struct {
			Parameters []map[string]string `json:"parameters"`
		} `json:"output"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	commits := map[int64]string{}
	a.mu.Lock()
	before := set.answer
	a.mu.Unlock()
	for _, p := range answer.Output.Parameters {
		number, err := strconv.ParseInt(p["number"], 10, 64)
		if err != nil {
			return err
		}
		commits[number] = p["head_sha"]
		if before[number] != p["head_sha"] {
			if err := a.cluster.apply(p); err != nil {
				return err
			}
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	set.answer, set.at = commits, sighting{poked: poked, answered: now}
	close(a.changed)
	a.changed = make(chan struct{})
	return nil
}

// forget drops all answers.
func (a *argo) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, set := range a.sets {
		set.answer = map[int64]string{}
		select {
		case set.poke <- time.Now(): // so that it asks now
		default:
		}
	}
}

func (a *argo) pause(on bool) { a.paused.Store(on) }

// waitFor waits until answers hold that many previews, and says since when.
func (a *argo) waitFor(ctx context.Context, n int, most time.Duration, progress func(int)) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		a.mu.Lock()
		have, changed := 0, a.changed
		for _, set := range a.sets {
			have += len(set.answer)
		}
		a.mu.Unlock()
		if have >= n {
			return time.Now(), nil
		}
		progress(have)
		select {
		case <-changed:
		case <-look.C:
		case err := <-a.plugin.ended:
			return time.Time{}, fmt.Errorf("the plugin ended: %w", err)
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("%d of %d previews are answered: %w", have, n, ctx.Err())
		}
	}
}

// expect waits for an answer that holds a pull request, with a commit where one
// is given.
func (a *argo) expect(name string, number int64, sha string) func(context.Context) (sighting, error) {
	set := a.sets[name]
	return func(ctx context.Context) (sighting, error) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		for {
			a.mu.Lock()
			is, ok := set.answer[number]
			at, changed := set.at, a.changed
			a.mu.Unlock()
			if ok && (sha == "" || is == sha) {
				return at, nil
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return sighting{}, fmt.Errorf("pull request %d is not in an answer for %s: %w", number, name, ctx.Err())
			}
		}
	}
}

// steadily asks at a steady pace, whether or not answers came, and returns how
// long each took.
func (a *argo) steadily(ctx context.Context, rate int, during time.Duration) ([]time.Duration, error) {
	n := int(during.Seconds() * float64(rate))
	names := make([]string, 0, len(a.sets))
	for name := range a.sets {
		names = append(names, name)
	}
	slices.Sort(names)
	results := make(chan result, n)
	for i := range n {
		set := a.sets[names[i%len(names)]]
		go func() {
			began := time.Now()
			body, err := a.ask(ctx, set)
			if err == nil && len(body) == 0 {
				err = errors.New("an empty answer")
			}
			results <- result{time.Since(began), err}
		}()
		if err := wait(ctx, time.Second/time.Duration(rate)); err != nil {
			return nil, err
		}
	}
	return collect(results, n)
}
