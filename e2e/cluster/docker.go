package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// RunError is a program that failed, with what it said.
type RunError struct {
	Command []string
	Output  string
	Inner   error
}

func (e *RunError) Error() string {
	out := strings.TrimSpace(e.Output)
	if len(out) > 2000 {
		out = "..." + out[len(out)-2000:]
	}
	if out == "" {
		return fmt.Sprintf("%s: %v", strings.Join(e.Command, " "), e.Inner)
	}
	return fmt.Sprintf("%s: %v: %s", strings.Join(e.Command, " "), e.Inner, out)
}

func (e *RunError) Unwrap() error { return e.Inner }

// docker runs the Docker command line and returns what it printed.
func docker(ctx context.Context, args ...string) (string, error) {
	return output(exec.CommandContext(ctx, "docker", args...))
}

// output runs a program and returns its standard output; its standard error
// becomes part of the error.
func output(cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		said := stderr.String()
		if said == "" {
			said = stdout.String()
		}
		return stdout.String(), &RunError{Command: cmd.Args, Output: said, Inner: err}
	}
	return stdout.String(), nil
}

// imageExists reports whether the Docker engine holds the image.
func imageExists(ctx context.Context, ref string) bool {
	_, err := docker(ctx, "image", "inspect", "--format", "{{.Id}}", ref)
	return err == nil
}
