package forgetest

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/plugin/forge"
)

func TestAzurePolls(t *testing.T) {
	t.Parallel()
	w := thousand()
	w.PageSize = 500
	f := open(t, Azure(), w)
	for range 2 {
		// Three pages, and one that has nothing new: how many come at once is for
		// the server to say.
		if list, calls := poll(t, w, f, forge.Approved); len(list.PullRequests) != 1000 || list.Filtered || calls != 4 {
			t.Errorf("%d listed by %d calls", len(list.PullRequests), calls)
		}
	}
	// One that gives less than it is asked for is not at its end.
	w.Change(func() { w.PageSize = 7 })
	if list, _ := poll(t, w, f, forge.Approved); len(list.PullRequests) != 1000 {
		t.Errorf("%d listed", len(list.PullRequests))
	}
	w.Change(func() {
		w.Fault = func(rw http.ResponseWriter, _ *http.Request) bool {
			pull := azurePull(w.Pulls[1])
			delete(pull, "reviewers")
			azureAll(rw, []any{pull})
			return true
		}
	})
	if list, err := read(t.Context(), f.List(Repository, forge.Query{})); err == nil {
		t.Errorf("without reviewers: %d listed", len(list.PullRequests))
	}
}

// A label named as approvals are is none of them, and others are told.
func TestAzureLabels(t *testing.T) {
	t.Parallel()
	w := newWorld(1)
	w.Pulls[1].Labels = []string{"preview-reset", "approved", "Approved"}
	w.Pulls[1].Events = []Event{{By: "author", At: Start}}
	f := open(t, Azure(), w)
	p, err := f.Get(t.Context(), Repository, 1)
	if err != nil || !slices.Equal(p.Labels, []string{"preview-reset"}) {
		t.Errorf("%v, error %v", p.Labels, err)
	}
	if l, err := f.Labelled(t.Context(), Repository, 1, forge.Approved); !errors.Is(err, forge.ErrNotLabelled) {
		t.Errorf("%+v, error %v", l, err)
	}
	for _, label := range []string{"preview-reset", "not-there"} {
		if err := f.RemoveLabel(t.Context(), Repository, 1, label); err != nil {
			t.Error(err)
		}
	}
	if !slices.Equal(w.Removed, []string{"preview-reset"}) {
		t.Errorf("removed %v", w.Removed)
	}
	w.Change(func() { w.Fault = reply(200, "application/json", "{}") })
	if err := f.RemoveLabel(t.Context(), Repository, 1, "preview-reset"); err == nil {
		t.Error("an answer of nothing removed it")
	}
}

// Who may write is who is in the one group that is named, whatever is like it.
func TestAzureWriters(t *testing.T) {
	t.Parallel()
	w := newWorld(1)
	w.Users = map[string]string{"maintainer": "write"}
	f := open(t, Azure(), w)
	group := `{"id":"g","descriptor":"G","providerDisplayName":"[acme]\\Contributors","isContainer":true,"isActive":true}`
	for name, test := range map[string]struct {
		groups, people string
		may, fails     bool
	}{
		"a member":           {group, `{"id":"maintainer","isActive":true,"memberOf":["G"]}`, true, false},
		"of another group":   {group, `{"id":"maintainer","isActive":true,"memberOf":["H"]}`, false, false},
		"not active":         {group, `{"id":"maintainer","isActive":false,"memberOf":["G"]}`, false, false},
		"somebody else":      {group, `{"id":"other","isActive":true,"memberOf":["G"]}`, false, false},
		"a group":            {group, `{"id":"maintainer","isActive":true,"isContainer":true,"memberOf":["G"]}`, false, false},
		"no such group":      {`null`, `{"id":"maintainer","isActive":true,"memberOf":["G"]}`, false, true},
		"two of that name":   {group + "," + group, `{"id":"maintainer","isActive":true,"memberOf":["G"]}`, false, true},
		"a person as group":  {strings.Replace(group, `"isContainer":true`, `"isContainer":false`, 1), `{"id":"maintainer","isActive":true,"memberOf":["G"]}`, false, true},
		"without descriptor": {strings.Replace(group, `"G"`, `""`, 1), `{"id":"maintainer","isActive":true,"memberOf":[""]}`, false, true},
	} {
		w.Change(func() {
			w.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
				found := test.groups
				if r.URL.Query().Get("identityIds") != "" {
					found = test.people
				}
				return reply(200, "application/json", `{"value":[`+found+`]}`)(rw, r)
			}
		})
		if may, err := f.CanWrite(t.Context(), Repository, "maintainer"); may != test.may || (err != nil) != test.fails {
			t.Errorf("%s: %v, error %v", name, may, err)
		}
	}
}

// Who is not let in gets a page for people, with a code of success.
func TestAzureLoginPage(t *testing.T) {
	t.Parallel()
	w := newWorld(1)
	f := open(t, Azure(), w)
	w.Fault = reply(http.StatusNonAuthoritativeInfo, "text/html", "<html>Sign in</html>")
	if _, err := f.Get(t.Context(), Repository, 1); !errors.Is(err, forge.ErrCredential) {
		t.Errorf("error %v", err)
	}
}

func TestAzureWebhooks(t *testing.T) {
	t.Parallel()
	w := newWorld(1)
	f := open(t, Azure(), w)
	good, body := azureWebhook(w.Pulls[1], "labeled", secret)
	for name, header := range map[string]string{"no password": "Basic c2VlZGxpbmc6", "a bearer": "Bearer " + secret, "none": "", "no basic": "Basic !"} {
		h := good.Clone()
		h.Set("Authorization", header)
		if _, err := f.Event(h, body); !errors.Is(err, forge.ErrSignature) || f.Signed(h) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	for _, said := range []string{`{"eventType":"git.pullrequest.updated"}`, `{"eventType":"git.pullrequest.updated","resource":{"pullRequestId":1}}`, `[]`, `{"eventType":"workitem.updated","resource":{"id":1}}`} {
		if e, err := f.Event(good, []byte(said)); err == nil {
			t.Errorf("%s: %+v", said, e)
		}
	}
}

func TestAzureRights(t *testing.T) {
	t.Parallel()
	for refused, want := range map[string]string{
		"": "", "/pullrequests": "Code: read", "/labels/seedling-check": "Code: write", "/statuses": "Code: status", "/threads": "Pull Request Threads: read and write",
		"/_apis/identities": "Identity: read", "/_apis/projects/acme": "Project and Team: read",
	} {
		w := newWorld(1)
		w.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
			return refused != "" && strings.HasSuffix(r.URL.Path, refused) && reply(401, "application/json", `{"message":"TF400813: not authorized"}`)(rw, r)
		}
		rights, err := open(t, Azure(), w).(forge.Righter).Rights(t.Context(), Repository)
		if err != nil || len(rights) != 6 {
			t.Fatalf("%v, error %v", rights, err)
		}
		if len(w.Set)+len(w.Removed)+len(w.Comments) > 0 {
			t.Errorf("%s: it changed %v %v %v", refused, w.Set, w.Removed, w.Comments)
		}
		missing := ""
		for _, r := range rights {
			if r.Unknown != "" {
				t.Errorf("%s: of %s it is not told: %s", refused, r.Name, r.Unknown)
			}
			if r.Missing != nil && missing == "" {
				missing = r.Name
			}
		}
		if missing != want {
			t.Errorf("%s: missing %q", refused, missing)
		}
	}
}

func TestAzureHeadPassed(t *testing.T) {
	t.Parallel()
	const name = "ci/images"
	older := func(list []PullStatus) []PullStatus { // the newest first, as nothing says that they are not
		list[0].ID, list[1].ID = 2, 1
		return list
	}
	of := func(push int, states ...string) (list []PullStatus) {
		for _, state := range states {
			list = append(list, PullStatus{Status: Status{name, state}, Push: push})
		}
		return list
	}
	for says, test := range map[string]struct {
		commit string
		pull   []PullStatus
		head   string
		want   bool
	}{
		"the last push's":                {pull: of(2, "success"), want: true},
		"its newest counts":              {pull: of(2, "success", "failure")},
		"and is not the first":           {pull: of(2, "failure", "success"), want: true},
		"whatever their order is":        {pull: older(of(2, "failure", "success"))},
		"an earlier push's":              {pull: of(1, "success")},
		"one of no push":                 {pull: of(0, "success")},
		"one of no push, after a push's": {pull: append(of(2, "success"), of(0, "failure")...), want: true},
		"the commit's":                   {commit: "success", want: true},
		"the commit's is asked first":    {commit: "pending", pull: of(2, "success")},
		"another's":                      {pull: []PullStatus{{Status: Status{"ci/other", "success"}, Push: 2}}},
		"it was pushed to since":         {pull: of(2, "success"), head: strings.Repeat("d", 40)},
		"none":                           {},
	} {
		w := newWorld(1)
		w.Pulls[1].Statuses, w.Pulls[1].SHA = test.pull, test.head
		if test.commit != "" {
			w.Statuses = []Status{{name, test.commit}}
		}
		f := open(t, Azure(), w)
		if got, err := forge.HeadPassed(t.Context(), f, Repository, 1, SHA, name); err != nil || got != test.want {
			t.Errorf("%s: %v, error %v", says, got, err)
		}
		for _, path := range []string{"/statuses", "/iterations"} {
			for _, answer := range []func(http.ResponseWriter, *http.Request) bool{reply(http.StatusNotFound, "text/plain", "404"), reply(http.StatusOK, "application/json", "{}")} {
				w.Change(func() {
					w.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
						return strings.HasSuffix(r.URL.Path, "/pullrequests/1"+path) && answer(rw, r)
					}
				})
				if got, err := forge.HeadPassed(t.Context(), f, Repository, 1, SHA, name); got && (err != nil || test.commit == "") {
					t.Errorf("%s without %s: %v, error %v", says, path, got, err)
				}
			}
		}
	}
}
