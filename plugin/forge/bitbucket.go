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
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// bitbucketFields are what is asked for of a list: without them its entries
// lack who approved, and have texts that nobody reads.
// https://developer.atlassian.com/cloud/bitbucket/rest/intro/#partial-response
const bitbucketFields = "size,next,values.id,values.title,values.state,values.draft,values.updated_on,values.author.uuid,values.links.html.href," +
	"values.source.branch.name,values.source.commit.hash,values.source.repository.full_name,values.destination.branch.name," +
	"values.participants.approved,values.participants.user.uuid"

// bitbucketKey is how long the key of a build status may be.
const bitbucketKey = 40

// Bitbucket is Bitbucket Cloud. It has no labels: a reviewer's approval is the
// consent. People are known by the UUID of their account, because names are
// chosen, and changed, by themselves.
type Bitbucket struct {
	config Config
	api    string
	http   *http.Client
	sizes  *pageSizes

	mu sync.Mutex
	// commits are full names of commits, by repository and the twelve digits
	// that lists have of them.
	commits map[[2]string]string
}

func newBitbucket(c Config) *Bitbucket {
	c.URL = strings.TrimRight(c.URL, "/")
	api := bitbucketAPI(c.URL)
	return &Bitbucket{config: c, api: api, http: newClient(api), sizes: newPageSizes(bitbucketPage), commits: map[[2]string]string{}}
}

// bitbucketAPI is the address of the API of a Bitbucket Cloud.
func bitbucketAPI(base string) string {
	if u, err := url.Parse(base); err == nil && (u.Host == "bitbucket.org" || u.Host == "www.bitbucket.org") {
		return "https://api.bitbucket.org/2.0"
	}
	return base + "/2.0"
}

// Name implements Forge.
func (b *Bitbucket) Name() string { return b.config.Name }

// URL implements Forge.
func (b *Bitbucket) URL() string { return b.config.URL }

// Approving implements Approving.
func (b *Bitbucket) Approving() string {
	return "must be " + Approved + ": Bitbucket has no labels, a reviewer's approval is the consent"
}

// Labelless implements Labelless.
func (*Bitbucket) Labelless() {}

// bitbucketUser is an account.
type bitbucketUser struct {
	UUID string `json:"uuid"`
}

// Login implements Forge.
func (b *Bitbucket) Login(ctx context.Context) (string, error) {
	var u bitbucketUser
	if err := b.read(ctx, "/user", &u); err != nil {
		return "", fmt.Errorf("forge %s: ask who we are: %w", b.Name(), err)
	}
	if u.UUID == "" {
		return "", fmt.Errorf("forge %s: ask who we are: the answer names nobody; is %s its base URL", b.Name(), b.URL())
	}
	return u.UUID, nil
}

// List implements Forge. Bitbucket does not filter by approval.
func (b *Bitbucket) List(repository string, _ Query) Lister {
	l := &pagedList{forge: b.Name(), repository: repository, sizes: b.sizes}
	l.fetch = func(ctx context.Context, at pageAt) (page, error) { return b.page(ctx, repository, at) }
	l.complete = func(ctx context.Context, p *PullRequest) (bool, error) { return b.fullHead(ctx, repository, p) }
	return l
}

func (b *Bitbucket) page(ctx context.Context, repository string, at pageAt) (page, error) {
	path, err := bitbucketRepository(repository)
	if err != nil {
		return page{}, err
	}
	if at.next == "" {
		at.next = path + "/pullrequests?" + url.Values{
			"state": {"OPEN"}, "sort": {"created_on"}, "pagelen": {strconv.Itoa(at.size)}, "fields": {bitbucketFields},
		}.Encode()
	}
	res, err := b.ask(ctx, http.MethodGet, at.next, nil)
	if err != nil {
		return page{}, err
	}
	defer res.Body.Close()
	var answer struct {
		Size   *int              `json:"size"`
		Next   string            `json:"next"`
		Values []json.RawMessage `json:"values"`
	}
	if err := decode(res.Body, &answer); err != nil {
		return page{}, err
	}
	if answer.Values == nil || answer.Size == nil {
		return page{}, errors.New("the answer is no list, or is not counted")
	}
	p := page{total: *answer.Size, last: answer.Next == ""}
	if p.next, err = b.within(answer.Next); err != nil {
		return page{}, err
	}
	for _, v := range answer.Values {
		var pull *bitbucketPull
		err := json.Unmarshal(v, &pull)
		if pull == nil || pull.ID <= 0 {
			p.entries = append(p.entries, pageEntry{})
			continue
		}
		e := pageEntry{number: pull.ID}
		if err == nil && pull.Participants == nil {
			return page{}, fmt.Errorf("it does not tell who approved pull request %d", pull.ID)
		}
		if err == nil && !pull.UpdatedOn.IsZero() {
			n := b.normal(repository, pull)
			e.pull = &n
		}
		p.entries = append(p.entries, e)
	}
	return p, nil
}

// within is the path and query of an address that an answer named, which must
// be one of the API: the credential goes along.
func (b *Bitbucket) within(next string) (string, error) {
	if next == "" {
		return "", nil
	}
	path, ok := strings.CutPrefix(next, b.api+"/")
	if !ok {
		return "", errors.New("its next page is at another address than the API's")
	}
	return "/" + path, nil
}

// bitbucketPull is what is read of a pull request.
type bitbucketPull struct {
	ID        int64          `json:"id"`
	Title     string         `json:"title"`
	State     string         `json:"state"`
	Draft     bool           `json:"draft"`
	UpdatedOn time.Time      `json:"updated_on"`
	Author    *bitbucketUser `json:"author"`
	Source    struct {
		Branch struct {
			Name string `json:"name"`
		} `json:"branch"`
		Commit *struct {
			Hash string `json:"hash"`
		} `json:"commit"`
		Repository *struct {
			FullName string `json:"full_name"`
		} `json:"repository"`
	} `json:"source"`
	Destination struct {
		Branch struct {
			Name string `json:"name"`
		} `json:"branch"`
		Commit *struct {
			Hash string `json:"hash"`
		} `json:"commit"`
	} `json:"destination"`
	Participants []bitbucketParticipant `json:"participants"`
	Links        struct {
		HTML struct {
			Href string `json:"href"`
		} `json:"html"`
	} `json:"links"`
}

type bitbucketParticipant struct {
	User     *bitbucketUser `json:"user"`
	Approved bool           `json:"approved"`
}

// Get implements Forge.
func (b *Bitbucket) Get(ctx context.Context, repository string, number int64) (PullRequest, error) {
	fail := func(err error) (PullRequest, error) {
		return PullRequest{}, fmt.Errorf("forge %s: get pull request %d of %s: %w", b.Name(), number, repository, err)
	}
	path, err := bitbucketRepository(repository)
	if err != nil {
		return fail(err)
	}
	pull, err := b.pull(ctx, path, number)
	if errors.Is(err, errNotFound) {
		return fail(gone(
			func() error { return b.read(ctx, path, &struct{}{}) },
			func() error { return b.read(ctx, path+"/pullrequests?pagelen=1", &struct{}{}) },
		))
	}
	if err != nil {
		return fail(err)
	}
	n := b.normal(repository, pull)
	if _, err := b.fullHead(ctx, repository, &n); err != nil {
		return fail(err)
	}
	return n, nil
}

func (b *Bitbucket) pull(ctx context.Context, path string, number int64) (*bitbucketPull, error) {
	var pull bitbucketPull
	if err := b.read(ctx, fmt.Sprintf("%s/pullrequests/%d", path, number), &pull); err != nil {
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

// fullHead completes the name of the head of a pull request that may get a
// preview: Bitbucket tells twelve digits of it.
// https://developer.atlassian.com/cloud/bitbucket/rest/api-group-commits/#api-repositories-workspace-repo-slug-commit-commit-get
func (b *Bitbucket) fullHead(ctx context.Context, repository string, p *PullRequest) (called bool, err error) {
	if p.Fork || !p.HasLabel(Approved) || p.HeadSHA == "" || len(p.HeadSHA) >= 40 {
		return false, nil
	}
	b.mu.Lock()
	known := b.commits[[2]string{repository, p.HeadSHA}]
	b.mu.Unlock()
	if known != "" {
		p.HeadSHA = known
		return false, nil
	}
	path, err := bitbucketRepository(repository)
	if err != nil {
		return false, err
	}
	var c struct {
		Hash string `json:"hash"`
	}
	if err := b.read(ctx, path+"/commit/"+url.PathEscape(p.HeadSHA), &c); err != nil {
		return true, fmt.Errorf("which commit its head is: %w", err)
	}
	if len(c.Hash) < 40 || !strings.HasPrefix(c.Hash, p.HeadSHA) {
		return true, errors.New("which commit its head is: the answer is about another one")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.commits) >= maxCommits {
		clear(b.commits)
	}
	b.commits[[2]string{repository, p.HeadSHA}] = c.Hash
	p.HeadSHA = c.Hash
	return true, nil
}

// Labelled implements Forge: who approved and may write, the last first; the last
// of all where none may. When is told by the pull request's activity.
// https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pullrequests/#api-repositories-workspace-repo-slug-pullrequests-pull-request-id-activity-get
func (b *Bitbucket) Labelled(ctx context.Context, repository string, number int64, label string) (Labelled, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	fail := func(err error) (Labelled, error) {
		return Labelled{}, fmt.Errorf("forge %s: ask who approved %s#%d: %w", b.Name(), repository, number, err)
	}
	path, err := bitbucketRepository(repository)
	if err != nil {
		return fail(err)
	}
	pull, err := b.pull(ctx, path, number)
	if err != nil {
		return fail(err)
	}
	waiting := map[string]bool{}
	for _, p := range pull.Participants {
		if p.Approved && p.User != nil && p.User.UUID != "" {
			waiting[p.User.UUID] = true
		}
	}
	if label != Approved || len(waiting) == 0 {
		return fail(ErrNotLabelled)
	}
	var approvals []Labelled
	err = b.pages(ctx, fmt.Sprintf("%s/pullrequests/%d/activity?pagelen=%d", path, number, bitbucketPage), func(v json.RawMessage) (bool, error) {
		var entry struct {
			Approval *struct {
				Date time.Time      `json:"date"`
				User *bitbucketUser `json:"user"`
			} `json:"approval"`
		}
		if err := json.Unmarshal(v, &entry); err != nil {
			return false, quiet(err)
		}
		if a := entry.Approval; a != nil && a.User != nil && waiting[a.User.UUID] {
			delete(waiting, a.User.UUID)
			approvals = append(approvals, Labelled{By: a.User.UUID, At: a.Date})
		}
		return len(waiting) == 0, nil
	})
	if err != nil {
		return fail(err)
	}
	l, err := whoMay(ctx, b, repository, approvals)
	if err != nil {
		return fail(err)
	}
	return l, nil
}

// whoMay is the approval that counts: the last of somebody who may write, or the
// last one. A stranger's takes nothing from it.
func whoMay(ctx context.Context, f Forge, repository string, approvals []Labelled) (Labelled, error) {
	slices.SortStableFunc(approvals, func(a, b Labelled) int { return b.At.Compare(a.At) })
	if len(approvals) == 0 {
		return Labelled{}, ErrNotLabelled
	}
	for i, a := range approvals {
		if len(approvals) == 1 || i == maxApprovers {
			break
		}
		may, err := f.CanWrite(ctx, repository, a.By)
		if err != nil {
			return Labelled{}, err
		}
		if may {
			return a, nil
		}
	}
	return approvals[0], nil
}

// CanWrite implements Forge, by effective permissions, which Bitbucket tells
// those only who administer the repository.
// https://developer.atlassian.com/cloud/bitbucket/rest/api-group-workspaces/#api-workspaces-workspace-permissions-repositories-repo-slug-get
func (b *Bitbucket) CanWrite(ctx context.Context, repository, login string) (bool, error) {
	fail := func(err error) (bool, error) {
		// Who it is stays out of the error: it goes into the log.
		return false, fmt.Errorf("forge %s: ask whether who approved may write to %s: %w", b.Name(), repository, err)
	}
	path, err := bitbucketPermissions(repository)
	if err != nil {
		return fail(err)
	}
	may, found := false, false
	err = b.pages(ctx, path+"?"+url.Values{"q": {`user.uuid="` + strings.NewReplacer(`\`, "", `"`, "").Replace(login) + `"`}}.Encode(), func(v json.RawMessage) (bool, error) {
		var entry struct {
			Permission string         `json:"permission"`
			User       *bitbucketUser `json:"user"`
		}
		if err := json.Unmarshal(v, &entry); err != nil {
			return false, quiet(err)
		}
		if entry.User != nil && entry.User.UUID == login {
			found, may = true, entry.Permission == "write" || entry.Permission == "admin"
		}
		return found, nil
	})
	switch {
	case errors.Is(err, errForbidden):
		return fail(fmt.Errorf("%w: the credential must administer the repository to see who may write", err))
	case err != nil:
		return fail(err)
	}
	return may, nil
}

// Passed implements Forge, by a build status's key, or its name: pipelines have
// keys of their own making.
func (b *Bitbucket) Passed(ctx context.Context, repository, sha, statusContext string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	fail := func(err error) (bool, error) {
		return false, fmt.Errorf("forge %s: ask for status %q of %s@%s: %w", b.Name(), statusContext, repository, sha, err)
	}
	path, err := bitbucketRepository(repository)
	if err != nil {
		return fail(err)
	}
	var newest time.Time
	found, passed := false, false
	err = b.pages(ctx, path+"/commit/"+url.PathEscape(sha)+"/statuses?pagelen=100", func(v json.RawMessage) (bool, error) {
		var s struct {
			Key       string    `json:"key"`
			Name      string    `json:"name"`
			State     string    `json:"state"`
			UpdatedOn time.Time `json:"updated_on"`
		}
		if err := json.Unmarshal(v, &s); err != nil {
			return false, quiet(err)
		}
		if s.Key != statusKey(statusContext) && s.Name != statusContext || found && s.UpdatedOn.Before(newest) {
			return false, nil
		}
		// Of two of one moment both must have passed.
		passed = s.State == "SUCCESSFUL" && (passed || !found || s.UpdatedOn.After(newest))
		found, newest = true, s.UpdatedOn
		return false, nil
	})
	if err != nil {
		return fail(err)
	}
	return passed, nil
}

// statusKey is the key of a build status. What is too long for one keeps its
// beginning.
func statusKey(statusContext string) string {
	if len(statusContext) <= bitbucketKey {
		return statusContext
	}
	sum := sha256.Sum256([]byte(statusContext))
	end := "-" + hex.EncodeToString(sum[:6])
	return strings.ToValidUTF8(statusContext[:bitbucketKey-len(end)], "") + end
}

// Changes implements Forge, by the commits: the list of a pull request is a
// redirect to that.
// https://developer.atlassian.com/cloud/bitbucket/rest/api-group-commits/#api-repositories-workspace-repo-slug-diffstat-spec-get
func (b *Bitbucket) Changes(ctx context.Context, repository string, number int64, headSHA string) (Changes, error) {
	ctx, cancel := context.WithTimeout(ctx, filesTimeout)
	defer cancel()
	fail := func(err error) (Changes, error) {
		return Changes{}, fmt.Errorf("forge %s: ask which files %s#%d changes: %w", b.Name(), repository, number, err)
	}
	path, err := bitbucketRepository(repository)
	if err != nil {
		return fail(err)
	}
	target := ""
	head := func() error {
		pull, err := b.pull(ctx, path, number)
		switch {
		case err != nil:
			return err
		case pull.Source.Commit == nil || pull.Source.Commit.Hash == "" || pull.Destination.Commit == nil || pull.Destination.Commit.Hash == "":
			return errors.New("the answer does not say which commits it compares")
		case !strings.HasPrefix(headSHA, pull.Source.Commit.Hash):
			return ErrOtherHead
		}
		target = pull.Destination.Commit.Hash
		return nil
	}
	if err := head(); err != nil {
		return fail(err)
	}
	var got files
	total := 0
	for next := path + "/diffstat/" + url.PathEscape(headSHA+".."+target) + "?topic=true&pagelen=500"; next != "" && got.Cut == ""; {
		if next, total, err = b.files(ctx, next, &got); err != nil {
			return fail(err)
		}
	}
	if err := head(); err != nil {
		return fail(err)
	}
	changes, err := got.whole(total)
	if err != nil {
		return fail(err)
	}
	return changes, nil
}

// files reads one page of files. Of one that was removed there is the old name
// only.
func (b *Bitbucket) files(ctx context.Context, path string, got *files) (next string, total int, err error) {
	var answer struct {
		Size   *int            `json:"size"`
		Next   string          `json:"next"`
		Values json.RawMessage `json:"values"`
	}
	if err := b.read(ctx, path, &answer); errors.Is(err, errTooLarge) {
		got.Changes = Changes{Cut: "the forge's answer about its files is too large to be read"}
		return "", 0, nil
	} else if err != nil {
		return "", 0, err
	}
	if answer.Size == nil || answer.Values == nil {
		return "", 0, errors.New("the answer is no list, or is not counted")
	}
	_, err = got.take(bytes.NewReader(answer.Values), func(e json.RawMessage) (now, before string, err error) {
		var f struct {
			New *struct {
				Path string `json:"path"`
			} `json:"new"`
			Old *struct {
				Path string `json:"path"`
			} `json:"old"`
		}
		if err := json.Unmarshal(e, &f); err != nil {
			return "", "", err
		}
		if f.Old != nil {
			before = f.Old.Path
		}
		if f.New != nil {
			return f.New.Path, before, nil
		}
		return before, "", nil
	})
	if err != nil {
		return "", 0, err
	}
	next, err = b.within(answer.Next)
	return next, *answer.Size, err
}

// Touched implements Forge.
// https://developer.atlassian.com/cloud/bitbucket/rest/api-group-commits/#api-repositories-workspace-repo-slug-commits-get
func (b *Bitbucket) Touched(ctx context.Context, repository, branch, path string) ([]Commit, error) {
	fail := func(err error) ([]Commit, error) {
		return nil, fmt.Errorf("forge %s: ask which commits of branch %q of %s touch %q: %w", b.Name(), branch, repository, path, err)
	}
	api, err := bitbucketRepository(repository)
	if err != nil {
		return fail(err)
	}
	query := url.Values{"include": {branch}, "pagelen": {strconv.Itoa(MaxTouched)}}
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
		Hash string    `json:"hash"`
		Date time.Time `json:"date"`
	},
	) (string, time.Time) {
		return c.Hash, c.Date
	})
	if err != nil {
		return fail(err)
	}
	return list, nil
}

// SetStatus implements Forge. A status needs an address.
// https://developer.atlassian.com/cloud/bitbucket/rest/api-group-commit-statuses/#api-repositories-workspace-repo-slug-commit-commit-statuses-build-post
func (b *Bitbucket) SetStatus(ctx context.Context, repository, sha string, s Status) error {
	fail := func(err error) error {
		return fmt.Errorf("forge %s: set status %q of %s@%s: %w", b.Name(), s.Context, repository, sha, err)
	}
	path, err := bitbucketRepository(repository)
	if err != nil {
		return fail(err)
	}
	res, err := b.ask(ctx, http.MethodPost, path+"/commit/"+url.PathEscape(sha)+"/statuses/build", map[string]string{
		"key": statusKey(s.Context), "name": s.Context, "state": buildState(s.State), "description": cut(s.Description),
		"url": cmp.Or(s.URL, b.URL()+"/"+repository+"/commits/"+sha),
	})
	if err != nil {
		return fail(err)
	}
	return res.Body.Close()
}

// buildState is a state as both Bitbuckets call it.
func buildState(s State) string {
	switch s {
	case Success:
		return "SUCCESSFUL"
	case Failure:
		return "FAILED"
	}
	return "INPROGRESS"
}

// RemoveLabel implements Forge. There are none, and an approval is its
// reviewer's.
func (b *Bitbucket) RemoveLabel(_ context.Context, repository string, number int64, label string) error {
	return approvalStays(b, repository, number, label)
}

func approvalStays(f Forge, repository string, number int64, label string) error {
	if label == Approved {
		return fmt.Errorf("forge %s: remove label %q from %s#%d: it is a reviewer's approval, which nobody else takes back", f.Name(), label, repository, number)
	}
	return nil
}

// Signed implements Forge.
func (b *Bitbucket) Signed(header http.Header) bool { return hubSignature(header) != nil }

// Event implements Forge. Bitbucket signs the body with HMAC-SHA256 in hex.
// https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/
func (b *Bitbucket) Event(header http.Header, body []byte) (Event, error) {
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
	switch key {
	case "pullrequest:created", "pullrequest:updated", "pullrequest:approved", "pullrequest:unapproved", "pullrequest:changes_request_created",
		"pullrequest:changes_request_removed", "pullrequest:fulfilled", "pullrequest:rejected":
	default:
		return Event{}, ErrIgnored
	}
	var payload struct {
		Actor      *bitbucketUser `json:"actor"`
		Pull       *bitbucketPull `json:"pullrequest"`
		Repository *struct {
			FullName string `json:"full_name"`
		} `json:"repository"`
	}
	if err := json.Unmarshal(body, &payload); err != nil {
		return Event{}, errors.New("the payload is not Bitbucket's JSON of a pull request")
	}
	if payload.Repository == nil || payload.Pull == nil || payload.Pull.ID <= 0 {
		return Event{}, ErrIgnored
	}
	repository := payload.Repository.FullName
	e := Event{Delivery: header.Get("X-Request-UUID"), Repository: repository, PullRequest: b.normal(repository, payload.Pull)}
	if payload.Actor != nil {
		e.Sender = payload.Actor.UUID
	}
	// The header is not signed, and the body is.
	if (key == "pullrequest:fulfilled" || key == "pullrequest:rejected") && !e.PullRequest.Open {
		e.ClosedAt = payload.Pull.UpdatedOn
	}
	return e, nil
}

// normal brings Bitbucket's form to ours. Of a fork's head it keeps the twelve
// digits: with so few somebody can make a second commit of the same.
func (b *Bitbucket) normal(repository string, p *bitbucketPull) PullRequest {
	n := PullRequest{
		Number: p.ID, Title: p.Title, Branch: p.Source.Branch.Name, TargetBranch: p.Destination.Branch.Name,
		URL: p.Links.HTML.Href, Draft: p.Draft || p.State == "DRAFT", UpdatedAt: p.UpdatedOn,
		// What is not known to be an end is none: one in a merge queue is QUEUED.
		Open: p.State != "MERGED" && p.State != "DECLINED" && p.State != "SUPERSEDED",
		Fork: true, // until we know that it is not
	}
	if p.Author != nil {
		n.Author = p.Author.UUID
	}
	if r := p.Source.Repository; r != nil {
		n.HeadRepository = r.FullName
		n.Fork = !strings.EqualFold(r.FullName, repository)
	}
	var names []string
	for _, a := range p.Participants {
		switch {
		case a.Approved && a.User != nil:
			names = append(names, a.User.UUID)
		case a.Approved:
			names = append(names, "")
		}
	}
	n = n.approvedBy(names)
	if p.Source.Commit != nil {
		n.HeadSHA = p.Source.Commit.Hash
		b.mu.Lock()
		defer b.mu.Unlock()
		if known := b.commits[[2]string{repository, n.HeadSHA}]; known != "" && !n.Fork {
			n.HeadSHA = known
		}
	}
	return n
}

// bitbucketRepository is the path of a repository.
func bitbucketRepository(repository string) (string, error) {
	workspace, slug, err := split(repository)
	if err != nil {
		return "", err
	}
	return "/repositories/" + url.PathEscape(workspace) + "/" + url.PathEscape(slug), nil
}

// bitbucketPermissions is the path of the permissions in a repository.
func bitbucketPermissions(repository string) (string, error) {
	workspace, slug, err := split(repository)
	if err != nil {
		return "", err
	}
	return "/workspaces/" + url.PathEscape(workspace) + "/permissions/repositories/" + url.PathEscape(slug), nil
}

// pages reads a list until its end, or until each says that it has what it
// wants.
// https://developer.atlassian.com/cloud/bitbucket/rest/intro/#pagination
func (b *Bitbucket) pages(ctx context.Context, path string, each func(json.RawMessage) (done bool, err error)) error {
	for n := 1; n <= maxPages; n++ {
		var answer struct {
			Next   string            `json:"next"`
			Values []json.RawMessage `json:"values"`
		}
		if err := b.read(ctx, path, &answer); err != nil {
			return fmt.Errorf("page %d: %w", n, err)
		}
		if answer.Values == nil {
			return fmt.Errorf("page %d: the answer is no list", n)
		}
		for _, v := range answer.Values {
			if done, err := each(v); done || err != nil {
				return err
			}
		}
		if answer.Next == "" {
			return nil
		}
		var err error
		if path, err = b.within(answer.Next); err != nil {
			return fmt.Errorf("page %d: %w", n, err)
		}
	}
	return fmt.Errorf("more than %d pages", maxPages)
}

// ask makes a call. An account's API token goes with its e-mail address. Access
// tokens of a repository or a workspace are no account's: nothing would tell
// what we did from what others did.
// https://support.atlassian.com/bitbucket-cloud/docs/using-api-tokens/
func (b *Bitbucket) ask(ctx context.Context, method, path string, body any) (*http.Response, error) {
	return askJSON(ctx, b.http, b.config.CredentialFile, method, b.api+path, body, func(r *http.Request, token string) {
		r.SetBasicAuth(b.config.User, token)
	})
}

// read asks, and takes the answer as a whole.
func (b *Bitbucket) read(ctx context.Context, path string, into any) error {
	res, err := b.ask(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return decode(res.Body, into)
}
