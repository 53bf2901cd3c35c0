package main

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/plugin/forge"
	"github.com/seedling-dev/seedling/plugin/forge/forgetest"
	"github.com/seedling-dev/seedling/plugin/preview"
)

// TestRenderOfEachForge: of every forge it says which pull requests have a preview,
// and why each other open one has none.
func TestRenderOfEachForge(t *testing.T) {
	t.Parallel()
	for _, kind := range []forgetest.Kind{
		forgetest.Gitea(), forgetest.Forgejo(), forgetest.GitHub(), forgetest.GitHubApp(), forgetest.GitLab(), forgetest.Bitbucket(), forgetest.BitbucketDC(), forgetest.Azure(),
	} {
		label := "preview"
		if kind.Approvals {
			label = forge.Approved
		}
		w := &forgetest.World{PageSize: 50, Users: map[string]string{"maintainer": "write", "reader": "read"}, Pulls: map[int64]*forgetest.Pull{}}
		for n, by := range map[int64]string{1: "maintainer", 2: "", 3: "reader", 4: "maintainer", 5: "maintainer"} {
			p := &forgetest.Pull{Number: n, Title: "Change", HeadRepository: forgetest.Repository, Updated: forgetest.Start}
			if by != "" {
				p.Labels, p.Events = []string{label}, []forgetest.Event{{Label: forgetest.Label, By: by, Added: true, At: forgetest.Start}}
			}
			w.Pulls[n] = p
		}
		w.Pulls[4].Draft, w.Pulls[5].HeadRepository = true, "stranger/shop"
		s := httptest.NewServer(w.Handler(kind))
		t.Cleanup(s.Close)
		dir := t.TempDir()
		c := forge.Config{Name: "forge", Type: kind.Type, URL: s.URL, CredentialFile: write(t, dir, "token", "good")}
		if kind.Configure != nil {
			if err := kind.Configure(dir, &c); err != nil {
				t.Fatal(err)
			}
		}
		f, err := forge.New(c)
		if err != nil {
			t.Fatal(err)
		}
		parameters := map[string]json.RawMessage{}
		for name, value := range map[string]any{"forge": "forge", "repo": forgetest.Repository, "label": label, "filters": map[string]bool{"drafts": false}} {
			if parameters[name], err = json.Marshal(value); err != nil {
				t.Fatal(err)
			}
		}
		renderings, err := preview.Render(t.Context(), map[string]forge.Forge{"forge": f}, "previews", []map[string]json.RawMessage{parameters})
		if err != nil || len(renderings) != 1 {
			t.Fatalf("%s: %v, error %v", kind.Type, renderings, err)
		}
		var body struct {
			Output struct {
				Parameters []map[string]string `json:"parameters"`
			} `json:"output"`
		}
		if err := json.Unmarshal(renderings[0].Body, &body); err != nil {
			t.Fatal(err)
		}
		if got := body.Output.Parameters; len(got) != 1 || got[0]["number"] != "1" || got[0]["head_sha"] != forgetest.SHA {
			t.Errorf("%s: rendered %s", kind.Type, renderings[0].Body)
		}
		why := map[int64]string{}
		for _, l := range renderings[0].Left {
			why[l.Number] = l.Reason
		}
		asks := map[bool]string{false: "it does not have label preview", true: "nobody approves it"}[kind.Approvals]
		if len(why) != 4 || why[2] != asks || !strings.Contains(why[3], "by somebody without write access") || why[4] != "it is a draft" || !strings.Contains(why[5], "fork") {
			t.Errorf("%s: left out are %v", kind.Type, why)
		}
	}
}
