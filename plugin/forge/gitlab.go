package forge

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
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
)

const (
	// gitlabToken carries a webhook's secret as it is.
	gitlabToken = "X-Gitlab-Token"
	// gitlabSignature carries v1, and the HMAC-SHA256 of the call's id, its time
	// and its body, in base64: https://docs.gitlab.com/user/project/integrations/webhooks/
	gitlabSignature = "webhook-signature"
	// gitlabSigning begins a signing token, which is the key in base64.
	gitlabSigning = "whsec_"
	// gitlabDeveloper is the lowest access level that may push.
	gitlabDeveloper = 30
)

// GitLab is gitlab.com, or a GitLab of one's own. Merge requests are its pull
// requests. It is called without an SDK: the official one tries again by itself
// when GitLab wants no calls, and comes with a keyring and a compiler for CEL.
type GitLab struct {
	config Config
	http   *http.Client

	mu sync.Mutex
	// sizes are the page sizes of projects whose pages were too large: a
	// description may have a megabyte.
	sizes map[string]int
}

func newGitLab(c Config) *GitLab {
	c.URL = strings.TrimRight(c.URL, "/")
	return &GitLab{config: c, http: newClient(c.URL + "/api/v4"), sizes: map[string]int{}}
}

// Name implements Forge.
func (g *GitLab) Name() string { return g.config.Name }

// URL implements Forge.
func (g *GitLab) URL() string { return g.config.URL }

// gitlabUser is an account.
type gitlabUser struct {
	ID       int64  `json:"id"`
	Username string `json:"username"`
	State    string `json:"state"`
}

// Login implements Forge.
func (g *GitLab) Login(ctx context.Context) (string, error) {
	var u gitlabUser
	if err := g.read(ctx, "/user", &u); err != nil {
		return "", fmt.Errorf("forge %s: ask who we are: %w", g.Name(), err)
	}
	if u.Username == "" {
		return "", fmt.Errorf("forge %s: ask who we are: the answer names nobody; is %s its base URL", g.Name(), g.URL())
	}
	return u.Username, nil
}

// List implements Forge. GitLab filters by label.
func (g *GitLab) List(repository string, q Query) Lister {
	l := &gitlabList{gitlab: g, repository: repository, label: q.Label}
	// A comma separates labels there, and these two words are no labels.
	if strings.Contains(q.Label, ",") || strings.EqualFold(q.Label, "none") || strings.EqualFold(q.Label, "any") {
		l.label = ""
	}
	return l
}

// gitlabList reads a list page by page. One that changed while its pages were
// read is read again, because a merge request that closes moves later ones to
// earlier pages.
type gitlabList struct {
	gitlab            *GitLab
	repository, label string

	tries, page, size, total int
	pulls                    map[int64]PullRequest
	read                     int
	numbers                  gaps
	list                     List
}

// List implements Lister.
func (l *gitlabList) List() List { return l.list }

// Next implements Lister.
func (l *gitlabList) Next(ctx context.Context) (done bool, err error) {
	fail := func(err error) (bool, error) {
		return false, fmt.Errorf("forge %s: list merge requests of %s: page %d: %w", l.gitlab.Name(), l.repository, max(l.page, 1), err)
	}
	if l.page == 0 {
		l.page, l.total, l.read, l.pulls, l.numbers = 1, -1, 0, map[int64]PullRequest{}, gaps{}
		l.list = List{Began: time.Now(), Filtered: l.label != ""}
		l.size = l.gitlab.pageSize(l.repository, 0)
	}
	end, stable, err := l.next(ctx)
	switch {
	case errors.Is(err, errTooLarge) && l.size > 1:
		l.page = 0
		l.gitlab.pageSize(l.repository, max(l.size/7, 1))
		return false, nil
	case errors.Is(err, errBroken):
		l.page = 0
		return fail(err)
	case err != nil:
		return fail(err)
	case !stable:
		l.page = 0
		if l.tries++; l.tries >= maxTries {
			l.tries = 0
			return false, fmt.Errorf("forge %s: list merge requests of %s: the list changed %d times while it was read", l.gitlab.Name(), l.repository, maxTries)
		}
		return false, nil
	case !end:
		if l.page++; l.page > maxPages*gitlabPage/l.size {
			l.page = 0
			return fail(errors.New("the list does not end"))
		}
		return false, nil
	}
	unreadable, err := l.numbers.end()
	if err != nil {
		l.page = 0
		return fail(err)
	}
	l.list.Unreadable = append(l.list.Unreadable, unreadable...)
	for _, n := range slices.Sorted(maps.Keys(l.pulls)) {
		l.list.PullRequests = append(l.list.PullRequests, l.pulls[n])
	}
	return true, nil
}

// pageSize is how many merge requests of a project are asked for at a time, and
// sets it where it is not 0.
func (g *GitLab) pageSize(repository string, set int) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if set > 0 {
		g.sizes[repository] = set
	}
	if size := g.sizes[repository]; size > 0 {
		return size
	}
	return gitlabPage
}

// errBroken is wrapped where a list has to begin anew.
var errBroken = errors.New("the list is not one")

func (l *gitlabList) next(ctx context.Context) (end, stable bool, err error) {
	project, err := gitlabProject(l.repository)
	if err != nil {
		return false, false, err
	}
	query := url.Values{
		"state": {"opened"}, "scope": {"all"}, "order_by": {"created_at"}, "sort": {"asc"},
		"page": {strconv.Itoa(l.page)}, "per_page": {strconv.Itoa(l.size)},
	}
	if l.label != "" {
		query.Set("labels", l.label)
	}
	res, err := l.gitlab.ask(ctx, http.MethodGet, project+"/merge_requests?"+query.Encode(), nil)
	if err != nil {
		return false, false, err
	}
	defer res.Body.Close()
	// GitLab leaves the count out of answers about more than 10,000.
	total, err := strconv.Atoi(res.Header.Get("X-Total"))
	if err != nil {
		return false, false, errors.New("the answer has no X-Total: more than 10,000 merge requests are open, or something in between takes it off")
	}
	if l.total >= 0 && total != l.total {
		return false, false, nil
	}
	// The page is taken in as a whole or not at all: after an error it is asked
	// for again.
	page, numbers, count, moved := map[int64]PullRequest{}, l.numbers, 0, false
	var unreadable []int64
	err = elements(res.Body, func(e json.RawMessage) error {
		count++
		var m *gitlabMergeRequest
		readErr := json.Unmarshal(e, &m)
		number := int64(0)
		if m != nil {
			number = m.IID
		}
		if number <= 0 {
			numbers.unknown()
			return nil
		}
		if _, ok := l.pulls[number]; ok {
			moved = true
			return nil
		}
		if _, ok := page[number]; ok {
			return fmt.Errorf("%w: it repeats merge request %d: does something in between cache answers", errBroken, number)
		}
		missed, err := numbers.take(number)
		if err != nil {
			return fmt.Errorf("%w: %w", errBroken, err)
		}
		unreadable = append(unreadable, missed...)
		if readErr != nil || m.UpdatedAt.IsZero() {
			unreadable = append(unreadable, number)
			return nil //nolint:nilerr // it is asked for by number
		}
		page[number] = m.normal(l.repository)
		return nil
	})
	switch {
	case err != nil:
		return false, false, err
	case moved:
		return false, false, nil
	case count == 0 && l.read < total:
		// Fewer came than were counted: it changed.
		return false, false, nil
	}
	l.total, l.numbers = total, numbers
	maps.Copy(l.pulls, page)
	if l.label != "" {
		maps.DeleteFunc(l.pulls, func(_ int64, p PullRequest) bool { return !p.HasLabel(l.label) })
	}
	l.list.Unreadable = append(l.list.Unreadable, unreadable...)
	l.read += count
	return l.read >= total, l.read <= total, nil
}

// gitlabMergeRequest is what is read of a merge request.
type gitlabMergeRequest struct {
	IID             int64       `json:"iid"`
	Title           string      `json:"title"`
	State           string      `json:"state"`
	Draft           bool        `json:"draft"`
	WebURL          string      `json:"web_url"`
	SHA             string      `json:"sha"`
	SourceBranch    string      `json:"source_branch"`
	TargetBranch    string      `json:"target_branch"`
	SourceProjectID int64       `json:"source_project_id"`
	TargetProjectID int64       `json:"target_project_id"`
	Labels          []string    `json:"labels"`
	UpdatedAt       time.Time   `json:"updated_at"`
	Author          *gitlabUser `json:"author"`
}

// Get implements Forge.
func (g *GitLab) Get(ctx context.Context, repository string, number int64) (PullRequest, error) {
	fail := func(err error) (PullRequest, error) {
		return PullRequest{}, fmt.Errorf("forge %s: get merge request %d of %s: %w", g.Name(), number, repository, err)
	}
	project, err := gitlabProject(repository)
	if err != nil {
		return fail(err)
	}
	var m gitlabMergeRequest
	err = g.read(ctx, fmt.Sprintf("%s/merge_requests/%d", project, number), &m)
	if errors.Is(err, errNotFound) {
		// GitLab answers 404 for what we may not see too. Only a project whose merge
		// requests we do see lets us say that this one is gone.
		if err := g.read(ctx, project, &struct{}{}); err != nil {
			return fail(fmt.Errorf("%w, and so is the project: %w", errNotFound, err))
		}
		if err := g.read(ctx, project+"/merge_requests?per_page=1", &[]struct{}{}); err != nil {
			return fail(fmt.Errorf("%w, and so are the project's merge requests: %w", errNotFound, err))
		}
		return fail(ErrGone)
	}
	if err != nil {
		return fail(err)
	}
	if m.IID != number {
		return fail(fmt.Errorf("the answer is about %d", m.IID))
	}
	return m.normal(repository), nil
}

// Labelled implements Forge, by the record of label events. One about a label
// that was deleted names none.
func (g *GitLab) Labelled(ctx context.Context, repository string, number int64, label string) (Labelled, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	fail := func(err error) (Labelled, error) {
		return Labelled{}, fmt.Errorf("forge %s: ask who set label %q on %s!%d: %w", g.Name(), label, repository, number, err)
	}
	project, err := gitlabProject(repository)
	if err != nil {
		return fail(err)
	}
	type event struct {
		ID        int64       `json:"id"`
		Action    string      `json:"action"`
		CreatedAt time.Time   `json:"created_at"`
		User      *gitlabUser `json:"user"`
		Label     *struct {
			Name string `json:"name"`
		} `json:"label"`
	}
	var last *event
	err = g.pages(ctx, fmt.Sprintf("%s/merge_requests/%d/resource_label_events", project, number), nil, func(e json.RawMessage) error {
		var about event
		if err := json.Unmarshal(e, &about); err != nil {
			return err
		}
		if about.Label != nil && about.Label.Name == label && (last == nil || about.ID >= last.ID) {
			last = &about
		}
		return nil
	})
	switch {
	case err != nil:
		return fail(err)
	case last == nil:
		return fail(ErrNotLabelled)
	case last.Action == "remove":
		return fail(&UnlabelledError{At: last.CreatedAt})
	case last.Action != "add" || last.User == nil || last.User.Username == "":
		return fail(ErrNotLabelled)
	}
	return Labelled{By: last.User.Username, At: last.CreatedAt}, nil
}

// CanWrite implements Forge. GitLab tells of members, inherited ones too, and of
// everybody's account by its number only.
func (g *GitLab) CanWrite(ctx context.Context, repository, login string) (bool, error) {
	fail := func(err error) (bool, error) {
		// Who it is stays out of the error: it goes into the log.
		return false, fmt.Errorf("forge %s: ask whether who set the label may write to %s: %w", g.Name(), repository, err)
	}
	project, err := gitlabProject(repository)
	if err != nil {
		return fail(err)
	}
	var users []gitlabUser
	if err := g.read(ctx, "/users?username="+url.QueryEscape(login), &users); err != nil {
		return fail(err)
	}
	if users == nil {
		return fail(errors.New("the answer is no list"))
	}
	users = slices.DeleteFunc(users, func(u gitlabUser) bool { return !strings.EqualFold(u.Username, login) || u.ID <= 0 })
	if len(users) != 1 || users[0].State != "active" {
		return false, nil // who is no more, or is blocked
	}
	var member struct {
		gitlabUser
		AccessLevel int     `json:"access_level"`
		ExpiresAt   *string `json:"expires_at"`
		// Membership is of one who was asked and did not answer yet.
		Membership string `json:"membership_state"`
	}
	err = g.read(ctx, fmt.Sprintf("%s/members/all/%d", project, users[0].ID), &member)
	switch {
	case errors.Is(err, errNotFound):
		// No member; or a project that we do not see.
		if err := g.read(ctx, project, &struct{}{}); err != nil {
			return fail(err)
		}
		return false, nil
	case err != nil:
		return fail(err)
	case member.ID != users[0].ID:
		return fail(errors.New("the answer is about somebody else"))
	}
	if member.ExpiresAt != nil && *member.ExpiresAt != "" {
		// The day on which it ends is the first without it.
		day, err := time.Parse(time.DateOnly, *member.ExpiresAt)
		if err != nil {
			return fail(errors.New("the day on which the membership ends cannot be read"))
		}
		if !time.Now().Before(day) {
			return false, nil
		}
	}
	return member.State == "active" && (member.Membership == "" || member.Membership == "active") && member.AccessLevel >= gitlabDeveloper, nil
}

// Passed implements Forge. Jobs of a pipeline are among the statuses.
func (g *GitLab) Passed(ctx context.Context, repository, sha, statusContext string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	fail := func(err error) (bool, error) {
		return false, fmt.Errorf("forge %s: ask for status %q of %s@%s: %w", g.Name(), statusContext, repository, sha, err)
	}
	project, err := gitlabProject(repository)
	if err != nil {
		return fail(err)
	}
	newest, passed := int64(-1), false
	err = g.pages(ctx, project+"/repository/commits/"+url.PathEscape(sha)+"/statuses", url.Values{"name": {statusContext}}, func(e json.RawMessage) error {
		var s struct {
			ID     int64  `json:"id"`
			Name   string `json:"name"`
			Status string `json:"status"`
		}
		if err := json.Unmarshal(e, &s); err != nil {
			return err
		}
		if s.Name == statusContext && s.ID > newest {
			newest, passed = s.ID, s.Status == "success"
		}
		return nil
	})
	if err != nil {
		return fail(err)
	}
	return passed, nil
}

// Changes implements Forge. GitLab keeps what a merge request changes up to its
// diff limits (1,000 files unless set), and counts "1000+" beyond them. The count
// is empty until it has compared.
func (g *GitLab) Changes(ctx context.Context, repository string, number int64, headSHA string) (Changes, error) {
	ctx, cancel := context.WithTimeout(ctx, filesTimeout)
	defer cancel()
	fail := func(err error) (Changes, error) {
		return Changes{}, fmt.Errorf("forge %s: ask which files %s!%d changes: %w", g.Name(), repository, number, err)
	}
	project, err := gitlabProject(repository)
	if err != nil {
		return fail(err)
	}
	path := fmt.Sprintf("%s/merge_requests/%d", project, number)
	head := func() (total int, more bool, err error) {
		var m struct {
			gitlabMergeRequest
			Count *string `json:"changes_count"`
		}
		if err := g.read(ctx, path, &m); err != nil {
			return 0, false, err
		}
		switch {
		case m.IID != number:
			return 0, false, fmt.Errorf("the answer is about %d", m.IID)
		case m.SHA != headSHA:
			return 0, false, ErrOtherHead
		case m.Count == nil:
			return 0, false, errors.New("GitLab has not compared it yet")
		}
		count, more := strings.CutSuffix(*m.Count, "+")
		total, err = strconv.Atoi(count)
		if err != nil {
			return 0, false, errors.New("the answer does not say how many files there are")
		}
		return total, more, nil
	}
	total, more, err := head()
	switch {
	case err != nil:
		return fail(err)
	case more:
		return Changes{Cut: fmt.Sprintf("it changes more than %d files, which is GitLab's limit", total)}, nil
	}
	var got files
	for page := 1; got.Cut == "" && got.count < total; page++ {
		res, err := g.ask(ctx, http.MethodGet, fmt.Sprintf("%s/diffs?page=%d&per_page=%d", path, page, gitlabFiles), nil)
		if err != nil {
			return fail(fmt.Errorf("page %d: %w", page, err))
		}
		entries, err := got.take(res.Body, func(e json.RawMessage) (now, before string, err error) {
			var f struct {
				New string `json:"new_path"`
				Old string `json:"old_path"`
			}
			err = json.Unmarshal(e, &f)
			return f.New, f.Old, err
		})
		res.Body.Close()
		if err != nil {
			return fail(fmt.Errorf("page %d: %w", page, err))
		}
		if entries == 0 {
			break
		}
	}
	if total, _, err = head(); err != nil {
		return fail(err)
	}
	changes, err := got.whole(total)
	if err != nil {
		return fail(err)
	}
	return changes, nil
}

// Touched implements Forge.
func (g *GitLab) Touched(ctx context.Context, repository, branch, path string) ([]Commit, error) {
	fail := func(err error) ([]Commit, error) {
		return nil, fmt.Errorf("forge %s: ask which commits of branch %q of %s touch %q: %w", g.Name(), branch, repository, path, err)
	}
	project, err := gitlabProject(repository)
	if err != nil {
		return fail(err)
	}
	query := url.Values{"ref_name": {branch}, "per_page": {strconv.Itoa(MaxTouched)}}
	if path != "" {
		query.Set("path", path)
	}
	res, err := g.ask(ctx, http.MethodGet, project+"/repository/commits?"+query.Encode(), nil)
	if err != nil {
		return fail(err)
	}
	defer res.Body.Close()
	list, err := readCommits(res.Body, func(c struct {
		ID        string    `json:"id"`
		Committed time.Time `json:"committed_date"`
	},
	) (string, time.Time) {
		return c.ID, c.Committed
	})
	if err != nil {
		return fail(err)
	}
	return list, nil
}

// SetStatus implements Forge.
func (g *GitLab) SetStatus(ctx context.Context, repository, sha string, s Status) error {
	fail := func(err error) error {
		return fmt.Errorf("forge %s: set status %q of %s@%s: %w", g.Name(), s.Context, repository, sha, err)
	}
	project, err := gitlabProject(repository)
	if err != nil {
		return fail(err)
	}
	state := string(s.State)
	if s.State == Failure {
		state = "failed"
	}
	body := map[string]string{"state": state, "name": s.Context, "description": cut(s.Description)}
	if s.URL != "" {
		body["target_url"] = s.URL
	}
	res, err := g.ask(ctx, http.MethodPost, project+"/statuses/"+url.PathEscape(sha), body)
	if errors.Is(err, errTransition) {
		return nil // it is in that state; GitLab keeps its first description
	}
	if err != nil {
		return fail(err)
	}
	return res.Body.Close()
}

// RemoveLabel implements Forge.
func (g *GitLab) RemoveLabel(ctx context.Context, repository string, number int64, label string) error {
	fail := func(err error) error {
		return fmt.Errorf("forge %s: remove label %q from %s!%d: %w", g.Name(), label, repository, number, err)
	}
	project, err := gitlabProject(repository)
	if err != nil {
		return fail(err)
	}
	path := fmt.Sprintf("%s/merge_requests/%d", project, number)
	var m gitlabMergeRequest
	if err := g.read(ctx, path, &m); err != nil {
		return fail(err)
	}
	if m.IID != number {
		return fail(fmt.Errorf("the answer is about %d", m.IID))
	}
	if !slices.Contains(m.Labels, label) {
		return nil
	}
	res, err := g.ask(ctx, http.MethodPut, path, map[string]string{"remove_labels": label})
	if err != nil {
		return fail(err)
	}
	return res.Body.Close()
}

// Signed implements Forge.
func (g *GitLab) Signed(header http.Header) bool {
	return header.Get(gitlabToken) != "" || header.Get(gitlabSignature) != ""
}

// Event implements Forge.
func (g *GitLab) Event(header http.Header, body []byte) (Event, error) {
	if g.config.WebhookSecretFile == "" {
		return Event{}, fmt.Errorf("%w: no webhookSecretFile is configured for forge %s", ErrSignature, g.Name())
	}
	secret, err := readSecret(g.config.WebhookSecretFile)
	if err != nil {
		return Event{}, fmt.Errorf("read the webhook secret: %w", err)
	}
	if !gitlabProof(header, body, secret, time.Now()) {
		return Event{}, ErrSignature
	}
	if header.Get("X-Gitlab-Event") != "Merge Request Hook" {
		return Event{}, ErrIgnored
	}
	var payload struct {
		Kind    string      `json:"object_kind"`
		User    *gitlabUser `json:"user"`
		Project *struct {
			Path string `json:"path_with_namespace"`
		} `json:"project"`
		Attributes *struct {
			gitlabMergeRequest
			Action     string `json:"action"`
			URL        string `json:"url"`
			UpdatedAt  string `json:"updated_at"`
			LastCommit *struct {
				ID string `json:"id"`
			} `json:"last_commit"`
			Labels []struct {
				Title string `json:"title"`
			} `json:"labels"`
		} `json:"object_attributes"`
		Changes struct {
			Labels *struct{} `json:"labels"`
		} `json:"changes"`
	}
	if err := json.Unmarshal(body, &payload); err != nil {
		return Event{}, errors.New("the payload is not GitLab's JSON of a merge request: leave the webhook's custom template empty")
	}
	a := payload.Attributes
	if payload.Kind != "merge_request" || payload.Project == nil || a == nil || a.IID <= 0 {
		return Event{}, ErrIgnored
	}
	m := a.gitlabMergeRequest
	m.WebURL, m.UpdatedAt = a.URL, gitlabTime(a.UpdatedAt)
	if a.LastCommit != nil {
		m.SHA = a.LastCommit.ID
	}
	for _, l := range a.Labels {
		m.Labels = append(m.Labels, l.Title)
	}
	e := Event{Delivery: header.Get("Idempotency-Key"), Repository: payload.Project.Path, PullRequest: m.normal(payload.Project.Path)}
	if e.Delivery == "" { // before 17.4
		e.Delivery = header.Get("X-Gitlab-Event-UUID")
	}
	if payload.User != nil {
		e.Sender = payload.User.Username
	}
	if a.Action == "close" || a.Action == "merge" {
		e.ClosedAt = m.UpdatedAt
	}
	if a.Action == "update" && payload.Changes.Labels != nil && gitlabSigns(secret) {
		e.Grant = e.granted(m.UpdatedAt)
	}
	return e, nil
}

// gitlabProof says whether a call is genuine: with a signing token by its
// signature, which covers its body and is good for minutes, otherwise by the
// token that it carries.
func gitlabProof(header http.Header, body []byte, secret string, now time.Time) bool {
	code, signing := strings.CutPrefix(secret, gitlabSigning)
	if !signing {
		got, want := sha256.Sum256([]byte(header.Get(gitlabToken))), sha256.Sum256([]byte(secret))
		return subtle.ConstantTimeCompare(got[:], want[:]) == 1
	}
	key, err := base64.StdEncoding.DecodeString(code)
	if err != nil || len(key) == 0 {
		return false
	}
	id, at := header.Get("webhook-id"), header.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil || now.Sub(time.Unix(seconds, 0)).Abs() > signedFor {
		return false
	}
	// While a token is rotated there are several.
	for signature := range strings.FieldsSeq(header.Get(gitlabSignature)) {
		if code, ok := strings.CutPrefix(signature, "v1,"); ok {
			if got, err := base64.StdEncoding.DecodeString(code); err == nil && signedBy(key, got, []byte(id+"."+at+"."), body) {
				return true
			}
		}
	}
	return false
}

// gitlabSigns says whether that secret is a signing token.
func gitlabSigns(secret string) bool { return strings.HasPrefix(secret, gitlabSigning) }

// gitlabTime reads a time of a webhook; zero where it cannot be read. There are
// two forms of it.
func gitlabTime(text string) time.Time {
	for _, form := range []string{time.RFC3339, "2006-01-02 15:04:05 MST"} {
		if at, err := time.Parse(form, text); err == nil {
			return at
		}
	}
	return time.Time{}
}

// normal brings GitLab's form to ours. Of a fork it tells the number only.
func (m *gitlabMergeRequest) normal(repository string) PullRequest {
	p := PullRequest{
		Number: m.IID, Title: m.Title, Branch: m.SourceBranch, TargetBranch: m.TargetBranch, HeadSHA: m.SHA, URL: m.WebURL,
		Labels: slices.Clone(m.Labels), Draft: m.Draft, UpdatedAt: m.UpdatedAt,
		// One that is being merged is locked for a moment.
		Open: m.State == "opened" || m.State == "locked",
		Fork: m.SourceProjectID == 0 || m.SourceProjectID != m.TargetProjectID,
	}
	if !p.Fork {
		p.HeadRepository = repository
	}
	if m.Author != nil {
		p.Author = m.Author.Username
	}
	return p
}

// gitlabProject is the path of a project, which may be in groups of groups.
func gitlabProject(repository string) (string, error) {
	for part := range strings.SplitSeq(repository, "/") {
		if part == "" || part == "." || part == ".." {
			return "", fmt.Errorf("%q is not group/project", repository)
		}
	}
	if !strings.Contains(repository, "/") {
		return "", fmt.Errorf("%q is not group/project", repository)
	}
	return "/projects/" + url.PathEscape(repository), nil
}

// pages reads a list that only grows, to its end.
func (g *GitLab) pages(ctx context.Context, path string, query url.Values, each func(json.RawMessage) error) error {
	for page := 1; page <= maxPages; page++ {
		q := maps.Clone(query)
		if q == nil {
			q = url.Values{}
		}
		q.Set("page", strconv.Itoa(page))
		q.Set("per_page", strconv.Itoa(gitlabPage))
		res, err := g.ask(ctx, http.MethodGet, path+"?"+q.Encode(), nil)
		if err != nil {
			return fmt.Errorf("page %d: %w", page, err)
		}
		count := 0
		err = elements(res.Body, func(e json.RawMessage) error { count++; return each(e) })
		end := !more(res) && count < gitlabPage
		res.Body.Close()
		if err != nil {
			return fmt.Errorf("page %d: %w", page, err)
		}
		if end {
			return nil
		}
	}
	return fmt.Errorf("more than %d pages", maxPages)
}

// errTransition is GitLab's answer to a status that is in that state.
var errTransition = errors.New("the status is in that state")

// ask makes a call.
func (g *GitLab) ask(ctx context.Context, method, path string, body any) (*http.Response, error) {
	token, err := readSecret(g.config.CredentialFile)
	if err != nil {
		return nil, fmt.Errorf("read the credential: %w", err)
	}
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, g.config.URL+"/api/v4"+path, content)
	if err != nil {
		return nil, errors.New("the address is none")
	}
	req.Header.Set("PRIVATE-TOKEN", token)
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := g.http.Do(req)
	if err != nil {
		return nil, unaddressed(err)
	}
	if err := statusError(res.StatusCode); err != nil {
		defer res.Body.Close()
		if text, readErr := io.ReadAll(io.LimitReader(res.Body, maxErrorBody)); readErr == nil &&
			res.StatusCode == http.StatusBadRequest && bytes.Contains(text, []byte("Cannot transition status via")) {
			return nil, errTransition
		}
		return nil, err
	}
	return res, nil
}

// read asks, and takes the answer as a whole.
func (g *GitLab) read(ctx context.Context, path string, into any) error {
	res, err := g.ask(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		return fmt.Errorf("the answer is not as the API says: %w", quiet(err))
	}
	return nil
}
