package web

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"text/template"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

const monitoring = "../../manifests/monitoring"

func monitoringFile(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(monitoring, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

type alertGroup struct {
	Name  string `json:"name"`
	Rules []struct {
		Alert       string            `json:"alert"`
		Expr        string            `json:"expr"`
		For         string            `json:"for,omitempty"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	} `json:"rules"`
}

type gridPos struct {
	X int `json:"x"`
	Y int `json:"y"`
	W int `json:"w"`
	H int `json:"h"`
}

type panel struct {
	ID      int     `json:"id"`
	Type    string  `json:"type"`
	Title   string  `json:"title"`
	GridPos gridPos `json:"gridPos"`
	Targets []struct {
		Expr         string `json:"expr"`
		LegendFormat string `json:"legendFormat"`
		Datasource   struct {
			UID string `json:"uid"`
		} `json:"datasource"`
	} `json:"targets"`
}

// Every alert asks for metrics and labels that there are, says what to do, and
// is in both files.
func TestAlerts(t *testing.T) {
	t.Parallel()
	var plain struct {
		Groups []alertGroup `json:"groups"`
	}
	var operators struct {
		APIVersion, Kind string
		Metadata         map[string]any
		Spec             struct {
			Groups []alertGroup `json:"groups"`
		}
	}
	if err := yaml.UnmarshalStrict(monitoringFile(t, "rules.yaml"), &plain); err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(monitoringFile(t, "operator/prometheusrule.yaml"), &operators); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(plain.Groups, operators.Spec.Groups); diff != "" {
		t.Errorf("operator/prometheusrule.yaml differs from rules.yaml:\n%s", diff)
	}
	var documented, there []string
	for _, row := range regexp.MustCompile(`(?m)^\| (Seedling\w+) \| (\w+) \|`).FindAllStringSubmatch(string(monitoringFile(t, "README.md")), -1) {
		documented = append(documented, row[1]+" "+row[2])
	}
	for _, g := range plain.Groups {
		for _, r := range g.Rules {
			there = append(there, r.Alert+" "+r.Labels["severity"])
			labels := asked(t, r.Alert, r.Expr)
			for _, name := range []string{"summary", "description"} {
				text := r.Annotations[name]
				if text == "" {
					t.Errorf("%s has no %s", r.Alert, name)
				}
				for _, use := range regexp.MustCompile(`\$labels\.(\w+)`).FindAllStringSubmatch(text, -1) {
					if !labels[use[1]] {
						t.Errorf("%s: its %s says label %s, which %s has not", r.Alert, name, use[1], r.Expr)
					}
				}
			}
		}
	}
	if diff := cmp.Diff(there, documented); diff != "" || len(there) == 0 {
		t.Errorf("the README's table differs from the alerts (-alerts +README):\n%s", diff)
	}
}

// The dashboard shows every metric, by its labels, and no panel covers another.
func TestDashboard(t *testing.T) {
	t.Parallel()
	var dashboard struct {
		UID    string  `json:"uid"`
		Panels []panel `json:"panels"`
	}
	if err := json.Unmarshal(monitoringFile(t, "dashboard.json"), &dashboard); err != nil {
		t.Fatal(err)
	}
	ids, titles := map[int]bool{}, map[string]bool{}
	taken := map[[2]int]string{}
	var all strings.Builder
	for _, p := range dashboard.Panels {
		if ids[p.ID] || titles[p.Title] || p.Title == "" {
			t.Errorf("panel %d %q is there twice, or has no title", p.ID, p.Title)
		}
		ids[p.ID], titles[p.Title] = true, true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%q is over %q, or over the edge", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%q asks for nothing", p.Title)
		}
		for _, target := range p.Targets {
			if target.Datasource.UID != "${datasource}" {
				t.Errorf("%q asks the data source %q", p.Title, target.Datasource.UID)
			}
			labels := asked(t, p.Title, target.Expr)
			for _, use := range regexp.MustCompile(`{{(\w+)}}`).FindAllStringSubmatch(target.LegendFormat, -1) {
				if !labels[use[1]] {
					t.Errorf("%q: its legend says %s, which %s has not", p.Title, use[1], target.Expr)
				}
			}
			all.WriteString(target.Expr + "\n")
		}
	}
	for _, m := range described {
		if !regexp.MustCompile(`\b` + m.name + `\b`).MatchString(all.String()) {
			t.Errorf("%s is in no panel", m.name)
		}
	}
}

// asked checks an expression of PromQL as far as names go: its metrics and
// labels are there, counters and no others are taken as rates, brackets close.
// It returns the labels of what comes out.
func asked(t *testing.T, where, expr string) map[string]bool {
	t.Helper()
	var open []rune
	for _, r := range regexp.MustCompile(`"[^"]*"`).ReplaceAllString(expr, "") {
		switch r {
		case '(', '[', '{':
			open = append(open, r)
		case ')', ']', '}':
			if len(open) == 0 || !strings.Contains("() [] {}", string(open[len(open)-1])+string(r)) {
				t.Errorf("%s: brackets of %s", where, expr)
				return nil
			}
			open = open[:len(open)-1]
		}
	}
	known := map[string]*metric{}
	for _, m := range described {
		known[m.name] = m
	}
	labels := map[string]bool{}
	uses := regexp.MustCompile(`(\w+\(\s*)?\b(seedling_\w+)(?:{([^}]*)})?(\[)?`).FindAllStringSubmatch(expr, -1)
	if len(uses) == 0 || len(open) > 0 {
		t.Errorf("%s: %q asks for nothing of ours, or does not end", where, expr)
	}
	for _, use := range uses {
		m := known[use[2]]
		if m == nil {
			t.Errorf("%s: there is no %s", where, use[2])
			continue
		}
		function := strings.TrimRight(use[1], "( ")
		if counts := function == "rate" || function == "increase"; counts != (m.kind == counter) || counts != (use[4] != "") {
			t.Errorf("%s: %s is a %s, and asked as %s(%s%s", where, m.name, m.kind, function, m.name, use[4])
		}
		of := map[string]bool{}
		for _, l := range m.labels {
			of[l], labels[l] = true, true
		}
		for _, match := range regexp.MustCompile(`(\w+)\s*[=!]`).FindAllStringSubmatch(use[3], -1) {
			if !of[match[1]] {
				t.Errorf("%s: %s has no label %s", where, m.name, match[1])
			}
		}
	}
	for _, by := range regexp.MustCompile(`\b(by|without)\s*\(([^)]*)\)`).FindAllStringSubmatch(expr, -1) {
		kept := map[string]bool{}
		for l := range strings.SplitSeq(by[2], ",") {
			l = strings.TrimSpace(l)
			if !labels[l] {
				t.Errorf("%s: %s %s, which is no label of what it sums", where, by[1], l)
			}
			kept[l] = true
		}
		if by[1] == "by" {
			labels = kept
		}
	}
	return labels
}

// The templates for Argo CD's notifications say which preview and where to look,
// and nothing that an author, an API server or a tool wrote.
func TestNotifications(t *testing.T) {
	t.Parallel()
	var cm corev1.ConfigMap
	if err := yaml.UnmarshalStrict(monitoringFile(t, "argocd-notifications/argocd-notifications-cm.yaml"), &cm); err != nil {
		t.Fatal(err)
	}
	const said = "pq: rejected row (secret-of-a-row)"
	app := map[string]any{
		"metadata": map[string]any{
			"name": "preview-acme-shop-7-ab12", "namespace": "argocd", "labels": map[string]any{"seedling.dev/preview": "7"},
			"annotations": map[string]any{
				"link.argocd.argoproj.io/external-link": "https://git.example.com/acme/shop/pulls/7",
				"seedling.dev/title":                    said, "seedling.dev/branch": said, "seedling.dev/author": said,
			},
		},
		"spec": map[string]any{"sources": []any{
			map[string]any{"repoURL": "https://git.example.com/acme/shop.git", "targetRevision": "0123abcd"},
			map[string]any{"repoURL": "https://git.example.com/acme/platform.git", "targetRevision": "main"},
		}},
		"status": map[string]any{
			"operationState": map[string]any{"phase": "Failed", "message": said},
			"conditions":     []any{map[string]any{"type": "SyncError", "message": said}},
			"health":         map[string]any{"status": "Degraded", "message": said},
		},
	}
	var triggers []struct {
		When    string   `json:"when"`
		OncePer string   `json:"oncePer"`
		Send    []string `json:"send"`
	}
	if err := yaml.UnmarshalStrict([]byte(cm.Data["trigger.seedling-preview-failed"]), &triggers); err != nil || len(triggers) != 2 {
		t.Fatalf("triggers %+v: %v", triggers, err)
	}
	used := 1
	for _, trigger := range triggers {
		if trigger.When == "" || trigger.OncePer == "" || len(trigger.Send) != 1 {
			t.Fatalf("trigger %+v", trigger)
		}
		used++
		raw := cm.Data["template."+trigger.Send[0]]
		var fields any
		if err := yaml.Unmarshal([]byte(raw), &fields); err != nil || raw == "" {
			t.Fatalf("%s: %q, %v", trigger.Send[0], raw, err)
		}
		parsed, err := template.New(trigger.Send[0]).Option("missingkey=error").Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := parsed.Execute(&out, map[string]any{"app": app, "context": map[string]string{"argocdUrl": "https://argocd.example.com"}}); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), said) {
			t.Errorf("%s says what it may not:\n%s", trigger.Send[0], out.String())
		}
		for _, want := range []string{"repoURLPath: \"https://git.example.com/acme/shop.git\"", "revisionPath: \"0123abcd\"", "https://git.example.com/acme/shop/pulls/7", "https://argocd.example.com/applications/argocd/preview-acme-shop-7-ab12"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s does not say %s:\n%s", trigger.Send[0], want, out.String())
			}
		}
	}
	if len(cm.Data) != used {
		t.Errorf("%d keys, %d are used", len(cm.Data), used)
	}
}
