// Package faults lets previews live while parts of the cluster crash: whatever
// falls, and whenever, a preview that is asked for comes with the right data, and
// one that has ended leaves nothing, in the cluster or in its storage.
//
// A round opens some pull requests at once, each at a point of its own. Meanwhile
// parts are killed (SIGKILL), the storage location goes, the disk is full; and of
// some previews somebody deletes the claim or the namespace. Then all end, parts
// still falling. When nothing falls any more, what is there is compared with what
// was there before.
//
// What falls follows from -seed. When it falls is left to the machine.
package faults
