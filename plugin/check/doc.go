// Package check looks at what previews rely on in a cluster. Its promise: of
// each thing it says that it is well, or what is wrong, why that matters and
// what mends it, or that it could not be looked at and who can. It never passes
// over a thing in silence, and it changes nothing.
//
// There is one function per question. What needs rights that the plugin's
// ServiceAccount does not have, an administrator looks at from elsewhere: the
// running plugin gets no right for it.
package check
