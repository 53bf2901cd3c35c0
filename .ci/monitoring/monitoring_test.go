// Package monitoring has manifests/monitoring read by Prometheus itself. It is a
// module of its own, so that no other one needs Prometheus.
package monitoring

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

const folder = "../../manifests/monitoring"

var promQL = parser.NewParser(parser.Options{})

func alerts(t *testing.T) []rulefmt.Rule {
	t.Helper()
	groups, wrong := rulefmt.ParseFile(filepath.Join(folder, "rules.yaml"), false, model.LegacyValidation, promQL, slog.New(slog.DiscardHandler))
	for _, err := range wrong {
		t.Error(err)
	}
	if groups == nil || len(groups.Groups) != 1 || len(groups.Groups[0].Rules) == 0 {
		t.Fatal("there is not one group of alerts")
	}
	return groups.Groups[0].Rules
}

// Prometheus takes the alerts as they are: their form, expressions and templates,
// as `promtool check rules` does.
func TestRules(t *testing.T) {
	t.Parallel()
	for _, r := range alerts(t) {
		if r.Alert == "" {
			t.Errorf("%+v is no alert", r)
		}
	}
}

// now is when the alerts are asked, in seconds of Unix time.
const now = 10_000_000

// Each alert fires on what it is for, once for each thing, and on nothing else.
func TestAlerts(t *testing.T) {
	t.Parallel()
	// Samples five minutes apart, the last of them now.
	const list = `{forge="f", repository="r"} `
	cases := map[string]struct{ fires, quiet []string }{
		"SeedlingDown":        {[]string{}, []string{"seedling_broken_states 0x2"}},
		"SeedlingStateBroken": {[]string{"seedling_broken_states 1"}, []string{"seedling_broken_states 0"}},
		"SeedlingListOld": {
			[]string{"seedling_repository_listed_timestamp_seconds" + list + ago(400), "seedling_repository_list_seconds" + list + "2"},
			[]string{"seedling_repository_listed_timestamp_seconds" + list + ago(400), "seedling_repository_list_seconds" + list + "200"},
		},
		"SeedlingRepositoryProblem": {[]string{"seedling_repository_problem" + list + "1"}, []string{"seedling_repository_problem" + list + "0"}},
		"SeedlingSnapshotNone":      {[]string{`seedling_snapshot_data_timestamp_seconds{seed="seed"} 0`}, []string{`seedling_snapshot_data_timestamp_seconds{seed="seed"} ` + ago(60)}},
		"SeedlingSnapshotOld": {
			[]string{`seedling_snapshot_data_timestamp_seconds{seed="seed"} ` + ago(4*86400), `seedling_snapshot_data_timestamp_seconds{seed="seed-none"} 0`},
			[]string{`seedling_snapshot_data_timestamp_seconds{seed="seed"} ` + ago(2*86400), `seedling_snapshot_data_timestamp_seconds{seed="seed-none"} 0`},
		},
		"SeedlingGuardHolds":      {[]string{`seedling_guard_withheld_previews{applicationset="a"} 3`}, []string{`seedling_guard_withheld_previews{applicationset="a"} 0`}},
		"SeedlingOrphansKept":     {[]string{`seedling_guard_refusals_total{guard="orphans"} 0x20 1x5`}, []string{`seedling_guard_refusals_total{guard="orphans"} 1x30`, `seedling_guard_refusals_total{guard="endings"} 0x20 1x5`}},
		"SeedlingLeftOver":        {[]string{`seedling_leaked_objects{kind="Namespace"} 1`, `seedling_leaked_objects{kind="PersistentVolumeClaim"} 0`}, []string{`seedling_leaked_objects{kind="Namespace"} 0`}},
		"SeedlingEndingOld":       {[]string{"seedling_oldest_ending_seconds 1000"}, []string{"seedling_oldest_ending_seconds 0"}},
		"SeedlingRestoreSlow":     {[]string{"seedling_oldest_restore_seconds 700"}, []string{"seedling_oldest_restore_seconds 60"}},
		"SeedlingRestoresRefused": {[]string{"seedling_restore_requests_refused_total 0+10x20"}, []string{"seedling_restore_requests_refused_total 100x20"}},
		"SeedlingForgeLimited":    {[]string{`seedling_forge_limited_timestamp_seconds{forge="f"} ` + ago(-60)}, []string{`seedling_forge_limited_timestamp_seconds{forge="f"} ` + ago(60), `seedling_forge_limited_timestamp_seconds{forge="g"} 0`}},
		"SeedlingForgeBudget":     {[]string{`seedling_forge_calls_remaining{forge="f"} 50`}, []string{`seedling_forge_calls_remaining{forge="f"} 5000`}},
		"SeedlingQueueOld":        {[]string{`seedling_queue_oldest_seconds{queue="cluster"} 400`}, []string{`seedling_queue_oldest_seconds{queue="cluster"} 4`}},
		"SeedlingWebhooksRefused": {
			[]string{`seedling_webhook_calls_total{result="refused"} 0+1x20`, `seedling_webhook_calls_total{result="taken"} 7x20`},
			[]string{`seedling_webhook_calls_total{result="refused"} 0+1x20`, `seedling_webhook_calls_total{result="taken"} 0+1x20`},
		},
	}
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 100_000, Timeout: time.Minute, LookbackDelta: 5 * time.Minute, Parser: promQL})
	t.Cleanup(func() { _ = engine.Close() })
	for _, r := range alerts(t) {
		c, ok := cases[r.Alert]
		if !ok {
			t.Errorf("%s is not tried: add what it fires on, and what not", r.Alert)
			continue
		}
		for _, try := range []struct {
			series []string
			fires  int
		}{{c.fires, 1}, {c.quiet, 0}} {
			query, err := engine.NewInstantQuery(t.Context(), queryable(t, try.series), nil, r.Expr, time.Unix(now, 0))
			if err != nil {
				t.Fatal(err)
			}
			found, err := query.Exec(t.Context()).Vector()
			if err != nil || len(found) != try.fires {
				t.Errorf("%s fires %d times, not %d, on %q: %v (%v)", r.Alert, len(found), try.fires, try.series, found, err)
			}
			query.Close()
		}
	}
}

// ago is a time so many seconds ago.
func ago(seconds int) string { return strconv.Itoa(now - seconds) }

// stored are series in memory.
type stored struct {
	storage.Querier // that has nothing
	series          []storage.Series
}

func queryable(t *testing.T, described []string) storage.Queryable {
	t.Helper()
	s := &stored{Querier: storage.NoopQuerier()}
	for _, d := range described {
		name, values, err := promQL.ParseSeriesDesc(d)
		if err != nil {
			t.Fatalf("%s: %v", d, err)
		}
		var samples []chunks.Sample
		for i, v := range values {
			at := time.Unix(now, 0).Add(-time.Duration(len(values)-1-i) * 5 * time.Minute)
			samples = append(samples, sample{at.UnixMilli(), v.Value})
		}
		s.series = append(s.series, storage.NewListSeries(name, samples))
	}
	return storage.QueryableFunc(func(int64, int64) (storage.Querier, error) { return s, nil })
}

// Select are those that match.
func (s *stored) Select(_ context.Context, _ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	found := &set{}
	for _, one := range s.series {
		if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(one.Labels().Get(m.Name)) }) {
			found.series = append(found.series, one)
		}
	}
	return found
}

type set struct {
	series []storage.Series
	next   int
}

func (s *set) Next() bool                      { s.next++; return s.next <= len(s.series) }
func (s *set) At() storage.Series              { return s.series[s.next-1] }
func (*set) Err() error                        { return nil }
func (*set) Warnings() annotations.Annotations { return nil }

// sample is a time in milliseconds and a value.
type sample struct {
	t int64
	v float64
}

func (s sample) T() int64                    { return s.t }
func (sample) ST() int64                     { return 0 }
func (s sample) F() float64                  { return s.v }
func (sample) H() *histogram.Histogram       { return nil }
func (sample) FH() *histogram.FloatHistogram { return nil }
func (sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample         { return s }

// Every expression of the dashboard is PromQL.
func TestDashboard(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join(folder, "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string `json:"title"`
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal(raw, &dashboard); err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			asked++
			// Grafana fills it in with a duration.
			expr := strings.ReplaceAll(target.Expr, "$__rate_interval", "1m")
			if _, err := promQL.ParseExpr(expr); err != nil {
				t.Errorf("%q asks for %s: %v", p.Title, target.Expr, err)
			}
		}
	}
	if asked == 0 {
		t.Error("it asks for nothing")
	}
}
