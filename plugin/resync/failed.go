package resync

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"github.com/seedling-dev/seedling/plugin/argocd"
)

const (
	// named is how many resources are named of those that failed. longest is how
	// long a reason is at most: a commit status takes 140 characters of some forges,
	// with what is said before it.
	named   = 2
	longest = 110
	retried = "; it is tried again"
)

// failure says why Argo CD could not sync the commit that a preview asks for. An
// empty reason says that it could; known is false while that is open.
func failure(app *argocd.Application) (head, why string, known bool) {
	if len(app.Spec.Sources) == 0 || !commit.MatchString(app.Spec.Sources[0].TargetRevision) {
		return "", "", false
	}
	head = app.Spec.Sources[0].TargetRevision
	s := app.Status.OperationState
	if s == nil || revision(s) != head {
		// Nothing was begun for it, perhaps because nothing can be.
		return head, refused(app), true
	}
	what := failures(s)
	switch {
	case s.Phase.Succeeded():
		return head, "", true
	case s.Phase.Failed():
		what = cmp.Or(what, reason("", s.Message), "the sync failed, and Argo CD says why in the Application")
		return head, shorten(what, longest), true
	case s.RetryCount > 0 && what != "":
		// While the next try goes on there is none of its own yet.
		return head, shorten(what, longest-len(retried)) + retried, true
	}
	return head, "", false
}

// revision is the pull request's commit that an operation is about.
func revision(s *argocd.OperationState) string {
	if s.SyncResult != nil && len(s.SyncResult.Revisions) > 0 {
		return s.SyncResult.Revisions[0]
	}
	if s.Operation.Sync != nil && len(s.Operation.Sync.Revisions) > 0 {
		return s.Operation.Sync.Revisions[0]
	}
	return ""
}

// refused is why Argo CD begins no sync. What it says itself is not repeated: a
// generator's error quotes what an author wrote, and may quote what it read.
func refused(app *argocd.Application) string {
	for _, c := range app.Status.Conditions {
		switch c.Type {
		case argocd.ConditionComparisonError:
			return "its manifests cannot be built or compared; Argo CD says why in Application " + app.Name
		case argocd.ConditionInvalidSpecError:
			return "the Application is not permitted or not valid; Argo CD says why in Application " + app.Name
		}
	}
	return ""
}

var (
	kinds = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]{0,62}$`)
	names = regexp.MustCompile(`^[a-z0-9]([a-z0-9.:-]{0,61}[a-z0-9])?$`)
)

// failures names what failed in a sync, and says why where that is one of the
// reasons that are known; empty where nothing did. The commit status may be public, and what an API server
// or a tool says may quote values of the manifests, or of Secrets. So nothing of
// it is repeated but what a pattern below takes: names, quantities, exit codes,
// and the sentences of our own admission policies.
func failures(s *argocd.OperationState) string {
	var failed []string
	more := 0
	if s.SyncResult != nil {
		for _, r := range s.SyncResult.Resources {
			if r == nil {
				continue
			}
			what := r.Kind + " " + r.Name
			if !kinds.MatchString(r.Kind) || !names.MatchString(r.Name) {
				what = "a resource"
			}
			switch {
			case r.HookType != "" && r.HookPhase.Failed():
				what = "hook " + what + " failed"
			case r.Status == "SyncFailed":
				what += " was not applied"
			default:
				continue
			}
			if len(failed) == named {
				more++
				continue
			}
			if why := reason(r.Kind, r.Message); why != "" {
				what += ": " + why
			}
			failed = append(failed, what)
		}
	}
	if more > 0 {
		failed = append(failed, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(failed, "; ")
}

// answered begins what an API server answers about a resource. A pattern that takes
// something begins with it, so that nobody can put the rest into another text.
const answered = `^(?:Error from server \([A-Za-z]+\): )?(?:error when [a-z]+ "[^"]*": )?[a-z0-9./-]+ "[a-z0-9.:-]+" is forbidden: `

// reasons are the messages that something is said of. {1} is what the first
// group took.
var reasons = []struct {
	is  *regexp.Regexp
	say string
}{
	{regexp.MustCompile(answered + `ValidatingAdmissionPolicy 'seedling-[a-z-]+' with binding 'seedling-[a-z-]+' denied request: ([^\n]+)`), "{1}"},
	{regexp.MustCompile(answered + `exceeded quota: [a-z0-9.-]+, (requested: (?:[a-z0-9./-]+=[0-9.]+[A-Za-z]{0,2},?){1,5}), used: `), "the preview's quota is exceeded, {1}"},
	{regexp.MustCompile(`^Container [a-z0-9-]+ for pod [a-z0-9./-]+ failed with exit code ([0-9]{1,3}) matching FailJob rule`), "it ended with exit code {1}, which no retry mends"},
	{regexp.MustCompile(`Job has reached the specified backoff limit`), "it failed as often as it may; its pod's log says why"},
	{regexp.MustCompile(`Job was active longer than specified deadline`), "it took longer than it may"},
	{regexp.MustCompile(`is not permitted in project`), "project previews does not permit its kind"},
	{regexp.MustCompile(`no matches for kind|could not find the requested resource|Kubernetes API could not find`), "the cluster does not know its kind"},
	{regexp.MustCompile(`field is immutable|updates to statefulset spec for fields other than`), "a field of it cannot be changed: delete it, or give it another name"},
	{regexp.MustCompile(`Shared resource found`), "another Application has one of its objects"},
	{regexp.MustCompile(` is invalid: `), "it is not valid"},
	{regexp.MustCompile(` is forbidden: `), "it is forbidden"},
}

// reason is what is said of a message; empty for one that nothing is said of.
func reason(kind, message string) string {
	for _, r := range reasons {
		m := r.is.FindStringSubmatch(message)
		if m == nil {
			continue
		}
		say := r.say
		if len(m) > 1 {
			if kind == "Secret" {
				return "it was refused" // not even a sentence of ours about one
			}
			say = strings.Replace(say, "{1}", plain(m[1]), 1)
		}
		return say
	}
	return ""
}

// plain is a text without what would be more than a text somewhere: control
// characters, those that are not seen or turn the line, brackets of tags.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == unicode.ReplacementChar:
			return -1
		case strings.ContainsRune("<>`[]|@", r):
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, ""))
}

// shorten cuts a sentence to that many bytes, at the border of a word where there
// is one.
func shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	const more = " …"
	text = strings.ToValidUTF8(text[:most-len(more)], "")
	if at := strings.LastIndexByte(text, ' '); at > 0 {
		text = text[:at]
	}
	return text + more
}
