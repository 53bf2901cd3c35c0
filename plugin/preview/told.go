package preview

// Told is what may be told of a preview where everybody reads it who may look at
// Argo CD's objects: its state and why it ends, in words of this package alone.
type Told struct {
	State State
	// Snapshot is the one that its data is of; empty until there is one.
	Snapshot string
	// Restoring says that its volume is being made.
	Restoring bool
	// Why says why it ends, or has ended; empty where the words may hold an author's,
	// or a platform's.
	Why string
	// Asleep says why it sleeps; empty for one that does not.
	Asleep string
	// Ends is the day on which it ends by itself, once that was said; empty before.
	Ends string
}

// sayable are the reasons that are whole sentences of ours.
var sayable = map[string]bool{
	reasonClosed: true, reasonGone: true, reasonReopened: true, reasonReset: true, reasonResting: true, reasonUnasked: true,
	reasonLostNamespace: true, reasonLostVolume: true, reasonExpired: true, reasonDataAge: true,
	reasonUnlabelled: true, reasonUnapproved: true, reasonWithdrawn: true,
}

// Told leaves out of a report what others wrote.
func (r *Report) Told() Told {
	t := Told{State: r.State, Snapshot: r.Snapshot, Restoring: r.Phase == Live && r.PVCUID == "" && !r.Start.Restore.IsZero()}
	if r.asleep() {
		t.Asleep = r.AsleepFor
	}
	switch {
	case r.Phase == Ending && sayable[r.Reason]:
		t.Why = r.Reason
	case r.Expired != nil && sayable[r.Expired.Reason]:
		t.Why = r.Expired.Reason
	case r.Phase == Live && !r.WarnedAt.IsZero():
		t.Ends = day(r.ExpiresAt)
		if sayable[r.ExpiresFor] {
			t.Why = r.ExpiresFor
		}
	}
	return t
}
