package forgetest

import (
	"cmp"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
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

// GitHub plays https://docs.github.com/en/rest?apiVersion=2022-11-28 and
// https://docs.github.com/en/graphql, at the addresses of an Enterprise Server.
func GitHub() Kind {
	return Kind{
		Type:       "github",
		Handler:    githubHandler,
		Credential: func(r *http.Request) string { return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") },
		Webhook:    githubWebhook,
		ListPaths:  []string{"/pulls", "/graphql"},
		Grants:     true,
		Deployed:   githubDeployed,
	}
}

// GitHubApp is the same, called by a GitHub App.
// https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app
func GitHubApp() Kind {
	k := GitHub()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err) // there is no randomness
	}
	k.Login = "seedling[bot]"
	k.Handler = func(w *World) http.Handler {
		w.AsApp = true
		return githubHandler(w)
	}
	k.Configure = func(dir string, c *forge.Config) error {
		c.AppID, c.CredentialFile = "Iv23liSeedling", filepath.Join(dir, "app.pem")
		return os.WriteFile(c.CredentialFile, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600)
	}
	k.Credential = func(r *http.Request) string {
		bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !asApp(r) {
			return bearer
		}
		if err := proven(bearer, "Iv23liSeedling", &key.PublicKey); err != nil {
			return err.Error()
		}
		return token
	}
	return k
}

// asApp says whether a call is one that an App makes as itself.
func asApp(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/api/v3/app") || strings.HasSuffix(r.URL.Path, "/installation")
}

// proven checks an App's JSON web token as GitHub does.
func proven(jwt, id string, key *rsa.PublicKey) error {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return fmt.Errorf("%d parts", len(parts))
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return err
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature); err != nil {
		return err
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return err
	}
	var claims struct {
		Iss string `json:"iss"`
		Iat int64  `json:"iat"`
		Exp int64  `json:"exp"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return err
	}
	now := time.Now().Unix()
	if claims.Iss != id || claims.Iat > now || claims.Exp <= now || claims.Exp > now+600 {
		return fmt.Errorf("claims %+v at %d", claims, now)
	}
	return nil
}

// https://docs.github.com/en/rest/pulls/pulls?apiVersion=2022-11-28#get-a-pull-request
func githubPull(p *Pull) map[string]any {
	state, closed := "open", any(nil)
	if p.Closed {
		state, closed = "closed", p.ClosedAt.Format(time.RFC3339)
	}
	head := map[string]any{"label": "acme:" + cmp.Or(p.Branch, "feature"), "ref": cmp.Or(p.Branch, "feature"), "sha": cmp.Or(p.SHA, SHA), "repo": nil}
	if p.HeadRepository != "" {
		head["repo"] = map[string]any{"id": 7, "full_name": p.HeadRepository}
	}
	return map[string]any{
		"id": p.Number + 1000, "number": p.Number, "title": p.Title, "body": p.Body, "state": state, "draft": p.Draft,
		"user": person("dev"), "html_url": "https://github.com/acme/shop/pull/" + strconv.FormatInt(p.Number, 10),
		"labels": named(p.Labels), "created_at": Start.Format(time.RFC3339), "updated_at": p.Updated.Format(time.RFC3339), "closed_at": closed,
		"base": map[string]any{"label": "acme:main", "ref": "main", "sha": strings.Repeat("b", 40), "repo": map[string]any{"id": 7, "full_name": Repository}},
		"head": head, "changed_files": len(p.Files),
	}
}

// https://docs.github.com/en/graphql/reference/objects#pullrequest
func githubNode(p *Pull) map[string]any {
	labels := []any{}
	for _, l := range p.Labels {
		labels = append(labels, map[string]any{"name": l})
	}
	head := any(nil)
	if p.HeadRepository != "" {
		head = map[string]any{"nameWithOwner": p.HeadRepository}
	}
	return map[string]any{
		"number": p.Number, "title": p.Title, "url": "https://github.com/acme/shop/pull/" + strconv.FormatInt(p.Number, 10), "state": "OPEN",
		"isDraft": p.Draft, "isCrossRepository": p.HeadRepository != Repository, "updatedAt": p.Updated.Format(time.RFC3339),
		"headRefName": cmp.Or(p.Branch, "feature"), "headRefOid": cmp.Or(p.SHA, SHA), "baseRefName": "main",
		"author": map[string]any{"__typename": "User", "login": "dev"}, "headRepository": head, "labels": map[string]any{"nodes": labels},
	}
}

func githubHandler(w *World) http.Handler {
	const repo = "/api/v3/repos/" + Repository
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(rw http.ResponseWriter, _ *http.Request) { notFound(rw) })
	mux.HandleFunc("GET /api/v3/user", func(rw http.ResponseWriter, _ *http.Request) { answer(rw, 200, person("seedling")) })
	githubApps(mux, repo)
	githubComments(mux, w, repo)
	githubDeployments(mux, w, repo)
	mux.HandleFunc("GET "+repo, func(rw http.ResponseWriter, _ *http.Request) {
		answer(rw, 200, map[string]any{"id": 7, "full_name": Repository, "default_branch": "main", "private": w.Private})
	})
	githubPulls(mux, w, repo)
	mux.HandleFunc("POST /api/graphql", func(rw http.ResponseWriter, r *http.Request) { githubGraphQL(w, rw, r) })
	githubCommits(mux, w, repo)
	// https://docs.github.com/en/rest/collaborators/collaborators?apiVersion=2022-11-28#get-repository-permissions-for-a-user
	mux.HandleFunc("GET "+repo+"/collaborators/{user}/permission", func(rw http.ResponseWriter, r *http.Request) {
		p, ok := w.Users[r.PathValue("user")]
		if !ok {
			notFound(rw)
			return
		}
		answer(rw, 200, map[string]any{"permission": p, "role_name": p, "user": person(r.PathValue("user"))})
	})
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if v := r.Header.Get("X-GitHub-Api-Version"); v != "2022-11-28" {
			answer(rw, 400, map[string]any{"message": "version " + v + " was asked for"})
			return
		}
		mux.ServeHTTP(rw, r)
	})
}

// githubPulls plays https://docs.github.com/en/rest/pulls/pulls?apiVersion=2022-11-28,
// and what issues have of them.
func githubPulls(mux *http.ServeMux, w *World, repo string) {
	// https://docs.github.com/en/rest/pulls/pulls?apiVersion=2022-11-28#list-pull-requests
	mux.HandleFunc("GET "+repo+"/pulls", func(rw http.ResponseWriter, r *http.Request) {
		list := w.Open()
		slices.Reverse(list)
		if r.URL.Query().Get("state") == "all" {
			list = w.All() // sort=updated&direction=desc
		}
		number, size := githubBounds(w, r)
		var entries []any
		for _, p := range page(list, number, size) {
			if p.Null {
				entries = append(entries, nil)
				continue
			}
			entries = append(entries, githubPull(p))
		}
		githubPage(rw, r, entries, number*size < len(list))
	})
	mux.HandleFunc("GET "+repo+"/pulls/{n}", func(rw http.ResponseWriter, r *http.Request) {
		if p := pullOf(w, r); p != nil {
			answer(rw, 200, githubPull(p))
			return
		}
		notFound(rw)
	})
	// https://docs.github.com/en/rest/pulls/pulls?apiVersion=2022-11-28#list-pull-requests-files
	mux.HandleFunc("GET "+repo+"/pulls/{n}/files", func(rw http.ResponseWriter, r *http.Request) {
		p := pullOf(w, r)
		if p == nil {
			notFound(rw)
			return
		}
		files := p.Files[:min(len(p.Files), 3000)]
		number, size := githubBounds(w, r)
		entries := []any{}
		for _, f := range page(files, number, size) {
			entry := map[string]any{"sha": strings.Repeat("f", 40), "filename": f.Path, "status": "modified", "patch": "@@ -1 +1 @@"}
			if f.Before != "" {
				entry["status"], entry["previous_filename"] = "renamed", f.Before
			}
			entries = append(entries, entry)
		}
		githubPage(rw, r, entries, number*size < len(files))
	})
	// https://docs.github.com/en/rest/issues/timeline?apiVersion=2022-11-28#list-timeline-events-for-an-issue
	mux.HandleFunc("GET "+repo+"/issues/{n}/timeline", func(rw http.ResponseWriter, r *http.Request) {
		number, size := githubBounds(w, r)
		entries := []any{}
		for _, e := range page(pullOf(w, r).Events, number, size) {
			entry := map[string]any{"event": "commented", "body": "", "created_at": e.At.Format(time.RFC3339), "actor": person(e.By)}
			if e.Label != "" {
				entry["event"], entry["label"] = "unlabeled", map[string]any{"name": e.Label, "color": "ededed"}
				if e.Added {
					entry["event"] = "labeled"
				}
			}
			entries = append(entries, entry)
		}
		githubPage(rw, r, entries, number*size < len(pullOf(w, r).Events))
	})
	// https://docs.github.com/en/rest/issues/labels?apiVersion=2022-11-28#remove-a-label-from-an-issue
	mux.HandleFunc("DELETE "+repo+"/issues/{n}/labels/{name}", func(rw http.ResponseWriter, r *http.Request) {
		if !slices.Contains(pullOf(w, r).Labels, r.PathValue("name")) {
			answer(rw, 404, map[string]any{"message": "Label does not exist"})
			return
		}
		w.Removed = append(w.Removed, r.PathValue("name"))
		answer(rw, 200, []any{})
	})
}

// githubCommits plays commits and what is said of them.
func githubCommits(mux *http.ServeMux, w *World, repo string) {
	// https://docs.github.com/en/rest/commits/commits?apiVersion=2022-11-28#list-commits
	mux.HandleFunc("GET "+repo+"/commits", func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("sha") != "main" {
			notFound(rw)
			return
		}
		entries := []any{}
		for _, c := range w.touching(r.URL.Query().Get("path")) {
			entries = append(entries, map[string]any{"sha": c.SHA, "commit": map[string]any{"committer": map[string]any{"name": "x", "date": c.At.Format(time.RFC3339)}}})
		}
		number, size := githubBounds(w, r)
		githubPage(rw, r, page(entries, number, size), number*size < len(entries))
	})
	// https://docs.github.com/en/rest/commits/statuses?apiVersion=2022-11-28
	mux.HandleFunc("GET "+repo+"/commits/{sha}/status", func(rw http.ResponseWriter, r *http.Request) {
		number, size := githubBounds(w, r)
		list := newest(w.Statuses, "state")
		githubNext(rw, r, number*size < len(list))
		answer(rw, 200, map[string]any{"state": "pending", "sha": r.PathValue("sha"), "total_count": len(list), "statuses": page(list, number, size)})
	})
	// https://docs.github.com/en/rest/checks/runs?apiVersion=2022-11-28#list-check-runs-for-a-git-reference
	mux.HandleFunc("GET "+repo+"/commits/{sha}/check-runs", func(rw http.ResponseWriter, r *http.Request) {
		runs := []any{}
		for _, run := range w.Runs {
			if run.Context == r.URL.Query().Get("check_name") {
				entry := map[string]any{"name": run.Context, "status": "completed", "conclusion": run.State}
				if run.State == "pending" {
					entry["status"], entry["conclusion"] = "in_progress", nil
				}
				runs = append(runs, entry)
			}
		}
		answer(rw, 200, map[string]any{"total_count": len(runs), "check_runs": runs})
	})
	mux.HandleFunc("POST "+repo+"/statuses/{sha}", func(rw http.ResponseWriter, r *http.Request) {
		var b map[string]any
		_ = json.NewDecoder(r.Body).Decode(&b) // what is missing fails the test
		w.Set = append(w.Set, b)
		answer(rw, 201, b)
	})
}

// githubBounds are the page that is asked for.
func githubBounds(w *World, r *http.Request) (number, size int) {
	size, _ = strconv.Atoi(r.URL.Query().Get("per_page"))
	number, _ = strconv.Atoi(r.URL.Query().Get("page"))
	if size == 0 {
		size = 30
	}
	return max(number, 1), min(size, w.PageSize, 100)
}

// https://docs.github.com/en/rest/apps/apps?apiVersion=2022-11-28
func githubApps(mux *http.ServeMux, repo string) {
	mux.HandleFunc("GET /api/v3/app", func(rw http.ResponseWriter, _ *http.Request) {
		answer(rw, 200, map[string]any{"id": 5, "slug": "seedling"})
	})
	mux.HandleFunc("GET "+repo+"/installation", func(rw http.ResponseWriter, _ *http.Request) {
		answer(rw, 200, map[string]any{"id": 42, "account": person("acme")})
	})
	mux.HandleFunc("POST /api/v3/app/installations/42/access_tokens", func(rw http.ResponseWriter, _ *http.Request) {
		answer(rw, 201, map[string]any{
			"token": token, "expires_at": time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
			"permissions": map[string]any{"metadata": "read", "pull_requests": "write", "statuses": "write", "checks": "read"},
		})
	})
}

// githubComments plays https://docs.github.com/en/rest/issues/comments?apiVersion=2022-11-28:
// an App comments as its bot.
func githubComments(mux *http.ServeMux, w *World, repo string) {
	me := "seedling"
	entry := func(c *Comment) map[string]any {
		return map[string]any{"id": c.ID, "body": c.Body, "user": person(c.By), "created_at": Start.Format(time.RFC3339)}
	}
	mux.HandleFunc("GET "+repo+"/issues/{n}/comments", func(rw http.ResponseWriter, r *http.Request) {
		n, _ := strconv.ParseInt(r.PathValue("n"), 10, 64)
		size, _ := strconv.Atoi(r.URL.Query().Get("per_page"))
		number, _ := strconv.Atoi(r.URL.Query().Get("page"))
		size = min(size, w.PageSize, 100)
		list := []any{}
		for _, c := range page(w.Comments[n], number, size) {
			list = append(list, entry(c))
		}
		githubNext(rw, r, max(number, 1)*size < len(w.Comments[n]))
		answer(rw, 200, list)
	})
	mux.HandleFunc("POST "+repo+"/issues/{n}/comments", func(rw http.ResponseWriter, r *http.Request) {
		n, _ := strconv.ParseInt(r.PathValue("n"), 10, 64)
		by := me
		if w.AsApp {
			by = me + "[bot]"
		}
		answer(rw, 201, entry(w.comment(n, by, bodyOf(r))))
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

// githubGraphQL plays https://docs.github.com/en/graphql/reference/objects#repository:
// the one query that is made.
func githubGraphQL(w *World, rw http.ResponseWriter, r *http.Request) {
	var call struct {
		Variables struct {
			Owner  string   `json:"owner"`
			Name   string   `json:"name"`
			After  string   `json:"after"`
			Labels []string `json:"labels"`
			First  int      `json:"first"`
		} `json:"variables"`
	}
	if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
		answer(rw, 400, map[string]any{"message": "Problems parsing JSON"})
		return
	}
	if call.Variables.Owner+"/"+call.Variables.Name != Repository {
		answer(rw, 200, map[string]any{"data": map[string]any{"repository": nil}, "errors": []any{
			map[string]any{"type": "NOT_FOUND", "path": []any{"repository"}, "message": "Could not resolve to a Repository"},
		}})
		return
	}
	open := w.Open()
	if len(call.Variables.Labels) > 0 {
		open = slices.DeleteFunc(open, func(p *Pull) bool {
			return !slices.ContainsFunc(p.Labels, func(l string) bool { return strings.EqualFold(l, call.Variables.Labels[0]) })
		})
	}
	total := len(open)
	after, _ := strconv.ParseInt(call.Variables.After, 10, 64)
	open = slices.DeleteFunc(open, func(p *Pull) bool { return p.Number <= after })
	first := min(call.Variables.First, w.PageSize, 100, len(open))
	nodes, errs, cursor := []any{}, []any{}, any(nil)
	for i, p := range open[:first] {
		cursor = strconv.FormatInt(p.Number, 10)
		if p.Null {
			nodes = append(nodes, nil)
			errs = append(errs, map[string]any{"message": "Something went wrong", "path": []any{"repository", "pullRequests", "nodes", i}})
			continue
		}
		nodes = append(nodes, githubNode(p))
	}
	said := map[string]any{"data": map[string]any{"repository": map[string]any{"pullRequests": map[string]any{
		"totalCount": total, "pageInfo": map[string]any{"hasNextPage": first < len(open), "endCursor": cursor}, "nodes": nodes,
	}}}}
	if len(errs) > 0 {
		said["errors"] = errs
	}
	answer(rw, 200, said)
}

// githubPage answers a page with its name, or that it has that name.
// https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#use-conditional-requests
func githubPage(rw http.ResponseWriter, r *http.Request, entries []any, next bool) {
	if entries == nil {
		entries = []any{}
	}
	body, _ := json.Marshal(entries) //nolint:errchkjson // maps of strings and numbers marshal
	sum := sha256.Sum256(body)
	etag := `W/"` + hex.EncodeToString(sum[:]) + `"`
	githubNext(rw, r, next)
	rw.Header().Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		rw.WriteHeader(http.StatusNotModified)
		return
	}
	answer(rw, 200, entries)
}

// https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api
func githubNext(rw http.ResponseWriter, r *http.Request, next bool) {
	if !next {
		return
	}
	u := *r.URL
	q := u.Query()
	number, _ := strconv.Atoi(q.Get("page"))
	q.Set("page", strconv.Itoa(max(number, 1)+1))
	u.RawQuery = q.Encode()
	rw.Header().Set("Link", fmt.Sprintf(`<http://%s%s>; rel="next", <http://%s%s>; rel="last"`, r.Host, u.RequestURI(), r.Host, u.RequestURI()))
}

// https://docs.github.com/en/webhooks/webhook-events-and-payloads#pull_request
// https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
func githubWebhook(p *Pull, action, secret string) (http.Header, []byte) {
	event := "pull_request"
	switch action {
	case "push":
		event = "push"
	case "deployment":
		event = "deployment_status"
	}
	body, _ := json.Marshal(map[string]any{ //nolint:errchkjson // maps of strings and numbers marshal
		"action": action, "number": p.Number, "pull_request": githubPull(p),
		"repository": map[string]any{"full_name": Repository}, "sender": person("maintainer"),
	})
	h := http.Header{}
	h.Set("X-GitHub-Event", event)
	h.Set("X-GitHub-Delivery", delivery)
	h.Set("X-Hub-Signature-256", "sha256="+sign(secret, body))
	return h, body
}
