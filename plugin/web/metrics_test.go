package web

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/seedling-dev/seedling/plugin/forge"
	"github.com/seedling-dev/seedling/plugin/preview"
	"github.com/seedling-dev/seedling/plugin/queue"
)

// The README's table is what the registry has: names, kinds, labels and what
// they say.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(readme), "\n## Metrics\n")
	text, _, _ = strings.Cut(text, "\n## ")
	var got []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "| `seedling_") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	var want []string
	for _, m := range described {
		name := m.name
		if len(m.labels) > 0 {
			name += "{" + strings.Join(m.labels, ",") + "}"
		}
		want = append(want, fmt.Sprintf("| `%s` | %s | %s |", name, m.kind, m.help))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the table of plugin/README.md differs from the registry (-registry +README):\n%s", diff)
	}
}

// Every metric has a value when everything has something to tell, and none has
// one that is not described.
func TestMetricsAreThere(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(metrics{Health{
		Previews: func() []preview.Preview { return []preview.Preview{{Seed: "seed", Phase: preview.Live}} },
		Status: func() preview.Status {
			return preview.Status{
				Repositories: []preview.RepositoryStatus{{Forge: "gitea", Repository: "acme/shop", Listed: time.Unix(5, 0)}},
				Queues:       map[string]queue.Stats{"gitea": {}},
				Withheld:     map[string]preview.Withheld{"previews": {Previews: 4}},
			}
		},
		Figures: func() Figures {
			return Figures{RestoresWaitingKnown: true, SyncsWaiting: map[string]int{"outdated": 1}, Leaked: map[string]int{"Namespace": 0}, Slots: map[string]map[string]int{"seed": {"ready": 1}}, SnapshotData: map[string]time.Time{"seed": {}}, Forges: map[string]forge.Budget{"gitea": {Calls: 1, Known: true}}}
		},
	}})
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, f := range families {
		there[f.GetName()] = true
	}
	for _, m := range described {
		if !there[m.name] {
			t.Errorf("%s has no value", m.name)
		}
		if counts := strings.HasSuffix(m.name, "_total"); counts != (m.kind == counter) {
			t.Errorf("%s is a %s", m.name, m.kind)
		}
	}
	if len(families) != len(described) {
		t.Errorf("%d are there, %d are described", len(families), len(described))
	}
}
