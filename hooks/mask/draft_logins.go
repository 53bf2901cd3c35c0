package mask

import (
	"fmt"
	"slices"
	"strings"
)

const asksLogins = "testers' logins: accounts that keep a known address and get a known password hash, if testers are to log in to previews (the lines under \"logins\")"

var (
	loginHashName = nameWords(`passwords?|passwd|pwd|password_?(?:hash|digest)|(?:encrypted|hashed|crypted)_?password|pass_?(?:hash|digest)|kennwort|passwort|contrasena|senha|mot_?de_?passe|wachtwoord|haslo`)
	// What stands beside a hash under such a name is none.
	noLoginHashName = nameWords(`reset|changed?|expir\w*|salt|hint|token|policy|type|at|on|count|attempts|history|algorithm`)
)

// login proposes what a policy may say of testers' accounts in a table, "" where it is
// not one of accounts: an address, and the hash of a password.
func (t *tableState) login() string {
	var by, password *columnState
	for _, c := range t.columnStates {
		if c.rule == nil || c.kind() != kindText || c.Array || c.Generated {
			continue
		}
		name := spoken(c.Name)
		switch {
		case c.rule.name == "email" && by == nil:
			by = c
		case password == nil && loginHashName.MatchString(name) && !noLoginHashName.MatchString(name) && c.rule.name != "keep" && c.joined() == nil &&
			!slices.ContainsFunc(t.Uniques, func(u Unique) bool {
				return slices.Contains(u.Columns, c.Name) || slices.Contains(u.ExpressionColumns, c.Name)
			}):
			password = c
		}
	}
	if by == nil || password == nil {
		return ""
	}
	return fmt.Sprintf("%s: {by: %s, accounts: [tester@example.com], password: %s}", yamlKey(t.qualified.String()), yamlKey(by.Name), yamlKey(password.Name))
}

// proposeLogins asks once for testers' logins. The lines are comments: who tests only a
// person knows.
func (d *drafter) proposeLogins() string {
	var b strings.Builder
	for _, t := range d.order {
		if !t.plan.Rows || t.PartitionOf {
			continue
		}
		if line := t.login(); line != "" {
			fmt.Fprintf(&b, "#   %s\n", comment(line))
			d.questions[asksLogins] = append(d.questions[asksLogins], t.qualified.String())
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "# logins:   # decide: name the accounts that testers have in production; the hash comes from key password-hash of Secret seed-logins\n" + b.String()
}
