package forge

import "testing"

// What is not known to be an end is none: a pull request in a merge queue is
// neither open nor closed in Bitbucket's words.
func TestBitbucketStates(t *testing.T) {
	t.Parallel()
	for state, open := range map[string]bool{
		"OPEN": true, "DRAFT": true, "QUEUED": true, "MERGED": false, "DECLINED": false, "SUPERSEDED": false,
	} {
		got := (&Bitbucket{}).normal("acme/shop", &bitbucketPull{State: state})
		if got.Open != open || got.Draft != (state == "DRAFT") {
			t.Errorf("%s: open %t, draft %t", state, got.Open, got.Draft)
		}
	}
}
