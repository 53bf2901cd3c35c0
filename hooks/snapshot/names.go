package snapshot

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
	// VeleroRestoreLabel is set by Velero on everything a Restore creates, and
	// by the broker in direct mode: part of a PVC's provenance.
	VeleroRestoreLabel = "velero.io/restore-name"
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
	// AnnotationNudge is changed to wake Velero for an orphaned Backup.
	AnnotationNudge = "seedling.dev/nudge"
)

const (
	// TokenAudience is the audience of the token preview-restore presents.
	TokenAudience = "seedling"
	// HookServiceAccount is the ServiceAccount it presents in a preview.
	HookServiceAccount = "preview-restore"
	// SeedPVC is the claim of the seed's Postgres, and of a preview's.
	SeedPVC = "data-postgres-0"
	// RequestConfigMap is the tracked ConfigMap that says what a seed should
	// hold.
	RequestConfigMap = "seed-request"
)

// LabelValue cuts a hex digest to what is put on a label: its first 32
// characters.
func LabelValue(digest string) string {
	if len(digest) > 32 {
		return digest[:32]
	}
	return digest
}
