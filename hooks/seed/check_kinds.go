package seed

// pass is when an entry of the table of contents is restored.
type pass int

const (
	never   pass = iota // known, and left out on purpose
	main                // in the order of the table of contents
	grants              // after everything of the main pass
	last                // after the grants: what runs code of the database
	rows                // table data and large objects
	session             // settings of the session, checked and not restored
)

// kind says what may be done with one kind of entry.
type kind struct {
	pass pass
	// why an entry is left out
	why string
	// statements that an entry of this kind may consist of
	statements []string
	// owner: "" has none; "name" and "schema.name" build the ALTER statement
	// from the kind and the tag; "drop" takes the object from its DROP
	// statement
	owner string
	// noun in the ALTER ... OWNER statement, where it is not the kind
	noun string
}

// afterData are kinds of entries that any schema of a production has some of, and
// that pg_dump writes behind the rows.
var afterData = map[string]bool{
	"CONSTRAINT": true, "FK CONSTRAINT": true, "INDEX": true, "TRIGGER": true, "RULE": true, "POLICY": true, "ROW SECURITY": true,
}

// kinds is the allow list. A kind that is not here stops the import: it may
// need a decision of its own.
var kinds = map[string]kind{
	"ENCODING":   {pass: session},
	"STDSTRINGS": {pass: session},
	"SEARCHPATH": {pass: session},

	"ACCESS METHOD":                {pass: main, statements: []string{"CREATE ACCESS METHOD"}},
	"AGGREGATE":                    {pass: main, owner: "drop", statements: []string{"CREATE AGGREGATE"}},
	"CAST":                         {pass: main, statements: []string{"CREATE CAST"}},
	"CHECK CONSTRAINT":             {pass: main, statements: []string{"ALTER TABLE", "ALTER FOREIGN TABLE", "ALTER DOMAIN"}},
	"COLLATION":                    {pass: main, owner: "schema.name", statements: []string{"CREATE COLLATION"}},
	"CONSTRAINT":                   {pass: main, statements: []string{"ALTER TABLE", "ALTER FOREIGN TABLE", "ALTER INDEX"}},
	"CONVERSION":                   {pass: main, owner: "schema.name", statements: []string{"CREATE CONVERSION"}},
	"DEFAULT":                      {pass: main, statements: []string{"ALTER TABLE", "ALTER FOREIGN TABLE"}},
	"DOMAIN":                       {pass: main, owner: "schema.name", statements: []string{"CREATE DOMAIN", "ALTER DOMAIN"}},
	"EXTENSION":                    {pass: main, statements: []string{"CREATE EXTENSION"}},
	"FK CONSTRAINT":                {pass: main, statements: []string{"ALTER TABLE"}},
	"FOREIGN TABLE":                {pass: main, owner: "schema.name", noun: "TABLE", statements: []string{"CREATE FOREIGN TABLE", "ALTER FOREIGN TABLE", "ALTER TABLE"}},
	"FUNCTION":                     {pass: main, owner: "drop", statements: []string{"CREATE FUNCTION", "ALTER FUNCTION"}},
	"INDEX":                        {pass: main, statements: []string{"CREATE INDEX", "ALTER INDEX", "ALTER TABLE"}},
	"INDEX ATTACH":                 {pass: main, statements: []string{"ALTER INDEX"}},
	"MATERIALIZED VIEW":            {pass: main, owner: "schema.name", statements: []string{"CREATE MATERIALIZED VIEW", "ALTER MATERIALIZED VIEW", "ALTER TABLE"}},
	"OPERATOR":                     {pass: main, owner: "drop", statements: []string{"CREATE OPERATOR"}},
	"OPERATOR CLASS":               {pass: main, owner: "drop", statements: []string{"CREATE OPERATOR CLASS"}},
	"OPERATOR FAMILY":              {pass: main, owner: "drop", statements: []string{"CREATE OPERATOR FAMILY", "ALTER OPERATOR FAMILY"}},
	"POLICY":                       {pass: main, statements: []string{"CREATE POLICY"}},
	"PROCEDURAL LANGUAGE":          {pass: main, owner: "name", noun: "LANGUAGE", statements: []string{"CREATE LANGUAGE"}},
	"PROCEDURE":                    {pass: main, owner: "drop", statements: []string{"CREATE PROCEDURE", "ALTER PROCEDURE"}},
	"PUBLICATION":                  {pass: main, statements: []string{"CREATE PUBLICATION", "ALTER PUBLICATION"}},
	"PUBLICATION TABLE":            {pass: main, statements: []string{"ALTER PUBLICATION"}},
	"PUBLICATION TABLES IN SCHEMA": {pass: main, statements: []string{"ALTER PUBLICATION"}},
	"ROW SECURITY":                 {pass: main, statements: []string{"ALTER TABLE"}},
	"RULE":                         {pass: main, statements: []string{"CREATE RULE", "CREATE VIEW", "ALTER TABLE"}},
	"SCHEMA":                       {pass: main, owner: "name", statements: []string{"CREATE SCHEMA"}},
	"SEQUENCE":                     {pass: main, owner: "schema.name", statements: []string{"CREATE SEQUENCE", "ALTER TABLE", "ALTER SEQUENCE"}},
	"SEQUENCE OWNED BY":            {pass: main, statements: []string{"ALTER SEQUENCE"}},
	"SEQUENCE SET":                 {pass: main, statements: []string{"SELECT SETVAL"}},
	"SHELL TYPE":                   {pass: main, statements: []string{"CREATE TYPE"}},
	"STATISTICS":                   {pass: main, owner: "schema.name", statements: []string{"CREATE STATISTICS", "ALTER STATISTICS"}},
	"TABLE":                        {pass: main, owner: "schema.name", statements: []string{"CREATE TABLE", "ALTER TABLE"}},
	"TABLE ATTACH":                 {pass: main, statements: []string{"ALTER TABLE"}},
	"TEXT SEARCH CONFIGURATION":    {pass: main, owner: "schema.name", statements: []string{"CREATE TEXT SEARCH CONFIGURATION", "ALTER TEXT SEARCH CONFIGURATION"}},
	"TEXT SEARCH DICTIONARY":       {pass: main, owner: "schema.name", statements: []string{"CREATE TEXT SEARCH DICTIONARY"}},
	"TEXT SEARCH PARSER":           {pass: main, statements: []string{"CREATE TEXT SEARCH PARSER"}},
	"TEXT SEARCH TEMPLATE":         {pass: main, statements: []string{"CREATE TEXT SEARCH TEMPLATE"}},
	"TRANSFORM":                    {pass: main, statements: []string{"CREATE TRANSFORM"}},
	"TRIGGER":                      {pass: main, statements: []string{"CREATE TRIGGER", "ALTER TABLE", "ALTER FOREIGN TABLE", "ALTER TRIGGER"}},
	"TYPE":                         {pass: main, owner: "schema.name", statements: []string{"CREATE TYPE", "ALTER TYPE"}},
	"VIEW":                         {pass: main, owner: "schema.name", statements: []string{"CREATE VIEW", "ALTER VIEW", "ALTER TABLE"}},

	"ACL":         {pass: grants, why: "what they grant on is not restored", statements: []string{"GRANT", "REVOKE", "SET SESSION AUTHORIZATION", "RESET SESSION AUTHORIZATION"}},
	"DEFAULT ACL": {pass: grants, statements: []string{"ALTER DEFAULT PRIVILEGES", "SET SESSION AUTHORIZATION", "RESET SESSION AUTHORIZATION"}},

	"EVENT TRIGGER":          {pass: last, statements: []string{"CREATE EVENT TRIGGER", "ALTER EVENT TRIGGER"}},
	"MATERIALIZED VIEW DATA": {pass: last, statements: []string{"REFRESH MATERIALIZED VIEW"}},

	"TABLE DATA":    {pass: rows},
	"BLOBS":         {pass: rows},
	"BLOB":          {pass: rows, statements: []string{"SELECT LO_CREATE"}},
	"BLOB METADATA": {pass: rows},

	"COMMENT":              {pass: never, why: "comments are restored only where the policy keeps them", statements: []string{"COMMENT ON"}},
	"DATABASE":             {pass: never, why: "the seed's database is made by the import"},
	"DATABASE PROPERTIES":  {pass: never, why: "settings of the database belong to the seed, not to the dump"},
	"FOREIGN DATA WRAPPER": {pass: never, why: "foreign data stays outside"},
	"FOREIGN SERVER":       {pass: never, why: "foreign servers name production systems"},
	"SERVER":               {pass: never, why: "foreign servers name production systems"},
	"USER MAPPING":         {pass: never, why: "user mappings hold passwords"},
	"SUBSCRIPTION":         {pass: never, why: "subscriptions would connect to production"},
	"SUBSCRIPTION TABLE":   {pass: never, why: "subscriptions would connect to production"},
	"STATISTICS DATA":      {pass: never, why: "most common values are raw values"},
	"SECURITY LABEL":       {pass: never, why: "security labels belong to the dumped system"},
}
