package preview

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/forge"
)

// One line for each event of a preview's life, from the first moment to the last.
func TestAudit(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w := newWorld(t, newHost())
	w.Audit = slog.New(slog.NewJSONHandler(&out, nil))
	w.seeds.set("seed", true)
	w.host.set(pull(1, func(p *forge.PullRequest) { p.Title, p.Branch = "hunter2", "hunter2" }))
	w.mustRound()
	w.mustRound() // nothing new, and nothing more to tell
	w.seeds.set("seed", false)
	w.mustRound()
	p, _ := w.preview(1)
	if err := w.Store.Record(t.Context(), p.Namespace, "seed-1", "uid-volume"); err != nil {
		t.Fatal(err)
	}
	w.Restored(p, Origin{Snapshot: "seed-1", DataTime: "2026-11-20T03:00:00Z", DumpTime: "2026-11-19T23:00:00Z", Volume: "uid-volume"})
	w.host.set(pull(1, closed))
	w.mustRound()
	p, _ = w.preview(1)
	w.now = w.now.Add(time.Minute)
	w.Removed(p)
	if err := w.Store.Forget(t.Context(), p.Namespace); err != nil {
		t.Fatal(err)
	}
	w.mustRound()

	type line struct {
		Event          string `json:"event"`
		Preview        string `json:"preview"`
		Repository     string `json:"repository"`
		ApplicationSet string `json:"applicationset"`
		Seed           string `json:"seed"`
		Number         int64  `json:"number"`
		FirstSeen      string `json:"first_seen"`
		LabelledBy     string `json:"labelled_by"`
		Checked        string `json:"consent_checked"`
	}
	var events []string
	lines := map[string]map[string]any{}
	for text := range strings.Lines(out.String()) {
		fields := map[string]any{}
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if err := json.Unmarshal([]byte(text), &fields); err != nil {
			t.Fatal(err)
		}
		events = append(events, l.Event)
		lines[l.Event] = fields
		if l.Preview != p.Namespace || l.Repository != "acme/shop" || l.ApplicationSet != "previews" || l.Seed != "seed" || l.Number != 1 || l.FirstSeen == "" {
			t.Errorf("it does not say which preview it is: %s", text)
		}
		// Nobody has been asked yet when it is held.
		if l.Event == "held" {
			continue
		}
		if l.LabelledBy != "maintainer" || !strings.Contains(l.Checked, "permission to write") {
			t.Errorf("it does not say who asked for it: %s", text)
		}
	}
	if diff := cmp.Diff([]string{"held", "live", "restored", "ended", "removed"}, events); diff != "" {
		t.Fatalf("events differ (-want +got):\n%s", diff)
	}
	for event, fields := range map[string][]string{
		"held": {"reason"}, "live": {"emitted_at", "namespace_uid"}, "restored": {"snapshot", "data_time", "dump_time", "volume_uid", "restored_at"},
		"ended":   {"reason", "emitted_at", "ended_at", "snapshot", "data_time", "dump_time", "volume_uid"},
		"removed": {"emitted_at", "ended_at", "removed_at", "confirmed", "snapshot", "data_time", "dump_time", "volume_uid"},
	} {
		for _, field := range fields {
			if s, _ := lines[event][field].(string); s == "" {
				t.Errorf("event %s does not say %s: %v", event, field, lines[event])
			}
		}
	}
	if strings.Contains(out.String(), "hunter2") {
		t.Error("it says what an author wrote")
	}
}

// That it sleeps, and why, and that it is awake again, is told too; and where
// approvals are what labels are elsewhere, that somebody approved it.
func TestAuditOfSleep(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w, p, _ := sleeper(t)
	w.Audit = slog.New(slog.NewJSONHandler(&out, nil))
	w.now = p.EmittedAt.Add(time.Hour)
	w.mustRound()
	w.mustRound()
	if err := w.WakePreview(t.Context(), p.Namespace); err != nil {
		t.Fatal(err)
	}
	w.Forges["gitea"] = approving{w.host}
	w.mustRound()
	w.mustRound()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for i, want := range [][]string{
		{`"event":"asleep"`, `"reason":"nobody pushed or woke it for 1h"`, "who set the label"},
		{`"event":"awake"`, `"slept_since":"2026-`, "who approved it"},
	} {
		for _, part := range want {
			if len(lines) != 2 || !strings.Contains(lines[i], part) {
				t.Errorf("line %d lacks %s of\n%s", i, part, out.String())
			}
		}
	}
}

// What a sync failed on is on the pull request, for the commit it was about, until
// it succeeds.
func TestFailedSyncIsSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newHost(pull(1)))
	w.mustRound()
	p, _ := w.preview(1)
	sha := p.HeadSHA
	status := func() forge.Status {
		t.Helper()
		w.mustRound()
		w.host.mu.Lock()
		defer w.host.mu.Unlock()
		return w.host.statuses[sha]
	}
	if s := status(); s.State != forge.Pending {
		t.Fatalf("%+v", s)
	}
	w.SyncFailed(p.Namespace, sha, "hook Job migrate failed")
	if s := status(); s.State != forge.Failure || s.Description != "Argo CD could not sync it: hook Job migrate failed" {
		t.Errorf("%+v", s)
	}
	// Why there is no data is the reason of the reason.
	w.Say(p.Namespace, "no usable snapshot", true)
	if s := status(); s.State != forge.Failure || s.Description != "No data yet: no usable snapshot" {
		t.Errorf("%+v", s)
	}
	w.Say(p.Namespace, "", false)
	w.SyncFailed(p.Namespace, strings.Repeat("0", 40), "of another commit")
	if s := status(); s.State != forge.Pending {
		t.Errorf("%+v", s)
	}
	w.SyncFailed(p.Namespace, sha, "again")
	pvc := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: snapshot.SeedPVC, Labels: map[string]string{snapshot.VeleroRestoreLabel: "x"}}}
	if err := w.cluster.Create(t.Context(), pvc); err != nil {
		t.Fatal(err)
	}
	if err := w.Store.Record(t.Context(), p.Namespace, "seed-1", pvc.UID); err != nil {
		t.Fatal(err)
	}
	if s := status(); s.State != forge.Failure {
		t.Errorf("%+v", s)
	}
	w.SyncFailed(p.Namespace, sha, "")
	if s := status(); s.State != forge.Success {
		t.Errorf("%+v", s)
	}
	// Nothing is said of what is nobody's preview.
	w.SyncFailed("preview-other-1-0123456789", sha, "x")
}

// A commit status that waits for its turn says what is so when it has it: one call
// and not two, and nothing that is over. What is given up is still said.
func TestStatusThatWaitedIsOfNow(t *testing.T) {
	t.Parallel()
	other := func(p *forge.PullRequest) { p.HeadSHA = sha2 }
	w := newWorld(t, newHost(pull(1), pull(2, other)))
	w.seeds.set("seed", true)
	repo := w.repo()
	// round does all but what only tells, which it returns.
	round := func() (tells []task) {
		t.Helper()
		w.now = w.now.Add(pollEvery)
		for done := false; !done; {
			done = true
			next, err := w.safely(t.Context(), repo)
			if err != nil {
				t.Fatal(err)
			}
			for _, task := range next.tasks {
				if strings.HasPrefix(task.key, "tell/") {
					repo.flights[task.key] = true
					tells = append(tells, task)
					continue
				}
				done = false
				_, _ = w.do(t.Context(), repo, task)
			}
		}
		return tells
	}
	tells := round()
	if len(tells) != 2 {
		t.Fatalf("%d statuses wait", len(tells))
	}
	w.seeds.set("seed", false)
	w.host.set(pull(2, other, unlabelled))
	tells = append(tells, round()...)
	if p, _ := w.preview(1); p.Phase != Live || len(tells) != 2 {
		t.Fatalf("%s, %d statuses wait", p.Phase, len(tells))
	}
	tells = append(tells, round()...)
	for _, task := range tells {
		_, _ = w.do(t.Context(), repo, task)
		delete(repo.flights, task.key)
	}
	if s := w.host.statuses[sha1]; !strings.HasSuffix(s.Description, " is starting") {
		t.Errorf("%+v", s)
	}
	if s := w.host.statuses[sha2]; s.Description != "No preview: the label was removed" {
		t.Errorf("%+v", s)
	}
	if again := round(); len(again) != 0 || len(tells) != 2 || len(repo.tells) != 1 {
		t.Errorf("%d statuses, then %d; remembered are %v", len(tells), len(again), repo.tells)
	}
}
