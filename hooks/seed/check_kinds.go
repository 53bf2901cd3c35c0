package seed

// pass is when an entry of the table of contents is restored, as pg_restore calls it.
type pass int

const (
	passNever   pass = iota // known, and left out on purpose
	passMain                // in the order of the table of contents
	passGrants              // after everything of the main pass
	passLast                // after the grants: what runs code of the database
	passRows                // table data and large objects
	passSession             // settings of the session, checked and not restored
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

// afterData are kinds of entries that pg_dump writes behind the rows. The schema of
// any production has some of them.
var afterData = map[string]bool{
	"CONSTRAINT": true, "FK CONSTRAINT": true, "INDEX": true, "TRIGGER": true, "RULE": true, "POLICY": true, "ROW SECURITY": true,
}

// kinds is the allow list. A kind that is not here stops the import: it may
// need a decision of its own.
var kinds = map[string]kind{
	"ENCODING":   {pass: passSession},
	"STDSTRINGS": {pass: passSession},
	"SEARCHPATH": {pass: passSession},

	"ACCESS METHOD":                {pass: passMain, statements: []string{"CREATE ACCESS METHOD"}},
	"AGGREGATE":                    {pass: passMain, owner: "drop", statements: []string{"CREATE AGGREGATE"}},
	"CAST":                         {pass: passMain, statements: []string{"CREATE CAST"}},
	"CHECK CONSTRAINT":             {pass: passMain, statements: []string{"ALTER TABLE", "ALTER FOREIGN TABLE", "ALTER DOMAIN"}},
	"COLLATION":                    {pass: passMain, owner: "schema.name", statements: []string{"CREATE COLLATION"}},
	"CONSTRAINT":                   {pass: passMain, statements: []string{"ALTER TABLE", "ALTER FOREIGN TABLE", "ALTER INDEX"}},
	"CONVERSION":                   {pass: passMain, owner: "schema.name", statements: []string{"CREATE CONVERSION"}},
	"DEFAULT":                      {pass: passMain, statements: []string{"ALTER TABLE", "ALTER FOREIGN TABLE"}},
	"DOMAIN":                       {pass: passMain, owner: "schema.name", statements: []string{"CREATE DOMAIN", "ALTER DOMAIN"}},
	"EXTENSION":                    {pass: passMain, why: "the policy does without them", statements: []string{"CREATE EXTENSION"}},
	"FK CONSTRAINT":                {pass: passMain, statements: []string{"ALTER TABLE"}},
	"FOREIGN TABLE":                {pass: passMain, owner: "schema.name", noun: "TABLE", statements: []string{"CREATE FOREIGN TABLE", "ALTER FOREIGN TABLE", "ALTER TABLE"}},
	"FUNCTION":                     {pass: passMain, owner: "drop", statements: []string{"CREATE FUNCTION", "ALTER FUNCTION"}},
	"INDEX":                        {pass: passMain, statements: []string{"CREATE INDEX", "ALTER INDEX", "ALTER TABLE"}},
	"INDEX ATTACH":                 {pass: passMain, statements: []string{"ALTER INDEX"}},
	"MATERIALIZED VIEW":            {pass: passMain, owner: "schema.name", statements: []string{"CREATE MATERIALIZED VIEW", "ALTER MATERIALIZED VIEW", "ALTER TABLE"}},
	"OPERATOR":                     {pass: passMain, owner: "drop", statements: []string{"CREATE OPERATOR"}},
	"OPERATOR CLASS":               {pass: passMain, owner: "drop", statements: []string{"CREATE OPERATOR CLASS"}},
	"OPERATOR FAMILY":              {pass: passMain, owner: "drop", statements: []string{"CREATE OPERATOR FAMILY", "ALTER OPERATOR FAMILY"}},
	"POLICY":                       {pass: passMain, statements: []string{"CREATE POLICY"}},
	"PROCEDURAL LANGUAGE":          {pass: passMain, owner: "name", noun: "LANGUAGE", statements: []string{"CREATE LANGUAGE"}},
	"PROCEDURE":                    {pass: passMain, owner: "drop", statements: []string{"CREATE PROCEDURE", "ALTER PROCEDURE"}},
	"PUBLICATION":                  {pass: passMain, statements: []string{"CREATE PUBLICATION", "ALTER PUBLICATION"}},
	"PUBLICATION TABLE":            {pass: passMain, statements: []string{"ALTER PUBLICATION"}},
	"PUBLICATION TABLES IN SCHEMA": {pass: passMain, statements: []string{"ALTER PUBLICATION"}},
	"ROW SECURITY":                 {pass: passMain, statements: []string{"ALTER TABLE"}},
	"RULE":                         {pass: passMain, statements: []string{"CREATE RULE", "CREATE VIEW", "ALTER TABLE"}},
	"SCHEMA":                       {pass: passMain, owner: "name", statements: []string{"CREATE SCHEMA"}},
	"SEQUENCE":                     {pass: passMain, owner: "schema.name", statements: []string{"CREATE SEQUENCE", "ALTER TABLE", "ALTER SEQUENCE"}},
	"SEQUENCE OWNED BY":            {pass: passMain, statements: []string{"ALTER SEQUENCE"}},
	"SEQUENCE SET":                 {pass: passMain, statements: []string{"SELECT SETVAL"}},
	"SHELL TYPE":                   {pass: passMain, statements: []string{"CREATE TYPE"}},
	"STATISTICS":                   {pass: passMain, owner: "schema.name", statements: []string{"CREATE STATISTICS", "ALTER STATISTICS"}},
	"TABLE":                        {pass: passMain, owner: "schema.name", statements: []string{"CREATE TABLE", "ALTER TABLE"}},
	"TABLE ATTACH":                 {pass: passMain, statements: []string{"ALTER TABLE"}},
	"TEXT SEARCH CONFIGURATION":    {pass: passMain, owner: "schema.name", statements: []string{"CREATE TEXT SEARCH CONFIGURATION", "ALTER TEXT SEARCH CONFIGURATION"}},
	"TEXT SEARCH DICTIONARY":       {pass: passMain, owner: "schema.name", statements: []string{"CREATE TEXT SEARCH DICTIONARY"}},
	"TEXT SEARCH PARSER":           {pass: passMain, statements: []string{"CREATE TEXT SEARCH PARSER"}},
	"TEXT SEARCH TEMPLATE":         {pass: passMain, statements: []string{"CREATE TEXT SEARCH TEMPLATE"}},
	"TRANSFORM":                    {pass: passMain, statements: []string{"CREATE TRANSFORM"}},
	"TRIGGER":                      {pass: passMain, statements: []string{"CREATE TRIGGER", "ALTER TABLE", "ALTER FOREIGN TABLE", "ALTER TRIGGER"}},
	"TYPE":                         {pass: passMain, owner: "schema.name", statements: []string{"CREATE TYPE", "ALTER TYPE"}},
	"VIEW":                         {pass: passMain, owner: "schema.name", statements: []string{"CREATE VIEW", "ALTER VIEW", "ALTER TABLE"}},

	"ACL":         {pass: passGrants, why: "what they grant on is not restored", statements: []string{"GRANT", "REVOKE", "SET SESSION AUTHORIZATION", "RESET SESSION AUTHORIZATION"}},
	"DEFAULT ACL": {pass: passGrants, statements: []string{"ALTER DEFAULT PRIVILEGES", "SET SESSION AUTHORIZATION", "RESET SESSION AUTHORIZATION"}},

	"EVENT TRIGGER":          {pass: passLast, statements: []string{"CREATE EVENT TRIGGER", "ALTER EVENT TRIGGER"}},
	"MATERIALIZED VIEW DATA": {pass: passLast, statements: []string{"REFRESH MATERIALIZED VIEW"}},

	"TABLE DATA":    {pass: passRows},
	"BLOBS":         {pass: passRows},
	"BLOB":          {pass: passRows, statements: []string{"SELECT LO_CREATE"}},
	"BLOB METADATA": {pass: passRows},

	"COMMENT":              {pass: passNever, why: "comments are restored only where the policy keeps them", statements: []string{"COMMENT ON"}},
	"DATABASE":             {pass: passNever, why: "the seed's database is made by the import"},
	"DATABASE PROPERTIES":  {pass: passNever, why: "settings of the database belong to the seed, not to the dump"},
	"FOREIGN DATA WRAPPER": {pass: passNever, why: "foreign data stays outside"},
	"FOREIGN SERVER":       {pass: passNever, why: "foreign servers name production systems"},
	"SERVER":               {pass: passNever, why: "foreign servers name production systems"},
	"USER MAPPING":         {pass: passNever, why: "user mappings hold passwords"},
	"SUBSCRIPTION":         {pass: passNever, why: "subscriptions would connect to production"},
	"SUBSCRIPTION TABLE":   {pass: passNever, why: "subscriptions would connect to production"},
	"STATISTICS DATA":      {pass: passNever, why: "most common values are raw values"},
	// Of PostgreSQL 19.
	"EXTENDED STATISTICS DATA": {pass: passNever, why: "most common values are raw values"},
	"SECURITY LABEL":           {pass: passNever, why: "security labels belong to the dumped system"},
}
