package preview

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/seedling-dev/seedling/plugin/forge"
	"github.com/seedling-dev/seedling/plugin/queue"
)

// Bounds of what an input may say of paths.
const (
	maxPathOutputs  = 20
	maxPathPatterns = 20
	maxPathPattern  = 200
)

const (
	// changesTimeout bounds the question about a pull request's files.
	changesTimeout = 90 * time.Second
	// touchedAgain is how old the newest commit may be that touched a path before
	// it is asked for again, touchedFor how old at the step to Live.
	touchedAgain = time.Minute
	touchedFor   = 5 * time.Minute
	// pathsKept is for how long what nobody needs is remembered.
	pathsKept = time.Hour
)

const (
	reasonFiles      = "which files it changes is being looked at"
	reasonNoFiles    = "the forge could not be asked which files it changes; this is tried again"
	reasonImage      = "the newest commit whose image it may have is being looked at"
	reasonNoImage    = "the forge could not be asked for the newest commit whose image it may have; this is tried again"
	reasonStatus     = "its commit status is being looked at"
	reasonNoStatus   = "the forge could not be asked for the commit status it waits for; this is tried again"
	reasonOtherPaths = "it changes no file of the filter's paths"
)

// unanswered are why a head waits that the forge has not told everything of.
var unanswered = map[string]bool{
	reasonFiles: true, reasonNoFiles: true, reasonImage: true, reasonNoImage: true, reasonStatus: true, reasonNoStatus: true,
}

// PathInput is one entry of an input's paths: what is told of it is an output.
type PathInput struct {
	// Paths are files, or folders with all that is in them.
	Paths []string `json:"paths"`
	// WaitForStatus is the commit status that says that there is an image of it.
	WaitForStatus string `json:"waitForStatus,omitempty"`
}

// Paths is what is told of an input's paths. It belongs to one head.
type Paths struct {
	// Input is Input.pathsID of the input that asked, TargetBranch the branch that
	// the head was compared with.
	Input        string                `json:"input"`
	TargetBranch string                `json:"targetBranch"`
	Outputs      map[string]PathOutput `json:"outputs,omitempty"`
	// Outside says that the head changes no file of the filter's paths: it is
	// emitted because something else keeps the preview.
	Outside bool `json:"outside,omitempty"`
}

// PathOutput is what is told of one entry.
type PathOutput struct {
	Changed bool `json:"changed,omitempty"`
	// ImageTag is the short SHA of the commit whose image is the one to run.
	ImageTag string `json:"imageTag"`
}

// pathName is a part of a template's key.
var pathName = regexp.MustCompile(`^[a-z0-9][a-z0-9_]{0,29}$`)

// parsePaths reads the input's paths.
func parsePaths(raw json.RawMessage, bad func(field, problem string)) map[string]PathInput {
	var entries map[string]json.RawMessage
	if json.Unmarshal(raw, &entries) != nil || entries == nil {
		bad("paths", "must be an object: a name, and the paths that it stands for")
		return nil
	}
	if len(entries) > maxPathOutputs {
		bad("paths", fmt.Sprintf("has more than %d names", maxPathOutputs))
	}
	all := map[string]PathInput{}
	for _, name := range sortedKeys(entries) {
		field := "paths." + clean(name)
		if !pathName.MatchString(name) {
			bad(field, "must be named by at most 30 lower-case letters, digits and _: the name is part of template keys")
		}
		var p PathInput
		var fields map[string]json.RawMessage
		if json.Unmarshal(entries[name], &fields) != nil || fields == nil {
			p.Paths = parsePatterns(field, entries[name], bad)
		} else {
			for _, key := range sortedKeys(fields) {
				switch key {
				case "paths":
					p.Paths = parsePatterns(field+".paths", fields[key], bad)
				case "waitForStatus":
					var text *string
					if json.Unmarshal(fields[key], &text) != nil || text == nil || *text == "" || !visible(*text, 255) {
						bad(field+".waitForStatus", "must be a commit status's name")
					} else if strings.HasPrefix(*text, ownStatuses) {
						bad(field+".waitForStatus", problemOwnStatus)
					} else {
						p.WaitForStatus = *text
					}
				default:
					bad(field+"."+clean(key), "is unknown")
				}
			}
			if fields["paths"] == nil {
				bad(field+".paths", "is missing")
			}
		}
		for _, pattern := range p.Paths {
			if _, ok := folder(pattern); !ok {
				bad(field, "must be files, or folders with or without /** at their end: forges do not tell which commits touch another pattern")
				break
			}
		}
		all[name] = p
	}
	return all
}

// parsePatterns reads one pattern, or a list of them.
func parsePatterns(field string, raw json.RawMessage, bad func(field, problem string)) []string {
	patterns, ok := words(raw)
	if !ok || len(patterns) == 0 || len(patterns) > maxPathPatterns {
		bad(field, fmt.Sprintf("must be a path, or a list of at most %d", maxPathPatterns))
		return nil
	}
	for _, p := range patterns {
		odd := slices.ContainsFunc(strings.Split(p, "/"), func(part string) bool { return part == "" || part == "." || part == ".." })
		if odd || len(p) > maxPathPattern || !doublestar.ValidatePattern(p) {
			bad(field, fmt.Sprintf("must be paths from the repository's root, such as services/api/**, of at most %d characters, without / at either end", maxPathPattern))
			return nil
		}
	}
	return patterns
}

// words reads a text, or a list of texts, none of them empty.
func words(raw json.RawMessage) ([]string, bool) {
	var one *string
	if json.Unmarshal(raw, &one) == nil && one != nil {
		return []string{*one}, *one != ""
	}
	var list []*string
	if json.Unmarshal(raw, &list) != nil || list == nil {
		return nil, false
	}
	texts := make([]string, 0, len(list))
	for _, text := range list {
		if text == nil || *text == "" {
			return nil, false
		}
		texts = append(texts, *text)
	}
	return texts, true
}

// folder is the file or folder that a pattern stands for; not ok for a pattern
// that is something else.
func folder(pattern string) (path string, ok bool) {
	if pattern == "**" {
		return "", true
	}
	path = strings.TrimSuffix(pattern, "/**")
	return path, !strings.ContainsAny(path, `*?[{\`)
}

// matches says whether a file is one of the patterns'. A folder stands for all
// that is in it.
func matches(patterns []string, file string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		if at, ok := folder(pattern); ok {
			return at == "" || strings.HasPrefix(file, at+"/") || file == at && at == pattern
		}
		return doublestar.MatchUnvalidated(pattern, file)
	})
}

// changes says whether any file of the patterns changes. Where the list of files
// is cut, it may be one that is left out: that counts as changed.
func changes(c forge.Changes, patterns []string) bool {
	return c.Cut != "" || slices.ContainsFunc(c.Paths, func(file string) bool { return matches(patterns, file) })
}

// asksForFiles says whether it matters to the input which files change.
func (in Input) asksForFiles() bool { return len(in.Filters.Paths) > 0 || len(in.Paths) > 0 }

// pathsID tells inputs apart by what they ask of paths; empty for nothing.
func (in Input) pathsID() string {
	if !in.asksForFiles() {
		return ""
	}
	b, _ := json.Marshal([]any{in.Filters.Paths, in.Paths, in.WaitForStatus}) //nolint:errchkjson // strings and lists of strings marshal
	return digest(string(b))[:16]
}

// statuses are the commit statuses that a head waits for: the input's, and those
// of the paths that it changes. Of the others no image is made.
func (in Input) statuses(c forge.Changes) []string {
	var names []string
	add := func(name string) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	add(in.WaitForStatus)
	for _, name := range sortedKeys(in.Paths) {
		if p := in.Paths[name]; p.WaitForStatus != "" && changes(c, p.Paths) {
			add(p.WaitForStatus)
		}
	}
	return names
}

// image is a question for the newest commit of a branch that touched some paths
// and has a commit status.
type image struct {
	branch, status string
	paths          []string
}

func (i image) key() string { return digest(append([]string{i.branch, i.status}, i.paths...)...)[:16] }

// image is the question about an entry that a pull request does not change.
func (in Input) image(name, branch string) image {
	p := in.Paths[name]
	return image{branch: branch, status: cmp.Or(p.WaitForStatus, in.WaitForStatus), paths: p.Paths}
}

// newest is the commit that an image asks for, or why there is none.
func (i image) newest(ctx context.Context, f forge.Forge, repository string) (sha, why string, err error) {
	var commits []forge.Commit
	for _, pattern := range i.paths {
		path, _ := folder(pattern)
		list, err := f.Touched(ctx, repository, i.branch, path)
		if err != nil {
			return "", "", err
		}
		commits = merge(commits, list)
	}
	if len(commits) == 0 {
		return "", fmt.Sprintf("no commit of branch %s touches %s", i.branch, strings.Join(i.paths, ", ")), nil
	}
	commits = commits[:min(len(commits), forge.MaxTouched)]
	for _, c := range commits {
		passed := i.status == ""
		if !passed {
			if passed, err = f.Passed(ctx, repository, c.SHA, i.status); err != nil {
				return "", "", err
			}
		}
		if passed {
			return c.SHA, "", nil
		}
	}
	return "", fmt.Sprintf("none of the newest commits of branch %s that touch %s has commit status %s", i.branch, strings.Join(i.paths, ", "), i.status), nil
}

// merge merges two lists of commits, each of which keeps its order.
func merge(a, b []forge.Commit) []forge.Commit {
	var list []forge.Commit
	for len(a) > 0 || len(b) > 0 {
		from := &a
		if len(a) == 0 || len(b) > 0 && b[0].At.After(a[0].At) {
			from = &b
		}
		c := (*from)[0]
		*from = (*from)[1:]
		if !slices.ContainsFunc(list, func(was forge.Commit) bool { return was.SHA == c.SHA }) {
			list = append(list, c)
		}
	}
	return list
}

// missing is the first of the statuses that the head of a pull request does not
// have; empty for none.
func missing(ctx context.Context, f forge.Forge, repository string, number int64, sha string, statuses []string) (string, error) {
	for _, name := range statuses {
		passed, err := forge.HeadPassed(ctx, f, repository, number, sha, name)
		if err != nil || !passed {
			return name, err
		}
	}
	return "", nil
}

func waitsFor(status string) string {
	return fmt.Sprintf("it waits for commit status %s to succeed", status)
}

// outputs are those of a preview, or why they are not known. newest says of an
// image what commit it is of.
func (in Input) outputs(pr *forge.PullRequest, c forge.Changes, newest func(image) (sha, why string)) (*Paths, string) {
	if !in.asksForFiles() {
		return nil, ""
	}
	p := &Paths{Input: in.pathsID(), TargetBranch: pr.TargetBranch, Outputs: map[string]PathOutput{}}
	p.Outside = len(in.Filters.Paths) > 0 && !changes(c, in.Filters.Paths)
	for _, name := range sortedKeys(in.Paths) {
		o := PathOutput{Changed: changes(c, in.Paths[name].Paths)}
		sha := pr.HeadSHA
		if !o.Changed {
			var why string
			if sha, why = newest(in.image(name, pr.TargetBranch)); why != "" {
				return nil, why
			}
		}
		o.ImageTag = short(sha)
		p.Outputs[name] = o
	}
	return p, ""
}

// short is a commit's short name.
func short(sha string) string { return sha[:min(8, len(sha))] }

// lacks says whether a preview is not told of a path that the input asks for.
func (in Input) lacks(p *Preview) bool {
	for name := range in.Paths {
		if p.Paths == nil {
			return true
		}
		if _, there := p.Paths.Outputs[name]; !there {
			return true
		}
	}
	return false
}

// tell puts what a preview is told of the input's paths into a template's values.
// One that lacks it was live before anybody asked, and its head waits for a
// status or an image: its own image is what it had until then.
func (in Input) tell(p *Preview, values map[string]string) {
	for name := range in.Paths {
		o := PathOutput{Changed: true, ImageTag: short(p.HeadSHA)}
		if p.Paths != nil {
			if known, there := p.Paths.Outputs[name]; there {
				o = known
			}
		}
		values["changed_"+name], values["image_tag_"+name] = strconv.FormatBool(o.Changed), o.ImageTag
	}
}

// pathsID is of the input whose paths a preview's outputs are of.
func (p *Preview) pathsID() string {
	if p == nil || p.Paths == nil {
		return ""
	}
	return p.Paths.Input
}

// listed is what a forge said of a pull request's files.
type listed struct {
	head, target string
	forge.Changes
	failed bool
	usedAt time.Time
}

// latestCommit is what is known of an image.
type latestCommit struct {
	sha, why string
	at       time.Time
	usedAt   time.Time
}

// files are those that a pull request changes, or why they are not known. The
// caller holds mu.
func (repo *repository) files(pr *forge.PullRequest, now time.Time) (forge.Changes, string) {
	l := repo.changes[pr.Number]
	if l == nil || l.head != pr.HeadSHA || l.target != pr.TargetBranch {
		return forge.Changes{}, reasonFiles
	}
	l.usedAt = now
	if l.failed {
		return forge.Changes{}, reasonNoFiles
	}
	return l.Changes, ""
}

// latest is what is known of an image at the step to Live. The caller holds mu.
func (repo *repository) latest(i image, now time.Time) (sha, why string) {
	l := repo.images[i.key()]
	if l == nil {
		return "", reasonImage
	}
	l.usedAt = now
	if age := now.Sub(l.at); l.sha != "" && (age < 0 || age > touchedFor) {
		return "", reasonImage
	}
	return l.sha, l.why
}

// choose is which of an ApplicationSet's inputs has a pull request. undecided:
// which files it changes is not known, and a filter asks for it. The first that
// wants it has it; while that cannot be told, the one that had it. The caller
// holds mu.
func (repo *repository) choose(inputs []Input, cur *Preview, pr *forge.PullRequest, now time.Time) (in Input, refused string, undecided bool) {
	open, had := -1, cur != nil && cur.HeadSHA != ""
	for i, one := range inputs {
		why, unknown := one.allows(*pr), false
		if why == "" && len(one.Filters.Paths) > 0 {
			why, unknown = repo.inPaths(one, cur, pr, now)
		}
		switch {
		case why == "" && !unknown && open < 0:
			return one, "", false
		case why == "" && (open < 0 || had && cur.pathsID() == one.pathsID() && cur.pathsID() != inputs[open].pathsID()):
			open = i
		}
		if i == 0 {
			in, refused = one, why
		}
	}
	if open < 0 {
		return in, refused, false
	}
	return inputs[open], "", true
}

// inPaths says whether a pull request changes a file of the filter's paths; ""
// or why that is a no. unknown: it cannot be told yet. The caller holds mu.
func (repo *repository) inPaths(in Input, cur *Preview, pr *forge.PullRequest, now time.Time) (refused string, unknown bool) {
	if emitted(in, cur, pr) && cur.Phase == Live {
		if cur.Paths.Outside {
			refused = reasonOtherPaths
		}
		return refused, false
	}
	c, why := repo.files(pr, now)
	switch {
	case why != "":
		return "", true
	case !changes(c, in.Filters.Paths):
		return reasonOtherPaths, false
	}
	return "", false
}

// emitted says whether a preview was emitted with that head, and what it is told
// of its paths is of now.
func emitted(in Input, cur *Preview, pr *forge.PullRequest) bool {
	return cur != nil && cur.HeadSHA == pr.HeadSHA && cur.pathsID() == in.pathsID() &&
		(cur.Paths == nil || cur.Paths.TargetBranch == pr.TargetBranch)
}

// head fills in which head may be emitted, and what is told of its paths with it,
// or why it has to wait. The caller holds mu.
func (repo *repository) head(it *item, now time.Time) {
	pr := it.facts.PullRequest
	if emitted(it.in, it.cur, pr) {
		it.facts.HeadSHA, it.facts.Paths = pr.HeadSHA, it.cur.Paths
		return
	}
	var c forge.Changes
	if it.in.asksForFiles() {
		if c, it.facts.HeadWaits = repo.files(pr, now); it.facts.HeadWaits != "" {
			return
		}
	}
	paths, why := it.in.outputs(pr, c, func(i image) (string, string) { return repo.latest(i, now) })
	if why != "" {
		it.facts.HeadWaits = why
		return
	}
	k, statuses := repo.knowledge(it.namespace()), it.in.statuses(c)
	switch of := headKey(pr.HeadSHA, statuses); {
	case len(statuses) == 0, k.headOf == of && k.head != "":
		it.facts.HeadSHA, it.facts.Paths = pr.HeadSHA, paths
	case k.headOf == of && k.headWaits != "":
		it.facts.HeadWaits = k.headWaits
	default:
		it.facts.HeadWaits = reasonStatus
	}
}

// headKey names a question about a head.
func headKey(sha string, statuses []string) string {
	return sha + " " + digest(statuses...)[:16]
}

// findHead asks for what a head waits for. The caller holds mu.
func (r *Reconciler) findHead(repo *repository, it *item, e *errands) {
	pr := it.facts.PullRequest
	if it.facts.HeadSHA == pr.HeadSHA {
		return
	}
	var c forge.Changes
	if it.in.asksForFiles() {
		var why string
		if c, why = repo.files(pr, e.now); why != "" {
			e.want(r.changesTask(repo, pr))
			return
		}
	}
	for _, name := range sortedKeys(it.in.Paths) {
		if changes(c, it.in.Paths[name].Paths) {
			continue
		}
		i := it.in.image(name, pr.TargetBranch)
		if l := repo.images[i.key()]; l == nil || l.sha == "" || e.now.Sub(l.at) >= touchedAgain || l.at.After(e.now) {
			e.want(r.imageTask(repo, i))
		}
	}
	statuses := it.in.statuses(c)
	k, of := repo.knowledge(it.namespace()), headKey(pr.HeadSHA, statuses)
	if len(statuses) == 0 || k.headOf == of && k.head != "" {
		return
	}
	if k.headOf != of {
		delete(repo.pace, "head/"+it.namespace())
	}
	e.want(r.headTask(repo, it, statuses))
}

// changesTask asks which files a pull request changes: once for each head.
func (r *Reconciler) changesTask(repo *repository, of *forge.PullRequest) task {
	f, repository, n, l := repo.forge, repo.key.Repository, of.Number, listed{head: of.HeadSHA, target: of.TargetBranch}
	return task{key: "changes/" + strconv.FormatInt(n, 10), class: queue.Normal, timeout: changesTimeout, do: func(ctx context.Context) (bool, error) {
		c, err := f.Changes(ctx, repository, n, l.head)
		if errors.Is(err, forge.ErrOtherHead) {
			// Somebody pushed: the pull request is looked at again, and comes here with
			// its new head.
			repo.hint(map[int64]time.Time{n: {}}, r.Now())
			repo.mu.Lock()
			defer repo.mu.Unlock()
			repo.later("changes/"+strconv.FormatInt(n, 10), r.Now(), retryFirst, pollEvery)
			return false, nil
		}
		if c.Cut != "" {
			r.Log.WarnContext(ctx, "not all files of a pull request can be told; all paths count as changed", "repository", repository, "number", n, "reason", c.Cut)
		}
		repo.mu.Lock()
		defer repo.mu.Unlock()
		delete(repo.pace, "changes/"+strconv.FormatInt(n, 10))
		l.Changes, l.failed, l.usedAt = c, err != nil, r.Now()
		if was := repo.changes[n]; err == nil || was == nil || was.head != l.head || was.target != l.target {
			repo.changes[n] = &l
		}
		return false, err
	}}
}

// imageTask asks for the newest commit that touched some paths.
func (r *Reconciler) imageTask(repo *repository, i image) task {
	f, repository, key := repo.forge, repo.key.Repository, i.key()
	return task{key: "image/" + key, class: queue.Normal, timeout: changesTimeout, do: func(ctx context.Context) (bool, error) {
		sha, why, err := i.newest(ctx, f, repository)
		repo.mu.Lock()
		defer repo.mu.Unlock()
		if err != nil {
			if repo.images[key] == nil {
				repo.images[key] = &latestCommit{why: reasonNoImage, at: r.Now(), usedAt: r.Now()}
			}
			return false, err
		}
		repo.images[key] = &latestCommit{sha: sha, why: why, at: r.Now(), usedAt: r.Now()}
		if sha == "" {
			repo.later("image/"+key, r.Now(), retryFirst, pollEvery)
		} else {
			delete(repo.pace, "image/"+key)
		}
		return false, nil
	}}
}

// forgetPaths drops what nobody needed for a while. The caller holds mu.
func (repo *repository) forgetPaths(now time.Time) {
	maps.DeleteFunc(repo.changes, func(_ int64, l *listed) bool { return now.Sub(l.usedAt).Abs() > pathsKept })
	maps.DeleteFunc(repo.images, func(_ string, l *latestCommit) bool { return now.Sub(l.usedAt).Abs() > pathsKept })
}
