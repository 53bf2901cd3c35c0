// Package platform installs Seedling on a test cluster as an organisation
// would, and is the vocabulary of those who use it afterwards: the demo and the
// tests.
//
// [Install] builds the images, fills the Git host with two repositories
// (acme/platform, which Argo CD reads, and acme/shop, whose pull requests get
// previews), makes the Secrets that are never in Git, and applies what a
// platform engineer applies. It adopts what an earlier run left.
//
// [Platform.Refresh] gives the seed a dump. [Platform.OpenPullRequest] and the
// methods of [PullRequest] do what developers do; [Platform.WaitPreview],
// [Platform.Query] and [Platform.WaitGone] see what comes of it.
package platform
