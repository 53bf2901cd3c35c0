package forge

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// BitbucketDC is a Bitbucket Data Center. It has no labels: a reviewer's approval
// is the consent.
type BitbucketDC struct {
	config Config
	http   *http.Client
	sizes  *pageSizes
}

func newBitbucketDC(c Config) *BitbucketDC {
	c.URL = strings.TrimRight(c.URL, "/")
	return &BitbucketDC{config: c, http: newClient(c.URL + "/rest"), sizes: newPageSizes(bitbucketDCPage)}
}

// Name implements Forge.
func (b *BitbucketDC) Name() string { return b.config.Name }

// URL implements Forge.
func (b *BitbucketDC) URL() string { return b.config.URL }

// Approving implements Approving.
func (b *BitbucketDC) Approving() string {
	return "must be " + Approved + ": Bitbucket has no labels, a reviewer's approval is the consent"
}

// Labelless implements Labelless.
func (*BitbucketDC) Labelless() {}

// bitbucketDCUser is an account.
type bitbucketDCUser struct {
	Name   string `json:"name"`
	Active bool   `json:"active"`
}

// Login implements Forge. No call of the API says it; a header of every answer
// does.
func (b *BitbucketDC) Login(ctx context.Context) (string, error) {
	fail := func(err error) (string, error) {
		return "", fmt.Errorf("forge %s: ask who we are: %w", b.Name(), err)
	}
	res, err := b.ask(ctx, http.MethodGet, "/api/latest/application-properties", nil)
	if err != nil {
		return fail(err)
	}
	res.Body.Close()
	name, err := url.PathUnescape(res.Header.Get("X-Ausername"))
	if err != nil || name == "" || name == "anonymous" {
		return fail(fmt.Errorf("the answer has no header X-AUSERNAME that names us: is %s its base URL, and does nothing in between take headers off", b.URL()))
	}
	return name, nil
}

// List implements Forge. Bitbucket does not filter by approval, and counts
// nothing.
func (b *BitbucketDC) List(repository string, _ Query) Lister {
	return &pagedList{
		forge: b.Name(), repository: repository, sizes: b.sizes, overlap: true,
		fetch: func(ctx context.Context, at pageAt) (page, error) { return b.page(ctx, repository, at) },
	}
}

func (b *BitbucketDC) page(ctx context.Context, repository string, at pageAt) (page, error) {
	path, err := bitbucketDCRepository(repository)
	if err != nil {
		return page{}, err
	}
	var answer bitbucketDCPageOf
	err = b.read(ctx, path+"/pull-requests?"+url.Values{
		"state": {"OPEN"}, "order": {"OLDEST"}, "start": {strconv.Itoa(at.start)}, "limit": {strconv.Itoa(at.size)},
	}.Encode(), &answer)
	if err != nil {
		return page{}, err
	}
	if answer.Values == nil || answer.Last == nil {
		return page{}, errors.New("the answer is no list")
	}
	p := page{total: -1, last: *answer.Last}
	for _, v := range answer.Values {
		var pull *bitbucketDCPull
		err := json.Unmarshal(v, &pull)
		if pull == nil || pull.ID <= 0 {
			p.entries = append(p.entries, pageEntry{})
			continue
		}
		e := pageEntry{number: pull.ID}
		if err == nil && pull.Reviewers == nil && pull.Participants == nil {
			return page{}, fmt.Errorf("it does not tell who approved pull request %d", pull.ID)
		}
		if err == nil && pull.UpdatedDate > 0 {
			n := pull.normal(repository)
			e.pull = &n
		}
		p.entries = append(p.entries, e)
	}
	return p, nil
}

// bitbucketDCPageOf is a page of anything.
// https://developer.atlassian.com/server/bitbucket/rest/v906/intro/#paged-apis
type bitbucketDCPageOf struct {
	Values []json.RawMessage `json:"values"`
	Last   *bool             `json:"isLastPage"`
	Next   *int              `json:"nextPageStart"`
}

// bitbucketDCPull is what is read of a pull request. Times are milliseconds.
type bitbucketDCPull struct {
	ID           int64                    `json:"id"`
	Title        string                   `json:"title"`
	State        string                   `json:"state"`
	Draft        bool                     `json:"draft"`
	UpdatedDate  int64                    `json:"updatedDate"`
	ClosedDate   int64                    `json:"closedDate"`
	FromRef      bitbucketDCRef           `json:"fromRef"`
	ToRef        bitbucketDCRef           `json:"toRef"`
	Author       *bitbucketDCParticipant  `json:"author"`
	Reviewers    []bitbucketDCParticipant `json:"reviewers"`
	Participants []bitbucketDCParticipant `json:"participants"`
	Links        struct {
		Self []struct {
			Href string `json:"href"`
		} `json:"self"`
	} `json:"links"`
}

type bitbucketDCRef struct {
	DisplayID    string `json:"displayId"`
	LatestCommit string `json:"latestCommit"`
	Repository   *struct {
		Slug    string `json:"slug"`
		Project struct {
			Key string `json:"key"`
		} `json:"project"`
	} `json:"repository"`
}

// repositoryPath is empty where it is not told.
func (r *bitbucketDCRef) repositoryPath() string {
	if r.Repository == nil || r.Repository.Slug == "" || r.Repository.Project.Key == "" {
		return ""
	}
	return r.Repository.Project.Key + "/" + r.Repository.Slug
}

type bitbucketDCParticipant struct {
	User     *bitbucketDCUser `json:"user"`
	Approved bool             `json:"approved"`
}

// approvers are those whose approval stands; one may be nobody any more.
func (p *bitbucketDCPull) approvers() []*bitbucketDCUser {
	var users []*bitbucketDCUser
	for _, list := range [][]bitbucketDCParticipant{p.Reviewers, p.Participants} {
		for _, one := range list {
			if one.Approved {
				users = append(users, one.User)
			}
		}
	}
	return users
}

// Get implements Forge.
func (b *BitbucketDC) Get(ctx context.Context, repository string, number int64) (PullRequest, error) {
	fail := func(err error) (PullRequest, error) {
		return PullRequest{}, fmt.Errorf("forge %s: get pull request %d of %s: %w", b.Name(), number, repository, err)
	}
	path, err := bitbucketDCRepository(repository)
	if err != nil {
		return fail(err)
	}
	pull, err := b.pull(ctx, path, number)
	if errors.Is(err, errNotFound) {
		return fail(gone(
			func() error { return b.read(ctx, path, &struct{}{}) },
			func() error { return b.read(ctx, path+"/pull-requests?limit=1", &struct{}{}) },
		))
	}
	if err != nil {
		return fail(err)
	}
	return pull.normal(repository), nil
}

func (b *BitbucketDC) pull(ctx context.Context, path string, number int64) (*bitbucketDCPull, error) {
	var pull bitbucketDCPull
	if err := b.read(ctx, fmt.Sprintf("%s/pull-requests/%d", path, number), &pull); err != nil {
		return nil, err
	}
	if pull.ID != number {
		return nil, fmt.Errorf("the answer is about %d", pull.ID)
	}
	if pull.State == "" {
		return nil, errors.New("the answer does not say whether it is open")
	}
	return &pull, nil
}

// bitbucketDCActivity is an entry of a pull request's record.
// https://developer.atlassian.com/server/bitbucket/rest/v906/api-group-pull-requests/#api-api-latest-projects-projectkey-repos-repositoryslug-pull-requests-pullrequestid-activities-get
type bitbucketDCActivity struct {
	Action        string              `json:"action"`
	CommentAction string              `json:"commentAction"`
	CreatedDate   int64               `json:"createdDate"`
	User          *bitbucketDCUser    `json:"user"`
	Comment       *bitbucketDCComment `json:"comment"`
}

// Labelled implements Forge: who approved and may write, the last first; the last
// of all where none may. The record of activities says when, and when the last
// approval was taken back.
func (b *BitbucketDC) Labelled(ctx context.Context, repository string, number int64, label string) (Labelled, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	fail := func(err error) (Labelled, error) {
		return Labelled{}, fmt.Errorf("forge %s: ask who approved %s#%d: %w", b.Name(), repository, number, err)
	}
	path, err := bitbucketDCRepository(repository)
	if err != nil {
		return fail(err)
	}
	pull, err := b.pull(ctx, path, number)
	if err != nil {
		return fail(err)
	}
	standing := pull.approvers()
	waiting := map[string]bool{}
	for _, u := range standing {
		if u != nil && u.Name != "" {
			waiting[u.Name] = true
		}
	}
	if label != Approved || len(standing) > 0 && len(waiting) == 0 {
		return fail(ErrNotLabelled)
	}
	var approvals []Labelled
	var removed time.Time
	err = b.pages(ctx, fmt.Sprintf("%s/pull-requests/%d/activities", path, number), nil, func(v json.RawMessage) (bool, error) {
		var a bitbucketDCActivity
		if err := json.Unmarshal(v, &a); err != nil {
			return false, quiet(err)
		}
		at := time.UnixMilli(a.CreatedDate)
		switch {
		case a.Action == "APPROVED" && a.User != nil && waiting[a.User.Name]:
			delete(waiting, a.User.Name)
			approvals = append(approvals, Labelled{By: a.User.Name, At: at})
		case (a.Action == "UNAPPROVED" || a.Action == "REVIEWED") && len(standing) == 0 && at.After(removed):
			removed = at // REVIEWED is "needs work"
		}
		return len(standing) > 0 && len(waiting) == 0, nil
	})
	switch {
	case err != nil:
		return fail(err)
	case !removed.IsZero():
		return fail(&UnlabelledError{At: removed})
	}
	l, err := whoMay(ctx, b, repository, approvals)
	if err != nil {
		return fail(err)
	}
	return l, nil
}

// CanWrite implements Forge: Bitbucket filters its users by effective
// permissions, and tells that everybody who may log in.
// https://developer.atlassian.com/server/bitbucket/rest/v906/api-group-system-maintenance/#api-api-latest-users-get
func (b *BitbucketDC) CanWrite(ctx context.Context, repository, login string) (bool, error) {
	fail := func(err error) (bool, error) {
		// Who it is stays out of the error: it goes into the log.
		return false, fmt.Errorf("forge %s: ask whether who approved may write to %s: %w", b.Name(), repository, err)
	}
	key, slug, err := split(repository)
	if err != nil {
		return fail(err)
	}
	if login == "" {
		return false, nil
	}
	may := false
	err = b.pages(ctx, "/api/latest/users", url.Values{
		"filter": {login}, "permission.1": {"REPO_WRITE"}, "permission.1.projectKey": {key}, "permission.1.repositorySlug": {slug},
	}, func(v json.RawMessage) (bool, error) {
		var u bitbucketDCUser
		if err := json.Unmarshal(v, &u); err != nil {
			return false, quiet(err)
		}
		if u.Name == login {
			may = u.Active
			return true, nil
		}
		return false, nil
	})
	if err != nil {
		return fail(err)
	}
	return may, nil
}

// Passed implements Forge, by a build's key, or its name.
// https://developer.atlassian.com/server/bitbucket/rest/v906/api-group-builds-and-deployments/#api-build-status-latest-commits-commitid-get
func (b *BitbucketDC) Passed(ctx context.Context, repository, sha, statusContext string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	newest, found, passed := int64(0), false, false
	err := b.pages(ctx, "/build-status/latest/commits/"+url.PathEscape(sha), nil, func(v json.RawMessage) (bool, error) {
		var s struct {
			Key       string `json:"key"`
			Name      string `json:"name"`
			State     string `json:"state"`
			DateAdded int64  `json:"dateAdded"`
		}
		if err := json.Unmarshal(v, &s); err != nil {
			return false, quiet(err)
		}
		if s.Key != statusContext && s.Name != statusContext || found && s.DateAdded < newest {
			return false, nil
		}
		// Of two of one moment both must have passed.
		passed = s.State == "SUCCESSFUL" && (passed || !found || s.DateAdded > newest)
		found, newest = true, s.DateAdded
		return false, nil
	})
	if err != nil {
		return false, fmt.Errorf("forge %s: ask for status %q of %s@%s: %w", b.Name(), statusContext, repository, sha, err)
	}
	return passed, nil
}

// Changes implements Forge. The list has one page, and says when it is cut.
// https://developer.atlassian.com/server/bitbucket/rest/v906/api-group-pull-requests/#api-api-latest-projects-projectkey-repos-repositoryslug-pull-requests-pullrequestid-changes-get
func (b *BitbucketDC) Changes(ctx context.Context, repository string, number int64, headSHA string) (Changes, error) {
	ctx, cancel := context.WithTimeout(ctx, filesTimeout)
	defer cancel()
	fail := func(err error) (Changes, error) {
		return Changes{}, fmt.Errorf("forge %s: ask which files %s#%d changes: %w", b.Name(), repository, number, err)
	}
	path, err := bitbucketDCRepository(repository)
	if err != nil {
		return fail(err)
	}
	var answer struct {
		ToHash string          `json:"toHash"`
		Last   *bool           `json:"isLastPage"`
		Values json.RawMessage `json:"values"`
	}
	err = b.read(ctx, fmt.Sprintf("%s/pull-requests/%d/changes?limit=%d", path, number, maxFiles+1), &answer)
	switch {
	case errors.Is(err, errTooLarge):
		return Changes{Cut: "the forge's answer about its files is too large to be read"}, nil
	case err != nil:
		return fail(err)
	case answer.Values == nil || answer.Last == nil || answer.ToHash == "":
		return fail(errors.New("the answer is no list"))
	case answer.ToHash != headSHA:
		return fail(ErrOtherHead)
	case !*answer.Last:
		return Changes{Cut: "it changes more files than Bitbucket lists (page.max.changes)"}, nil
	}
	var got files
	entries, err := got.take(bytes.NewReader(answer.Values), func(e json.RawMessage) (now, before string, err error) {
		type name struct {
			Path string `json:"toString"`
		}
		var f struct {
			Path *name `json:"path"`
			Src  *name `json:"srcPath"`
		}
		if err := json.Unmarshal(e, &f); err != nil || f.Path == nil {
			return "", "", err
		}
		if f.Src != nil {
			before = f.Src.Path
		}
		return f.Path.Path, before, nil
	})
	if err != nil {
		return fail(err)
	}
	changes, err := got.whole(entries)
	if err != nil {
		return fail(err)
	}
	return changes, nil
}

// Touched implements Forge.
// https://developer.atlassian.com/server/bitbucket/rest/v906/api-group-repository/#api-api-latest-projects-projectkey-repos-repositoryslug-commits-get
func (b *BitbucketDC) Touched(ctx context.Context, repository, branch, path string) ([]Commit, error) {
	fail := func(err error) ([]Commit, error) {
		return nil, fmt.Errorf("forge %s: ask which commits of branch %q of %s touch %q: %w", b.Name(), branch, repository, path, err)
	}
	api, err := bitbucketDCRepository(repository)
	if err != nil {
		return fail(err)
	}
	query := url.Values{"until": {"refs/heads/" + branch}, "limit": {strconv.Itoa(MaxTouched)}}
	if path != "" {
		query.Set("path", path)
	}
	var answer struct {
		Values json.RawMessage `json:"values"`
	}
	if err := b.read(ctx, api+"/commits?"+query.Encode(), &answer); err != nil {
		return fail(err)
	}
	list, err := readCommits(bytes.NewReader(answer.Values), func(c struct {
		ID        string `json:"id"`
		Committed int64  `json:"committerTimestamp"`
	},
	) (string, time.Time) {
		return c.ID, time.UnixMilli(c.Committed)
	})
	if err != nil {
		return fail(err)
	}
	return list, nil
}

// SetStatus implements Forge. A build needs an address.
// https://developer.atlassian.com/server/bitbucket/rest/v906/api-group-builds-and-deployments/#api-api-latest-projects-projectkey-repos-repositoryslug-commits-commitid-builds-post
func (b *BitbucketDC) SetStatus(ctx context.Context, repository, sha string, s Status) error {
	fail := func(err error) error {
		return fmt.Errorf("forge %s: set status %q of %s@%s: %w", b.Name(), s.Context, repository, sha, err)
	}
	path, err := bitbucketDCRepository(repository)
	if err != nil {
		return fail(err)
	}
	key, slug, _ := strings.Cut(repository, "/")
	res, err := b.ask(ctx, http.MethodPost, path+"/commits/"+url.PathEscape(sha)+"/builds", map[string]string{
		"key": s.Context, "name": s.Context, "state": buildState(s.State), "description": cut(s.Description),
		"url": cmp.Or(s.URL, b.URL()+"/projects/"+url.PathEscape(key)+"/repos/"+url.PathEscape(slug)+"/commits/"+sha),
	})
	if err != nil {
		return fail(err)
	}
	return res.Body.Close()
}

// RemoveLabel implements Forge. There are none, and an approval is its
// reviewer's.
func (b *BitbucketDC) RemoveLabel(_ context.Context, repository string, number int64, label string) error {
	return approvalStays(b, repository, number, label)
}

// Signed implements Forge.
func (b *BitbucketDC) Signed(header http.Header) bool { return hubSignature(header) != nil }

// Event implements Forge. Bitbucket signs the body with HMAC-SHA256 in hex.
// https://confluence.atlassian.com/bitbucketserver/event-payload-938025882.html
func (b *BitbucketDC) Event(header http.Header, body []byte) (Event, error) {
	if b.config.WebhookSecretFile == "" {
		return Event{}, fmt.Errorf("%w: no webhookSecretFile is configured for forge %s", ErrSignature, b.Name())
	}
	secret, err := readSecret(b.config.WebhookSecretFile)
	if err != nil {
		return Event{}, fmt.Errorf("read the webhook secret: %w", err)
	}
	if !signedBy([]byte(secret), hubSignature(header), body) {
		return Event{}, ErrSignature
	}
	key := header.Get("X-Event-Key")
	if !strings.HasPrefix(key, "pr:") || strings.HasPrefix(key, "pr:comment:") {
		return Event{}, ErrIgnored
	}
	var payload struct {
		Key   string           `json:"eventKey"`
		Date  string           `json:"date"`
		Actor *bitbucketDCUser `json:"actor"`
		Pull  *bitbucketDCPull `json:"pullRequest"`
	}
	if err := json.Unmarshal(body, &payload); err != nil {
		return Event{}, errors.New("the payload is not Bitbucket's JSON of a pull request")
	}
	// The header is not signed, and the body is.
	if payload.Key != "" && payload.Key != key {
		return Event{}, fmt.Errorf("%w: its body is of another event than its header", ErrSignature)
	}
	if payload.Pull == nil || payload.Pull.ID <= 0 || payload.Pull.ToRef.repositoryPath() == "" {
		return Event{}, ErrIgnored
	}
	repository := payload.Pull.ToRef.repositoryPath()
	e := Event{Delivery: header.Get("X-Request-Id"), Repository: repository, PullRequest: payload.Pull.normal(repository)}
	if payload.Actor != nil {
		e.Sender = payload.Actor.Name
	}
	if (key == "pr:merged" || key == "pr:declined") && payload.Pull.ClosedDate > 0 {
		e.ClosedAt = time.UnixMilli(payload.Pull.ClosedDate)
	}
	if at, err := time.Parse("2006-01-02T15:04:05-0700", payload.Date); key == "pr:reviewer:approved" && err == nil {
		e.Grant = e.granted(at)
	}
	return e, nil
}

// normal brings Bitbucket's form to ours.
func (p *bitbucketDCPull) normal(repository string) PullRequest {
	n := PullRequest{
		Number: p.ID, Title: p.Title, Branch: p.FromRef.DisplayID, TargetBranch: p.ToRef.DisplayID, HeadSHA: p.FromRef.LatestCommit,
		HeadRepository: p.FromRef.repositoryPath(), Draft: p.Draft, Open: p.State == "OPEN",
	}
	n.Fork = !strings.EqualFold(n.HeadRepository, repository)
	if !n.Fork {
		n.HeadRepository = repository
	}
	if p.UpdatedDate > 0 {
		n.UpdatedAt = time.UnixMilli(p.UpdatedDate).UTC()
	}
	if p.Author != nil && p.Author.User != nil {
		n.Author = p.Author.User.Name
	}
	if len(p.Links.Self) > 0 {
		n.URL = p.Links.Self[0].Href
	}
	var names []string
	for _, u := range p.approvers() {
		name := ""
		if u != nil {
			name = u.Name
		}
		names = append(names, name)
	}
	return n.approvedBy(names)
}

// bitbucketDCRepository is the path of a repository.
func bitbucketDCRepository(repository string) (string, error) {
	key, slug, err := split(repository)
	if err != nil {
		return "", err
	}
	return "/api/latest/projects/" + url.PathEscape(key) + "/repos/" + url.PathEscape(slug), nil
}

// pages reads a list until its end, or until each says that it has what it
// wants.
func (b *BitbucketDC) pages(ctx context.Context, path string, query url.Values, each func(json.RawMessage) (done bool, err error)) error {
	start := 0
	for n := 1; n <= maxPages; n++ {
		q := url.Values{"start": {strconv.Itoa(start)}, "limit": {strconv.Itoa(bitbucketDCPage)}}
		maps.Copy(q, query)
		var answer bitbucketDCPageOf
		if err := b.read(ctx, path+"?"+q.Encode(), &answer); err != nil {
			return fmt.Errorf("page %d: %w", n, err)
		}
		if answer.Values == nil || answer.Last == nil {
			return fmt.Errorf("page %d: the answer is no list", n)
		}
		for _, v := range answer.Values {
			if done, err := each(v); done || err != nil {
				return err
			}
		}
		switch {
		case *answer.Last:
			return nil
		case answer.Next == nil || *answer.Next <= start:
			return fmt.Errorf("page %d: it is not the last one, and names no next one", n)
		}
		start = *answer.Next
	}
	return fmt.Errorf("more than %d pages", maxPages)
}

// ask makes a call with an HTTP access token.
// https://confluence.atlassian.com/bitbucketserver/http-access-tokens-939515499.html
func (b *BitbucketDC) ask(ctx context.Context, method, path string, body any) (*http.Response, error) {
	return askJSON(ctx, b.http, b.config.CredentialFile, method, b.config.URL+"/rest"+path, body, b.authorize)
}

// askRaw is ask whose answer is no error, whatever it is.
func (b *BitbucketDC) askRaw(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	return askRaw(ctx, b.http, b.config.CredentialFile, method, b.config.URL+"/rest"+path, body, b.authorize)
}

func (*BitbucketDC) authorize(r *http.Request, token string) {
	r.Header.Set("Authorization", "Bearer "+token)
}

// read asks, and takes the answer as a whole.
func (b *BitbucketDC) read(ctx context.Context, path string, into any) error {
	res, err := b.ask(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return decode(res.Body, into)
}
