package command

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Verbs are the subcommands of a command.
type Verbs struct {
	// Name is the command's, About one sentence on it.
	Name, About string
	// Default is the subcommand where none is named; "" asks for one.
	Default string
	List    []Verb
}

// Verb is one of them.
type Verb struct {
	// Name is the word, Does what it does in a few words.
	Name, Does string
	// Hidden is for other programs: it works and is not listed.
	Hidden bool
	Run    func(context.Context, Env) error
}

// Run runs the subcommand that the first argument names, with the other
// arguments. `help` and --help list them all; `help VERB` is `VERB --help`, and
// says what it does before its flags.
func (v Verbs) Run(ctx context.Context, env Env) error {
	name := v.Default
	if len(env.Args) > 0 && (v.Default == "" || !strings.HasPrefix(env.Args[0], "-") || asksHelp(env.Args[0])) {
		name, env.Args = env.Args[0], env.Args[1:]
	}
	if name == "help" && len(env.Args) > 0 && !strings.HasPrefix(env.Args[0], "-") {
		name, env.Args = env.Args[0], []string{"--help"}
	}
	if name == "help" || asksHelp(name) {
		v.help(env)
		return nil
	}
	for _, verb := range v.List {
		if verb.Name != name {
			continue
		}
		if slices.ContainsFunc(env.Args, asksHelp) {
			fmt.Fprintf(env.Stdout, "%s %s: %s.\n\n", v.Name, verb.Name, verb.Does)
		}
		return verb.Run(ctx, env)
	}
	if name == "" {
		return Misconfiguredf("say what to do: %s; see %s help", v.names(), v.Name)
	}
	return Misconfiguredf("%q is not a subcommand: use one of %s; see %s help", name, v.names(), v.Name)
}

func asksHelp(arg string) bool { return slices.Contains([]string{"--help", "-help", "-h"}, arg) }

func (v Verbs) names() string {
	var names []string
	for _, verb := range v.List {
		if !verb.Hidden {
			names = append(names, verb.Name)
		}
	}
	return strings.Join(names, ", ")
}

func (v Verbs) help(env Env) {
	fmt.Fprintf(env.Stdout, "%s\n\n", v.About)
	for _, verb := range append(slices.Clip(v.List), Verb{Name: "version", Does: "say which build this is"}) {
		if verb.Hidden {
			continue
		}
		fmt.Fprintf(env.Stdout, "  %s %-13s %s\n", v.Name, verb.Name, verb.Does)
	}
	if v.Default != "" {
		fmt.Fprintf(env.Stdout, "\nWithout a subcommand it does %s.", v.Default)
	}
	fmt.Fprintf(env.Stdout, "\n%s SUBCOMMAND --help lists the flags of one.\n", v.Name)
}
