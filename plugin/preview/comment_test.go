package preview

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seedling-dev/seedling/plugin/forge"
)

// talking is a world that comments.
func talking(t *testing.T, pulls ...forge.PullRequest) *world {
	t.Helper()
	w := newWorld(t, newHost(pulls...))
	w.talks = true
	w.restart()
	return w
}

// comment is what our only comment says.
func (w *world) comment(n int64) string {
	w.t.Helper()
	w.host.mu.Lock()
	defer w.host.mu.Unlock()
	own := ""
	for _, c := range w.host.comments[n] {
		if c.by != "seedling" {
			continue
		}
		if own != "" {
			w.t.Errorf("it has two comments of ours: %v", w.host.comments[n])
		}
		own = c.body
	}
	return own
}

func (w *world) says(n int64, want ...string) {
	w.t.Helper()
	got := w.comment(n)
	for _, text := range want {
		if !strings.Contains(got, text) {
			w.t.Errorf("%q is missing in:\n%s", text, got)
		}
	}
}

// TestComment is what is said through a life, in one comment.
func TestComment(t *testing.T) {
	t.Parallel()
	w := talking(t)
	w.seeds.set("seed", true)
	w.host.comments = map[int64][]remark{1: {{"1", "stranger", "mine\n\n" + w.marker()}}}
	w.asks(asksWith(map[string]string{"domain": `"example.com"`, "cap": "1"}))
	w.host.set(pull(1))
	w.host.set(pull(2))
	w.mustRound()
	w.mustRound()
	w.says(1, "**Preview previews: Waiting**", "Held back: no usable snapshot", "\n\n[//]: # (seedling-previews seedling)\n")
	w.seeds.set("seed", false)
	for range 3 {
		w.mustRound()
	}
	w.says(1, "**Preview previews: Starting**", "is starting", "[Argo CD](<https://argocd.example.com/applications/preview-shop-1-")
	w.says(2, "Waiting", "it is 1st in the queue")
	p, _ := w.preview(1)
	w.Say(p.Namespace, "Restore x failed", true)
	w.mustRound()
	w.says(1, "Failed", "No data yet: Restore x failed")
	w.Say(p.Namespace, "", false)
	(&model{world: w}).restored(p)
	if err := w.Store.RecordData(t.Context(), p.Namespace, w.now.Add(-dayLong), time.Time{}); err != nil {
		t.Fatal(err)
	}
	w.mustRound()
	w.says(1, "**Preview previews: Ready**", "- <https://"+p.Namespace+".example.com>", "masked data of 2026-11-20 ", "snapshot `seed-1`",
		"kubectl -n "+p.Namespace+" port-forward service/postgres 5432", "psql -h localhost -U app app", "logs POD", "ends 2026-11-2", "when its time is over: push, or set label preview-keep")
	w.Reconciler.seeds.saw("seed", "seed-2", w.now)
	w.mustRound()
	w.says(1, "there is newer data, of 2026-11-21", "set label preview-reset")

	// A restart writes nothing twice, and one that somebody removed comes again
	// when there is news.
	spoken := w.host.spoken
	w.restart()
	w.asks(asksWith(map[string]string{"domain": `"example.com"`, "cap": "1"}))
	w.Reconciler.seeds.saw("seed", "seed-2", w.now.Add(-time.Minute))
	w.mustRound()
	if w.host.spoken > spoken+1 {
		t.Errorf("after a restart %d comments were written", w.host.spoken-spoken)
	}
	w.host.with(func(h *host) { h.comments[1] = h.comments[1][:1] })
	w.SyncFailed(p.Namespace, p.HeadSHA, "hook Job migrate failed")
	w.mustRound()
	w.says(1, "**Preview previews: Failed**", "Argo CD could not sync it: hook Job migrate failed", "psql")
	w.host.set(pull(1, closed))
	w.mustRound()
	w.says(1, "**Preview previews: No preview**", "the pull request is closed")
	if c := w.host.comments[1][0]; c.body != "mine\n\n"+w.marker() {
		t.Errorf("a stranger's comment was edited: %+v", c)
	}
}

// TestSaysThatAHeadWaits: a live preview stays at the commit whose images are
// there, and the new one says so.
func TestSaysThatAHeadWaits(t *testing.T) {
	t.Parallel()
	w := talking(t, pull(1))
	w.host.green[sha1] = true
	w.asks(asksWith(map[string]string{"waitForStatus": `"images"`}))
	w.mustRound()
	p, _ := w.preview(1)
	(&model{world: w}).restored(p)
	w.mustRound()
	w.says(1, "**Preview previews: Ready**")
	w.host.set(pull(1, push(sha2)))
	w.mustRound()
	waits := "The preview stays at " + sha1[:8] + ": it waits for commit status images to succeed"
	w.says(1, "**Preview previews: Ready, at an earlier commit**", "- "+waits, "psql")
	if s := w.host.statuses[sha2]; s.State != forge.Pending || s.Description != waits {
		t.Errorf("of the new commit it says %+v", s)
	}
	w.SyncFailed(p.Namespace, sha1, "hook Job migrate failed")
	w.mustRound()
	w.says(1, "**Preview previews: Failed**", "- "+waits, "- Argo CD could not sync that commit: hook Job migrate failed")
	w.SyncFailed(p.Namespace, sha1, "")
	w.host.with(func(h *host) { h.green[sha2] = true })
	w.mustRound()
	w.mustRound()
	w.says(1, "**Preview previews: Ready**")
	if s := w.host.statuses[sha2]; s.State != forge.Success {
		t.Errorf("of the new commit it says %+v", s)
	}
}

// TestCommentRests: our comment changes the pull request, and that is no news to
// tell of.
func TestCommentRests(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*world){
		"live":          func(*world) {},
		"without data":  func(w *world) { w.seeds.set("seed", true) },
		"by a stranger": func(w *world) { w.host.labelled[1] = "stranger" },
	} {
		w := talking(t, pull(1))
		change(w)
		for range 5 {
			w.mustRound()
		}
		spoken := w.host.spoken
		for range 30 {
			w.mustRound()
		}
		if w.host.spoken != spoken || spoken > 3 {
			t.Errorf("%s: %d comments were written, and then %d", name, spoken, w.host.spoken-spoken)
		}
		if name == "by a stranger" && spoken > 0 {
			t.Errorf("%s: it says %s", name, w.comment(1))
		}
	}
}

// TestCommentOfTheEnd: what was just called ready is called ended at once, because
// an ended preview may be gone before long.
func TestCommentOfTheEnd(t *testing.T) {
	t.Parallel()
	w := talking(t, pull(1))
	w.mustRound()
	w.mustRound()
	w.says(1, "Starting")
	p, _ := w.preview(1)
	(&model{world: w}).restored(p)
	w.mustRound()
	w.says(1, "Ready")
	w.host.set(pull(1, closed))
	w.now = w.now.Add(commentApart / 2)
	w.Trigger("gitea", "acme/shop", 1, time.Time{})
	if err := w.quickRound(); err != nil {
		t.Fatal(err)
	}
	w.says(1, "**Preview previews: No preview**", "the pull request is closed")
}

// TestCommentOnce: however many ApplicationSets ask, there is one comment, and
// each may be left out.
func TestCommentOnce(t *testing.T) {
	t.Parallel()
	w := talking(t, pull(1))
	all := map[string]Asked{}
	for _, name := range []string{"web", "api", "quiet"} {
		all[name] = Asked{}
		asked := asksForShop
		if name == "quiet" {
			asked = asksWith(map[string]string{"comments": "false"})
		}
		all[name] = Asked{Inputs: append(all[name].Inputs, asked)}
	}
	w.SetApplicationSets(all)
	for range 3 {
		w.mustRound()
	}
	w.says(1, "**Preview api: Starting**", "**Preview web: Starting**")
	if got := w.comment(1); strings.Contains(got, "quiet") || strings.Index(got, "Preview api") > strings.Index(got, "Preview web") {
		t.Errorf("it says %s", got)
	}
	w = talking(t, pull(1))
	w.Comments = false
	w.mustRound()
	if w.host.spoken != 0 {
		t.Errorf("it says %s", w.comment(1))
	}
}

// TestCommentsAreBounded: many comments wait, and nothing waits for them; a forge
// that lets us write none is left alone.
func TestCommentsAreBounded(t *testing.T) {
	t.Parallel()
	var pulls []forge.PullRequest
	for n := range int64(60) {
		pulls = append(pulls, pull(n+1))
	}
	w := talking(t, pulls...)
	w.mustRound()
	if len(w.answered()) != 60 {
		t.Fatalf("%d are answered", len(w.answered()))
	}
	if w.host.spoken > commentsAtOnce {
		t.Errorf("%d comments were written at once", w.host.spoken)
	}
	// Those that wait are no tasks, which would be steps again and again.
	repo := w.repo()
	for key := range repo.pace {
		if strings.HasPrefix(key, "comment/") {
			t.Errorf("task %s was begun in vain", key)
		}
	}
	for range 10 {
		w.mustRound()
	}
	for n := range int64(60) {
		w.says(n+1, "Starting")
	}
	w = talking(t, pulls[:3]...)
	w.host.commentErr = fmt.Errorf("403: %w", forge.ErrCredential)
	for range 10 {
		w.mustRound()
	}
	if len(w.answered()) != 3 {
		t.Errorf("answered is %v", w.answered())
	}
	if n := strings.Count(w.said.String(), "does not let us comment"); n != 3 {
		t.Errorf("it was said %d times", n)
	}
}

// TestLastWords: what a failed hook said at its end is quoted where only members
// read it, and nowhere else.
func TestLastWords(t *testing.T) {
	t.Parallel()
	for _, public := range []bool{false, true} {
		w := talking(t, pull(1))
		w.host.public = public
		w.mustRound()
		p, _ := w.preview(1)
		(&model{world: w}).restored(p)
		ended := func(code int32, at time.Time, message string) corev1.ContainerStatus {
			return corev1.ContainerStatus{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, FinishedAt: metav1.NewTime(at), Message: message}}}
		}
		for name, pod := range map[string]corev1.ContainerStatus{
			"migrate-1": ended(1, w.now, "an earlier try"),
			"migrate-2": ended(1, w.now.Add(time.Minute), strings.Repeat("before\n", 20)+"```\n/close @all\nERROR: column \x00\"x\" exists\n"),
			"other":     ended(0, w.now.Add(time.Hour), "all is well"),
		} {
			if err := w.cluster.Create(t.Context(), &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: name, Labels: map[string]string{labelJob: "migrate"}},
				Status:     corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{pod}},
			}); err != nil {
				t.Fatal(err)
			}
		}
		w.SyncFailed(p.Namespace, p.HeadSHA, "hook Job migrate failed")
		for range 3 {
			w.mustRound()
		}
		w.says(1, "Failed", "hook Job migrate failed")
		got := w.comment(1)
		if quoted := strings.Contains(got, "before\n'''\n/close @all\nERROR: column \"x\" exists\n```"); quoted == public || public && strings.Contains(got, "column") {
			t.Errorf("public %v: it says\n%s", public, got)
		}
		if strings.Contains(got, "earlier") || strings.Contains(got, "all is well") || strings.Count(got, "before") > 7 || strings.Count(got, "```")%2 != 0 {
			t.Errorf("it says\n%s", got)
		}
		w.SyncFailed(p.Namespace, p.HeadSHA, "")
		w.mustRound()
		w.says(1, "Ready")
		if got := w.comment(1); strings.Contains(got, "column") {
			t.Errorf("when all is well it says\n%s", got)
		}
	}
}

func TestEscape(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain words, and (these): a-b.c": "plain words, and (these): a-b.c",
		"@everybody":                      "\\@\u200beverybody",
		"see #1 and acme/shop!2":          "see \\#\u200b1 and acme/shop\\!\u200b2",
		"<img src=x onerror=y>":           "\\<img src=x onerror=y\\>",
		"[click](https://evil)":           "\\[click\\](https:\u200b//evil)",
		"`code` *bold* _it_ |":            "\\`code\\` \\*bold\\* \\_it\\_ \\|",
		"/close":                          "\u200b/close",
		"a\n/close\r\n[//]: # (marker)":   "a \u200b/close \\[//\\]: \\#\u200b (marker)",
		"www.evil.com":                    "www\u200b.evil.com",
		"tu\u202ern\u200b":                "turn",
		"\x00\xff a":                      "a",
	} {
		if got := escape(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
	if got := escape(strings.Repeat("ä", 5000)); len([]rune(got)) != maxSentence {
		t.Errorf("%d characters", len([]rune(got)))
	}
	for word, want := range map[string]string{"app": "app", "a b": "'a b'", "a'b": `'a'\''b'`, "a```b": "ab"} {
		if got := shell(word); got != want {
			t.Errorf("%q is %s", word, got)
		}
	}
}
