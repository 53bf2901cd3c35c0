package command

import (
	"cmp"
	"fmt"
	"runtime/debug"
)

// Set by the linker (-X), so that one binary can be traced to one commit.
var version, commit, date string

// Build says which build of the project a binary is.
type Build struct {
	// Version is a release, such as v1.0.0, or `dev`.
	Version string
	// Commit is the whole hash, Date the commit's own time in UTC, so that
	// equal sources make equal binaries; `unknown` where nobody said.
	Commit, Date string
}

// ThisBuild is the build that runs: what the linker was told, else what Go
// recorded.
func ThisBuild() Build {
	recorded := map[string]string{}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			recorded[s.Key] = s.Value
		}
	}
	return Build{
		Version: cmp.Or(version, "dev"),
		Commit:  cmp.Or(commit, recorded["vcs.revision"], "unknown"),
		Date:    cmp.Or(date, recorded["vcs.time"], "unknown"),
	}
}

func (b Build) String() string {
	return fmt.Sprintf("%s (commit %s of %s)", b.Version, b.Commit, b.Date)
}
