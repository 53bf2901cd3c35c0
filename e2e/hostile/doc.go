// Package hostile tries what a hostile pull request can do, on the test cluster:
// each folder of attacks is one, as its author would push it, with what becomes of
// it in attack.yaml. README.md says how to add one.
//
// Beside the attacks stands a bystander, another pull request's preview, which
// nothing may touch; nor Velero's storage; and every attack ends with its pull
// request, with nothing left.
package hostile
