package preview

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/seedling-dev/seedling/plugin/forge"
)

// Render is the answer for one input by the forge alone, as if every seed had
// a usable snapshot and every namespace could be made, and the previews that
// would be held back all the same. It changes nothing anywhere.
func Render(ctx context.Context, log *slog.Logger, forges map[string]forge.Forge, applicationSet string, parameters map[string]json.RawMessage) (body []byte, held []Preview, err error) {
	r := &Reconciler{Options: Options{Log: log, Forges: forges, Now: time.Now}}
	in, err := r.input(parameters)
	if err != nil {
		return nil, nil, err
	}
	f := forges[in.Forge]
	list, err := f.List(ctx, in.Repo)
	if err != nil {
		return nil, nil, err
	}
	g := guarded{pulls: map[int64]forge.PullRequest{}}
	for _, p := range list {
		g.pulls[p.Number] = p
		g.open = append(g.open, p.Number)
	}
	key := Key{ForgeURL: f.URL(), Repository: in.Repo}
	var live []*Preview
	for _, it := range r.items(key, []subscription{{applicationSet, in}}, nil, &record{}, g) {
		if !it.facts.PullRequest.Fork {
			if it.facts.Consent = r.consent(ctx, log, f, it); it.facts.Consent.By != "" {
				it.facts.HeadSHA, it.facts.HeadWaits = r.head(ctx, log, f, it)
			}
		}
		it.facts.Space = Space{UID: "rendered", HookUID: "rendered"}
		switch p := Next(nil, it.key, it.facts, r.Now()); {
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
