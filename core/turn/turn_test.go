package turn

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever comes late has the next turn but one, however many wait that came before from one group; known
// callers take turns with strangers.
func TestQueue_GroupsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Config{Places: 1, Waiting: 10, WaitOne: 5})
		leave, err := q.Enter(t.Context(), Who{Name: "first"})
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var order []string
		for _, who := range []Who{{"e", false}, {"e", false}, {"e", false}, {"f", false}, {"K", true}, {"K", true}, {"L", true}} {
			go func() {
				leave, err := q.Enter(t.Context(), who)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, who.Name)
				mu.Unlock()
				leave()
			}()
			synctest.Wait()
		}
		leave()
		synctest.Wait()
		if got := strings.Join(order, ""); got != "KeLfKee" {
			t.Errorf("the turns were %s, want KeLfKee", got)
		}
	})
}

// One group can neither wait with more callers than it may, nor fill the space of those who are known, nor
// take every place if it may have only some.
func TestQueue_Bounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Config{Places: 2, OfOne: 1, Waiting: 3, WaitOne: 2})
		ctx, cancel := context.WithCancel(t.Context())
		enter := func(name string, known bool) error {
			errs := make(chan error, 1)
			go func() {
				leave, err := q.Enter(ctx, Who{Name: name, Known: known})
				if errs <- err; err == nil {
					<-t.Context().Done()
					leave()
				}
			}()
			synctest.Wait()
			select {
			case err := <-errs:
				return err
			default:
				return errors.New("waits")
			}
		}
		for i, c := range []struct {
			name  string
			known bool
			want  string
		}{
			{"e", false, "<nil>"}, {"e", false, "waits"}, {"e", false, "waits"}, {"e", false, ErrMine.Error()},
			{"ann", true, "<nil>"}, // the other place was kept
			{"f", false, "waits"}, {"g", false, ErrFull.Error()}, {"bob", true, "waits"},
		} {
			if got := fmt.Sprint(enter(c.name, c.known)); got != c.want {
				t.Errorf("%d: %s: %s, want %s", i, c.name, got, c.want)
			}
		}
		cancel()
		synctest.Wait()
		ctx = t.Context()
		if err := enter("e", false); fmt.Sprint(err) != "waits" { // its first one still runs, the others have left
			t.Errorf("after the others left: %v", err)
		}
	})
}

// A group that goes on without a break rests as long as it works, while others have its place; after a break it does not.
func TestQueue_Tired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Config{Places: 1, Waiting: 10, WaitOne: 10, TireAfter: 5 * time.Second})
		var done atomic.Int64
		work := func(name string, times int) *sync.WaitGroup {
			var all sync.WaitGroup
			for range times {
				all.Go(func() {
					leave, err := q.Enter(t.Context(), Who{Name: name})
					if err != nil {
						t.Error(err)
						return
					}
					time.Sleep(time.Second)
					done.Add(1)
					leave()
				})
			}
			return &all
		}
		began := time.Now()
		eve := work("eve", 10)
		time.Sleep(7500 * time.Millisecond) // six are done, and the sixth is rested from
		if n := done.Load(); n != 6 {
			t.Errorf("%d works were done when the rest began", n)
		}
		work("ann", 1).Wait()
		if took := time.Since(began); took > 9*time.Second {
			t.Errorf("ann waited until %v", took)
		}
		eve.Wait()
		if took := time.Since(began); took < 13*time.Second || took > 16*time.Second {
			t.Errorf("eve had ten seconds of work done in %v", took)
		}
		time.Sleep(time.Minute)
		began = time.Now()
		work("eve", 5).Wait()
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("after a break, five seconds of work took %v", took)
		}
	})
}

// Whatever comes, waits, gives up and leaves, never more than the places are taken, and in the end all are free.
func TestQueue_Hurry(t *testing.T) {
	q := New(Config{Places: 3, OfOne: 2, Waiting: 20})
	var mu sync.Mutex
	all, of := 0, map[Who]int{}
	count := func(who Who, by int) {
		mu.Lock()
		defer mu.Unlock()
		all += by
		if of[who] += by; all > 3 || of[who] > 2 {
			t.Errorf("%d run, %d of one", all, of[who])
		}
	}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 500 {
				who := Who{Name: string(rune('a' + rand.IntN(5))), Known: rand.IntN(2) == 0}
				ctx, cancel := context.WithCancel(context.Background())
				if rand.IntN(3) == 0 {
					go cancel()
				}
				if leave, err := q.Enter(ctx, who); err == nil {
					count(who, 1)
					count(who, -1)
					leave()
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if q.running != 0 || q.waiting != [2]int{} || len(q.lines)+len(q.turns[0])+len(q.turns[1]) != 0 {
		t.Error("something is left")
	}
}
