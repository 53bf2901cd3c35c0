package web

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/seedling-dev/seedling/plugin/preview"
)

// statusPage says in plain text what is wrong, and how every repository is
// doing.
func statusPage(s preview.Status, previews []preview.Preview) string {
	var b strings.Builder
	phases := map[preview.Phase]int{}
	for _, p := range previews {
		phases[p.Phase]++
	}
	fmt.Fprintf(&b, "previews: %d live, %d held back, %d ending\n", phases[preview.Live], phases[preview.Held], phases[preview.Ending])
	if s.Broken > 0 {
		fmt.Fprintf(&b, "STATE: that of %d repositories cannot be read; their previews stay as they are. See the plugin's log\n", s.Broken)
	}
	for _, set := range slices.Sorted(maps.Keys(s.Withheld)) {
		fmt.Fprintf(&b, "WITHHELD: %s\n", s.Withheld[set].Sentence)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Queues)) {
		if until := s.Queues[name].LimitedUntil; !until.IsZero() {
			fmt.Fprintf(&b, "LIMITED: forge %s wants no calls until %s\n", name, until.UTC().Format(time.RFC3339))
		}
	}
	slices.SortFunc(s.Repositories, func(x, y preview.RepositoryStatus) int {
		return cmp.Or(cmp.Compare(x.Forge, y.Forge), cmp.Compare(x.Repository, y.Repository))
	})
	for _, r := range s.Repositories {
		listed := "never listed"
		if !r.Listed.IsZero() {
			listed = fmt.Sprintf("listed %s in %s", r.Listed.UTC().Format(time.RFC3339), r.Took.Round(time.Millisecond))
		}
		fmt.Fprintf(&b, "repository %s %s: %s", r.Forge, r.Repository, listed)
		if r.Problem != nil {
			fmt.Fprintf(&b, "; PROBLEM: %v", r.Problem)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
