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
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	slugged = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	inline  = regexp.MustCompile("`make (?:-s )?([a-z][a-z0-9-]*)(?:`| [A-Z])")
)

// TestLinks: what a document leads to is there, the heading too, and make has
// the targets that it names.
func TestLinks(t *testing.T) {
	t.Parallel()
	dir := root(t)
	list := exec.CommandContext(t.Context(), "git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md")
	list.Dir = dir
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile(filepath.Join(dir, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	followed := 0
	for name := range strings.Lines(string(out)) {
		name = strings.TrimSpace(name)
		text := read(t, filepath.Join(dir, name))
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			path, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(path, "://") || strings.HasPrefix(path, "mailto:") {
				continue
			}
			followed++
			target := filepath.Join(dir, name)
			if path != "" {
				target = filepath.Join(dir, filepath.Dir(name), path)
			}
			info, err := os.Stat(target)
			if err != nil {
				t.Errorf("%s leads to %s, which is not there", name, m[1])
				continue
			}
			if anchor != "" && !info.IsDir() && strings.HasSuffix(target, ".md") && !anchors(t, target)[anchor] {
				t.Errorf("%s leads to %s, and no heading is called that", name, m[1])
			}
		}
		for _, m := range inline.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(string(makefile), "\n"+m[1]+":") {
				t.Errorf("%s: make has no target %s", name, m[1])
			}
		}
	}
	if followed < 100 {
		t.Errorf("only %d links", followed)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// anchors are the names under which a Git host puts a document's headings.
func anchors(t *testing.T, path string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(read(t, path), -1) {
		title := link.ReplaceAllString(m[1], "")
		found[strings.ReplaceAll(slugged.ReplaceAllString(strings.ToLower(title), ""), " ", "-")] = true
	}
	return found
}
