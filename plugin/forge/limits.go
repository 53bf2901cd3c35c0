package forge

import "time"

// All bounds of this package.
const (
	// pageSize is what we ask for; a server may give less per page.
	pageSize = 50
	// maxPages bounds one list. A list that is longer is an error.
	maxPages = 200
	// maxTries bounds how often a list that changed while it was read is read
	// again before that is an error.
	maxTries = 3
	// maxEmptyPages is how many empty pages in a row end a list that a forge
	// filters after paging (Gitea's timeline), beside those that entries could
	// fill of which we know that they are left out.
	maxEmptyPages = 3
	// maxGuesses is how many numbers an entry may have had that could not be
	// read.
	maxGuesses = 10
	// filterAbove is the length of a list from which on asking for a label's id
	// first is fewer calls.
	filterAbove = 3 * pageSize
	// githubPage is what GitHub gives at most per page.
	githubPage = 100
	// gitlabPage is what GitLab gives at most per page.
	gitlabPage = 100
	// bitbucketPage is what Bitbucket Cloud gives at most per page of pull
	// requests.
	bitbucketPage = 50
	// bitbucketDCPage is what is asked of Bitbucket Data Center at a time. The
	// administrator may allow less (page.max).
	bitbucketDCPage = 100
	// azurePage is what is asked of Azure DevOps at a time; it may give less.
	azurePage = 500
	// maxApprovers is how many of those who approved a pull request are asked
	// about, the last first.
	maxApprovers = 20
	// maxCommits bounds how many full names of commits are kept.
	maxCommits = 10_000
	// signedFor is how old a webhook call may be whose signature covers its time.
	signedFor = 5 * time.Minute
	// newsPage is how many of the last changed pull requests are asked for at a
	// time: their texts, at their longest, stay below maxBody. maxNews is how many
	// such pages are read before listing all is less work.
	newsPage = 50
	maxNews  = 2
	// wholeEvery is for how long a list is brought up to date by what changed
	// before all are listed again: what a forge changes without saying so (a
	// label that was renamed in the repository) is seen then.
	wholeEvery = 10 * time.Minute
	// renewBefore is how long before its end a token of our own making is
	// replaced.
	renewBefore = 5 * time.Minute
	// maxBody bounds one answer of a forge.
	maxBody = 16 << 20
	// maxErrorBody bounds the answer of a call that failed.
	maxErrorBody = 64 << 10
	// limitedFor is how long a forge is left alone that does not say for how
	// long; limitedAtMost however long it says.
	limitedFor    = time.Minute
	limitedAtMost = time.Hour
	// maxCredential bounds a credential file.
	maxCredential = 16 << 10
	// callTimeout bounds one HTTP call.
	callTimeout = 10 * time.Second
	// listTimeout bounds one list with all its pages. Argo CD waits 20 s for
	// the generator, and a repository's first list happens inside that.
	listTimeout = 15 * time.Second
	// maxCalls bounds calls in flight to one forge.
	maxCalls = 8
	// maxFiles and maxPaths bound the files of a pull request, and their names
	// together. Beyond them, as beyond the forge's own bound, the list is cut.
	maxFiles = 3000
	maxPaths = 512 << 10
	// filesTimeout bounds one question about the files of a pull request.
	filesTimeout = time.Minute
	// gitlabFiles is how many files GitLab before 18 takes per page.
	gitlabFiles = 30
	// MaxTouched is how many commits Touched lists at most.
	MaxTouched = 20
	// maxDescription is the length of a commit status that every forge takes.
	maxDescription = 140
)
