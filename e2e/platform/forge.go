package platform

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // Git names its objects by it
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"code.gitea.io/sdk/gitea"

	"github.com/seedling-dev/seedling/e2e/cluster"
)

// The people and machines of the sample's Git host.
const (
	// Organisation owns both repositories.
	Organisation = cluster.Organisation
	// ShopRepository is the sample application's, PlatformRepository the one
	// that Argo CD reads the platform's own manifests from.
	ShopRepository     = "shop"
	PlatformRepository = "platform"

	// Developer may write to the shop, Reader may only read it.
	Developer = "dana"
	Reader    = "rolf"
	// pluginUser is the plugin's own.
	pluginUser = "seedling-plugin"
)

// argoUsers are Argo CD's own users, one per repository that it reads: what is
// handed to somebody who should not have it opens that repository alone.
var argoUsers = map[string]string{
	PlatformRepository: "argocd-platform",
	ShopRepository:     "argocd-shop",
}

// forge is the Git host as its administrator and as its users.
type forge struct {
	endpoint cluster.Endpoint
	admin    *gitea.Client
}

func newForge(ctx context.Context, e cluster.Endpoint) (*forge, error) {
	admin, err := gitea.NewClient(e.URL, gitea.SetBasicAuth(e.User, e.Password), gitea.SetContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("connect to Gitea: %w", err)
	}
	return &forge{endpoint: e, admin: admin}, nil
}

// as returns a client that acts as a user, who is made if there is none. Every
// user has the administrator's password: the host dies with the cluster.
func (f *forge) as(ctx context.Context, user string) (*gitea.Client, error) {
	return gitea.NewClient(f.endpoint.URL, gitea.SetBasicAuth(user, f.endpoint.Password), gitea.SetContext(ctx))
}

func (f *forge) user(name string) error {
	if _, _, err := f.admin.GetUserInfo(name); err == nil {
		return nil
	}
	must := false
	_, _, err := f.admin.AdminCreateUser(gitea.CreateUserOption{
		Username: name, Email: name + "@acme.example", Password: f.endpoint.Password, MustChangePassword: &must,
	})
	if err != nil {
		return fmt.Errorf("make user %s: %w", name, err)
	}
	return nil
}

func (f *forge) repository(name, description string) error {
	if _, _, err := f.admin.GetRepo(Organisation, name); err == nil {
		return nil
	}
	_, _, err := f.admin.CreateOrgRepo(Organisation, gitea.CreateRepoOption{
		Name: name, Description: description, Private: true, AutoInit: true, DefaultBranch: "main",
	})
	if err != nil {
		return fmt.Errorf("make repository %s/%s: %w", Organisation, name, err)
	}
	return nil
}

func (f *forge) allow(repository, user string, mode gitea.AccessMode) error {
	_, err := f.admin.AddCollaborator(Organisation, repository, user, gitea.AddCollaboratorOption{Permission: &mode})
	if err != nil {
		return fmt.Errorf("give %s access to %s/%s: %w", user, Organisation, repository, err)
	}
	return nil
}

// MakeLabel makes a label of the shop's pull requests, unless there is one.
func (p *Platform) MakeLabel(ctx context.Context, name, description string) error {
	f, err := newForge(ctx, p.forge.endpoint) // the one that installed it is over
	if err != nil {
		return err
	}
	return f.label(ShopRepository, name, "#8250df", description)
}

// label makes a label of the repository, unless it is there.
func (f *forge) label(repository, name, colour, description string) error {
	labels, _, err := f.admin.ListRepoLabels(Organisation, repository, gitea.ListLabelsOptions{})
	if err != nil {
		return fmt.Errorf("list labels of %s/%s: %w", Organisation, repository, err)
	}
	if slices.ContainsFunc(labels, func(l *gitea.Label) bool { return l.Name == name }) {
		return nil
	}
	_, _, err = f.admin.CreateLabel(Organisation, repository, gitea.CreateLabelOption{Name: name, Color: colour, Description: description})
	if err != nil {
		return fmt.Errorf("make label %s of %s/%s: %w", name, Organisation, repository, err)
	}
	return nil
}

// webhook calls url at the pull-request events of a repository. One that is
// there already gets the secret anew.
func (f *forge) webhook(repository, url, secret string) error {
	events := []string{"pull_request", "pull_request_label", "pull_request_sync"}
	config := map[string]string{"url": url, "content_type": "json", "secret": secret}
	hooks, _, err := f.admin.ListRepoHooks(Organisation, repository, gitea.ListHooksOptions{})
	if err != nil {
		return fmt.Errorf("list webhooks of %s/%s: %w", Organisation, repository, err)
	}
	for _, h := range hooks {
		if h.Config["url"] == url {
			on := true
			_, err := f.admin.EditRepoHook(Organisation, repository, h.ID, gitea.EditHookOption{Config: config, Events: events, Active: &on})
			if err != nil {
				return fmt.Errorf("renew the webhook of %s/%s: %w", Organisation, repository, err)
			}
			return nil
		}
	}
	_, _, err = f.admin.CreateRepoHook(Organisation, repository, gitea.CreateHookOption{
		Type: gitea.HookTypeGitea, Config: config, Events: events, Active: true,
	})
	if err != nil {
		return fmt.Errorf("make the webhook of %s/%s: %w", Organisation, repository, err)
	}
	return nil
}

// Scopes of tokens; the SDK lists those of older versions.
const (
	scopeReadRepository  gitea.AccessTokenScope = "read:repository"
	scopeWriteRepository gitea.AccessTokenScope = "write:repository"
	scopeWriteIssue      gitea.AccessTokenScope = "write:issue"
	scopeReadUser        gitea.AccessTokenScope = "read:user"
)

// token returns a working token of a user with the given scopes: the one in
// hand if it still works, otherwise a new one that replaces it.
func (f *forge) token(ctx context.Context, user, inHand string, scopes ...gitea.AccessTokenScope) (string, error) {
	if inHand != "" {
		c, err := gitea.NewClient(f.endpoint.URL, gitea.SetToken(inHand), gitea.SetContext(ctx))
		if err == nil {
			if me, _, err := c.GetMyUserInfo(); err == nil && me.UserName == user {
				return inHand, nil
			}
		}
	}
	c, err := f.as(ctx, user)
	if err != nil {
		return "", fmt.Errorf("act as %s: %w", user, err)
	}
	made, _, err := c.CreateAccessToken(gitea.CreateAccessTokenOption{
		Name: "seedling-" + strings.ToLower(rand.Text()[:10]), Scopes: scopes,
	})
	if err != nil {
		return "", fmt.Errorf("make a token for %s: %w", user, err)
	}
	return made.Token, nil
}

// fileChange is one file of a commit.
type fileChange struct {
	Operation string `json:"operation"`
	Path      string `json:"path"`
	Content   []byte `json:"content,omitempty"`
	SHA       string `json:"sha,omitempty"`
}

// commit makes the files of a branch those given and returns its head; without
// a difference it makes no commit. A branch that is not there starts at main.
// Files that are not given stay; with prune they go, but for those below it. One
// without content (nil) goes too.
func (f *forge) commit(ctx context.Context, user, repository, branch, message string, files map[string][]byte, prune ...string) (string, error) {
	fail := func(err error) (string, error) {
		return "", fmt.Errorf("commit to %s/%s, branch %s: %w", Organisation, repository, branch, err)
	}
	c, err := f.as(ctx, user)
	if err != nil {
		return fail(err)
	}
	from := branch
	head, _, err := c.GetRepoBranch(Organisation, repository, branch)
	if err != nil {
		if branch == "main" {
			return fail(err)
		}
		from = "main"
		if head, _, err = c.GetRepoBranch(Organisation, repository, from); err != nil {
			return fail(err)
		}
	}
	there, err := f.tree(c, repository, head.Commit.ID)
	if err != nil {
		return fail(err)
	}
	var changes []fileChange
	for path, content := range files {
		sha, ok := there[path]
		switch {
		case content == nil && ok:
			changes = append(changes, fileChange{Operation: "delete", Path: path, SHA: sha})
		case content == nil:
		case !ok:
			changes = append(changes, fileChange{Operation: "create", Path: path, Content: content})
		case sha != blobSHA(content):
			changes = append(changes, fileChange{Operation: "update", Path: path, Content: content, SHA: sha})
		}
	}
	if len(prune) > 0 {
		for path, sha := range there {
			_, given := files[path]
			if !given && !slices.ContainsFunc(prune, func(kept string) bool { return strings.HasPrefix(path, kept) }) {
				changes = append(changes, fileChange{Operation: "delete", Path: path, SHA: sha})
			}
		}
	}
	if len(changes) == 0 && from == branch {
		return head.Commit.ID, nil
	}
	slices.SortFunc(changes, func(a, b fileChange) int { return strings.Compare(a.Path, b.Path) })
	body := map[string]any{"branch": from, "message": message, "files": changes}
	if from != branch {
		body["new_branch"] = branch
	}
	var answer struct {
		Commit struct {
			SHA string `json:"sha"`
		} `json:"commit"`
	}
	if err := f.post(ctx, user, "/api/v1/repos/"+Organisation+"/"+repository+"/contents", body, &answer); err != nil {
		return fail(err)
	}
	if answer.Commit.SHA == "" {
		return fail(errors.New("Gitea answered without a commit"))
	}
	return answer.Commit.SHA, nil
}

// tree lists the files of a commit with their hashes.
func (*forge) tree(c *gitea.Client, repository, commit string) (map[string]string, error) {
	t, _, err := c.GetTrees(Organisation, repository, commit, true)
	if err != nil {
		return nil, err
	}
	if t.Truncated {
		return nil, errors.New("the repository has more files than Gitea lists at once")
	}
	files := map[string]string{}
	for _, e := range t.Entries {
		if e.Type == "blob" {
			files[e.Path] = e.SHA
		}
	}
	return files, nil
}

// post is for calls the SDK lacks.
func (f *forge) post(ctx context.Context, user, path string, body, into any) error {
	said, err := f.send(ctx, user, path, body)
	if err != nil {
		return err
	}
	return json.Unmarshal(said, into)
}

// send returns the answer as it is.
func (f *forge) send(ctx context.Context, user, path string, body any) ([]byte, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.endpoint.URL+path, bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth(user, f.endpoint.Password)
	req.Header.Set("Content-Type", "application/json")
	client := http.Client{Timeout: time.Minute}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	said, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	if res.StatusCode/100 != 2 {
		return nil, fmt.Errorf("POST %s: %s: %.500s", path, res.Status, said)
	}
	return said, nil
}

// blobSHA is Git's hash of a file.
func blobSHA(content []byte) string {
	h := sha1.New() //nolint:gosec // Git names its objects by it
	fmt.Fprintf(h, "blob %d\x00", len(content))
	h.Write(content)
	return hex.EncodeToString(h.Sum(nil))
}
