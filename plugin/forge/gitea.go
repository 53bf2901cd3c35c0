package forge

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"code.gitea.io/sdk/gitea"
	"golang.org/x/sync/errgroup"
)

// giteaHeader is a header of a webhook call. Forgejo sends its own beside
// Gitea's, and its own are looked at where they are there. Signature is the
// HMAC-SHA256 of the body, in hex: https://forgejo.org/docs/latest/user/webhooks/
func giteaHeader(header http.Header, name string) string {
	return cmp.Or(header.Get("X-Forgejo-"+name), header.Get("X-Gitea-"+name))
}

// Gitea is a Gitea or Forgejo server.
type Gitea struct {
	config Config
	http   *http.Client

	mu sync.Mutex
	// sizes are the page sizes of repositories whose pages were too large.
	sizes map[string]int
}

func newGitea(c Config) *Gitea {
	c.URL = strings.TrimRight(c.URL, "/")
	return &Gitea{config: c, http: newClient(c.URL + "/api/v1"), sizes: map[string]int{}}
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

// List implements Forge. Gitea filters by the ids of labels, which is used for
// long lists.
func (g *Gitea) List(repository string, q Query) Lister {
	return &giteaList{gitea: g, repository: repository, label: q.Label}
}

// giteaList reads a list page by page. One that changed while its pages were
// read is read again, because a pull request that closes moves later ones to
// earlier pages.
type giteaList struct {
	gitea      *Gitea
	repository string
	// label to filter by; empty when that is not possible or not worth it. ids
	// are those of labels of that name, once they were asked for.
	label string
	ids   []int64

	tries, page, size, total, read int
	seen                           map[int64]bool
	numbers                        gaps
	list                           List
}

// List implements Lister.
func (l *giteaList) List() List { return l.list }

// Next implements Lister: one page, or the labels of the repository.
func (l *giteaList) Next(ctx context.Context) (done bool, err error) {
	fail := func(err error) (bool, error) {
		return false, fmt.Errorf("forge %s: list pull requests of %s: page %d: %w", l.gitea.Name(), l.repository, l.page, err)
	}
	if l.page == 0 {
		l.begin()
	}
	if l.label != "" && l.total >= filterAbove && l.ids == nil {
		// The first page told that the list is long: with a filter it begins anew.
		if l.ids, err = l.gitea.labelIDs(ctx, l.repository, l.label); err != nil {
			return fail(err)
		}
		if len(l.ids) != 1 {
			// None would filter nothing; of several with that name a pull request
			// may have more than one, and Gitea would list it as often.
			l.label, l.ids = "", nil
		} else {
			l.begin()
		}
		return false, nil
	}
	done, stable, err := l.next(ctx)
	switch {
	case errors.Is(err, errTooLarge) && l.size > 1:
		l.gitea.mu.Lock()
		l.gitea.sizes[l.repository] = max(l.size/7, 1)
		l.gitea.mu.Unlock()
		l.page = 0
		return false, nil
	case errors.Is(err, errUnfiltered):
		l.label, l.ids, l.page = "", nil, 0
		return false, nil
	case errors.Is(err, errNotFound):
		return fail(l.gitea.whyNone(ctx, l.repository, err))
	case err != nil:
		return fail(err)
	case stable && done:
		unreadable, err := l.numbers.end()
		if err != nil {
			l.page = 0
			return fail(err)
		}
		l.list.Unreadable = append(l.list.Unreadable, unreadable...)
		return true, nil
	case stable:
		if l.page++; l.page > maxPages*pageSize/l.size {
			l.page = 0
			return fail(errors.New("the list does not end"))
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

// whyNone says what a 404 in place of a list means: Gitea answers it for a
// repository without a commit too.
func (g *Gitea) whyNone(ctx context.Context, repository string, err error) error {
	owner, repo, splitErr := split(repository)
	c, clientErr := g.client(ctx)
	if splitErr != nil || clientErr != nil {
		return err
	}
	r, res, repoErr := c.GetRepo(owner, repo)
	switch repoErr = failed(res, repoErr); {
	case errors.Is(repoErr, errNotFound):
		return fmt.Errorf("%w: there is no such repository, or the credential may not see it", err)
	case repoErr != nil:
		return err
	case r.Empty:
		return fmt.Errorf("%w: the repository has no commit yet, push a first one", err)
	case !r.HasPullRequests:
		return fmt.Errorf("%w: the repository has its pull requests switched off", err)
	}
	return err
}

func (l *giteaList) begin() {
	l.page, l.size, l.total, l.read, l.seen, l.numbers = 1, pageSize, -1, 0, map[int64]bool{}, gaps{}
	l.list = List{Began: time.Now(), Filtered: len(l.ids) > 0}
	l.gitea.mu.Lock()
	defer l.gitea.mu.Unlock()
	if size := l.gitea.sizes[l.repository]; size > 0 {
		l.size = size
	}
}

func (l *giteaList) next(ctx context.Context) (done, stable bool, err error) {
	owner, repo, err := split(l.repository)
	if err != nil {
		return false, false, err
	}
	query := url.Values{"state": {"open"}, "sort": {"oldest"}, "page": {strconv.Itoa(l.page)}, "limit": {strconv.Itoa(l.size)}}
	for _, id := range l.ids {
		query.Add("labels", strconv.FormatInt(id, 10))
	}
	res, err := l.gitea.ask(ctx, fmt.Sprintf("/repos/%s/%s/pulls?%s", url.PathEscape(owner), url.PathEscape(repo), query.Encode()))
	if err != nil {
		return false, false, err
	}
	defer res.Body.Close()
	// Without the count we read on until a page is empty.
	if t, err := strconv.Atoi(res.Header.Get("X-Total-Count")); err == nil {
		if l.total >= 0 && t != l.total {
			return false, false, nil
		}
		l.total = t
	}
	// The page is taken in as a whole or not at all: after an error it is asked
	// for again.
	at := *l
	at.seen, at.list.PullRequests = map[int64]bool{}, nil
	at.list.Unreadable = nil
	count := 0
	moved := false
	err = elements(res.Body, func(e json.RawMessage) error {
		count++
		return at.take(e, l.seen, &moved)
	})
	switch {
	case err != nil:
		return false, false, err
	case moved:
		return false, false, nil
	case l.page == 1 && count == 0 && l.total != 0:
		return false, false, errors.New("an empty list without a count of 0 is no answer")
	case count == 0:
		return true, l.total < 0 || l.read == l.total, nil
	}
	l.numbers = at.numbers
	maps.Copy(l.seen, at.seen)
	l.list.PullRequests = append(l.list.PullRequests, at.list.PullRequests...)
	l.list.Unreadable = append(l.list.Unreadable, at.list.Unreadable...)
	l.read += count
	return l.total >= 0 && l.read >= l.total, l.total < 0 || l.read <= l.total, nil
}

// take takes in one entry of a page. One that cannot be read does not keep the
// others from being listed.
func (l *giteaList) take(e json.RawMessage, before map[int64]bool, moved *bool) error {
	var p *giteaPullRequest
	err := json.Unmarshal(e, &p)
	number := int64(0)
	if err == nil && p != nil {
		number = p.Index
	} else if err != nil {
		var only struct {
			Number int64 `json:"number"`
		}
		_ = json.Unmarshal(e, &only) // without a number it is one that is not known
		number = only.Number
	}
	if number <= 0 {
		l.numbers.unknown()
		return nil
	}
	if before[number] && l.total >= 0 {
		*moved = true // between pages
		return nil
	}
	if before[number] || l.seen[number] {
		return fmt.Errorf("it repeats pull request %d: does something in between cache answers", number)
	}
	unreadable, gapErr := l.numbers.take(number)
	if gapErr != nil {
		return gapErr
	}
	l.list.Unreadable = append(l.list.Unreadable, unreadable...)
	l.seen[number] = true
	if err != nil {
		l.list.Unreadable = append(l.list.Unreadable, number)
		return nil //nolint:nilerr // it is asked for by number
	}
	n := l.gitea.normal(l.repository, p)
	if len(l.ids) > 0 && !n.HasLabel(l.label) {
		return errUnfiltered
	}
	l.list.PullRequests = append(l.list.PullRequests, n)
	return nil
}

// errUnfiltered: asked for a label, the forge tells of pull requests without it.
var errUnfiltered = errors.New("the list is not filtered")

// labelIDs are the ids of labels of that name, of the repository and of its
// organization.
func (g *Gitea) labelIDs(ctx context.Context, repository, label string) ([]int64, error) {
	owner, repo, err := split(repository)
	if err != nil {
		return nil, err
	}
	var ids []int64
	for _, of := range []string{"/repos/" + url.PathEscape(owner) + "/" + url.PathEscape(repo), "/orgs/" + url.PathEscape(owner)} {
		for page := 1; ; page++ {
			if page > maxPages {
				return nil, errors.New("the list of labels does not end")
			}
			var labels []struct {
				ID   int64
				Name string
			}
			err := g.read(ctx, fmt.Sprintf("%s/labels?page=%d&limit=%d", of, page, pageSize), &labels)
			if errors.Is(err, errNotFound) && strings.HasPrefix(of, "/orgs/") {
				break // the owner is a person
			}
			if err != nil {
				return nil, fmt.Errorf("labels: %w", err)
			}
			if len(labels) == 0 {
				break
			}
			for _, l := range labels {
				if l.Name == label {
					ids = append(ids, l.ID)
				}
			}
		}
	}
	return ids, nil
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
	var p giteaPullRequest
	err = g.read(ctx, fmt.Sprintf("/repos/%s/%s/pulls/%d", url.PathEscape(owner), url.PathEscape(repo), number), &p)
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
	return g.normal(repository, &p), nil
}

// giteaPullRequest is a pull request, with what the SDK does not have of it.
type giteaPullRequest struct {
	gitea.PullRequest
	// Draft is told from 1.22 on, by the instance's own prefixes.
	Draft bool `json:"draft"`
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
	hidden, err := g.hidden(ctx, owner, repo, number)
	if err != nil {
		return fail(err)
	}
	run := maxEmptyPages + (hidden+pageSize-1)/pageSize
	var last *timelineEntry
	// Gitea leaves entries out after it cut the page, so a page may be short,
	// or empty, in the middle: several empty ones in a row are the end. They
	// are asked for side by side, because a preview waits for this.
	for first, empty := 1, 0; empty < run; first += maxEmptyPages + 1 {
		if first > maxPages {
			return fail(fmt.Errorf("more than %d pages", maxPages))
		}
		// X-Total-Count is no help: it counts what is left of the page.
		var pages [maxEmptyPages + 1][]*timelineEntry
		group, ctx := errgroup.WithContext(ctx)
		for i := range pages {
			group.Go(func() error {
				path := fmt.Sprintf("/repos/%s/%s/issues/%d/timeline?page=%d&limit=%d",
					url.PathEscape(owner), url.PathEscape(repo), number, first+i, pageSize)
				if err := g.read(ctx, path, &pages[i]); err != nil {
					return fmt.Errorf("page %d: %w", first+i, err)
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			return fail(err)
		}
		for _, page := range pages {
			if empty++; len(page) > 0 {
				empty = 0
			}
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

// hidden is how many entries Gitea leaves out of the timeline of a pull request:
// comments on code, which its reviews count. Where it does not show every review
// the rest counts as full.
func (g *Gitea) hidden(ctx context.Context, owner, repo string, number int64) (int, error) {
	hidden, shown := 0, 0
	for page := 1; page <= maxPages; page++ {
		res, err := g.ask(ctx, fmt.Sprintf("/repos/%s/%s/pulls/%d/reviews?page=%d&limit=%d",
			url.PathEscape(owner), url.PathEscape(repo), number, page, pageSize))
		if err != nil {
			return 0, fmt.Errorf("reviews: %w", err)
		}
		count := 0
		err = elements(res.Body, func(e json.RawMessage) error {
			var review struct {
				Comments int `json:"comments_count"`
			}
			count++
			if err := json.Unmarshal(e, &review); err != nil {
				return err
			}
			hidden += max(review.Comments, 0)
			return nil
		})
		res.Body.Close()
		if err != nil {
			return 0, fmt.Errorf("reviews: %w", err)
		}
		shown += count
		total, err := strconv.Atoi(res.Header.Get("X-Total-Count"))
		if known := err == nil; count == 0 || known && shown >= total {
			if known && shown < total {
				hidden += (total - shown) * pageSize
			}
			return min(hidden, maxPages*pageSize), nil
		}
	}
	return 0, fmt.Errorf("reviews: more than %d pages", maxPages)
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
	// The combined status has the newest of each context. By time a pending and
	// a success of one second would be the same.
	newest, passed := int64(-1), false
	for page := 1; page <= maxPages; page++ {
		var combined struct {
			Statuses []struct {
				ID              int64
				Context, Status string
			}
		}
		err := g.read(ctx, fmt.Sprintf("/repos/%s/%s/commits/%s/status?page=%d&limit=%d",
			url.PathEscape(owner), url.PathEscape(repo), url.PathEscape(sha), page, pageSize), &combined)
		if err != nil {
			return fail(fmt.Errorf("page %d: %w", page, err))
		}
		if len(combined.Statuses) == 0 {
			return passed, nil
		}
		for _, s := range combined.Statuses {
			if s.Context == statusContext && s.ID > newest {
				newest, passed = s.ID, s.Status == string(gitea.StatusSuccess)
			}
		}
	}
	return fail(fmt.Errorf("more than %d pages", maxPages))
}

// Changes implements Forge. Gitea compares anew for each page, so it is the head
// after the last one that counts.
func (g *Gitea) Changes(ctx context.Context, repository string, number int64, headSHA string) (Changes, error) {
	ctx, cancel := context.WithTimeout(ctx, filesTimeout)
	defer cancel()
	fail := func(err error) (Changes, error) {
		return Changes{}, fmt.Errorf("forge %s: ask which files %s#%d changes: %w", g.Name(), repository, number, err)
	}
	owner, repo, err := split(repository)
	if err != nil {
		return fail(err)
	}
	var got files
	total := -1
	for page, read := 1, 0; got.Cut == "" && (total < 0 || read < total); page++ {
		if page > maxFiles {
			return fail(errors.New("the list does not end"))
		}
		res, err := g.ask(ctx, fmt.Sprintf("/repos/%s/%s/pulls/%d/files?page=%d&limit=%d", url.PathEscape(owner), url.PathEscape(repo), number, page, pageSize))
		if err != nil {
			return fail(fmt.Errorf("page %d: %w", page, err))
		}
		counted, countErr := strconv.Atoi(res.Header.Get("X-Total-Count"))
		entries, err := got.take(res.Body, func(e json.RawMessage) (now, before string, err error) {
			var f gitea.ChangedFile
			err = json.Unmarshal(e, &f)
			return f.Filename, f.PreviousFilename, err
		})
		res.Body.Close()
		switch {
		case err != nil:
			return fail(fmt.Errorf("page %d: %w", page, err))
		case countErr != nil:
			return fail(fmt.Errorf("page %d: the answer has no X-Total-Count", page))
		case total >= 0 && counted != total:
			return fail(fmt.Errorf("page %d: the list changed while it was read", page))
		case entries == 0 && read < counted && got.Cut == "":
			return fail(fmt.Errorf("page %d is empty, after %d files of %d", page, read, counted))
		}
		total = counted
		read += entries
	}
	p, err := g.Get(ctx, repository, number)
	switch {
	case err != nil:
		return fail(err)
	case p.HeadSHA != headSHA:
		return fail(ErrOtherHead)
	}
	changes, err := got.whole(total)
	if err != nil {
		return fail(err)
	}
	return changes, nil
}

// Touched implements Forge. Gitea answers 404 where no commit touches the path.
func (g *Gitea) Touched(ctx context.Context, repository, branch, path string) ([]Commit, error) {
	fail := func(err error) ([]Commit, error) {
		return nil, fmt.Errorf("forge %s: ask which commits of branch %q of %s touch %q: %w", g.Name(), branch, repository, path, err)
	}
	owner, repo, err := split(repository)
	if err != nil {
		return fail(err)
	}
	at := fmt.Sprintf("/repos/%s/%s", url.PathEscape(owner), url.PathEscape(repo))
	query := url.Values{"sha": {branch}, "limit": {strconv.Itoa(MaxTouched)}, "stat": {"false"}, "verification": {"false"}, "files": {"false"}}
	if path != "" {
		query.Set("path", path)
	}
	res, err := g.ask(ctx, at+"/commits?"+query.Encode())
	if errors.Is(err, errNotFound) && path != "" {
		var b struct {
			Name string `json:"name"`
		}
		if err := g.read(ctx, at+"/branches/"+url.PathEscape(branch), &b); err != nil {
			return fail(fmt.Errorf("%w, and so is the branch: %w", errNotFound, err))
		}
		if b.Name != branch {
			return fail(errors.New("the answer is about another branch"))
		}
		return nil, nil
	}
	if err != nil {
		return fail(err)
	}
	defer res.Body.Close()
	list, err := readCommits(res.Body, func(c struct {
		SHA     string    `json:"sha"`
		Created time.Time `json:"created"`
	},
	) (string, time.Time) {
		return c.SHA, c.Created
	})
	if err != nil {
		return fail(err)
	}
	return list, nil
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
	if p == nil || p.Index != number {
		return fail(errors.New("the answer is about another pull request"))
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
	signature, err := hex.DecodeString(giteaHeader(header, "Signature"))
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
	got, err := hex.DecodeString(giteaHeader(header, "Signature"))
	if err != nil || !signedBy([]byte(secret), got, body) {
		return Event{}, ErrSignature
	}
	// Gitea calls label and push events of a pull request pull_request too.
	if giteaHeader(header, "Event") != "pull_request" {
		return Event{}, ErrIgnored
	}
	var payload struct {
		Action      string            `json:"action"`
		Number      int64             `json:"number"`
		PullRequest *giteaPullRequest `json:"pull_request"`
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
	e := Event{Delivery: giteaHeader(header, "Delivery"), Repository: payload.Repository.FullName, PullRequest: g.normal(payload.Repository.FullName, payload.PullRequest)}
	if payload.Sender != nil {
		e.Sender = payload.Sender.Login
	}
	if closed := payload.PullRequest.Closed; payload.Action == "closed" && closed != nil {
		e.ClosedAt = *closed
	}
	if payload.Action == "label_updated" {
		e.Grant = e.granted(e.PullRequest.UpdatedAt)
	}
	return e, nil
}

// normal brings the SDK's form to ours.
func (g *Gitea) normal(repository string, p *giteaPullRequest) PullRequest {
	n := PullRequest{
		Number: p.Index,
		Title:  p.Title,
		URL:    p.HTMLURL,
		Open:   p.State == gitea.StateOpen && !p.HasMerged,
		Draft:  p.Draft || isDraft(p.Title),
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

// isDraft is Gitea's own rule with its default prefixes: a draft is a matter of the
// title there.
func isDraft(title string) bool {
	title = strings.ToUpper(strings.TrimSpace(title))
	return strings.HasPrefix(title, "WIP:") || strings.HasPrefix(title, "[WIP]")
}

// ask makes a call that the SDK does not have, or would read as a whole.
func (g *Gitea) ask(ctx context.Context, path string) (*http.Response, error) {
	token, err := readSecret(g.config.CredentialFile)
	if err != nil {
		return nil, fmt.Errorf("read the credential: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.config.URL+"/api/v1"+path, nil)
	if err != nil {
		return nil, errors.New("the address is none")
	}
	req.Header.Set("Authorization", "token "+token)
	req.Header.Set("Accept", "application/json")
	res, err := g.http.Do(req)
	if err != nil {
		return nil, unaddressed(err)
	}
	if err := statusError(res.StatusCode); err != nil {
		res.Body.Close()
		return nil, err
	}
	return res, nil
}

// read asks, and takes the answer as a whole.
func (g *Gitea) read(ctx context.Context, path string, into any) error {
	res, err := g.ask(ctx, path)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return json.NewDecoder(res.Body).Decode(into)
}

// unaddressed takes the address that was called off an error; it may hold a
// login.
func unaddressed(err error) error {
	if called, ok := errors.AsType[*url.Error](err); ok {
		return called.Err
	}
	return err
}

var (
	errNotFound  = errors.New("404 not found")
	errForbidden = fmt.Errorf("403 forbidden: %w for this", ErrCredential)
)

func failed(res *gitea.Response, err error) error {
	if res == nil {
		return outcome(nil, err)
	}
	return outcome(res.Response, err)
}

// outcome joins what an SDK says twice. Its errors quote the server's text,
// which is cut here; the status code alone decides. So is the address that was
// called, which may hold a login.
func outcome(res *http.Response, err error) error {
	if res != nil {
		if s := statusError(res.StatusCode); s != nil {
			return s
		}
	}
	if err != nil {
		return unaddressed(err)
	}
	if res == nil {
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
