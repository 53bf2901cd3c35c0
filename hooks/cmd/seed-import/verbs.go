package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/dump"
	"github.com/seedling-dev/seedling/hooks/greenmask"
	"github.com/seedling-dev/seedling/hooks/postgres"
	"github.com/seedling-dev/seedling/hooks/seed"
)

func runImport(ctx context.Context, env command.Env) error {
	f := newFlags("run")
	f.aboutDump()
	f.aboutPolicy()
	f.aboutLogins()
	f.aboutTarget()
	sample := f.set.Bool("sample", true, "try the first rows of every table before the load")
	depth := f.set.String("verify", seed.VerifySampled, "how `much` is verified before it becomes the seed: sampled, full or off; seed-backup takes only what was, or what says off")
	f.set.DurationVar(&f.verifyTime, "verify-time", 0, "how long a sampled verification may `take`; a twentieth of the import's time, 1s at least, if 0")
	o, err := f.options(env)
	if !slices.Contains([]string{seed.VerifySampled, seed.VerifyFull, seed.VerifyOff}, *depth) {
		err = errors.Join(err, command.Misconfiguredf("--verify %q is none of sampled, full, off", *depth))
	}
	if err != nil {
		return err
	}
	if o.Verify, o.VerifyTime = *depth, f.verifyTime; o.Verify == seed.VerifyFull {
		limitMemory(o.Memory + seed.VerifyMemory)
	}
	p := newProgress(env)
	defer p.close()
	o.Progress, o.Untried = p, !*sample
	report, err := seed.Import(ctx, o)
	p.close()
	if err != nil {
		report.Error = err.Error()
	}
	if werr := writeReport(f.report, report); werr != nil {
		err = errors.Join(err, werr)
	}
	if err == nil {
		err = report.Print(env.Stdout)
	}
	return err
}

// writeReport writes a report in JSON.
func writeReport(file string, report any) error {
	if file == "" {
		return nil
	}
	b, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return writeFile("the report", file, append(b, '\n'))
}

// writeFile replaces a file as a whole.
func writeFile(what, file string, content []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(file), ".seed-import-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", what, err)
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.Write(content)
	if err = errors.Join(err, temporary.Chmod(0o644), temporary.Close()); err == nil {
		err = os.Rename(temporary.Name(), file)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", what, err)
	}
	return nil
}

func runPlan(ctx context.Context, env command.Env) error {
	f := newFlags("plan")
	f.aboutDump()
	f.aboutPolicy()
	f.aboutLogins()
	f.aboutTarget()
	sample := f.set.Bool("sample", true, "send the first rows of every table through the masks into the shadow database")
	o, err := f.options(env)
	if err != nil {
		return err
	}
	p := newProgress(env)
	defer p.close()
	o.Progress = p
	report, err := seed.Plan(ctx, o, *sample)
	p.close()
	if err != nil {
		report.Error = err.Error()
	}
	if werr := writeReport(f.report, report); werr != nil {
		err = errors.Join(err, werr)
	}
	if len(report.Columns) > 0 {
		return errors.Join(err, report.Print(env.Stdout))
	}
	for _, w := range report.Warnings {
		env.Log.Warn(w)
	}
	return err
}

func runVerify(ctx context.Context, env command.Env) error {
	f := newFlags("verify")
	f.aboutDump()
	f.aboutPolicy()
	f.aboutLogins()
	f.aboutTarget()
	o, err := f.options(env)
	if err != nil {
		return err
	}
	limitMemory(o.Memory + seed.VerifyMemory)
	p := newProgress(env)
	defer p.close()
	o.Progress = p
	report, err := seed.Verify(ctx, o)
	p.close()
	if err != nil {
		report.Error = err.Error()
	}
	if werr := writeReport(f.report, report); werr != nil {
		err = errors.Join(err, werr)
	}
	if len(report.Verified) > 0 {
		err = errors.Join(err, report.Print(env.Stdout))
	}
	return err
}

func runEvidence(ctx context.Context, env command.Env) error {
	f := newFlags("evidence")
	f.set.StringVar(&f.targetFile, "target-file", "", "a `file` with the libpq connection string of the seed's Postgres; the environment variable SEED_TARGET otherwise")
	database := f.set.String("database", "app", "the seed's `database`")
	format := f.set.String("format", "text", "the `form` of the record: text (one page) or json")
	if err := command.ParseFlags(f.set, env); err != nil {
		return err
	}
	if !slices.Contains([]string{"text", "json"}, *format) {
		return command.Misconfiguredf("--format %q is none of text, json", *format)
	}
	target, err := postgres.ReadTarget(f.targetFile, env.Getenv)
	if err != nil {
		return err
	}
	record, text, err := seed.ReadRecord(ctx, target, *database)
	if err != nil {
		return err
	}
	if *format == "json" { // as it was written, so that its sha256 is the snapshot's
		_, err = fmt.Fprint(env.Stdout, text)
		return err
	}
	return record.Print(env.Stdout)
}

func runDraft(ctx context.Context, env command.Env) error {
	f := newFlags("draft-policy")
	f.aboutDump()
	f.aboutTarget()
	sample := f.set.Bool("sample", true, "look at the first rows of every table")
	literals := f.set.Bool("accept-literals", false, "build a schema whose literals look personal; only for a Postgres that is thrown away afterwards")
	from := f.set.String("from", "", "a `file` with a Greenmask configuration, whose rules are taken over where there is a counterpart")
	output := f.set.String("output", "", "a `file` for the policy, written when all of it is known; standard output otherwise")
	o, err := f.options(env)
	if err != nil {
		return err
	}
	if *from != "" {
		content, err := os.ReadFile(*from)
		if err != nil {
			return command.Misconfigured(fmt.Errorf("read the rules: %w", err))
		}
		if o.Suggested, err = greenmask.Read(content); err != nil {
			return command.Misconfigured(fmt.Errorf("read the rules in %s: %w", *from, err))
		}
	}
	p := newProgress(env)
	o.Progress = p
	text, err := seed.Draft(ctx, o, *sample, *literals)
	p.close()
	if err != nil {
		return err
	}
	if *output != "" {
		return writeFile("the policy", *output, text)
	}
	_, err = env.Stdout.Write(text)
	return err
}

// requestName is snapshot.RequestConfigMap, whose package would bring
// Kubernetes along.
const requestName = "seed-request"

var keyID = regexp.MustCompile(`^([0-9a-f]{2})+$`)

func runRequest(_ context.Context, env command.Env) error {
	f := newFlags("request")
	f.aboutDump()
	f.aboutPolicy()
	previous := f.set.String("previous-key-id", "", "the `id` of the key before, if that is not withdrawn: its snapshots stay usable until there is one with the new key")
	namespace := f.set.String("namespace", "", "the seed's `namespace`, if the ConfigMap is to name it")
	o, err := f.options(env)
	if err != nil {
		return err
	}
	if f.dumpFile != "" && dump.CheckURL(o.Dump) != nil {
		return command.Misconfiguredf("the URL in --dump-file is signed, or carries a secret, and the seed-request stands in Git: give --dump the URL without it")
	}
	rest := ""
	switch {
	case *previous == "":
	case !keyID.MatchString(*previous):
		return command.Misconfiguredf("--previous-key-id is no id of a key: it stands as key-id in the seed-request before")
	case *previous == o.Key.ID():
		return command.Misconfiguredf("--previous-key-id is the id of this very key: leave it out, or give the new key")
	default:
		rest = "  key-id-previous: " + quoteYAML(*previous) + "\n"
	}
	digest := o.DumpSHA256
	if o.DumpPick.Beside {
		digest = digestBeside
	}
	where := ""
	if *namespace != "" {
		where = "  namespace: " + quoteYAML(*namespace) + "\n"
	}
	_, err = fmt.Fprintf(env.Stdout, "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s\n%sdata:\n  dump: %s\n  dump-sha256: %s\n  policy-digest: %s\n  key-id: %s\n%s",
		requestName, where, quoteYAML(o.Dump), quoteYAML(digest), quoteYAML(o.Policy.Digest()), quoteYAML(o.Key.ID()), rest)
	return err
}

func quoteYAML(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	return strings.ReplaceAll(string(b), `\u0026`, "&")
}
