// Command bench measures the plugin at a large organisation's size: `make
// bench-plugin`.
//
// 4,000 open, labelled pull requests in 40 repositories are asked for by 80
// ApplicationSets, two for each repository. The plugin is its real binary in a
// process of its own. Around it everything is played by this program over HTTP:
//
//   - a Gitea that answers as its API's documentation says, 100 ms a call
//     (package forgetest), with descriptions of 4 KB;
//   - an API server in memory, 5 ms a call (package kubefake): no kube-apiserver,
//     whose own work would be measured on the same cores;
//   - Argo CD, which asks for an ApplicationSet when it is poked and each minute,
//     ten at a time, and makes an Application of each preview;
//   - Velero, whose Restores never begin, so that the hooks of 200 previews wait.
//
// Namespaces and guards are made for each preview, consent is asked for each
// pull request, and a commit status is written for each, as in production.
//
// It ends with lines `FIGURE name value unit`. cold_start_4000 and
// cold_start_first count from the start of the process, in a cluster that has
// nothing of it, until answers hold all previews, and one. restart_4000 is the
// same where state and previews are there. generator_p50 and _p99 are of a
// steady 20 requests a second. label_to_answer_p99 counts from the arrival of
// the webhook of a new label to the first answer that holds the pull request,
// _200_waiting the same while 200 hooks wait at the broker. webhook_to_poke_p99
// counts from the arrival of one of 50 webhooks of pushes that come at once to
// the poke that leads to an answer with its commit. forge_calls_per_poll is how
// many calls of the forge a request of the generator causes: those in a minute
// with 1,200 requests less those in a minute with none. plugin_memory is the
// peak of the process over all of this.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/seedling-dev/seedling/hooks/command"
)

func main() { os.Exit(command.Main("bench-plugin", run)) }

// options are what is measured.
type options struct {
	repositories, pulls   int
	forgeDelay, kubeDelay time.Duration
	minute                time.Duration
	rate                  int
	labels, pushes        int
	bursts, waiting       int
	keep                  string
}

func run(ctx context.Context, env command.Env) error {
	var o options
	set := flag.NewFlagSet("bench-plugin", flag.ContinueOnError)
	set.IntVar(&o.repositories, "repositories", 40, "`repositories`, with two ApplicationSets each")
	set.IntVar(&o.pulls, "pulls", 100, "labelled pull `requests` of each repository")
	set.DurationVar(&o.forgeDelay, "forge", 100*time.Millisecond, "what a call of the forge `takes`")
	set.DurationVar(&o.kubeDelay, "kube", 5*time.Millisecond, "what a call of the API server `takes`")
	set.DurationVar(&o.minute, "minute", time.Minute, "how `long` a steady state is measured")
	set.IntVar(&o.rate, "rate", 20, "`requests` of the generator a second in the steady state")
	set.IntVar(&o.labels, "labels", 100, "pull `requests` that are labelled, and again while hooks wait")
	set.IntVar(&o.pushes, "pushes", 50, "`webhooks` of pushes in a burst")
	set.IntVar(&o.bursts, "bursts", 4, "how `many` bursts")
	set.IntVar(&o.waiting, "waiting", 200, "`hooks` that wait")
	set.StringVar(&o.keep, "keep", "", "a `folder` for the plugin's log and profiles, whose writing takes memory that is measured then")
	if err := command.ParseFlags(set, env); err != nil {
		return err
	}
	if o.repositories < 1 || o.pulls < 2 || o.labels < 1 || o.pushes < 1 || o.bursts < 1 || o.rate < 1 || o.waiting < 0 {
		return command.Misconfiguredf("a figure needs something to measure: only --waiting may be 0, --pulls is at least 2")
	}
	dir := o.keep
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "bench-plugin-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	} else if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	b := &bench{options: o, out: env.Stdout, errors: env.Stderr, dir: dir}
	return b.run(ctx)
}

// bench is a run, with everything that surrounds the plugin.
type bench struct {
	options
	out, errors io.Writer
	dir         string

	forge   *forgeServer
	cluster *clusterServer
	argo    *argo
	plugin  *plugin
	figures []string
}

func (b *bench) say(format string, args ...any) { fmt.Fprintf(b.out, format+"\n", args...) }

func (b *bench) figure(name string, value float64, format, unit string) {
	line := fmt.Sprintf("FIGURE %s "+format+" %s", name, value, unit)
	b.say("  %s", line)
	b.figures = append(b.figures, line) // all of them once more at the end
}

func (b *bench) run(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	b.forge = newForgeServer(b.options)
	if b.cluster, err = newClusterServer(b.options); err != nil {
		return err
	}
	servers := &servers{}
	defer servers.close()
	if b.forge.url, err = servers.serve(ctx, b.forge); err != nil {
		return err
	}
	if b.cluster.url, err = servers.serve(ctx, b.cluster.server); err != nil {
		return err
	}
	if b.plugin, err = buildPlugin(ctx, b.dir, b.forge.url, b.cluster.url, b.keep != "", b.errors); err != nil {
		return err
	}
	b.argo = newArgo(b.plugin, b.cluster)
	go b.argo.run(ctx)
	total := b.repositories * b.pulls
	b.say("%d pull requests in %d repositories, %d ApplicationSets; forge %s a call, API server in memory %s a call",
		total, b.repositories, 2*b.repositories, b.forgeDelay, b.kubeDelay)

	defer func() { err = errors.Join(err, b.plugin.stop()) }()
	for _, phase := range []func(context.Context) error{b.coldStart, b.steady, b.labelled, b.burst, b.patient, b.restart} {
		if err := phase(ctx); err != nil {
			return fmt.Errorf("%w; the plugin's log ends:\n%s", err, b.plugin.tail())
		}
	}
	b.figure("plugin_memory", b.plugin.peak, "%.0f", "MB")
	b.say("")
	for _, f := range b.figures {
		b.say("%s", f)
	}
	return nil
}

// coldStart is a first start, in a cluster that has nothing of the plugin.
func (b *bench) coldStart(ctx context.Context) error {
	began := time.Now()
	forgeCalls, kubeCalls := b.forge.count(), b.cluster.count()
	if err := b.plugin.start(ctx); err != nil {
		return err
	}
	first, err := b.argo.waitFor(ctx, 1, time.Hour, b.progress("cold start", began))
	if err != nil {
		return err
	}
	b.figure("cold_start_first", first.Sub(began).Seconds(), "%.1f", "s")
	all, err := b.argo.waitFor(ctx, b.repositories*b.pulls, time.Hour, b.progress("cold start", began))
	if err != nil {
		return err
	}
	b.figure(fmt.Sprintf("cold_start_%d", b.repositories*b.pulls), all.Sub(began).Seconds(), "%.0f", "s")
	b.say("  %d calls of the forge, %d of the API server; %s", b.forge.count()-forgeCalls, b.cluster.count()-kubeCalls, b.plugin.usage())
	return nil
}

// progress says now and then how far it is.
func (b *bench) progress(what string, began time.Time) func(int) {
	said := began
	return func(n int) {
		if time.Since(said) >= 30*time.Second {
			said = time.Now()
			b.say("  %s: %d answered after %.0f s; %s", what, n, time.Since(began).Seconds(), b.plugin.usage())
		}
	}
}

// restart is a start with everything there.
func (b *bench) restart(ctx context.Context) error {
	if err := b.plugin.stop(); err != nil {
		return err
	}
	b.argo.forget()
	began := time.Now()
	if err := b.plugin.start(ctx); err != nil {
		return err
	}
	all, err := b.argo.waitFor(ctx, b.repositories*b.pulls, time.Hour, b.progress("restart", began))
	if err != nil {
		return err
	}
	b.figure(fmt.Sprintf("restart_%d", b.repositories*b.pulls), all.Sub(began).Seconds(), "%.1f", "s")
	return nil
}

// steady is a minute in which nobody asks but the plugin itself, and one with
// requests at a steady pace.
func (b *bench) steady(ctx context.Context) error {
	// What a cold start leaves to be told is told first.
	began, before := time.Now(), b.forge.count()
	if err := b.forge.quiet(ctx, 10*time.Minute); err != nil {
		return err
	}
	b.say("  all is told %.0f s later, with %d calls of the forge; %s", time.Since(began).Seconds(), b.forge.count()-before, b.plugin.usage())
	// Whole minutes of the poll, so that both have the same lists.
	b.argo.pause(true)
	defer b.argo.pause(false)
	before = b.forge.count()
	if err := wait(ctx, b.minute); err != nil {
		return err
	}
	alone := b.forge.count() - before
	before = b.forge.count()
	took, err := b.argo.steadily(ctx, b.rate, b.minute)
	if err != nil {
		return err
	}
	with := b.forge.count() - before
	b.say("  steady state: %d calls of the forge in %s without requests, %d with %d; %s", alone, b.minute, with, len(took), b.plugin.usage())
	b.figure("generator_p50", milliseconds(quantile(took, 0.5)), "%.1f", "ms")
	b.figure("generator_p99", milliseconds(quantile(took, 0.99)), "%.1f", "ms")
	b.figure("forge_calls_per_poll", max(float64(with-alone)/float64(len(took)), 0), "%.2f", "count")
	return nil
}

// labelled labels pull requests, two a second.
func (b *bench) labelled(ctx context.Context) error {
	took, err := b.label(ctx, b.labels)
	if err != nil {
		return err
	}
	b.say("  label to answer: p50 %.0f ms, worst %.0f ms of %d", milliseconds(quantile(took, 0.5)), milliseconds(quantile(took, 1)), len(took))
	b.figure("label_to_answer_p99", milliseconds(quantile(took, 0.99)), "%.0f", "ms")
	return nil
}

func (b *bench) label(ctx context.Context, n int) ([]time.Duration, error) {
	results := make(chan result, n)
	for range n {
		p, err := b.forge.unlabelled()
		if err != nil {
			return nil, err
		}
		header, body := b.forge.label(p)
		go func() {
			sent := time.Now()
			answered := b.argo.expect(p.set, p.number, "")
			err := b.plugin.webhook(ctx, header, body)
			if err == nil {
				var seen sighting
				seen, err = answered(ctx)
				results <- result{seen.answered.Sub(sent), err}
				return
			}
			results <- result{0, err}
		}()
		if err := wait(ctx, 500*time.Millisecond); err != nil {
			return nil, err
		}
	}
	return collect(results, n)
}

// burst pushes to many pull requests at once.
func (b *bench) burst(ctx context.Context) error {
	var all, answers []time.Duration
	for range b.bursts {
		results := make(chan result, b.pushes)
		held := make(chan result, b.pushes)
		for range b.pushes {
			p, header, body := b.forge.push()
			go func() {
				sent := time.Now()
				answered := b.argo.expect(p.set, p.number, p.sha)
				if err := b.plugin.webhook(ctx, header, body); err != nil {
					results <- result{0, err}
					held <- result{0, err}
					return
				}
				seen, err := answered(ctx)
				results <- result{seen.poked.Sub(sent), err}
				held <- result{seen.answered.Sub(sent), err}
			}()
		}
		took, err := collect(results, b.pushes)
		if err != nil {
			return err
		}
		later, err := collect(held, b.pushes)
		if err != nil {
			return err
		}
		all, answers = append(all, took...), append(answers, later...)
		if err := wait(ctx, 5*time.Second); err != nil {
			return err
		}
	}
	b.say("  %d bursts of %d pushes: webhook to poke p50 %.0f ms, to the answer with the commit p99 %.0f ms; %s",
		b.bursts, b.pushes, milliseconds(quantile(all, 0.5)), milliseconds(quantile(answers, 0.99)), b.plugin.usage())
	b.figure("webhook_to_poke_p99", milliseconds(quantile(all, 0.99)), "%.0f", "ms")
	return nil
}

// patient is labelling while hooks wait at the broker.
func (b *bench) patient(ctx context.Context) error {
	if b.waiting == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	hooks, err := b.hooks(ctx, b.waiting)
	if err != nil {
		return err
	}
	if err := hooks.allWait(ctx); err != nil {
		return err
	}
	before := b.cluster.count()
	began := time.Now()
	took, err := b.label(ctx, b.labels)
	if err != nil {
		return err
	}
	b.say("  with %d hooks waiting: p50 %.0f ms, worst %.0f ms; %.0f calls of the API server a second; hooks were told 202 %d times, else %v; %s",
		b.waiting, milliseconds(quantile(took, 0.5)), milliseconds(quantile(took, 1)), float64(b.cluster.count()-before)/time.Since(began).Seconds(),
		hooks.accepted.Load(), hooks.others(), b.plugin.usage())
	b.figure(fmt.Sprintf("label_to_answer_p99_%d_waiting", b.waiting), milliseconds(quantile(took, 0.99)), "%.0f", "ms")
	return nil
}

// result is what one measurement came to.
type result struct {
	took time.Duration
	err  error
}

func collect(results <-chan result, n int) ([]time.Duration, error) {
	var took []time.Duration
	var wrong []error
	for range n {
		r := <-results
		took, wrong = append(took, r.took), append(wrong, r.err)
	}
	return took, errors.Join(wrong...)
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// quantile is by nearest rank.
func quantile(list []time.Duration, q float64) time.Duration {
	if len(list) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(list))
	rank := int(q*float64(len(s)) + 0.999999)
	return s[min(max(rank-1, 0), len(s)-1)]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
