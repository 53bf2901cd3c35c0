package mask

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/seedling-dev/seedling/hooks/copytext"
)

// logins works out what the policy says of testers' accounts, once columns are joined
// and before their transforms are built. Hashes are nil where only the policy is judged.
func (x *compiler) logins(hashes PasswordHashes) {
	for i := range x.policy.logins {
		rule := &x.policy.logins[i]
		t := x.tables[rule.table]
		switch {
		case t == nil:
			var names []string
			for n := range x.tables {
				names = append(names, n.String())
			}
			x.gone(rule.line, "logins: table %s is not in the dump%s", rule.table, didYouMean(rule.table.String(), names))
			continue
		case t.PartitionOf:
			x.failLine(rule.line, "logins: %s is a partition: name the table, %s", rule.table, t.whole().qualified)
			continue
		case !t.plan.Rows:
			x.failLine(rule.line, "logins: %s is loaded without rows, so it has no accounts", rule.table)
			continue
		}
		l := &Login{Table: rule.table, By: rule.by, Keep: rule.keep, Password: rule.password, Accounts: rule.accounts, Domain: rule.domain}
		by := x.loginColumn(rule, t, rule.by)
		if by == nil || !x.loginAddress(rule, by, l) {
			continue
		}
		for _, name := range rule.keep {
			if c := x.loginColumn(rule, t, name); c != nil {
				x.loginKept(rule, c)
			}
		}
		if rule.password != "" {
			x.loginPassword(rule, t, l, hashes)
		}
		x.plan.loginList = append(x.plan.loginList, l)
		for _, part := range x.order {
			if part == t || part.PartitionOf && part.whole() == t {
				part.plan.login = l
			}
			x.loginPart(rule, t, part)
		}
	}
}

// loginColumn is a column that a login names, or nil.
func (x *compiler) loginColumn(rule *loginRule, t *tableState, name string) *columnState {
	c := t.byName[name]
	switch {
	case c == nil:
		var names []string
		for _, c := range t.columnStates {
			names = append(names, c.Name)
		}
		x.gone(rule.line, "logins: column %s is not in table %s%s", QuoteIdent(name), t.qualified, didYouMean(name, names))
	case c.Generated:
		x.failLine(rule.line, "logins: column %s is generated and not in the dump", c.qualified)
	case c.rule == nil: // said already
	default:
		return c
	}
	return nil
}

// loginAddress has the addresses pass wherever columns are joined with the one that
// they stand in.
func (x *compiler) loginAddress(rule *loginRule, by *columnState, l *Login) bool {
	g := by.find().info
	switch {
	case by.kind() != kindText:
		x.failLine(rule.line, "logins: %s is %s: by must be a column of text, such as an address or a login", by.qualified, by.Type)
		return false
	case by.rule.name == "null" || by.rule.name == "rebuild" || by.rule.name == "constant" || by.rule.name == "credential":
		x.failLine(rule.line, "logins: %s has masker %s, which writes no address: give it email or username", by.qualified, by.rule.name)
		return false
	case g.addresses != nil:
		x.failLine(rule.line, "logins: %s is joined with the address of another table's logins: name the accounts in one of them", by.qualified)
		return false
	}
	l.addresses = &addresses{eq: equality{fold: true, ascii: x.ascii, trim: g.eq.trim}, listed: map[string]int{}, at: true}
	for i, a := range rule.accounts {
		l.addresses.at = l.addresses.at && strings.Contains(a, "@")
		l.addresses.listed[a] = i
	}
	if rule.domain != "" {
		l.addresses.domain = []byte("@" + rule.domain)
		if by.rule.name == "email" {
			masked := exampleDomains
			if d := by.rule.text("domain"); d != "" {
				masked = []string{"@" + d}
			}
			if slices.Contains(masked, "@"+rule.domain) {
				x.failLine(rule.line, "logins: masks of %s have the domain %s too: list the accounts, or give the column another domain", by.qualified, rule.domain)
				return false
			}
		}
	}
	g.addresses = l.addresses
	return true
}

// loginKept judges a column that accounts keep beside their address: what it holds is
// not known before the rows are read.
func (x *compiler) loginKept(rule *loginRule, c *columnState) {
	if c.rule.name == "rebuild" {
		x.failLine(rule.line, "logins: %s is made from other columns, and cannot be kept", c.qualified)
	}
	if c.rule.name == "keep" || c.Name == rule.by {
		return
	}
	if c.Name == rule.password {
		x.failLine(rule.line, "logins: %s gets the password hash, and cannot be kept", c.qualified)
	}
	if joined := c.joined(); joined != nil {
		x.failLine(rule.line, "logins: %s is joined with %s, which would not have what accounts keep: keep it for all rows, or for none", c.qualified, joined.qualified)
	}
	if c.rule.name != "permute" && c.rule.name != "key" {
		return
	}
	for i := range c.table.Uniques {
		if u := &c.table.Uniques[i]; slices.Contains(u.Columns, c.Name) || slices.Contains(u.ExpressionColumns, c.Name) {
			x.failLine(rule.line, "logins: masker %s may give another row what accounts keep in %s, and %s takes no value twice: mask it with hash, or keep it for all rows", c.rule.name, c.qualified, u.describe())
		}
	}
}

// joined is a column of another table whose masks agree with the column's, or nil.
func (c *columnState) joined() *columnState {
	for _, m := range c.find().info.members {
		if m.table.plan.root != c.table.plan.root || m.Name != c.Name {
			return m
		}
	}
	return nil
}

// loginPassword judges the column that gets the hash.
func (x *compiler) loginPassword(rule *loginRule, t *tableState, l *Login, hashes PasswordHashes) {
	c := x.loginColumn(rule, t, rule.password)
	if c == nil {
		return
	}
	hash := hashes[rule.hash].text
	joined := c.joined()
	switch {
	case c.Name == rule.by:
		x.failLine(rule.line, "logins: %s is the address, and cannot get the password hash", c.qualified)
	case c.kind() != kindText:
		x.failLine(rule.line, "logins: %s is %s: the password hash is text", c.qualified, c.Type)
	case c.rule.name == "keep":
		x.failLine(rule.line, "logins: %s is kept, with the hashes of everybody's passwords: mask it, with credential", c.qualified)
	case c.rule.name == "rebuild":
		x.failLine(rule.line, "logins: %s is made from other columns, and cannot get the password hash", c.qualified)
	case joined != nil:
		x.failLine(rule.line, "logins: %s is joined with %s, and cannot get the password hash", c.qualified, joined.qualified)
	case c.lengthLimit() > 0 && utf8.RuneCountInString(hash) > c.lengthLimit():
		x.failLine(rule.line, "logins: %s takes %d characters, and the password hash %s has more", c.qualified, c.lengthLimit(), rule.hash)
	case hashes != nil && hash == "":
		x.failLine(rule.line, "logins: there is no password hash %s", rule.hash)
	}
	for i := range t.Uniques {
		if u := &t.Uniques[i]; slices.Contains(u.Columns, c.Name) || slices.Contains(u.ExpressionColumns, c.Name) {
			if t.loginsAreApart(u, rule.by) {
				continue
			}
			x.failLine(rule.line, "logins: %s takes no value twice, and all accounts get one password hash in %s", u.describe(), c.qualified)
		}
	}
	l.hash = copytext.Escape(nil, []byte(hash))
}

// loginsAreApart reports whether an index has the address beside the hash, or is not
// in the seed.
func (t *tableState) loginsAreApart(u *Unique, by string) bool {
	return slices.Contains(u.Columns, by) || t.indexChoice(u) == indexDrop
}

// loginPart judges a partition, or a child, that has rows by rules of its own, because
// a table between it and the accounts' has none.
func (x *compiler) loginPart(rule *loginRule, t, part *tableState) {
	if part == t || part.plan.root != t.plan.root || !part.plan.Rows {
		return
	}
	for _, name := range append([]string{rule.by, rule.password}, rule.keep...) {
		c, own := t.byName[name], part.byName[name]
		if c == nil || own == nil || c.rule == nil || own.rule == nil || own.find() == c.find() {
			continue
		}
		x.failLine(rule.line, "logins: %s has a rule of its own for %s (%s), because a table between it and %s is loaded without rows: load that one's rows, or leave those of %s out too",
			part.qualified, QuoteIdent(name), own.rule.name, t.qualified, part.qualified)
	}
}

// loginShares finds the columns of accounts by which shares decide about other rows,
// once all shares are known.
func (x *compiler) loginShares() {
	for _, l := range x.plan.loginList {
		t := x.tables[l.Table]
		for _, c := range t.columnStates {
			if e := x.extra[c.find()]; e != nil && !c.Generated {
				l.shared = append(l.shared, sharedColumn{c.Name, e})
			}
		}
		// What else drops rows that accounts reference can drop them, too.
		for _, o := range x.plan.orphanList {
			if o.Table != l.Table || len(o.SetNull) > 0 {
				continue
			}
			ref := x.tables[o.ForeignKey.References]
			if ref == t || ref.onlySharesOf(o.ForeignKey) {
				continue
			}
			x.warn("logins of %s: an account goes with the row of %s that its %s references, where that is left out", l.Table, ref.qualified, quoteNames(o.ForeignKey.Columns))
		}
	}
}

// onlySharesOf reports whether rows of the table are left out by shares of what a
// foreign key references alone, in which what accounts reference always is.
func (t *tableState) onlySharesOf(fk ForeignKey) bool {
	return !t.plan.Orphans && !slices.ContainsFunc(t.plan.filters, func(f *filter) bool {
		return f.share == nil || !slices.Contains(fk.ReferencedColumns, f.column)
	})
}

// Note says what accounts have in a column, "" for nothing of their own.
func (l *Login) Note(column string) string {
	switch {
	case l == nil:
	case column == l.By, slices.Contains(l.Keep, column):
		return "kept for testers' logins"
	case column == l.Password && column != "":
		return "testers' logins get the given hash"
	}
	return ""
}

// String is one line about a login.
func (l *Login) String() string {
	s := fmt.Sprintf("%s: accounts keep %s", l.Table, quoteNames(append([]string{l.By}, l.Keep...)))
	if l.Password != "" {
		s += ", and get the given password hash in " + QuoteIdent(l.Password)
	}
	return s
}
