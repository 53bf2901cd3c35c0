package preview

import (
	"cmp"
	"fmt"

	"github.com/seedling-dev/seedling/plugin/forge"
)

// asking is how people ask for something at a forge, so that nobody is told to set a
// label where there are none. The zero value is by labels.
type asking struct {
	// approves: a reviewer's approval is what asks for a preview.
	approves bool
	// unlabelled: there are no labels at all, so that nothing keeps a preview, resets
	// it or wakes it.
	unlabelled bool
}

func askingOf(f forge.Forge) asking {
	var a asking
	if f != nil {
		_, a.approves = f.(forge.Approving)
		a.unlabelled = !forge.HasLabels(f)
	}
	return a
}

// again is how a preview is asked for once more.
func (a asking) again() string {
	if a.approves {
		return "with an approval that is taken back and given again"
	}
	return "with its label taken off and set again"
}

// reset is how fresh data is asked for.
func (a asking) reset(in Input) string {
	if a.unlabelled {
		return "take the approval back, and give it again when the preview is gone"
	}
	return "set label " + cmp.Or(in.ResetLabel, DefaultResetLabel)
}

// unasked says that nobody asks for it.
func (a asking) unasked(label string) string {
	if a.approves {
		return "nobody approves it"
	}
	return "it does not have label " + label
}

// ended says why nobody asks for it any more.
func (a asking) ended() string {
	if a.approves {
		return reasonUnapproved
	}
	return reasonUnlabelled
}

// unrecorded says that nobody knows who asked.
func (a asking) unrecorded(label string) string {
	if a.approves {
		return "the forge has no record of who approved it: take the approval back and give it again"
	}
	return fmt.Sprintf("the forge has no record of who set label %s: take it off and set it again", label)
}

// stranger says that somebody asked who may not.
func (a asking) stranger(label string) string {
	if a.approves {
		return "it was approved by somebody without write access"
	}
	return fmt.Sprintf("label %s was set by somebody without write access", label)
}
