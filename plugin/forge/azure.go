package forge

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// azureVersion pins the API, azurePreview what is not released of it.
	azureVersion = "7.1"
	azurePreview = "7.1-preview.1"
	// azureApproves is the lowest vote that is an approval: 10 approves, 5 does
	// with suggestions.
	azureApproves = 5
)

// Azure is Azure DevOps Services or Server. Its labels are set by whoever made a
// pull request too, and no record says by whom: a reviewer's approval is the
// consent. Who may write is who is in a group that the configuration names,
// because what its permissions add up to nobody is told.
type Azure struct {
	config Config
	http   *http.Client
	// people is for the identities, which Services has on another host.
	people     *http.Client
	peopleBase string
	sizes      *pageSizes
}

func newAzure(c Config) *Azure {
	c.URL = strings.TrimRight(c.URL, "/")
	a := &Azure{config: c, http: newClient(c.URL), peopleBase: azurePeople(c.URL), sizes: newPageSizes(azurePage)}
	a.people = a.http
	if a.peopleBase != c.URL {
		a.people = newClient(a.peopleBase)
	}
	return a
}

// azurePeople is where the identities of an organization are.
// https://learn.microsoft.com/en-us/rest/api/azure/devops/ims/identities/read-identities
func azurePeople(base string) string {
	if u, err := url.Parse(base); err == nil && u.Host == "dev.azure.com" {
		return "https://vssps.dev.azure.com" + u.Path
	}
	return base
}

// Name implements Forge.
func (a *Azure) Name() string { return a.config.Name }

// URL implements Forge.
func (a *Azure) URL() string { return a.config.URL }

// Approving implements Approving.
func (a *Azure) Approving() string {
	return "must be " + Approved + ": Azure DevOps keeps no record of who set a label, a reviewer's approval is the consent"
}

// Login implements Forge.
func (a *Azure) Login(ctx context.Context) (string, error) {
	var data struct {
		User *azureUser `json:"authenticatedUser"`
	}
	if err := a.read(ctx, "/_apis/connectionData", azurePreview, nil, &data); err != nil {
		return "", fmt.Errorf("forge %s: ask who we are: %w", a.Name(), err)
	}
	if data.User == nil || data.User.ID == "" {
		return "", fmt.Errorf("forge %s: ask who we are: the answer names nobody; is %s the address of an organization", a.Name(), a.URL())
	}
	return data.User.ID, nil
}

// azureUser is somebody, by the id of the account.
type azureUser struct {
	ID         string `json:"id"`
	UniqueName string `json:"uniqueName"`
}

// azureList is a list of anything.
type azureList struct {
	Value []json.RawMessage `json:"value"`
}

// List implements Forge. The last one comes first. Nothing is counted, and how
// many come at once is for the server to say, so a page without a new entry is
// the end.
// https://learn.microsoft.com/en-us/rest/api/azure/devops/git/pull-requests/get-pull-requests
func (a *Azure) List(repository string, _ Query) Lister {
	return &pagedList{
		forge: a.Name(), repository: repository, sizes: a.sizes, overlap: true, newestFirst: true,
		fetch: func(ctx context.Context, at pageAt) (page, error) { return a.page(ctx, repository, at) },
	}
}

func (a *Azure) page(ctx context.Context, repository string, at pageAt) (page, error) {
	path, err := azureRepository(repository)
	if err != nil {
		return page{}, err
	}
	var answer azureList
	err = a.read(ctx, path+"/pullrequests", azureVersion, url.Values{
		"searchCriteria.status": {"active"}, "$top": {strconv.Itoa(at.size)}, "$skip": {strconv.Itoa(at.start)},
	}, &answer)
	if err != nil {
		return page{}, err
	}
	if answer.Value == nil {
		return page{}, errors.New("the answer is no list")
	}
	old := 0
	if at.again {
		old = 1
	}
	p := page{total: -1, last: len(answer.Value) <= old}
	for _, v := range answer.Value {
		var pull *azurePull
		err := json.Unmarshal(v, &pull)
		if pull == nil || pull.ID <= 0 {
			p.entries = append(p.entries, pageEntry{})
			continue
		}
		e := pageEntry{number: pull.ID}
		if err == nil && pull.Reviewers == nil {
			return page{}, fmt.Errorf("it does not tell who reviews pull request %d", pull.ID)
		}
		if err == nil {
			n := a.normal(repository, pull)
			e.pull = &n
		}
		p.entries = append(p.entries, e)
	}
	return p, nil
}

// azurePull is what is read of a pull request.
type azurePull struct {
	ID         int64           `json:"pullRequestId"`
	Title      string          `json:"title"`
	Status     string          `json:"status"`
	Draft      bool            `json:"isDraft"`
	ClosedDate time.Time       `json:"closedDate"`
	SourceRef  string          `json:"sourceRefName"`
	TargetRef  string          `json:"targetRefName"`
	CreatedBy  *azureUser      `json:"createdBy"`
	Reviewers  []azureReviewer `json:"reviewers"`
	Labels     []azureLabel    `json:"labels"`
	Head       *struct {
		ID string `json:"commitId"`
	} `json:"lastMergeSourceCommit"`
	Repository *azureRepo `json:"repository"`
	ForkSource *struct {
		Repository *azureRepo `json:"repository"`
	} `json:"forkSource"`
}

// azureReviewer is a person, or a group, which has the votes of its members.
type azureReviewer struct {
	azureUser
	Vote  int  `json:"vote"`
	Group bool `json:"isContainer"`
}

type azureLabel struct {
	Name   string `json:"name"`
	Active *bool  `json:"active"`
}

type azureRepo struct {
	Name    string `json:"name"`
	Project struct {
		Name string `json:"name"`
	} `json:"project"`
}

func (r *azureRepo) path() string {
	if r == nil || r.Name == "" || r.Project.Name == "" {
		return ""
	}
	return r.Project.Name + "/" + r.Name
}

// approvers are those whose approval stands.
func (p *azurePull) approvers() []string {
	var ids []string
	for _, r := range p.Reviewers {
		if r.Vote >= azureApproves && !r.Group {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// Get implements Forge. A pull request by itself comes without its labels.
// https://learn.microsoft.com/en-us/rest/api/azure/devops/git/pull-request-labels/list
func (a *Azure) Get(ctx context.Context, repository string, number int64) (PullRequest, error) {
	fail := func(err error) (PullRequest, error) {
		return PullRequest{}, fmt.Errorf("forge %s: get pull request %d of %s: %w", a.Name(), number, repository, err)
	}
	path, err := azureRepository(repository)
	if err != nil {
		return fail(err)
	}
	pull, err := a.pull(ctx, path, number)
	if errors.Is(err, errNotFound) {
		return fail(gone(
			func() error { return a.read(ctx, path, azureVersion, nil, &struct{}{}) },
			func() error {
				return a.read(ctx, path+"/pullrequests", azureVersion, url.Values{"$top": {"1"}}, &struct{}{})
			},
		))
	}
	if err != nil {
		return fail(err)
	}
	if pull.Labels, err = a.labels(ctx, path, number); err != nil {
		return fail(fmt.Errorf("its labels: %w", err))
	}
	return a.normal(repository, pull), nil
}

func (a *Azure) pull(ctx context.Context, path string, number int64) (*azurePull, error) {
	var pull azurePull
	if err := a.read(ctx, fmt.Sprintf("%s/pullrequests/%d", path, number), azureVersion, nil, &pull); err != nil {
		return nil, err
	}
	if pull.ID != number {
		return nil, fmt.Errorf("the answer is about %d", pull.ID)
	}
	if pull.Status == "" {
		return nil, errors.New("the answer does not say whether it is active")
	}
	return &pull, nil
}

func (a *Azure) labels(ctx context.Context, path string, number int64) ([]azureLabel, error) {
	var answer struct {
		Value []azureLabel `json:"value"`
	}
	if err := a.read(ctx, fmt.Sprintf("%s/pullrequests/%d/labels", path, number), azureVersion, nil, &answer); err != nil {
		return nil, err
	}
	if answer.Value == nil {
		return nil, errors.New("the answer is no list")
	}
	return answer.Value, nil
}

// azureThread is a thread of comments, or an entry of the system's.
// https://learn.microsoft.com/en-us/rest/api/azure/devops/git/pull-request-threads/list
type azureThread struct {
	ID        int64     `json:"id"`
	Published time.Time `json:"publishedDate"`
	Deleted   bool      `json:"isDeleted"`
	Comments  []struct {
		ID      int64      `json:"id"`
		Type    string     `json:"commentType"`
		Content string     `json:"content"`
		Author  *azureUser `json:"author"`
		Deleted bool       `json:"isDeleted"`
	} `json:"comments"`
	Properties map[string]struct {
		Value any `json:"$value"`
	} `json:"properties"`
}

func (a *Azure) threads(ctx context.Context, path string, number int64) ([]azureThread, error) {
	var answer struct {
		Value []azureThread `json:"value"`
	}
	if err := a.read(ctx, fmt.Sprintf("%s/pullrequests/%d/threads", path, number), azureVersion, nil, &answer); err != nil {
		return nil, err
	}
	if answer.Value == nil {
		return nil, errors.New("the answer is no list")
	}
	return answer.Value, nil
}

// Labelled implements Forge: who approved and may write, the last first; the last
// of all where none may. The system's threads say when, where they do.
func (a *Azure) Labelled(ctx context.Context, repository string, number int64, label string) (Labelled, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	fail := func(err error) (Labelled, error) {
		return Labelled{}, fmt.Errorf("forge %s: ask who approved %s#%d: %w", a.Name(), repository, number, err)
	}
	path, err := azureRepository(repository)
	if err != nil {
		return fail(err)
	}
	pull, err := a.pull(ctx, path, number)
	if err != nil {
		return fail(err)
	}
	ids := slices.DeleteFunc(pull.approvers(), func(id string) bool { return id == "" })
	if label != Approved || len(ids) == 0 {
		return fail(ErrNotLabelled)
	}
	threads, err := a.threads(ctx, path, number)
	if err != nil {
		return fail(err)
	}
	var approvals []Labelled
	for _, id := range ids {
		approval := Labelled{By: id}
		for _, t := range threads {
			if t.Properties["CodeReviewThreadType"].Value == "VoteUpdate" && len(t.Comments) > 0 && t.Comments[0].Type == "system" &&
				t.Comments[0].Author != nil && t.Comments[0].Author.ID == id && t.Published.After(approval.At) {
				approval.At = t.Published
			}
		}
		approvals = append(approvals, approval)
	}
	l, err := whoMay(ctx, a, repository, approvals)
	if err != nil {
		return fail(err)
	}
	return l, nil
}

// azureIdentity is a person or a group.
type azureIdentity struct {
	ID         string   `json:"id"`
	Descriptor string   `json:"descriptor"`
	Name       string   `json:"providerDisplayName"`
	Active     bool     `json:"isActive"`
	Group      bool     `json:"isContainer"`
	MemberOf   []string `json:"memberOf"`
}

func (a *Azure) identities(ctx context.Context, query url.Values) ([]*azureIdentity, error) {
	var answer struct {
		Value []*azureIdentity `json:"value"`
	}
	query.Set("api-version", azurePreview)
	res, err := a.call(ctx, a.people, http.MethodGet, a.peopleBase+"/_apis/identities?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if err := decode(res.Body, &answer); err != nil {
		return nil, err
	}
	if answer.Value == nil {
		return nil, errors.New("the answer is no list")
	}
	return slices.DeleteFunc(answer.Value, func(i *azureIdentity) bool { return i == nil }), nil
}

// writers is the group of those who may write.
func (a *Azure) writers(ctx context.Context) (*azureIdentity, error) {
	found, err := a.identities(ctx, url.Values{"searchFilter": {"General"}, "filterValue": {a.config.WritersGroup}, "queryMembership": {"None"}})
	if err != nil {
		return nil, fmt.Errorf("the group of writersGroup: %w", err)
	}
	found = slices.DeleteFunc(found, func(i *azureIdentity) bool {
		return !i.Group || i.Descriptor == "" || !strings.EqualFold(i.Name, a.config.WritersGroup)
	})
	if len(found) != 1 {
		return nil, fmt.Errorf("%w: there are %d groups named as writersGroup says, and it must be one: write it as [project]\\name", ErrCredential, len(found))
	}
	return found[0], nil
}

// CanWrite implements Forge: whether somebody is in the group that the
// configuration names, by way of other groups too.
// https://learn.microsoft.com/en-us/rest/api/azure/devops/ims/identities/read-identities
func (a *Azure) CanWrite(ctx context.Context, repository, login string) (bool, error) {
	fail := func(err error) (bool, error) {
		// Who it is stays out of the error: it goes into the log.
		return false, fmt.Errorf("forge %s: ask whether who approved may write to %s: %w", a.Name(), repository, err)
	}
	group, err := a.writers(ctx)
	if err != nil {
		return fail(err)
	}
	found, err := a.identities(ctx, url.Values{"identityIds": {login}, "queryMembership": {"ExpandedUp"}})
	if err != nil {
		return fail(err)
	}
	for _, i := range found {
		if i.ID == login {
			return i.Active && !i.Group && slices.Contains(i.MemberOf, group.Descriptor), nil
		}
	}
	return false, nil // one who is no more
}

// azureStatusOf is a status of a commit, or of a pull request.
type azureStatusOf struct {
	ID    int64  `json:"id"`
	State string `json:"state"`
	// Iteration is the push that a pull request's status is about: 0 for one of
	// the pull request as a whole.
	Iteration int64 `json:"iterationId"`
	Context   struct {
		Genre string `json:"genre"`
		Name  string `json:"name"`
	} `json:"context"`
}

// is says whether it is of that context, by its name, or its genre and name.
func (s azureStatusOf) is(statusContext string) bool {
	return s.Context.Name == statusContext || s.Context.Genre+"/"+s.Context.Name == statusContext
}

// Passed implements Forge, by the name of a status's context, or its genre and
// name.
func (a *Azure) Passed(ctx context.Context, repository, sha, statusContext string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	_, passed, err := a.commitStatus(ctx, repository, sha, statusContext)
	if err != nil {
		return false, fmt.Errorf("forge %s: ask for status %q of %s@%s: %w", a.Name(), statusContext, repository, sha, err)
	}
	return passed, nil
}

// HeadPassed implements HeadPasser: what is set on the commit counts, and where
// that has no such status, what is set on the pull request for its last push. A
// status of the pull request as a whole outlives every push: it says nothing of a
// head.
// https://learn.microsoft.com/en-us/rest/api/azure/devops/git/pull-request-statuses/list
func (a *Azure) HeadPassed(ctx context.Context, repository string, number int64, headSHA, statusContext string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	fail := func(err error) (bool, error) {
		return false, fmt.Errorf("forge %s: ask for status %q of %s#%d: %w", a.Name(), statusContext, repository, number, err)
	}
	there, passed, err := a.commitStatus(ctx, repository, headSHA, statusContext)
	if err != nil {
		return fail(err)
	}
	if there {
		return passed, nil
	}
	path, err := azureRepository(repository)
	if err != nil {
		return fail(err)
	}
	path = fmt.Sprintf("%s/pullrequests/%d", path, number)
	var answer struct {
		Value *[]azureStatusOf `json:"value"`
	}
	if err := a.read(ctx, path+"/statuses", azureVersion, nil, &answer); err != nil {
		return fail(err)
	}
	if answer.Value == nil {
		return fail(errors.New("the answer is no list"))
	}
	var newest azureStatusOf
	for _, s := range *answer.Value {
		if s.Iteration > 0 && s.is(statusContext) && s.ID > newest.ID {
			newest = s
		}
	}
	if newest.State != azureSucceeded {
		return false, nil
	}
	iteration, err := a.iteration(ctx, path+"/iterations", headSHA)
	switch {
	case errors.Is(err, ErrOtherHead):
		return false, nil // it was pushed to since
	case err != nil:
		return fail(err)
	}
	return newest.Iteration == iteration, nil
}

const azureSucceeded = "succeeded"

// commitStatus says whether a commit has a status of that context, and whether the
// newest succeeded.
// https://learn.microsoft.com/en-us/rest/api/azure/devops/git/statuses/list
func (a *Azure) commitStatus(ctx context.Context, repository, sha, statusContext string) (there, passed bool, err error) {
	path, err := azureRepository(repository)
	if err != nil {
		return false, false, err
	}
	newest := int64(-1)
	for skip := 0; skip <= maxPages*azurePage; {
		var answer azureList
		err := a.read(ctx, path+"/commits/"+url.PathEscape(sha)+"/statuses", azureVersion, url.Values{
			"latestOnly": {"true"}, "top": {strconv.Itoa(azurePage)}, "skip": {strconv.Itoa(skip)},
		}, &answer)
		switch {
		case err != nil:
			return false, false, err
		case answer.Value == nil:
			return false, false, errors.New("the answer is no list")
		case len(answer.Value) == 0:
			return newest >= 0, passed, nil
		}
		skip += len(answer.Value)
		for _, v := range answer.Value {
			var s azureStatusOf
			if err := json.Unmarshal(v, &s); err != nil {
				return false, false, quiet(err)
			}
			if s.is(statusContext) && s.ID > newest {
				newest, passed = s.ID, s.State == azureSucceeded
			}
		}
	}
	return false, false, errors.New("the list does not end")
}

// Changes implements Forge, by the last iteration, which is what was pushed last.
// https://learn.microsoft.com/en-us/rest/api/azure/devops/git/pull-request-iteration-changes/get
func (a *Azure) Changes(ctx context.Context, repository string, number int64, headSHA string) (Changes, error) {
	ctx, cancel := context.WithTimeout(ctx, filesTimeout)
	defer cancel()
	fail := func(err error) (Changes, error) {
		return Changes{}, fmt.Errorf("forge %s: ask which files %s#%d changes: %w", a.Name(), repository, number, err)
	}
	path, err := azureRepository(repository)
	if err != nil {
		return fail(err)
	}
	path = fmt.Sprintf("%s/pullrequests/%d/iterations", path, number)
	iteration, err := a.iteration(ctx, path, headSHA)
	if err != nil {
		return fail(err)
	}
	var got files
	for skip, end := 0, false; !end && got.Cut == ""; {
		if skip, end, err = a.files(ctx, fmt.Sprintf("%s/%d/changes", path, iteration), skip, &got); err != nil {
			return fail(err)
		}
	}
	if _, err := a.iteration(ctx, path, headSHA); err != nil {
		return fail(err)
	}
	changes, err := got.whole(got.count)
	if err != nil {
		return fail(err)
	}
	return changes, nil
}

// iteration is the number of the last iteration, which must be of that head.
func (a *Azure) iteration(ctx context.Context, path, headSHA string) (int64, error) {
	var answer struct {
		Value []struct {
			ID   int64 `json:"id"`
			Head *struct {
				ID string `json:"commitId"`
			} `json:"sourceRefCommit"`
		} `json:"value"`
	}
	if err := a.read(ctx, path, azureVersion, nil, &answer); err != nil {
		return 0, err
	}
	last, head := int64(0), ""
	for _, i := range answer.Value {
		if i.ID > last && i.Head != nil {
			last, head = i.ID, i.Head.ID
		}
	}
	switch {
	case head == "":
		return 0, errors.New("the answer does not say what was pushed")
	case head != headSHA:
		return 0, ErrOtherHead
	}
	return last, nil
}

// files reads one page of files; paths begin with a slash there. The answer names
// where to read on, and nothing where it ends.
func (a *Azure) files(ctx context.Context, path string, skip int, got *files) (next int, end bool, err error) {
	var answer struct {
		Entries json.RawMessage `json:"changeEntries"`
		Next    int             `json:"nextSkip"`
	}
	err = a.read(ctx, path, azureVersion, url.Values{"$top": {"2000"}, "$skip": {strconv.Itoa(skip)}}, &answer)
	switch {
	case errors.Is(err, errTooLarge):
		got.Changes = Changes{Cut: "the forge's answer about its files is too large to be read"}
		return 0, true, nil
	case err != nil:
		return 0, false, err
	case answer.Entries == nil:
		return 0, false, errors.New("the answer is no list")
	case answer.Next != 0 && answer.Next <= skip:
		return 0, false, errors.New("the list does not end")
	}
	_, err = got.take(bytes.NewReader(answer.Entries), func(e json.RawMessage) (now, before string, err error) {
		var f struct {
			Item *struct {
				Path string `json:"path"`
			} `json:"item"`
			Original string `json:"originalPath"`
		}
		if err := json.Unmarshal(e, &f); err != nil {
			return "", "", err
		}
		before = strings.TrimPrefix(f.Original, "/")
		if f.Item == nil || f.Item.Path == "" {
			return before, "", nil
		}
		return strings.TrimPrefix(f.Item.Path, "/"), before, nil
	})
	return answer.Next, answer.Next == 0, err
}

// Touched implements Forge.
// https://learn.microsoft.com/en-us/rest/api/azure/devops/git/commits/get-commits
func (a *Azure) Touched(ctx context.Context, repository, branch, path string) ([]Commit, error) {
	fail := func(err error) ([]Commit, error) {
		return nil, fmt.Errorf("forge %s: ask which commits of branch %q of %s touch %q: %w", a.Name(), branch, repository, path, err)
	}
	api, err := azureRepository(repository)
	if err != nil {
		return fail(err)
	}
	query := url.Values{
		"searchCriteria.itemVersion.version": {branch}, "searchCriteria.itemVersion.versionType": {"branch"}, "searchCriteria.$top": {strconv.Itoa(MaxTouched)},
	}
	if path != "" {
		query.Set("searchCriteria.itemPath", "/"+path)
	}
	var answer struct {
		Value json.RawMessage `json:"value"`
	}
	if err := a.read(ctx, api+"/commits", azureVersion, query, &answer); err != nil {
		return fail(err)
	}
	list, err := readCommits(bytes.NewReader(answer.Value), func(c struct {
		ID        string `json:"commitId"`
		Committer struct {
			Date time.Time `json:"date"`
		} `json:"committer"`
	},
	) (string, time.Time) {
		return c.ID, c.Committer.Date
	})
	if err != nil {
		return fail(err)
	}
	return list, nil
}

// SetStatus implements Forge.
// https://learn.microsoft.com/en-us/rest/api/azure/devops/git/statuses/create
func (a *Azure) SetStatus(ctx context.Context, repository, sha string, s Status) error {
	fail := func(err error) error {
		return fmt.Errorf("forge %s: set status %q of %s@%s: %w", a.Name(), s.Context, repository, sha, err)
	}
	path, err := azureRepository(repository)
	if err != nil {
		return fail(err)
	}
	state := map[State]string{Pending: "pending", Success: "succeeded", Failure: "failed"}[s.State]
	body := map[string]any{"state": state, "description": cut(s.Description), "context": map[string]string{"name": s.Context}}
	if s.URL != "" {
		body["targetUrl"] = s.URL
	}
	res, err := a.ask(ctx, http.MethodPost, path+"/commits/"+url.PathEscape(sha)+"/statuses", azureVersion, nil, body)
	if err != nil {
		return fail(err)
	}
	return res.Body.Close()
}

// RemoveLabel implements Forge. An approval is its reviewer's.
// https://learn.microsoft.com/en-us/rest/api/azure/devops/git/pull-request-labels/delete
func (a *Azure) RemoveLabel(ctx context.Context, repository string, number int64, label string) error {
	if err := approvalStays(a, repository, number, label); err != nil {
		return err
	}
	fail := func(err error) error {
		return fmt.Errorf("forge %s: remove label %q from %s#%d: %w", a.Name(), label, repository, number, err)
	}
	path, err := azureRepository(repository)
	if err != nil {
		return fail(err)
	}
	labels, err := a.labels(ctx, path, number)
	if err != nil {
		return fail(err)
	}
	if !slices.ContainsFunc(labels, func(l azureLabel) bool { return l.Name == label && (l.Active == nil || *l.Active) }) {
		return nil
	}
	res, err := a.ask(ctx, http.MethodDelete, fmt.Sprintf("%s/pullrequests/%d/labels/%s", path, number, url.PathEscape(label)), azureVersion, nil, nil)
	if errors.Is(err, errNotFound) {
		return nil
	} else if err != nil {
		return fail(err)
	}
	return res.Body.Close()
}

// Signed implements Forge. Service hooks sign nothing: a call carries the
// password that the hook was given.
// https://learn.microsoft.com/en-us/azure/devops/service-hooks/services/webhooks
func (a *Azure) Signed(header http.Header) bool {
	_, password, ok := (&http.Request{Header: header}).BasicAuth()
	return ok && password != ""
}

// Event implements Forge.
// https://learn.microsoft.com/en-us/azure/devops/service-hooks/events
func (a *Azure) Event(header http.Header, body []byte) (Event, error) {
	if a.config.WebhookSecretFile == "" {
		return Event{}, fmt.Errorf("%w: no webhookSecretFile is configured for forge %s", ErrSignature, a.Name())
	}
	secret, err := readSecret(a.config.WebhookSecretFile)
	if err != nil {
		return Event{}, fmt.Errorf("read the webhook secret: %w", err)
	}
	_, password, _ := (&http.Request{Header: header}).BasicAuth()
	got, want := sha256.Sum256([]byte(password)), sha256.Sum256([]byte(secret))
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
		return Event{}, ErrSignature
	}
	var payload struct {
		ID   string          `json:"id"`
		Type string          `json:"eventType"`
		Pull json.RawMessage `json:"resource"`
	}
	if err := json.Unmarshal(body, &payload); err != nil {
		return Event{}, errors.New("the payload is not Azure DevOps' JSON of an event: let the hook send all of the resource's details")
	}
	switch payload.Type {
	case "git.pullrequest.created", "git.pullrequest.updated", "git.pullrequest.merged":
	default:
		return Event{}, ErrIgnored
	}
	var pull azurePull
	if err := json.Unmarshal(payload.Pull, &pull); err != nil {
		return Event{}, errors.New("the payload is not Azure DevOps' JSON of a pull request: let the hook send all of the resource's details")
	}
	if pull.ID <= 0 || pull.Repository.path() == "" {
		return Event{}, ErrIgnored
	}
	repository := pull.Repository.path()
	e := Event{Delivery: payload.ID, Repository: repository, PullRequest: a.normal(repository, &pull)}
	if !e.PullRequest.Open {
		e.ClosedAt = pull.ClosedDate
	}
	return e, nil
}

// normal brings Azure's form to ours. There is no time of its last change. A
// label of the name that stands for approvals is none.
func (a *Azure) normal(repository string, p *azurePull) PullRequest {
	n := PullRequest{
		Number: p.ID, Title: p.Title, Branch: strings.TrimPrefix(p.SourceRef, "refs/heads/"), TargetBranch: strings.TrimPrefix(p.TargetRef, "refs/heads/"),
		HeadRepository: repository, Draft: p.Draft, Open: p.Status == "active", Fork: p.ForkSource != nil,
	}
	if project, name, err := split(repository); err == nil {
		n.URL = a.URL() + "/" + url.PathEscape(project) + "/_git/" + url.PathEscape(name) + "/pullrequest/" + strconv.FormatInt(p.ID, 10)
	}
	if p.ForkSource != nil {
		n.HeadRepository = p.ForkSource.Repository.path()
	}
	if p.Head != nil {
		n.HeadSHA = p.Head.ID
	}
	if p.CreatedBy != nil {
		n.Author = p.CreatedBy.UniqueName
	}
	for _, l := range p.Labels {
		if (l.Active == nil || *l.Active) && !strings.EqualFold(l.Name, Approved) {
			n.Labels = append(n.Labels, l.Name)
		}
	}
	return n.approvedBy(p.approvers())
}

// azureRepository is the path of a repository.
func azureRepository(repository string) (string, error) {
	project, name, err := split(repository)
	if err != nil {
		return "", fmt.Errorf("%q is not project/repository", repository)
	}
	return "/" + url.PathEscape(project) + "/_apis/git/repositories/" + url.PathEscape(name), nil
}

// ask makes a call of the API.
func (a *Azure) ask(ctx context.Context, method, path, version string, query url.Values, body any) (*http.Response, error) {
	if query == nil {
		query = url.Values{}
	}
	query.Set("api-version", version)
	return a.call(ctx, a.http, method, a.config.URL+path+"?"+query.Encode(), body)
}

// call makes a call with a personal access token. Asked to, Azure does not send
// who is not let in to a page for people.
// https://learn.microsoft.com/en-us/azure/devops/organizations/accounts/use-personal-access-tokens-to-authenticate
func (a *Azure) call(ctx context.Context, c *http.Client, method, address string, body any) (*http.Response, error) {
	res, err := askJSON(ctx, c, a.config.CredentialFile, method, address, body, func(r *http.Request, token string) {
		r.SetBasicAuth("", token)
		r.Header.Set("X-TFS-FedAuthRedirect", "Suppress")
	})
	if err == nil && res.StatusCode == http.StatusNonAuthoritativeInfo {
		res.Body.Close()
		return nil, fmt.Errorf("it answers with a page to log in: %w", ErrCredential)
	}
	return res, err
}

// read asks, and takes the answer as a whole.
func (a *Azure) read(ctx context.Context, path, version string, query url.Values, into any) error {
	res, err := a.ask(ctx, http.MethodGet, path, version, query, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return decode(res.Body, into)
}
