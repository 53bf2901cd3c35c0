package guide

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/e2e/cluster"
)

// fence is a block of code in a document.
type fence struct {
	document string // from the repository's root
	section  string // the heading that it stands under
	language string
	text     string
}

// first is the line by which people know it.
func (f fence) first() string {
	line, _, _ := strings.Cut(strings.TrimLeft(f.text, "\n"), "\n")
	return line
}

// root is the repository's.
func root(t *testing.T) string {
	t.Helper()
	dir, err := cluster.Root()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// fences are those of a document, in its order.
func fences(t *testing.T, document string) []fence {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root(t), document))
	if err != nil {
		t.Fatal(err)
	}
	var all []fence
	var open *fence
	indent, section := "", ""
	for line := range strings.Lines(string(content)) {
		text := strings.TrimSpace(line)
		switch {
		case open == nil && strings.HasPrefix(text, "```"):
			indent = line[:strings.Index(line, "`")]
			open = &fence{document: document, section: section, language: strings.TrimPrefix(text, "```")}
		case open == nil && strings.HasPrefix(line, "#"):
			section = strings.TrimSpace(strings.TrimLeft(line, "#"))
		case open != nil && text == "```":
			all = append(all, *open)
			open = nil
		case open != nil:
			open.text += strings.TrimPrefix(line, indent)
		}
	}
	if open != nil {
		t.Fatalf("%s: a block of section %q does not end", document, open.section)
	}
	return all
}

// commands are the shell's blocks of a section.
func commands(t *testing.T, document, section string) []fence {
	t.Helper()
	var found []fence
	for _, f := range fences(t, document) {
		if f.section == section && f.language == "sh" {
			found = append(found, f)
		}
	}
	if len(found) == 0 {
		t.Fatalf("%s has no commands under %q", document, section)
	}
	return found
}

// edit is what a reader writes in place of what stands there.
type edit struct{ stands, write string }

// edited is a script with the reader's values. A value that does not stand there
// exactly once is an error: the document has changed.
func edited(t *testing.T, script string, edits ...edit) string {
	t.Helper()
	for _, e := range edits {
		if n := strings.Count(script, e.stands); n != 1 {
			t.Fatalf("%q stands %d times in:\n%s", e.stands, n, script)
		}
		script = strings.ReplaceAll(script, e.stands, e.write)
	}
	return script
}
