package apply

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/schema"
)

// Voids has the entries that were skipped by order of an operator.
var Voids = table[int64, Void]("voids", "index")

// Void is an entry that was skipped.
type Void struct {
	Index  int64  `cbor:"1,keyasint" db:"index"`
	By     int64  `cbor:"2,keyasint" db:"by_index"` // where the order is in the log
	At     int64  `cbor:"3,keyasint" db:"at"`       // when it was given
	Reason string `cbor:"4,keyasint" db:"reason" max:"500"`
}

var voided = core.Refusal{Kind: core.KindConflict, ID: "nearside.void.app_error"}

// skip is what applying an entry gives that is skipped by order: a refusal, and a row that says so. Whether a replica has
// tried the entry before or not, it comes to the same state.
func (x *exec) skip() (Effects, error) {
	v := x.entry.Void
	row := Void{Index: int64(x.entry.Index), By: int64(v.By), At: v.At.UnixMilli(), Reason: v.Reason}
	if Voids.Check(schema.Row(&row)) != "" {
		row.Reason = "" // it must not stop anybody once more
	}
	x.decision = append(x.decision, 'V')
	Voids.Put(x, row)
	x.record(core.AuditOfVoid(row.Index, row.Reason))
	outcome, err := command.EncodeOutcome(nil, core.AsError(voided))
	return Effects{Outcome: outcome, Decision: x.decision}, err
}
