package preview

import (
	"strings"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// costLabels are what tools that tell costs apart read from a preview's namespace.
// Nothing of what an author writes is in them: a login is the forge's.
func costLabels(p *Preview) map[string]string {
	labels := map[string]string{}
	for name, value := range map[string]string{
		snapshot.LabelRepository: p.Repository, snapshot.LabelAuthor: p.PullRequest.Author, snapshot.LabelTeam: p.Team,
	} {
		if value = labelValue(value); value != "" {
			labels[name] = value
		}
	}
	return labels
}

// mostLabel is how long the value of a label may be.
const mostLabel = 63

// labelValue makes a text the value of a label. Slashes become dots, as in acme.shop,
// and whatever else may not be there a dash; the end of what is too long is left out.
func labelValue(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		case r == '/':
			return '.'
		}
		return '-'
	}, text)
	const edges = "-_."
	text = strings.TrimLeft(text, edges)
	return strings.TrimRight(text[:min(len(text), mostLabel)], edges)
}
