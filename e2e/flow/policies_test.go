package flow

import (
	"testing"
	"time"

	"github.com/seedling-dev/seedling/e2e/policies"
)

// The admission policies, case by case, on the installed cluster.
func TestPolicies(t *testing.T) {
	beside(t, 10*time.Minute)
	policies.Run(t, world.Cluster.REST())
}
