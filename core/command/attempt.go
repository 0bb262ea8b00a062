package command

import "github.com/nearside/nearside/core"

// CountAttempts counts attempts before home checks them, and gives back the count of those that were
// right. One entry does both for all that came together. Only home proposes it, since an edge could
// otherwise lock anybody out, or say that a password was right.
type CountAttempts struct {
	Right    []core.AttemptID `cbor:"1,keyasint,omitempty"` // were checked and right; counted before the others
	Attempts []core.Attempt   `cbor:"2,keyasint,omitempty"` // are about to be checked; apply decides share, time and uses
}

// Counted is the result of CountAttempts.
type Counted struct {
	Granted []bool `cbor:"1,keyasint,omitempty"` // for each of the attempts, whether it may be checked
}
