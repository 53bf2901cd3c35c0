package seed

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/postgres"
	"github.com/seedling-dev/seedling/hooks/sqltext"
)

// madeComment is on every role that an import made, and on no other.
const madeComment = "seedling: made as a masking policy asks"

// makeRoles makes the roles that the policy asks for. None can log in, none has a
// password or an attribute: what members may with them is what the dump's grants and
// policies say, on masked rows. What was not there before goes again with close,
// unless the import is done. Roles that are there are the old seed's too: they have
// other members from the swap on.
func (r *opened) makeRoles(ctx context.Context) error {
	if len(r.Policy.MadeRoles) == 0 || r.rolesMade {
		return nil
	}
	conn := r.server.conn
	ours, err := r.server.ownRoles(ctx)
	if err != nil {
		return err
	}
	names := slices.Sorted(maps.Keys(r.Policy.MadeRoles))
	for _, name := range names {
		if slices.Contains(ours, name) {
			continue
		}
		there, err := r.server.hasRole(ctx, name)
		if err != nil {
			return err
		}
		if there {
			return command.Misconfiguredf("the policy asks to make role %s, which the seed has and no import made: name it as it is (`%s`), or make another", name, name)
		}
		role := sqltext.Identifier(name)
		// First the comment's transaction: a role without it would be nobody's.
		err = execAll(ctx, conn, []string{"BEGIN", "CREATE ROLE " + role + " NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS", "COMMENT ON ROLE " + role + " IS " + sqltext.Literal(madeComment), "COMMIT"})
		if err != nil {
			_ = execSQL(context.WithoutCancel(ctx), conn, "ROLLBACK")
			return fmt.Errorf("make role %s: %w", name, err)
		}
		r.newRoles = append(r.newRoles, name)
	}
	for _, name := range names {
		if err := r.checkMembers(ctx, name); err != nil {
			return err
		}
		if !slices.Contains(r.newRoles, name) {
			continue
		}
		if err := execAll(ctx, conn, r.grants(name)); err != nil {
			return schemaError(fmt.Errorf("grant role %s to its members: %w", name, err))
		}
	}
	if err := r.tryMemberships(ctx); err != nil {
		return err
	}
	r.rolesMade = true
	return nil
}

// tryMemberships has Postgres judge now what the swap will do, and takes it back: after
// hours of loading, the swap would find that two roles are members of each other.
func (r *opened) tryMemberships(ctx context.Context) error {
	members, err := r.memberships(ctx)
	if err != nil {
		return err
	}
	err = execAll(ctx, r.server.conn, []string{"BEGIN"}, members)
	if rolled := execSQL(context.WithoutCancel(ctx), r.server.conn, "ROLLBACK"); err == nil && rolled != nil {
		return fmt.Errorf("take back the members of made roles: %w", rolled)
	}
	if err != nil {
		return schemaError(fmt.Errorf("give the made roles the policy's members: %w", err))
	}
	return nil
}

// checkMembers refuses members that are not there, and tells of those that will be
// more than the policy asks for.
func (r *opened) checkMembers(ctx context.Context, name string) error {
	made := r.Policy.MadeRoles[name]
	for _, member := range made.Members {
		there, err := r.server.hasRole(ctx, member)
		switch {
		case err != nil:
			return err
		case !there:
			return command.Misconfiguredf("role %s, which the policy makes a member of %s, is not in the seed: make it too, or name one that is there", member, name)
		case r.server.version < 160000 && !made.Inherit:
			r.warn(fmt.Sprintf("the seed's Postgres %d knows no membership without its rights: %s has those of role %s all the time, and its row security policies apply to it; from 16 on they do after SET ROLE", r.server.version/10000, member, name))
		}
	}
	return nil
}

// grants are the statements that make the policy's members those of a role.
func (r *opened) grants(name string) []string {
	made := r.Policy.MadeRoles[name]
	var out []string
	for _, member := range made.Members {
		grant := "GRANT " + sqltext.Identifier(name) + " TO " + sqltext.Identifier(member)
		if r.server.version >= 160000 {
			grant += fmt.Sprintf(" WITH INHERIT %t, SET TRUE, ADMIN FALSE", made.Inherit)
		}
		out = append(out, grant)
	}
	return out
}

// memberships are the statements that give all made roles the policy's members, and
// no others: a part of the swap. What is taken comes first: a role may become a member
// of one that was its own.
func (r *opened) memberships(ctx context.Context) ([]string, error) {
	var out, grants []string
	for _, name := range slices.Sorted(maps.Keys(r.Policy.MadeRoles)) {
		rows, err := r.server.conn.Query(ctx, "SELECT pg_get_userbyid(member)::text FROM pg_auth_members WHERE roleid = $1::regrole", sqltext.Identifier(name))
		var have []string
		if err == nil {
			have, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		if err != nil {
			return nil, fmt.Errorf("list the members of role %s: %w", name, postgres.Redact(err))
		}
		for _, member := range have {
			if !slices.Contains(r.Policy.MadeRoles[name].Members, member) {
				out = append(out, "REVOKE "+sqltext.Identifier(name)+" FROM "+sqltext.Identifier(member))
			}
		}
		grants = append(grants, r.grants(name)...)
	}
	return append(out, grants...), nil
}

// hasRole reports whether the server has a role.
func (t *server) hasRole(ctx context.Context, name string) (there bool, err error) {
	if err := t.conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", name).Scan(&there); err != nil {
		return false, fmt.Errorf("look for role %s: %w", name, postgres.Redact(err))
	}
	return there, nil
}

// ownRoles lists the roles that imports made.
func (t *server) ownRoles(ctx context.Context) ([]string, error) {
	rows, err := t.conn.Query(ctx, "SELECT rolname::text FROM pg_roles WHERE shobj_description(oid, 'pg_authid') = $1 ORDER BY 1", madeComment)
	var names []string
	if err == nil {
		names, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		return nil, fmt.Errorf("list the roles that imports made: %w", postgres.Redact(err))
	}
	return names, nil
}

// dropRoles drops roles of ours that nothing needs.
func (r *opened) dropRoles(ctx context.Context, names []string) {
	for _, name := range names {
		if err := execSQL(ctx, r.server.conn, "DROP ROLE IF EXISTS "+sqltext.Identifier(name)); err != nil {
			r.Log.Warn("a role that an import made could not be dropped; the next import tries again", "role", name, "error", err)
		}
	}
}

// keepRoles ends an import: what it made stays, what earlier ones made and the policy
// no longer asks for goes.
func (r *opened) keepRoles(ctx context.Context) {
	r.newRoles = nil
	ours, err := r.server.ownRoles(ctx)
	if err != nil {
		r.Log.Warn("the roles of earlier imports could not be listed; the next import drops what is not needed", "error", err)
		return
	}
	r.dropRoles(ctx, slices.DeleteFunc(ours, func(name string) bool { _, asked := r.Policy.MadeRoles[name]; return asked }))
}
