package region

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/nearside/nearside/core"
)

func TestApplier_Gathers(t *testing.T) {
	// Proposals that are on their way through Raft get into the same transaction. A single one does not
	// wait, and the wait is short if others do not come.
	synctest.Test(t, func(t *testing.T) {
		a := newApplier(&Config{now: time.Now}, nil, newLead())
		underWay := 1
		a.underWay = func() int { return underWay }
		take := func(want int, within time.Duration) {
			t.Helper()
			began := time.Now()
			entries, _, _ := a.take()
			if took := time.Since(began); len(entries) != want || took > within {
				t.Errorf("took %d entries after %v, want %d within %v", len(entries), took, want, within)
			}
		}
		one := []item{{entry: core.Entry{Index: 1}}}
		a.push(one)
		take(1, 0)

		underWay = 3
		a.push(one)
		go func() {
			time.Sleep(gatherFor / 4)
			a.push(one)
			time.Sleep(gatherFor / 4)
			a.push(one)
		}()
		take(3, gatherFor/2)

		a.push(one)
		take(1, gatherFor)

		a.push(one)
		time.AfterFunc(gatherFor/4, a.stop)
		take(0, gatherFor/4)
	})
}

func TestStamper_Gathers(t *testing.T) {
	// Many proposals at once are given to Raft together; one or two do not wait.
	synctest.Test(t, func(t *testing.T) {
		r := &Region{lead: newLead(), queue: make(chan *waiter, 64)}
		var g group
		gather := func(want int, within time.Duration) {
			t.Helper()
			began := time.Now()
			list := r.gather(t.Context(), &g, <-r.queue)
			if took := time.Since(began); len(list) != want || took > within {
				t.Errorf("gathered %d after %v, want %d within %v", len(list), took, want, within)
			}
			r.gathered.Store(0)
		}
		come := func(n int) {
			for range n {
				r.queue <- &waiter{}
			}
		}
		come(1)
		gather(1, 0)
		come(2)
		gather(2, 0)
		come(16)
		gather(16, 0)
		come(1)
		go func() {
			time.Sleep(groupPause / 2)
			come(15)
		}()
		gather(16, groupPause/2)
		for n := 0; g.peak >= groupFrom; n++ { // there are few proposals now, and the peak is forgotten
			if n > 100 {
				t.Fatalf("still waiting for %d", g.peak)
			}
			come(1)
			gather(1, groupPause)
		}
		come(1)
		gather(1, 0)
	})
}
