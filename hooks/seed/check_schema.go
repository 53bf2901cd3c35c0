package seed

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/dump"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/postgres"
	"github.com/seedling-dev/seedling/hooks/sqltext"
)

// step is one entry of the dump, ready to be executed.
type step struct {
	entry      *dump.Entry
	statements []string
}

// object is how messages call the entry.
func (s step) object() string { return s.entry.Kind + " " + s.entry.Name() }

// aboutLargeObjects says that the entry is a grant on some.
func (s step) aboutLargeObjects() bool { return strings.HasPrefix(s.entry.Tag, "LARGE OBJECT") }

// schema is everything of a dump but its rows, as statements.
type schema struct {
	pre, post           []step // of the main pass, before and after the rows
	grants              []step
	last                []step
	data                []tableData
	largeObjects        []*dump.Entry      // BLOBS
	largeObjectMetadata []*dump.Entry      // BLOB, BLOB METADATA
	left                map[string]int     // kinds left out, with their number
	foreign             map[mask.Name]bool // foreign tables, which become local and empty
	commented           bool               // there are comments on objects that are restored
	rewritten           []string           // objects that are restored differently, with the reason
	owners              *roleMap
	alone               bool     // there are no rows, of an extension's tables neither
	ownerless           bool     // it names no owners: see ownAll
	dropped             []string // extensions that the policy does without
}

// tableData is a TABLE DATA entry, with what its COPY statement names.
type tableData struct {
	*dump.Entry
	table   mask.Name
	columns []string
}

// readSchema turns the table of contents into statements, and refuses what is
// not on the allow lists. All that is wrong is said at once.
func readSchema(d *dump.Dump, p *mask.Policy, owner string) (*schema, error) {
	s := &schema{
		left: map[string]int{}, foreign: map[mask.Name]bool{},
		owners: &roleMap{mapping: p.Roles, owner: owner, missing: map[string][]string{}},
	}
	r := &schemaReader{schema: s, plain: d.Format == dump.Plain, comments: p.Comments, without: p.Extensions}
	var errs []error
	for _, e := range d.Entries {
		if err := r.add(e); err != nil {
			errs = append(errs, err)
		}
	}
	// What watches DDL comes when there is no more of it.
	slices.SortStableFunc(s.last, func(a, b step) int {
		return strings.Compare(eventLast(a), eventLast(b))
	})
	if err := s.owners.err(); err != nil {
		errs = append(errs, err)
	}
	switch {
	case s.ownerless && r.owned:
		errs = append(errs, command.Misconfiguredf("it names owners of some objects and not of others, which pg_dump does not: dump again, with or without --no-owner"))
	case s.ownerless:
		s.rewritten = append(s.rewritten, fmt.Sprintf("the dump names no owners (pg_dump --no-owner): all of it belongs to %s", owner))
	}
	if len(s.data) > 0 && len(s.pre) == 0 {
		return nil, command.Misconfiguredf("it holds rows and no tables (pg_dump --data-only): dump with the schema")
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return s, nil
}

// schemaReader sorts the entries of a table of contents.
type schemaReader struct {
	*schema
	plain    bool            // the dump's format
	comments bool            // the policy keeps them
	without  map[string]bool // extensions that the policy drops
	owned    bool            // some object names its owner
	noCopy   bool            // a table's rows are no COPY, and that was said
}

// add takes one entry, or says why it may not be in a dump.
func (r *schemaReader) add(e *dump.Entry) error {
	k, err := r.kindOf(e)
	if err != nil {
		return err
	}
	switch k.pass {
	case passNever:
		r.left[e.Kind]++
		return nil
	case passSession:
		return checkSession(e)
	case passRows:
		return r.addRows(e)
	}
	if r.plain && k.owner != "" {
		r.ownerless = r.ownerless || e.Owner == ""
		r.owned = r.owned || e.Owner != ""
	}
	st, err := r.step(e, k)
	switch {
	case err != nil:
		return err
	case len(st.statements) == 0:
	case k.pass == passGrants:
		r.grants = append(r.grants, st)
	case k.pass == passLast:
		r.last = append(r.last, st)
	case e.Section == dump.PostData || e.Kind == "SEQUENCE SET":
		r.post = append(r.post, st)
	default:
		r.pre = append(r.pre, st)
	}
	return nil
}

// kindOf is what the allow list and the policy say of an entry.
func (r *schemaReader) kindOf(e *dump.Entry) (kind, error) {
	k, known := kinds[e.Kind]
	switch {
	case !known:
		return k, command.Misconfiguredf("%s %s: entries of kind %q are not known to be safe", e.Kind, e.Name(), e.Kind)
	case e.WithOIDs:
		return k, command.Misconfiguredf("table %s has OIDs, which no current server stores", e.Name())
	}
	if e.Kind == "EXTENSION" {
		switch {
		case r.without[e.Tag]:
			r.dropped = append(r.dropped, e.Tag)
			r.rewritten = append(r.rewritten, fmt.Sprintf("extension %s is left out, as the policy says, with rows of its own tables", e.Tag))
			k = kind{pass: passNever}
		case e.Tag == "timescaledb":
			return k, command.Misconfiguredf(timescale)
		}
	}
	if e.Kind == "COMMENT" && !strings.HasPrefix(e.Tag, "DATABASE ") && !strings.HasPrefix(e.Tag, "LARGE OBJECT ") {
		r.commented = true
		switch {
		case r.comments && aboutEventTrigger(e):
			k = kind{pass: passLast, statements: k.statements}
		case r.comments:
			k = kind{pass: passGrants, statements: k.statements}
		}
	}
	if e.Schema == postgres.Schema || e.Kind == "SCHEMA" && e.Tag == postgres.Schema {
		return k, command.Misconfiguredf("%s %s: the schema %s belongs to seeds; this looks like a dump of a seed, not of production", e.Kind, e.Name(), postgres.Schema)
	}
	if (e.Kind == "ACL" || e.Kind == "COMMENT") && foreignGrant(e.Tag) {
		k = kind{pass: passNever}
	}
	if r.plain && e.Kind == "ACL" && strings.HasPrefix(e.Tag, "LARGE OBJECT") {
		k = kind{pass: passNever} // large objects of plain dumps are not read
	}
	return k, nil
}

// addRows takes an entry of table data or large objects.
func (r *schemaReader) addRows(e *dump.Entry) error {
	switch e.Kind {
	case "TABLE DATA":
		table, columns, err := copyTarget(e)
		if err != nil {
			if r.noCopy {
				return nil // one sentence will do: the whole dump was made so
			}
			r.noCopy = true
			return err
		}
		r.data = append(r.data, tableData{e, table, columns})
	case "BLOBS":
		r.largeObjects = append(r.largeObjects, e)
	default:
		r.largeObjectMetadata = append(r.largeObjectMetadata, e)
	}
	return nil
}

func eventLast(s step) string {
	switch {
	case s.entry.Kind == "EVENT TRIGGER":
		return "2"
	case aboutEventTrigger(s.entry):
		return "3"
	}
	return "1"
}

// aboutEventTrigger says that the entry is a comment on one.
func aboutEventTrigger(e *dump.Entry) bool {
	return e.Kind == "COMMENT" && strings.HasPrefix(e.Tag, "EVENT TRIGGER ")
}

// foreignGrant says that the tag of a grant or comment names an object that is
// not restored.
func foreignGrant(tag string) bool {
	for _, p := range []string{"FOREIGN DATA WRAPPER ", "FOREIGN SERVER ", "SERVER ", "DATABASE ", "SUBSCRIPTION "} {
		if strings.HasPrefix(tag, p) {
			return true
		}
	}
	return false
}

// checkSession refuses dumps whose text would have to be read in another way.
func checkSession(e *dump.Entry) error {
	switch e.Kind {
	case "ENCODING":
		if st, err := sqltext.Split(e.Create); err == nil && len(st) == 1 && len(st[0].Tokens) == 4 {
			if v, _ := st[0].Tokens[3].Value(); strings.EqualFold(strings.ReplaceAll(v, "-", ""), "utf8") || strings.EqualFold(v, "unicode") || strings.EqualFold(v, "sql_ascii") {
				return nil
			}
		}
		return command.Misconfiguredf("the dump's encoding is not UTF-8: dump with `pg_dump --encoding=UTF8`")
	case "STDSTRINGS":
		if strings.Contains(e.Create, "'off'") {
			return command.Misconfiguredf("the dump was made with standard_conforming_strings off, whose literals read differently: dump with it on")
		}
	}
	return nil
}

// copyTarget is what a TABLE DATA entry's COPY statement names.
func copyTarget(e *dump.Entry) (table mask.Name, columns []string, err error) {
	bad := command.Misconfiguredf("table %s: its COPY statement cannot be read", e.Name())
	if e.Copy == "" {
		return table, nil, command.Misconfiguredf("table %s: the dump holds its rows as INSERT statements (pg_dump --inserts), which are never executed: dump without that option", e.Name())
	}
	list, err := sqltext.Split(e.Copy)
	if err != nil || len(list) != 1 {
		return table, nil, bad
	}
	t := list[0].Tokens
	if len(t) < 6 || !t[0].Is("COPY") || !t[2].IsSymbol('.') {
		return table, nil, bad
	}
	var ok1, ok2 bool
	table.Schema, ok1 = t[1].Name()
	table.Name, ok2 = t[3].Name()
	if !ok1 || !ok2 {
		return table, nil, bad
	}
	t = t[4:]
	if t[0].IsSymbol('(') {
		for t = t[1:]; len(t) > 1; t = t[2:] {
			name, ok := t[0].Name()
			if !ok {
				return table, nil, bad
			}
			columns = append(columns, name)
			if t[1].IsSymbol(')') {
				t = t[2:]
				break
			}
			if !t[1].IsSymbol(',') {
				return table, nil, bad
			}
		}
	}
	if len(t) != 2 || !t[0].Is("FROM") || !t[1].Is("STDIN") {
		return table, nil, bad
	}
	return table, columns, nil
}
