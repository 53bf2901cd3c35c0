package preview

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"
	"unicode"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/forge"
)

// Input is what an ApplicationSet asks for: the parameters of its plugin
// generator.
type Input struct {
	// Forge is the name of a configured forge, Repo a path on it.
	Forge string `json:"forge"`
	Repo  string `json:"repo"`
	// Label asks for a preview; ResetLabel for a fresh one.
	Label      string `json:"label"`
	ResetLabel string `json:"resetLabel"`
	// Seed is the namespace of the seed.
	Seed string `json:"seed"`
	// Postgres is PostgresPlatform where the plugin makes previews' Postgres, and
	// empty where pull requests bring it.
	Postgres string `json:"postgres,omitempty"`
	// Domain is what previews' host names end in; without it preview_host and
	// preview_url are empty.
	Domain string `json:"domain"`
	// Team is who pays for its previews, a label of their namespaces.
	Team string `json:"team,omitempty"`
	// WaitForStatus is a commit status without which a head SHA is not emitted.
	WaitForStatus string `json:"waitForStatus"`
	// TTL is how long a preview lives, and KeepFor how long one lives that has
	// KeepLabel; TTLWarning is how long before its end that is said. Cap is how
	// many there may be of the repository; 0 for any number.
	TTL        time.Duration `json:"ttl"`
	KeepLabel  string        `json:"keepLabel"`
	KeepFor    time.Duration `json:"keepFor"`
	TTLWarning time.Duration `json:"ttlWarning"`
	Cap        int           `json:"cap"`
	// Comments false leaves its previews out of the comment.
	Comments bool `json:"comments"`
	// Deployments false shows none of its previews as a deployment at the forge.
	Deployments bool `json:"deployments"`
	// SleepAfter and AwakeHours are when its previews sleep, as Sleep has them; empty
	// for as the plugin's configuration says. WakeLabel wakes one; empty for
	// DefaultWakeLabel.
	SleepAfter string `json:"sleepAfter,omitempty"`
	AwakeHours string `json:"awakeHours,omitempty"`
	WakeLabel  string `json:"wakeLabel,omitempty"`

	Filters Filters `json:"filters"`
	// Paths are parts of the repository, by name, of which it is told whether a
	// pull request changes them, and which image they have.
	Paths map[string]PathInput `json:"paths,omitempty"`

	digest     string // id's, once it is read
	asking     asking // its forge's
	sleepAfter *Span
	awakeHours *Hours
}

// Filters narrow the pull requests that may have a preview.
type Filters struct {
	// Drafts false leaves drafts out.
	Drafts *bool `json:"drafts"`
	// Authors are the only ones, NotAuthors never; logins.
	Authors    []string `json:"authors"`
	NotAuthors []string `json:"notAuthors"`
	// Branch, TargetBranch and Title are regular expressions (RE2). They match
	// anywhere, unless ^ and $ anchor them.
	Branch       string `json:"branch"`
	TargetBranch string `json:"targetBranch"`
	Title        string `json:"title"`
	// Forks true lets pull requests from forks have previews, commit by commit.
	Forks bool `json:"forks,omitempty"`
	// Paths are patterns of files, one of which must change.
	Paths []string `json:"paths,omitempty"`

	branch, targetBranch, title *regexp.Regexp
}

// Defaults of an Input.
const (
	DefaultLabel      = "preview"
	DefaultResetLabel = "preview-reset"
	DefaultSeed       = "seed"
)

// Whose a preview's Postgres is, as an input says it. Without a word it is the
// pull request's, as it was before there was a choice.
const (
	PostgresPlatform = snapshot.PostgresPlatform
	PostgresOwn      = "own"
)

// InputError says which field of an input is wrong. It wraps nothing and
// quotes no value.
type InputError struct{ Field, Problem string }

func (e *InputError) Error() string { return fmt.Sprintf("input field %s %s", e.Field, e.Problem) }

var (
	dnsLabel  = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	dnsDomain = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$`)
	repoPath  = regexp.MustCompile(`^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)+$`)
)

// ParseInput reads the parameters of a plugin generator. All that is wrong is
// in the error, as InputErrors.
func ParseInput(parameters map[string]json.RawMessage) (Input, error) {
	var wrong []error
	bad := func(field, problem string) { wrong = append(wrong, &InputError{field, problem}) }

	in := Input{Label: DefaultLabel, ResetLabel: DefaultResetLabel, Seed: DefaultSeed}
	texts := map[string]*string{
		"forge": &in.Forge, "repo": &in.Repo, "label": &in.Label, "resetLabel": &in.ResetLabel,
		"seed": &in.Seed, "postgres": &in.Postgres, "domain": &in.Domain, "team": &in.Team, "waitForStatus": &in.WaitForStatus,
	}
	for _, name := range sortedKeys(parameters) {
		raw := parameters[name]
		switch into := texts[name]; {
		case into != nil:
			parseText(name, raw, into, bad)
		case name == "filters":
			in.Filters.parse(raw, bad)
		case name == "paths":
			in.Paths = parsePaths(raw, bad)
		case !lives[name] && !sleeps[name]:
			bad(clean(name), "is unknown")
		}
	}
	parseLife(&in, parameters, bad)
	parseSleep(&in, parameters, bad)
	in.Repo = strings.TrimSuffix(strings.Trim(in.Repo, "/"), ".git")
	in.check(bad)
	if in.Postgres == PostgresOwn {
		in.Postgres = ""
	}
	sort.SliceStable(wrong, func(i, j int) bool { return wrong[i].Error() < wrong[j].Error() })
	in.digest = in.id()
	return in, errors.Join(wrong...)
}

// ReadInput reads the parameters of a plugin generator, as far as the configured
// forges can serve them. A forge that is nil is configured, and not asked. All that
// is wrong is in the error, as InputErrors.
func ReadInput(forges map[string]forge.Forge, parameters map[string]json.RawMessage) (Input, error) {
	in, err := ParseInput(parameters)
	f, configured := forges[in.Forge]
	bad := func(field, problem string) {
		if problem != "" {
			err = errors.Join(err, &InputError{field, problem})
		}
	}
	switch {
	case !configured && dnsLabel.MatchString(in.Forge):
		bad("forge", "names a forge that is not in the plugin's configuration: name it under forges")
	case f != nil:
		in.asking = askingOf(f)
		bad("label", forge.CheckLabel(f, in.Label))
		if in.Filters.Forks {
			bad("filters.forks", forge.CheckForks(f))
		}
		if in.Deployments && parameters["deployments"] != nil {
			bad("deployments", forge.CheckDeployments(f))
		}
	}
	return in, err
}

func parseText(name string, raw json.RawMessage, into *string, bad func(field, problem string)) {
	var text *string
	if json.Unmarshal(raw, &text) != nil || text == nil {
		bad(name, "must be a string")
		return
	}
	*into = *text
}

// check says what of the texts cannot be.
func (in Input) check(bad func(field, problem string)) {
	if !dnsLabel.MatchString(in.Forge) {
		bad("forge", "must name a configured forge")
	}
	if !repoPath.MatchString(in.Repo) || len(in.Repo) > 255 || slices.ContainsFunc(strings.Split(in.Repo, "/"), onlyDots) {
		bad("repo", "must be a repository's path, such as acme/shop")
	}
	if !labelName(in.Label) {
		bad("label", "must be a label's name")
	}
	if !labelName(in.ResetLabel) || in.ResetLabel == in.Label {
		bad("resetLabel", "must be a label's name, and another one than label")
	}
	if !labelName(in.KeepLabel) || in.KeepLabel == in.Label || in.KeepLabel == in.ResetLabel {
		bad("keepLabel", "must be a label's name, and another one than label and resetLabel")
	}
	if err := snapshot.CheckSeedName(in.Seed); err != nil {
		bad("seed", err.Error())
	}
	if !slices.Contains([]string{"", PostgresPlatform, PostgresOwn}, in.Postgres) {
		bad("postgres", "must be platform or own")
	}
	if in.Domain != "" && (!dnsDomain.MatchString(in.Domain) || len(in.Domain) > 253-snapshot.MaxPreview-1) {
		bad("domain", "must be a DNS name")
	}
	if in.Team != labelValue(in.Team) {
		bad("team", "must be what the value of a label may be: letters, digits, dashes, dots and underscores, at most 63")
	}
	if !visible(in.WaitForStatus, 255) {
		bad("waitForStatus", "must be a commit status's name of at most 255 characters, without spaces around it")
	}
	if strings.HasPrefix(in.WaitForStatus, ownStatuses) {
		bad("waitForStatus", problemOwnStatus)
	}
}

// onlyDots says whether a part of a path leads elsewhere.
func onlyDots(part string) bool { return strings.Trim(part, ".") == "" }

// labelName says whether a label may have that name. No forge has one with spaces
// around it, or that is not to be seen.
func labelName(name string) bool { return name != "" && visible(name, 100) }

// visible says whether a text has nothing around it or in it that nobody sees.
func visible(text string, most int) bool {
	return len(text) <= most && strings.TrimSpace(text) == text && !strings.ContainsFunc(text, unicode.IsControl)
}

func (f *Filters) parse(raw json.RawMessage, bad func(field, problem string)) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil || fields == nil {
		bad("filters", "must be an object")
		return
	}
	pattern := func(name string, raw json.RawMessage, text *string, into **regexp.Regexp) {
		var given *string
		if json.Unmarshal(raw, &given) != nil || given == nil || *given == "" || len(*given) > 1000 {
			bad("filters."+name, "must be a string of 1 to 1000 characters")
			return
		}
		*text = *given
		re, err := regexp.Compile(*text)
		if err != nil {
			bad("filters."+name, "is no regular expression (RE2)")
			return
		}
		*into = re
	}
	for _, name := range sortedKeys(fields) {
		switch raw := fields[name]; name {
		case "drafts":
			if json.Unmarshal(raw, &f.Drafts) != nil || f.Drafts == nil {
				bad("filters.drafts", "must be true or false")
			}
		case "forks":
			var forks *bool
			switch {
			case json.Unmarshal(raw, &forks) != nil || forks == nil:
				bad("filters.forks", "must be true or false")
			default:
				f.Forks = *forks
			}
		case "authors":
			f.Authors = logins(name, raw, bad)
		case "notAuthors":
			f.NotAuthors = logins(name, raw, bad)
		case "branch":
			pattern(name, raw, &f.Branch, &f.branch)
		case "targetBranch":
			pattern(name, raw, &f.TargetBranch, &f.targetBranch)
		case "title":
			pattern(name, raw, &f.Title, &f.title)
		case "paths":
			f.Paths = parsePatterns("filters.paths", raw, bad)
		default:
			bad("filters."+clean(name), "is unknown")
		}
	}
}

func logins(name string, raw json.RawMessage, bad func(field, problem string)) []string {
	list, ok := words(raw)
	if !ok {
		bad("filters."+name, "must be a list of logins")
	}
	return list
}

// host is the name that a preview's Ingresses may have, empty without a domain.
// It is made of the preview's own name, whatever namespace it has.
func (in Input) host(own string) string {
	if in.Domain == "" {
		return ""
	}
	return own + "." + in.Domain
}

// url is where people find it, empty without a domain.
func (in Input) url(own string) string {
	if in.Domain == "" {
		return ""
	}
	return "https://" + in.host(own)
}

// id tells inputs apart.
func (in Input) id() string {
	if in.digest != "" {
		return in.digest
	}
	b, _ := json.Marshal(in) //nolint:errchkjson // strings, bools and lists of strings marshal
	return digest(string(b))
}

// allows says whether a pull request may have a preview by policy alone; ""
// or why not.
func (in Input) allows(p forge.PullRequest) string {
	if !p.HasLabel(in.Label) {
		return in.asking.ended()
	}
	f := in.Filters
	switch {
	case f.Drafts != nil && !*f.Drafts && p.Draft:
		return "it is a draft"
	case len(f.Authors) > 0 && !contains(f.Authors, p.Author):
		return "its author is not among those of the filter"
	case contains(f.NotAuthors, p.Author):
		return "its author is left out by the filter"
	case f.branch != nil && !f.branch.MatchString(p.Branch):
		return "its branch does not match the filter"
	case f.targetBranch != nil && !f.targetBranch.MatchString(p.TargetBranch):
		return "its target branch does not match the filter"
	case f.title != nil && !f.title.MatchString(p.Title):
		return "its title does not match the filter"
	}
	return ""
}

func contains(logins []string, login string) bool {
	for _, l := range logins {
		if strings.EqualFold(l, login) {
			return true
		}
	}
	return false
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// clean makes a field's name that came from outside fit to be said.
func clean(name string) string {
	name = string(bytes.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
			return r
		}
		return -1
	}, []byte(name)))
	if len(name) > 40 {
		name = name[:40]
	}
	return cmp.Or(name, "?")
}
