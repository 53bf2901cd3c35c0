package seed

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seedling-dev/seedling/hooks/dump"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/postgres"
	"github.com/seedling-dev/seedling/hooks/sqltext"
)

// shadow is an empty database with the dump's whole schema.
type shadow struct {
	name    string
	locale  string // of the dump, as CREATE DATABASE says it; "" where the server does not have it
	catalog mask.Catalog
}

// withShadow builds the dump's whole schema in an empty database, calls use with
// it, and drops it again whatever happened.
func (r *checked) withShadow(ctx context.Context, use func(*shadow) error) (err error) {
	s := &shadow{name: "seedling_shadow_" + r.short}
	defer func() {
		if derr := r.drop(ctx, s.name); err == nil {
			err = derr
		}
	}()
	if err := r.makeRoles(ctx); err != nil {
		return err
	}
	if s.locale, err = r.createShadow(ctx, s.name); err != nil {
		return err
	}
	if s.catalog, err = r.buildShadow(ctx, s.name); err != nil {
		return err
	}
	s.catalog.Taken = r.taken()
	return use(s)
}

// taken is when the dump was made, zero where it does not say. A schema alone has no
// rows whose age counts.
func (r *checked) taken() time.Time {
	if r.schema.alone && r.archive.Created.IsZero() {
		return time.Now()
	}
	return r.archive.Created
}

// drop removes a database of ours even when the import was stopped.
func (r *opened) drop(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 60*time.Second)
	defer cancel()
	return r.server.drop(ctx, name)
}

// createShadow makes the shadow database, with the locale of the dump where
// the server has it: comparisons and sort orders are then as in production.
func (r *checked) createShadow(ctx context.Context, name string) (locale string, err error) {
	locale = dumpLocale(r.archive)
	err = r.server.create(ctx, name, r.id, locale)
	if locale == "" && len(r.schema.data) > 0 {
		r.warn("the dump does not say how its text sorts (a plain one does with pg_dump --create): in the seed it sorts by the server's own order")
	}
	// These are how servers say that they do not know a locale.
	if locale == "" || !postgres.Is(err, postgres.InvalidParameterValue, postgres.UndefinedObject, postgres.WrongObjectType) {
		return locale, err
	}
	r.warn("the server does not have the dump's locale (" + strings.TrimSpace(locale) + "): text sorts by the server's own")
	return "", r.server.create(ctx, name, r.id, "")
}

// buildShadow restores the schema, without rows, and reads the catalog.
func (r *checked) buildShadow(ctx context.Context, name string) (c mask.Catalog, err error) {
	conn, err := r.server.session(ctx, name)
	if err != nil {
		return c, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if err := r.checkExtensions(ctx, conn); err != nil {
		return c, err
	}
	gone := map[*dump.Entry]bool{} // about members of extensions that are left out
	for i, list := range [][]step{r.schema.pre, r.schema.post, r.schema.grants, r.schema.last} {
		if i > 0 && r.schema.ownerless { // grants are an owner's
			if err := ownAll(ctx, conn, r.Owner); err != nil {
				return c, schemaError(err)
			}
		}
		for _, s := range list {
			if s.entry.Kind == "MATERIALIZED VIEW DATA" || s.aboutLargeObjects() || aboutEventTrigger(s.entry) {
				continue
			}
			err := execStep(ctx, conn, s)
			switch {
			case err == nil:
			case r.schema.withoutExtension(s, err):
				gone[s.entry] = true
			case s.entry.Kind == "EXTENSION":
				return c, r.otherExtensions(ctx, name, s, err)
			default:
				return c, schemaError(r.schema.needsExtension(err))
			}
			if s.entry.Kind == "EVENT TRIGGER" {
				// It was only tried: what follows are our own statements.
				if err := execSQL(ctx, conn, "DROP EVENT TRIGGER "+sqltext.Identifier(s.entry.Tag)); err != nil {
					return c, fmt.Errorf("drop event trigger %s of the shadow: %w", s.entry.Tag, err)
				}
			}
		}
	}
	var withData map[mask.Name]bool
	if !r.schema.alone {
		withData = map[mask.Name]bool{}
	}
	for _, e := range r.schema.data {
		withData[e.table] = true
	}
	if c, err = readCatalog(ctx, conn, withData, r.schema.foreign); err != nil {
		return c, err
	}
	c.LargeObjects = len(r.schema.largeObjects) > 0
	r.schema.leaveMembers(gone, c)
	return c, nil
}

// dumpLocale is the part of CREATE DATABASE that says the dumped database's
// locale, "" when the dump does not tell.
func dumpLocale(d *dump.Dump) string {
	i := slices.IndexFunc(d.Entries, func(e *dump.Entry) bool { return e.Kind == "DATABASE" })
	if i < 0 {
		return ""
	}
	list, err := sqltext.Split(d.Entries[i].Create)
	if err != nil || len(list) == 0 {
		return ""
	}
	t := list[0].Tokens
	var b strings.Builder
	for i := 0; i+2 < len(t); i++ {
		if !t[i+1].IsSymbol('=') {
			continue
		}
		switch name := strings.ToUpper(t[i].Text); name {
		case "LOCALE", "LC_COLLATE", "LC_CTYPE", "ICU_LOCALE", "ICU_RULES", "BUILTIN_LOCALE":
			if v, ok := t[i+2].Value(); ok {
				fmt.Fprintf(&b, " %s %s", name, sqltext.Literal(v))
			}
		case "LOCALE_PROVIDER":
			if v, ok := t[i+2].Name(); ok {
				fmt.Fprintf(&b, " %s %s", name, sqltext.Identifier(v))
			}
		}
	}
	return b.String()
}
