package preview

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/seedling-dev/seedling/plugin/forge"
)

// Phase is where a preview stands.
type Phase string

const (
	// Held previews are asked for and not yet emitted; Reason says why.
	Held Phase = "Held"
	// Live previews are emitted to Argo CD.
	Live Phase = "Live"
	// Ending previews are emitted no more. One that lingers keeps its data for a
	// while, and comes back with it if it is asked for again; of any other the
	// janitor removes what is left, and one that is asked for again begins anew
	// when the janitor has forgotten it.
	Ending Phase = "Ending"
)

// Lingers says whether an ended preview keeps its data at that time.
func (p *Preview) Lingers(now time.Time) bool {
	return p.Phase == Ending && now.Before(p.LingersUntil)
}

// Preview is one preview as the plugin remembers it.
type Preview struct {
	Key
	// Namespace is the Application's name too: Key.Namespace(), or the slot that
	// was assigned to it.
	Namespace string `json:"namespace"`
	// Seed is the seed whose data it has, fixed when it was first seen.
	Seed string `json:"seed"`
	// Postgres is whose its Postgres is, as in Input, and fixed as its seed is.
	Postgres string `json:"postgres,omitempty"`
	// Host is what its Ingresses may be called, empty where the input names no
	// domain; the namespace says so too (snapshot.AnnotationHost).
	Host string `json:"host,omitempty"`
	// Team is who pays for it, as the input says.
	Team string `json:"team,omitempty"`
	// HeadSHA is the commit that is emitted.
	HeadSHA string `json:"headSHA,omitempty"`

	// Paths is what is told of the input's paths, for HeadSHA; nil where nothing is
	// asked. It is replaced and never changed.
	Paths *Paths `json:"paths,omitempty"`

	Phase Phase `json:"phase"`
	// Reason says why it is held or why it ended, as a sentence for people.
	Reason string `json:"reason,omitempty"`

	// NamespaceUID and HookUID (of ServiceAccount preview-restore) are those of
	// the objects the plugin made; the broker serves nobody else.
	NamespaceUID types.UID `json:"namespaceUID,omitempty"`
	HookUID      types.UID `json:"hookUID,omitempty"`
	// Snapshot and PVCUID are what the broker restored.
	Snapshot string    `json:"snapshot,omitempty"`
	PVCUID   types.UID `json:"pvcUID,omitempty"`
	// Foreign says that the broker found a volume that it did not restore.
	Foreign bool `json:"foreign,omitempty"`

	// PullRequest is the pull request as last seen.
	PullRequest forge.PullRequest `json:"pullRequest"`
	// ConsentBy is who with write access asked for the preview, and ConsentAt
	// when the forge says they did.
	ConsentBy string    `json:"consentBy,omitempty"`
	ConsentAt time.Time `json:"consentAt,omitzero"`
	// ResetSpent is true while the reset label that was last acted upon is
	// still on the pull request.
	ResetSpent bool `json:"resetSpent,omitempty"`

	// Outlived: it has been in an answer, or its namespace was there, before this
	// state knew of it. It comes back; it does not begin.
	Outlived bool `json:"outlived,omitempty"`

	// Queued: it lacks nothing but a place among as many as there may be.
	Queued bool `json:"queued,omitempty"`
	// LabelSeenAt is when its label was first seen, this time. ExpiresAt is when it
	// ends by itself, ExpiresFor why, and WarnedAt since when that is said; zero
	// while it is far. Expired is set on one that did end so.
	LabelSeenAt time.Time `json:"labelSeenAt,omitzero"`
	ExpiresAt   time.Time `json:"expiresAt,omitzero"`
	ExpiresFor  string    `json:"expiresFor,omitempty"`
	WarnedAt    time.Time `json:"warnedAt,omitzero"`
	Expired     *Expired  `json:"expired,omitempty"`
	// AsleepSince is since when a live preview sleeps, zero for one that is awake,
	// and AsleepFor why. Halted says that what runs in it may have been ended, and
	// was not let run again yet. WokenAt is when somebody last woke it, and
	// WakeSpent as ResetSpent for the label that does.
	AsleepSince time.Time `json:"asleepSince,omitzero"`
	AsleepFor   string    `json:"asleepFor,omitempty"`
	Halted      bool      `json:"halted,omitempty"`
	WokenAt     time.Time `json:"wokenAt,omitzero"`
	WakeSpent   bool      `json:"wakeSpent,omitempty"`
	// Start is how its start went, for people.
	Start Start `json:"start,omitzero"`
	// DataAt is when the import behind its snapshot finished.
	DataAt time.Time `json:"dataAt,omitzero"`
	// DumpedAt is when the source of that was dumped, as the dump says; zero where
	// that is not told.
	DumpedAt time.Time `json:"dumpedAt,omitzero"`

	// Said is the commit status that was last written, so that it is written
	// again only when it differs.
	Said string `json:"said,omitempty"`
	// CommentID and CommentText are our comment on the pull request, and a digest
	// of what it says.
	CommentID   string `json:"commentID,omitempty"`
	CommentText string `json:"commentText,omitempty"`
	// Deployed is a digest of the deployment that the forge was told of; empty for
	// none. It spares questions after a restart, and nothing else hangs on it.
	Deployed string `json:"deployed,omitempty"`

	// Our own clock, never a commit's: FirstSeen is when the preview was first
	// asked for, HeadSeenAt when PullRequest.HeadSHA was first seen.
	FirstSeen  time.Time `json:"firstSeen"`
	HeadSeenAt time.Time `json:"headSeenAt,omitzero"`
	EmittedAt  time.Time `json:"emittedAt,omitzero"`
	EndedAt    time.Time `json:"endedAt,omitzero"`
	// LingersUntil is until when an ended preview keeps its data, and Rests that
	// nothing but that is left of it: from then on it may come back. While it
	// does it is Held and has both still. Zero for one that keeps nothing.
	LingersUntil time.Time `json:"lingersUntil,omitzero"`
	Rests        bool      `json:"rests,omitempty"`
	// EmittedAsOf is the forge's clock at the emission: the pull request's last
	// change that was known then. A closing is compared with this and not with
	// EmittedAt, because the two clocks differ. State of earlier versions lacks
	// it until the pull request is seen again.
	EmittedAsOf time.Time `json:"emittedAsOf,omitzero"`
}
