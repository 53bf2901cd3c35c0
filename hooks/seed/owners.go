package seed

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/seedling-dev/seedling/hooks/postgres"
	"github.com/seedling-dev/seedling/hooks/sqltext"
)

// ownedHere lists the objects of a database that the session's role made and that
// have an owner of their own: not what follows a table or a type, not members of
// extensions, and nothing of ours. Event triggers, publications and foreign data
// stay the superuser's.
const ownedHere = `
WITH own AS (
	SELECT 'pg_class'::regclass AS class, c.oid FROM pg_class c WHERE c.relowner = to_regrole(quote_ident(current_user))
		AND (c.relkind IN ('r', 'p', 'v', 'm', 'f') OR c.relkind = 'S' AND NOT EXISTS (SELECT FROM pg_depend d
			WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')))
	UNION ALL SELECT 'pg_type'::regclass, t.oid FROM pg_type t WHERE t.typowner = to_regrole(quote_ident(current_user))
		AND (t.typtype IN ('b', 'd', 'e', 'r') AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)
			OR t.typtype = 'p' AND NOT t.typisdefined -- a shell
			OR t.typtype = 'c' AND EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
	UNION ALL SELECT 'pg_namespace'::regclass, oid FROM pg_namespace WHERE nspowner = to_regrole(quote_ident(current_user))
	UNION ALL SELECT 'pg_proc'::regclass, oid FROM pg_proc WHERE proowner = to_regrole(quote_ident(current_user))
	UNION ALL SELECT 'pg_operator'::regclass, oid FROM pg_operator WHERE oprowner = to_regrole(quote_ident(current_user))
	UNION ALL SELECT 'pg_opclass'::regclass, oid FROM pg_opclass WHERE opcowner = to_regrole(quote_ident(current_user))
	UNION ALL SELECT 'pg_opfamily'::regclass, oid FROM pg_opfamily WHERE opfowner = to_regrole(quote_ident(current_user))
	UNION ALL SELECT 'pg_collation'::regclass, oid FROM pg_collation WHERE collowner = to_regrole(quote_ident(current_user))
	UNION ALL SELECT 'pg_conversion'::regclass, oid FROM pg_conversion WHERE conowner = to_regrole(quote_ident(current_user))
	UNION ALL SELECT 'pg_ts_dict'::regclass, oid FROM pg_ts_dict WHERE dictowner = to_regrole(quote_ident(current_user))
	UNION ALL SELECT 'pg_ts_config'::regclass, oid FROM pg_ts_config WHERE cfgowner = to_regrole(quote_ident(current_user))
	UNION ALL SELECT 'pg_statistic_ext'::regclass, oid FROM pg_statistic_ext WHERE stxowner = to_regrole(quote_ident(current_user))
	UNION ALL SELECT 'pg_language'::regclass, oid FROM pg_language WHERE lanowner = to_regrole(quote_ident(current_user)))
SELECT format('ALTER %s %s OWNER TO ', CASE i.type WHEN 'statistics object' THEN 'statistics' ELSE i.type END,
	CASE WHEN i.type = 'aggregate' THEN regexp_replace(i.identity, '\(\)$', '(*)') ELSE i.identity END)
FROM own, pg_identify_object(own.class, own.oid, 0) i
WHERE own.oid >= 16384 AND coalesce(i.schema, i.name) <> '` + postgres.Schema + `'
AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = own.class AND d.objid = own.oid AND d.deptype = 'e')`

// ownAll gives the objects of a dump that names no owners to the application's
// role. As the superuser's, views would show the rows that row security hides, and
// functions would run with its rights.
func ownAll(ctx context.Context, conn *pgx.Conn, owner string) error {
	rows, err := conn.Query(ctx, ownedHere)
	if err != nil {
		return fmt.Errorf("list what has no owner: %w", postgres.Redact(err))
	}
	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("list what has no owner: %w", postgres.Redact(err))
	}
	for _, sql := range statements {
		if err := execSQL(ctx, conn, sql+sqltext.Identifier(owner)); err != nil {
			return fmt.Errorf("give what the dump names no owner of to %s: %w", owner, err)
		}
	}
	return nil
}
