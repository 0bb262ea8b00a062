package command

import "github.com/nearside/nearside/core"

// RaiseVersion begins the next version of the log. Home proposes it once every node that was not
// excluded understands that version; an edge may not propose it.
type RaiseVersion struct {
	To int64 `cbor:"1,keyasint"`
}

// ContinueTask does the next piece of a task. It needs no permission: it does only what was decided
// when the task began, and a step that was done already changes nothing.
type ContinueTask struct {
	TaskID core.TaskID `cbor:"1,keyasint"`
	Step   int64       `cbor:"2,keyasint"` // the task's Steps that the proposer saw
}

// FromHome reports whether only home itself may propose a command.
func FromHome(c Command) bool {
	switch c.(type) {
	case *RaiseVersion, *ContinueTask, *CountAttempts, *ReportAudits, *TrimAudits, *AdmitNodes, *RenewNode, *RevokeNode:
		return true
	}
	return false
}

// WithoutSession reports whether a command may be proposed on behalf of nobody. An edge could make such a
// proposal at any time, so each is safe for a reason of its own:
//
//   - CreateUser, a sign-up: the account gets no more than any person may have who signs up, and home says
//     in the command whether anybody may.
//   - CreateSession, a sign-in: apply asks for an attempt at the password that home has found right, and the
//     attempt is for one token only.
func WithoutSession(c Command) bool {
	switch c.(type) {
	case *CreateUser, *CreateSession:
		return true
	}
	return false
}
