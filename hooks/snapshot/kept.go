package snapshot

import (
	"fmt"
	"strconv"
	"strings"
)

// maxKept is how long the annotation may be: all of an object's take 256 KiB.
const maxKept = 16 << 10

// keptMore ends a list that is longer.
const keptMore = "and %d more"

// KeptValue is the value of AnnotationKept: what of the data is as it was in
// production, a line each, as much as there is room for.
func KeptValue(kept []string) string {
	var b strings.Builder
	for i, what := range kept {
		what = strings.Join(strings.Fields(what), " ")
		if b.Len()+len(what)+len(keptMore)+20 > maxKept {
			fmt.Fprintf(&b, keptMore, len(kept)-i)
			return b.String()
		}
		b.WriteString(what + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// KeptFrom reads AnnotationKept of a Backup: what it lists, and how many there are
// beside. known is false for a Backup from before there was the annotation.
func KeptFrom(annotations map[string]string) (kept []string, more int, known bool) {
	text, known := annotations[AnnotationKept]
	if text == "" {
		return nil, 0, known
	}
	kept = strings.Split(text, "\n")
	prefix, suffix, _ := strings.Cut(keptMore, "%d")
	if last := kept[len(kept)-1]; strings.HasPrefix(last, prefix) && strings.HasSuffix(last, suffix) {
		if n, err := strconv.Atoi(last[len(prefix) : len(last)-len(suffix)]); err == nil {
			return kept[:len(kept)-1], n, true
		}
	}
	return kept, 0, true
}
