package event

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/eventually"
)

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), eventually.Limit)
	t.Cleanup(cancel)
	return ctx
}

// Every reader sees every batch after its subscription once and in order, independently of others.
func TestTail_EveryReaderSeesAll(t *testing.T) {
	const readers, batches = 16, 500
	tail, ctx := NewTail(), deadline(t)
	var wg sync.WaitGroup
	for range readers {
		c := tail.Subscribe()
		wg.Go(func() {
			for want := core.Index(1); want <= batches; {
				got, err := c.Next(ctx)
				if err != nil {
					t.Error(err)
					return
				}
				for _, b := range got {
					if b.Index != want {
						t.Errorf("got index %d, want %d", b.Index, want)
						return
					}
					want++
				}
			}
		})
	}
	for i := core.Index(1); i <= batches; i++ {
		tail.Publish([]Batch{{Index: i}})
		tail.Publish(nil)
	}
	wg.Wait()
}

// A reset is seen once, in its place, and reading goes on after it.
func TestTail_Reset(t *testing.T) {
	tail, ctx := NewTail(), deadline(t)
	c := tail.Subscribe()
	twin := c.Clone()
	tail.Publish([]Batch{{Index: 1}})
	tail.Reset()
	tail.Publish([]Batch{{Index: 9}})
	for _, r := range []*Cursor{c, twin} {
		if got, err := r.Next(ctx); err != nil || got[0].Index != 1 {
			t.Fatalf("got %v, %v", got, err)
		}
		if _, err := r.Next(ctx); !errors.Is(err, core.ErrDiverged) {
			t.Fatalf("got %v, want the reset", err)
		}
		if got, err := r.Next(ctx); err != nil || got[0].Index != 9 {
			t.Fatalf("got %v, %v", got, err)
		}
		if _, _, ok := r.Poll(); ok {
			t.Error("there is nothing more, yet Poll gave something")
		}
	}
}

// Next returns when its context ends.
func TestCursor_NextEnds(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("why")
	cancel(why)
	if _, err := NewTail().Subscribe().Next(ctx); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
}

// Batches that every cursor has passed can be garbage-collected.
func TestTail_HoldsNoHistory(t *testing.T) {
	tail := NewTail()
	collected := make(chan struct{})
	first := &UserCreated{}
	runtime.AddCleanup(first, func(int) { close(collected) }, 0)
	c := tail.Subscribe()
	tail.Publish([]Batch{{Index: 1, Events: []Event{first}}})
	if _, err := c.Next(deadline(t)); err != nil {
		t.Fatal(err)
	}
	runtime.KeepAlive(first) // from here on nothing but the tail could keep it
	ctx := deadline(t)
	for {
		runtime.GC()
		select {
		case <-collected:
			return
		case <-ctx.Done():
			t.Fatal("the tail still holds a batch that its only reader has passed")
		default:
			runtime.Gosched()
		}
	}
}
