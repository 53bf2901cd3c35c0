package seed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/copytext"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/postgres"
	"github.com/seedling-dev/seedling/hooks/sqltext"
)

// LoginReport is what was done with testers' accounts of one table.
type LoginReport struct {
	Table string `json:"table"`
	// By is the column of the address, Keep are columns that the accounts keep besides.
	By   string   `json:"by"`
	Keep []string `json:"keep,omitempty"`
	// Password is the column that has the given password hash.
	Password string `json:"password,omitempty"`
	Accounts int64  `json:"accounts"`
	// Missing counts listed addresses that no row has.
	Missing int `json:"missing,omitempty"`
}

// sentence says how many accounts keep what.
func (l LoginReport) sentence() string {
	s := fmt.Sprintf("%s: %d accounts keep %s", l.Table, l.Accounts, strings.Join(append([]string{l.By}, l.Keep...), ", "))
	if l.Password != "" {
		s += ", and have the given password hash in " + l.Password
	}
	if l.Missing > 0 {
		s += fmt.Sprintf("; %d listed addresses are in no row", l.Missing)
	}
	return s
}

// loginReport counts the accounts that loads found, and warns of addresses that no row
// has.
func (r *checked) loginReport(login *mask.Login, loads []*tableLoad) (LoginReport, error) {
	found := map[string]bool{}
	var count mask.LoginCount
	for _, l := range loads {
		if l.layout != nil && l.plan.Login() == login {
			count.Add(l.layout, found)
		}
	}
	out := LoginReport{Table: login.Table.String(), By: mask.QuoteIdent(login.By), Accounts: count.Rows}
	for _, k := range login.Keep {
		out.Keep = append(out.Keep, mask.QuoteIdent(k))
	}
	if login.Password != "" {
		out.Password = mask.QuoteIdent(login.Password)
	}
	if count.Rows > mask.MostLogins {
		what := "the accounts that are listed stand in many rows: name a column that tells one row"
		if login.Domain != "" {
			what = "the domain " + login.Domain + " is not the testers' alone: list their accounts"
		}
		return out, command.Misconfiguredf("logins of %s: over %d rows would keep their address and get the testers' password: %s", login.Table, mask.MostLogins, what)
	}
	if login.Passed() > mask.MostLogins {
		return out, command.Misconfiguredf("logins of %s: over %d addresses of the domain %s would stay as they are, in %s and the columns that are joined with it: the domain is not the testers' alone: list their accounts", login.Table, mask.MostLogins, login.Domain, out.By)
	}
	for _, a := range login.Accounts {
		if !found[a] {
			out.Missing++
			r.warn(fmt.Sprintf("logins of %s: no row has %s in %s, so nobody can log in with it: create the account in production, or take it out of the policy", login.Table, a, out.By))
		}
	}
	if login.Domain != "" && count.Rows == 0 {
		r.warn(fmt.Sprintf("logins of %s: no row has an address of %s in %s", login.Table, login.Domain, out.By))
	}
	return out, nil
}

// errFound ends a search.
var errFound = errors.New("all accounts are found")

// findAccounts looks for testers' accounts in a dump before rows are masked: all of
// them for a person to know, or those that a share of rows depends on.
func (r *checked) findAccounts(ctx context.Context, plan *mask.Plan, all bool) error {
	for _, login := range plan.Logins() {
		switch {
		case !all && !login.Shares():
			continue
		case r.archive.Sequential():
			if login.Shares() {
				r.warn(fmt.Sprintf("logins of %s: this dump can only be read in order, so that the accounts are loaded, and of what hangs on them only what is in the share", login.Table))
			}
			continue
		}
		var loads []*tableLoad
		found := map[string]bool{}
		for _, e := range r.schema.data {
			l, err := newLoad(e, plan, silent{})
			if err != nil {
				return command.Misconfigured(err)
			}
			if l.plan.Login() != login || l.layout == nil || !e.HasData {
				continue
			}
			loads = append(loads, l)
			if err := r.findIn(ctx, l, login, found); err != nil {
				return fmt.Errorf("look for the accounts of logins: %w", err)
			}
		}
		report, err := r.loginReport(login, loads)
		if err != nil {
			return err
		}
		if all {
			r.report.Logins = append(r.report.Logins, report)
		}
	}
	return nil
}

// findIn looks for accounts in the rows of one entry.
func (r *checked) findIn(ctx context.Context, l *tableLoad, login *mask.Login, found map[string]bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	data, err := r.archive.Data(ctx, l.entry)
	if err != nil {
		return sourceError(err)
	}
	defer data.Close()
	p := r.pool()
	blocks := make(chan *block, 2)
	read := make(chan error, 1)
	go func() {
		defer close(blocks)
		read <- sourceError(stream(ctx, data, l.name, 2, p, blocks))
	}()
	worker := l.layout.NewWorker()
	stop := login.Domain == "" && !login.Shares()
	for b := range blocks {
		rest := b.data
		for err == nil {
			line, tail, ok := copytext.CutLine(rest)
			if !ok {
				break
			}
			rest = tail
			err = worker.Find(line)
		}
		p.put(b)
		var count mask.LoginCount
		if count.Add(l.layout, found); err == nil && (count.Rows > mask.MostLogins || stop && len(found) == len(login.Accounts)) {
			err = errFound
		}
		if err != nil {
			cancel(err)
		}
	}
	rerr := <-read
	switch {
	case errors.Is(err, errFound):
		return nil
	case err != nil:
		return command.Misconfigured(err)
	}
	return rerr
}

// countLogins reports the testers' accounts of a load, once nothing drops rows any
// more, and refuses too many.
func (r *loaded) countLogins(ctx context.Context, loads []*tableLoad) error {
	for _, login := range r.plan.Logins() {
		report, err := r.loginReport(login, loads)
		if err != nil {
			return err
		}
		only := "ONLY "
		if !r.holdsRows[login.Table] {
			only = ""
		}
		// In lower case on both sides, as addresses are compared.
		by := "pg_catalog.lower(pg_catalog.rtrim(" + sqltext.Identifier(login.By) + "::text))"
		sql := "SELECT pg_catalog.count(*) FROM " + only + sqltext.Identifier(login.Table.Schema, login.Table.Name) + " WHERE " + by + " = ANY($1::text[])"
		args := []any{login.Accounts}
		if login.Domain != "" {
			sql += " OR pg_catalog.right(" + by + ", pg_catalog.length($2::text)) = $2::text"
			args = append(args, "@"+login.Domain)
		}
		if login.Accounts == nil {
			args[0] = []string{}
		}
		var there int64
		if err := r.conn.QueryRow(ctx, sql, args...).Scan(&there); err != nil {
			return fmt.Errorf("count the accounts of logins of %s: %w", login.Table, interrupted(ctx, postgres.Redact(err)))
		}
		if there < report.Accounts {
			r.warn(fmt.Sprintf("logins of %s: %d accounts are in the dump and not in the seed, because rows that they reference were left out: let those be in the subset", login.Table, report.Accounts-there))
			report.Accounts = there
		}
		r.report.Logins = append(r.report.Logins, report)
	}
	return nil
}

// sameLogins reports whether a seed was filled with the password hashes that are given.
func sameLogins(m *postgres.Marker, want string) bool {
	record, err := parseRecord(m.Record)
	if err != nil {
		return want == ""
	}
	return record.LoginsID == want
}

// loginNote is why a column is as it is, and what testers' accounts have there.
func loginNote(t *mask.TablePlan, column, why string) string {
	if note := t.Login().Note(column); note != "" {
		return why + "; " + note
	}
	return why
}

// loginGroup is what a verification must know of the accounts of a table.
type loginGroup struct {
	login *mask.Login
	by    int    // of the digest's columns
	keeps []bool // by them
}

func newLoginGroup(login *mask.Login, columns []string) *loginGroup {
	if login == nil {
		return nil
	}
	g := &loginGroup{login: login, by: slices.Index(columns, login.By)}
	for _, c := range columns {
		g.keeps = append(g.keeps, slices.Contains(login.Keep, c))
	}
	return g
}
