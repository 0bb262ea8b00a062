package region

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nearside/nearside/core"
)

func TestCompare_OutvotedStops(t *testing.T) {
	// A home node whose machine comes to another state from the same entries stops, whether it leads
	// or not. It starts again without its machine and comes to the state of the others.
	for _, leads := range []bool{false, true} {
		t.Run(fmt.Sprint("Leader=", leads), func(t *testing.T) {
			w := startWorld(t, 3, nil)
			w.leader().propose(0, 10)
			w.agree()
			bad := w.followers()[0]
			if leads {
				bad = w.leader()
			}
			bad.machine.spoil()
			err := bad.ended()
			if !errors.Is(err, ErrOutvoted) || core.KindOf(err) != core.KindDiverged {
				t.Fatalf("it ended with %v", err)
			}
			bad.machine = newChain()
			bad.start()
			w.leader().propose(10, 20)
			w.agree()
		})
	}
}

func TestCompare_NoMajority(t *testing.T) {
	// If two home nodes differ, nobody can know which one is wrong, so both go on.
	w := startWorld(t, 3, nil)
	w.leader().propose(0, 10)
	w.agree()
	rest := w.followers()
	if err := rest[0].stop(); err != nil {
		t.Fatal(err)
	}
	rest[1].machine.spoil()
	mine := rest[1].machine.Position()
	if votes := rest[1].votes(t.Context(), mine); len(votes) != 2 {
		t.Fatalf("votes %v", votes)
	}
	if err := rest[1].compare(t.Context(), mine); err != nil || rest[1].Status().Differs == "" {
		t.Errorf("%v, %+v", err, rest[1].Status())
	}
}

// spoil changes the state of the machine.
func (c *chain) spoil() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pos.Digest[0]++
	c.digests[c.pos.Index] = c.pos.Digest
}
