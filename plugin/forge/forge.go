// Package forge speaks to Git hosting services and gives every one of them
// the same small face.
//
// Its promise: a list is complete, or it is an error. It is never silently
// short, because what is missing from a list loses its preview.
//
// There is one file per host, with the same functions in the same order, the check
// of its webhooks' signatures (Event) among them. What only some hosts have, or only
// plugin check asks, is beside it: gitea_comments.go, gitea_rights.go,
// gitea_webhook_settings.go. All bounds are in limits.go. argo-cd's pull_request providers are not used for
// Gitea: the one of argo-cd v2 reads the first page only, ignores its context,
// and knows neither labels nor forks.
package forge

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// PullRequest is a pull request in the form the rest of the plugin knows.
type PullRequest struct {
	Number       int64  `json:"number"`
	Title        string `json:"title"`
	Author       string `json:"author"`
	Branch       string `json:"branch"`
	TargetBranch string `json:"targetBranch"`
	HeadSHA      string `json:"headSHA"`
	// HeadRepository is empty where the fork it came from is gone.
	HeadRepository string   `json:"headRepository,omitempty"`
	URL            string   `json:"url"`
	Labels         []string `json:"labels,omitempty"`
	Fork           bool     `json:"fork,omitempty"`
	Draft          bool     `json:"draft,omitempty"`
	Open           bool     `json:"open,omitempty"`
	// UpdatedAt is when it last changed, by the forge's clock; zero where that
	// is not known. Every comment moves it, so it alone is no news.
	UpdatedAt time.Time `json:"updatedAt,omitzero"`
	// Approvals changes with who approves it, on forges with approvals. It is
	// kept in memory only.
	Approvals string `json:"-"`
}

// Labelled says who put a label on a pull request, and when, by the forge's
// own record.
type Labelled struct {
	By string
	At time.Time
}

// Status is a commit status.
type Status struct {
	// Context names the status among those of the commit.
	Context     string
	State       State
	Description string
	URL         string
}

// State of a commit status.
type State string

// The states every forge knows.
const (
	Pending State = "pending"
	Success State = "success"
	Failure State = "failure"
)

// Changes are the files that a pull request changes.
type Changes struct {
	// Paths are those of the files, both of one that was renamed.
	Paths []string
	// Cut says why not all are there; empty where all are.
	Cut string
}

// Commit is one of a branch.
type Commit struct {
	SHA string
	// At is when it was committed, by whoever did.
	At time.Time
}

// Event is a webhook call that concerns a pull request.
type Event struct {
	// Delivery names the call: the forge gives it again when it repeats it, and
	// so does who replays it. Empty where the forge has no such name.
	Delivery   string
	Repository string
	// PullRequest is as the forge described it in the call; it is a hint for
	// what to look at, and never believed.
	PullRequest PullRequest
	// Sender is who caused the event.
	Sender string
	// ClosedAt is when the event closed the pull request, by the forge's clock;
	// zero for any other event. It may be open again by now.
	ClosedAt time.Time
	// Grant is that the event set a label, or approved; nil where it did neither,
	// or where nothing proves what the call says.
	Grant *Grant
}

var (
	// ErrGone is returned by Get for a pull request that does not exist in a
	// repository that does.
	ErrGone = errors.New("no such pull request")
	// ErrCredential is wrapped where the forge answers that the credential is
	// not good, or not for what was asked.
	ErrCredential = errors.New("the forge does not accept the credential")
	// ErrNotLabelled is returned by Labelled when the forge has no record of
	// who put the label there.
	ErrNotLabelled = errors.New("no record of who set the label")
	// ErrUnlabelled is wrapped where the forge's record of events tells that the
	// label was taken off.
	ErrUnlabelled = errors.New("the label was taken off")
	// ErrOtherHead is wrapped where a pull request has another head by now than
	// the one that was asked about.
	ErrOtherHead = errors.New("its head is another commit by now")
	// ErrMoved is wrapped where the repository has another name by now.
	ErrMoved = errors.New("the repository was renamed or moved")
	// ErrSignature is returned by Event for a call that is not signed with our
	// secret.
	ErrSignature = errors.New("webhook signature does not match")
	// ErrIgnored is returned by Event for a genuine call that concerns no pull
	// request.
	ErrIgnored = errors.New("not a pull-request event")
)

// Query narrows a list.
type Query struct {
	// Label, where it is not empty, leaves out pull requests without it, where
	// the forge can do that.
	Label string
}

// List is a complete list.
type List struct {
	// Began is when, by our clock, the pass that was complete began: before its
	// first call.
	Began time.Time
	// Done is when it was complete; whoever takes it in sets it.
	Done         time.Time
	PullRequests []PullRequest
	// Unreadable are the numbers of entries that could not be read, and those
	// they may have had where that is not known either: they are asked for by
	// number.
	Unreadable []int64
	// Filtered says that only pull requests with the label asked for are in it.
	Filtered bool
}

// Lister reads one list, call by call.
type Lister interface {
	// Next makes one bounded call. After an error it may be called again, and
	// goes on where it was. done: the list is complete and proven so.
	Next(ctx context.Context) (done bool, err error)
	// List is the list, after done.
	List() List
}

// LimitedError says that the forge wants no calls until then.
type LimitedError struct{ Until time.Time }

func (e *LimitedError) Error() string {
	return "the forge wants no calls until " + e.Until.UTC().Format(time.RFC3339)
}

// UnlabelledError says that the label was taken off, by the forge's own record
// of events.
type UnlabelledError struct{ At time.Time }

func (e *UnlabelledError) Error() string {
	return "the label was taken off at " + e.At.UTC().Format(time.RFC3339)
}

// Is makes it an ErrUnlabelled.
func (e *UnlabelledError) Is(target error) bool {
	return target == ErrUnlabelled || target == ErrNotLabelled
}

// Forge is one configured Git hosting service. Methods are safe for
// concurrent use, and end within the bounds of limits.go.
type Forge interface {
	// Name is the forge's name in the configuration.
	Name() string
	// URL is its base URL as configured.
	URL() string
	// Login says as whom we call, which also proves that the forge answers and
	// that the credential is good.
	Login(ctx context.Context) (string, error)
	// List begins a list of a repository's open pull requests. It makes no call
	// yet.
	List(repository string, q Query) Lister
	// Get returns one pull request, open or not.
	Get(ctx context.Context, repository string, number int64) (PullRequest, error)
	// Labelled says who put the label there that is there now.
	Labelled(ctx context.Context, repository string, number int64, label string) (Labelled, error)
	// CanWrite says whether a user may push to the repository.
	CanWrite(ctx context.Context, repository, login string) (bool, error)
	// Passed says whether the newest commit status of that context succeeded.
	Passed(ctx context.Context, repository, sha, statusContext string) (bool, error)
	// Changes lists the files in which a pull request with that head differs from
	// where it left its target branch.
	Changes(ctx context.Context, repository string, number int64, headSHA string) (Changes, error)
	// Touched lists commits of a branch that changed a file, or anything in a
	// folder; an empty path is the whole repository. The newest comes first, and
	// there are no more than MaxTouched.
	Touched(ctx context.Context, repository, branch, path string) ([]Commit, error)
	// SetStatus writes a commit status.
	SetStatus(ctx context.Context, repository, sha string, status Status) error
	// RemoveLabel takes a label off a pull request; one that is not there is no
	// error.
	RemoveLabel(ctx context.Context, repository string, number int64, label string) error
	// Signed says whether a webhook call carries a signature as this forge makes
	// them. Nothing is verified: it is what can be asked before the body is read.
	Signed(header http.Header) bool
	// Event verifies and reads a webhook call. It keeps nothing of body.
	Event(header http.Header, body []byte) (Event, error)
}

// Right is one right that a forge's credential needs in a repository.
type Right struct {
	// Name is as the forge calls it where it is given.
	Name string
	// Missing says that it is not there, and what to click. Nil for one that is
	// there.
	Missing error
	// Unknown says why it cannot be told; empty for one that can be.
	Unknown string
}

// Approved is the label that pull requests have which a reviewer approves, on
// forges that keep no record of who set a label.
const Approved = "approved"

// Approving is a Forge on which a reviewer's approval is what a label is
// elsewhere: its only label is Approved, whoever gave the approval set it, and
// taking it back takes the label off.
type Approving interface {
	// Approving says why no other label can be asked for, and what to write.
	Approving() string
}

// Labelless is a Forge whose pull requests have no labels: Approved is all that there
// is, and nothing keeps a preview, resets it or wakes it.
type Labelless interface{ Labelless() }

// HasLabels says whether pull requests of a forge have labels.
func HasLabels(f Forge) bool {
	_, none := f.(Labelless)
	return !none
}

// CheckLabel says why nobody could tell on this forge who set that label; empty
// where that can be told.
func CheckLabel(f Forge, label string) string {
	if a, ok := f.(Approving); ok && label != Approved {
		return a.Approving()
	}
	return ""
}

// HeadPasser is a Forge on which a status may be set on a pull request and not on
// its head commit.
type HeadPasser interface {
	// HeadPassed is Passed of the head of a pull request.
	HeadPassed(ctx context.Context, repository string, number int64, headSHA, statusContext string) (bool, error)
}

// HeadPassed says whether the newest status of that context, of the head of a pull
// request, succeeded, wherever the forge keeps it.
func HeadPassed(ctx context.Context, f Forge, repository string, number int64, headSHA, statusContext string) (bool, error) {
	if h, ok := f.(HeadPasser); ok {
		return h.HeadPassed(ctx, repository, number, headSHA, statusContext)
	}
	return f.Passed(ctx, repository, headSHA, statusContext)
}

// Righter is a Forge that can say which rights its credential has. Nothing is
// changed by asking.
type Righter interface {
	// Rights are all that are needed in a repository, in the order in which they
	// are documented. The error says that it cannot be told of any.
	Rights(ctx context.Context, repository string) ([]Right, error)
}

// approvedBy is the pull request with those whose approval stands, by name;
// empty for one who is nobody any more.
func (p PullRequest) approvedBy(names []string) PullRequest {
	if len(names) > 0 {
		slices.Sort(names)
		p.Labels = append(p.Labels, Approved)
		p.Approvals = strings.Join(slices.Compact(names), "\n")
	}
	return p
}

// HasLabel says whether the pull request carries a label.
func (p PullRequest) HasLabel(name string) bool {
	return slices.Contains(p.Labels, name)
}
