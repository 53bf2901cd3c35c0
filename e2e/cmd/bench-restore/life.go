package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/seedling-dev/seedling/e2e/platform"
)

// branchPrefix begins the branches of the benchmark's pull requests.
const branchPrefix = "bench-restore-"

// firstQuery is the pod of a pull request's that asks until it is answered, and
// says when.
//
//go:embed first-query.yaml
var firstQuery string

// life is how long the beginning of a preview took.
type life struct {
	query, healthy, hook time.Duration
}

// open opens a pull request, with the pod that asks or without.
func (b *bench) open(ctx context.Context, asks bool) (*platform.PullRequest, error) {
	b.made++
	change := platform.Change{"CHANGES.md": fmt.Sprintf("# Change %d\n", b.made)}
	if asks {
		const folder = "deploy/preview/"
		usual, err := b.platform.ShopFile(folder + "kustomization.yaml")
		if err != nil {
			return nil, err
		}
		change[folder+"first-query.yaml"] = strings.ReplaceAll(firstQuery, "IMAGE", b.platform.Image("seed-postgres"))
		change[folder+"kustomization.yaml"] = strings.Replace(usual, "resources:\n", "resources:\n  - first-query.yaml\n", 1)
	}
	return b.platform.OpenPullRequest(ctx, fmt.Sprintf("%s%d-%d", branchPrefix, time.Now().Unix(), b.made), "A change to measure", change)
}

// one is the life of one preview.
func (b *bench) one(ctx context.Context) (l life, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Minute, errors.New("a preview was not there after ten minutes"))
	defer cancel()
	pr, err := b.open(ctx, true)
	if err != nil {
		return l, err
	}
	t, err := b.platform.Watch(ctx, pr)
	if err != nil {
		return l, err
	}
	defer t.Stop()
	if err := pr.Label(ctx, platform.LabelPreview); err != nil {
		return l, err
	}
	labelled := time.Now() // the call has returned
	t.Mark(platform.Labelled)
	if err := t.Wait(ctx, platform.HookDone, platform.ApplicationHealthy); err != nil {
		return l, err
	}
	v, err := b.platform.WaitPreview(ctx, pr, "")
	if err != nil {
		return l, err
	}
	answered, err := b.answered(ctx, v.Namespace)
	if err != nil {
		return l, err
	}
	l = life{query: answered.Sub(labelled), healthy: t.At(platform.ApplicationHealthy).Sub(labelled)}
	l.hook, _ = t.Between(platform.HookMade, platform.HookDone)
	var moments []any
	err = t.Each(ctx, platform.ApplicationHealthy, func(m platform.Moment, at time.Time) {
		moments = append(moments, string(m), at.Sub(labelled).Round(10*time.Millisecond))
	})
	if err != nil {
		return l, err
	}
	b.log.Info("a preview", append(moments, "first query", l.query.Round(10*time.Millisecond))...)
	if err := pr.Close(ctx); err != nil {
		return l, err
	}
	return l, b.platform.WaitGone(ctx, v.Namespace)
}

// answered is when the preview's own pod had its answer.
func (b *bench) answered(ctx context.Context, namespace string) (at time.Time, err error) {
	err = b.platform.Wait(ctx, "wait for the first query of "+namespace, func(ctx context.Context) error {
		logs, err := b.platform.PodLog(ctx, namespace, "app=first-query")
		if err != nil {
			return err
		}
		for line := range strings.Lines(logs) {
			if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "answered "); ok {
				at, err = time.Parse(time.RFC3339Nano, rest)
				return err
			}
		}
		return errors.New("it has no answer yet")
	})
	return at, err
}

// burst labels many pull requests at once.
func (b *bench) burst(ctx context.Context, mode string, n int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 30*time.Minute, errors.New("they were not there after half an hour"))
	defer cancel()
	if err := b.mode(ctx, mode); err != nil {
		return err
	}
	var pulls []*platform.PullRequest
	var lines []*platform.Timeline
	defer func() {
		for _, t := range lines {
			t.Stop()
		}
	}()
	for range n {
		pr, err := b.open(ctx, false)
		if err != nil {
			return err
		}
		t, err := b.platform.Watch(ctx, pr)
		if err != nil {
			return err
		}
		pulls, lines = append(pulls, pr), append(lines, t)
	}
	labelled := time.Now()
	errs := make([]error, n)
	var all sync.WaitGroup
	for i, pr := range pulls {
		all.Go(func() { errs[i] = pr.Label(ctx, platform.LabelPreview) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	var first, last time.Time
	for _, t := range lines {
		if err := t.Wait(ctx, platform.HookDone); err != nil {
			return err
		}
		if made := t.At(platform.HookMade); first.IsZero() || made.Before(first) {
			first = made
		}
		if done := t.At(platform.HookDone); done.After(last) {
			last = done
		}
	}
	b.figure(fmt.Sprintf("burst%d_last_%s", n, mode), last.Sub(first).Seconds(), "s")
	b.figure(fmt.Sprintf("burst%d_label_to_last_hook_%s", n, mode), last.Sub(labelled).Seconds(), "s")
	gone, err := b.platform.CloseAll(ctx, branchPrefix)
	if err != nil {
		return err
	}
	for _, namespace := range gone {
		if err := b.platform.WaitGone(ctx, namespace); err != nil {
			return err
		}
	}
	return nil
}
