// Package snapshot is what the hooks and the plugin agree on: every label,
// annotation and name of an object, with the rule it follows and the function
// that reads it back; when a Velero Backup counts as a snapshot, which of
// several is the newest usable one; and the words preview-restore and the
// broker exchange.
//
// A snapshot is a Velero Backup of a seed's volume that passed acceptance.
// Acceptance is computed from the Backup each time and recorded nowhere, so
// nobody needs a right to write it. Usable is narrower: the snapshot was also
// made under the policy and the key that the seed asks for today.
//
// Whether the Backup's storage location is available is left to the caller,
// who can read it.
package snapshot
