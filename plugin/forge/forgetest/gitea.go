package forgetest

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Gitea plays https://docs.gitea.com/api/1.26/, which is the API that
// https://codeberg.org/api/swagger has for Forgejo.
func Gitea() Kind {
	return Kind{
		Type:       "gitea",
		Handler:    giteaHandler,
		Credential: func(r *http.Request) string { return strings.TrimPrefix(r.Header.Get("Authorization"), "token ") },
		Webhook:    giteaWebhook,
		ListPaths:  []string{"/pulls"},
		Grants:     true,
	}
}

// Forgejo is the same API, with headers of its own on webhooks:
// https://forgejo.org/docs/latest/user/webhooks/. It sends Gitea's too; nothing
// may hang on them.
func Forgejo() Kind {
	k := Gitea()
	k.Webhook = func(p *Pull, action, secret string) (http.Header, []byte) {
		h, body := giteaWebhook(p, action, secret)
		own := http.Header{}
		for name, values := range h {
			own[strings.Replace(name, "X-Gitea-", "X-Forgejo-", 1)] = values
		}
		return own, body
	}
	return k
}

func giteaPull(p *Pull) map[string]any {
	state, closed := "open", any(nil)
	if p.Closed {
		state, closed = "closed", p.ClosedAt.Format(time.RFC3339)
	}
	repository := cmp.Or(p.Repository, Repository)
	head := map[string]any{"label": cmp.Or(p.Branch, "feature"), "ref": cmp.Or(p.Branch, "feature"), "sha": cmp.Or(p.SHA, SHA), "repo": nil}
	if p.HeadRepository != "" {
		head["repo"] = map[string]any{"full_name": p.HeadRepository}
	}
	title := p.Title
	if p.Draft {
		title = "WIP: " + title
	}
	return map[string]any{
		"id": p.Number + 1000, "number": p.Number, "title": title, "body": p.Body, "state": state, "merged": false,
		"user": person("dev"), "html_url": "https://git.example.com/" + repository + "/pulls/" + strconv.FormatInt(p.Number, 10),
		"labels": named(p.Labels), "updated_at": p.Updated.Format(time.RFC3339), "closed_at": closed,
		"base": map[string]any{
			"label": cmp.Or(p.TargetBranch, "main"), "ref": cmp.Or(p.TargetBranch, "main"), "sha": strings.Repeat("b", 40),
			"repo": map[string]any{"full_name": repository},
		},
		"head": head,
	}
}

func giteaHandler(w *World) http.Handler {
	name := cmp.Or(w.Repository, Repository)
	repo := "/api/v1/repos/" + name
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(rw http.ResponseWriter, _ *http.Request) { notFound(rw) })
	mux.HandleFunc("GET /api/v1/user", func(rw http.ResponseWriter, _ *http.Request) { answer(rw, 200, person("seedling")) })
	mux.HandleFunc("GET "+repo, func(rw http.ResponseWriter, _ *http.Request) {
		answer(rw, 200, map[string]any{"full_name": name, "has_pull_requests": true, "private": w.Private})
	})
	mux.HandleFunc("GET "+repo+"/labels", func(rw http.ResponseWriter, r *http.Request) {
		number, size := giteaBounds(w, r)
		answer(rw, 200, page(named([]string{"bug", Label}), number, size))
	})
	giteaPulls(mux, w, repo)
	giteaCommits(mux, w, repo)
	mux.HandleFunc("GET "+repo+"/branches/{branch}", func(rw http.ResponseWriter, r *http.Request) {
		if r.PathValue("branch") != "main" {
			notFound(rw)
			return
		}
		answer(rw, 200, map[string]any{"name": "main"})
	})
	giteaIssues(mux, w, repo)
	mux.HandleFunc("GET "+repo+"/collaborators/{user}/permission", func(rw http.ResponseWriter, r *http.Request) {
		p, ok := w.Users[r.PathValue("user")]
		if !ok {
			notFound(rw)
			return
		}
		answer(rw, 200, map[string]any{"permission": p, "role_name": p, "user": person(r.PathValue("user"))})
	})
	giteaComments(mux, w, repo)
	return mux
}

// giteaPulls plays pull requests.
func giteaPulls(mux *http.ServeMux, w *World, repo string) {
	mux.HandleFunc("GET "+repo+"/pulls", func(rw http.ResponseWriter, r *http.Request) {
		open := w.Open()
		if ids := r.URL.Query()["labels"]; len(ids) > 0 {
			open = slices.DeleteFunc(open, func(p *Pull) bool {
				return !slices.ContainsFunc(p.Labels, func(l string) bool { return slices.Contains(ids, strconv.FormatInt(labelID(l), 10)) })
			})
		}
		number, size := giteaBounds(w, r)
		list := []any{}
		for _, p := range page(open, number, size) {
			if p.Null {
				list = append(list, nil)
				continue
			}
			list = append(list, giteaPull(p))
		}
		rw.Header().Set("X-Total-Count", strconv.Itoa(len(open)))
		answer(rw, 200, list)
	})
	mux.HandleFunc("GET "+repo+"/pulls/{n}", func(rw http.ResponseWriter, r *http.Request) {
		if p := pullOf(w, r); p != nil {
			answer(rw, 200, giteaPull(p))
			return
		}
		notFound(rw)
	})
	mux.HandleFunc("GET "+repo+"/pulls/{n}/reviews", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("X-Total-Count", "0")
		answer(rw, 200, []any{})
	})
	// https://docs.gitea.com/api/1.26/#tag/repository/operation/repoGetPullRequestFiles
	mux.HandleFunc("GET "+repo+"/pulls/{n}/files", func(rw http.ResponseWriter, r *http.Request) {
		p := pullOf(w, r)
		if p == nil {
			notFound(rw)
			return
		}
		number, size := giteaBounds(w, r)
		list := []any{}
		for _, f := range page(p.Files, number, size) {
			entry := map[string]any{"filename": f.Path, "status": "changed", "contents_url": "https://git.example.com/x?ref=" + cmp.Or(p.SHA, SHA)}
			if f.Before != "" {
				entry["status"], entry["previous_filename"] = "renamed", f.Before
			}
			list = append(list, entry)
		}
		rw.Header().Set("X-Total-Count", strconv.Itoa(len(p.Files)))
		answer(rw, 200, list)
	})
}

// giteaIssues plays what issues have of them: the timeline, and labels.
func giteaIssues(mux *http.ServeMux, w *World, repo string) {
	mux.HandleFunc("GET "+repo+"/issues/{n}/timeline", func(rw http.ResponseWriter, r *http.Request) {
		number, size := giteaBounds(w, r)
		p := pullOf(w, r)
		if p == nil {
			notFound(rw)
			return
		}
		var list []any // null when empty
		for _, e := range page(p.Events, number, size) {
			entry := map[string]any{"type": "comment", "body": "", "created_at": e.At.Format(time.RFC3339), "user": person(e.By)}
			if e.Label != "" {
				entry["type"], entry["label"] = "label", map[string]any{"id": labelID(e.Label), "name": e.Label}
				if e.Added {
					entry["body"] = "1"
				}
			}
			list = append(list, entry)
		}
		rw.Header().Set("X-Total-Count", strconv.Itoa(len(list))) // of the page
		answer(rw, 200, list)
	})
	mux.HandleFunc("DELETE "+repo+"/issues/{n}/labels/{id}", func(rw http.ResponseWriter, r *http.Request) {
		p := pullOf(w, r)
		if p == nil {
			notFound(rw)
			return
		}
		for _, l := range p.Labels {
			if strconv.FormatInt(labelID(l), 10) == r.PathValue("id") {
				w.Removed = append(w.Removed, l)
				if w.Unlabelled != nil {
					w.Unlabelled(p, l)
				}
			}
		}
		rw.WriteHeader(http.StatusNoContent)
	})
}

// giteaCommits plays commits and their statuses.
func giteaCommits(mux *http.ServeMux, w *World, repo string) {
	// https://docs.gitea.com/api/1.26/#tag/repository/operation/repoGetAllCommits
	mux.HandleFunc("GET "+repo+"/commits", func(rw http.ResponseWriter, r *http.Request) {
		list := []any{}
		for _, c := range w.touching(r.URL.Query().Get("path")) {
			list = append(list, map[string]any{"sha": c.SHA, "created": c.At.Format(time.RFC3339)})
		}
		if r.URL.Query().Get("sha") != "main" || len(list) == 0 {
			notFound(rw) // of a path that nothing touches too
			return
		}
		answer(rw, 200, page(list, 1, 50)) // whatever was asked for, with a path
	})
	mux.HandleFunc("GET "+repo+"/commits/{sha}/status", func(rw http.ResponseWriter, r *http.Request) {
		number, size := giteaBounds(w, r)
		answer(rw, 200, map[string]any{"sha": r.PathValue("sha"), "statuses": page(newest(w.Statuses, "status"), number, size)})
	})
	mux.HandleFunc("POST "+repo+"/statuses/{sha}", func(rw http.ResponseWriter, r *http.Request) {
		var b map[string]any
		_ = json.NewDecoder(r.Body).Decode(&b) // what is missing fails the test
		w.Set = append(w.Set, b)
		answer(rw, 201, b)
	})
}

// giteaBounds are the page that is asked for.
func giteaBounds(w *World, r *http.Request) (number, size int) {
	size, _ = strconv.Atoi(r.URL.Query().Get("limit"))
	number, _ = strconv.Atoi(r.URL.Query().Get("page"))
	return number, min(size, w.PageSize)
}

// giteaComments plays the comments of an issue, which have no pages.
func giteaComments(mux *http.ServeMux, w *World, repo string) {
	entry := func(c *Comment) map[string]any {
		return map[string]any{"id": c.ID, "body": c.Body, "user": person(c.By), "created_at": Start.Format(time.RFC3339)}
	}
	mux.HandleFunc("GET "+repo+"/issues/{n}/comments", func(rw http.ResponseWriter, r *http.Request) {
		n, _ := strconv.ParseInt(r.PathValue("n"), 10, 64)
		list := []any{}
		for _, c := range w.Comments[n] {
			list = append(list, entry(c))
		}
		answer(rw, 200, list)
	})
	mux.HandleFunc("POST "+repo+"/issues/{n}/comments", func(rw http.ResponseWriter, r *http.Request) {
		n, _ := strconv.ParseInt(r.PathValue("n"), 10, 64)
		answer(rw, 201, entry(w.comment(n, "seedling", bodyOf(r))))
	})
	mux.HandleFunc("PATCH "+repo+"/issues/comments/{id}", func(rw http.ResponseWriter, r *http.Request) {
		c := w.commentOf(r.PathValue("id"))
		if c == nil {
			notFound(rw)
			return
		}
		c.Body = bodyOf(r)
		answer(rw, 200, entry(c))
	})
}

// newest are the newest statuses of each context, as a combined status has them.
func newest(statuses []Status, state string) []any {
	list, seen := []any{}, map[string]bool{}
	for i, s := range slices.Backward(statuses) {
		if !seen[s.Context] {
			seen[s.Context] = true
			list = append(list, map[string]any{"id": i + 1, "context": s.Context, state: s.State, "created_at": Start.Format(time.RFC3339)})
		}
	}
	return list
}

func giteaWebhook(p *Pull, action, secret string) (http.Header, []byte) {
	event := "pull_request"
	if action == "push" {
		event = "push"
	}
	if action == "labeled" {
		action = "label_updated"
	}
	body, _ := json.Marshal(map[string]any{ //nolint:errchkjson // maps of strings and numbers marshal
		"action": action, "number": p.Number, "pull_request": giteaPull(p),
		"repository": map[string]any{"full_name": cmp.Or(p.Repository, Repository)}, "sender": person("maintainer"),
	})
	h := http.Header{}
	h.Set("X-Gitea-Event", event)
	h.Set("X-Gitea-Delivery", delivery)
	h.Set("X-Gitea-Signature", sign(secret, body))
	return h, body
}
