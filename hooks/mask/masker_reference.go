package mask

import (
	"fmt"
	"strings"
)

// Reference returns the maskers' table in Markdown, made from the registry.
func Reference() []byte {
	var b strings.Builder
	b.WriteString(`<!-- Made by go test ./mask -run TestGenerated -update. Do not edit. -->
# Maskers

NULL stays NULL. In text columns an empty text stays empty, but for ` + "`null`, `constant`, `choice` and `credential`" + `. A value that a masker cannot read stops the import unless its option ` + "`malformed`" + ` says otherwise. The same original under the same key in the same column, link group or set of columns joined by foreign keys gets the same mask; that is also what an attacker who sees only masks always learns: which values were equal. Somebody who may choose originals (a user of production) can find their masks.

| masker | types | the mask | distinct originals stay distinct | what stays | what an attacker still learns |
|---|---|---|---|---|---|
`)
	for _, m := range maskerList {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", m.name, m.types(), m.doc.what, m.doc.unique, m.doc.keeps, m.doc.learns)
	}
	b.WriteString("\n# Options\n")
	for _, m := range maskerList {
		if len(m.options) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n", m.name)
		for _, o := range m.options {
			var notes []string
			if o.choices != nil {
				notes = append(notes, strings.Join(o.choices, ", "))
			}
			if o.kind == optInt {
				notes = append(notes, fmt.Sprintf("%d to %d", o.min, o.max))
			}
			switch {
			case o.required:
				notes = append(notes, "required")
			case o.fallback != nil && o.fallback != "":
				notes = append(notes, fmt.Sprintf("default %v", o.fallback))
			}
			note := ""
			if len(notes) > 0 {
				note = " (" + strings.Join(notes, "; ") + ")"
			}
			fmt.Fprintf(&b, "- `%s`%s: %s\n", o.name, note, o.doc)
		}
	}
	return []byte(b.String())
}
