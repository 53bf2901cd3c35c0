package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/seed"
)

// checkFormats are the forms in which check says what it found.
var checkFormats = []string{"text", "json", "github", "gitlab"}

func runCheck(ctx context.Context, env command.Env) error {
	f := newFlags("check")
	f.set.StringVar(&f.schema, "schema", "", "a `file` that `pg_dump --schema-only` wrote, plain or custom")
	f.set.StringVar(&f.dump, "dump", "", "`URL` or path of a whole dump, in place of --schema")
	f.set.StringVar(&f.dumpFile, "dump-file", "", "a `file` that holds the URL, for one that is signed")
	f.set.StringVar(&f.dumpCredentials, "dump-credentials", "", "a `directory` with a file per credential of the dump's store")
	f.set.StringVar(&f.policy, "policy", "", "the policy's `file`, as annotations are to name it: from the repository's root")
	f.aboutServer()
	format := f.set.String("format", "text", "the `form` of the answer: text, json, github (annotations of GitHub Actions), gitlab (a Code Quality report)")
	literals := f.set.Bool("accept-literals", false, "build a schema whose literals look personal, to report the rest too; only for a Postgres that is thrown away afterwards")
	o, err := f.options(env)
	if !slices.Contains(checkFormats, *format) {
		return command.Misconfiguredf("--format %q is none of %s", *format, strings.Join(checkFormats, ", "))
	}
	var check *seed.PolicyCheck
	if _, broken := errors.AsType[*mask.RuleError](err); broken {
		check = &seed.PolicyCheck{Schema: f.schema, Unchecked: []string{"the schema: the policy cannot be read"}}
		err = check.Add(nil, err)
	} else if err == nil {
		p := newProgress(env)
		defer p.close()
		o.Progress = p
		check, err = seed.CheckPolicy(ctx, o, *literals)
		p.close()
	}
	if err != nil {
		return err
	}
	if *format != "text" { // for those who read the log
		err = printCheck(env.Stderr, check)
	}
	switch *format {
	case "text":
		err = errors.Join(err, printCheck(env.Stdout, check))
	case "json":
		err = errors.Join(err, printJSON(env.Stdout, check))
	case "github":
		err = errors.Join(err, annotate(env.Stdout, f.policy, check))
	case "gitlab":
		err = errors.Join(err, printJSON(env.Stdout, codeQuality(f.policy, check)))
	}
	return errors.Join(err, check.Err())
}

// printCheck writes a check for people.
func printCheck(w io.Writer, c *seed.PolicyCheck) error {
	var b strings.Builder
	if len(c.Gaps) == 0 {
		fmt.Fprintf(&b, "the policy covers all of %s\n", c.Schema)
	}
	for _, g := range c.Gaps {
		fmt.Fprintf(&b, "- %s\n", g.Message)
	}
	if c.Fragment != "" {
		fmt.Fprintf(&b, "\nAdd to the policy:\n\n%s\n", c.Fragment)
	}
	list := func(title string, lines []string) {
		for i, l := range lines {
			if i == 0 {
				b.WriteString(title + "\n")
			}
			b.WriteString("  - " + l + "\n")
		}
	}
	list("warnings:", c.Warnings)
	list("not checked:", c.Unchecked)
	_, err := io.WriteString(w, b.String())
	return err
}

func printJSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(value)
}

// Annotations are escaped as GitHub's toolkit does it: docs.github.com/actions,
// "Workflow commands". A step shows ten at most, so that the last one takes the
// rest.
var (
	annotationText     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	annotationProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

const mostAnnotations = 10

func annotate(w io.Writer, policy string, c *seed.PolicyCheck) error {
	var b strings.Builder
	for i, g := range c.Gaps {
		text := g.Message
		if g.Fragment != "" {
			text += "\n\nAdd to the policy:\n\n" + g.Fragment
		}
		if rest := c.Gaps[i:]; i == mostAnnotations-1 && len(rest) > 1 {
			text = fmt.Sprintf("%d more, which the log has with lines to paste:", len(rest))
			for _, g := range rest {
				text += "\n" + g.Message
			}
		}
		fmt.Fprintf(&b, "::error file=%s,line=%d,title=seed-import check::%s\n", annotationProperty.Replace(policy), max(1, g.Line), annotationText.Replace(text))
		if i == mostAnnotations-1 {
			break
		}
	}
	for _, warning := range c.Warnings[:min(len(c.Warnings), mostAnnotations)] { // the log has all
		fmt.Fprintf(&b, "::warning file=%s,title=seed-import check::%s\n", annotationProperty.Replace(policy), annotationText.Replace(warning))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// qualityIssue is one of a report as docs.gitlab.com has it in "Code Quality",
// "Import Code Quality results".
type qualityIssue struct {
	Description string          `json:"description"`
	CheckName   string          `json:"check_name"`
	Fingerprint string          `json:"fingerprint"`
	Severity    string          `json:"severity"`
	Location    qualityLocation `json:"location"`
}

type qualityLocation struct {
	Path  string       `json:"path"`
	Lines qualityLines `json:"lines"`
}

type qualityLines struct {
	Begin int `json:"begin"`
}

func codeQuality(policy string, c *seed.PolicyCheck) []qualityIssue {
	out := []qualityIssue{} // an empty report is a list, too
	for _, g := range c.Gaps {
		sum := sha256.Sum256([]byte(policy + "\x00" + string(g.Kind) + "\x00" + g.Object + "\x00" + g.Message))
		out = append(out, qualityIssue{
			Description: g.Message, CheckName: "seed-import/" + string(g.Kind), Fingerprint: hex.EncodeToString(sum[:]), Severity: "major",
			Location: qualityLocation{policy, qualityLines{max(1, g.Line)}},
		})
	}
	return out
}
