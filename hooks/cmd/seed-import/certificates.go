package main

import (
	"context"
	"encoding/base64"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/postgres"
)

// runCertificates makes the Secret with which a seed's Postgres and its Jobs
// know each other, for `kubectl apply`, or its files.
func runCertificates(_ context.Context, env command.Env) error {
	set := flag.NewFlagSet("seed-import certificates", flag.ContinueOnError)
	namespace := set.String("namespace", "seed", "the seed's `namespace`")
	directory := set.String("directory", "", "an existing, empty `directory` to write a file for each key into, instead of the Secret to standard output")
	days := set.Int("days", 3650, "for how many `days` they are valid; seed-import and seed-backup warn in the last 30")
	if err := command.ParseFlags(set, env); err != nil {
		return err
	}
	if *days < 1 || *days > 36500 {
		return command.Misconfiguredf("--days is %d: give 1 to 36500", *days)
	}
	files, err := postgres.NewCertificates(time.Now(), time.Duration(*days)*24*time.Hour)
	if err != nil {
		return fmt.Errorf("make the certificates: %w", err)
	}
	names := slices.Sorted(maps.Keys(files))
	if *directory != "" {
		for _, name := range names {
			if err := writeNew(filepath.Join(*directory, name), files[name]); err != nil {
				return command.Misconfiguredf("write the certificates: %w; give --directory an empty one", err)
			}
		}
		return nil
	}
	var out strings.Builder
	fmt.Fprintf(&out, "apiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n  namespace: %s\n  labels: {app.kubernetes.io/part-of: seedling}\ntype: Opaque\ndata:\n", postgres.Secret, quoteYAML(*namespace))
	for _, name := range names {
		fmt.Fprintf(&out, "  %s: %s\n", name, base64.StdEncoding.EncodeToString(files[name]))
	}
	_, err = fmt.Fprint(env.Stdout, out.String())
	return err
}

// writeNew writes a file that only its owner reads, and that was not there.
func writeNew(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
