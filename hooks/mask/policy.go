package mask

// Policy is a parsed policy file: what happens to every column of a dump.
type Policy struct {
	// Roles maps roles of the dump to roles of the seed.
	Roles map[string]string
	// MadeRoles are the roles of the seed that the import makes, by name.
	MadeRoles map[string]MadeRole
	// Extensions are those of the dump that the seed does without.
	Extensions map[string]bool
	// Accept lists schema literals, and what verify found in kept columns, that a
	// person has looked at.
	Accept []Accept
	// Comments says that comments of the dump are restored.
	Comments bool
	// MinDistinct is how many distinct originals a masked column must have in
	// the sample not to be warned about; 0 never warns. It changes no row, and
	// so is not in the digest.
	MinDistinct int

	largeObjects string            // "", "keep" or "none"
	links        map[string][]link // by name
	tables       []tableRule
	logins       []loginRule
	types        map[string]*rule // by type name
}

// Accept is one thing that a person has accepted.
type Accept struct {
	Object string `json:"object"`
	SHA256 string `json:"sha256"`
}

// MadeRole is a role that the import makes: without login, password or attributes.
type MadeRole struct {
	// Members may SET ROLE to it. With Inherit they have its rights all the time, and
	// its row security policies apply to them.
	Members []string `json:"members,omitempty"`
	Inherit bool     `json:"inherit,omitempty"`
}

type link struct {
	column ColumnName
	line   int
}

type tableRule struct {
	schema, table pattern
	rows          *rowsRule // nil: not said
	columns       []columnRule
	indexes       []indexRule
	line          int
}

// LineOf is the line of the policy's entry for a table, 0 where it has none of
// the table's own.
func (p *Policy) LineOf(n Name) int {
	for _, t := range p.tables {
		if t.exact() && t.schema.text == n.Schema && t.table.text == n.Name {
			return t.line
		}
	}
	return 0
}

func (t tableRule) String() string { return t.schema.String() + "." + t.table.String() }

func (t tableRule) exact() bool { return !t.schema.wild && !t.table.wild }

type columnRule struct {
	column pattern
	rule   *rule
}

// rowsRule says which rows of a table are loaded.
type rowsRule struct {
	none  bool
	where []condition
	// onMissing is what happens to rows that reference a dropped one, "" when
	// not said.
	onMissing string
	line      int
}

// condition is one test of a row filter: all of its parts must hold.
type condition struct {
	column string
	// null, when set, asks for NULL (true) or NOT NULL (false).
	null *bool
	// in holds the accepted, notIn the refused values.
	in, notIn []string
	// from is the least accepted value, below the first refused one.
	from, below *string
	// newest is how many hours before the dump a value may lie, 0 when not said.
	newest int
	// share is the part of the column's values that are accepted, in percent, 0
	// when not said.
	share float64
	line  int
}

// subset says that the condition is there to make the seed smaller, whatever the
// rows are about.
func (c condition) subset() bool { return c.newest > 0 || c.share > 0 }
