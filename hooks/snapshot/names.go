package snapshot

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Labels. Their values are limited to 63 characters, so a digest is cut by
// LabelValue; choices are made on annotations, which carry it whole.
const (
	// LabelSeed names the seed (its namespace) on Backups, Restores and
	// preview namespaces.
	LabelSeed = "seedling.dev/seed"
	// LabelSnapshot names the snapshot (the Backup) that a restored PVC and
	// the objects beside it came from.
	LabelSnapshot = "seedling.dev/snapshot"
	// LabelDumpDigest is on a Backup when a sha256 of the dump was declared.
	LabelDumpDigest = "seedling.dev/dump-digest"
	// LabelPolicyDigest is on every Backup of ours.
	LabelPolicyDigest = "seedling.dev/policy-digest"
	// LabelKeyID is on every Backup of ours.
	LabelKeyID = "seedling.dev/key-id"
	// LabelPreview is the pull request's number, on a preview's namespace and
	// on its Restores.
	LabelPreview = "seedling.dev/preview"
	// LabelKey is the preview's hash, beside LabelPreview.
	LabelKey = "seedling.dev/key"
	// LabelNamespace names the preview's namespace on its Restores.
	LabelNamespace = "seedling.dev/namespace"
	// LabelState marks the ConfigMaps that hold the plugin's state.
	LabelState = "seedling.dev/state"
	// LabelOwner names the plugin, by its own namespace, that an object belongs
	// to: on all that a plugin makes, and on the claims that it has restored. Two
	// plugins of one cluster never touch each other's. What was made before there
	// was this label has none: see Others.
	LabelOwner = "seedling.dev/owner"
	// LabelPostgres says whose a preview's Postgres is: PostgresPlatform on the
	// namespace, and on the StatefulSet and the Service, where the plugin makes
	// it, absent where the pull request does. The admission policies read it.
	LabelPostgres = "seedling.dev/postgres"
	// LabelRepository, LabelAuthor and LabelTeam are on a preview's namespace, for
	// tools that tell costs apart. Nothing decides by them.
	LabelRepository = "seedling.dev/repository"
	LabelAuthor     = "seedling.dev/author"
	LabelTeam       = "seedling.dev/team"
	// LabelTestCredentials is on Secrets that the platform gives to previews, and on
	// their copies there.
	LabelTestCredentials = "seedling.dev/test-credentials"
	// LabelSlot is on the namespace of a preview that was made in advance, and on
	// no other: SlotFree, SlotAssigned or SlotDraining. The admission policies
	// read it.
	LabelSlot = "seedling.dev/slot"
	// VeleroRestoreLabel is set by Velero on everything a Restore creates, and
	// by the broker in direct mode: part of a PVC's provenance.
	VeleroRestoreLabel = "velero.io/restore-name"
	// VeleroExcludeLabel keeps an object out of every Backup.
	VeleroExcludeLabel = "velero.io/exclude-from-backup"
)

// Annotations of a Backup, copied from the seed's marker.
const (
	// AnnotationImportID is the UUID of the import whose data this is.
	AnnotationImportID = "seedling.dev/import-id"
	// AnnotationDumpID is a hash of the dump's address and version.
	AnnotationDumpID = "seedling.dev/dump-id"
	// AnnotationDumpDigest is the dump's declared sha256, absent without one.
	AnnotationDumpDigest = "seedling.dev/dump-digest"
	// AnnotationPolicyDigest is the digest of the canonical masking policy.
	AnnotationPolicyDigest = "seedling.dev/policy-digest"
	// AnnotationKeyID identifies the masking key without revealing it.
	AnnotationKeyID = "seedling.dev/key-id"
	// AnnotationMaskerVersion is the version of the maskers that ran.
	AnnotationMaskerVersion = "seedling.dev/masker-version"
	// AnnotationVolumeID is the UUID stamped on the seed's volume at initdb.
	AnnotationVolumeID = "seedling.dev/volume-id"
	// AnnotationVolumes is the number of volumes the Backup must hold.
	AnnotationVolumes = "seedling.dev/volumes"
	// AnnotationDataTime is when the import finished, RFC 3339 in UTC.
	AnnotationDataTime = "seedling.dev/data-time"
	// AnnotationDumpTime is when the source was dumped, as the dump says, RFC 3339:
	// by the clock of the machine that pg_dump ran on, taken for UTC. It is absent
	// where that is not told. The namespace of a preview has it too.
	AnnotationDumpTime = "seedling.dev/dump-time"
	// AnnotationVerified is how the import was verified before it became the seed:
	// sampled, full or off.
	AnnotationVerified = "seedling.dev/verified"
	// AnnotationRecordDigest is the sha256 of the record that is in the volume
	// (seedling.record in the seed's database), which `seed-import evidence` prints.
	AnnotationRecordDigest = "seedling.dev/record-digest"
	// AnnotationKept lists what the policy kept as it was in production: columns, and
	// contents of them. KeptValue writes it, KeptFrom reads it.
	AnnotationKept = "seedling.dev/kept"
	// AnnotationRevealed is what the import let through of its originals, as
	// package mask packs it; absent where that is too much for an annotation, or
	// an older seed-import made it.
	AnnotationRevealed = "seedling.dev/revealed"
	// AnnotationNudge is changed to wake Velero for an orphaned Backup.
	AnnotationNudge = "seedling.dev/nudge"
)

// Annotations of a preview's namespace. The plugin writes the first two when it
// makes the namespace, its broker the others.
const (
	// AnnotationRepository is the repository whose pull request this is.
	AnnotationRepository = "seedling.dev/repository"
	// AnnotationHost names the host that its Ingresses may have:
	// <namespace>.<domain of the ApplicationSet's input>. It is absent where the
	// input names no domain. The admission policies read it.
	AnnotationHost = "seedling.dev/host"
	// AnnotationCredentials says which copies of test credentials, of which versions,
	// a preview has. AnnotationRepositories, on the Secrets that are copied, says
	// for whose previews; for all without it.
	AnnotationCredentials  = "seedling.dev/credentials"
	AnnotationRepositories = "seedling.dev/repositories"
	// AnnotationAssignment says whose a slot is, for ever, and since when; absent
	// while it is nobody's.
	AnnotationAssignment = "seedling.dev/assignment"
	// AnnotationSnapshot names the snapshot that was chosen for it. The same
	// name is on the restored claim.
	AnnotationSnapshot = "seedling.dev/snapshot"
	// AnnotationSnapshotTime is how old its data is: when the import behind
	// the snapshot finished, RFC 3339.
	AnnotationSnapshotTime = "seedling.dev/snapshot-time"
	// AnnotationNewer names a newer snapshot, which was passed over because
	// Velero could not read its storage location at the choice.
	AnnotationNewer = "seedling.dev/newer-snapshot"
	// AnnotationPVC is the UID of the claim that was restored. Once it is
	// there, a claim with another UID is foreign for good.
	AnnotationPVC = "seedling.dev/pvc-uid"
)

const (
	// AnnotationNamespaceUID is on a Restore and tells one namespace of that name
	// from the next.
	AnnotationNamespaceUID = "seedling.dev/namespace-uid"
	// AnnotationPoke is changed to make Argo CD reconcile an ApplicationSet.
	// Its own refresh annotation can be lost: one that is set while a
	// reconciliation runs is taken off at its end without another one.
	AnnotationPoke = "seedling.dev/poke"
	// AnnotationEndConfirmed on an ApplicationSet is how a person says that all
	// the previews may end that the plugin's guard keeps back: as its sentence
	// prints it, <number>-<token>.
	AnnotationEndConfirmed = "seedling.dev/end-confirmed"
	// ArgoTrackingAnnotation is how Argo CD knows what belongs to which of its
	// Applications.
	ArgoTrackingAnnotation = "argocd.argoproj.io/tracking-id"
)

const (
	// TokenAudience is the audience of the token preview-restore presents.
	TokenAudience = "seedling"
	// HookServiceAccount is the ServiceAccount it presents in a preview.
	HookServiceAccount = "preview-restore"
	// HookJob is the hook that every preview begins with.
	HookJob = "preview-restore"
	// HookManager in spec.managedBy of that Job leaves its status to the broker,
	// and starts no pod (Kubernetes 1.32 and newer; dropped before).
	HookManager = "seedling.dev/broker"
	// SeedPVC is the claim of the seed's Postgres, and of a preview's.
	SeedPVC = "data-postgres-0"
	// Postgres is the name of a preview's StatefulSet, Service and Secret.
	Postgres = "postgres"
	// PostgresPlatform is LabelPostgres' one value.
	PostgresPlatform = "platform"
	// RequestConfigMap is the tracked ConfigMap that says what a seed should
	// hold.
	RequestConfigMap = "seed-request"
	// PolicyConfigMap holds the masking policy that the seed's import runs with,
	// under PolicyKey.
	PolicyConfigMap = "seed-policy"
	// PolicyKey is its key in PolicyConfigMap.
	PolicyKey = "policy.yaml"
)

// MaxSeed is the longest name a seed has, so that every name made from it fits
// a label's 63 characters: its Applications <seed>-postgres and <seed>-data,
// and its Backups.
const MaxSeed = 40

var seedName = regexp.MustCompile(`^seed(-[a-z0-9]([-a-z0-9]*[a-z0-9])?)?$`)

// CheckSeedName says what is wrong with the name of a seed, which is its
// namespace. The admission policies test the same prefix.
func CheckSeedName(name string) error {
	if !seedName.MatchString(name) || len(name) > MaxSeed {
		return fmt.Errorf("%q must be `seed` or `seed-<name>`, a DNS label of at most %d characters", name, MaxSeed)
	}
	return nil
}

// backupTime is the form of the time in the name of a Backup.
const backupTime = "20060102150405"

// BackupName is the Backup of a seed at a time: <seed>-<UTC time>-<random>,
// with 5 random characters.
func BackupName(seed string, at time.Time, random string) string {
	return seed + "-" + at.UTC().Format(backupTime) + "-" + random
}

// TimeOf is the time in the name of a seed's Backup; false for any other name.
func TimeOf(name, seed string) (time.Time, bool) {
	rest, ok := strings.CutPrefix(name, seed+"-")
	if !ok {
		return time.Time{}, false
	}
	stamp, _, _ := strings.Cut(rest, "-")
	at, err := time.Parse(backupTime, stamp)
	return at, err == nil
}

var backupSuffix = regexp.MustCompile(`^[0-9]{14}-[a-z0-9]+$`)

// BackupOf reports whether a Backup's name is one that BackupName makes for a
// seed. The admission policies test the same.
func BackupOf(name, seed string) bool {
	suffix, ok := strings.CutPrefix(name, seed+"-")
	return ok && backupSuffix.MatchString(suffix)
}

// What LabelSlot says: it waits for a pull request, it is one's, or it will be
// nobody's and is removed.
const (
	SlotFree     = "free"
	SlotAssigned = "assigned"
	SlotDraining = "draining"
)

const (
	// PreviewPrefix begins the name of every preview's namespace and
	// Application. The admission policies test it.
	PreviewPrefix = "preview-"
	// MaxPreview is the longest such name: a Restore is named <namespace>-<10
	// hex>, and Velero rewrites labels over 63 characters.
	MaxPreview = 63 - 1 - restoreHash

	restoreHash = 10
)

// Others reports whether an object with these labels belongs to another plugin
// than owner. One without the label was made before there was one: it is the
// plugin's that remembers its UID, and nobody's otherwise.
func Others(labels map[string]string, owner string) bool {
	of := labels[LabelOwner]
	return of != "" && of != owner
}

// IsPreview reports whether a namespace or an Application has a preview's name.
func IsPreview(name string) bool { return strings.HasPrefix(name, PreviewPrefix) }

// SlotPrefix begins the name of a slot: a preview that was made in advance. Ten
// random hex digits follow. No other preview has such a name, because theirs end
// in a number and a hash.
const SlotPrefix = PreviewPrefix + "slot-"

var slotName = regexp.MustCompile(`^` + SlotPrefix + `[0-9a-f]{10}$`)

// IsSlot reports whether a namespace has the name of a slot.
func IsSlot(name string) bool { return slotName.MatchString(name) }

// RestoreName is the Restore of one attempt to fill a preview's namespace from
// a snapshot. RestoredInto reads it.
func RestoreName(namespace string, uid types.UID, chosen string, attempt int) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{string(uid), chosen, strconv.Itoa(attempt)}, "/")))
	return namespace + "-" + hex.EncodeToString(sum[:])[:restoreHash]
}

// RestoredInto reports whether a Restore's name is one that RestoreName makes
// for a namespace.
func RestoredInto(restore, namespace string) bool {
	suffix, ok := strings.CutPrefix(restore, namespace+"-")
	return ok && len(suffix) == restoreHash && strings.Trim(suffix, "0123456789abcdef") == ""
}

// LabelValue cuts a hex digest to what is put on a label: its first 32
// characters.
func LabelValue(digest string) string {
	if len(digest) > 32 {
		return digest[:32]
	}
	return digest
}
