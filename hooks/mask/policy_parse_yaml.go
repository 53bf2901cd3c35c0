package mask

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

func (p *parser) fail(n *yaml.Node, format string, args ...any) {
	p.errs = append(p.errs, &RuleError{Line: n.Line, err: fmt.Errorf(format, args...)})
}

// deref follows an alias.
func deref(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return "a single value"
}

// mapping calls each for every pair, after refusing duplicates. It reports
// false when n is no mapping.
func (p *parser) mapping(n *yaml.Node, what string, each func(key string, k, v *yaml.Node)) bool {
	if n.Kind != yaml.MappingNode {
		p.fail(n, "%s must be a mapping, it is %s", what, describe(n))
		return false
	}
	// Aliases let a small file nest without end, and no policy is deep.
	if p.depth++; p.depth > 64 {
		p.fail(n, "%s nests too deeply", what)
		return false
	}
	defer func() { p.depth-- }()
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := deref(n.Content[i]), deref(n.Content[i+1])
		if k.Kind != yaml.ScalarNode || k.Tag == "!!merge" {
			p.fail(k, "%s: a key must be a plain name", what)
			continue
		}
		if line, dup := seen[k.Value]; dup {
			p.fail(k, "%s: %q stands here twice (first in line %d)", what, k.Value, line)
			continue
		}
		seen[k.Value] = k.Line
		each(k.Value, k, v)
	}
	return true
}

func (p *parser) unknown(k *yaml.Node, what, name string, known []string) {
	if n := nearest(name, known); n != "" {
		p.fail(k, "unknown %s %q, did you mean %q?", what, name, n)
		return
	}
	p.fail(k, "unknown %s %q, known are %s", what, name, strings.Join(known, ", "))
}

func (p *parser) str(n *yaml.Node, what string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		p.fail(n, "%s must be a text", what)
		return "", false
	}
	return n.Value, true
}

// whole reads a whole number, and refuses what YAML 1.1 takes for octal and 1.2 does
// not.
func (p *parser) whole(n *yaml.Node, what string, least, most int) int {
	v, err := strconv.Atoi(n.Value)
	if n.Tag != "!!int" || err != nil || strconv.Itoa(v) != n.Value || v < least || v > most {
		p.fail(n, "%s must be a whole number from %d to %d", what, least, most)
		return least
	}
	return v
}

// sortedKeys returns the keys of m in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// nearest returns the candidate most like s, or "" when none is close: for
// "did you mean".
func nearest(s string, candidates []string) string {
	best, bestDist := "", max(2, len(s)/3)+1
	for _, c := range candidates {
		if d := distance(strings.ToLower(s), strings.ToLower(c)); d < bestDist {
			best, bestDist = c, d
		}
	}
	return best
}

// distance is the Levenshtein distance.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diag := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diag
			if a[i-1] != b[j-1] {
				cost = 1 + min(diag, row[j], row[j-1])
			}
			diag, row[j] = row[j], cost
		}
	}
	return row[len(b)]
}
