package seed

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/postgres"
)

// former says what becomes of the snapshots of what a seed holds now, under a
// policy and a key; "" where it holds nothing.
func former(m *postgres.Marker, policy *mask.Policy, keyID string) string {
	const stays, gone = "snapshots of what the seed holds now stay usable until a newer one is there", "snapshots of what the seed holds now give no new preview once this request is synced: "
	switch {
	case m == nil:
		return ""
	case m.KeyID != keyID:
		return gone + "they were masked with key " + m.KeyID + ". If that key is not withdrawn, and the policy permits what they hold, `seed-import request --previous-key-id " + m.KeyID + "` lets them be used until the next snapshot"
	case m.PolicyDigest == policy.Digest():
		return stays
	case m.Revealed == "":
		return gone + "an older seed-import did not write down what they let through"
	}
	r, err := mask.UnpackRevealed(m.Revealed)
	if err != nil {
		return gone + err.Error()
	}
	if wrong := policy.Permits(r, true); len(wrong) > 0 {
		return gone + listed(wrong)
	}
	return stays + ": this policy permits all that they hold"
}

// listed is a handful of half sentences.
func listed(all []string) string {
	const most = 5
	if len(all) > most {
		all = append(slices.Clone(all[:most]), fmt.Sprintf("and %d more", len(all)-most))
	}
	return strings.Join(all, "; ")
}
