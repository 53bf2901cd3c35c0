package preview

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/seedling-dev/seedling/plugin/forge"
)

// Bounds of what a pull request brings into the state, in bytes. They are far
// above what anybody reads; a name that a decision needs is never cut.
const (
	maxTitle  = 256
	maxText   = 512
	maxLabels = 1 << 10
)

// bounded cuts what an author can make long. Labels that decide something are
// never left out.
func bounded(pr forge.PullRequest, watched []string) forge.PullRequest {
	pr.Title = cut(pr.Title, maxTitle)
	for _, field := range []*string{&pr.Author, &pr.Branch, &pr.TargetBranch, &pr.HeadRepository, &pr.URL, &pr.HeadSHA} {
		*field = cut(*field, maxText)
	}
	room := maxLabels
	var labels []string
	for _, label := range pr.Labels {
		if slices.Contains(watched, label) {
			labels = append(labels, label)
		} else if room -= len(label); room >= 0 {
			labels = append(labels, cut(label, maxText))
		}
	}
	pr.Labels = labels
	return pr
}

// cut takes control characters out of a text, and shortens it to at most so many
// bytes, at the border of a character.
func cut(text string, most int) string {
	if strings.ContainsFunc(text, unicode.IsControl) {
		text = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return -1
			}
			return r
		}, text)
	}
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}
