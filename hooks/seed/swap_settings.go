package seed

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/seedling-dev/seedling/hooks/sqltext"
)

// listGUCs hold lists of names, which are stored with quotes where names need
// them.
var listGUCs = map[string]bool{
	"search_path": true, "temp_tablespaces": true, "session_preload_libraries": true,
	"shared_preload_libraries": true, "local_preload_libraries": true, "unix_socket_directories": true,
}

// literalList writes such a list as literals: names may be empty, or longer
// than identifiers.
func literalList(stored string) string {
	var out []string
	for rest := strings.TrimSpace(stored); ; {
		var name strings.Builder
		if strings.HasPrefix(rest, `"`) {
			for rest = rest[1:]; rest != ""; rest = rest[1:] {
				if rest[0] == '"' {
					if !strings.HasPrefix(rest, `""`) {
						rest = rest[1:]
						break
					}
					rest = rest[1:]
				}
				name.WriteByte(rest[0])
			}
		}
		plain, after, more := strings.Cut(rest, ",")
		name.WriteString(strings.TrimSpace(plain))
		out = append(out, sqltext.Literal(name.String()))
		if !more {
			return strings.Join(out, ", ")
		}
		rest = strings.TrimSpace(after)
	}
}

// carryOver gives the scratch database the owner, grants, settings and
// connection limit of the seed's, or those of a first import.
func (t *server) carryOver(ctx context.Context, from, to, owner string, exists bool) error {
	type grant struct{ grantee, privilege string }
	var statements []string
	own, limit := owner, -1
	var grants []grant
	defaults, template := true, false
	if exists {
		err := t.conn.QueryRow(ctx, `SELECT pg_get_userbyid(datdba), datconnlimit, datistemplate, datacl IS NULL FROM pg_database WHERE datname = $1`, from).
			Scan(&own, &limit, &template, &defaults)
		if err != nil {
			return err
		}
		rows, err := t.conn.Query(ctx, `SELECT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END, a.privilege_type || CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
			FROM pg_database d, aclexplode(d.datacl) a WHERE d.datname = $1`, from)
		if err != nil {
			return err
		}
		grants, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (g grant, err error) {
			return g, row.Scan(&g.grantee, &g.privilege)
		})
		if err != nil {
			return err
		}
	}
	statements = append(statements, "ALTER DATABASE "+sqltext.Identifier(to)+" OWNER TO "+sqltext.Identifier(own))
	statements = append(statements, fmt.Sprintf("ALTER DATABASE %s CONNECTION LIMIT %d IS_TEMPLATE %t", sqltext.Identifier(to), limit, template))
	if defaults {
		grants = []grant{{"PUBLIC", "CONNECT"}, {"PUBLIC", "TEMPORARY"}}
	} else {
		statements = append(statements, "REVOKE ALL ON DATABASE "+sqltext.Identifier(to)+" FROM "+sqltext.Identifier(own))
	}
	for _, g := range grants {
		privilege, option, _ := strings.Cut(g.privilege, " ")
		statements = append(statements, "GRANT "+privilege+" ON DATABASE "+sqltext.Identifier(to)+" TO "+g.grantee+" "+option)
	}
	rows, err := t.conn.Query(ctx, `SELECT coalesce(r.rolname, ''), s.setconfig FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
		LEFT JOIN pg_roles r ON r.oid = s.setrole WHERE d.datname = $1`, from)
	if err != nil {
		return err
	}
	var role string
	var settings []string
	_, err = pgx.ForEachRow(rows, []any{&role, &settings}, func() error {
		for _, s := range settings {
			name, value, _ := strings.Cut(s, "=")
			if listGUCs[name] {
				value = literalList(value)
			} else {
				value = sqltext.Literal(value)
			}
			head := "ALTER DATABASE " + sqltext.Identifier(to)
			if role != "" {
				head = "ALTER ROLE " + sqltext.Identifier(role) + " IN DATABASE " + sqltext.Identifier(to)
			}
			parts := strings.Split(name, ".")
			statements = append(statements, head+" SET "+sqltext.Identifier(parts...)+" TO "+value)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, sql := range statements {
		if err := execSQL(ctx, t.conn, sql); err != nil {
			return err
		}
	}
	return nil
}
