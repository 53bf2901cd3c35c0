package forgetest

import (
	"cmp"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/plugin/forge"
)

// The webhooks below are as each API's documentation shows them, cut to what is
// read; its address is at the forge's Webhooks.
const (
	giteaHook = `{"id":1,"type":"gitea","active":true,"config":{"url":"https://in.example.com/webhook/forge","content_type":"json"},` +
		`"events":["pull_request","pull_request_label","pull_request_sync"]}`
	githubHookOne = `{"id":1,"type":"Repository","active":true,"events":["pull_request"],"last_response":{"code":202,"status":"active","message":"OK"},` +
		`"config":{"url":"https://in.example.com/webhook/forge","content_type":"json","secret":"********","insecure_ssl":"0"}}`
	gitlabHook    = `{"id":1,"url":"https://in.example.com/webhook/forge","merge_requests_events":true,"push_events":false,"alert_status":"executable","disabled_until":null,"custom_webhook_template":null}`
	bitbucketHook = `{"uuid":"{1}","url":"https://in.example.com/webhook/forge","active":true,"secret_set":true,"events":["pullrequest:created","pullrequest:updated",` +
		`"pullrequest:approved","pullrequest:unapproved","pullrequest:changes_request_created","pullrequest:changes_request_removed","pullrequest:fulfilled","pullrequest:rejected"]}`
	bitbucketDCHook = `{"id":10,"name":"seedling","url":"https://in.example.com/webhook/forge","active":true,"events":["pr:opened","pr:from_ref_updated","pr:modified",` +
		`"pr:reviewer:updated","pr:reviewer:approved","pr:reviewer:unapproved","pr:reviewer:needs_work","pr:merged","pr:declined","pr:deleted"]}`
	azureHook = `{"id":"ID","status":"enabled","publisherId":"tfs","eventType":"git.pullrequest.EVENT","consumerId":"webHooks",` +
		`"publisherInputs":{"projectId":"p1","repository":""},"consumerInputs":{"url":"https://in.example.com/webhook/forge","basicAuthUsername":"x","basicAuthPassword":"********"}}`
)

// azureHooks are the subscriptions for every event.
func azureHooks() string {
	var all []string
	for _, event := range []string{"created", "updated", "merged"} {
		all = append(all, strings.NewReplacer("EVENT", event, "ID", event).Replace(azureHook))
	}
	return `{"count":3,"value":[` + strings.Join(all, ",") + `]}`
}

// asked are answers by what the path of a call ends in: the status, and the body.
type asked map[string]string

func (a asked) fault(rw http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodGet {
		return false
	}
	for path, body := range a {
		if strings.HasSuffix(r.URL.Path, path) {
			code := http.StatusOK
			switch body {
			case "403":
				code, body = http.StatusForbidden, `{"message":"no","error":"no"}`
			case "404":
				code, body = http.StatusNotFound, `{"message":"no","error":"no"}`
			case "500":
				code, body = http.StatusInternalServerError, `{}`
			}
			if strings.HasPrefix(body, "[") {
				rw.Header().Set("X-Total-Count", strconv.Itoa(strings.Count(body, `{"id"`))) // Gitea's
			}
			return reply(code, "application/json", body)(rw, r)
		}
	}
	return false
}

// webhooksTest is one: what is changed of a webhook that is well, or of the
// answers, and what is said of it.
type webhooksTest struct {
	name                   string
	from, to               string
	more                   asked
	wrong, unknown, unseen string
	none                   bool
}

func testWebhooks(t *testing.T, k Kind, path, list string, well asked, tests []webhooksTest) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(1)
			answers := maps.Clone(well)
			answers[path] = strings.Replace(list, cmp.Or(test.from, "\x00"), test.to, 1)
			if test.from != "" && answers[path] == list {
				t.Fatalf("%s is not in %s", test.from, list)
			}
			maps.Copy(answers, test.more)
			w.Fault = answers.fault
			got, err := open(t, k, w).(forge.Hooking).Webhooks(t.Context(), Repository)
			if err != nil {
				t.Fatal(err)
			}
			if got.Add == "" {
				t.Error("nothing says what to click")
			}
			if got.Unseen == "" != (test.unseen == "") || !strings.Contains(got.Unseen, test.unseen) {
				t.Errorf("unseen: %q", got.Unseen)
			}
			if test.none {
				if len(got.Found) > 0 {
					t.Errorf("found: %v", got.Found)
				}
				return
			}
			if len(got.Found) != 1 {
				t.Fatalf("found: %v", got.Found)
			}
			wrong := ""
			if got.Found[0].Wrong != nil {
				wrong = got.Found[0].Wrong.Error()
			}
			if wrong == "" != (test.wrong == "") || !strings.Contains(wrong, test.wrong) {
				t.Errorf("wrong: %q", wrong)
			}
			if unknown := got.Found[0].Unknown; unknown == "" != (test.unknown == "") || !strings.Contains(unknown, test.unknown) {
				t.Errorf("unknown: %q", unknown)
			}
		})
	}
}

const (
	another    = "/webhook/another"
	ourAddress = "/webhook/forge"
)

func TestGiteaTellsOfWebhooks(t *testing.T) {
	t.Parallel()
	const see, organization = "Recent Deliveries", "read:organization"
	testWebhooks(t, Gitea(), "/repos/acme/shop/hooks", "["+giteaHook+"]", asked{"/orgs/acme/hooks": "[]"}, []webhooksTest{
		{name: "well", unknown: see},
		{name: "organization hidden", more: asked{"/orgs/acme/hooks": "403"}, unknown: see, unseen: organization},
		{name: "owner is no organization", more: asked{"/orgs/acme/hooks": "404"}, unknown: see},
		{name: "of the organization", from: giteaHook, more: asked{"/orgs/acme/hooks": "[" + giteaHook + "]"}, unknown: see},
		{name: "under a path", from: "/webhook", to: "/seedling/webhook", unknown: see},
		{name: "another address", from: ourAddress, to: another, none: true},
		{name: "address as a query", from: ourAddress, to: "/?x=" + ourAddress, none: true},
		{name: "null", from: "[" + giteaHook + "]", to: "null", none: true},
		{name: "hidden", more: asked{"/repos/acme/shop/hooks": "403"}, none: true, unseen: "write:repository"},
		{name: "not there for us", more: asked{"/repos/acme/shop/hooks": "404"}, none: true, unseen: "write:repository"},
		{name: "inactive", from: `"active":true`, to: `"active":false`, wrong: "switch it on, under Settings > Webhooks of the repository"},
		{name: "no label events", from: `,"pull_request_label"`, wrong: "it does not call at Pull request labeled: choose"},
		{name: "a form", from: `"json"`, to: `"form"`, wrong: "application/json"},
		{name: "another type", from: `"type":"gitea"`, to: `"type":"slack"`, wrong: "another type"},
	})
}

func TestGitHubTellsOfWebhooks(t *testing.T) {
	t.Parallel()
	organization := asked{
		"/repos/acme/shop": `{"id":7,"full_name":"acme/shop","owner":{"login":"acme","type":"Organization"}}`,
		"/orgs/acme/hooks": "[]",
	}
	testWebhooks(t, GitHub(), "/repos/acme/shop/hooks", "["+githubHookOne+"]", organization, []webhooksTest{
		{name: "well"},
		{name: "everything", from: `["pull_request"]`, to: `["*"]`},
		{name: "organization hidden", more: asked{"/orgs/acme/hooks": "404"}, unseen: "organization permission Webhooks: read"},
		{name: "a user's", more: asked{"/repos/acme/shop": `{"id":7,"owner":{"login":"acme","type":"User"}}`, "/orgs/acme/hooks": "404"}},
		{name: "hidden", more: asked{"/repos/acme/shop/hooks": "403"}, none: true, unseen: "repository permission Webhooks: read"},
		{name: "another address", from: ourAddress, to: another, none: true},
		{name: "inactive", from: `"active":true`, to: `"active":false`, wrong: "not active"},
		{name: "pushes alone", from: `["pull_request"]`, to: `["push"]`, wrong: "Pull requests"},
		{name: "no secret", from: `,"secret":"********"`, wrong: "no secret"},
		{name: "a form", from: `"content_type":"json"`, to: `"content_type":"form"`, wrong: "application/json"},
		{name: "the wrong secret", from: `"code":202`, to: `"code":401`, wrong: "401, because its secret"},
		{name: "another place", from: `"code":202`, to: `"code":404`, wrong: "404, because its address"},
		{name: "no answer", from: `{"code":202,"status":"active","message":"OK"}`, to: `{"code":null,"status":"timeout","message":"Timed out"}`, wrong: "Timed out: let the forge reach"},
		{name: "never", from: `{"code":202,"status":"active","message":"OK"}`, to: `{"code":null,"status":"unused","message":null}`, unknown: "no call in 30 days"},
		{name: "not lately", from: `{"code":202,"status":"active","message":"OK"}`, to: `null`, unknown: "no call in 30 days"},
	})
}

func TestGitHubAppTellsOfItsWebhook(t *testing.T) {
	t.Parallel()
	const config = `{"url":"https://in.example.com/webhook/forge","content_type":"json","secret":"********","insecure_ssl":"0"}`
	call := `{"id":2,"event":"pull_request","repository_id":7,"status":"OK","status_code":202},{"id":1,"event":"pull_request","repository_id":7,"status":"Bad Gateway","status_code":502}`
	testWebhooks(t, GitHubApp(), "/app/hook/config", config, asked{
		"/repos/acme/shop": `{"id":7,"full_name":"acme/shop","owner":{"login":"acme","type":"Organization"}}`,
		"/app":             `{"slug":"seedling","events":["pull_request"]}`,
		"/hook/deliveries": "[" + call + "]",
	}, []webhooksTest{
		{name: "well"},
		{name: "fails", more: asked{"/hook/deliveries": `[{"id":3,"event":"pull_request","repository_id":7,"status":"Bad Gateway","status_code":502},` + call + `]`}, wrong: "HTTP status 502"},
		{name: "of another repository", more: asked{"/hook/deliveries": `[{"id":3,"event":"pull_request","repository_id":8,"status":"Bad Gateway","status_code":502}]`}, unknown: "none of its last 1 calls"},
		{name: "no event", more: asked{"/app": `{"slug":"seedling","events":[]}`}, wrong: "Pull request"},
		{name: "the repository's own instead", from: ourAddress, to: another, more: asked{"/repos/acme/shop/hooks": "[" + githubHookOne + "]", "/orgs/acme/hooks": "[]"}},
		{name: "none of either", from: ourAddress, to: another, more: asked{"/repos/acme/shop/hooks": "403", "/orgs/acme/hooks": "[]"}, none: true, unseen: "Webhooks: read"},
	})
}

func TestGitLabTellsOfWebhooks(t *testing.T) {
	t.Parallel()
	const call = `{"id":1,"trigger":"merge_request_hooks","response_status":"202"}`
	testWebhooks(t, GitLab(), "/projects/acme/shop/hooks", "["+gitlabHook+"]", asked{"/groups/acme/hooks": "404", "/hooks/1/events": "[" + call + "]"}, []webhooksTest{
		{name: "well"},
		{name: "a signing GitLab's group", from: gitlabHook, more: asked{"/groups/acme/hooks": "[" + gitlabHook + "]"}},
		{name: "Developer", more: asked{"/projects/acme/shop/hooks": "403", "/groups/acme/hooks": "403"}, none: true, unseen: "role Maintainer; those of group acme are listed for its owners"},
		{name: "another address", from: ourAddress, to: another, none: true},
		{name: "pushes alone", from: `"merge_requests_events":true`, to: `"merge_requests_events":false`, wrong: "Merge request events"},
		{name: "a template", from: `"custom_webhook_template":null`, to: `"custom_webhook_template":"{}"`, wrong: "custom template"},
		{name: "switched off", from: "executable", to: "temporarily_disabled", wrong: "temporarily disabled"},
		{name: "fails", more: asked{"/hooks/1/events": `[{"id":3,"trigger":"push_hooks","response_status":"200"},{"id":2,"trigger":"merge_request_hooks","response_status":"401"},` + call + `]`}, wrong: "401"},
		{name: "no answer", more: asked{"/hooks/1/events": `[{"id":2,"trigger":"merge_request_hooks","response_status":"internal error"}]`}, wrong: "internal error"},
		{name: "a number", more: asked{"/hooks/1/events": `[{"id":2,"trigger":"merge_request_hooks","response_status":202}]`}},
		{name: "never", more: asked{"/hooks/1/events": `[]`}, unknown: "Resend"},
		{name: "before 17.3", more: asked{"/hooks/1/events": `404`}, unknown: "this GitLab's API does not tell"},
	})
}

func TestBitbucketTellsOfWebhooks(t *testing.T) {
	t.Parallel()
	list := func(hooks string) string { return `{"pagelen":50,"values":[` + hooks + `],"page":1}` }
	const workspace, see = "/workspaces/acme/hooks", "View requests"
	testWebhooks(t, Bitbucket(), "/repositories/acme/shop/hooks", list(bitbucketHook), asked{workspace: list("")}, []webhooksTest{
		{name: "well", unknown: see},
		{name: "of the workspace", from: bitbucketHook, more: asked{workspace: list(bitbucketHook)}, unknown: see},
		{name: "workspace hidden", more: asked{workspace: "403"}, unknown: see, unseen: "those of the workspace"},
		{name: "hidden", more: asked{"/repositories/acme/shop/hooks": "403"}, none: true, unseen: "read:webhook:bitbucket"},
		{name: "another address", from: ourAddress, to: another, none: true},
		{name: "inactive", from: `"active":true`, to: `"active":false`, wrong: "not active"},
		{name: "no secret", from: `"secret_set":true`, to: `"secret_set":false`, wrong: "no secret"},
		{name: "approvals are missing", from: `"pullrequest:approved","pullrequest:unapproved",`, wrong: "Approved, Approval removed"},
	})
}

func TestBitbucketDCTellsOfWebhooks(t *testing.T) {
	t.Parallel()
	list := func(hooks string) string {
		return `{"size":1,"limit":100,"isLastPage":true,"values":[` + hooks + `],"start":0}`
	}
	call := func(kind, finish, said string) string {
		return `"` + kind + `":{"id":1,"event":"pr:opened","start":1,"finish":` + finish + `,"result":{"description":"` + said + `","outcome":"X"}}`
	}
	const project = "/projects/acme/webhooks"
	testWebhooks(t, BitbucketDC(), "/repos/shop/webhooks", list(bitbucketDCHook), asked{project: list(""), "/webhooks/10/statistics": "{" + call("lastSuccess", "2000", "202") + "}"}, []webhooksTest{
		{name: "well"},
		{name: "failed before", more: asked{"/webhooks/10/statistics": "{" + call("lastSuccess", "2000", "202") + "," + call("lastFailure", "1000", "502") + "}"}},
		{name: "fails", more: asked{"/webhooks/10/statistics": "{" + call("lastSuccess", "2000", "202") + "," + call("lastFailure", "3000", "401") + "}"}, wrong: "401, because its secret"},
		{name: "no answer", more: asked{"/webhooks/10/statistics": "{" + call("lastFailure", "2000", "500") + "," + call("lastError", "3000", "connect timed out") + "}"}, wrong: "connect timed out"},
		{name: "never", more: asked{"/webhooks/10/statistics": "{}"}, unknown: "no call yet"},
		{name: "of the project", from: bitbucketDCHook, more: asked{project: list(bitbucketDCHook), "/webhooks/10/statistics": "{}"}, unknown: "no call yet"},
		{name: "hidden", more: asked{"/repos/shop/webhooks": "403", project: "403"}, none: true, unseen: "Repository permissions: Admin"},
		{name: "another address", from: ourAddress, to: another, none: true},
		{name: "inactive", from: `"active":true`, to: `"active":false`, wrong: "not active"},
		{name: "merges are missing", from: `"pr:merged",`, wrong: "Merged"},
	})
}

func TestAzureTellsOfWebhooks(t *testing.T) {
	t.Parallel()
	const well = `{"count":1,"value":[{"id":1,"status":"completed","result":"succeeded"}]}`
	repository := asked{
		"/git/repositories/shop":               `{"id":"r1","name":"shop","project":{"id":"p1","name":"acme"}}`,
		"/subscriptions/created/notifications": well, "/subscriptions/updated/notifications": well, "/subscriptions/merged/notifications": well,
	}
	const see = "View subscriptions"
	testWebhooks(t, Azure(), "/_apis/hooks/subscriptions", azureHooks(), repository, []webhooksTest{
		{name: "well"},
		{name: "for this repository", from: `"repository":""`, to: `"repository":"R1"`},
		{name: "one for another repository", from: `"repository":""`, to: `"repository":"r2"`, wrong: "it does not call at Pull request created"},
		{name: "one for another project", from: `"projectId":"p1"`, to: `"projectId":"p2"`, wrong: "it does not call at Pull request created"},
		{name: "one to another address", from: ourAddress, to: another, wrong: "it does not call at Pull request created"},
		{name: "hidden", more: asked{"/_apis/hooks/subscriptions": "403"}, none: true, unseen: see},
		{name: "none shown", more: asked{"/_apis/hooks/subscriptions": `{"count":0,"value":[]}`}, none: true, unseen: see},
		{name: "switched off", from: `"enabled"`, to: `"disabledBySystem"`, wrong: "git.pullrequest.created is switched off after calls that failed"},
		{name: "by somebody", from: `"enabled"`, to: `"disabledByUser"`, wrong: "is switched off: switch it on"},
		{name: "no password", from: `"basicAuthUsername":"x",`, wrong: "no basic authentication"},
		{name: "cut", from: `"basicAuthUsername":"x"`, to: `"basicAuthUsername":"x","resourceDetailsToSend":"minimal"`, wrong: "choose All"},
		{name: "fails", more: asked{"/subscriptions/updated/notifications": `{"value":[{"id":2,"status":"queued","result":"pending"},{"id":1,"status":"completed","result":"failed"}]}`}, wrong: "git.pullrequest.updated"},
		{name: "on probation", from: `"enabled"`, to: `"onProbation"`, more: asked{"/subscriptions/created/notifications": "403"}, wrong: "less often"},
		{name: "never", more: asked{
			"/subscriptions/created/notifications": `{"value":[]}`, "/subscriptions/updated/notifications": `{"value":[]}`, "/subscriptions/merged/notifications": "403",
		}, unknown: "History"},
	})
}

// A forge that fails is an error, whichever it is, and never no webhook.
func TestWebhooksOfAFailingForge(t *testing.T) {
	t.Parallel()
	for _, k := range []Kind{Gitea(), GitHub(), GitHubApp(), GitLab(), Bitbucket(), BitbucketDC(), Azure()} {
		w := newWorld(1)
		w.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
			return (strings.Contains(r.URL.Path, "hooks") || strings.Contains(r.URL.Path, "/hook/")) && reply(500, "application/json", `{}`)(rw, r)
		}
		if got, err := open(t, k, w).(forge.Hooking).Webhooks(t.Context(), Repository); err == nil {
			t.Errorf("%s: %v", k.Type, got)
		}
	}
}

func TestGiteaRights(t *testing.T) {
	t.Parallel()
	const administers = `{"full_name":"acme/shop","permissions":{"admin":true,"push":true,"pull":true}}`
	all := []string{"read:user", "administration of the repository", "write:repository", "write:issue"}
	for name, test := range map[string]struct {
		repository, refused, missing, unknown string
	}{
		"all":         {repository: administers},
		"reads alone": {repository: `{"permissions":{"admin":false,"push":false,"pull":true}}`, missing: all[1]},
		"is not told": {repository: `{}`, unknown: all[1]},
		"no user":     {repository: administers, refused: "/user", missing: all[0]},
		"no statuses": {repository: administers, refused: "/statuses/" + strings.Repeat("0", 40), missing: all[2]},
		"no comments": {repository: administers, refused: "/issues/comments/0", missing: all[3]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(1)
			w.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
				switch {
				case test.refused != "" && strings.HasSuffix(r.URL.Path, test.refused):
					return reply(403, "application/json", `{"message":"token does not have at least one of required scope(s)"}`)(rw, r)
				case strings.HasSuffix(r.URL.Path, "/repos/acme/shop"):
					return reply(200, "application/json", test.repository)(rw, r)
				case r.Method != http.MethodGet:
					// As Gitea does with what is no JSON: before it looks whether there is
					// such a commit, or comment.
					var b [2]byte
					if n, _ := r.Body.Read(b[:]); n != 1 || b[0] != '[' {
						t.Errorf("%s %s has a body that could be taken", r.Method, r.URL.Path)
					}
					return reply(422, "application/json", `{"message":"[]: unexpected EOF"}`)(rw, r)
				}
				return false
			}
			rights, err := open(t, Gitea(), w).(forge.Righter).Rights(t.Context(), Repository)
			if err != nil || len(rights) != len(all) {
				t.Fatalf("%v, error %v", rights, err)
			}
			for i, r := range rights {
				if r.Name != all[i] || (r.Missing != nil) != (r.Name == test.missing) || (r.Unknown != "") != (r.Name == test.unknown) {
					t.Errorf("%s: missing %v, unknown %q", r.Name, r.Missing, r.Unknown)
				}
			}
		})
	}
}
