package mask

import (
	"regexp"
	"slices"
	"strings"
)

// frameworkTables are what the usual frameworks write about an application's own
// schema: which migrations were applied, which models there are. An application that
// does not find itself there runs its migrations again, or does not start.
var frameworkTables = regexp.MustCompile(`^(?:(?:[a-z0-9]+_)*migrations?(?:_(?:history|lock|info|log|versions?))?|(?:[a-z0-9]+_)*ef_?migrations_?history|(?:[a-z0-9]+_)*schema_(?:history|versions?|info|metadata|revisions)` +
	`|databasechangelog(?:lock)?|alembic_version(?:_[a-z0-9]+)?|ar_internal_metadata|sequelize_?(?:meta|data)|phinxlog|pgmigrations|goose_db_version|play_evolutions|doctrine_migration_versions|migratehistory|schemaversions|django_content_type|auth_permission)$`)

// frameworkColumns are those of their columns that it looks itself up by.
var frameworkColumns = nameWords(`id|version(?:_num|_rank)?|name|app|app_label|model|code_?name|migration(?:_?(?:name|id))?|product_?version|script(?:_?name)?|file_?name|description|type|check_?sum|md5sum|hash|tag|key|value|exec_?type|liquibase|contexts|labels|deployment_id|state|is_locked|rules_checksum`)

// proposeFramework keeps what a framework knows an application's schema by, where its
// values name nobody. Who wrote a migration is judged as everywhere.
func proposeFramework(c *columnState, s *Sample) (proposal, bool) {
	name := spoken(c.Name)
	switch {
	case !c.table.isFramework(), !frameworkColumns.MatchString(name), secret.MatchString(name), nameGrade(name) == personWord:
		return proposal{}, false
	case s != nil && (s.share(s.surely) > .1 || s.looks["email"]+s.looks["phone"]+s.looks["credential"] > 0):
		return proposal{}, false // not by its numbers: a migration's is a time, of fourteen digits
	case namesSomebody(spoken(c.table.Name)) && c.kind() == kindText && (s == nil || s.values == 0 || s.named+s.within > 0):
		return proposal{}, false // patient_migrations: of people, as long as no value says of what else
	}
	return proposal{"keep", true, ""}, true
}

// isFramework tells by the name, and by a column that such tables have.
func (t *tableState) isFramework() bool {
	if !frameworkTables.MatchString(strings.TrimLeft(spoken(t.Name), "_")) || len(t.columnStates) > 16 {
		return false
	}
	return slices.ContainsFunc(t.columnStates, func(c *columnState) bool { return frameworkColumns.MatchString(spoken(c.Name)) })
}

// frameworkNote says in a policy why a table is kept.
func (d *drafter) frameworkNote(t *tableState) string {
	kept := func(c *columnState) bool {
		p, ok := proposeFramework(c, d.samples[c.qualified])
		return ok && c.kind() == kindText && p.rule == "keep"
	}
	if !slices.ContainsFunc(t.columnStates, kept) {
		return ""
	}
	return "    # which migrations were applied, or which models there are: the application looks itself up here\n"
}
