package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// waitingHooks are preview-restores that ask the broker again and again.
type waitingHooks struct {
	accepted atomic.Int64
	first    sync.WaitGroup

	mu   sync.Mutex
	said map[string]int
}

// hooks starts n of them, each at an address of its own, as pods have.
func (b *bench) hooks(ctx context.Context, n int) (*waitingHooks, error) {
	tokens, err := b.cluster.tokens(n)
	if err != nil {
		return nil, err
	}
	h := &waitingHooks{said: map[string]int{}}
	h.first.Add(n)
	for i, token := range tokens {
		dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(i>>8), byte(i))}}
		client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DialContext: dialer.DialContext}}
		go h.ask(ctx, client, "http://"+b.plugin.broker+snapshot.RestorePath, token)
	}
	return h, nil
}

func (h *waitingHooks) ask(ctx context.Context, client *http.Client, url, token string) {
	done := sync.OnceFunc(h.first.Done)
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
		if err != nil {
			return
		}
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := client.Do(req)
		switch {
		case err != nil && ctx.Err() == nil:
			h.say(err.Error())
		case err == nil && res.StatusCode == http.StatusAccepted:
			h.accepted.Add(1)
			done()
		case err == nil:
			body, _ := io.ReadAll(io.LimitReader(res.Body, 200)) // for the sentence
			h.say(fmt.Sprintf("%d %s", res.StatusCode, body))
		}
		if err == nil {
			_ = res.Body.Close()
		}
		_ = wait(ctx, time.Second)
	}
}

func (h *waitingHooks) say(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.said[what]++
}

// others are the answers that were not "wait".
func (h *waitingHooks) others() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.said)
}

// allWait waits until each was told to wait.
func (h *waitingHooks) allWait(ctx context.Context) error {
	all := make(chan struct{})
	go func() {
		h.first.Wait()
		close(all)
	}()
	select {
	case <-all:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(5 * time.Minute):
		return fmt.Errorf("not all hooks were told to wait; they were told: %v", h.others())
	}
}
