package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/seedling-dev/seedling/e2e/platform"
)

// branchPrefix begins the branches of the benchmark's pull requests.
const branchPrefix = "bench-restore-"

// firstQuery is the pod that asks until it is answered, and says when.
//
//go:embed first-query.yaml
var firstQuery string

// life is how long the beginning of a preview took.
type life struct {
	query, healthy, hook time.Duration
}

// open opens a pull request.
func (b *bench) open(ctx context.Context) (*platform.PullRequest, error) {
	b.made++
	change := platform.Change{"CHANGES.md": fmt.Sprintf("# Change %d\n", b.made)}
	return b.platform.OpenPullRequest(ctx, fmt.Sprintf("%s%d-%d", branchPrefix, time.Now().Unix(), b.made), "A change to measure", change)
}

// label asks for previews whose Postgres is the platform's, or the pull request's.
func (b *bench) label() string {
	if b.postgres == "own" {
		return platform.LabelPreview
	}
	return platform.LabelPlatform
}

// ask puts the pod that asks into a preview's network as soon as that is there.
func (b *bench) ask(ctx context.Context, t *platform.Timeline) error {
	if err := t.Wait(ctx, platform.NamespaceMade); err != nil {
		return err
	}
	pod := &corev1.Pod{}
	if err := yaml.UnmarshalStrict([]byte(strings.ReplaceAll(firstQuery, "IMAGE", b.platform.Image("seed-postgres"))), pod); err != nil {
		return err
	}
	// Its ServiceAccount, Secret and policies come a moment after the namespace.
	return b.platform.Wait(ctx, "put a client into the preview", func(ctx context.Context) error {
		pod.Namespace = t.Namespace(ctx)
		if pod.Namespace == "" {
			return errors.New("its namespace is not there yet")
		}
		return client.IgnoreAlreadyExists(b.platform.Kube.Create(ctx, pod.DeepCopy()))
	})
}

// one is the life of one preview.
func (b *bench) one(ctx context.Context, mode string) (l life, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Minute, errors.New("a preview was not there after ten minutes"))
	defer cancel()
	slot := ""
	if mode == warm {
		if slot, err = b.platform.WaitSlot(ctx, ""); err != nil {
			return l, err
		}
		if err := b.platform.Ask(ctx, slot); err != nil {
			return l, err
		}
	}
	pr, err := b.open(ctx)
	if err != nil {
		return l, err
	}
	t, err := b.platform.Watch(ctx, pr)
	if err != nil {
		return l, err
	}
	defer t.Stop()
	if err := pr.Label(ctx, b.label()); err != nil {
		return l, err
	}
	labelled := time.Now() // the call has returned
	t.Mark(platform.Labelled)
	if slot == "" {
		if err := b.ask(ctx, t); err != nil {
			return l, err
		}
	}
	if err := t.Wait(ctx, platform.HookDone, platform.ApplicationHealthy); err != nil {
		return l, err
	}
	v, err := b.platform.WaitPreview(ctx, pr, "")
	if err != nil {
		return l, err
	}
	if slot != "" && v.Namespace != slot {
		return l, fmt.Errorf("the preview has namespace %s, and slot %s was waiting", v.Namespace, slot)
	}
	answered, err := b.answered(ctx, v.Namespace, mode)
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
func (b *bench) answered(ctx context.Context, namespace, mode string) (at time.Time, err error) {
	err = b.platform.Wait(ctx, "wait for the first query of "+namespace, func(ctx context.Context) error {
		if mode == warm {
			at, _, err = b.platform.Answered(ctx, namespace)
			return err
		}
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
		pr, err := b.open(ctx)
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
		all.Go(func() { errs[i] = pr.Label(ctx, b.label()) })
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
