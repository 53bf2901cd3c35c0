package seed

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/dump"
	"github.com/seedling-dev/seedling/hooks/mask"
)

// GapKind says what kind of thing a policy and a schema disagree about.
type GapKind string

// The kinds of gaps.
const (
	UncoveredColumn  GapKind = "uncovered-column"
	UncoveredObjects GapKind = "uncovered-large-objects"
	UnmappedRole     GapKind = "unmapped-role"
	Literal          GapKind = "literal"
	GoneRule         GapKind = "gone"   // a rule for what the schema does not have
	BrokenRule       GapKind = "rule"   // a rule that cannot hold for what it is about
	Refused          GapKind = "schema" // what no policy can make an import take
)

// Gap is one thing that an import of a schema would stop at.
type Gap struct {
	Kind    GapKind `json:"kind"`
	Object  string  `json:"object,omitempty"` // of the schema
	Message string  `json:"message"`
	// Fragment is YAML to paste into the policy, "" where that does not help.
	Fragment string `json:"fragment,omitempty"`
	// Line of the policy that it is about, 0 where there is none.
	Line int `json:"line,omitempty"`
}

// PolicyCheck says what a policy does not cover of a schema.
type PolicyCheck struct {
	Schema       string   `json:"schema"`
	Server       string   `json:"server,omitempty"`
	PolicyDigest string   `json:"policyDigest,omitempty"`
	Gaps         []Gap    `json:"gaps"`
	Warnings     []string `json:"warnings,omitempty"`
	Unchecked    []string `json:"unchecked,omitempty"`
	// Fragment is all that can be pasted into the policy.
	Fragment string `json:"fragment,omitempty"`
}

// Err is the sentence for what is not covered, nil where all is.
func (c *PolicyCheck) Err() error {
	switch len(c.Gaps) {
	case 0:
		return nil
	case 1:
		return command.Misconfiguredf("an import of %s would stop at: %s", c.Schema, c.Gaps[0].Message)
	}
	return command.Misconfiguredf("an import of %s would stop at %d things, which are listed above", c.Schema, len(c.Gaps))
}

// CheckPolicy says at what an import of a schema under a policy would stop before
// its first row. It needs no rows and no key. Literals of the schema that the
// policy does not accept end it before they reach the server, unless literals says
// that they may. An error is about the check, and not about the policy.
func CheckPolicy(ctx context.Context, o Options, literals bool) (*PolicyCheck, error) {
	var err error
	if o.Key, err = mask.NewKey(draftKey); err != nil {
		return nil, err
	}
	r := start(o)
	r.printed = true
	out := &PolicyCheck{Schema: dump.Redact(o.Dump), PolicyDigest: r.report.PolicyDigest}
	if err := r.checkPolicy(ctx, out, literals); err != nil {
		return nil, interrupted(ctx, sourceError(err))
	}
	out.Server, out.Warnings = r.report.Server, r.report.Warnings
	return out, nil
}

func (r *started) checkPolicy(ctx context.Context, out *PolicyCheck, literals bool) error {
	opened, err := r.open(ctx)
	if err != nil {
		return err
	}
	defer opened.close(ctx)
	archive, err := dump.Open(ctx, r.Dump, r.DumpOptions)
	if err != nil {
		return err
	}
	defer archive.Close()
	schema, err := opened.coveredSchema(archive, literals, out)
	if err != nil || schema == nil {
		return err
	}
	r.Progress.Start("check", 0)
	defer r.Progress.End()
	checked := &checked{opened, archive, schema}
	built := false
	err = checked.withShadow(ctx, func(s *shadow) error {
		built = true
		planned, err := checked.compile(s)
		if err != nil {
			return err
		}
		schema.leaveOut(planned.plan.Dropped())
		if err := planned.dropIndexes(ctx, s.name); err != nil {
			return err
		}
		return planned.checkRebuilds(ctx, s.name)
	})
	if err != nil && !built {
		out.Unchecked = append(out.Unchecked, "the columns: the schema could not be built")
	}
	out.Unchecked = append(out.Unchecked, "the rows: whether masks pass the schema's CHECK constraints, and indexes that the policy says to try")
	if slices.ContainsFunc(r.Policy.Accept, func(a mask.Accept) bool { return !strings.HasPrefix(a.Object, leakPrefix) }) {
		out.Unchecked = append(out.Unchecked, "literals of the schema that the policy accepts: whether they are as they were, digests under the masking key tell")
	}
	for _, table := range r.Policy.LoginTables() {
		out.Unchecked = append(out.Unchecked, "testers' logins of "+table.String()+": whether the accounts are in the dump, and the password hash")
	}
	if len(schema.largeObjects) == 0 && len(schema.data) == 0 {
		out.Unchecked = append(out.Unchecked, "large objects, of which a schema alone does not tell")
	}
	return out.Add(r.Policy, err)
}

// coveredSchema reads the schema as an import does, with the application's role in
// place of those that the policy does not map. It returns nil where the schema
// cannot be built.
func (r *opened) coveredSchema(archive *dump.Dump, literals bool, out *PolicyCheck) (*schema, error) {
	if err := r.checkMajor(archive); err != nil {
		return nil, out.Add(r.Policy, err)
	}
	s, err := readSchema(archive, r.Policy, r.Owner)
	if unmapped, ok := errors.AsType[*UnmappedError](err); ok {
		if err := out.Add(r.Policy, unmapped); err != nil {
			return nil, err
		}
		mapped := *r.Policy
		mapped.Roles = map[string]string{}
		maps.Copy(mapped.Roles, r.Policy.Roles)
		for _, role := range unmapped.Roles {
			mapped.Roles[role] = r.Owner
		}
		s, err = readSchema(archive, &mapped, r.Owner)
	}
	if err != nil {
		out.Unchecked = append(out.Unchecked, "the columns: the schema could not be read")
		return nil, out.Add(r.Policy, err)
	}
	s.alone = len(s.data) == 0
	for _, w := range s.idleDrops(r.Policy) {
		r.warn(w)
	}
	warnings, err := checkLiterals(archive, r.Policy, nil)
	for _, w := range warnings {
		r.warn(w)
	}
	if err != nil {
		if _, personal := errors.AsType[*LiteralsError](err); !personal || !literals {
			out.Unchecked = append(out.Unchecked, "the columns: literals that nobody accepted do not reach the server; on a Postgres that is thrown away afterwards, --accept-literals lets them")
			s = nil
		}
	}
	return s, out.Add(r.Policy, err)
}

// Add takes what an import would be stopped by, one gap for each thing. What is
// something else, a connection that broke, is returned.
func (c *PolicyCheck) Add(p *mask.Policy, err error) error {
	if err == nil {
		return nil
	}
	gaps := gapsOf(p, err)
	if command.ExitCode(err) != command.ExitMisconfigured && slices.ContainsFunc(gaps, func(g Gap) bool { return g.Kind == Refused }) {
		return err
	}
	c.Gaps = append(c.Gaps, gaps...)
	c.Fragment += strings.Join(Fragments(err), "")
	return nil
}

// gapsOf takes an error apart.
func gapsOf(p *mask.Policy, err error) []Gap {
	var out []Gap
	switch e := err.(type) { //nolint:errorlint // walks the tree itself
	case *mask.UncoveredError:
		return uncoveredGaps(p, e)
	case *UnmappedError:
		for _, role := range e.Roles {
			one := &UnmappedError{Roles: []string{role}, objects: e.objects, owner: e.owner}
			out = append(out, Gap{Kind: UnmappedRole, Object: role, Message: one.Error(), Fragment: one.Fragment()})
		}
		return out
	case *LiteralsError:
		for _, f := range e.Findings {
			one := &LiteralsError{[]Finding{f}}
			out = append(out, Gap{Kind: Literal, Object: f.Object, Message: one.Error(), Fragment: one.Fragment()})
		}
		return out
	case *mask.RuleError:
		kind := BrokenRule
		if e.Gone {
			kind = GoneRule
		}
		return []Gap{{Kind: kind, Message: e.Error(), Line: e.Line}}
	case interface{ Unwrap() []error }:
		for _, sub := range e.Unwrap() {
			out = append(out, gapsOf(p, sub)...)
		}
		return out
	}
	// What wraps something that is told apart says no more than that.
	if sub := errors.Unwrap(err); sub != nil {
		if gaps := gapsOf(p, sub); len(gaps) > 1 || gaps[0].Kind != Refused {
			return gaps
		}
	}
	return []Gap{{Kind: Refused, Message: command.OneLine(err.Error())}}
}

func uncoveredGaps(p *mask.Policy, e *mask.UncoveredError) []Gap {
	var out []Gap
	if e.LargeObjects {
		one := &mask.UncoveredError{LargeObjects: true}
		out = append(out, Gap{Kind: UncoveredObjects, Message: "the policy says nothing of large objects", Fragment: one.Fragment()})
	}
	for i, fragment := range e.Fragments() {
		c := e.Columns[i]
		out = append(out, Gap{
			Kind: UncoveredColumn, Object: c.String(), Message: "the policy does not cover column " + c.String(), Fragment: fragment,
			Line: p.LineOf(mask.Name{Schema: c.Schema, Name: c.Table}),
		})
	}
	return out
}

// Fragments are what can be pasted into a policy to cure an error, a part for each
// of its causes.
func Fragments(err error) []string {
	var out []string
	switch e := err.(type) { //nolint:errorlint // walks the tree itself
	case nil:
	case interface{ Fragment() string }:
		if f := e.Fragment(); f != "" {
			out = append(out, f)
		}
	case interface{ Unwrap() []error }:
		for _, sub := range e.Unwrap() {
			out = append(out, Fragments(sub)...)
		}
	default:
		if sub := errors.Unwrap(err); sub != nil {
			out = append(out, Fragments(sub)...)
		}
	}
	return out
}
