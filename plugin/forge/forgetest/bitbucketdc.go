package forgetest

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// BitbucketDC plays https://developer.atlassian.com/server/bitbucket/rest/v906/intro/
func BitbucketDC() Kind {
	return Kind{
		Type:       "bitbucket-datacenter",
		Handler:    bitbucketDCHandler,
		Credential: func(r *http.Request) string { return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") },
		Webhook:    bitbucketDCWebhook,
		ListPaths:  []string{"/pull-requests"},
		Approvals:  true,
		Grants:     true,
		FileCalls:  1,
	}
}

func bitbucketDCUser(name string) any {
	if name == "" {
		return nil
	}
	return map[string]any{"name": name, "slug": name, "id": labelID(name), "displayName": "Somebody", "active": true, "type": "NORMAL"}
}

// bitbucketDCRef is one side of a pull request. repository is empty for one that
// is gone.
func bitbucketDCRef(branch, sha, repository string) map[string]any {
	ref := map[string]any{"id": "refs/heads/" + branch, "displayId": branch, "latestCommit": sha, "repository": nil}
	if key, slug, ok := strings.Cut(repository, "/"); ok {
		ref["repository"] = map[string]any{"slug": slug, "public": false, "project": map[string]any{"key": key}}
	}
	return ref
}

// https://developer.atlassian.com/server/bitbucket/rest/v906/api-group-pull-requests/#api-api-latest-projects-projectkey-repos-repositoryslug-pull-requests-pullrequestid-get
func bitbucketDCPull(p *Pull) map[string]any {
	state := "OPEN"
	if p.Closed {
		state = "DECLINED"
	}
	reviewers := []any{map[string]any{"role": "REVIEWER", "approved": false, "status": "UNAPPROVED", "user": bitbucketDCUser("onlooker")}}
	for _, e := range p.approvers() {
		reviewers = append(reviewers, map[string]any{"role": "REVIEWER", "approved": true, "status": "APPROVED", "user": bitbucketDCUser(e.By)})
	}
	pull := map[string]any{
		"id": p.Number, "version": 1, "title": p.Title, "description": p.Body, "state": state, "open": !p.Closed, "closed": p.Closed, "draft": p.Draft,
		"createdDate": Start.UnixMilli(), "updatedDate": p.Updated.UnixMilli(),
		"fromRef": bitbucketDCRef(cmp.Or(p.Branch, "feature"), cmp.Or(p.SHA, SHA), p.HeadRepository),
		"toRef":   bitbucketDCRef("main", strings.Repeat("b", 40), Repository),
		"author":  map[string]any{"role": "AUTHOR", "approved": false, "user": bitbucketDCUser("dev")}, "reviewers": reviewers, "participants": []any{},
		"links": map[string]any{"self": []any{map[string]any{"href": "https://git.example.com/projects/acme/repos/shop/pull-requests/" + strconv.FormatInt(p.Number, 10)}}},
	}
	if p.Closed {
		pull["closedDate"] = p.ClosedAt.UnixMilli()
	}
	return pull
}

// bitbucketDCError is https://developer.atlassian.com/server/bitbucket/rest/v906/intro/#errors-validation
func bitbucketDCError(rw http.ResponseWriter, code int, text string) {
	answer(rw, code, map[string]any{"errors": []any{map[string]any{"context": nil, "message": text, "exceptionName": nil}}})
}

func bitbucketDCHandler(w *World) http.Handler {
	const repo = "/rest/api/latest/projects/acme/repos/shop"
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(rw http.ResponseWriter, _ *http.Request) { bitbucketDCError(rw, 404, "There is no such thing.") })
	mux.HandleFunc("GET /rest/api/latest/application-properties", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("X-AUSERNAME", url.PathEscape("seedling"))
		answer(rw, 200, map[string]any{"version": "9.6.0", "displayName": "Bitbucket"})
	})
	mux.HandleFunc("GET "+repo, func(rw http.ResponseWriter, _ *http.Request) {
		answer(rw, 200, map[string]any{"slug": "shop", "public": false, "project": map[string]any{"key": "acme", "public": false}})
	})
	mux.HandleFunc("GET /rest/api/latest/projects/acme/permissions/PROJECT_READ/all", func(rw http.ResponseWriter, _ *http.Request) {
		answer(rw, 200, map[string]any{"permitted": !w.Private})
	})
	// https://developer.atlassian.com/server/bitbucket/rest/v906/api-group-system-maintenance/#api-api-latest-users-get
	mux.HandleFunc("GET /rest/api/latest/users", func(rw http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		var list []any
		for _, name := range slices.Sorted(maps.Keys(w.Users)) {
			permission := w.Users[name]
			writes := permission == "write" || permission == "admin"
			if strings.Contains(name, q.Get("filter")) && (writes || q.Get("permission.1") != "REPO_WRITE" || q.Get("permission.1.repositorySlug") != "shop") {
				list = append(list, bitbucketDCUser(name))
			}
		}
		bitbucketDCPage(rw, r, w, list)
	})
	bitbucketDCPulls(mux, w, repo)
	bitbucketDCComments(mux, w, repo)
	bitbucketDCCommits(mux, w, repo)
	return mux
}

// bitbucketDCPulls plays https://developer.atlassian.com/server/bitbucket/rest/v906/api-group-pull-requests/
func bitbucketDCPulls(mux *http.ServeMux, w *World, repo string) {
	mux.HandleFunc("GET "+repo+"/pull-requests", func(rw http.ResponseWriter, r *http.Request) {
		var list []any
		for _, p := range w.Open() {
			if p.Null {
				list = append(list, nil)
				continue
			}
			list = append(list, bitbucketDCPull(p))
		}
		if r.URL.Query().Get("order") != "OLDEST" { // the default is NEWEST
			slices.Reverse(list)
		}
		bitbucketDCPage(rw, r, w, list)
	})
	found := func(then func(http.ResponseWriter, *http.Request, *Pull)) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			n, _ := strconv.ParseInt(r.PathValue("n"), 10, 64)
			if w.Pulls[n] == nil {
				bitbucketDCError(rw, 404, "There is no such pull request.")
				return
			}
			then(rw, r, w.Pulls[n])
		}
	}
	mux.HandleFunc("GET "+repo+"/pull-requests/{n}", found(func(rw http.ResponseWriter, _ *http.Request, p *Pull) {
		answer(rw, 200, bitbucketDCPull(p))
	}))
	// Not paged: one page, cut at a maximum of the server's own.
	mux.HandleFunc("GET "+repo+"/pull-requests/{n}/changes", found(func(rw http.ResponseWriter, r *http.Request, p *Pull) {
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		limit = min(limit, 1000)
		list := []any{}
		for _, f := range page(p.Files, 1, limit) {
			change := map[string]any{"path": map[string]any{"toString": f.Path}, "type": "MODIFY"}
			if f.Before != "" {
				change["srcPath"], change["type"] = map[string]any{"toString": f.Before}, "MOVE"
			}
			list = append(list, change)
		}
		answer(rw, 200, map[string]any{
			"fromHash": strings.Repeat("b", 40), "toHash": cmp.Or(p.SHA, SHA), "values": list, "size": len(list),
			"start": 0, "limit": limit, "isLastPage": len(p.Files) <= limit, "nextPageStart": nil,
		})
	}))
	mux.HandleFunc("GET "+repo+"/pull-requests/{n}/activities", found(func(rw http.ResponseWriter, r *http.Request, p *Pull) {
		var list []any
		for _, c := range slices.Backward(w.Comments[p.Number]) {
			list = append(list, map[string]any{"action": "COMMENTED", "commentAction": "ADDED", "createdDate": Start.UnixMilli(), "user": bitbucketDCUser(c.By), "comment": bitbucketDCComment(c)})
		}
		for _, e := range slices.Backward(p.Events) {
			action := "COMMENTED"
			switch {
			case e.Label != Label: // nothing else has approvals
			case e.Added:
				action = "APPROVED"
			default:
				action = "UNAPPROVED"
			}
			list = append(list, map[string]any{"action": action, "createdDate": e.At.UnixMilli(), "user": bitbucketDCUser(e.By)})
		}
		bitbucketDCPage(rw, r, w, list)
	}))
}

func bitbucketDCComment(c *Comment) map[string]any {
	return map[string]any{"id": c.ID, "version": 3, "text": c.Body, "author": bitbucketDCUser(c.By)}
}

// bitbucketDCComments plays the comments of a pull request.
func bitbucketDCComments(mux *http.ServeMux, w *World, repo string) {
	var said struct {
		Text    string `json:"text"`
		Version *int   `json:"version"`
	}
	mux.HandleFunc("POST "+repo+"/pull-requests/{n}/comments", func(rw http.ResponseWriter, r *http.Request) {
		n, _ := strconv.ParseInt(r.PathValue("n"), 10, 64)
		if w.Pulls[n] == nil {
			bitbucketDCError(rw, 404, "There is no such pull request.")
			return
		}
		_ = json.NewDecoder(r.Body).Decode(&said) // what is missing fails the test
		answer(rw, 201, bitbucketDCComment(w.comment(n, "seedling", said.Text)))
	})
	mux.HandleFunc(repo+"/pull-requests/{n}/comments/{id}", func(rw http.ResponseWriter, r *http.Request) {
		c := w.commentOf(r.PathValue("id"))
		if c == nil {
			bitbucketDCError(rw, 404, "There is no such comment.")
			return
		}
		if r.Method == http.MethodPut {
			said.Version = nil
			_ = json.NewDecoder(r.Body).Decode(&said) // what is missing fails the test
			if said.Version == nil || *said.Version != 3 {
				bitbucketDCError(rw, 409, "You are attempting to modify a comment based on out-of-date information.")
				return
			}
			c.Body = said.Text
		}
		answer(rw, 200, bitbucketDCComment(c))
	})
}

// bitbucketDCCommits plays commits and their builds:
// https://developer.atlassian.com/server/bitbucket/rest/v906/api-group-builds-and-deployments/.
// A commit has one build of each key.
func bitbucketDCCommits(mux *http.ServeMux, w *World, repo string) {
	mux.HandleFunc("GET "+repo+"/commits", func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("until") != "refs/heads/main" {
			bitbucketDCError(rw, 404, "There is no such commit.")
			return
		}
		var list []any
		for _, c := range w.touching(r.URL.Query().Get("path")) {
			list = append(list, map[string]any{"id": c.SHA, "displayId": c.SHA[:11], "committerTimestamp": c.At.UnixMilli()})
		}
		bitbucketDCPage(rw, r, w, list)
	})
	mux.HandleFunc("GET /rest/build-status/latest/commits/{sha}", func(rw http.ResponseWriter, r *http.Request) {
		var list []any
		for i, s := range w.Statuses {
			if slices.ContainsFunc(w.Statuses[i+1:], func(later Status) bool { return later.Context == s.Context }) {
				continue
			}
			list = append(list, map[string]any{
				"key": s.Context, "name": "Build", "dateAdded": Start.UnixMilli(), "url": "https://ci.example.com",
				"state": map[string]string{"pending": "INPROGRESS", "success": "SUCCESSFUL", "failure": "FAILED"}[s.State],
			})
		}
		bitbucketDCPage(rw, r, w, list)
	})
	mux.HandleFunc("POST "+repo+"/commits/{sha}/builds", func(rw http.ResponseWriter, r *http.Request) {
		var b map[string]any
		_ = json.NewDecoder(r.Body).Decode(&b) // what is missing fails the test
		if b["key"] == nil || b["key"] == "" || b["url"] == nil || b["url"] == "" {
			bitbucketDCError(rw, 400, "key and url are required.")
			return
		}
		b["state"] = map[any]string{"INPROGRESS": "pending", "SUCCESSFUL": "success", "FAILED": "failure"}[b["state"]]
		w.Set = append(w.Set, b)
		rw.WriteHeader(http.StatusNoContent)
	})
}

// bitbucketDCPage is https://developer.atlassian.com/server/bitbucket/rest/v906/intro/#paged-apis
func bitbucketDCPage(rw http.ResponseWriter, r *http.Request, w *World, list []any) {
	start, _ := strconv.Atoi(r.URL.Query().Get("start"))
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	if limit == 0 {
		limit = 25
	}
	limit = min(limit, w.PageSize)
	end := min(start+limit, len(list))
	values := append([]any{}, list[min(start, end):end]...)
	out := map[string]any{"start": start, "limit": limit, "size": len(values), "values": values, "isLastPage": end == len(list), "nextPageStart": nil}
	if end < len(list) {
		out["nextPageStart"] = end
	}
	answer(rw, 200, out)
}

// https://confluence.atlassian.com/bitbucketserver/event-payload-938025882.html
func bitbucketDCWebhook(p *Pull, action, secret string) (http.Header, []byte) {
	event := map[string]string{"push": "repo:refs_changed", "labeled": "pr:reviewer:approved", "closed": "pr:declined"}[action]
	body, _ := json.Marshal(map[string]any{ //nolint:errchkjson // maps of strings and numbers marshal
		"eventKey": event, "date": p.Updated.Format("2006-01-02T15:04:05-0700"), "actor": bitbucketDCUser("maintainer"), "pullRequest": bitbucketDCPull(p),
	})
	h := http.Header{}
	h.Set("X-Event-Key", event)
	h.Set("X-Request-Id", delivery)
	h.Set("X-Hub-Signature", "sha256="+sign(secret, body))
	return h, body
}
