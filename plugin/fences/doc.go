// Package fences holds what hostile pull requests try, a folder of attacks each
// (e2e/hostile/README.md says what is in one), and tries on any cluster what of it
// an API server can judge alone: every object, as a dry run, as an account of Argo
// CD's.
//
// Its promise: of an attack nothing is made. An object counts as refused only
// where a fence of ours refused it, where Argo CD's project does not permit it, or
// where the account has no right to it; what fails in any other way is an error.
// And harmless objects are tried beside the attacks, so that a cluster that refuses
// everything does not look fenced.
package fences
