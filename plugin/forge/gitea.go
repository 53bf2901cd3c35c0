package forge

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"code.gitea.io/sdk/gitea"
	"golang.org/x/sync/errgroup"
)

// giteaSignature carries the HMAC-SHA256 of a webhook call's body, in hex.
const giteaSignature = "X-Gitea-Signature"

// Gitea is a Gitea or Forgejo server.
type Gitea struct {
	config Config
	http   *http.Client
}

func newGitea(c Config) *Gitea {
	c.URL = strings.TrimRight(c.URL, "/")
	return &Gitea{config: c, http: newClient()}
}

// Name implements Forge.
func (g *Gitea) Name() string { return g.config.Name }

// URL implements Forge.
func (g *Gitea) URL() string { return g.config.URL }

// client is made for each call, because the SDK's context and token belong to
// a client. SetGiteaVersion("") keeps it from asking for the version first.
func (g *Gitea) client(ctx context.Context) (*gitea.Client, error) {
	token, err := readSecret(g.config.CredentialFile)
	if err != nil {
		return nil, fmt.Errorf("read the credential: %w", err)
	}
	return gitea.NewClient(g.config.URL, gitea.SetHTTPClient(g.http), gitea.SetToken(token),
		gitea.SetContext(ctx), gitea.SetGiteaVersion(""))
}

// Login implements Forge.
func (g *Gitea) Login(ctx context.Context) (string, error) {
	c, err := g.client(ctx)
	if err != nil {
		return "", fmt.Errorf("forge %s: %w", g.Name(), err)
	}
	u, res, err := c.GetMyUserInfo()
	if err := failed(res, err); err != nil {
		return "", fmt.Errorf("forge %s: ask who we are: %w", g.Name(), err)
	}
	if u.UserName == "" {
		return "", fmt.Errorf("forge %s: ask who we are: the answer names nobody; is %s its base URL", g.Name(), g.URL())
	}
	return u.UserName, nil
}

// List implements Forge.
func (g *Gitea) List(repository string, _ Query) Lister {
	return &giteaList{gitea: g, repository: repository}
}

// giteaList reads a list page by page. One that changed while its pages were
// read is read again, because a pull request that closes moves later ones to
// earlier pages.
type giteaList struct {
	gitea      *Gitea
	repository string

	tries, page, total int
	seen               map[int64]bool
	list               List
}

// List implements Lister.
func (l *giteaList) List() List { return l.list }

// Next implements Lister: one page.
func (l *giteaList) Next(ctx context.Context) (done bool, err error) {
	if l.page == 0 {
		l.page, l.total, l.seen = 1, -1, map[int64]bool{}
		l.list = List{Began: time.Now()}
	}
	stable := true
	done, stable, err = l.next(ctx)
	switch {
	case err != nil:
		return false, fmt.Errorf("forge %s: list pull requests of %s: page %d: %w", l.gitea.Name(), l.repository, l.page, err)
	case stable && done:
		return true, nil
	case stable:
		l.page++
		if l.page > maxPages {
			return false, fmt.Errorf("forge %s: list pull requests of %s: more than %d pages", l.gitea.Name(), l.repository, maxPages)
		}
		return false, nil
	}
	l.page = 0
	if l.tries++; l.tries >= maxTries {
		l.tries = 0
		return false, fmt.Errorf("forge %s: list pull requests of %s: the list changed %d times while it was read", l.gitea.Name(), l.repository, maxTries)
	}
	return false, nil
}

func (l *giteaList) next(ctx context.Context) (done, stable bool, err error) {
	owner, repo, err := split(l.repository)
	if err != nil {
		return false, false, err
	}
	c, err := l.gitea.client(ctx)
	if err != nil {
		return false, false, err
	}
	batch, res, err := c.ListRepoPullRequests(owner, repo, gitea.ListPullRequestsOptions{
		ListOptions: gitea.ListOptions{Page: l.page, PageSize: pageSize},
		State:       gitea.StateOpen,
		Sort:        "oldest",
	})
	if err := failed(res, err); err != nil {
		return false, false, err
	}
	// Without the count we read on until a page is empty.
	if t, err := strconv.Atoi(res.Header.Get("X-Total-Count")); err == nil {
		if l.total >= 0 && t != l.total {
			return false, false, nil
		}
		l.total = t
	}
	if l.page == 1 && len(batch) == 0 && l.total != 0 {
		return false, false, errors.New("an empty list without a count of 0 is no answer")
	}
	if len(batch) == 0 {
		return true, l.total < 0 || len(l.list.PullRequests) == l.total, nil
	}
	for _, p := range batch {
		if p == nil || p.Index <= 0 {
			return false, false, errors.New("a pull request without a number")
		}
		if l.seen[p.Index] {
			if l.total >= 0 && l.page > 1 {
				return false, false, nil // it moved between pages
			}
			return false, false, fmt.Errorf("it repeats pull request %d: does something in between cache answers", p.Index)
		}
		l.seen[p.Index] = true
		l.list.PullRequests = append(l.list.PullRequests, l.gitea.normal(l.repository, p))
	}
	read := len(l.list.PullRequests)
	return l.total >= 0 && read >= l.total, l.total < 0 || read <= l.total, nil
}

// Get implements Forge.
func (g *Gitea) Get(ctx context.Context, repository string, number int64) (PullRequest, error) {
	fail := func(err error) (PullRequest, error) {
		return PullRequest{}, fmt.Errorf("forge %s: get pull request %d of %s: %w", g.Name(), number, repository, err)
	}
	owner, repo, err := split(repository)
	if err != nil {
		return fail(err)
	}
	c, err := g.client(ctx)
	if err != nil {
		return fail(err)
	}
	p, res, err := c.GetPullRequest(owner, repo, number)
	err = failed(res, err)
	if errors.Is(err, errNotFound) {
		// Gitea answers 404 for a repository that we may not see too. Only one
		// that we do see lets us say that the pull request is gone.
		r, res, repoErr := c.GetRepo(owner, repo)
		if repoErr := failed(res, repoErr); repoErr != nil {
			return fail(fmt.Errorf("%w, and so is the repository: %w", err, repoErr))
		}
		if !r.HasPullRequests {
			return fail(errors.New("the repository has its pull requests switched off"))
		}
		// The same 404 is for an account that sees the repository and no longer
		// its pull requests.
		_, res, listErr := c.ListRepoPullRequests(owner, repo, gitea.ListPullRequestsOptions{
			ListOptions: gitea.ListOptions{Page: 1, PageSize: 1}, State: gitea.StateOpen,
		})
		if listErr := failed(res, listErr); listErr != nil {
			return fail(fmt.Errorf("%w, and so are the repository's pull requests: %w", err, listErr))
		}
		return fail(ErrGone)
	}
	if err != nil {
		return fail(err)
	}
	if p.Index != number {
		return fail(fmt.Errorf("the answer is about %d", p.Index))
	}
	return g.normal(repository, p), nil
}

// timelineEntry is decoded here because the SDK lacks the timeline in this
// version, and expects a list of labels where Gitea sends one in later ones.
type timelineEntry struct {
	Type    string                  `json:"type"`
	Body    string                  `json:"body"`
	Created time.Time               `json:"created_at"`
	User    *struct{ Login string } `json:"user"`
	Label   *struct{ Name string }  `json:"label"`
}

// Labelled implements Forge, by Gitea's timeline: an entry of type label says
// "1" when the label was added and nothing when it was taken off.
func (g *Gitea) Labelled(ctx context.Context, repository string, number int64, label string) (Labelled, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	fail := func(err error) (Labelled, error) {
		return Labelled{}, fmt.Errorf("forge %s: ask who set label %q on %s#%d: %w", g.Name(), label, repository, number, err)
	}
	owner, repo, err := split(repository)
	if err != nil {
		return fail(err)
	}
	var last *timelineEntry
	// Gitea leaves entries out after it cut the page, so a page may be short,
	// or empty, in the middle: several empty ones in a row are the end. They
	// are asked for side by side, because a preview waits for this.
	for first, ended := 1, false; !ended; first += maxEmptyPages + 1 {
		if first > maxPages {
			return fail(fmt.Errorf("more than %d pages", maxPages))
		}
		var pages [maxEmptyPages + 1][]*timelineEntry
		group, ctx := errgroup.WithContext(ctx)
		for i := range pages {
			group.Go(func() error {
				path := fmt.Sprintf("/api/v1/repos/%s/%s/issues/%d/timeline?page=%d&limit=%d",
					url.PathEscape(owner), url.PathEscape(repo), number, first+i, pageSize)
				if err := g.get(ctx, path, &pages[i]); err != nil {
					return fmt.Errorf("page %d: %w", first+i, err)
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			return fail(err)
		}
		ended = true // unless one of all but the first has something
		for i, page := range pages {
			ended = ended && (i == 0 || len(page) == 0)
			for _, e := range page {
				if e != nil && e.Type == "label" && e.Label != nil && e.Label.Name == label {
					last = e
				}
			}
		}
	}
	if last != nil && last.Body != "1" {
		return fail(&UnlabelledError{At: last.Created})
	}
	if last == nil || last.Body != "1" || last.User == nil || last.User.Login == "" {
		return fail(ErrNotLabelled)
	}
	return Labelled{By: last.User.Login, At: last.Created}, nil
}

// CanWrite implements Forge. Gitea tells the permissions of others to those
// only who administer the repository.
func (g *Gitea) CanWrite(ctx context.Context, repository, login string) (bool, error) {
	fail := func(err error) (bool, error) {
		// Who it is stays out of the error: it goes into the log.
		return false, fmt.Errorf("forge %s: ask whether who set the label may write to %s: %w", g.Name(), repository, err)
	}
	owner, repo, err := split(repository)
	if err != nil {
		return fail(err)
	}
	c, err := g.client(ctx)
	if err != nil {
		return fail(err)
	}
	p, res, err := c.CollaboratorPermission(owner, repo, login)
	err = failed(res, err)
	switch {
	case errors.Is(err, errNotFound):
		return false, nil // a user who is no more
	case errors.Is(err, errForbidden):
		return fail(fmt.Errorf("%w: the plugin's user must administer the repository to see who may write", err))
	case err != nil:
		return fail(err)
	}
	switch p.Permission {
	case gitea.AccessModeWrite, gitea.AccessModeAdmin, gitea.AccessModeOwner:
		return true, nil
	}
	return false, nil
}

// Passed implements Forge.
func (g *Gitea) Passed(ctx context.Context, repository, sha, statusContext string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	fail := func(err error) (bool, error) {
		return false, fmt.Errorf("forge %s: ask for status %q of %s@%s: %w", g.Name(), statusContext, repository, sha, err)
	}
	owner, repo, err := split(repository)
	if err != nil {
		return fail(err)
	}
	c, err := g.client(ctx)
	if err != nil {
		return fail(err)
	}
	seen := map[int64]bool{}
	for page := 1; page <= maxPages; page++ {
		// Newest first.
		batch, res, err := c.ListStatuses(owner, repo, sha, gitea.ListStatusesOption{
			ListOptions: gitea.ListOptions{Page: page, PageSize: pageSize},
		})
		if err := failed(res, err); err != nil {
			return fail(fmt.Errorf("page %d: %w", page, err))
		}
		if len(batch) == 0 {
			return false, nil
		}
		fresh := false
		for _, s := range batch {
			if s.Context == statusContext {
				return s.State == gitea.StatusSuccess, nil
			}
			fresh = fresh || !seen[s.ID]
			seen[s.ID] = true
		}
		if !fresh {
			return fail(fmt.Errorf("page %d repeats an earlier one", page))
		}
	}
	return fail(fmt.Errorf("more than %d pages", maxPages))
}

// SetStatus implements Forge.
func (g *Gitea) SetStatus(ctx context.Context, repository, sha string, s Status) error {
	fail := func(err error) error {
		return fmt.Errorf("forge %s: set status %q of %s@%s: %w", g.Name(), s.Context, repository, sha, err)
	}
	owner, repo, err := split(repository)
	if err != nil {
		return fail(err)
	}
	c, err := g.client(ctx)
	if err != nil {
		return fail(err)
	}
	_, res, err := c.CreateStatus(owner, repo, sha, gitea.CreateStatusOption{
		State: gitea.StatusState(s.State), TargetURL: s.URL, Description: cut(s.Description), Context: s.Context,
	})
	if err := failed(res, err); err != nil {
		return fail(err)
	}
	return nil
}

// RemoveLabel implements Forge.
func (g *Gitea) RemoveLabel(ctx context.Context, repository string, number int64, label string) error {
	fail := func(err error) error {
		return fmt.Errorf("forge %s: remove label %q from %s#%d: %w", g.Name(), label, repository, number, err)
	}
	owner, repo, err := split(repository)
	if err != nil {
		return fail(err)
	}
	c, err := g.client(ctx)
	if err != nil {
		return fail(err)
	}
	p, res, err := c.GetPullRequest(owner, repo, number)
	if err := failed(res, err); err != nil {
		return fail(err)
	}
	for _, l := range p.Labels {
		if l == nil || l.Name != label {
			continue
		}
		res, err := c.DeleteIssueLabel(owner, repo, number, l.ID)
		if err := failed(res, err); err != nil && !errors.Is(err, errNotFound) {
			return fail(err)
		}
	}
	return nil
}

// Signed implements Forge.
func (g *Gitea) Signed(header http.Header) bool {
	signature, err := hex.DecodeString(header.Get(giteaSignature))
	return err == nil && len(signature) == sha256.Size
}

// Event implements Forge. Gitea signs the body with HMAC-SHA256 in hex.
func (g *Gitea) Event(header http.Header, body []byte) (Event, error) {
	if g.config.WebhookSecretFile == "" {
		return Event{}, fmt.Errorf("%w: no webhookSecretFile is configured for forge %s", ErrSignature, g.Name())
	}
	secret, err := readSecret(g.config.WebhookSecretFile)
	if err != nil {
		return Event{}, fmt.Errorf("read the webhook secret: %w", err)
	}
	got, err := hex.DecodeString(header.Get(giteaSignature))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	if err != nil || !hmac.Equal(got, mac.Sum(nil)) {
		return Event{}, ErrSignature
	}
	// Gitea calls label and push events of a pull request pull_request too.
	if header.Get("X-Gitea-Event") != "pull_request" {
		return Event{}, ErrIgnored
	}
	var payload struct {
		Action      string             `json:"action"`
		Number      int64              `json:"number"`
		PullRequest *gitea.PullRequest `json:"pull_request"`
		Repository  *struct {
			FullName string `json:"full_name"`
		} `json:"repository"`
		Sender *struct {
			Login string `json:"login"`
		} `json:"sender"`
	}
	if err := json.Unmarshal(body, &payload); err != nil {
		return Event{}, errors.New("the payload is no JSON: set the webhook's content type to application/json")
	}
	if payload.Repository == nil || payload.PullRequest == nil || payload.Number <= 0 {
		return Event{}, ErrIgnored
	}
	payload.PullRequest.Index = payload.Number
	e := Event{Repository: payload.Repository.FullName, PullRequest: g.normal(payload.Repository.FullName, payload.PullRequest)}
	if payload.Sender != nil {
		e.Sender = payload.Sender.Login
	}
	if closed := payload.PullRequest.Closed; payload.Action == "closed" && closed != nil {
		e.ClosedAt = *closed
	}
	return e, nil
}

// normal brings the SDK's form to ours.
func (g *Gitea) normal(repository string, p *gitea.PullRequest) PullRequest {
	n := PullRequest{
		Number: p.Index,
		Title:  p.Title,
		URL:    p.HTMLURL,
		Open:   p.State == gitea.StateOpen && !p.HasMerged,
		Draft:  isDraft(p.Title),
		Fork:   true, // until we know that it is not
	}
	if p.Updated != nil {
		n.UpdatedAt = *p.Updated
	}
	if p.Poster != nil {
		n.Author = p.Poster.UserName
	}
	for _, l := range p.Labels {
		if l != nil {
			n.Labels = append(n.Labels, l.Name)
		}
	}
	if p.Base != nil {
		n.TargetBranch = p.Base.Ref
	}
	if p.Head != nil {
		n.Branch, n.HeadSHA = p.Head.Ref, p.Head.Sha
		if p.Head.Repository != nil {
			n.HeadRepository = p.Head.Repository.FullName
			// Who may only read can push to refs/for/main (AGit), and Gitea calls
			// that a pull request from the repository itself: it has no branch, and
			// that is all that tells it from one of somebody who may write.
			n.Fork = !strings.EqualFold(n.HeadRepository, repository) || p.Head.Name == ""
		}
	}
	return n
}

// isDraft is Gitea's own rule with its default prefixes: there a draft is a
// matter of the title, and the SDK has no field for it.
func isDraft(title string) bool {
	title = strings.ToUpper(strings.TrimSpace(title))
	return strings.HasPrefix(title, "WIP:") || strings.HasPrefix(title, "[WIP]")
}

// get reads what the SDK has no call for.
func (g *Gitea) get(ctx context.Context, path string, into any) error {
	token, err := readSecret(g.config.CredentialFile)
	if err != nil {
		return fmt.Errorf("read the credential: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.config.URL+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "token "+token)
	req.Header.Set("Accept", "application/json")
	res, err := g.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if err := statusError(res.StatusCode); err != nil {
		return err
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

var (
	errNotFound  = errors.New("404 not found")
	errForbidden = fmt.Errorf("403 forbidden: %w for this", ErrCredential)
)

// failed joins what the SDK says twice. Its errors quote the server's text,
// which is cut here; the status code alone decides. So is the address that was
// called, which may hold a login.
func failed(res *gitea.Response, err error) error {
	if res != nil && res.Response != nil {
		if s := statusError(res.StatusCode); s != nil {
			return s
		}
	}
	if called, ok := errors.AsType[*url.Error](err); ok {
		return called.Err
	}
	if err != nil {
		return err
	}
	if res == nil || res.Response == nil {
		return errors.New("no answer")
	}
	return nil
}

func statusError(code int) error {
	switch {
	case code >= 200 && code < 300:
		return nil
	case code == http.StatusNotFound:
		return errNotFound
	case code == http.StatusForbidden:
		return errForbidden
	case code == http.StatusUnauthorized:
		return fmt.Errorf("401 unauthorized: %w", ErrCredential)
	case code == http.StatusTooManyRequests:
		return errors.New("429 too many requests")
	default:
		return fmt.Errorf("HTTP status %d", code)
	}
}

// split takes owner/name apart.
func split(repository string) (owner, name string, err error) {
	owner, name, ok := strings.Cut(repository, "/")
	if !ok || owner == "" || name == "" || strings.Contains(name, "/") {
		return "", "", fmt.Errorf("%q is not owner/name", repository)
	}
	return owner, name, nil
}
