package forgetest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seedling-dev/seedling/plugin/forge"
)

// Bitbucket plays https://developer.atlassian.com/cloud/bitbucket/rest/intro/
func Bitbucket() Kind {
	return Kind{
		Type:    "bitbucket",
		Handler: bitbucketHandler,
		Credential: func(r *http.Request) string {
			if user, password, _ := r.BasicAuth(); user == "bot@example.com" {
				return password
			}
			return ""
		},
		Webhook:    bitbucketWebhook,
		ListPaths:  []string{"/pullrequests"},
		Approvals:  true,
		NoRemovals: true,
		Login:      "{seedling}",
		Person:     func(name string) string { return "{" + name + "}" },
		Configure: func(_ string, c *forge.Config) error {
			c.User = "bot@example.com"
			return nil
		},
	}
}

// https://developer.atlassian.com/cloud/bitbucket/rest/api-group-users/
func bitbucketAccount(name string) any {
	if name == "" {
		return nil
	}
	return map[string]any{"type": "user", "uuid": "{" + name + "}", "nickname": "somebody", "display_name": "Somebody"}
}

// https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pullrequests/#api-repositories-workspace-repo-slug-pullrequests-pull-request-id-get.
// Commits have twelve digits there.
func bitbucketPull(p *Pull) map[string]any {
	state := "OPEN"
	if p.Closed {
		state = "DECLINED"
	}
	source := any(nil)
	if p.HeadRepository != "" {
		source = map[string]any{"type": "repository", "full_name": p.HeadRepository}
	}
	participants := []any{map[string]any{"role": "PARTICIPANT", "approved": false, "state": nil, "user": bitbucketAccount("onlooker")}}
	for _, e := range p.approvers() {
		participants = append(participants, map[string]any{"role": "REVIEWER", "approved": true, "state": "approved", "user": bitbucketAccount(e.By)})
	}
	return map[string]any{
		"type": "pullrequest", "id": p.Number, "title": p.Title, "description": p.Body, "state": state, "draft": p.Draft,
		"created_on": Start.Format(time.RFC3339), "updated_on": p.Updated.Format("2006-01-02T15:04:05.000000-07:00"), "author": bitbucketAccount("dev"),
		"source":       map[string]any{"branch": map[string]any{"name": cmp.Or(p.Branch, "feature")}, "commit": map[string]any{"hash": (cmp.Or(p.SHA, SHA) + SHA)[:12]}, "repository": source},
		"destination":  map[string]any{"branch": map[string]any{"name": "main"}, "commit": map[string]any{"hash": fmt.Sprintf("%012x", p.Number)}},
		"participants": participants,
		"links":        map[string]any{"html": map[string]any{"href": "https://bitbucket.org/acme/shop/pull-requests/" + strconv.FormatInt(p.Number, 10)}},
	}
}

// bitbucketError is https://developer.atlassian.com/cloud/bitbucket/rest/intro/#standardized-error-responses
func bitbucketError(rw http.ResponseWriter, code int, text string) {
	answer(rw, code, map[string]any{"type": "error", "error": map[string]any{"message": text}})
}

func bitbucketHandler(w *World) http.Handler {
	const repo = "/2.0/repositories/" + Repository
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(rw http.ResponseWriter, _ *http.Request) { bitbucketError(rw, 404, "Resource not found") })
	mux.HandleFunc("GET /2.0/user", func(rw http.ResponseWriter, _ *http.Request) { answer(rw, 200, bitbucketAccount("seedling")) })
	mux.HandleFunc("GET "+repo, func(rw http.ResponseWriter, _ *http.Request) {
		answer(rw, 200, map[string]any{"type": "repository", "full_name": Repository, "is_private": w.Private})
	})
	bitbucketPulls(mux, w, repo)
	bitbucketComments(mux, w, repo)
	// https://developer.atlassian.com/cloud/bitbucket/rest/api-group-workspaces/#api-workspaces-workspace-permissions-repositories-repo-slug-get
	mux.HandleFunc("GET /2.0/workspaces/acme/permissions/repositories/shop", func(rw http.ResponseWriter, r *http.Request) {
		var list []any
		for _, name := range slices.Sorted(maps.Keys(w.Users)) {
			permission := w.Users[name]
			if q := r.URL.Query().Get("q"); permission != "none" && (q == "" || q == fmt.Sprintf(`user.uuid="{%s}"`, name)) {
				list = append(list, map[string]any{"type": "repository_permission", "permission": permission, "user": bitbucketAccount(name)})
			}
		}
		bitbucketPage(rw, r, w, 100, list)
	})
	// https://developer.atlassian.com/cloud/bitbucket/rest/api-group-commits/#api-repositories-workspace-repo-slug-commit-commit-get
	mux.HandleFunc("GET "+repo+"/commit/{sha}", func(rw http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(SHA, r.PathValue("sha")) {
			bitbucketError(rw, 404, "Commit not found")
			return
		}
		answer(rw, 200, map[string]any{"type": "commit", "hash": SHA})
	})
	bitbucketStatuses(mux, w, repo)
	bitbucketFiles(mux, w, repo)
	return mux
}

// bitbucketPulls plays https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pullrequests/
func bitbucketPulls(mux *http.ServeMux, w *World, repo string) {
	mux.HandleFunc("GET "+repo+"/pullrequests", func(rw http.ResponseWriter, r *http.Request) {
		fields := strings.Split(r.URL.Query().Get("fields"), ",")
		var list []any
		for _, p := range w.Open() {
			if p.Null {
				list = append(list, nil)
				continue
			}
			pull := bitbucketPull(p)
			if !slices.Contains(fields, "values.participants.approved") {
				delete(pull, "participants") // of lists they are told where they are asked for
			}
			if fields[0] != "" && !slices.Contains(fields, "values.description") {
				delete(pull, "description")
			}
			list = append(list, pull)
		}
		bitbucketPage(rw, r, w, 50, list)
	})
	pull := func(rw http.ResponseWriter, r *http.Request) *Pull {
		n, _ := strconv.ParseInt(r.PathValue("n"), 10, 64)
		if w.Pulls[n] == nil {
			bitbucketError(rw, 404, "Pull request not found")
		}
		return w.Pulls[n]
	}
	mux.HandleFunc("GET "+repo+"/pullrequests/{n}", func(rw http.ResponseWriter, r *http.Request) {
		if p := pull(rw, r); p != nil {
			answer(rw, 200, bitbucketPull(p))
		}
	})
	mux.HandleFunc("GET "+repo+"/pullrequests/{n}/activity", func(rw http.ResponseWriter, r *http.Request) {
		p := pull(rw, r)
		if p == nil {
			return
		}
		var list []any // the last first; of an approval that was taken back there is none
		standing := p.approvers()
		for _, e := range slices.Backward(p.Events) {
			switch {
			case e.Label == "":
				list = append(list, map[string]any{"comment": map[string]any{"created_on": e.At.Format(time.RFC3339), "user": bitbucketAccount(e.By)}})
			case slices.Contains(standing, e):
				list = append(list, map[string]any{"approval": map[string]any{"date": e.At.Format(time.RFC3339), "user": bitbucketAccount(e.By)}})
			}
		}
		bitbucketPage(rw, r, w, 50, list)
	})
}

// bitbucketComments plays the comments of
// https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pullrequests/
func bitbucketComments(mux *http.ServeMux, w *World, repo string) {
	entry := func(c *Comment) map[string]any {
		user := any(nil)
		if c.By != "" {
			user = map[string]any{"type": "user", "uuid": c.By}
		}
		return map[string]any{"id": c.ID, "content": map[string]any{"raw": c.Body}, "user": user, "deleted": false, "created_on": Start.Format(time.RFC3339)}
	}
	text := func(r *http.Request) string {
		var b struct {
			Content struct {
				Raw string `json:"raw"`
			} `json:"content"`
		}
		_ = json.NewDecoder(r.Body).Decode(&b) // what is missing fails the test
		return b.Content.Raw
	}
	mux.HandleFunc("GET "+repo+"/pullrequests/{n}/comments", func(rw http.ResponseWriter, r *http.Request) {
		n, _ := strconv.ParseInt(r.PathValue("n"), 10, 64)
		var list []any
		for _, c := range w.Comments[n] {
			list = append(list, entry(c))
		}
		bitbucketPage(rw, r, w, 100, list)
	})
	mux.HandleFunc("POST "+repo+"/pullrequests/{n}/comments", func(rw http.ResponseWriter, r *http.Request) {
		n, _ := strconv.ParseInt(r.PathValue("n"), 10, 64)
		if w.Pulls[n] == nil {
			bitbucketError(rw, 404, "Pull request not found")
			return
		}
		answer(rw, 201, entry(w.comment(n, "{seedling}", text(r))))
	})
	mux.HandleFunc("PUT "+repo+"/pullrequests/{n}/comments/{id}", func(rw http.ResponseWriter, r *http.Request) {
		c := w.commentOf(r.PathValue("id"))
		if c == nil {
			bitbucketError(rw, 404, "Comment not found")
			return
		}
		c.Body = text(r)
		answer(rw, 200, entry(c))
	})
}

// bitbucketFiles plays what
// https://developer.atlassian.com/cloud/bitbucket/rest/api-group-commits/ has of
// files. The target of each pull request is another commit.
func bitbucketFiles(mux *http.ServeMux, w *World, repo string) {
	mux.HandleFunc("GET "+repo+"/diffstat/{spec}", func(rw http.ResponseWriter, r *http.Request) {
		head, target, _ := strings.Cut(r.PathValue("spec"), "..")
		for _, p := range w.Pulls {
			if len(head) != 40 || target != fmt.Sprintf("%012x", p.Number) {
				continue
			}
			var list []any
			for _, f := range p.Files {
				list = append(list, map[string]any{
					"type": "diffstat", "status": "modified", "new": map[string]any{"path": f.Path}, "old": map[string]any{"path": cmp.Or(f.Before, f.Path)},
				})
			}
			bitbucketPage(rw, r, w, 500, list)
			return
		}
		bitbucketError(rw, 404, "Commit not found")
	})
	mux.HandleFunc("GET "+repo+"/commits", func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("include") != "main" {
			bitbucketError(rw, 404, "Commit not found")
			return
		}
		var list []any
		for _, c := range w.touching(r.URL.Query().Get("path")) {
			list = append(list, map[string]any{"type": "commit", "hash": c.SHA, "date": c.At.Format(time.RFC3339)})
		}
		bitbucketPage(rw, r, w, 100, list)
	})
}

// bitbucketStatuses plays https://developer.atlassian.com/cloud/bitbucket/rest/api-group-commit-statuses/.
// A commit has one status of each key.
func bitbucketStatuses(mux *http.ServeMux, w *World, repo string) {
	mux.HandleFunc("GET "+repo+"/commit/{sha}/statuses", func(rw http.ResponseWriter, r *http.Request) {
		var list []any
		for i, s := range w.Statuses {
			if slices.ContainsFunc(w.Statuses[i+1:], func(later Status) bool { return later.Context == s.Context }) {
				continue
			}
			list = append(list, map[string]any{
				"type": "build", "key": s.Context, "name": "Pipeline", "updated_on": Start.Format(time.RFC3339),
				"state": map[string]string{"pending": "INPROGRESS", "success": "SUCCESSFUL", "failure": "FAILED"}[s.State],
			})
		}
		bitbucketPage(rw, r, w, 100, list)
	})
	mux.HandleFunc("POST "+repo+"/commit/{sha}/statuses/build", func(rw http.ResponseWriter, r *http.Request) {
		var b map[string]any
		_ = json.NewDecoder(r.Body).Decode(&b) // what is missing fails the test
		key, _ := b["key"].(string)
		if key == "" || len(key) > 40 || b["url"] == nil || b["url"] == "" {
			bitbucketError(rw, 400, "key and url are required")
			return
		}
		b["state"] = map[any]string{"INPROGRESS": "pending", "SUCCESSFUL": "success", "FAILED": "failure"}[b["state"]]
		w.Set = append(w.Set, b)
		answer(rw, 201, b)
	})
}

// bitbucketPage is https://developer.atlassian.com/cloud/bitbucket/rest/intro/#pagination
func bitbucketPage(rw http.ResponseWriter, r *http.Request, w *World, most int, list []any) {
	q := r.URL.Query()
	number, _ := strconv.Atoi(q.Get("page"))
	size, _ := strconv.Atoi(q.Get("pagelen"))
	if size == 0 {
		size = 10
	}
	number, size = max(number, 1), min(size, w.PageSize, most)
	out := map[string]any{"size": len(list), "page": number, "pagelen": size, "values": append([]any{}, page(list, number, size)...)}
	if number*size < len(list) {
		q.Set("page", strconv.Itoa(number+1))
		out["next"] = "http://" + r.Host + r.URL.Path + "?" + q.Encode()
	}
	answer(rw, 200, out)
}

// https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/#Pull-request-events
func bitbucketWebhook(p *Pull, action, secret string) (http.Header, []byte) {
	pull := bitbucketPull(p)
	event := map[string]string{"push": "repo:push", "labeled": "pullrequest:approved", "closed": "pullrequest:rejected"}[action]
	if action == "closed" {
		pull["updated_on"] = p.ClosedAt.Format(time.RFC3339)
	}
	body, _ := json.Marshal(map[string]any{ //nolint:errchkjson // maps of strings and numbers marshal
		"actor": bitbucketAccount("maintainer"), "pullrequest": pull, "repository": map[string]any{"type": "repository", "full_name": Repository},
		"approval": map[string]any{"date": Start.Format(time.RFC3339), "user": bitbucketAccount("maintainer")},
	})
	h := http.Header{}
	h.Set("X-Event-Key", event)
	h.Set("X-Request-UUID", delivery)
	h.Set("X-Hub-Signature", "sha256="+sign(secret, body))
	return h, body
}
