package node

import (
	"context"
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
)

type counting int

func (c *counting) Propose(context.Context, core.Proposal) (core.Receipt, error) {
	*c++
	return core.Receipt{Index: 1}, nil
}

// What a peer forwards is ordered only when the replicas can read it: anything else would stop
// every one of them at the same entry.
func TestChecked_UnreadableIsNeverOrdered(t *testing.T) {
	var ordered counting
	home := checked{&ordered, func() int64 { return core.LogVersion }}
	for _, data := range [][]byte{nil, {0xff}, {0xa1, 0x01, 0x19, 0xff, 0xff}} {
		if _, err := home.Propose(t.Context(), core.Proposal{Data: data}); core.KindOf(err) != core.KindInvalid {
			t.Errorf("%x gave %v, want invalid", data, err)
		}
	}
	good, err := command.Encode(command.Caller{}, &command.EndSession{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := home.Propose(t.Context(), core.Proposal{Data: good}); err != nil || ordered != 1 {
		t.Errorf("a good command gave %v and was ordered %d times", err, ordered)
	}
}
