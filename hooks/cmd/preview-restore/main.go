// Command preview-restore asks the broker for a preview's volume and waits for
// it: see package restore and the README beside this file.
package main

import (
	"context"
	"flag"
	"os"
	"time"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/restore"
)

func main() { os.Exit(command.Main("preview-restore", run)) }

func run(ctx context.Context, env command.Env) error {
	set := flag.NewFlagSet("preview-restore", flag.ContinueOnError)
	var o restore.Options
	set.StringVar(&o.Broker, "broker", "http://plugin.seedling.svc:8081", "the broker's `URL`")
	set.StringVar(&o.TokenFile, "token-file", "/var/run/secrets/seedling/token", "the `file` with this pod's ServiceAccount token for the audience seedling")
	set.DurationVar(&o.Timeout, "timeout", 10*time.Minute, "how long to `wait` for the volume")
	if err := command.ParseFlags(set, env); err != nil {
		return err
	}
	_, err := restore.Run(ctx, env.Log, o, restore.Transport())
	return err
}
