package forgetest

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seedling-dev/seedling/plugin/forge"
)

// GitLab plays https://docs.gitlab.com/api/rest/, with webhooks that have a
// signing token.
func GitLab() Kind {
	return Kind{
		Type:       "gitlab",
		Handler:    gitlabHandler,
		Credential: func(r *http.Request) string { return r.Header.Get("PRIVATE-TOKEN") },
		Webhook:    gitlabSigned,
		ListPaths:  []string{"/merge_requests"},
		Grants:     true,
		Deployed:   gitlabDeployed,
		Configure: func(dir string, c *forge.Config) error {
			c.WebhookSecretFile = filepath.Join(dir, "signing")
			return os.WriteFile(c.WebhookSecretFile, []byte(signingToken(secret)), 0o600)
		},
	}
}

// GitLabToken is the same with a secret token, which proves nothing of a body.
func GitLabToken() Kind {
	k := GitLab()
	k.Configure, k.Webhook, k.BodyUnsigned, k.Grants = nil, gitlabWebhook, true, false
	return k
}

// https://docs.gitlab.com/api/merge_requests/#list-project-merge-requests
func gitlabMergeRequest(p *Pull) map[string]any {
	state, closed := "opened", any(nil)
	if p.Closed {
		state, closed = "closed", p.ClosedAt.Format(time.RFC3339)
	}
	source := any(7)
	switch p.HeadRepository {
	case Repository:
	case "":
		source = nil
	default:
		source = 8
	}
	return map[string]any{
		"id": p.Number + 1000, "iid": p.Number, "project_id": 7, "title": p.Title, "description": p.Body, "state": state, "draft": p.Draft,
		"author": account("dev"), "web_url": "https://gitlab.com/acme/shop/-/merge_requests/" + strconv.FormatInt(p.Number, 10),
		"labels": append([]string{}, p.Labels...), "created_at": Start.Format(time.RFC3339), "updated_at": p.Updated.Format("2006-01-02T15:04:05.000Z07:00"),
		"closed_at": closed, "sha": cmp.Or(p.SHA, SHA), "source_branch": cmp.Or(p.Branch, "feature"), "target_branch": "main", "source_project_id": source, "target_project_id": 7,
	}
}

// account is a user as GitLab tells of one.
func account(name string) any {
	if name == "" {
		return nil
	}
	return map[string]any{"id": labelID(name), "username": name, "name": name, "state": "active"}
}

func gitlabHandler(w *World) http.Handler {
	const project = "/api/v4/projects/{id}"
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(rw http.ResponseWriter, _ *http.Request) { notFound(rw) })
	mux.HandleFunc("GET /api/v4/user", func(rw http.ResponseWriter, _ *http.Request) { answer(rw, 200, account("seedling")) })
	mux.HandleFunc("GET "+project, func(rw http.ResponseWriter, _ *http.Request) {
		visibility := "internal"
		if w.Private {
			visibility = "private"
		}
		answer(rw, 200, map[string]any{"id": 7, "path_with_namespace": Repository, "visibility": visibility})
	})
	gitlabMergeRequests(mux, w, project)
	gitlabCommits(mux, w, project)
	gitlabMembers(mux, w, project)
	gitlabNotes(mux, w, project)
	gitlabDeployments(mux, w, project)
	return mux
}

// gitlabMergeRequests plays https://docs.gitlab.com/api/merge_requests/
func gitlabMergeRequests(mux *http.ServeMux, w *World, project string) {
	mux.HandleFunc("GET "+project+"/merge_requests", func(rw http.ResponseWriter, r *http.Request) {
		var list []any
		for _, p := range w.Open() {
			switch l := r.URL.Query().Get("labels"); {
			case l != "" && !slices.Contains(p.Labels, l):
			case p.Null:
				list = append(list, nil)
			default:
				list = append(list, gitlabMergeRequest(p))
			}
		}
		gitlabPaged(w, rw, r, list)
	})
	mux.HandleFunc("GET "+project+"/merge_requests/{n}", func(rw http.ResponseWriter, r *http.Request) {
		if p := pullOf(w, r); p != nil {
			m := gitlabMergeRequest(p)
			m["changes_count"] = strconv.Itoa(len(p.Files))
			if len(p.Files) > 1000 {
				m["changes_count"] = "1000+"
			}
			answer(rw, 200, m)
			return
		}
		notFound(rw)
	})
	// https://docs.gitlab.com/api/merge_requests/#list-merge-request-diffs
	mux.HandleFunc("GET "+project+"/merge_requests/{n}/diffs", func(rw http.ResponseWriter, r *http.Request) {
		p := pullOf(w, r)
		number, size := gitlabBounds(w, r)
		switch {
		case p == nil:
			notFound(rw)
		case size > 30:
			// Until 18 it did: https://gitlab.com/gitlab-org/gitlab/-/issues/427168
			answer(rw, 500, map[string]any{"message": "500 Internal Server Error"})
		default:
			list := []any{}
			files := p.Files[:min(len(p.Files), 1000)]
			for _, f := range page(files, number, size) {
				list = append(list, map[string]any{"old_path": cmp.Or(f.Before, f.Path), "new_path": f.Path, "renamed_file": f.Before != "", "diff": "@@ -1 +1 @@"})
			}
			githubNext(rw, r, number*size < len(files))
			answer(rw, 200, list)
		}
	})
	// https://docs.gitlab.com/api/merge_requests/#update-merge-request
	mux.HandleFunc("PUT "+project+"/merge_requests/{n}", func(rw http.ResponseWriter, r *http.Request) {
		var b map[string]string
		_ = json.NewDecoder(r.Body).Decode(&b) // what is missing fails the test
		w.Removed = append(w.Removed, b["remove_labels"])
		answer(rw, 200, gitlabMergeRequest(pullOf(w, r)))
	})
	// https://docs.gitlab.com/api/resource_label_events/#merge-requests
	mux.HandleFunc("GET "+project+"/merge_requests/{n}/resource_label_events", func(rw http.ResponseWriter, r *http.Request) {
		var list []any
		for i, e := range pullOf(w, r).Events {
			entry := map[string]any{"id": i + 1, "action": "remove", "created_at": e.At.Format(time.RFC3339), "user": account(e.By), "label": nil}
			if e.Label != "" { // one without was deleted since
				entry["label"] = map[string]any{"id": labelID(e.Label), "name": e.Label}
			}
			if e.Added {
				entry["action"] = "add"
			}
			list = append(list, entry)
		}
		gitlabPaged(w, rw, r, list)
	})
}

// gitlabCommits plays https://docs.gitlab.com/api/commits/
func gitlabCommits(mux *http.ServeMux, w *World, project string) {
	// https://docs.gitlab.com/api/commits/#list-repository-commits
	mux.HandleFunc("GET "+project+"/repository/commits", func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("ref_name") != "main" {
			notFound(rw)
			return
		}
		list := []any{}
		for _, c := range w.touching(r.URL.Query().Get("path")) {
			list = append(list, map[string]any{"id": c.SHA, "short_id": c.SHA[:8], "committed_date": c.At.Format("2006-01-02T15:04:05.000Z07:00")})
		}
		number, size := gitlabBounds(w, r)
		answer(rw, 200, append([]any{}, page(list, number, size)...))
	})
	// https://docs.gitlab.com/api/commits/#list-commit-statuses
	mux.HandleFunc("GET "+project+"/repository/commits/{sha}/statuses", func(rw http.ResponseWriter, r *http.Request) {
		var list []any
		for i, s := range w.Statuses {
			if name := r.URL.Query().Get("name"); name == "" || name == s.Context {
				list = append(list, map[string]any{"id": i + 1, "sha": r.PathValue("sha"), "name": s.Context, "status": s.State})
			}
		}
		gitlabPaged(w, rw, r, list)
	})
	// https://docs.gitlab.com/api/commits/#set-commit-pipeline-status
	mux.HandleFunc("POST "+project+"/statuses/{sha}", func(rw http.ResponseWriter, r *http.Request) {
		var b map[string]any
		_ = json.NewDecoder(r.Body).Decode(&b) // what is missing fails the test
		for _, before := range w.Set {
			if before["name"] == b["name"] && before["state"] == b["state"] {
				answer(rw, 400, map[string]any{"message": `Cannot transition status via :enqueue from :pending (Reason(s): Status cannot transition via "enqueue")`})
				return
			}
		}
		w.Set = append(w.Set, b)
		answer(rw, 201, b)
	})
}

// gitlabBounds are the page that is asked for.
func gitlabBounds(w *World, r *http.Request) (number, size int) {
	size, _ = strconv.Atoi(r.URL.Query().Get("per_page"))
	number, _ = strconv.Atoi(r.URL.Query().Get("page"))
	if size == 0 {
		size = 20
	}
	return max(number, 1), min(size, w.PageSize, 100)
}

// gitlabPaged is https://docs.gitlab.com/api/rest/#pagination-response-headers
func gitlabPaged(w *World, rw http.ResponseWriter, r *http.Request, list []any) {
	number, size := gitlabBounds(w, r)
	rw.Header().Set("X-Total", strconv.Itoa(len(list)))
	githubNext(rw, r, number*size < len(list))
	answer(rw, 200, append([]any{}, page(list, number, size)...))
}

// gitlabNotes plays https://docs.gitlab.com/api/notes/#merge-requests.
func gitlabNotes(mux *http.ServeMux, w *World, project string) {
	entry := func(c *Comment) map[string]any {
		return map[string]any{"id": c.ID, "body": c.Body, "author": account(c.By), "system": false, "created_at": Start.Format(time.RFC3339)}
	}
	mux.HandleFunc("GET "+project+"/merge_requests/{n}/notes", func(rw http.ResponseWriter, r *http.Request) {
		n, _ := strconv.ParseInt(r.PathValue("n"), 10, 64)
		var list []any
		for _, c := range w.Comments[n] {
			list = append(list, entry(c))
		}
		if r.URL.Query().Get("sort") != "asc" { // the default is desc
			slices.Reverse(list)
		}
		gitlabPaged(w, rw, r, list)
	})
	mux.HandleFunc("POST "+project+"/merge_requests/{n}/notes", func(rw http.ResponseWriter, r *http.Request) {
		n, _ := strconv.ParseInt(r.PathValue("n"), 10, 64)
		answer(rw, 201, entry(w.comment(n, "seedling", bodyOf(r))))
	})
	mux.HandleFunc("PUT "+project+"/merge_requests/{n}/notes/{note}", func(rw http.ResponseWriter, r *http.Request) {
		c := w.commentOf(r.PathValue("note"))
		if c == nil {
			notFound(rw)
			return
		}
		c.Body = bodyOf(r)
		answer(rw, 200, entry(c))
	})
}

// gitlabMembers plays https://docs.gitlab.com/api/project_members/ and
// https://docs.gitlab.com/api/users/#list-users.
func gitlabMembers(mux *http.ServeMux, w *World, project string) {
	mux.HandleFunc("GET /api/v4/users", func(rw http.ResponseWriter, r *http.Request) {
		list := []any{}
		if name := r.URL.Query().Get("username"); w.Users[name] != "" {
			list = append(list, account(name))
		}
		answer(rw, 200, list)
	})
	mux.HandleFunc("GET "+project+"/members/all/{user}", func(rw http.ResponseWriter, r *http.Request) {
		for name, permission := range w.Users {
			level, member := map[string]int{"admin": 50, "write": 30, "read": 20, "something": 5}[permission]
			if member && strconv.FormatInt(labelID(name), 10) == r.PathValue("user") {
				answer(rw, 200, map[string]any{
					"id": labelID(name), "username": name, "state": "active", "access_level": level, "expires_at": nil, "membership_state": "active",
				})
				return
			}
		}
		notFound(rw)
	})
}

// https://docs.gitlab.com/user/project/integrations/webhook_events/#merge-request-events
func gitlabWebhook(p *Pull, action, secret string) (http.Header, []byte) {
	event, kind := "Merge Request Hook", "merge_request"
	updated := p.Updated
	switch action {
	case "push":
		event, kind = "Push Hook", "push"
	case "deployment":
		event, kind = "Deployment Hook", "deployment"
	case "labeled":
		action = "update"
	case "closed":
		action, updated = "close", p.ClosedAt
	}
	m := gitlabMergeRequest(p)
	labels := []any{}
	for _, l := range p.Labels {
		labels = append(labels, map[string]any{"id": labelID(l), "title": l})
	}
	for _, field := range []string{"author", "sha", "web_url"} {
		delete(m, field) // they are not in a call
	}
	m["labels"], m["action"], m["url"] = labels, action, "https://gitlab.com/acme/shop/-/merge_requests/1"
	m["updated_at"], m["last_commit"] = updated.Format("2006-01-02 15:04:05 MST"), map[string]any{"id": cmp.Or(p.SHA, SHA)}
	changes := map[string]any{}
	if action == "update" {
		changes["labels"] = map[string]any{"previous": []any{}, "current": labels}
	}
	body, _ := json.Marshal(map[string]any{ //nolint:errchkjson // maps of strings and numbers marshal
		"changes": changes, "object_kind": kind, "event_type": kind, "user": account("maintainer"),
		"project": map[string]any{"id": 7, "path_with_namespace": Repository}, "object_attributes": m,
	})
	h := http.Header{}
	h.Set("X-Gitlab-Event", event)
	h.Set("Idempotency-Key", delivery)
	h.Set("X-Gitlab-Event-UUID", "13792a34-cac6-4fda-95a8-c58e00a3954e")
	h.Set("X-Gitlab-Token", secret)
	return h, body
}

// https://docs.gitlab.com/user/project/integrations/webhooks/#signing-tokens
func gitlabSigned(p *Pull, action, secret string) (http.Header, []byte) {
	h, body := gitlabWebhook(p, action, secret)
	h.Del("X-Gitlab-Token")
	signGitLab(h, body, secret, time.Now())
	return h, body
}

func signGitLab(h http.Header, body []byte, secret string, at time.Time) {
	key := sha256.Sum256([]byte(secret))
	mac := hmac.New(sha256.New, key[:])
	stamp := strconv.FormatInt(at.Unix(), 10)
	fmt.Fprintf(mac, "%s.%s.%s", delivery, stamp, body)
	h.Set("webhook-id", delivery)
	h.Set("webhook-timestamp", stamp)
	h.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

func signingToken(secret string) string {
	key := sha256.Sum256([]byte(secret))
	return "whsec_" + strings.TrimSpace(base64.StdEncoding.EncodeToString(key[:]))
}
