package check

import (
	"context"
	"errors"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/plugin/forge"
)

// webhooks looks at whether the forge calls the plugin about a repository. One
// webhook that does is enough; others with the same address are worth knowing.
func (c *Cluster) webhooks(ctx context.Context, f forge.Forge, repository string) {
	what := "webhook of " + repository
	hooking, ok := f.(forge.Hooking)
	switch {
	case !c.Hooked[f.Name()]:
		return // its webhooks are refused, which was said
	case !ok:
		c.Report.Unseen(what, "this forge tells nothing of them", "see its own page of webhooks")
		return
	}
	hooks, err := hooking.Webhooks(ctx, repository)
	if err != nil {
		c.Report.Say(what, "", credentialError(err))
		return
	}
	well := 0
	for _, h := range hooks.Found {
		if h.Wrong == nil {
			well++
		}
	}
	for _, h := range hooks.Found {
		switch {
		case h.Wrong != nil && well > 0:
			c.Report.Note("another webhook of %s has the same address, and %s", repository, h.Wrong)
		case h.Wrong != nil:
			c.Report.Say(what, "", command.Misconfigured(h.Wrong))
		case h.Unknown != "":
			c.Report.Say(what, ": it is there, active, and calls at what counts", nil)
			c.Report.Unseen("calls of the "+what, "whether they arrive is not told", h.Unknown)
		default:
			c.Report.Say(what, ": it is there, and its last call arrived", nil)
		}
	}
	if len(hooks.Found) > 0 {
		return
	}
	address := "https://YOUR_INGRESS/webhook/" + f.Name()
	if hooks.Unseen != "" {
		c.Report.Unseen(what, "none was seen that calls /webhook/"+f.Name()+", and not all are shown to this credential: "+hooks.Unseen,
			"look yourself, and where there is none "+hooks.Add+": "+address)
		return
	}
	c.Report.Say(what, "", command.Misconfigured(errors.New("nothing calls "+address+", so changes are found by polling alone: "+hooks.Add)))
}
