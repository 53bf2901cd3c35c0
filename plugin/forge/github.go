package forge

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/go-github/v89/github"
)

const (
	// githubSignature carries sha256= and the HMAC-SHA256 of a webhook call's
	// body, in hex.
	githubSignature = "X-Hub-Signature-256"
	// githubVersion of the API is the one that Enterprise Server has too.
	// 2026-03-10 leaves fields out of pull requests.
	githubVersion = "2022-11-28"
	// ghost is the login that GitHub shows for a user who is no more.
	ghost = "ghost"
)

// GitHub is github.com, a GitHub Enterprise Server, or an enterprise with its
// own domain of ghe.com.
type GitHub struct {
	config Config
	// rest and graphql are the addresses of its two APIs.
	rest, graphql string
	http          *http.Client
	// app is nil where a token is used.
	app *githubApp
	// wholeEvery is limits.go's, but for tests.
	wholeEvery time.Duration

	mu sync.Mutex
	// kept are lists that can be brought up to date, by repository and label.
	kept map[[2]string]*githubKept
}

// githubKept is a list that can be brought up to date. It is not changed.
type githubKept struct {
	// listed is when the pass began that listed all.
	listed time.Time
	// etag and newest are of the first page of what changed last: its name, and
	// the time of the last change, by the forge's clock.
	etag   string
	newest time.Time
	pulls  map[int64]PullRequest
}

func newGitHub(c Config) *GitHub {
	c.URL = strings.TrimRight(c.URL, "/")
	g := &GitHub{config: c, wholeEvery: wholeEvery, kept: map[[2]string]*githubKept{}}
	g.rest, g.graphql = githubAPI(c.URL)
	g.http = newClient(g.rest)
	t := g.http.Transport.(*transport)
	t.limits = githubLimits
	if c.AppID != "" {
		g.app = &githubApp{config: c, rest: g.rest, http: g.http, installations: map[string]*installation{}}
		t.unauthorized = g.app.refused
	}
	return g
}

// githubAPI are the addresses of the APIs of a GitHub.
func githubAPI(base string) (rest, graphql string) {
	u, err := url.Parse(base)
	switch {
	case err == nil && (u.Host == "github.com" || u.Host == "www.github.com"):
		return "https://api.github.com", "https://api.github.com/graphql"
	case err == nil && strings.HasSuffix(u.Host, ".ghe.com"):
		return "https://api." + u.Host, "https://api." + u.Host + "/graphql"
	}
	return base + "/api/v3", base + "/api/graphql"
}

// githubLimits says whether a 403 is about calls that came too fast. Where the
// headers do not say so nothing but the text and the address of its explanation
// does.
func githubLimits(body []byte) bool {
	var said struct {
		Message       string `json:"message"`
		Documentation string `json:"documentation_url"`
	}
	return json.Unmarshal(body, &said) == nil && (strings.Contains(strings.ToLower(said.Message), "secondary rate limit") ||
		strings.HasSuffix(said.Documentation, "secondary-rate-limits"))
}

// Name implements Forge.
func (g *GitHub) Name() string { return g.config.Name }

// URL implements Forge.
func (g *GitHub) URL() string { return g.config.URL }

// client is made for each call, because a token belongs to a client. owner and
// repo are ready for a path: the SDK puts them there as they are.
func (g *GitHub) client(ctx context.Context, repository string) (c *github.Client, owner, repo string, err error) {
	token, err := g.token(ctx, repository)
	if err != nil {
		return nil, "", "", err
	}
	if owner, repo, err = split(repository); err != nil {
		return nil, "", "", err
	}
	c, err = githubClient(g.http, g.rest, token)
	return c, url.PathEscape(owner), url.PathEscape(repo), err
}

// token is what calls about a repository are made with.
func (g *GitHub) token(ctx context.Context, repository string) (string, error) {
	if g.app != nil {
		token, _, err := g.app.token(ctx, repository)
		return token, err
	}
	token, err := readSecret(g.config.CredentialFile)
	if err != nil {
		return "", fmt.Errorf("read the credential: %w", err)
	}
	return token, nil
}

// githubClient makes a client of the SDK. Nothing is uploaded, and limits are the
// transport's matter.
func githubClient(h *http.Client, rest, token string) (*github.Client, error) {
	rest += "/"
	return github.NewClient(github.WithHTTPClient(h), github.WithURLs(&rest, &rest), github.WithAuthToken(token), github.WithDisableRateLimitCheck())
}

// Login implements Forge. An App acts as a user of its own name.
func (g *GitHub) Login(ctx context.Context) (string, error) {
	fail := func(err error) (string, error) {
		return "", fmt.Errorf("forge %s: ask who we are: %w", g.Name(), err)
	}
	if g.app != nil {
		login, err := g.app.login(ctx)
		if err != nil {
			return fail(err)
		}
		return login, nil
	}
	token, err := g.token(ctx, "")
	if err != nil {
		return fail(err)
	}
	c, err := githubClient(g.http, g.rest, token)
	if err != nil {
		return fail(err)
	}
	u, res, err := c.Users.Get(ctx, "")
	if err := githubOutcome(res, err); err != nil {
		return fail(err)
	}
	if u.GetLogin() == "" {
		return fail(fmt.Errorf("the answer names nobody; is %s its base URL", g.URL()))
	}
	return u.GetLogin(), nil
}

// List implements Forge. All are listed with GraphQL, which has a filter by
// label; from then on what changed last tells what is new, closings included,
// and when nothing did that is one call, which GitHub does not count.
func (g *GitHub) List(repository string, q Query) Lister {
	return &githubList{github: g, repository: repository, label: q.Label}
}

// githubList reads a list call by call.
type githubList struct {
	github            *GitHub
	repository, label string

	// kept is the list that is brought up to date; nil where all are listed.
	kept *githubKept
	// page is that of what changed; whole says that all are being listed.
	page  int
	whole bool
	next  githubKept
	news  []PullRequest

	tries, pages, total int
	cursor              string
	moved               bool
	numbers             gaps
	list                List
}

// List implements Lister.
func (l *githubList) List() List { return l.list }

// Next implements Lister: one page of what changed last, or one of all.
func (l *githubList) Next(ctx context.Context) (done bool, err error) {
	if l.page == 0 {
		l.list = List{Began: time.Now(), Filtered: l.label != ""}
		l.begin(l.github.keptOf(l.repository, l.label))
	}
	if l.whole {
		done, err = l.all(ctx)
	} else {
		done, err = l.changed(ctx)
	}
	if err != nil {
		return false, fmt.Errorf("forge %s: list pull requests of %s: %w", l.github.Name(), l.repository, err)
	}
	return done, nil
}

// begin begins with what changed since a list, or with the page that one will
// be brought up to date from.
func (l *githubList) begin(kept *githubKept) {
	l.kept, l.page, l.whole, l.news = kept, 1, false, nil
	l.next = githubKept{listed: l.list.Began, pulls: map[int64]PullRequest{}}
	if kept != nil {
		l.next.listed = kept.listed
	}
}

// listAll begins to list all.
func (l *githubList) listAll() error {
	if l.tries++; l.tries > maxTries {
		l.tries, l.page = 0, 0
		return fmt.Errorf("the list changed %d times while it was read", maxTries)
	}
	l.kept, l.whole, l.cursor, l.pages, l.total, l.moved = nil, true, "", 0, -1, false
	l.next.listed, l.next.pulls = l.list.Began, map[int64]PullRequest{}
	l.list.Unreadable, l.numbers = nil, gaps{}
	return nil
}

// changed reads one page of what changed last, of all states.
func (l *githubList) changed(ctx context.Context) (done bool, err error) {
	owner, repo, err := split(l.repository)
	if err != nil {
		return false, err
	}
	query := url.Values{"state": {"all"}, "sort": {"updated"}, "direction": {"desc"}, "page": {strconv.Itoa(l.page)}, "per_page": {strconv.Itoa(newsPage)}}
	etag := ""
	if l.page == 1 && l.kept != nil {
		etag = l.kept.etag
	}
	res, err := l.github.ask(ctx, l.repository, fmt.Sprintf("/repos/%s/%s/pulls?%s", url.PathEscape(owner), url.PathEscape(repo), query.Encode()), etag)
	if err != nil {
		return false, fmt.Errorf("what changed, page %d: %w", l.page, err)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusNotModified {
		l.next.etag, l.next.newest = l.kept.etag, l.kept.newest
		return l.merge()
	}
	var page []PullRequest
	err = elements(res.Body, func(e json.RawMessage) error {
		p := &github.PullRequest{}
		if err := json.Unmarshal(e, p); err != nil || p.GetNumber() <= 0 || p.GetUpdatedAt().IsZero() {
			return errOdd
		}
		page = append(page, githubNormal(l.repository, p))
		if l.kept == nil {
			return errEnough // the time of the last change is all that is needed
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	if errors.Is(err, errOdd) || errors.Is(err, errTooLarge) || err == nil && !newestFirst(page) {
		// What it does not tell of all, the list of all does. Nothing is kept.
		l.next.etag, l.next.newest = "", time.Time{}
		return false, l.listAll()
	}
	if err != nil {
		return false, fmt.Errorf("what changed, page %d: %w", l.page, err)
	}
	if l.page == 1 {
		l.next.etag, l.next.newest = res.Header.Get("ETag"), time.Time{}
		if len(page) > 0 {
			l.next.newest = page[0].UpdatedAt
		}
	}
	if l.kept == nil {
		return false, l.listAll()
	}
	l.news = append(l.news, page...)
	switch end := !more(res) && len(page) < newsPage; {
	case end && len(l.news) == 0 && len(l.kept.pulls) > 0:
		return false, l.listAll()
	case end || len(page) > 0 && page[len(page)-1].UpdatedAt.Before(l.kept.newest):
		return l.merge()
	case l.page == maxNews:
		return false, l.listAll()
	}
	l.page++
	return false, nil
}

// newestFirst says whether a page is in the order that was asked for.
func newestFirst(page []PullRequest) bool {
	return slices.IsSortedFunc(page, func(a, b PullRequest) int { return b.UpdatedAt.Compare(a.UpdatedAt) })
}

// merge brings the kept list up to date.
func (l *githubList) merge() (bool, error) {
	pulls := maps.Clone(l.kept.pulls)
	// The oldest first: one that changed while pages were read is on two of them.
	for _, p := range slices.Backward(l.news) {
		if was, ok := pulls[p.Number]; ok && p.UpdatedAt.Before(was.UpdatedAt) {
			continue
		}
		if p.Open && (l.label == "" || p.HasLabel(l.label)) {
			pulls[p.Number] = p
		} else {
			delete(pulls, p.Number)
		}
	}
	l.next.pulls = pulls
	return l.complete()
}

// complete keeps the list, and hands it out.
func (l *githubList) complete() (bool, error) {
	next := l.next
	if len(l.list.Unreadable) == 0 && !next.newest.IsZero() {
		l.github.keep(l.repository, l.label, &next)
	}
	l.list.PullRequests = nil
	for _, n := range slices.Sorted(maps.Keys(next.pulls)) {
		p := next.pulls[n]
		p.Labels = slices.Clone(p.Labels)
		l.list.PullRequests = append(l.list.PullRequests, p)
	}
	return true, nil
}

// keptOf is a list that is good enough to be brought up to date.
func (g *GitHub) keptOf(repository, label string) *githubKept {
	g.mu.Lock()
	defer g.mu.Unlock()
	k := g.kept[[2]string{repository, label}]
	if k == nil || time.Since(k.listed) >= g.wholeEvery || time.Until(k.listed) > 0 {
		return nil
	}
	return k
}

func (g *GitHub) keep(repository, label string, next *githubKept) {
	g.mu.Lock()
	defer g.mu.Unlock()
	maps.DeleteFunc(g.kept, func(_ [2]string, k *githubKept) bool { return time.Since(k.listed) > 2*g.wholeEvery })
	g.kept[[2]string{repository, label}] = next
}

var (
	errOdd    = errors.New("an entry cannot be read")
	errEnough = errors.New("enough was read")
)

// githubQuery lists open pull requests, the oldest first. A cursor does not move
// when one before it closes.
const githubQuery = `query($owner: String!, $name: String!, $labels: [String!], $first: Int!, $after: String) {
  repository(owner: $owner, name: $name, followRenames: false) {
    pullRequests(states: OPEN, labels: $labels, first: $first, after: $after, orderBy: {field: CREATED_AT, direction: ASC}) {
      totalCount
      pageInfo { hasNextPage endCursor }
      nodes {
        number title url state isDraft isCrossRepository updatedAt headRefName headRefOid baseRefName
        author { __typename login }
        headRepository { nameWithOwner }
        labels(first: 100) { nodes { name } }
      }
    }
  }
}`

// githubNode is a pull request as GraphQL tells of it.
type githubNode struct {
	Number            int64     `json:"number"`
	Title             string    `json:"title"`
	URL               string    `json:"url"`
	State             string    `json:"state"`
	IsDraft           bool      `json:"isDraft"`
	IsCrossRepository bool      `json:"isCrossRepository"`
	UpdatedAt         time.Time `json:"updatedAt"`
	HeadRefName       string    `json:"headRefName"`
	HeadRefOid        string    `json:"headRefOid"`
	BaseRefName       string    `json:"baseRefName"`
	Author            *struct {
		Type  string `json:"__typename"`
		Login string `json:"login"`
	} `json:"author"`
	HeadRepository *struct {
		NameWithOwner string `json:"nameWithOwner"`
	} `json:"headRepository"`
	Labels *struct {
		Nodes []*struct {
			Name string `json:"name"`
		} `json:"nodes"`
	} `json:"labels"`
}

// all reads one page of all.
func (l *githubList) all(ctx context.Context) (done bool, err error) {
	owner, repo, err := split(l.repository)
	if err != nil {
		return false, err
	}
	variables := map[string]any{"owner": owner, "name": repo, "first": githubPage}
	if l.label != "" {
		variables["labels"] = []string{l.label}
	}
	if l.cursor != "" {
		variables["after"] = l.cursor
	}
	var data struct {
		Repository *struct {
			PullRequests *struct {
				TotalCount *int `json:"totalCount"`
				PageInfo   struct {
					HasNextPage bool   `json:"hasNextPage"`
					EndCursor   string `json:"endCursor"`
				} `json:"pageInfo"`
				Nodes []json.RawMessage `json:"nodes"`
			} `json:"pullRequests"`
		} `json:"repository"`
	}
	broken, err := l.github.query(ctx, l.repository, variables, &data)
	if err != nil {
		return false, fmt.Errorf("page %d: %w", l.pages+1, err)
	}
	if data.Repository == nil || data.Repository.PullRequests == nil || data.Repository.PullRequests.TotalCount == nil || data.Repository.PullRequests.Nodes == nil {
		return false, fmt.Errorf("page %d: the answer is no list", l.pages+1)
	}
	page := data.Repository.PullRequests
	info := page.PageInfo
	if info.HasNextPage && (info.EndCursor == "" || info.EndCursor == l.cursor) || l.pages >= maxPages {
		return false, l.restart(errors.New("the list does not end"))
	}
	if l.total >= 0 && *page.TotalCount != l.total {
		l.moved = true
	}
	l.total = *page.TotalCount
	for i, e := range page.Nodes {
		if err := l.take(e, broken[i]); err != nil {
			return false, l.restart(err)
		}
	}
	l.pages++
	if info.HasNextPage {
		l.cursor = info.EndCursor
		return false, nil
	}
	unreadable, err := l.numbers.end()
	if err != nil {
		return false, l.restart(err)
	}
	l.list.Unreadable = append(l.list.Unreadable, unreadable...)
	switch {
	case l.moved && !l.next.newest.IsZero():
		// One that closed while all were listed is told by what changed since.
		kept := l.next
		l.begin(&kept)
		return false, nil
	case l.moved:
		return false, l.listAll()
	}
	return l.complete()
}

// restart makes the next call begin anew.
func (l *githubList) restart(err error) error {
	l.page = 0
	return err
}

// take takes in one entry of all. One that cannot be read does not keep the
// others from being listed.
func (l *githubList) take(e json.RawMessage, broken bool) error {
	var n *githubNode
	if err := json.Unmarshal(e, &n); err != nil || n == nil || n.Number <= 0 || n.UpdatedAt.IsZero() || n.HeadRefOid == "" || n.Labels == nil {
		broken = true
	}
	number := int64(0)
	if n != nil {
		number = n.Number
	}
	if number <= 0 {
		l.numbers.unknown()
		return nil
	}
	if _, ok := l.next.pulls[number]; ok {
		return fmt.Errorf("it repeats pull request %d: does something in between cache answers", number)
	}
	unreadable, err := l.numbers.take(number)
	if err != nil {
		return err
	}
	l.list.Unreadable = append(l.list.Unreadable, unreadable...)
	if broken {
		l.list.Unreadable = append(l.list.Unreadable, number)
		return nil
	}
	// A label's name is the same in other letters there, and not here.
	if p := n.normal(l.repository); l.label == "" || p.HasLabel(l.label) {
		l.next.pulls[number] = p
	}
	return nil
}

// Get implements Forge.
func (g *GitHub) Get(ctx context.Context, repository string, number int64) (PullRequest, error) {
	fail := func(err error) (PullRequest, error) {
		return PullRequest{}, fmt.Errorf("forge %s: get pull request %d of %s: %w", g.Name(), number, repository, err)
	}
	c, owner, repo, err := g.client(ctx, repository)
	if err != nil {
		return fail(err)
	}
	p, res, err := c.PullRequests.Get(ctx, owner, repo, int(number))
	err = githubOutcome(res, err)
	if errors.Is(err, errNotFound) {
		return fail(gone(func() error {
			_, res, err := c.Repositories.Get(ctx, owner, repo)
			return githubOutcome(res, err)
		}, func() error {
			_, res, err := c.PullRequests.List(ctx, owner, repo, &github.PullRequestListOptions{ListOptions: github.ListOptions{PerPage: 1}})
			return githubOutcome(res, err)
		}))
	}
	if err != nil {
		return fail(err)
	}
	if int64(p.GetNumber()) != number {
		return fail(fmt.Errorf("the answer is about %d", p.GetNumber()))
	}
	return githubNormal(repository, p), nil
}

// Labelled implements Forge, by the timeline. It needs no right for issues, as
// the events of an issue would.
func (g *GitHub) Labelled(ctx context.Context, repository string, number int64, label string) (Labelled, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	fail := func(err error) (Labelled, error) {
		return Labelled{}, fmt.Errorf("forge %s: ask who set label %q on %s#%d: %w", g.Name(), label, repository, number, err)
	}
	owner, repo, err := split(repository)
	if err != nil {
		return fail(err)
	}
	// A commit has no such time and no actor, so little is read of an entry.
	type entry struct {
		Event     string    `json:"event"`
		CreatedAt time.Time `json:"created_at"`
		Actor     *struct {
			Login string `json:"login"`
		} `json:"actor"`
		Label *struct {
			Name string `json:"name"`
		} `json:"label"`
	}
	var last *entry
	for page := 1; ; page++ {
		if page > maxPages {
			return fail(fmt.Errorf("more than %d pages", maxPages))
		}
		res, err := g.ask(ctx, repository, fmt.Sprintf("/repos/%s/%s/issues/%d/timeline?page=%d&per_page=%d",
			url.PathEscape(owner), url.PathEscape(repo), number, page, githubPage), "")
		if err != nil {
			return fail(fmt.Errorf("page %d: %w", page, err))
		}
		count := 0
		err = elements(res.Body, func(e json.RawMessage) error {
			count++
			var kind struct {
				Event string `json:"event"`
			}
			if err := json.Unmarshal(e, &kind); err != nil {
				return err
			}
			if kind.Event != "labeled" && kind.Event != "unlabeled" {
				return nil
			}
			var about entry
			if err := json.Unmarshal(e, &about); err != nil {
				return err
			}
			if about.Label != nil && about.Label.Name == label {
				last = &about
			}
			return nil
		})
		end := !more(res) && count < githubPage
		res.Body.Close()
		if err != nil {
			return fail(fmt.Errorf("page %d: %w", page, err))
		}
		if end {
			break
		}
	}
	switch {
	case last == nil:
		return fail(ErrNotLabelled)
	case last.Event == "unlabeled":
		return fail(&UnlabelledError{At: last.CreatedAt})
	case last.Actor == nil || last.Actor.Login == "" || last.Actor.Login == ghost:
		return fail(ErrNotLabelled)
	}
	return Labelled{By: last.Actor.Login, At: last.CreatedAt}, nil
}

// CanWrite implements Forge. GitHub answers for people who were removed too:
// with read where everybody may, and with none.
func (g *GitHub) CanWrite(ctx context.Context, repository, login string) (bool, error) {
	fail := func(err error) (bool, error) {
		// Who it is stays out of the error: it goes into the log.
		return false, fmt.Errorf("forge %s: ask whether who set the label may write to %s: %w", g.Name(), repository, err)
	}
	c, owner, repo, err := g.client(ctx, repository)
	if err != nil {
		return fail(err)
	}
	p, res, err := c.Repositories.GetPermissionLevel(ctx, owner, repo, url.PathEscape(login))
	err = githubOutcome(res, err)
	switch {
	case errors.Is(err, errNotFound):
		// An App, or a user who is no more; or a repository that we do not see.
		_, res, err := c.Repositories.Get(ctx, owner, repo)
		if err := githubOutcome(res, err); err != nil {
			return fail(err)
		}
		return false, nil
	case errors.Is(err, errForbidden):
		return fail(fmt.Errorf("%w: give the token the repository permission Metadata, of an account that may push", err))
	case err != nil:
		return fail(err)
	}
	// One who took over the login of another is not who was asked about.
	if u := p.GetUser(); u == nil || !strings.EqualFold(u.GetLogin(), login) {
		return fail(errors.New("the answer is about somebody else"))
	}
	// The base of the role: maintain, and roles of one's own, are told as the
	// nearest of these.
	switch p.GetPermission() {
	case "admin", "maintain", "write":
		return true, nil
	}
	return false, nil
}

// Passed implements Forge. Actions report as check runs, others as statuses: of
// those with the name all must have succeeded.
func (g *GitHub) Passed(ctx context.Context, repository, sha, statusContext string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	fail := func(err error) (bool, error) {
		return false, fmt.Errorf("forge %s: ask for status %q of %s@%s: %w", g.Name(), statusContext, repository, sha, err)
	}
	c, owner, repo, err := g.client(ctx, repository)
	if err != nil {
		return fail(err)
	}
	ref, found, good := url.PathEscape(sha), 0, 0
	// The combined status has the newest of each context.
	for page := 1; page != 0; {
		if page > maxPages {
			return fail(fmt.Errorf("more than %d pages", maxPages))
		}
		combined, res, err := c.Repositories.GetCombinedStatus(ctx, owner, repo, ref, &github.ListOptions{Page: page, PerPage: githubPage})
		if err := githubOutcome(res, err); err != nil {
			return fail(fmt.Errorf("statuses: page %d: %w", page, err))
		}
		if combined == nil {
			return fail(errors.New("statuses: the answer is empty"))
		}
		for _, s := range combined.Statuses {
			if s.GetContext() == statusContext {
				found++
				if s.GetState() == "success" {
					good++
				}
			}
		}
		page = res.NextPage
	}
	latest := "latest"
	for page := 1; page != 0; {
		if page > maxPages {
			return fail(fmt.Errorf("more than %d pages", maxPages))
		}
		runs, res, err := c.Checks.ListCheckRunsForRef(ctx, owner, repo, ref, &github.ListCheckRunsOptions{
			CheckName: &statusContext, Filter: &latest, ListOptions: github.ListOptions{Page: page, PerPage: githubPage},
		})
		err = githubOutcome(res, err)
		if errors.Is(err, errForbidden) && g.app == nil {
			// There is no such permission for a fine-grained token. A status of that
			// name says what is asked all the same.
			if found > 0 {
				break
			}
			err = fmt.Errorf("%w: fine-grained tokens cannot read check runs: use a GitHub App, or let the job set a commit status", err)
		}
		if err != nil {
			return fail(fmt.Errorf("check runs: page %d: %w", page, err))
		}
		if runs == nil {
			return fail(errors.New("check runs: the answer is empty"))
		}
		for _, run := range runs.CheckRuns {
			if run.GetName() == statusContext {
				found++
				if run.GetStatus() == "completed" && run.GetConclusion() == "success" {
					good++
				}
			}
		}
		page = res.NextPage
	}
	return found > 0 && good == found, nil
}

// Changes implements Forge. GitHub lists 3,000 files at most, and counts them
// all. A push between two pages shows in the head before and after.
func (g *GitHub) Changes(ctx context.Context, repository string, number int64, headSHA string) (Changes, error) {
	ctx, cancel := context.WithTimeout(ctx, filesTimeout)
	defer cancel()
	fail := func(err error) (Changes, error) {
		return Changes{}, fmt.Errorf("forge %s: ask which files %s#%d changes: %w", g.Name(), repository, number, err)
	}
	c, owner, repo, err := g.client(ctx, repository)
	if err != nil {
		return fail(err)
	}
	head := func() (total int, err error) {
		p, res, err := c.PullRequests.Get(ctx, owner, repo, int(number))
		switch err := githubOutcome(res, err); {
		case err != nil:
			return 0, err
		case int64(p.GetNumber()) != number:
			return 0, fmt.Errorf("the answer is about %d", p.GetNumber())
		case p.GetHead().GetSHA() != headSHA:
			return 0, ErrOtherHead
		case p.ChangedFiles == nil:
			return 0, errors.New("the answer does not say how many files there are")
		}
		return p.GetChangedFiles(), nil
	}
	total, err := head()
	if err != nil {
		return fail(err)
	}
	if total > maxFiles {
		return Changes{Cut: fmt.Sprintf("it changes %d files, and GitHub lists %d", total, maxFiles)}, nil
	}
	var got files
	for page := 1; got.Cut == ""; page++ {
		res, err := g.ask(ctx, repository, fmt.Sprintf("/repos/%s/%s/pulls/%d/files?page=%d&per_page=%d", owner, repo, number, page, githubPage), "")
		if err != nil {
			return fail(fmt.Errorf("page %d: %w", page, err))
		}
		entries, err := got.take(res.Body, func(e json.RawMessage) (now, before string, err error) {
			var f struct {
				Filename string `json:"filename"`
				Previous string `json:"previous_filename"`
			}
			err = json.Unmarshal(e, &f)
			return f.Filename, f.Previous, err
		})
		end := !more(res) && entries < githubPage
		res.Body.Close()
		if err != nil {
			return fail(fmt.Errorf("page %d: %w", page, err))
		}
		if end || entries == 0 {
			break
		}
	}
	if total, err = head(); err != nil {
		return fail(err)
	}
	changes, err := got.whole(total)
	if err != nil {
		return fail(err)
	}
	return changes, nil
}

// Touched implements Forge.
func (g *GitHub) Touched(ctx context.Context, repository, branch, path string) ([]Commit, error) {
	fail := func(err error) ([]Commit, error) {
		return nil, fmt.Errorf("forge %s: ask which commits of branch %q of %s touch %q: %w", g.Name(), branch, repository, path, err)
	}
	owner, repo, err := split(repository)
	if err != nil {
		return fail(err)
	}
	query := url.Values{"sha": {branch}, "per_page": {strconv.Itoa(MaxTouched)}}
	if path != "" {
		query.Set("path", path)
	}
	res, err := g.ask(ctx, repository, fmt.Sprintf("/repos/%s/%s/commits?%s", url.PathEscape(owner), url.PathEscape(repo), query.Encode()), "")
	if errors.Is(err, errForbidden) {
		err = fmt.Errorf("%w: give it the repository permission Contents: read", err)
	}
	if err != nil {
		return fail(err)
	}
	defer res.Body.Close()
	list, err := readCommits(res.Body, func(c struct {
		SHA    string `json:"sha"`
		Commit struct {
			Committer struct {
				Date time.Time `json:"date"`
			} `json:"committer"`
		} `json:"commit"`
	},
	) (string, time.Time) {
		return c.SHA, c.Commit.Committer.Date
	})
	if err != nil {
		return fail(err)
	}
	return list, nil
}

// SetStatus implements Forge.
func (g *GitHub) SetStatus(ctx context.Context, repository, sha string, s Status) error {
	fail := func(err error) error {
		return fmt.Errorf("forge %s: set status %q of %s@%s: %w", g.Name(), s.Context, repository, sha, err)
	}
	c, owner, repo, err := g.client(ctx, repository)
	if err != nil {
		return fail(err)
	}
	status := github.RepoStatus{State: new(string(s.State)), Description: new(cut(s.Description)), Context: &s.Context}
	if s.URL != "" {
		status.TargetURL = &s.URL
	}
	_, res, err := c.Repositories.CreateStatus(ctx, owner, repo, url.PathEscape(sha), status)
	if err := githubOutcome(res, err); err != nil {
		return fail(err)
	}
	return nil
}

// RemoveLabel implements Forge.
func (g *GitHub) RemoveLabel(ctx context.Context, repository string, number int64, label string) error {
	fail := func(err error) error {
		return fmt.Errorf("forge %s: remove label %q from %s#%d: %w", g.Name(), label, repository, number, err)
	}
	c, owner, repo, err := g.client(ctx, repository)
	if err != nil {
		return fail(err)
	}
	p, res, err := c.PullRequests.Get(ctx, owner, repo, int(number))
	if err := githubOutcome(res, err); err != nil {
		return fail(err)
	}
	if int64(p.GetNumber()) != number {
		return fail(fmt.Errorf("the answer is about %d", p.GetNumber()))
	}
	if !githubNormal(repository, p).HasLabel(label) {
		return nil
	}
	res, err = c.Issues.RemoveLabelForIssue(ctx, owner, repo, int(number), url.PathEscape(label))
	if err := githubOutcome(res, err); err != nil && !errors.Is(err, errNotFound) {
		return fail(err)
	}
	return nil
}

// Signed implements Forge.
func (g *GitHub) Signed(header http.Header) bool {
	_, ok := githubMAC(header)
	return ok
}

// githubMAC is the code that a webhook call carries.
func githubMAC(header http.Header) ([]byte, bool) {
	code, ok := strings.CutPrefix(header.Get(githubSignature), "sha256=")
	mac, err := hex.DecodeString(code)
	return mac, ok && err == nil && len(mac) == sha256.Size
}

// Event implements Forge. GitHub signs the body with HMAC-SHA256, and no time
// with it: who replays a call repeats its delivery too.
func (g *GitHub) Event(header http.Header, body []byte) (Event, error) {
	if g.config.WebhookSecretFile == "" {
		return Event{}, fmt.Errorf("%w: no webhookSecretFile is configured for forge %s", ErrSignature, g.Name())
	}
	secret, err := readSecret(g.config.WebhookSecretFile)
	if err != nil {
		return Event{}, fmt.Errorf("read the webhook secret: %w", err)
	}
	got, ok := githubMAC(header)
	if !ok || !signedBy([]byte(secret), got, body) {
		return Event{}, ErrSignature
	}
	switch kind := header.Get("X-GitHub-Event"); {
	case strings.HasPrefix(kind, "installation") && g.app != nil:
		// Where the App is, and what it may, is another by now.
		g.app.forget()
		return Event{}, ErrIgnored
	case kind != "pull_request":
		return Event{}, ErrIgnored
	}
	var payload struct {
		Action      string              `json:"action"`
		Number      int64               `json:"number"`
		PullRequest *github.PullRequest `json:"pull_request"`
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
	e := Event{
		Delivery: header.Get("X-GitHub-Delivery"), Repository: payload.Repository.FullName,
		PullRequest: githubNormal(payload.Repository.FullName, payload.PullRequest),
	}
	e.PullRequest.Number = payload.Number
	if payload.Sender != nil {
		e.Sender = payload.Sender.Login
	}
	if closed := payload.PullRequest.ClosedAt; payload.Action == "closed" && closed != nil {
		e.ClosedAt = closed.Time
	}
	if payload.Action == "labeled" {
		e.Grant = e.granted(e.PullRequest.UpdatedAt)
	}
	return e, nil
}

// githubNormal brings the SDK's form to ours.
func githubNormal(repository string, p *github.PullRequest) PullRequest {
	n := PullRequest{
		Number:       int64(p.GetNumber()),
		Title:        p.GetTitle(),
		Author:       cmp.Or(p.GetUser().GetLogin(), ghost),
		Branch:       p.GetHead().GetRef(),
		TargetBranch: p.GetBase().GetRef(),
		HeadSHA:      p.GetHead().GetSHA(),
		URL:          p.GetHTMLURL(),
		Open:         p.GetState() == "open",
		Draft:        p.GetDraft(),
		UpdatedAt:    p.GetUpdatedAt().Time,
	}
	n.HeadRepository = p.GetHead().GetRepo().GetFullName()
	n.Fork = !strings.EqualFold(n.HeadRepository, repository)
	for _, l := range p.Labels {
		if l.GetName() != "" {
			n.Labels = append(n.Labels, l.GetName())
		}
	}
	return n
}

// normal is the same of what GraphQL tells, in the words of the other API: there
// an App's login ends in [bot].
func (n *githubNode) normal(repository string) PullRequest {
	p := PullRequest{
		Number: n.Number, Title: n.Title, Author: ghost, Branch: n.HeadRefName, TargetBranch: n.BaseRefName,
		HeadSHA: n.HeadRefOid, URL: n.URL, Open: n.State == "OPEN", Draft: n.IsDraft, UpdatedAt: n.UpdatedAt,
	}
	if n.Author != nil {
		p.Author = n.Author.Login
		if n.Author.Type == "Bot" && !strings.HasSuffix(p.Author, "[bot]") {
			p.Author += "[bot]"
		}
	}
	if n.HeadRepository != nil {
		p.HeadRepository = n.HeadRepository.NameWithOwner
	}
	p.Fork = n.IsCrossRepository || !strings.EqualFold(p.HeadRepository, repository)
	for _, l := range n.Labels.Nodes {
		if l != nil {
			p.Labels = append(p.Labels, l.Name)
		}
	}
	return p
}

// more says whether the forge tells of a next page. That it does not is no proof
// of an end.
func more(res *http.Response) bool {
	for _, links := range res.Header.Values("Link") {
		for link := range strings.SplitSeq(links, ",") {
			if strings.Contains(link, `rel="next"`) {
				return true
			}
		}
	}
	return false
}

// ask makes a call that is read here. With an etag the answer may be that
// nothing changed.
func (g *GitHub) ask(ctx context.Context, repository, path, etag string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.rest+path, nil)
	if err != nil {
		return nil, errors.New("the address is none")
	}
	if etag != "" {
		req.Header.Set("If-None-Match", etag)
	}
	res, err := g.send(req, repository)
	if err != nil {
		return nil, err
	}
	if err := statusError(res.StatusCode); err != nil && (etag == "" || res.StatusCode != http.StatusNotModified) {
		res.Body.Close()
		return nil, err
	}
	return res, nil
}

// send sends a call about a repository.
func (g *GitHub) send(req *http.Request, repository string) (*http.Response, error) {
	token, err := g.token(req.Context(), repository)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/vnd.github+json")
	req.Header.Set("X-GitHub-Api-Version", githubVersion)
	res, err := g.http.Do(req)
	if err != nil {
		return nil, unaddressed(err)
	}
	return res, nil
}

// query asks GraphQL for pull requests. broken are those entries of the list of
// which something could not be told; anything else that could not is an error.
func (g *GitHub) query(ctx context.Context, repository string, variables map[string]any, data any) (broken map[int]bool, err error) {
	body, err := json.Marshal(map[string]any{"query": githubQuery, "variables": variables})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.graphql, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the address is none")
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := g.send(req, repository)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if err := statusError(res.StatusCode); err != nil {
		return nil, err
	}
	read, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Data   json.RawMessage `json:"data"`
		Errors []struct {
			Type    string `json:"type"`
			Message string `json:"message"`
			Path    []any  `json:"path"`
		} `json:"errors"`
	}
	if err := json.Unmarshal(read, &answer); err != nil {
		return nil, fmt.Errorf("the answer is no JSON of GraphQL: %w", quiet(err))
	}
	if len(answer.Data) == 0 && len(answer.Errors) == 0 && githubLimits(read) {
		return nil, g.http.Transport.(*transport).limit(res)
	}
	broken = map[int]bool{}
	for _, e := range answer.Errors {
		switch i, ok := nodeOf(e.Path); {
		case e.Type == "RATE_LIMITED" || strings.Contains(strings.ToLower(e.Message), "secondary rate limit"):
			return nil, g.http.Transport.(*transport).limit(res)
		case ok:
			broken[i] = true
		case e.Type == "FORBIDDEN" || e.Type == "INSUFFICIENT_SCOPES":
			return nil, errForbidden
		case e.Type == "NOT_FOUND":
			return nil, errNotFound
		default:
			return nil, errors.New("GraphQL answers with an error")
		}
	}
	if err := json.Unmarshal(answer.Data, data); err != nil {
		return nil, fmt.Errorf("the answer is not as GraphQL's schema says: %w", quiet(err))
	}
	return broken, nil
}

// nodeOf is which entry of a list the path of an error is about.
func nodeOf(path []any) (int, bool) {
	for i, p := range path {
		if p == "nodes" && i+1 < len(path) {
			n, ok := path[i+1].(float64)
			return int(n), ok && i == 2 // repository, pullRequests, nodes
		}
	}
	return 0, false
}

// quiet takes what was read off an error of the decoder.
func quiet(err error) error {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("byte %d", syntax.Offset)
	}
	return errors.New("a field has another type")
}

func githubOutcome(res *github.Response, err error) error {
	if res == nil {
		return outcome(nil, err)
	}
	return outcome(res.Response, err)
}
