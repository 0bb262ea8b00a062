package fanout

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/core/eventually"
)

// Whatever happens while a socket registers, it gets exactly the events of its channels after the
// state that its client can read at hello: none is lost, none is repeated, and they are in order.
func TestHub_RegisteringRace(t *testing.T) {
	const users, chans, entries, sockets = 32, 3, 1500, 96
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	w := newWorld()
	var h *Hub
	var reads atomic.Int64
	h = start(t, w, func(c *Config) {
		c.Limits.QueueEvents, c.Limits.QueueBytes = 2*entries, 64<<20
		c.Memberships = func(ctx context.Context, u core.UserID) (Memberships, error) {
			got, err := w.Memberships(ctx, u)
			if reads.Add(1)%2 == 0 { // a slow reader: the hub advances beyond what was read
				h.passed(t, min(got.At.Index+60, 2*entries))
			}
			return got, err
		}
	})

	// The log is determined in advance: what each user must get, and when.
	type want struct {
		at   core.Index
		text string
	}
	expect := map[core.UserID][]want{}
	members := map[core.UserID]map[core.ChannelID]bool{}
	for u := range users {
		members[user(u)] = map[core.ChannelID]bool{}
	}
	log := make([][]event.Event, entries)
	for i := range log {
		ch, at := channel(rnd.IntN(chans)), core.Index(2*(i+1))
		for range 6 {
			u := user(rnd.IntN(users))
			if rnd.IntN(2) == 0 {
				log[i] = append(log[i], joined(u, ch))
				members[u][ch] = true
			} else {
				log[i] = append(log[i], left(u, ch))
				delete(members[u], ch)
			}
		}
		text := fmt.Sprint(at)
		log[i] = append(log[i], made{name: "posted", to: event.Audience{Channel: ch}, write: func(d *event.Data) { d.String("text", text) }})
		for u, in := range members {
			if in[ch] {
				expect[u] = append(expect[u], want{at, text})
			}
		}
	}

	// One goroutine advances the state, another delivers the events with random delays.
	applied, begun := make(chan event.Batch, 64), make(chan struct{}, sockets)
	var all sync.WaitGroup
	all.Go(func() {
		defer close(applied)
		for i, evs := range log {
			if i%12 == 0 { // let registering sockets keep up
				select {
				case <-begun:
				case <-time.After(time.Millisecond):
				}
			}
			applied <- w.apply(evs...)
		}
	})
	all.Go(func() {
		var run []event.Batch
		n := 1
		for b := range applied {
			if run = append(run, b); len(run) >= n {
				w.tail.Publish(run)
				run, n = nil, 1+int(b.Index)%41
			}
		}
		w.tail.Publish(run)
	})
	type seen struct {
		user  core.UserID
		wire  *wired
		hello core.Index // the state was at least here when hello arrived
	}
	results := make(chan seen, sockets)
	for i := range 8 {
		all.Go(func() {
			for n := range sockets / 8 {
				s := seen{user: user((i*12 + n) % users), wire: newWire()}
				begun <- struct{}{}
				sock, err := h.Register(context.Background(), client(s.user), s.wire, Resume{})
				if err != nil {
					t.Error(err)
					return
				}
				s.wire.await(t, "hello", func() bool { return len(s.wire.texts) > 0 })
				s.hello = w.Position().Index
				if n%3 == 0 {
					sock.Leave(false) // users come and go, so memberships are read again
					continue
				}
				results <- s
			}
		})
	}
	all.Wait()
	close(results)
	w.publish(made{name: "fence"})
	for s := range results {
		s.wire.await(t, "fence", func() bool { return fenced(s.wire) })
		exp := expect[s.user]
		texts := s.wire.texts[1 : len(s.wire.texts)-1]
		if len(texts) > len(exp) {
			t.Fatalf("%d events, at most %d", len(texts), len(exp))
		}
		missed, tail := exp[:len(exp)-len(texts)], exp[len(exp)-len(texts):]
		if len(missed) > 0 && missed[len(missed)-1].at > s.hello {
			t.Fatalf("event %d was lost: hello came at %d", missed[len(missed)-1].at, s.hello)
		}
		for i, text := range texts {
			head, end := fmt.Sprintf(`{"event":"posted","data":{"text":"%s"}`, tail[i].text), fmt.Sprintf(`,"seq":%d}`, i+1)
			if !strings.HasPrefix(text, head) || !strings.HasSuffix(text, end) {
				t.Fatalf("event %d is %s, want post %s", i+1, text, tail[i].text)
			}
		}
	}
}

// Every method may be called from many goroutines at once.
func TestHub_ConcurrentUse(t *testing.T) {
	w := newWorld()
	h := start(t, w, func(c *Config) {
		c.Presence = newPresence(t, nil)
		c.Limits = Limits{QueueEvents: 16, Parked: 2, PingEvery: 60 * time.Millisecond}
	})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			r := Resume{}
			for n := range 60 {
				wire := newWire()
				s, err := h.Register(context.Background(), client(user(i%3)), wire, r)
				if err != nil {
					t.Error(err)
					return
				}
				w.publish(joined(user(i%3), channel(1)), posted(channel(1), "x"))
				s.Reply([]byte(`{}`))
				_ = h.Typing(context.Background(), user(i%3), channel(1), core.PostID{})
				h.Active(user(i%3), n%2 == 0, true)
				h.Stats()
				w.publish(left(user(i%3), channel(1)))
				r = Resume{ConnectionID: s.ID(), Next: int64(n % 5)}
				s.Leave(n%4 != 0)
				if n%7 == 0 {
					s.Close(EndLeft)
				}
			}
		})
	}
	all.Wait()
	eventually.Nil(t, func() error {
		if st := h.Stats(); st.Sockets != 0 || st.Parked > 2 {
			return fmt.Errorf("stats %+v", st)
		}
		return nil
	})
}

func TestRegister_OneUserTakesNotAllPlaces(t *testing.T) {
	// A user who opens too many sockets loses their oldest, and other users lose none.
	h := start(t, newWorld(), func(c *Config) { c.Limits.PerUser = 2 })
	_, other := register(t, h, client(user(2)), Resume{})
	_, first := register(t, h, client(user(1)), Resume{})
	var last *wired
	for range 2 {
		_, last = register(t, h, client(user(1)), Resume{})
	}
	first.ended(t, EndSlow)
	h.Publish(made{name: "still here"})
	other.count(t, 2)
	last.count(t, 2)
	if st := h.Stats(); st.Sockets != 3 {
		t.Errorf("%d sockets", st.Sockets)
	}
}
