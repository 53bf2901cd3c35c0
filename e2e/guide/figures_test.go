package guide

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	figureName = regexp.MustCompile("`([a-z][a-z0-9_…]*|…[a-z0-9_…]*|_[a-z0-9_…]*)`")
	measure    = regexp.MustCompile(`(?m)^((?:bench|compare|soak)-[a-z-]+|demo):.*## (.*)$`)
)

// TestFigures: what docs/figures.md says is printed stands in a program, and what
// measures is in it.
func TestFigures(t *testing.T) {
	t.Parallel()
	dir := root(t)
	document := read(t, filepath.Join(dir, "docs/figures.md"))
	list := exec.CommandContext(t.Context(), "git", "ls-files", "--cached", "--others", "--exclude-standard", "*.go")
	list.Dir = dir
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	var programs strings.Builder
	for name := range strings.Lines(string(out)) {
		content, err := os.ReadFile(filepath.Join(dir, strings.TrimSpace(name)))
		if err != nil {
			t.Fatal(err)
		}
		programs.Write(content)
	}
	looked := 0
	for line := range strings.Lines(document) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || !strings.Contains(cells[2], "`make ") {
			continue
		}
		for _, m := range figureName.FindAllStringSubmatch(cells[3], -1) {
			for part := range strings.SplitSeq(m[1], "…") {
				if part = strings.Trim(part, "_"); part == "" {
					continue
				}
				looked++
				if !strings.Contains(programs.String(), part) {
					t.Errorf("no program prints %s", m[1])
				}
			}
		}
	}
	if looked < 30 {
		t.Errorf("only %d figures were found in the document", looked)
	}
	for _, m := range measure.FindAllStringSubmatch(read(t, filepath.Join(dir, "Makefile")), -1) {
		if !strings.Contains(document, "`make "+m[1]) && (!strings.HasPrefix(m[1], "soak-") || strings.Contains(m[2], "FIGURE")) {
			t.Errorf("docs/figures.md has no make %s", m[1])
		}
	}
}
