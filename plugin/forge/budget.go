package forge

import (
	"net/http"
	"strconv"
)

// Budget is what is used of a forge, and what is left.
type Budget struct {
	// Calls is how many calls were made since the start.
	Calls uint64
	// Remaining is how many calls the forge said are left until its limit begins
	// anew; Known says whether it did.
	Remaining int64
	Known     bool
}

// Budgeted is a Forge that knows its budget.
type Budgeted interface{ Budget() Budget }

// Budget implements Budgeted.
func (g *Gitea) Budget() Budget { return budgetOf(g.http) }

// Budget implements Budgeted.
func (g *GitHub) Budget() Budget { return budgetOf(g.http) }

// Budget implements Budgeted.
func (g *GitLab) Budget() Budget { return budgetOf(g.http) }

// Budget implements Budgeted.
func (b *Bitbucket) Budget() Budget { return budgetOf(b.http) }

// Budget implements Budgeted.
func (b *BitbucketDC) Budget() Budget { return budgetOf(b.http) }

// Budget implements Budgeted.
func (a *Azure) Budget() Budget { return budgetOf(a.http) }

// budgetOf is the budget of a client of newClient.
func budgetOf(c *http.Client) Budget {
	t, ok := c.Transport.(*transport)
	if !ok {
		return Budget{}
	}
	left := t.remaining.Load()
	return Budget{Calls: t.calls.Load(), Remaining: left - 1, Known: left > 0}
}

// count notes a call, and what the forge says is left after it: one more than
// that, so that 0 is for not known.
func (t *transport) count(res *http.Response) {
	t.calls.Add(1)
	if res == nil {
		return
	}
	for _, name := range []string{"X-Ratelimit-Remaining", "Ratelimit-Remaining"} {
		if n, err := strconv.ParseInt(res.Header.Get(name), 10, 64); err == nil && n >= 0 {
			t.remaining.Store(n + 1)
			return
		}
	}
}
