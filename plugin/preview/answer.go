package preview

import (
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// parameters are what Argo CD gets of one preview: strings all of them,
// because its templates print numbers as floats. Only head_sha, namespace,
// app_name, number, seed, preview_host and preview_url belong in an
// Application's spec; the others change while a preview lives.
func parameters(p *Preview, in Input) map[string]string {
	pr := p.PullRequest
	labels := append([]string(nil), pr.Labels...)
	sort.Strings(labels)
	return map[string]string{
		"number":         strconv.FormatInt(p.Number, 10),
		"title":          pr.Title,
		"branch":         pr.Branch,
		"branch_slug":    Slug(pr.Branch, 50),
		"target_branch":  pr.TargetBranch,
		"head_sha":       p.HeadSHA,
		"head_short_sha": short(p.HeadSHA),
		"author":         pr.Author,
		"namespace":      p.Namespace,
		"app_name":       p.Namespace,
		"seed":           p.Seed,
		"pr_url":         pr.URL,
		"preview_host":   in.host(p.OwnName()),
		"preview_url":    in.url(p.OwnName()),
		"expires_at":     rfc(p.ExpiresAt),
		"labels":         strings.Join(labels, ","),
	}
}

// answer is the body of a generator's answer, validated: a body that Argo CD
// would read as fewer previews than meant never leaves.
func answer(previews []*Preview, in Input) ([]byte, error) {
	list := make([]map[string]string, 0, len(previews))
	seen := map[string]bool{}
	for _, p := range previews {
		if seen[p.Namespace] || p.Phase != Live || p.NamespaceUID == "" && snapshot.IsSlot(p.Namespace) || !commit.MatchString(p.HeadSHA) {
			return nil, fmt.Errorf("preview %s is not fit to be emitted: this is a bug", p.Namespace)
		}
		seen[p.Namespace] = true
		values := parameters(p, in)
		in.tell(p, values)
		list = append(list, values)
	}
	return json.Marshal(map[string]any{"output": map[string]any{"parameters": list}})
}
