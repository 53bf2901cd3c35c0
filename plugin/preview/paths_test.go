package preview

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/forge"
)

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pattern string
		yes, no []string
	}{
		{"services/api/**", []string{"services/api/main.go", "services/api/a/b/c"}, []string{"services/api", "services/api2/main.go", "x/services/api/main.go", "services"}},
		{"services/api", []string{"services/api/main.go", "services/api"}, []string{"services/api.go", "services/apis/x"}},
		{"**", []string{"a", "a/b", ".github/x"}, nil},
		{"*", []string{"README.md"}, []string{"a/b"}},
		{"**/*.go", []string{"main.go", "a/b/main.go"}, []string{"main.gone", "go"}},
		{"services/*/Dockerfile", []string{"services/web/Dockerfile"}, []string{"services/Dockerfile", "services/a/b/Dockerfile"}},
		{"services/{api,web}/**", []string{"services/web/x"}, []string{"services/jobs/x"}},
		{"a b/ü/**", []string{"a b/ü/x"}, []string{"a b/u/x"}},
	} {
		for want, files := range map[bool][]string{true: test.yes, false: test.no} {
			for _, file := range files {
				if matches([]string{"other", test.pattern}, file) != want {
					t.Errorf("%s and %s: want %v", test.pattern, file, want)
				}
			}
		}
	}
	if !changes(forge.Changes{Cut: "too many"}, []string{"a"}) || changes(forge.Changes{}, []string{"**"}) {
		t.Error("a list that is cut counts as changed, an empty one does not")
	}
}

// asks are the parameters of a generator.
func asks(t *testing.T, more string) map[string]json.RawMessage {
	t.Helper()
	var in map[string]json.RawMessage
	if err := json.Unmarshal([]byte(`{"forge":"gitea","repo":"acme/shop",`+more+`}`), &in); err != nil {
		t.Fatal(err)
	}
	return in
}

// TestInputSaysAll: an input names everything that is wrong with it.
func TestInputSaysAll(t *testing.T) {
	t.Parallel()
	_, err := ParseInput(asks(t, `
		"forge": "no forge", "repo": 3, "label": "a", "resetLabel": "a", "seed": "other", "domain": "-", "waitForStatus": null, "nonsense": 1,
		"filters": {"drafts": "no", "forks": "yes", "authors": [""], "notAuthors": null, "branch": "(", "targetBranch": null, "title": 7,
			"paths": ["/abs", "ok"], "path": "x"},
		"paths": {"API": "services/api/**", "web": {"waitForStatus": ""}, "jobs": "**/*.go", "docs": {"paths": [], "tag": 1}, "a-b": "x", "up": "../x"}`))
	for _, field := range []string{
		"forge", "repo", "resetLabel", "seed", "domain", "waitForStatus", "nonsense",
		"filters.drafts", "filters.forks", "filters.authors", "filters.notAuthors", "filters.branch", "filters.targetBranch", "filters.title",
		"filters.paths", "filters.path", "paths.API", "paths.web.waitForStatus", "paths.web.paths", "paths.jobs", "paths.docs.paths", "paths.docs.tag", "paths.a-b", "paths.up",
	} {
		if err == nil || !strings.Contains(err.Error(), "input field "+field+" ") {
			t.Errorf("%s is not named in: %v", field, err)
		}
	}
	for fields, field := range map[string]string{
		`"repo": "acme/.."`: "repo", `"repo": "../.."`: "repo", `"repo": "shop"`: "repo", `"repo": "acme//shop"`: "repo", `"repo": "https://git.example.com/acme/shop"`: "repo",
		`"label": "preview "`: "label", `"label": "a\nb"`: "label", `"label": ""`: "label", `"resetLabel": "\u200bx\u0000"`: "resetLabel", `"keepLabel": null`: "keepLabel",
		`"waitForStatus": " images"`: "waitForStatus", `"ttl": "7d12h"`: "ttl", `"ttl": null`: "ttl", `"cap": 1.5`: "cap", `"cap": "3"`: "cap", `"domain": "Example.com"`: "domain",
		`"domain": "example.com."`: "domain", `"seed": "Seed"`: "seed", `"filters": []`: "filters", `"filters": {"日本": 1}`: "filters.?", `"日本": 1`: "?",
		`"comments": "false"`: "comments", `"deployments": 0`: "deployments", `"paths": null`: "paths", `"filters": {"title": "a(?=b)"}`: "filters.title",
	} {
		_, err := ParseInput(asks(t, fields))
		if err == nil || !strings.Contains(err.Error(), "input field "+field+" ") || strings.Count(err.Error(), "input field") != 1 {
			t.Errorf("%s: %v", fields, err)
		}
	}
	for _, good := range []string{
		`"paths": {}`, `"paths": {"api": "services/api/**", "web_2": {"paths": ["services/web", "libs/**"], "waitForStatus": "images/web"}, "all": "**"}`,
		`"filters": {"paths": ["**/*.go", "services/{api,web}/**"], "authors": ["dev"], "title": "^feat"}`, `"filters": {"paths": "services"}`,
	} {
		if _, err := ParseInput(asks(t, good)); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	// Where an input names an unknown forge, the rest of it is looked at too.
	w := newWorld(t, newHost())
	if _, err := w.Answer(t.Context(), "previews", asks(t, `"forge": "nowhere", "seed": "other"`)); err == nil ||
		!strings.Contains(err.Error(), "field forge") || !strings.Contains(err.Error(), "field seed") {
		t.Errorf("error %v", err)
	}
}

// told is what the answer for an input has, by number; nil for none.
func (w *world) told(in map[string]json.RawMessage) map[string]map[string]string {
	w.t.Helper()
	repo := w.repo()
	repo.mu.Lock()
	body, ok := repo.answers[subscription{"previews", mustInput(w.t, in)}.id()]
	repo.mu.Unlock()
	if !ok {
		return nil
	}
	all := map[string]map[string]string{}
	for _, p := range parse(w.t, body) {
		all[p["number"]] = p
	}
	return all
}

func sha(n int) string { return fmt.Sprintf("%08d%032d", n, 0) }

func files(paths ...string) forge.Changes { return forge.Changes{Paths: paths} }

// push pushes a commit that changes files.
func (h *host) push(n int64, head string, c forge.Changes) {
	h.mu.Lock()
	p := h.pulls[n]
	h.files[head] = c
	h.mu.Unlock()
	p.HeadSHA = head
	p.UpdatedAt = p.UpdatedAt.Add(time.Second)
	h.set(p)
}

func TestFilterByPaths(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newHost(pull(1), pull(2), pull(3)))
	w.host.push(1, sha(1), files("services/api/main.go", "README.md"))
	w.host.push(2, sha(2), files("services/web/page.ts"))
	w.host.push(3, sha(3), forge.Changes{Cut: "it changes 4000 files"})
	in := asks(t, `"filters": {"paths": ["services/api/**"]}`)
	w.asks(in)
	for range 5 {
		w.mustRound()
	}
	if got := w.told(in); len(got) != 2 || got["1"] == nil || got["3"] == nil {
		t.Fatalf("answered %v", got)
	}
	if n := w.host.listedFiles; n != 3 {
		t.Errorf("the forge was asked %d times for files of three heads", n)
	}
	if _, there := w.preview(2); there || w.host.statuses[sha(2)].Context != "" {
		t.Error("something is kept, or said, of one that the filter leaves out")
	}

	// Whether a push changes anything cannot be told: everything stays.
	w.host.with(func(h *host) { h.filesErr = errDown })
	w.host.push(1, sha(11), files("README.md"))
	w.host.push(2, sha(12), files("services/api/x"))
	w.mustRound()
	w.restart()
	w.asks(in)
	w.mustRound()
	if got := w.told(in); len(got) != 2 || got["1"]["head_sha"] != sha(1) {
		t.Fatalf("answered %v", got)
	}
	w.host.with(func(h *host) { h.filesErr = nil })
	w.mustRound()
	w.mustRound()
	if got := w.told(in); len(got) != 2 || got["2"]["head_sha"] != sha(12) || got["3"] == nil {
		t.Fatalf("answered %v", got)
	}
	if p, _ := w.preview(1); p.Phase != Ending || p.Reason != reasonOtherPaths {
		t.Errorf("it is %s: %s", p.Phase, p.Reason)
	}
}

// TestFilterOfOtherHead: a push between the list and the question about files.
func TestFilterOfOtherHead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newHost(pull(1)))
	in := asks(t, `"filters": {"paths": "services"}`)
	w.asks(in)
	w.host.push(1, sha(2), files("services/x"))
	old, _ := w.host.Get(context.Background(), "", 1)
	old.HeadSHA = sha(1)
	w.host.with(func(h *host) {
		h.lies = func(_ int64, list bool) (forge.PullRequest, error, bool) { return old, nil, list }
	})
	w.mustRound()
	w.mustRound()
	if got := w.told(in); got["1"]["head_sha"] != sha(2) {
		t.Errorf("answered %v", got)
	}
}

// TestFilterInMass: a typo in the filter's paths ends nothing.
func TestFilterInMass(t *testing.T) {
	t.Parallel()
	for _, restarted := range []bool{false, true} {
		var pulls []forge.PullRequest
		for n := range 8 {
			pulls = append(pulls, pull(int64(n+1)))
		}
		w := newWorld(t, newHost(pulls...))
		for n := range pulls {
			w.host.push(int64(n+1), sha(n+1), files("services/api/x"))
		}
		in, typo := asks(t, `"filters": {"paths": "services/api/**"}`), asks(t, `"filters": {"paths": "service/api/**"}`)
		w.asks(in)
		w.mustRound()
		w.mustRound()
		if n := len(w.told(in)); n != 8 {
			t.Fatalf("%d are answered", n)
		}
		if restarted {
			// What is known comes one by one.
			w.restart()
			w.host.with(func(h *host) { h.untold = map[int64]bool{1: true, 2: true, 3: true, 4: true, 5: true, 6: true} })
		}
		w.asks(typo)
		for range 5 {
			w.mustRound()
		}
		w.host.with(func(h *host) { h.untold = nil })
		w.mustRound()
		w.mustRound()
		if n := len(w.told(typo)); n != 8 {
			t.Errorf("restarted %v: %d are answered", restarted, n)
		}
		if !strings.Contains(w.said.String(), "end-confirmed") {
			t.Error("it does not say how these are confirmed")
		}
	}
}

const threeServices = `"waitForStatus": "lint", "paths": {
	"api": {"paths": "services/api/**", "waitForStatus": "images/api"},
	"web": {"paths": ["services/web/**", "libs"], "waitForStatus": "images/web"},
	"jobs": "services/jobs/**"}`

// shop has a pull request that touches one of three services.
func shop(t *testing.T) (*world, map[string]json.RawMessage) {
	t.Helper()
	w := newWorld(t, newHost(pull(1)))
	w.host.push(1, sha(1), files("services/api/main.go"))
	at := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	w.host.with(func(h *host) {
		h.commits["main services/web"] = []forge.Commit{{SHA: sha(100), At: at.Add(9 * time.Hour)}, {SHA: sha(99), At: at.Add(3 * time.Hour)}}
		h.commits["main libs"] = []forge.Commit{{SHA: sha(98), At: at.Add(8 * time.Hour)}, {SHA: sha(100), At: at.Add(9 * time.Hour)}}
		h.commits["main services/jobs"] = []forge.Commit{{SHA: sha(97), At: at}}
		h.green[sha(99)+" images/web"], h.green[sha(98)+" images/web"], h.green[sha(97)+" lint"] = true, true, true
		h.green[sha(100)+" images/api"] = true
	})
	in := asks(t, threeServices)
	w.asks(in)
	return w, in
}

// TestMerge: commits of several paths are in order, those of one as they came.
func TestMerge(t *testing.T) {
	t.Parallel()
	at := func(n, hour int) forge.Commit {
		return forge.Commit{SHA: sha(n), At: time.Date(2026, 11, 20, hour, 0, 0, 0, time.UTC)}
	}
	var got []string
	for _, c := range merge([]forge.Commit{at(1, 9), at(2, 5), at(3, 7)}, []forge.Commit{at(4, 8), at(1, 9), at(5, 6)}) {
		got = append(got, c.SHA)
	}
	if diff := cmp.Diff([]string{sha(1), sha(4), sha(5), sha(2), sha(3)}, got); diff != "" {
		t.Error(diff)
	}
}

func TestPathsAreOutputs(t *testing.T) {
	t.Parallel()
	w, in := shop(t)
	green := func(what ...string) {
		w.host.with(func(h *host) {
			for _, s := range what {
				h.green[s] = true
			}
		})
	}
	held := func(reason string) {
		t.Helper()
		w.mustRound()
		if p, _ := w.preview(1); p.Phase != Held || p.Reason != reason {
			t.Fatalf("%s: %s, want %s", p.Phase, p.Reason, reason)
		}
	}
	held("it waits for commit status lint to succeed")
	green(sha(1) + " lint")
	held("it waits for commit status images/api to succeed")
	green(sha(1) + " images/api")
	w.mustRound()
	want := map[string]string{
		"changed_api": "true", "image_tag_api": sha(1)[:8], "changed_web": "false", "image_tag_web": sha(98)[:8],
		"changed_jobs": "false", "image_tag_jobs": sha(97)[:8],
	}
	check := func(what string) {
		t.Helper()
		got := map[string]string{}
		for key := range want {
			got[key] = w.told(in)["1"][key]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	check("first")

	// They go with the head: a merge to the target branch changes nothing.
	w.host.with(func(h *host) {
		h.commits["main services/jobs"] = []forge.Commit{{SHA: sha(200)}}
		h.green[sha(200)] = true
	})
	asked := w.host.listedFiles
	w.mustRound()
	check("after a merge")
	w.host.with(func(h *host) { h.filesErr = errDown })
	w.restart()
	w.asks(in)
	w.mustRound()
	check("after a restart, while the forge tells nothing")
	if w.host.listedFiles != asked {
		t.Error("what the state knows was asked for again")
	}
	w.host.with(func(h *host) { h.filesErr = nil })

	// The next head has those of then, once all of it is green.
	w.host.push(1, sha(2), files("services/jobs/x", "libs/y"))
	green(sha(2) + " lint")
	w.mustRound()
	check("while the new head has no images")
	if got := w.told(in)["1"]["head_sha"]; got != sha(1) {
		t.Errorf("head %s is emitted", got)
	}
	green(sha(2) + " images/web")
	w.host.with(func(h *host) {
		h.commits["main services/api"] = []forge.Commit{{SHA: sha(300)}, {SHA: sha(301)}}
		h.green[sha(301)+" images/api"] = true
	})
	w.mustRound()
	w.mustRound()
	want = map[string]string{
		"changed_api": "false", "image_tag_api": sha(301)[:8], "changed_web": "true", "image_tag_web": sha(2)[:8],
		"changed_jobs": "true", "image_tag_jobs": sha(2)[:8], "head_sha": sha(2),
	}
	check("the new head")

	// So has another target branch.
	p, _ := w.host.Get(context.Background(), "", 1)
	p.TargetBranch = "release"
	w.host.set(p)
	w.host.with(func(h *host) {
		h.commits["release services/api"] = []forge.Commit{{SHA: sha(400)}}
		h.green[sha(400)] = true
	})
	w.mustRound()
	w.mustRound()
	want["image_tag_api"] = sha(400)[:8]
	check("another target branch")
}

// TestNoImage: without an image of what a pull request does not change it waits,
// and says for what.
func TestNoImage(t *testing.T) {
	t.Parallel()
	w, _ := shop(t)
	w.host.with(func(h *host) {
		h.green[sha(1)] = true
		delete(h.green, sha(97)+" lint")
		delete(h.commits, "main services/web")
		delete(h.commits, "main libs")
	})
	w.mustRound()
	p, _ := w.preview(1)
	if p.Phase != Held || p.Reason != "none of the newest commits of branch main that touch services/jobs/** has commit status lint" {
		t.Errorf("%s: %s", p.Phase, p.Reason)
	}
	w.host.with(func(h *host) { h.green[sha(97)] = true })
	w.mustRound()
	p, _ = w.preview(1)
	if p.Phase != Held || p.Reason != "no commit of branch main touches services/web/**, libs" {
		t.Errorf("%s: %s", p.Phase, p.Reason)
	}
}

// TestPathsComeLater: who asks for paths of previews that are there gets no
// answer without them, and nobody leaves one.
func TestPathsComeLater(t *testing.T) {
	t.Parallel()
	w, in := shop(t)
	plain := asks(t, `"waitForStatus": "lint"`)
	w.host.with(func(h *host) { h.green[sha(1)+" lint"] = true })
	w.asks(plain)
	w.mustRound()
	if len(w.told(plain)) != 1 {
		t.Fatal("there is no preview")
	}
	w.host.with(func(h *host) { h.filesErr = errDown })
	w.asks(in)
	w.mustRound()
	if got := w.told(in); got != nil {
		t.Fatalf("answered %v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Answer(ctx, "previews", in); !errors.Is(err, ErrLacking) || !strings.Contains(err.Error(), "pull request 1: "+reasonNoFiles) {
		t.Errorf("error %v", err)
	}
	// All is told, and its head is not green: it is as it was.
	w.host.with(func(h *host) { h.filesErr = nil })
	w.mustRound()
	if got := w.told(in)["1"]; got["changed_web"] != "true" || got["image_tag_web"] != sha(1)[:8] {
		t.Errorf("answered %v", got)
	}
	w.host.with(func(h *host) { h.green[sha(1)+" images/api"] = true })
	w.mustRound()
	if got := w.told(in)["1"]; got["changed_api"] != "true" || got["changed_web"] != "false" {
		t.Errorf("answered %v", got)
	}
	// And back.
	w.asks(plain)
	w.mustRound()
	if got := w.told(plain); len(got) != 1 {
		t.Errorf("answered %v", got)
	} else if _, there := got["1"]["changed_api"]; there {
		t.Error("it is told of paths that nobody asks for")
	}
}

// TestPathsOfTwoInputs: of two inputs that want a live preview, the one that has
// it keeps it until the other one's is known whole.
func TestPathsOfTwoInputs(t *testing.T) {
	t.Parallel()
	w, api := shop(t)
	api["filters"] = json.RawMessage(`{"paths": "services/api/**"}`)
	rest := asks(t, `"filters": {"title": "."}`)
	w.host.with(func(h *host) { h.green[sha(1)] = true })
	w.host.push(1, sha(2), files("docs/x"))
	w.asks(api, rest)
	w.mustRound()
	in := func() (n int) { return len(w.told(api)) + len(w.told(rest)) }
	if len(w.told(rest)) != 1 || in() != 1 {
		t.Fatalf("answered %v and %v", w.told(api), w.told(rest))
	}
	w.host.with(func(h *host) { h.filesErr = errDown })
	w.host.push(1, sha(1), files("services/api/x"))
	w.mustRound()
	if len(w.told(rest)) != 1 || in() != 1 {
		t.Fatalf("while nothing is known: %v and %v", w.told(api), w.told(rest))
	}
	w.host.with(func(h *host) { h.filesErr = nil; h.commits["main services/jobs"] = nil })
	w.mustRound()
	w.mustRound()
	if len(w.told(rest)) != 1 || in() != 1 {
		t.Fatalf("while an image is not known: %v and %v", w.told(api), w.told(rest))
	}
	w.host.with(func(h *host) { h.commits["main services/jobs"] = []forge.Commit{{SHA: sha(97)}} })
	w.mustRound()
	w.mustRound()
	if len(w.told(api)) != 1 || in() != 1 {
		t.Fatalf("at last: %v and %v", w.told(api), w.told(rest))
	}
}

// TestFilterNotToldYet: while nothing is known a pull request is no other
// input's, and what ended stays ended.
func TestFilterNotToldYet(t *testing.T) {
	t.Parallel()
	w, in := shop(t)
	w.linger = 15 * time.Minute
	w.restart()
	in["filters"] = json.RawMessage(`{"paths": "services/api/**"}`)
	rest := asks(t, `"filters": {"title": "."}`)
	w.asks(in, rest)
	for _, push := range []func(){
		func() { w.host.with(func(h *host) { h.filesErr = errDown }) }, // no preview
		func() { w.host.with(func(h *host) { h.filesErr = nil }) },     // held until its images are there
		func() {
			w.host.with(func(h *host) { h.filesErr = errDown })
			w.host.push(1, sha(3), files("services/api/x"))
		},
	} {
		push()
		w.mustRound()
		w.mustRound()
		if n := len(w.told(in)) + len(w.told(rest)); n != 0 {
			t.Fatalf("%d are answered", n)
		}
	}
	w.host.with(func(h *host) { h.green[sha(3)] = true })
	w.host.with(func(h *host) { h.filesErr = nil })
	w.asks(in)
	w.mustRound()
	p, _ := w.preview(1)
	w.restored(p.Namespace)
	w.host.push(1, sha(2), files("README.md"))
	for range 3 {
		w.mustRound()
	}
	ended, _ := w.preview(1)
	if err := w.Store.Rest(t.Context(), ended.Namespace); err != nil {
		t.Fatal(err)
	}
	if ended.Phase != Ending || ended.LingersUntil.IsZero() {
		t.Fatalf("it is %s until %s", ended.Phase, ended.LingersUntil)
	}
	w.host.with(func(h *host) { h.filesErr = errDown })
	w.restart()
	w.asks(in)
	for range 2 {
		w.mustRound()
	}
	if p, _ := w.preview(1); p.Phase != Ending || !p.LingersUntil.Equal(ended.LingersUntil) {
		t.Errorf("it is %s until %s", p.Phase, p.LingersUntil)
	}
}

// TestFilterAfterLostState: a preview that outlived its state is in the first
// answer, though which files it changes is told late.
func TestFilterAfterLostState(t *testing.T) {
	t.Parallel()
	w, in := shop(t)
	in["filters"] = json.RawMessage(`{"paths": "services/api/**"}`)
	w.host.with(func(h *host) { h.green[sha(1)] = true })
	w.asks(in)
	w.mustRound()
	if len(w.told(in)) != 1 {
		t.Fatal("there is no preview")
	}
	var states corev1.ConfigMapList
	if err := w.cluster.List(t.Context(), &states, client.HasLabels{snapshot.LabelState}); err != nil {
		t.Fatal(err)
	}
	for i := range states.Items {
		if err := w.cluster.Delete(t.Context(), &states.Items[i]); err != nil {
			t.Fatal(err)
		}
	}
	w.restart()
	w.asks(in)
	w.host.with(func(h *host) { h.filesErr = errDown })
	w.mustRound()
	if got := w.told(in); got != nil {
		t.Errorf("answered %v", got)
	}
	w.host.with(func(h *host) { h.filesErr = nil })
	w.mustRound()
	w.mustRound()
	if got := w.told(in); len(got) != 1 {
		t.Errorf("answered %v", got)
	}
}
