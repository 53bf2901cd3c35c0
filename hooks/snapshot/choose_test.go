package snapshot_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

var (
	now  = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	want = snapshot.Request{
		Dump:         "s3://dumps/shop.dump",
		PolicyDigest: strings.Repeat("ab", 32),
		KeyID:        "0011223344556677",
	}
)

// backup is a usable snapshot of the seed `seed`, started an hour ago, changed
// by edits.
func backup(name string, edits ...func(*velerov1.Backup)) velerov1.Backup {
	b := velerov1.Backup{
		ObjectMeta: metav1.ObjectMeta{
			Name:   name,
			Labels: map[string]string{snapshot.LabelSeed: "seed"},
			Annotations: map[string]string{
				snapshot.AnnotationVolumes:      "1",
				snapshot.AnnotationPolicyDigest: want.PolicyDigest,
				snapshot.AnnotationKeyID:        want.KeyID,
			},
		},
		Spec: velerov1.BackupSpec{IncludedNamespaces: []string{"seed"}},
		Status: velerov1.BackupStatus{
			Phase:                       velerov1.BackupPhaseCompleted,
			CSIVolumeSnapshotsAttempted: 1,
			CSIVolumeSnapshotsCompleted: 1,
		},
	}
	started(-time.Hour)(&b)
	for _, edit := range edits {
		edit(&b)
	}
	return b
}

func at(d time.Duration) *metav1.Time { return &metav1.Time{Time: now.Add(d)} }

func started(d time.Duration) func(*velerov1.Backup) {
	return func(b *velerov1.Backup) { b.Status.StartTimestamp = at(d) }
}

func expires(d time.Duration) func(*velerov1.Backup) {
	return func(b *velerov1.Backup) { b.Status.Expiration = at(d) }
}

func phase(p velerov1.BackupPhase) func(*velerov1.Backup) {
	return func(b *velerov1.Backup) { b.Status.Phase = p }
}

func counters(attempted, completed int) func(*velerov1.Backup) {
	return func(b *velerov1.Backup) {
		b.Status.CSIVolumeSnapshotsAttempted, b.Status.CSIVolumeSnapshotsCompleted = attempted, completed
	}
}

func annotated(name, value string) func(*velerov1.Backup) {
	return func(b *velerov1.Backup) { b.Annotations[name] = value }
}

func ofSeed(name string) func(*velerov1.Backup) {
	return func(b *velerov1.Backup) {
		b.Labels[snapshot.LabelSeed] = name
		b.Spec.IncludedNamespaces = []string{name}
	}
}

func TestAccept(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		backup velerov1.Backup
		fault  string // "" where accepted
	}{
		{"completed", backup("b"), ""},
		{"completed with warnings", backup("b", func(b *velerov1.Backup) { b.Status.Warnings = 3 }), ""},
		{"two volumes", backup("b", annotated(snapshot.AnnotationVolumes, "2"), counters(2, 2)), ""},
		{"successful hooks", backup("b", func(b *velerov1.Backup) { b.Status.HookStatus = &velerov1.HookStatus{HooksAttempted: 2} }), ""},

		{"no phase yet", backup("b", phase("")), "Velero has not seen it"},
		{"new", backup("b", phase(velerov1.BackupPhaseNew)), "phase is New"},
		{"queued", backup("b", phase(velerov1.BackupPhaseQueued)), "phase is Queued"},
		{"ready to start", backup("b", phase(velerov1.BackupPhaseReadyToStart)), "phase is ReadyToStart"},
		{"in progress", backup("b", phase(velerov1.BackupPhaseInProgress)), "phase is InProgress"},
		{"waiting", backup("b", phase(velerov1.BackupPhaseWaitingForPluginOperations)), "phase is WaitingForPluginOperations"},
		{"finalizing", backup("b", phase(velerov1.BackupPhaseFinalizing)), "phase is Finalizing"},
		{"partially failed", backup("b", phase(velerov1.BackupPhasePartiallyFailed)), "phase is PartiallyFailed"},
		{"deleting", backup("b", phase(velerov1.BackupPhaseDeleting)), "phase is Deleting"},
		{"failed says why", backup("b", phase(velerov1.BackupPhaseFailed), func(b *velerov1.Backup) {
			b.Status.FailureReason = "server starting"
		}), "phase is Failed: server starting"},
		{"failed validation says why", backup("b", phase(velerov1.BackupPhaseFailedValidation), func(b *velerov1.Backup) {
			b.Status.ValidationErrors = []string{"no location", "no ttl"}
		}), "phase is FailedValidation: no location; no ttl"},

		{"errors", backup("b", func(b *velerov1.Backup) { b.Status.Errors = 1 }), "1 errors"},
		{"failed hooks", backup("b", func(b *velerov1.Backup) {
			b.Status.HookStatus = &velerov1.HookStatus{HooksAttempted: 2, HooksFailed: 1}
		}), "hooks failed"},
		{"completed with nothing in it", backup("b", counters(0, 0)), "EnableCSI"},
		{"attempted more than completed", backup("b", counters(1, 0)), "0 of 1 CSI snapshots"},
		{"fewer volumes than expected", backup("b", annotated(snapshot.AnnotationVolumes, "2")), "1 CSI snapshots completed, expected 2"},
		{"more volumes than expected", backup("b", counters(2, 2)), "2 CSI snapshots completed, expected 1"},
		{"no expectation", backup("b", func(b *velerov1.Backup) { delete(b.Annotations, snapshot.AnnotationVolumes) }), "not a positive number"},
		{"no annotations at all", backup("b", func(b *velerov1.Backup) { b.Annotations = nil }), "not a positive number"},
		{"expectation of zero", backup("b", annotated(snapshot.AnnotationVolumes, "0"), counters(0, 0)), "not a positive number"},
		{"expectation is no number", backup("b", annotated(snapshot.AnnotationVolumes, "one")), "not a positive number"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			checkFault(t, snapshot.Accept(&test.backup), test.fault)
		})
	}
}

// permitting is a request whose policy permits one thing that a snapshot lets
// through.
func permitting(r snapshot.Request, only string) snapshot.Request {
	r.Permits = func(revealed string, _ bool) error {
		if revealed != only {
			return errors.New("it lets more through")
		}
		return nil
	}
	return r
}

func rotated(r snapshot.Request, before string) snapshot.Request {
	r.PreviousKeyID = before
	return r
}

// The key before is good until there is a snapshot with the new one, however old
// that is and whether or not it may be used.
func TestKeyBefore(t *testing.T) {
	t.Parallel()
	before := annotated(snapshot.AnnotationKeyID, "ff")
	for name, test := range map[string]struct {
		others []velerov1.Backup
		newest string
	}{
		"none with the new key":                      {nil, "old"},
		"one with the new key":                       {[]velerov1.Backup{backup("new", started(-time.Minute))}, "new"},
		"one with the new key, before a rollback":    {[]velerov1.Backup{backup("new", started(-48*time.Hour))}, "new"},
		"one with the new key that failed":           {[]velerov1.Backup{backup("new", started(-time.Minute), phase(velerov1.BackupPhaseFailed))}, "old"},
		"one with the new key that runs":             {[]velerov1.Backup{backup("new", started(-time.Minute), phase(velerov1.BackupPhaseInProgress))}, "old"},
		"one with the new key of another seed":       {[]velerov1.Backup{backup("new", started(-time.Minute), ofSeed("seed-b"))}, "old"},
		"one with the new key, under another policy": {[]velerov1.Backup{backup("new", started(-time.Minute), annotated(snapshot.AnnotationPolicyDigest, "cd"))}, ""},
	} {
		got, err := snapshot.Newest(append(test.others, backup("old", started(-time.Hour), before)), "seed", rotated(want, "ff"), now)
		if (err == nil) != (test.newest != "") || err == nil && got.Name != test.newest {
			t.Errorf("%s: %v, error %v", name, got, err)
		}
	}
	if got, err := snapshot.Newest([]velerov1.Backup{backup("old", before)}, "seed", want, now); err == nil {
		t.Errorf("the key before was withdrawn, and %s is used", got.Name)
	}
}

func TestUsable(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		backup velerov1.Backup
		want   snapshot.Request
		fault  string
	}{
		{"usable", backup("b"), want, ""},
		{"another dump is no fault", backup("b", annotated(snapshot.AnnotationDumpDigest, "older")), want, ""},
		{"expires in time", backup("b", expires(61*time.Minute)), want, ""},
		{"not accepted", backup("b", counters(0, 0)), want, "no CSI snapshot"},
		{"being deleted", backup("b", func(b *velerov1.Backup) { b.DeletionTimestamp = at(0) }), want, "being deleted"},
		{"expired", backup("b", expires(-time.Minute)), want, "expires at"},
		{"expires now", backup("b", expires(0)), want, "expires at"},
		{"expires soon", backup("b", expires(time.Hour)), want, "expires at"},
		{"never started", backup("b", func(b *velerov1.Backup) { b.Status.StartTimestamp = nil }), want, "no start time"},
		{"another policy", backup("b", annotated(snapshot.AnnotationPolicyDigest, "cdcdcdcdcdcdcdcdcd")), want, "masked under policy cdcdcdcdcdcd, the seed asks for abababababab"},
		{"another policy with the same first 32 characters", backup("b", annotated(snapshot.AnnotationPolicyDigest, want.PolicyDigest[:32]+strings.Repeat("0", 32))), want, "masked under policy"},
		{"another policy, which the seed's permits", backup("b", annotated(snapshot.AnnotationPolicyDigest, "cd"), annotated(snapshot.AnnotationRevealed, "little")), permitting(want, "little"), ""},
		{"another policy, which the seed's does not permit", backup("b", annotated(snapshot.AnnotationPolicyDigest, "cd"), annotated(snapshot.AnnotationRevealed, "more")), permitting(want, "little"), "masked under policy cd, the seed asks for abababababab: it lets more through"},
		{"another policy, and nobody knows what it lets through", backup("b", annotated(snapshot.AnnotationPolicyDigest, "cd")), permitting(want, ""), "masked under policy cd, the seed asks for"},
		{"another policy, and the seed's is not known", backup("b", annotated(snapshot.AnnotationPolicyDigest, "cd"), annotated(snapshot.AnnotationRevealed, "little")), want, "masked under policy cd, the seed asks for"},
		{"no policy, and what it lets through", backup("b", annotated(snapshot.AnnotationPolicyDigest, ""), annotated(snapshot.AnnotationRevealed, "little")), permitting(want, "little"), "masked under policy (none)"},
		{"a policy that is permitted, and another key", backup("b", annotated(snapshot.AnnotationPolicyDigest, "cd"), annotated(snapshot.AnnotationRevealed, "little"), annotated(snapshot.AnnotationKeyID, "ff")), permitting(want, "little"), "masked with key ff"},
		{"the key before", backup("b", annotated(snapshot.AnnotationKeyID, "ff")), rotated(want, "ff"), ""},
		{"neither key", backup("b", annotated(snapshot.AnnotationKeyID, "ee")), rotated(want, "ff"), "masked with key ee"},
		{"no key, and none before", backup("b", annotated(snapshot.AnnotationKeyID, "")), rotated(want, ""), "masked with key (none)"},
		{"no policy", backup("b", annotated(snapshot.AnnotationPolicyDigest, "")), want, "masked under policy (none)"},
		{"another key", backup("b", annotated(snapshot.AnnotationKeyID, "ff")), want, "masked with key ff"},
		{"no key", backup("b", annotated(snapshot.AnnotationKeyID, "")), want, "masked with key (none)"},
		{"an empty wish fits nothing", backup("b", annotated(snapshot.AnnotationPolicyDigest, ""), annotated(snapshot.AnnotationKeyID, "")), snapshot.Request{}, "names no policy digest"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			checkFault(t, snapshot.Usable(&test.backup, test.want, now), test.fault)
		})
	}
}

func TestNewest(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		backups []velerov1.Backup
		newest  string // "" where there is none
		faults  []string
	}{
		{name: "none at all", faults: []string{"it has no Backup yet"}},
		{
			name:    "one",
			backups: []velerov1.Backup{backup("a")},
			newest:  "a",
		},
		{
			name:    "the latest start, whatever the order and the names",
			backups: []velerov1.Backup{backup("z", started(-3*time.Hour)), backup("a", started(-time.Hour)), backup("m", started(-2*time.Hour))},
			newest:  "a",
		},
		{
			name: "not the creation time, which changes when Velero syncs",
			backups: []velerov1.Backup{
				backup("old", started(-2*time.Hour), func(b *velerov1.Backup) { b.CreationTimestamp = *at(0) }),
				backup("new", started(-time.Hour), func(b *velerov1.Backup) { b.CreationTimestamp = *at(-3 * time.Hour) }),
			},
			newest: "new",
		},
		{
			name:    "a tie goes to the greater name",
			backups: []velerov1.Backup{backup("seed-1-a"), backup("seed-1-c"), backup("seed-1-b")},
			newest:  "seed-1-c",
		},
		{
			name:    "a newer one that failed in part is passed over",
			backups: []velerov1.Backup{backup("good", started(-2*time.Hour)), backup("bad", phase(velerov1.BackupPhasePartiallyFailed))},
			newest:  "good",
		},
		{
			name:    "a newer one that is running is passed over",
			backups: []velerov1.Backup{backup("good", started(-2*time.Hour)), backup("running", phase(velerov1.BackupPhaseInProgress))},
			newest:  "good",
		},
		{
			name:    "a newer one that is being deleted is passed over",
			backups: []velerov1.Backup{backup("good", started(-2*time.Hour)), backup("going", phase(velerov1.BackupPhaseDeleting))},
			newest:  "good",
		},
		{
			name:    "a newer one of another policy is passed over",
			backups: []velerov1.Backup{backup("good", started(-2*time.Hour)), backup("other", annotated(snapshot.AnnotationPolicyDigest, "00"))},
			newest:  "good",
		},
		{
			name:    "a newer one that expires soon is passed over",
			backups: []velerov1.Backup{backup("good", started(-2*time.Hour)), backup("soon", expires(30*time.Minute))},
			newest:  "good",
		},
		{
			name:    "a newer one with mismatched counters is passed over",
			backups: []velerov1.Backup{backup("good", started(-2*time.Hour)), backup("short", counters(2, 1))},
			newest:  "good",
		},
		{
			name:    "a newer one of another seed is passed over",
			backups: []velerov1.Backup{backup("good", started(-2*time.Hour)), backup("other", ofSeed("seed-b"))},
			newest:  "good",
		},
		{
			name: "a label alone does not make a Backup the seed's",
			backups: []velerov1.Backup{
				backup("elsewhere", func(b *velerov1.Backup) { b.Spec.IncludedNamespaces = []string{"kube-system"} }),
				backup("everything", func(b *velerov1.Backup) { b.Spec.IncludedNamespaces = nil }),
				backup("both", func(b *velerov1.Backup) { b.Spec.IncludedNamespaces = []string{"seed", "default"} }),
				backup("unlabelled", func(b *velerov1.Backup) { b.Labels = nil }),
			},
			faults: []string{"it has no Backup yet"},
		},
		{
			name: "every candidate is named with its reason, newest first",
			backups: []velerov1.Backup{
				backup("failed", started(-3*time.Hour), phase(velerov1.BackupPhaseFailed), func(b *velerov1.Backup) { b.Status.FailureReason = "disk" }),
				backup("waiting", phase(velerov1.BackupPhaseQueued), func(b *velerov1.Backup) { b.Status.StartTimestamp = nil }),
				backup("empty", started(-2*time.Hour), counters(0, 0)),
			},
			faults: []string{"waiting: phase is Queued", "; empty: it holds no CSI snapshot", "; failed: phase is Failed: disk"},
		},
		{
			name: "no more than a handful is named",
			backups: []velerov1.Backup{
				backup("a", phase("")), backup("b", phase("")), backup("c", phase("")), backup("d", phase("")),
				backup("e", phase("")), backup("f", phase("")), backup("g", phase("")),
			},
			faults: []string{"g: phase", "c: phase", "and 2 older ones"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := snapshot.Newest(test.backups, "seed", want, now)
			if test.newest != "" {
				if err != nil {
					t.Fatalf("Newest: %v", err)
				}
				if got.Name != test.newest {
					t.Errorf("Newest chose %s, want %s", got.Name, test.newest)
				}
				return
			}
			if got != nil {
				t.Errorf("Newest chose %s, want none", got.Name)
			}
			if !errors.Is(err, snapshot.ErrNone) {
				t.Errorf("error is not ErrNone: %v", err)
			}
			for _, fault := range test.faults {
				checkFault(t, err, fault)
			}
		})
	}
}

func TestNewestLeavesTheListAlone(t *testing.T) {
	t.Parallel()
	backups := []velerov1.Backup{backup("a", started(-2*time.Hour)), backup("b", started(-time.Hour))}
	if _, err := snapshot.Newest(backups, "seed", want, now); err != nil {
		t.Fatal(err)
	}
	if backups[0].Name != "a" || backups[1].Name != "b" {
		t.Errorf("Newest reordered its caller's list: %s, %s", backups[0].Name, backups[1].Name)
	}
}

func checkFault(t *testing.T, err error, fault string) {
	t.Helper()
	switch {
	case fault == "" && err != nil:
		t.Errorf("unexpected error: %v", err)
	case fault != "" && err == nil:
		t.Errorf("no error, want one with %q", fault)
	case fault != "" && !strings.Contains(err.Error(), fault):
		t.Errorf("error %q does not say %q", err, fault)
	}
}
