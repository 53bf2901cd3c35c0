package postgres

import (
	"strings"
	"testing"
)

// The commands name the seed's namespace where it is known, and otherwise say
// what is to be filled in.
func TestFreshVolume(t *testing.T) {
	t.Parallel()
	if got := HasPasswords([]string{"app"}, "seed-eu").Error(); strings.Contains(got, "SEED") || strings.Count(got, "kubectl -n seed-eu delete ") != 2 {
		t.Errorf("%s", got)
	}
	if got := FreshVolume(""); !strings.Contains(got, "SEED is the seed's namespace") || strings.Count(got, "kubectl -n SEED delete ") != 2 {
		t.Errorf("%s", got)
	}
}
