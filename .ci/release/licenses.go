package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// module is one that a program is linked with.
type module struct{ Path, Version, Dir string }

func (m module) String() string { return m.Path + "@" + m.Version }

// licensed is what a module is licensed under.
type licensed struct {
	module
	// IDs are those of SPDX, Texts the files that say so, by name.
	IDs   []string
	Texts map[string][]byte
}

// allowed are the licences of what may be in a program of ours: all let it be
// passed on with their text, and none asks for ours.
var allowed = []string{"Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MPL-2.0", "Zlib", "Unlicense", "CC0-1.0", "0BSD", "PostgreSQL", "Python-2.0"}

// beside are grants that come with a licence and ask for nothing.
var beside = []string{"GooglePatentsFile", "GooglePatentClause"}

// leastCovered is how much of a file's words must be a licence's, in percent. Notices
// of many authors stand around a short one.
const leastCovered = 50

var licenseFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents|unlicense)([-._].*)?$`)

// license reads a module's files about licences. One without, or under one that is
// not allowed, is an error.
func license(m module) (licensed, error) {
	l := licensed{module: m, Texts: map[string][]byte{}}
	entries, err := os.ReadDir(m.Dir)
	if err != nil {
		return l, fmt.Errorf("read the licence of %s: %w", m, err)
	}
	ids := map[string]bool{}
	for _, e := range entries {
		if !licenseFile.MatchString(e.Name()) || e.IsDir() || filepath.Ext(e.Name()) == ".go" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(m.Dir, e.Name()))
		if err != nil {
			return l, fmt.Errorf("read the licence of %s: %w", m, err)
		}
		l.Texts[e.Name()] = text
		found := licensecheck.Scan(text)
		if found.Percent < leastCovered {
			continue // a notice
		}
		for _, match := range found.Match {
			ids[match.ID] = true
		}
	}
	if len(ids) == 0 {
		return l, fmt.Errorf("module %s has no licence that is known: ask its authors, or do without it", m)
	}
	l.IDs = slices.Sorted(maps.Keys(ids))
	if !slices.ContainsFunc(l.IDs, func(id string) bool { return slices.Contains(allowed, id) }) {
		return l, fmt.Errorf("module %s is under %s, which is none of %s: do without it, or allow it with a reason", m, strings.Join(l.IDs, ", "), strings.Join(allowed, ", "))
	}
	for _, id := range l.IDs {
		if !slices.Contains(allowed, id) && !slices.Contains(beside, id) {
			return l, fmt.Errorf("part of module %s is under %s, which is none of %s: do without it, or allow it with a reason", m, id, strings.Join(allowed, ", "))
		}
	}
	return l, nil
}

// linked are the modules that a program is linked with, in the architectures of a
// release, with where their sources are; those of this repository are left out.
func (r *release) linked(ctx context.Context, folder string) ([]module, error) {
	found := map[string]module{}
	for _, arch := range architectures {
		said, err := output(ctx, filepath.Join(r.root, folder), []string{"GOWORK=off", "GOFLAGS=-mod=readonly", "CGO_ENABLED=0", "GOOS=linux", "GOARCH=" + arch},
			"go", "list", "-deps", "-json=Module", ".")
		if err != nil {
			return nil, err
		}
		for decoder := json.NewDecoder(strings.NewReader(said)); ; {
			var p struct {
				Module *struct {
					module
					Main    bool
					Replace *module
				}
			}
			if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("list the modules of %s: %w", folder, err)
			}
			if m := p.Module; m != nil && !m.Main && (m.Replace == nil || !strings.HasPrefix(m.Replace.Path, ".")) {
				found[m.String()] = m.module
			}
		}
	}
	return slices.SortedFunc(maps.Values(found), func(a, b module) int { return strings.Compare(a.String(), b.String()) }), nil
}

// licenses are those of everything that a release's programs are linked with.
type licenses map[string]licensed

func (ls licenses) add(modules []module) error {
	var wrong []error
	for _, m := range modules {
		if _, known := ls[m.String()]; known {
			continue
		}
		l, err := license(m)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		ls[m.String()] = l
	}
	return errors.Join(wrong...)
}

// write writes each licence's text, which most of them ask to be passed on, once, with
// all that are under it; a list of them first.
func (ls licenses) write(path string) error {
	var b bytes.Buffer
	b.WriteString("What the programs of this release are linked with, and under which licences. Go itself is under BSD-3-Clause (https://go.dev/LICENSE).\n\n")
	texts, order := map[string][]string{}, []string{}
	for _, name := range slices.Sorted(maps.Keys(ls)) {
		l := ls[name]
		fmt.Fprintf(&b, "%s %s\n", name, strings.Join(l.IDs, ", "))
		for _, file := range slices.Sorted(maps.Keys(l.Texts)) {
			text := string(l.Texts[file])
			if texts[text] == nil {
				order = append(order, text)
			}
			texts[text] = append(texts[text], name+" "+file)
		}
	}
	for _, text := range order {
		fmt.Fprintf(&b, "\n%s\n%s\n\n%s\n", strings.Repeat("=", 80), strings.Join(texts[text], "\n"), strings.TrimRight(text, "\n"))
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}
