package forgetest

import (
	"fmt"
	"os"
	"testing"

	"github.com/seedling-dev/seedling/plugin/forge"
)

// BenchmarkPoll prints how many calls a poll makes of a repository with 1,000
// open pull requests, 50 of them labelled: the first, one when nothing changed,
// and one when a labelled pull request did.
func BenchmarkPoll(b *testing.B) {
	for name, k := range map[string]Kind{"gitea": Gitea(), "github": GitHub(), "gitlab": GitLab(), "bitbucket": Bitbucket(), "bitbucketdc": BitbucketDC(), "azure": Azure()} {
		w := thousand()
		f := open(b, k, w)
		poll := func() int {
			before := w.Calls
			list, err := read(b.Context(), f.List(Repository, forge.Query{Label: k.label()}))
			if err != nil {
				b.Fatal(err)
			}
			n := 0
			for _, p := range list.PullRequests {
				if p.HasLabel(k.label()) {
					n++
				}
			}
			if n != 50 {
				b.Fatalf("%s: %d listed", name, n)
			}
			return w.Calls - before
		}
		fmt.Fprintf(os.Stderr, "FIGURE forge_calls_first_%s %d calls_per_poll\n", name, poll())
		fmt.Fprintf(os.Stderr, "FIGURE forge_calls_unchanged_%s %d calls_per_poll\n", name, poll())
		later(w, 7, 1, func(p *Pull) { p.Title = "Another" })
		fmt.Fprintf(os.Stderr, "FIGURE forge_calls_changed_%s %d calls_per_poll\n", name, poll())
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				poll()
			}
		})
	}
}
