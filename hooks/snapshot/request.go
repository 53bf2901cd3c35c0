package snapshot

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Request is what the tracked ConfigMap seed-request asks a seed to hold.
type Request struct {
	// Dump is the dump's URL or path, with stars where it is the newest of several.
	Dump string
	// DumpSHA256 is the dump's declared digest in lower-case hex, DigestBeside where a
	// file beside the dump declares it, "" for none.
	DumpSHA256 string
	// PolicyDigest and KeyID are lower-case hex, as `seed-import request`
	// prints them.
	PolicyDigest, KeyID string
	// PreviousKeyID is a key that is not withdrawn: its snapshots may be used until
	// there is one with the key itself. "" for none.
	PreviousKeyID string
	// Permits is nil where the policy permits all that a snapshot lets through of
	// its originals, as its annotation has it; sameKey says that it is masked with the
	// key itself. It is nil itself where the policy is not known: then only snapshots of
	// the same digest may be used.
	Permits func(revealed string, sameKey bool) error
}

// Keys of the seed-request ConfigMap.
const (
	requestDump         = "dump"
	requestDumpSHA256   = "dump-sha256"
	requestPolicyDigest = "policy-digest"
	requestKeyID        = "key-id"
	requestPreviousKey  = "key-id-previous"
)

// DigestBeside is the dump-sha256 of a dump whose digest is in the file NAME.sha256
// beside it.
const DigestBeside = "beside"

// RequestFrom reads a seed-request ConfigMap, and says everything that is
// wrong with it at once.
func RequestFrom(cm *corev1.ConfigMap) (Request, error) {
	if cm == nil {
		return Request{}, fmt.Errorf("read ConfigMap %s: there is none", RequestConfigMap)
	}
	r := Request{
		Dump:         strings.TrimSpace(cm.Data[requestDump]),
		DumpSHA256:   strings.TrimSpace(cm.Data[requestDumpSHA256]),
		PolicyDigest: strings.TrimSpace(cm.Data[requestPolicyDigest]),
		KeyID:        strings.TrimSpace(cm.Data[requestKeyID]),

		PreviousKeyID: strings.TrimSpace(cm.Data[requestPreviousKey]),
	}
	var wrong []error
	if r.Dump == "" {
		wrong = append(wrong, errors.New("dump is empty"))
	}
	if r.DumpSHA256 != "" && r.DumpSHA256 != DigestBeside && !isHex(r.DumpSHA256, 64) {
		wrong = append(wrong, errors.New("dump-sha256 is neither 64 lower-case hex digits nor "+DigestBeside))
	}
	if !isHex(r.PolicyDigest, 64) {
		wrong = append(wrong, errors.New("policy-digest is not 64 lower-case hex digits"))
	}
	if !isHex(r.KeyID, 0) {
		wrong = append(wrong, errors.New("key-id is not lower-case hex"))
	}
	if r.PreviousKeyID != "" && !isHex(r.PreviousKeyID, 0) {
		wrong = append(wrong, errors.New("key-id-previous is not lower-case hex"))
	}
	if len(wrong) > 0 {
		return Request{}, fmt.Errorf("read ConfigMap %s/%s (print it with `seed-import request`): %w",
			cm.Namespace, cm.Name, errors.Join(wrong...))
	}
	return r, nil
}

// isHex says whether s is lower-case hex of n characters, of any positive
// even number where n is 0.
func isHex(s string, n int) bool {
	if s == "" || (n > 0 && len(s) != n) || s != strings.ToLower(s) {
		return false
	}
	_, err := hex.DecodeString(s)
	return err == nil
}
