package mask

import "slices"

// proposeExtension keeps what an extension works by: names of tables, projections
// and periods, of which masks make nonsense that stops it. What is named like a
// secret or an address is judged as everywhere.
func proposeExtension(c *columnState) (proposal, bool) {
	name := snake(c.Name)
	private := secret.MatchString(name) || slices.ContainsFunc(namePatterns, func(g namePattern) bool {
		return (g.rule == "email" || g.rule == "phone") && g.name.MatchString(name)
	})
	if c.table.Extension == "" || private {
		return proposal{}, false
	}
	return proposal{"keep", true, ""}, true
}

// extensionNote says in a policy why a table is kept.
func (t *tableState) extensionNote() string {
	if t.Extension == "" {
		return ""
	}
	return "    # the settings of extension " + comment(t.Extension) + ", which works by them: kept as they are\n"
}
