package forgetest

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/plugin/forge"
)

// Deployed is a deployment, of which State is what was said last.
type Deployed struct {
	ID                     int64
	Environment, Task, SHA string
	State, URL, LogURL     string
	Transient, Production  bool
	statuses               int
}

// Environment is one, where they are things of their own.
type Environment struct {
	ID               int64
	Name, State, URL string
}

// githubDeployments plays https://docs.github.com/en/rest/deployments/deployments?apiVersion=2022-11-28
func githubDeployments(mux *http.ServeMux, w *World, repo string) {
	entry := func(d *Deployed) map[string]any {
		return map[string]any{"id": d.ID, "sha": d.SHA, "ref": d.SHA, "task": d.Task, "environment": d.Environment, "transient_environment": d.Transient}
	}
	mux.HandleFunc("GET "+repo+"/deployments", func(rw http.ResponseWriter, r *http.Request) {
		q, list := r.URL.Query(), []any{}
		for _, d := range slices.Backward(w.Deployments) {
			if (q.Get("task") == "" || q.Get("task") == d.Task) && (q.Get("environment") == "" || q.Get("environment") == d.Environment) {
				list = append(list, entry(d))
			}
		}
		number, size := githubBounds(w, r)
		githubNext(rw, r, number*size < len(list))
		answer(rw, 200, page(list, number, size))
	})
	mux.HandleFunc("POST "+repo+"/deployments", func(rw http.ResponseWriter, r *http.Request) {
		b := struct {
			Ref         string    `json:"ref"`
			Task        string    `json:"task"`
			AutoMerge   bool      `json:"auto_merge"`
			Required    *[]string `json:"required_contexts"`
			Environment string    `json:"environment"`
			Transient   bool      `json:"transient_environment"`
			Production  *bool     `json:"production_environment"`
		}{Task: "deploy", AutoMerge: true, Environment: "production"}
		switch err := json.NewDecoder(r.Body).Decode(&b); {
		case err != nil || b.Ref == "":
			answer(rw, 422, map[string]any{"message": "Validation Failed"})
		case b.AutoMerge:
			answer(rw, 202, map[string]any{"message": "Auto-merged main into " + b.Ref + " on deployment."})
		case b.Required == nil && slices.ContainsFunc(w.Statuses, func(s Status) bool { return s.State != "success" }):
			answer(rw, 409, map[string]any{"message": "Conflict: Commit status checks failed for " + b.Ref})
		default:
			d := &Deployed{ID: int64(100 + len(w.Deployments)), Environment: b.Environment, Task: b.Task, SHA: b.Ref, Transient: b.Transient}
			d.Production = b.Production == nil && b.Environment == "production" || b.Production != nil && *b.Production
			w.Deployments = append(w.Deployments, d)
			answer(rw, 201, entry(d))
		}
	})
	githubDeploymentStatuses(mux, w, repo)
}

// githubDeploymentStatuses plays https://docs.github.com/en/rest/deployments/statuses?apiVersion=2022-11-28
func githubDeploymentStatuses(mux *http.ServeMux, w *World, repo string) {
	find := func(r *http.Request) *Deployed {
		for _, d := range w.Deployments {
			if strconv.FormatInt(d.ID, 10) == r.PathValue("id") {
				return d
			}
		}
		return nil
	}
	mux.HandleFunc("GET "+repo+"/deployments/{id}/statuses", func(rw http.ResponseWriter, r *http.Request) {
		d, list := find(r), []any{}
		if d == nil {
			notFound(rw)
			return
		}
		if d.statuses > 0 {
			list = append(list, map[string]any{"id": d.ID*1000 + int64(d.statuses), "state": d.State, "environment_url": d.URL, "log_url": d.LogURL})
		}
		for n := d.statuses - 1; n > 0; n-- {
			list = append(list, map[string]any{"id": d.ID*1000 + int64(n), "state": "success", "environment_url": "https://before.example.com"})
		}
		answer(rw, 200, list)
	})
	mux.HandleFunc("POST "+repo+"/deployments/{id}/statuses", func(rw http.ResponseWriter, r *http.Request) {
		b := struct {
			State  string `json:"state"`
			URL    string `json:"environment_url"`
			LogURL string `json:"log_url"`
			Auto   bool   `json:"auto_inactive"`
		}{Auto: true}
		d := find(r)
		if err := json.NewDecoder(r.Body).Decode(&b); err != nil || d == nil {
			notFound(rw)
			return
		}
		if b.Auto {
			for _, other := range w.Deployments {
				if other.ID < d.ID && !other.Transient && !other.Production && other.Environment == d.Environment && other.State == "success" {
					other.State = "inactive"
				}
			}
		}
		d.State, d.URL, d.LogURL, d.statuses = b.State, b.URL, b.LogURL, d.statuses+1
		answer(rw, 201, map[string]any{"id": d.ID*1000 + int64(d.statuses), "state": d.State})
	})
}

// githubDeployed are those that are there.
func githubDeployed(w *World) []string {
	var there []string
	for _, d := range w.Deployments {
		if d.State == "success" && d.Transient && !d.Production {
			there = append(there, strings.Join([]string{d.Environment + "/" + d.Task, d.SHA[:1], d.URL}, " "))
		}
	}
	return there
}

// gitlabEnvironments plays https://docs.gitlab.com/api/environments/
func gitlabEnvironments(mux *http.ServeMux, w *World, project string) {
	type body struct {
		Name  string  `json:"name"`
		URL   *string `json:"external_url"`
		Force bool    `json:"force"`
	}
	read := func(r *http.Request) (b body) {
		_ = json.NewDecoder(r.Body).Decode(&b) // what is missing fails the test
		return b
	}
	entry := func(e *Environment) any {
		return map[string]any{"id": e.ID, "name": e.Name, "state": e.State, "external_url": e.URL, "tier": "development"}
	}
	numbered := func(r *http.Request) *Environment {
		return w.environment(func(e *Environment) bool { return strconv.FormatInt(e.ID, 10) == r.PathValue("env") })
	}
	mux.HandleFunc("GET "+project+"/environments", func(rw http.ResponseWriter, r *http.Request) {
		list := []any{}
		for _, e := range w.Environments {
			if name := r.URL.Query().Get("name"); name == "" || name == e.Name {
				list = append(list, entry(e))
			}
		}
		gitlabPaged(w, rw, r, list)
	})
	mux.HandleFunc("POST "+project+"/environments", func(rw http.ResponseWriter, r *http.Request) {
		b := read(r)
		if b.Name == "" || w.named(b.Name) != nil {
			answer(rw, 400, map[string]any{"message": map[string]any{"name": []any{"has already been taken"}}})
			return
		}
		e := &Environment{ID: int64(len(w.Environments) + 1), Name: b.Name, State: "available"}
		if b.URL != nil {
			e.URL = *b.URL
		}
		w.Environments = append(w.Environments, e)
		answer(rw, 201, entry(e))
	})
	mux.HandleFunc("PUT "+project+"/environments/{env}", func(rw http.ResponseWriter, r *http.Request) {
		e, b := numbered(r), read(r)
		if e == nil {
			notFound(rw)
			return
		}
		if b.URL != nil {
			e.URL = *b.URL
		}
		answer(rw, 200, entry(e))
	})
	mux.HandleFunc("POST "+project+"/environments/{env}/stop", func(rw http.ResponseWriter, r *http.Request) {
		e := numbered(r)
		if e == nil || !read(r).Force {
			notFound(rw)
			return
		}
		e.State = "stopped"
		answer(rw, 200, entry(e))
	})
}

// gitlabDeployments plays https://docs.gitlab.com/api/deployments/
func gitlabDeployments(mux *http.ServeMux, w *World, project string) {
	gitlabEnvironments(mux, w, project)
	mux.HandleFunc("GET "+project+"/deployments", func(rw http.ResponseWriter, r *http.Request) {
		list := []any{}
		for _, d := range slices.Backward(w.Deployments) {
			if d.Environment == r.URL.Query().Get("environment") {
				list = append(list, map[string]any{"id": d.ID, "sha": d.SHA, "status": d.State})
			}
		}
		gitlabPaged(w, rw, r, list)
	})
	mux.HandleFunc("POST "+project+"/deployments", func(rw http.ResponseWriter, r *http.Request) {
		var b struct {
			Environment string `json:"environment"`
			SHA         string `json:"sha"`
			Ref         string `json:"ref"`
			Status      string `json:"status"`
		}
		_ = json.NewDecoder(r.Body).Decode(&b) // what is missing fails the test
		if b.Ref != "feature" && !strings.HasPrefix(b.Ref, "refs/merge-requests/") {
			answer(rw, 400, map[string]any{"message": map[string]any{"ref": []any{"The branch or tag does not exist"}}})
			return
		}
		e := w.named(b.Environment)
		if e == nil {
			e = &Environment{ID: int64(len(w.Environments) + 1), Name: b.Environment}
			w.Environments = append(w.Environments, e)
		}
		e.State = "available"
		d := &Deployed{ID: int64(len(w.Deployments) + 1), Environment: e.Name, SHA: b.SHA, State: b.Status}
		w.Deployments = append(w.Deployments, d)
		answer(rw, 201, map[string]any{"id": d.ID, "sha": d.SHA, "status": d.State})
	})
}

// environment is the one that is meant, nil where there is none.
func (w *World) environment(is func(*Environment) bool) *Environment {
	if i := slices.IndexFunc(w.Environments, is); i >= 0 {
		return w.Environments[i]
	}
	return nil
}

func (w *World) named(name string) *Environment {
	return w.environment(func(e *Environment) bool { return e.Name == name })
}

// gitlabDeployed are those that are there: of each environment the last one.
func gitlabDeployed(w *World) []string {
	var there []string
	for _, e := range w.Environments {
		for _, d := range slices.Backward(w.Deployments) {
			if d.Environment == e.Name && e.State == "available" {
				there = append(there, strings.Join([]string{e.Name, d.SHA[:1], e.URL}, " "))
				break
			}
		}
	}
	return there
}

// deployments: a preview's is there from when it is said until its end, once, and
// what became of one does nothing to another.
func deployments(t *testing.T, k Kind) {
	w := newWorld(2)
	w.Statuses = []Status{{"ci/images", "failure"}}
	f := open(t, k, w)
	d, ok := f.(forge.Deployer)
	if ok != (k.Deployed != nil) || (forge.CheckDeployments(f) == "") != ok {
		t.Fatalf("it deploys: %v, and says %q", ok, forge.CheckDeployments(f))
	}
	if !ok {
		return
	}
	writes := 0
	w.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet {
			writes++
		}
		return false
	}
	one := forge.Deployment{Group: "previews", Name: "preview-shop-1", Number: 1, SHA: SHA, Branch: "feature", URL: "https://one.example.com", LogURL: "https://argocd.example.com"}
	two := one
	two.Name, two.Number, two.Fork, two.Branch = "preview-shop-2", 2, true, "elsewhere"
	pushed, moved := one, one
	pushed.SHA = strings.Repeat("c", 40)
	moved.SHA, moved.URL = pushed.SHA, ""
	deploy := func(what forge.Deployment) func() error {
		return func() error { return d.Deploy(t.Context(), Repository, what) }
	}
	end := func(what forge.Deployment) func() error {
		return func() error { return d.EndDeployments(t.Context(), Repository, what.Group, what.Name) }
	}
	first, second := "previews/preview-shop-1 a https://one.example.com", "previews/preview-shop-2 a https://one.example.com"
	for _, step := range []struct {
		what  string
		do    func() error
		there []string
	}{
		{"an end of none", end(one), nil},
		{"the first", deploy(one), []string{first}},
		{"another preview", deploy(two), []string{first, second}},
		{"a push", deploy(pushed), []string{"previews/preview-shop-1 c https://one.example.com", second}},
		{"another address", deploy(moved), []string{"previews/preview-shop-1 c ", second}},
		{"an end", end(one), []string{second}},
		{"it comes back", deploy(pushed), []string{"previews/preview-shop-1 c https://one.example.com", second}},
		{"back at an earlier commit", deploy(one), []string{first, second}},
		{"the end of the other one", end(two), []string{first}},
		{"the end of all", end(one), nil},
	} {
		for range 2 { // the second time nothing is left to be said
			before := writes
			if err := step.do(); err != nil {
				t.Fatalf("%s: %v", step.what, err)
			}
			there := k.Deployed(w)
			slices.Sort(there)
			if !slices.Equal(there, step.there) {
				t.Errorf("%s: there are %q, want %q", step.what, there, step.there)
			}
			step.what += ", again"
			if strings.HasSuffix(step.what, ", again, again") && writes != before {
				t.Errorf("%s: %d calls said it", step.what, writes-before)
			}
		}
	}
	if is, err := f.Passed(t.Context(), Repository, SHA, "previews"); is || err != nil {
		t.Errorf("a deployment is a status: %v, error %v", is, err)
	}
	if len(w.Set) > 0 {
		t.Errorf("statuses were set: %v", w.Set)
	}
	header, body := k.Webhook(w.Pulls[1], "deployment", secret)
	if e, err := f.Event(header, body); !errors.Is(err, forge.ErrIgnored) {
		t.Errorf("a webhook of a deployment: %+v, error %v", e, err)
	}
	brokenOff(t, k)
	deploymentsFail(t, k)
}

// brokenOff: whichever call of it fails, it is as if none had once it is said again.
func brokenOff(t *testing.T, k Kind) {
	t.Helper()
	for fails := 1; ; fails++ {
		w := newWorld(1)
		d := open(t, k, w).(forge.Deployer)
		calls := 0
		w.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
			calls++
			return calls == fails && reply(http.StatusBadGateway, "text/html", "<html>")(rw, r)
		}
		for _, sha := range []string{"a", "b", "c"} {
			what := forge.Deployment{Group: "previews", Name: "preview-shop-1", Number: 1, SHA: strings.Repeat(sha, 40), Branch: "feature"}
			if err := d.Deploy(t.Context(), Repository, what); err != nil {
				if err := d.Deploy(t.Context(), Repository, what); err != nil {
					t.Fatal(err)
				}
			}
			if there := k.Deployed(w); len(there) != 1 || !strings.HasPrefix(there[0], "previews/preview-shop-1 "+sha) {
				t.Errorf("call %d failed: there are %q", fails, there)
			}
		}
		for range 2 {
			_ = d.EndDeployments(t.Context(), Repository, "previews", "preview-shop-1") // the second time is good
		}
		if there := k.Deployed(w); len(there) != 0 {
			t.Errorf("call %d failed: at the end there are %q", fails, there)
		}
		if calls < fails {
			return
		}
	}
}

// deploymentsFail: what was not said is never taken for said.
func deploymentsFail(t *testing.T, k Kind) {
	t.Helper()
	for name, test := range map[string]struct {
		fault func(http.ResponseWriter, *http.Request) bool
		right bool
	}{
		"an error":     {fault: reply(http.StatusInternalServerError, "application/json", `{"message":"secret-token"}`)},
		"forbidden":    {reply(http.StatusForbidden, "application/json", `{"message":"secret-token"}`), true},
		"its own 404":  {fault: reply(http.StatusNotFound, "application/json", `{"message":"Not Found"}`)},
		"a login page": {fault: reply(http.StatusOK, "text/html", "<html>log in</html>")},
		"an object":    {fault: reply(http.StatusOK, "application/json", `{}`)},
		"null":         {fault: reply(http.StatusOK, "application/json", `null`)},
		"nothing":      {fault: reply(http.StatusOK, "application/json", "")},
		"half a list":  {fault: reply(http.StatusOK, "application/json", `[{"id":1,`)},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			w := newWorld(1)
			d := open(t, k, w).(forge.Deployer)
			what := forge.Deployment{Group: "previews", Name: "preview-shop-1", Number: 1, SHA: SHA, Branch: "feature"}
			fault := func(rw http.ResponseWriter, r *http.Request) bool {
				return r.Method == method && (strings.Contains(r.URL.Path, "/deployments") || strings.Contains(r.URL.Path, "/environments")) && test.fault(rw, r)
			}
			w.Change(func() { w.Fault = fault })
			err := d.Deploy(t.Context(), Repository, what)
			if err == nil || strings.Contains(err.Error(), token) || errors.Is(err, forge.ErrCredential) != test.right {
				t.Errorf("%s to %s: error %v", name, method, err)
			}
			w.Change(func() { w.Fault = nil })
			if err := d.Deploy(t.Context(), Repository, what); err != nil {
				t.Fatal(err)
			}
			w.Change(func() { w.Fault = fault })
			if err := d.EndDeployments(t.Context(), Repository, what.Group, what.Name); err == nil || strings.Contains(err.Error(), token) {
				t.Errorf("%s to %s at the end: error %v", name, method, err)
			}
		}
	}
}
