package preview

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/seedling-dev/seedling/plugin/forge"
)

// Render is the answer for one input by the forge alone, as if every seed had
// a usable snapshot and every namespace could be made, and the previews that
// would be held back all the same. It changes nothing anywhere.
func Render(ctx context.Context, forges map[string]forge.Forge, applicationSet string, parameters map[string]json.RawMessage) (body []byte, held []Preview, err error) {
	r := &Reconciler{Options: Options{Forges: forges}}
	in, err := r.input(parameters)
	if err != nil {
		return nil, nil, err
	}
	f := forges[in.Forge]
	lister := f.List(in.Repo, forge.Query{Label: in.Label})
	for done := false; !done; {
		if done, err = lister.Next(ctx); err != nil {
			return nil, nil, err
		}
	}
	var live []*Preview
	for _, pr := range lister.List().PullRequests {
		facts := Facts{PullRequest: &pr, Refused: in.allows(pr), Seed: in.Seed, Reset: pr.HasLabel(in.ResetLabel), Space: Space{UID: "rendered", HookUID: "rendered"}}
		if facts.Refused != "" {
			continue
		}
		key := Key{ForgeURL: f.URL(), Repository: in.Repo, ApplicationSet: applicationSet, Number: pr.Number}
		if err := ask(ctx, f, key, in, &facts); err != nil {
			return nil, nil, err
		}
		switch p := Next(nil, key, facts, time.Now()); {
		case p == nil:
		case p.Phase == Live:
			live = append(live, p)
		default:
			held = append(held, *p)
		}
	}
	body, err = answer(live, in)
	return body, held, err
}

// ask asks the forge what Next needs to know.
func ask(ctx context.Context, f forge.Forge, key Key, in Input, facts *Facts) error {
	pr := facts.PullRequest
	if pr.Fork {
		return nil
	}
	c, _, err := consent(ctx, f, key, in.Label, func(login string) (bool, error) { return f.CanWrite(ctx, key.Repository, login) })
	if err != nil {
		return err
	}
	facts.Consent, facts.HeadSHA = c, pr.HeadSHA
	if c.By == "" || in.WaitForStatus == "" {
		return nil
	}
	passed, err := f.Passed(ctx, key.Repository, pr.HeadSHA, in.WaitForStatus)
	if err == nil && !passed {
		facts.HeadSHA, facts.HeadWaits = "", fmt.Sprintf("it waits for commit status %s to succeed", in.WaitForStatus)
	}
	return err
}
