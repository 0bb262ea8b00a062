package command

import "github.com/nearside/nearside/core"

// RaiseVersion says that from here on the log is in the next version: every node that counts
// understands it. Home proposes it; no edge may.
type RaiseVersion struct {
	To int64 `cbor:"1,keyasint"`
}

// ContinueTask does the next piece of a task. Anybody may ask: it does only what was decided when
// the task began, and a step that has been done changes nothing.
type ContinueTask struct {
	TaskID core.TaskID `cbor:"1,keyasint"`
	Step   int64       `cbor:"2,keyasint"` // the task's Steps that the proposer saw
}

// FromHome reports whether only home itself may propose a command.
func FromHome(c Command) bool {
	_, ok := c.(*RaiseVersion)
	return ok
}
