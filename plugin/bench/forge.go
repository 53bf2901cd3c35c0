package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seedling-dev/seedling/plugin/forge/forgetest"
)

const (
	forgeToken    = "a-token-of-the-forge"
	webhookSecret = "a-secret-of-the-webhook"
	// spare are pull requests of each repository that have no label yet.
	spare = 6
)

// forgeServer is a Gitea with many repositories.
type forgeServer struct {
	delay  time.Duration
	url    string
	kind   forgetest.Kind
	worlds map[string]*forgetest.World
	play   map[string]http.Handler
	names  []string

	calls atomic.Int64
	last  atomic.Int64 // when one came that is no list

	mu     sync.Mutex
	clock  time.Time
	spares []pull
	pushed int
	pulls  int64
}

// pull is a pull request and the ApplicationSet that wants it.
type pull struct {
	repository, set, sha string
	number               int64
}

var branches = []string{"main", "release"}

// setOf is the ApplicationSet of a repository's pull requests into a branch.
func setOf(repository, branch string) string {
	return strings.ReplaceAll(repository, "/", "-") + "-" + branch
}

func newForgeServer(o options) *forgeServer {
	f := &forgeServer{
		delay: o.forgeDelay, kind: forgetest.Gitea(), worlds: map[string]*forgetest.World{}, play: map[string]http.Handler{},
		clock: time.Now().Add(-time.Hour), pulls: int64(o.pulls),
	}
	for n := range o.repositories {
		name := fmt.Sprintf("acme/service-%02d", n)
		w := &forgetest.World{Repository: name, Pulls: map[int64]*forgetest.Pull{}, Users: map[string]string{"maintainer": "write"}, PageSize: 50}
		for number := int64(1); number <= int64(o.pulls+spare); number++ {
			w.Pulls[number] = f.open(name, number)
			if number <= int64(o.pulls) {
				f.addLabel(w.Pulls[number])
			} else {
				f.spares = append(f.spares, f.pull(w.Pulls[number]))
			}
		}
		f.names, f.worlds[name], f.play[name] = append(f.names, name), w, w.Handler(f.kind)
	}
	return f
}

func (f *forgeServer) tick() time.Time {
	f.clock = f.clock.Add(time.Second)
	return f.clock
}

func (f *forgeServer) open(repository string, number int64) *forgetest.Pull {
	return &forgetest.Pull{
		Repository: repository, Number: number, SHA: fmt.Sprintf("%040x", number), TargetBranch: branches[number%2],
		Title: fmt.Sprintf("Orders of customers in arrears are held back (%d)", number), Body: strings.Repeat("Because the ledger says so. ", 150),
		HeadRepository: repository, Updated: f.tick(), Labels: []string{"team-orders", "size/M"},
	}
}

func (f *forgeServer) addLabel(p *forgetest.Pull) {
	at := f.tick()
	p.Labels = append(p.Labels, forgetest.Label)
	p.Events = append(p.Events, forgetest.Event{Label: forgetest.Label, By: "maintainer", Added: true, At: at})
	p.Updated = at
}

func (f *forgeServer) pull(p *forgetest.Pull) pull {
	return pull{repository: p.Repository, set: setOf(p.Repository, p.TargetBranch), sha: p.SHA, number: p.Number}
}

// ServeHTTP implements http.Handler.
func (f *forgeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.calls.Add(1)
	if !strings.HasSuffix(r.URL.Path, "/pulls") {
		f.last.Store(time.Now().UnixNano())
	}
	time.Sleep(f.delay)
	if f.kind.Credential(r) != forgeToken {
		http.Error(w, `{"message":"token is required"}`, http.StatusUnauthorized)
		return
	}
	// /api/v1/repos/<owner>/<name>/...
	parts := strings.SplitN(r.URL.Path, "/", 7)
	handler := f.play[f.names[0]]
	if len(parts) >= 6 && parts[3] == "repos" {
		handler = f.play[parts[4]+"/"+parts[5]]
	}
	if handler == nil {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"message":"Not Found"}`)
		return
	}
	handler.ServeHTTP(w, r)
}

func (f *forgeServer) count() int64 { return f.calls.Load() }

// quiet waits until nothing but lists was asked for a while.
func (f *forgeServer) quiet(ctx context.Context, most time.Duration) error {
	for began := time.Now(); time.Since(began) < most; {
		if time.Since(time.Unix(0, f.last.Load())) > 5*time.Second {
			return nil
		}
		if err := wait(ctx, time.Second); err != nil {
			return err
		}
	}
	return errors.New("the plugin still asks the forge for other things than lists: is something tried again and again")
}

// unlabelled takes one of those that have no label yet.
func (f *forgeServer) unlabelled() (pull, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.spares) == 0 {
		return pull{}, errors.New("all pull requests are labelled: ask for fewer --labels")
	}
	// Repositories take turns.
	at := (len(f.spares) * 7) % 11 % len(f.spares)
	p := f.spares[at]
	f.spares = append(f.spares[:at], f.spares[at+1:]...)
	return p, nil
}

// label labels one, and returns the webhook call that tells of it.
func (f *forgeServer) label(p pull) (header http.Header, body []byte) {
	w := f.worlds[p.repository]
	f.mu.Lock()
	defer f.mu.Unlock()
	w.Change(func() {
		f.addLabel(w.Pulls[p.number])
		header, body = f.kind.Webhook(w.Pulls[p.number], "labeled", webhookSecret)
	})
	return header, body
}

// push pushes to one of the labelled, another one each time.
func (f *forgeServer) push() (p pull, header http.Header, body []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pushed++
	repository := f.names[f.pushed%len(f.names)]
	number := int64(f.pushed/len(f.names))%f.pulls + 1
	w := f.worlds[repository]
	w.Change(func() {
		is := w.Pulls[number]
		is.SHA, is.Updated = fmt.Sprintf("%040x", 1<<32+f.pushed), f.tick()
		p = f.pull(is)
		header, body = f.kind.Webhook(is, "synchronized", webhookSecret)
	})
	return p, header, body
}
