// Command bench-restore measures the way from a label to a first query on a real
// cluster, beside a restore on demand of the same dump: `make bench-restore`.
//
// For each size the seed is refreshed, pg_restore restores the same dump into a
// fresh volume, and then previews are made one after the other, the modes of
// restore in turn, and many at once. Each preview is gone before the next begins.
//
// It ends with lines `FIGURE name value unit`:
//
//   - on_demand_<size>: from the creation of the objects to the first answer.
//   - label_to_first_query_p50_<mode>_<size> and _p95_: from the call that labels
//     the pull request until a pod of the preview, which waits in its network, has
//     counted the rows of a table through Service postgres with Secret postgres,
//     against the Postgres that stays (--postgres). Of mode warm, which is direct with a preview in advance, that pod is there
//     before the label; it has no bursts, which would find one slot.
//   - label_to_healthy_p50_<mode>_<size>: until Argo CD calls the Application so.
//   - hook_p50_<mode>_<size> and _p95_: from the creation of Job preview-restore
//     until it is complete.
//   - burst<n>_last_<mode>: with n labelled at once, from the creation of the first
//     hook until the last is complete, and burst<n>_label_to_last_hook_<mode> from
//     the first label.
//   - size_ratio_<largest>_vs_<smallest>: of the first queries' medians.
//   - saved_vs_on_demand_<size>: percent of on_demand that the slowest mode's median
//     saves.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seedling-dev/seedling/e2e/cluster"
	"github.com/seedling-dev/seedling/e2e/platform"
	"github.com/seedling-dev/seedling/e2e/shop"
	"github.com/seedling-dev/seedling/hooks/command"
)

func main() { os.Exit(command.Main("bench-restore", run)) }

// options are what is measured.
type options struct {
	name          string
	sizes, bursts []int // MB; previews
	modes         []string
	postgres      string
	rounds        int
	onDemand      bool
}

func run(ctx context.Context, env command.Env) error {
	o := options{}
	var sizes, bursts, modes string
	set := flag.NewFlagSet("bench-restore", flag.ContinueOnError)
	set.StringVar(&o.name, "name", cluster.DefaultName, "`name` of the cluster")
	set.StringVar(&sizes, "sizes-mb", "100,1000,5000", "`sizes` of the data as COPY text, in MB (10^6 bytes)")
	set.StringVar(&modes, "modes", "velero,direct,warm", "`modes` of restore")
	set.StringVar(&o.postgres, "postgres", "platform", "whose Postgres: the `platform`'s, as in new ApplicationSets, or the pull request's own")
	set.IntVar(&o.rounds, "rounds", 20, "`previews` of each size and mode, one after the other")
	set.StringVar(&bursts, "bursts", "20,50", "how `many` are labelled at once, with the smallest size; empty for none")
	set.BoolVar(&o.onDemand, "on-demand", true, "restore each dump on demand, too")
	if err := command.ParseFlags(set, env); err != nil {
		return err
	}
	var err error
	if o.sizes, err = numbers(sizes); err != nil || len(o.sizes) == 0 {
		return command.Misconfiguredf("--sizes-mb is %q: give numbers of MB with commas between them", sizes)
	}
	if o.bursts, err = numbers(bursts); err != nil {
		return command.Misconfiguredf("--bursts is %q: give numbers of previews with commas between them, or nothing", bursts)
	}
	if o.rounds < 1 {
		return command.Misconfiguredf("--rounds is %d: a median needs one at least", o.rounds)
	}
	o.modes = strings.Split(modes, ",")
	for _, mode := range o.modes {
		if mode != "velero" && mode != "direct" && mode != warm {
			return command.Misconfiguredf("--modes has %q: the modes are velero, direct and warm", mode)
		}
	}
	if o.postgres != "platform" && o.postgres != "own" {
		return command.Misconfiguredf("--postgres is %q: it is platform or own", o.postgres)
	}
	slices.Sort(o.sizes)
	b := &bench{options: o, log: env.Log, figures: map[string]float64{}}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	err = b.measure(ctx)
	for _, line := range b.lines {
		fmt.Fprintln(env.Stdout, line)
	}
	return err
}

func numbers(list string) ([]int, error) {
	var all []int
	for _, s := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' }) {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is no number above 0", s)
		}
		all = append(all, n)
	}
	return all, nil
}

// bench is a run.
type bench struct {
	options
	log      *slog.Logger
	cluster  *cluster.Cluster
	platform *platform.Platform

	made    int
	lines   []string
	figures map[string]float64
}

func (b *bench) figure(name string, value float64, unit string) {
	b.figures[name] = value
	line := fmt.Sprintf("FIGURE %s %.2f %s", name, value, unit)
	b.lines = append(b.lines, line)
	b.log.Info(line)
}

func (b *bench) prepare(ctx context.Context) (err error) {
	if err := cluster.Prepare(ctx, b.log); err != nil {
		return err
	}
	if b.cluster, err = cluster.Up(ctx, cluster.Options{Name: b.name, Log: b.log}); err != nil {
		return err
	}
	if b.platform, err = platform.Install(ctx, b.cluster, platform.Options{Log: b.log}); err != nil {
		return err
	}
	_, err = b.platform.CloseAll(ctx, branchPrefix) // of a run that was ended
	return err
}

// rawNamespace holds what pg_restore makes on demand: unmasked.
const rawNamespace = "on-demand"

func (b *bench) measure(ctx context.Context) (err error) {
	was, err := b.platform.Configure(ctx, func(config string) string { return config })
	if err != nil {
		return err
	}
	defer func() {
		_, back := b.platform.Configure(context.WithoutCancel(ctx), func(string) string { return was })
		err = errors.Join(err, back)
	}()
	for i, mb := range b.sizes {
		if err := b.size(ctx, mb); err != nil {
			return fmt.Errorf("%s: %w", size(mb), err)
		}
		if i > 0 {
			continue
		}
		for _, n := range b.bursts {
			for _, mode := range b.modes {
				if mode == warm {
					continue
				}
				if err := b.burst(ctx, mode, n); err != nil {
					return fmt.Errorf("%d at once in mode %s: %w", n, mode, err)
				}
			}
		}
	}
	smallest, largest := size(b.sizes[0]), size(b.sizes[len(b.sizes)-1])
	if smallest != largest {
		for _, mode := range b.modes {
			b.figure(fmt.Sprintf("size_ratio_%s_vs_%s_%s", largest, smallest, mode),
				b.figures["label_to_first_query_p50_"+mode+"_"+largest]/b.figures["label_to_first_query_p50_"+mode+"_"+smallest], "ratio")
		}
	}
	return nil
}

// size measures one size of the data.
func (b *bench) size(ctx context.Context, mb int) error {
	dump, err := shop.OfMB(mb).Dump(ctx, b.log)
	if err != nil {
		return err
	}
	url, err := dump.Upload(ctx, b.cluster.S3())
	if err != nil {
		return err
	}
	if _, err := b.platform.Refresh(ctx, platform.Refresh{Dump: url, SHA256: dump.SHA256}); err != nil {
		return err
	}
	if b.onDemand {
		presigned, err := dump.Presign(ctx, b.cluster.S3(), time.Hour)
		if err != nil {
			return err
		}
		took, err := b.platform.OnDemand(ctx, rawNamespace, presigned)
		if err != nil {
			return err
		}
		b.figure("on_demand_"+size(mb), took.Seconds(), "s")
		if err := b.platform.RemoveNamespace(ctx, rawNamespace); err != nil {
			return err
		}
	}
	slowest := 0.0
	for _, mode := range b.modes {
		if err := b.mode(ctx, mode); err != nil {
			return err
		}
		var all []life
		for range b.rounds {
			l, err := b.one(ctx, mode)
			if err != nil {
				return fmt.Errorf("mode %s: %w", mode, err)
			}
			all = append(all, l)
		}
		name := mode + "_" + size(mb)
		query := of(all, func(l life) time.Duration { return l.query })
		hook := of(all, func(l life) time.Duration { return l.hook })
		b.figure("label_to_first_query_p50_"+name, quantile(query, 0.5), "s")
		b.figure("label_to_first_query_p95_"+name, quantile(query, 0.95), "s")
		b.figure("label_to_healthy_p50_"+name, quantile(of(all, func(l life) time.Duration { return l.healthy }), 0.5), "s")
		b.figure("hook_p50_"+name, quantile(hook, 0.5), "s")
		b.figure("hook_p95_"+name, quantile(hook, 0.95), "s")
		slowest = max(slowest, quantile(query, 0.5))
	}
	if b.onDemand {
		b.figure("saved_vs_on_demand_"+size(mb), 100*(1-slowest/b.figures["on_demand_"+size(mb)]), "percent")
	}
	return nil
}

// mode makes the plugin restore in one.
func (b *bench) mode(ctx context.Context, mode string) error {
	was, err := b.platform.Configure(ctx, func(config string) string {
		if mode == warm {
			return platform.Warm(modeLine.ReplaceAllString(config, "mode: direct"), 1)
		}
		return platform.Warm(modeLine.ReplaceAllString(config, "mode: "+mode), 0)
	})
	if err == nil && !modeLine.MatchString(was) {
		return errors.New("the plugin's configuration names no mode, so that it cannot be changed: add the line `mode: velero`")
	}
	return err
}

// warm is direct mode with a preview in advance.
const warm = "warm"

var modeLine = regexp.MustCompile(`(?m)^mode: \w+`)

// size is a size as figures name it.
func size(mb int) string {
	if mb < 1000 {
		return strconv.Itoa(mb) + "MB"
	}
	return strconv.FormatFloat(float64(mb)/1000, 'f', -1, 64) + "GB"
}

func of(all []life, what func(life) time.Duration) []time.Duration {
	var times []time.Duration
	for _, l := range all {
		times = append(times, what(l))
	}
	slices.Sort(times)
	return times
}

// quantile is by nearest rank, in seconds, of sorted times.
func quantile(sorted []time.Duration, q float64) float64 {
	rank := int(q*float64(len(sorted)) + 0.999999)
	return sorted[min(max(rank-1, 0), len(sorted)-1)].Seconds()
}
