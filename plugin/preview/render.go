package preview

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/seedling-dev/seedling/plugin/forge"
)

// Rendering is the answer for one input.
type Rendering struct {
	Body []byte
	// Left are the other open pull requests.
	Left []Left
}

// Left is an open pull request that is not in an answer, and why.
type Left struct {
	Number int64
	Reason string
}

// Render is the answers for an ApplicationSet's inputs by the forge alone, as if
// every seed had a usable snapshot and every namespace could be made. It changes
// nothing anywhere. What is wrong with the inputs is in the error, as
// InputErrors.
func Render(ctx context.Context, forges map[string]forge.Forge, applicationSet string, asked []map[string]json.RawMessage) ([]Rendering, error) {
	r := &Reconciler{Options: Options{Forges: forges}}
	set, err := r.parse(asked)
	if err != nil {
		return nil, err
	}
	var all []Rendering
	taken := map[Key]bool{}
	for _, in := range set.inputs {
		one, err := renderSet(ctx, forges[in.Forge], applicationSet, in, taken)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// renderSet is the answer for one input. taken are those that an input before it
// wants.
func renderSet(ctx context.Context, f forge.Forge, applicationSet string, in Input, taken map[Key]bool) (one Rendering, err error) {
	lister := f.List(in.Repo, forge.Query{})
	for done := false; !done; {
		if done, err = lister.Next(ctx); err != nil {
			return one, err
		}
	}
	list := lister.List()
	for _, n := range list.Unreadable {
		pr, err := f.Get(ctx, in.Repo, n)
		if errors.Is(err, forge.ErrGone) {
			continue
		}
		if err != nil {
			return one, err
		}
		list.PullRequests = append(list.PullRequests, pr)
	}
	var live []*Preview
	for _, pr := range list.PullRequests {
		if !pr.Open {
			continue
		}
		key := Key{ForgeURL: f.URL(), Repository: in.Repo, ApplicationSet: applicationSet, Number: pr.Number}
		p, reason, err := renderOne(ctx, f, key, in, pr, taken)
		switch {
		case err != nil:
			return one, err
		case p != nil:
			live = append(live, p)
		default:
			one.Left = append(one.Left, Left{Number: pr.Number, Reason: reason})
		}
	}
	one.Body, err = answer(live, in)
	return one, err
}

// renderOne is what becomes of one pull request; nil for no preview, and why.
func renderOne(ctx context.Context, f forge.Forge, key Key, in Input, pr forge.PullRequest, taken map[Key]bool) (p *Preview, reason string, err error) {
	switch {
	case taken[key]:
		return nil, "an input before this one has it", nil
	case !pr.HasLabel(in.Label):
		return nil, in.asking.unasked(in.Label), nil
	}
	if reason := in.allows(pr); reason != "" {
		return nil, reason, nil
	}
	var c forge.Changes
	if in.asksForFiles() {
		if c, err = f.Changes(ctx, key.Repository, pr.Number, pr.HeadSHA); err != nil {
			return nil, "", err
		}
		if len(in.Filters.Paths) > 0 && !changes(c, in.Filters.Paths) {
			return nil, reasonOtherPaths, nil
		}
	}
	taken[key] = true
	facts := Facts{PullRequest: &pr, Seed: in.Seed, Postgres: in.Postgres, Host: in.host(key.Namespace()), Reset: pr.HasLabel(in.ResetLabel), Space: Space{UID: "rendered", HookUID: "rendered"}}
	if err := ask(ctx, f, key, in, c, &facts); err != nil {
		return nil, "", err
	}
	if p = Next(nil, key, facts, time.Now()); p.Phase != Live {
		return nil, "held back: " + p.Reason, nil
	}
	return p, "", nil
}

// ask asks the forge what Next needs to know.
func ask(ctx context.Context, f forge.Forge, key Key, in Input, c forge.Changes, facts *Facts) error {
	pr := facts.PullRequest
	if pr.Fork {
		facts.Forks, facts.HeadWaits = in.Filters.Forks, reasonForkHead // no event is seen here
	}
	var err error
	if facts.Consent, _, err = askConsent(ctx, f, key, in.Label, func(login string) (bool, error) { return f.CanWrite(ctx, key.Repository, login) }); err != nil || facts.Consent.By == "" {
		return err
	}
	if pr.Fork {
		return nil
	}
	waits, err := missing(ctx, f, key.Repository, pr.Number, pr.HeadSHA, in.statuses(c))
	if err != nil {
		return err
	}
	if waits != "" {
		facts.HeadWaits = waitsFor(waits)
		return nil
	}
	facts.Paths, facts.HeadWaits = in.outputs(pr, c, func(i image) (string, string) {
		sha, why, asked := i.newest(ctx, f, key.Repository)
		err = errors.Join(err, asked)
		return sha, why
	})
	if facts.HeadWaits == "" {
		facts.HeadSHA = pr.HeadSHA
	}
	if err != nil {
		return fmt.Errorf("ask for the images of what pull request %d does not change: %w", pr.Number, err)
	}
	return nil
}
