// Package shop is the sample application of the demo and the tests: a schema,
// the data in it, the policy that masks that data, and the manifests a pull
// request's preview is made of.
//
// The data is made up, deterministic (row i of a table is computed from the
// seed and i), looks like people, and carries planted personal values, the
// [Canaries], in every place a real application keeps them: columns, free
// text, JSON. A test greps for them.
package shop
