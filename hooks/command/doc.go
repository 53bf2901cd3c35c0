// Package command is the frame of every command of the project: flags and
// subcommands, a main that turns signals and errors into exit codes, the
// version, a log that people read in Argo CD's window, and waiting that is
// patient and says what it waits for.
//
// Its promise is about how a command ends. The last line on standard error is
// one sentence, which Kubernetes keeps as the termination message
// (terminationMessagePolicy FallbackToLogsOnError), and the exit code is 0 for
// done, 1 for failed where a retry may help, 2 for misconfigured, where it will
// not. Jobs map 2 to FailJob.
package command
