package forgetest

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seedling-dev/seedling/plugin/forge"
)

// azureWriters is the group that the configuration names.
const azureWriters = `[acme]\Contributors`

// Azure plays https://learn.microsoft.com/en-us/rest/api/azure/devops/ as of 7.1,
// with identities on the same host, as on Azure DevOps Server.
func Azure() Kind {
	return Kind{
		Type:    "azure-devops",
		Handler: azureHandler,
		Credential: func(r *http.Request) string {
			_, password, _ := r.BasicAuth()
			return password
		},
		Webhook:      azureWebhook,
		ListPaths:    []string{"/pullrequests"},
		BodyUnsigned: true,
		Approvals:    true,
		NoRemovals:   true,
		NoUpdates:    true,
		NoSender:     true,
		FileCalls:    3,
		Configure: func(_ string, c *forge.Config) error {
			c.WritersGroup = azureWriters
			return nil
		},
	}
}

func azureUser(name string) map[string]any {
	return map[string]any{"id": name, "uniqueName": name, "displayName": "Somebody"}
}

// azurePull is a pull request as lists have it, with labels.
// https://learn.microsoft.com/en-us/rest/api/azure/devops/git/pull-requests/get-pull-requests
func azurePull(p *Pull) map[string]any {
	reviewers := []any{map[string]any{"id": "onlooker", "vote": 0}, map[string]any{"id": "team", "vote": 10, "isContainer": true}}
	if len(p.approvers()) == 0 {
		reviewers = reviewers[:1]
	}
	for _, e := range p.approvers() {
		r := azureUser(e.By)
		r["vote"] = 10
		reviewers = append(reviewers, r)
	}
	pull := map[string]any{
		"pullRequestId": p.Number, "title": p.Title, "description": p.Body[:min(len(p.Body), 400)], "status": "active", "isDraft": p.Draft, "createdBy": azureUser("dev"),
		"creationDate": Start.Format(time.RFC3339), "sourceRefName": "refs/heads/" + cmp.Or(p.Branch, "feature"), "targetRefName": "refs/heads/main",
		"lastMergeSourceCommit": map[string]any{"commitId": cmp.Or(p.SHA, SHA)}, "reviewers": reviewers, "labels": azureLabels(p),
		"repository": map[string]any{"id": "7", "name": "shop", "project": map[string]any{"id": "8", "name": "acme"}},
	}
	if p.Closed {
		pull["status"], pull["closedDate"] = "abandoned", p.ClosedAt.Format(time.RFC3339)
	}
	switch project, name, _ := strings.Cut(p.HeadRepository, "/"); {
	case p.HeadRepository == "":
		pull["forkSource"] = map[string]any{"repository": nil}
	case p.HeadRepository != Repository:
		pull["forkSource"] = map[string]any{"repository": map[string]any{"name": name, "project": map[string]any{"name": project}}}
	}
	return pull
}

func azureLabels(p *Pull) []any {
	labels := []any{}
	for _, l := range p.Labels {
		labels = append(labels, map[string]any{"id": labelID(l), "name": l, "active": true})
	}
	return labels
}

func azureError(rw http.ResponseWriter, code int, text string) {
	answer(rw, code, map[string]any{"$id": "1", "innerException": nil, "message": text, "typeKey": "GitItemNotFoundException", "errorCode": 0})
}

func azureAll(rw http.ResponseWriter, list []any) {
	answer(rw, 200, map[string]any{"count": len(list), "value": append([]any{}, list...)})
}

// azurePage is a page by $top and $skip.
func azurePage(rw http.ResponseWriter, r *http.Request, w *World, top, skip string, list []any) {
	n, _ := strconv.Atoi(r.URL.Query().Get(top))
	from, _ := strconv.Atoi(r.URL.Query().Get(skip))
	if n == 0 {
		n = 100
	}
	from = min(from, len(list))
	azureAll(rw, list[from:min(from+min(n, w.PageSize), len(list))])
}

func azureHandler(w *World) http.Handler {
	const repo = "/acme/_apis/git/repositories/shop"
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(rw http.ResponseWriter, _ *http.Request) {
		azureError(rw, 404, "TF401019: it does not exist or you do not have permissions")
	})
	mux.HandleFunc("GET /_apis/connectionData", func(rw http.ResponseWriter, _ *http.Request) {
		answer(rw, 200, map[string]any{"authenticatedUser": map[string]any{"id": "seedling", "isActive": true}})
	})
	mux.HandleFunc("GET /_apis/projects/acme", func(rw http.ResponseWriter, _ *http.Request) {
		answer(rw, 200, map[string]any{"name": "acme", "visibility": map[bool]string{true: "private", false: "public"}[w.Private]})
	})
	mux.HandleFunc("GET "+repo, func(rw http.ResponseWriter, _ *http.Request) {
		answer(rw, 200, map[string]any{"id": "7", "name": "shop"})
	})
	azurePulls(mux, w, repo)
	azureThreads(mux, w, repo)
	azureFiles(mux, w, repo)
	azureStatuses(mux, w, repo)
	mux.HandleFunc("GET /_apis/identities", func(rw http.ResponseWriter, r *http.Request) { azureIdentities(rw, r, w) })
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Query().Get("api-version"), "7.1") {
			azureError(rw, 400, "No api-version was supplied")
			return
		}
		mux.ServeHTTP(rw, r)
	})
}

// azureIdentities plays
// https://learn.microsoft.com/en-us/rest/api/azure/devops/ims/identities/read-identities.
// A search finds what is like the word too, and writers are in the group by way
// of another one.
func azureIdentities(rw http.ResponseWriter, r *http.Request, w *World) {
	var list []any
	q := r.URL.Query()
	group := func(name string) any {
		return map[string]any{"id": "group " + name, "descriptor": "Microsoft.TeamFoundation.Identity;" + name, "providerDisplayName": name, "isContainer": true, "isActive": true}
	}
	if q.Get("searchFilter") == "General" {
		azureAll(rw, []any{group(q.Get("filterValue") + " of old"), group(q.Get("filterValue")), nil})
		return
	}
	for _, name := range slices.Sorted(maps.Keys(w.Users)) {
		if name != q.Get("identityIds") {
			continue
		}
		memberOf := []string{"Microsoft.TeamFoundation.Identity;" + azureWriters + " of old"}
		if permission := w.Users[name]; q.Get("queryMembership") == "ExpandedUp" && (permission == "write" || permission == "admin") {
			memberOf = append(memberOf, "Microsoft.TeamFoundation.Identity;"+azureWriters)
		}
		list = append(list, map[string]any{
			"id": name, "descriptor": "Microsoft.IdentityModel.Claims.ClaimsIdentity;" + name, "isContainer": false, "isActive": true, "memberOf": memberOf,
		})
	}
	if len(list) == 0 {
		list = []any{nil} // its word for one who is not there
	}
	azureAll(rw, list)
}

// azurePulls plays https://learn.microsoft.com/en-us/rest/api/azure/devops/git/pull-requests
func azurePulls(mux *http.ServeMux, w *World, repo string) {
	mux.HandleFunc("GET "+repo+"/pullrequests", func(rw http.ResponseWriter, r *http.Request) {
		var list []any
		for _, p := range slices.Backward(w.Open()) { // the last first
			if p.Null {
				list = append(list, nil)
				continue
			}
			list = append(list, azurePull(p))
		}
		azurePage(rw, r, w, "$top", "$skip", list)
	})
	mux.HandleFunc("GET "+repo+"/pullrequests/{n}", azureFound(w, func(rw http.ResponseWriter, _ *http.Request, p *Pull) {
		pull := azurePull(p)
		delete(pull, "labels") // https://learn.microsoft.com/en-us/answers/questions/1822199
		answer(rw, 200, pull)
	}))
	mux.HandleFunc("GET "+repo+"/pullrequests/{n}/labels", azureFound(w, func(rw http.ResponseWriter, _ *http.Request, p *Pull) {
		azureAll(rw, azureLabels(p))
	}))
	mux.HandleFunc("DELETE "+repo+"/pullrequests/{n}/labels/{label}", azureFound(w, func(rw http.ResponseWriter, r *http.Request, _ *Pull) {
		w.Removed = append(w.Removed, r.PathValue("label"))
		rw.WriteHeader(http.StatusOK)
	}))
}

func azureFound(w *World, then func(http.ResponseWriter, *http.Request, *Pull)) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		n, _ := strconv.ParseInt(r.PathValue("n"), 10, 64)
		if w.Pulls[n] == nil {
			azureError(rw, 404, "TF401180: The requested pull request was not found.")
			return
		}
		then(rw, r, w.Pulls[n])
	}
}

// azureThreads plays https://learn.microsoft.com/en-us/rest/api/azure/devops/git/pull-request-threads:
// all at once, votes among them.
func azureThreads(mux *http.ServeMux, w *World, repo string) {
	type comment struct {
		Content string `json:"content"`
		Type    string `json:"commentType"`
	}
	entry := func(c *Comment) map[string]any {
		return map[string]any{"id": c.ID, "publishedDate": Start.Format(time.RFC3339), "isDeleted": false, "properties": map[string]any{}, "comments": []any{
			map[string]any{"id": 1, "commentType": "text", "content": c.Body, "author": azureUser(c.By)},
		}}
	}
	mux.HandleFunc("GET "+repo+"/pullrequests/{n}/threads", azureFound(w, func(rw http.ResponseWriter, _ *http.Request, p *Pull) {
		var list []any
		for i, e := range p.Events {
			kind, votes := "VoteUpdate", "10"
			switch {
			case e.Label != Label:
				kind, votes = "RefUpdate", ""
			case !e.Added:
				votes = "0"
			}
			list = append(list, map[string]any{
				"id": 100_000 + i, "publishedDate": e.At.Format(time.RFC3339), "comments": []any{map[string]any{"id": 1, "commentType": "system", "author": azureUser(e.By)}},
				"properties": map[string]any{"CodeReviewThreadType": map[string]any{"$value": kind}, "CodeReviewVoteResult": map[string]any{"$value": votes}},
			})
		}
		for _, c := range w.Comments[p.Number] {
			list = append(list, entry(c))
		}
		azureAll(rw, list)
	}))
	mux.HandleFunc("POST "+repo+"/pullrequests/{n}/threads", azureFound(w, func(rw http.ResponseWriter, r *http.Request, p *Pull) {
		var b struct {
			Comments []comment `json:"comments"`
		}
		_ = json.NewDecoder(r.Body).Decode(&b) // what is missing fails the test
		if len(b.Comments) != 1 || b.Comments[0].Type != "text" {
			azureError(rw, 400, "A comment thread needs a comment.")
			return
		}
		answer(rw, 200, entry(w.comment(p.Number, "seedling", b.Comments[0].Content)))
	}))
	mux.HandleFunc("PATCH "+repo+"/pullrequests/{n}/threads/{id}/comments/1", func(rw http.ResponseWriter, r *http.Request) {
		c := w.commentOf(r.PathValue("id"))
		if c == nil {
			azureError(rw, 404, "The comment thread was not found.")
			return
		}
		var b comment
		_ = json.NewDecoder(r.Body).Decode(&b) // what is missing fails the test
		c.Body = b.Content
		answer(rw, 200, map[string]any{"id": 1, "content": c.Body})
	})
}

// azureFiles plays iterations, each of which has the files of one push, and
// commits.
func azureFiles(mux *http.ServeMux, w *World, repo string) {
	mux.HandleFunc("GET "+repo+"/pullrequests/{n}/iterations", azureFound(w, func(rw http.ResponseWriter, _ *http.Request, p *Pull) {
		azureAll(rw, []any{
			map[string]any{"id": 1, "sourceRefCommit": map[string]any{"commitId": strings.Repeat("e", 40)}},
			map[string]any{"id": 2, "sourceRefCommit": map[string]any{"commitId": cmp.Or(p.SHA, SHA)}},
		})
	}))
	// https://learn.microsoft.com/en-us/rest/api/azure/devops/git/pull-request-iteration-changes/get
	mux.HandleFunc("GET "+repo+"/pullrequests/{n}/iterations/2/changes", azureFound(w, func(rw http.ResponseWriter, r *http.Request, p *Pull) {
		skip, _ := strconv.Atoi(r.URL.Query().Get("$skip"))
		top, _ := strconv.Atoi(r.URL.Query().Get("$top"))
		size := min(top, 20*w.PageSize, 2000)
		entries, end := []any{}, min(skip+size, len(p.Files))
		for _, f := range p.Files[min(skip, end):end] {
			change := map[string]any{"changeType": "edit", "item": map[string]any{"path": "/" + f.Path}}
			if f.Before != "" {
				change["changeType"], change["originalPath"] = "rename", "/"+f.Before
			}
			entries = append(entries, change)
		}
		out := map[string]any{"changeEntries": entries}
		if end < len(p.Files) {
			out["nextSkip"], out["nextTop"] = end, size
		}
		answer(rw, 200, out)
	}))
	mux.HandleFunc("GET "+repo+"/commits", func(rw http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("searchCriteria.itemVersion.version") != "main" || q.Get("searchCriteria.itemVersion.versionType") != "branch" {
			azureError(rw, 404, "TF401175: The version descriptor could not be resolved to a version in the repository.")
			return
		}
		var list []any
		for _, c := range w.touching(strings.TrimPrefix(q.Get("searchCriteria.itemPath"), "/")) {
			list = append(list, map[string]any{"commitId": c.SHA, "committer": map[string]any{"date": c.At.Format(time.RFC3339)}})
		}
		azurePage(rw, r, w, "searchCriteria.$top", "searchCriteria.$skip", list)
	})
}

// azureStatuses plays https://learn.microsoft.com/en-us/rest/api/azure/devops/git/statuses
func azureStatuses(mux *http.ServeMux, w *World, repo string) {
	mux.HandleFunc("GET "+repo+"/commits/{sha}/statuses", func(rw http.ResponseWriter, r *http.Request) {
		var list []any
		for i, s := range w.Statuses {
			list = append(list, azureStatus(i+1, s))
		}
		azurePage(rw, r, w, "top", "skip", list)
	})
	// https://learn.microsoft.com/en-us/rest/api/azure/devops/git/pull-request-statuses/list
	mux.HandleFunc("GET "+repo+"/pullrequests/{n}/statuses", azureFound(w, func(rw http.ResponseWriter, _ *http.Request, p *Pull) {
		list := []any{}
		for i, s := range p.Statuses {
			status := azureStatus(cmp.Or(s.ID, i+1), s.Status)
			if s.Push > 0 {
				status["iterationId"] = s.Push
			}
			list = append(list, status)
		}
		azureAll(rw, list)
	}))
	mux.HandleFunc("POST "+repo+"/commits/{sha}/statuses", func(rw http.ResponseWriter, r *http.Request) {
		if r.PathValue("sha") != SHA {
			azureError(rw, 404, "TF401035: The object does not exist.")
			return
		}
		var b map[string]any
		_ = json.NewDecoder(r.Body).Decode(&b) // what is missing fails the test
		w.Set = append(w.Set, b)
		answer(rw, 201, b)
	})
}

func azureStatus(id int, s Status) map[string]any {
	genre, name, ok := strings.Cut(s.Context, "/")
	if !ok {
		genre, name = "", s.Context
	}
	return map[string]any{
		"id": id, "context": map[string]any{"genre": genre, "name": name}, "creationDate": Start.Format(time.RFC3339),
		"state": map[string]string{"pending": "pending", "success": "succeeded", "failure": "failed"}[s.State],
	}
}

// https://learn.microsoft.com/en-us/azure/devops/service-hooks/events#git.pullrequest.updated
func azureWebhook(p *Pull, action, secret string) (http.Header, []byte) {
	kind := "git.pullrequest.updated"
	if action == "push" {
		kind = "git.push"
	}
	body, _ := json.Marshal(map[string]any{ //nolint:errchkjson // maps of strings and numbers marshal
		"subscriptionId": "1", "notificationId": 3, "id": delivery, "eventType": kind, "publisherId": "tfs",
		"message": map[string]any{"text": "Somebody updated it"}, "resource": azurePull(p), "createdDate": Start.Format(time.RFC3339),
	})
	r := &http.Request{Header: http.Header{}}
	if secret != "" {
		r.SetBasicAuth("seedling", secret)
	}
	return r.Header, body
}
