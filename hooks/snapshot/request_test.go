package snapshot_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

func TestRequestFrom(t *testing.T) {
	t.Parallel()
	sha, policy := strings.Repeat("0f", 32), strings.Repeat("ab", 32)
	tests := []struct {
		name   string
		data   map[string]string
		want   snapshot.Request
		faults []string
	}{
		{
			name: "whole",
			data: map[string]string{"dump": "s3://b/k", "dump-sha256": sha, "policy-digest": policy, "key-id": "00aa"},
			want: snapshot.Request{Dump: "s3://b/k", DumpSHA256: sha, PolicyDigest: policy, KeyID: "00aa"},
		},
		{
			name: "no digest declared, and a newline of an editor",
			data: map[string]string{"dump": "s3://b/k\n", "dump-sha256": "", "policy-digest": policy + "\n", "key-id": "00aa"},
			want: snapshot.Request{Dump: "s3://b/k", PolicyDigest: policy, KeyID: "00aa"},
		},
		{
			name: "a key before",
			data: map[string]string{"dump": "d", "policy-digest": policy, "key-id": "00aa", "key-id-previous": "00bb\n"},
			want: snapshot.Request{Dump: "d", PolicyDigest: policy, KeyID: "00aa", PreviousKeyID: "00bb"},
		},
		{
			name:   "a key before that is none",
			data:   map[string]string{"dump": "d", "policy-digest": policy, "key-id": "00aa", "key-id-previous": "yesterday's"},
			faults: []string{"key-id-previous is not"},
		},
		{
			name:   "everything wrong at once",
			data:   map[string]string{"dump-sha256": "x", "policy-digest": strings.ToUpper(policy)},
			faults: []string{"seed/seed-request", "dump is empty", "dump-sha256 is neither", "policy-digest is not", "key-id is not"},
		},
		{
			name:   "a digest cut short",
			data:   map[string]string{"dump": "d", "policy-digest": policy[:32], "key-id": "00aa"},
			faults: []string{"policy-digest is not"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := snapshot.RequestFrom(&corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Namespace: "seed", Name: "seed-request"},
				Data:       test.data,
			})
			if len(test.faults) == 0 {
				checkFault(t, err, "")
			}
			for _, fault := range test.faults {
				checkFault(t, err, fault)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("request differs (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := snapshot.RequestFrom(nil); err == nil {
		t.Error("no error for no ConfigMap")
	}
}

func TestLabelValue(t *testing.T) {
	t.Parallel()
	for digest, want := range map[string]string{
		"": "", "abc": "abc", strings.Repeat("a", 32): strings.Repeat("a", 32), strings.Repeat("a", 64): strings.Repeat("a", 32),
	} {
		if got := snapshot.LabelValue(digest); got != want {
			t.Errorf("LabelValue(%q) = %q, want %q", digest, got, want)
		}
	}
}
