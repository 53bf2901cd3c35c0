package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/dump"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/postgres"
	"github.com/seedling-dev/seedling/hooks/seed"
)

// flags are those of all verbs; each verb registers what it takes.
type flags struct {
	set *flag.FlagSet

	dump, dumpFile, dumpSHA256, dumpCredentials string
	dumpMinAge                                  time.Duration
	schema                                      string
	policy, policyDigest, keyFile, keyID        string
	logins                                      string
	targetFile, database, owner, report         string
	jobs                                        int
	memory                                      string
	wait, verifyTime                            time.Duration
}

func newFlags(verb string) *flags {
	f := &flags{set: flag.NewFlagSet("seed-import "+verb, flag.ContinueOnError)}
	return f
}

func (f *flags) aboutDump() {
	f.set.StringVar(&f.dump, "dump", "", "`URL` or path of the dump: a file, a directory, s3://, gs://, azblob:// or https://; with a star in its path the newest whole one that matches")
	f.set.StringVar(&f.dumpFile, "dump-file", "", "a `file` that holds the URL, for one that is signed")
	f.set.StringVar(&f.dumpSHA256, "dump-sha256", "", "the dump's sha256 in `hex`, if declared: the import fails where it differs; beside takes it from the file NAME.sha256 beside the dump, without which no dump is whole")
	f.set.DurationVar(&f.dumpMinAge, "dump-min-age", 10*time.Minute, "how long a dump that a star matches must have been as it is; a younger one may still be written")
	f.set.StringVar(&f.dumpCredentials, "dump-credentials", "", "a `directory` with a file per credential: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, ...")
}

func (f *flags) aboutPolicy() {
	f.set.StringVar(&f.policy, "policy", "", "the policy's `file`")
	f.set.StringVar(&f.policyDigest, "policy-digest", "", "the `digest` the policy must have; any if empty")
	f.set.StringVar(&f.keyFile, "key-file", "", "the `file` of the key that masks depend on")
	f.set.StringVar(&f.keyID, "key-id", "", "the `id` the key must have; any if empty")
}

func (f *flags) aboutLogins() {
	f.set.StringVar(&f.logins, "logins", "", "a `directory` with the password hashes that the policy's logins name, a file for each")
}

func (f *flags) aboutServer() {
	f.set.StringVar(&f.targetFile, "target-file", "", "a `file` with the libpq connection string of the seed's Postgres; the environment variable SEED_TARGET otherwise")
	f.set.StringVar(&f.owner, "owner", "app", "the application's `role`, which owns what the dump's unmapped roles own")
	f.set.DurationVar(&f.wait, "wait", 5*time.Minute, "how long to wait for a Postgres that does not answer yet")
}

func (f *flags) aboutTarget() {
	f.aboutServer()
	f.set.StringVar(&f.database, "database", "app", "the seed's `database`")
	f.set.IntVar(&f.jobs, "jobs", max(2, runtime.NumCPU()), "how many sessions load at once")
	f.set.StringVar(&f.memory, "memory", "512MB", "how much memory to take at most: a `size` in MB or GB; what needs more is refused")
	f.set.StringVar(&f.report, "report", "", "a `file` for the report in JSON")
}

var hexDigest = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)

// options checks the flags, all at once, and reads the files they name.
func (f *flags) options(env command.Env) (o seed.Options, err error) {
	if err := command.ParseFlags(f.set, env); err != nil {
		return o, err
	}
	var errs []error
	add := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	o.DumpOptions.Credentials = f.dumpCredentials
	o.Database, o.Owner, o.Jobs, o.Wait, o.Log = f.database, f.owner, f.jobs, f.wait, env.Log
	if f.has("dump") {
		o.Dump, err = f.dumpURL()
		add(err)
		f.readPick(&o, add)
	}
	if f.has("policy") {
		f.readPolicy(&o, add)
	}
	if f.has("target-file") {
		f.readTarget(&o, env, add)
	}
	if len(errs) > 0 {
		return o, command.Misconfigured(errors.Join(errs...))
	}
	if o.Memory > 0 {
		limitMemory(o.Memory)
	}
	return o, nil
}

// has says that the verb takes the flag.
func (f *flags) has(name string) bool { return f.set.Lookup(name) != nil }

// readPick reads which dump is wanted of several, and how its digest is declared.
func (f *flags) readPick(o *seed.Options, add func(error)) {
	o.DumpPick = dump.Pick{MinAge: f.dumpMinAge, Beside: f.dumpSHA256 == digestBeside}
	switch {
	case o.DumpPick.Beside:
		return
	case f.dumpSHA256 != "" && !hexDigest.MatchString(f.dumpSHA256):
		add(errors.New("--dump-sha256 is not a sha256: 64 hexadecimal digits, or beside"))
	case f.dumpSHA256 != "" && dump.IsPattern(o.Dump):
		add(errors.New("--dump-sha256 is the digest of one dump, and the star in --dump stands for many: say --dump-sha256=beside, or leave it out"))
	case f.dumpMinAge < 0:
		add(errors.New("--dump-min-age is negative"))
	}
	o.DumpSHA256 = strings.ToLower(f.dumpSHA256)
}

// digestBeside is snapshot.DigestBeside, whose package would bring
// Kubernetes along.
const digestBeside = "beside"

// readPolicy reads the policy and, for verbs that mask, the key.
func (f *flags) readPolicy(o *seed.Options, add func(error)) {
	var err error
	o.Policy, err = readPolicy(f.policy)
	add(err)
	if o.Policy != nil && f.policyDigest != "" && !strings.EqualFold(f.policyDigest, o.Policy.Digest()) {
		add(errors.New("--policy-digest says " + f.policyDigest + ", the policy's digest is " + o.Policy.Digest() + ": write that into the seed-request (seed-import request prints it)"))
	}
	if f.has("logins") && o.Policy != nil {
		o.Logins, err = mask.LoadPasswordHashes(f.logins, o.Policy)
		add(err)
	}
	if !f.has("key-file") {
		return
	}
	if f.keyFile == "" {
		add(errors.New("--key-file is missing: a file with a key of at least 32 bytes, from `openssl rand -hex 32`"))
		return
	}
	o.Key, err = mask.LoadKey(f.keyFile)
	add(err)
	if err == nil && f.keyID != "" && !strings.EqualFold(f.keyID, o.Key.ID()) {
		add(errors.New("--key-id says " + f.keyID + ", the key's id is " + o.Key.ID() + ": write that into the seed-request (seed-import request prints it), or mount the other key"))
	}
}

// readTarget reads where the Postgres is, and what may be taken there.
func (f *flags) readTarget(o *seed.Options, env command.Env, add func(error)) {
	var err error
	if f.has("database") {
		switch f.database {
		case "", "postgres", "template0", "template1":
			add(errors.New("--database must be the seed's own database, and not " + f.database))
		}
		if f.jobs < 1 || f.jobs > 64 {
			add(errors.New("--jobs must be between 1 and 64"))
		}
		o.Memory, err = parseMemory(f.memory)
		add(err)
	}
	if f.owner == "" {
		add(errors.New("--owner is empty: name the application's role"))
	}
	o.Target, err = postgres.ReadTarget(f.targetFile, env.Getenv)
	add(err)
	o.Namespace = env.Getenv("POD_NAMESPACE")
}

var memorySize = regexp.MustCompile(`^([1-9][0-9]{0,5})(MB|Mi|GB|Gi)$`)

// parseMemory reads a size as Postgres or Kubernetes write it, and returns bytes.
// Both mean powers of two.
func parseMemory(size string) (int64, error) {
	m := memorySize.FindStringSubmatch(size)
	if m == nil {
		return 0, errors.New("--memory is not a size: give MB or GB, as in 512MB (which is 512Mi)")
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return 0, err
	}
	if n <<= 20; m[2][0] == 'G' {
		n <<= 10
	}
	if n < seed.LeastMemory {
		return 0, fmt.Errorf("--memory %s is too little: an import takes up to %dMB", size, seed.LeastMemory>>20)
	}
	return n, nil
}

func (f *flags) dumpURL() (string, error) {
	switch {
	case f.schema != "" && (f.dump != "" || f.dumpFile != ""):
		return "", errors.New("--schema and --dump are both given: use one")
	case f.schema != "":
		return f.schema, dump.CheckURL(f.schema)
	case f.has("schema") && f.dump == "" && f.dumpFile == "":
		return "", errors.New("--schema is missing: name what `pg_dump --schema-only` wrote, or a whole dump with --dump")
	case f.dump != "" && f.dumpFile != "":
		return "", errors.New("--dump and --dump-file are both given: use one")
	case f.dumpFile != "":
		b, err := os.ReadFile(f.dumpFile)
		if err != nil {
			return "", err
		}
		return strings.TrimSpace(string(b)), nil
	case f.dump == "":
		return "", errors.New("--dump is missing: name the dump")
	}
	return f.dump, dump.CheckURL(f.dump)
}

func readPolicy(file string) (*mask.Policy, error) {
	if file == "" {
		return nil, errors.New("--policy is missing: a file; seed-import draft-policy writes a first one")
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return mask.ParsePolicy(b)
}
