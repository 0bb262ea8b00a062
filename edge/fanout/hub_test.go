package fanout

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/core/eventually"
)

// A socket's first event is hello with number 0; events follow in log order, numbered without gaps.
func TestHub_Events(t *testing.T) {
	w := newWorld()
	w.publish(joined(user(1), channel(1)), joined(user(2), channel(1)))
	h := start(t, w, nil)
	s, a := register(t, h, client(user(1)), Resume{})
	_, b := register(t, h, client(user(2)), Resume{})
	const n = 200
	go func() {
		for i := range n {
			w.publish(posted(channel(1), strconv.Itoa(i)))
			w.publish(posted(channel(2), "elsewhere"))
		}
	}()
	for _, wire := range []*wired{a, b} {
		for i, g := range wire.count(t, n+1) {
			if g.Seq != int64(i) {
				t.Fatalf("event %d has number %d", i, g.Seq)
			}
			if i == 0 {
				if g.Event != "hello" || wire == a && g.Data["connection_id"] != s.ID() || g.Data["server_version"] != "11.6.0.test" {
					t.Fatalf("first is %v", g)
				}
			} else if got := g.post(t).Message; got != strconv.Itoa(i-1) {
				t.Fatalf("event %d is post %s", i, got)
			}
		}
	}
	if st := h.Stats(); st.Sockets != 2 || st.Encoded != n || st.Delivered != 2*n+2 {
		t.Errorf("stats %+v", st)
	}
}

// A membership change takes effect exactly at its place in the log, between two posts of one
// batch and even within one entry.
func TestHub_MembershipChange(t *testing.T) {
	w := newWorld()
	h := start(t, w, nil)
	_, wire := register(t, h, client(user(1)), Resume{})
	run := []event.Batch{
		w.apply(posted(channel(1), "before")),
		w.apply(joined(user(1), channel(1)), posted(channel(1), "with joining")),
		w.apply(posted(channel(1), "member")),
		w.apply(posted(channel(1), "last"), left(user(1), channel(1)), posted(channel(1), "after leaving")),
		w.apply(posted(channel(1), "gone")),
		w.apply(fence(user(1))),
	}
	w.tail.Publish(run)
	var texts []string
	for _, g := range wire.count(t, 5)[1:4] {
		texts = append(texts, g.post(t).Message)
	}
	if diff := cmp.Diff([]string{"with joining", "member", "last"}, texts); diff != "" {
		t.Error(diff)
	}
}

// Each audience reaches exactly the users that the protocol defines.
func TestHub_Audience(t *testing.T) {
	w := newWorld()
	w.admins[user(1)] = true
	w.publish(joined(user(1), channel(1)), joined(user(2), channel(1)),
		event.TeamJoined{User: user(2), Team: team(1)},
		event.TeamJoined{User: user(3), Team: team(1)})
	h := start(t, w, nil)
	var wires [4]*wired
	for i := 1; i < 4; i++ {
		_, wires[i] = register(t, h, client(user(i)), Resume{})
	}
	for _, tc := range []struct {
		name string
		to   event.Audience
		want string
	}{
		{"user", event.Audience{User: user(2), Channel: channel(1), Team: team(1)}, "2"},
		{"channel", event.Audience{Channel: channel(1), Team: team(1)}, "12"},
		{"team", event.Audience{Team: team(1)}, "23"},
		{"all", event.Audience{}, "123"},
		{"omit", event.Audience{Omit: []core.UserID{user(1), user(3)}}, "2"},
		{"omit the user", event.Audience{User: user(1), Omit: []core.UserID{user(1)}}, ""},
		{"admins", event.Audience{AdminsOnly: true}, "1"},
		{"others", event.Audience{OthersOnly: true}, "23"},
		{"unknown channel", event.Audience{Channel: channel(9)}, ""},
	} {
		w.publish(made{name: tc.name, to: tc.to}, made{name: "fence"})
		got := ""
		for i := 1; i < 4; i++ {
			wires[i].await(t, "fence", func() bool { return fenced(wires[i]) })
			wires[i].mu.Lock()
			for _, s := range wires[i].texts {
				if parse(t, s).Event == tc.name {
					got += strconv.Itoa(i)
				}
			}
			wires[i].texts = nil
			wires[i].mu.Unlock()
		}
		if got != tc.want {
			t.Errorf("%s went to %q, want %q", tc.name, got, tc.want)
		}
	}
}

func fenced(w *wired) bool {
	n := len(w.texts)
	return n > 0 && len(w.texts[n-1]) > 16 && w.texts[n-1][:16] == `{"event":"fence"`
}

// A role change takes effect at its place in the log.
func TestHub_RoleChange(t *testing.T) {
	w := newWorld()
	h := start(t, w, nil)
	_, wire := register(t, h, client(user(1)), Resume{})
	secret := made{name: "secret", to: event.Audience{AdminsOnly: true}}
	role := func(r string) event.Event {
		return event.UserUpdated{User: core.User{ID: user(1), Roles: r}}
	}
	w.publish(secret, role("system_user system_admin"), secret, role("system_user"), secret)
	var names []string
	for _, g := range wire.count(t, 4) {
		names = append(names, g.Event)
	}
	if diff := cmp.Diff([]string{"hello", "user_updated", "secret", "user_updated"}, names); diff != "" {
		t.Error(diff)
	}
}

// Only users who are mentioned, or follow, are told so, each with their own id only.
func TestHub_Mentions(t *testing.T) {
	w := newWorld()
	w.publish(joined(user(1), channel(1)), joined(user(2), channel(1)))
	h := start(t, w, nil)
	_, a := register(t, h, client(user(1)), Resume{})
	_, b := register(t, h, client(user(2)), Resume{})
	ev := posted(channel(1), "hi").(event.Posted)
	ev.Mentions, ev.Followers = []core.UserID{user(2), user(7)}, []core.UserID{user(2), user(1)}
	w.publish(ev)
	one, two := a.count(t, 2)[1].Data, b.count(t, 2)[1].Data
	me := func(n int) string { return `["` + user(n).String() + `"]` }
	if one["mentions"] != nil || one["followers"] != me(1) || two["mentions"] != me(2) || two["followers"] != me(2) {
		t.Errorf("user 1 got %v, user 2 got %v", one, two)
	}
}

// A mention of everybody is told to each but its author and those who do not listen to such mentions.
func TestHub_MentionsEverybody(t *testing.T) {
	w := newWorld()
	w.publish(joined(user(1), channel(1)), joined(user(2), channel(1)), joined(user(3), channel(1)))
	h := start(t, w, nil)
	_, a := register(t, h, client(user(1)), Resume{})
	_, b := register(t, h, client(user(2)), Resume{})
	_, c := register(t, h, client(user(3)), Resume{})
	w.publish(event.UserUpdated{User: core.User{ID: user(3), NotifyProps: map[string]string{"channel": "false"}}})
	ev := posted(channel(1), "@all").(event.Posted)
	ev.Post.UserID, ev.Everyone = user(1), true
	w.publish(ev)
	for i, wire := range []*wired{a, b, c} {
		got := wire.count(t, 3)[2].Data["mentions"]
		if want := any(`["` + user(2).String() + `"]`); i == 1 && got != want || i != 1 && got != nil {
			t.Errorf("user %d is told of mentions %v", i+1, got)
		}
	}
}

// A client that does not read is closed; the other clients and the log do not wait for it.
func TestHub_SlowSocket(t *testing.T) {
	w := newWorld()
	w.publish(joined(user(1), channel(1)), joined(user(2), channel(1)))
	h := start(t, w, func(c *Config) { c.Limits.QueueEvents = 8 })
	stuck := newWire()
	stuck.gate = make(chan struct{})
	registerWire(t, h, client(user(1)), stuck, Resume{})
	_, b := register(t, h, client(user(2)), Resume{})
	for i := range 20 {
		w.publish(posted(channel(1), fmt.Sprint(i)))
		b.await(t, "the post", func() bool { return len(b.texts) == i+2 })
	}
	stuck.await(t, "the cut", func() bool { return stuck.aborted })
	eventually.Nil(t, func() error {
		if st := h.Stats(); st.Slow != 1 || st.Sockets != 1 {
			return fmt.Errorf("stats %+v", st)
		}
		return nil
	})
}

// Typing is dropped for a socket whose queue is half full, and the socket stays open.
func TestHub_DropsTypingFirst(t *testing.T) {
	w := newWorld()
	w.publish(joined(user(1), channel(1)))
	h := start(t, w, func(c *Config) { c.Limits.QueueEvents = 8 })
	wire := newWire()
	wire.gate = make(chan struct{})
	registerWire(t, h, client(user(1)), wire, Resume{})
	for i := range 6 {
		h.Publish(posted(channel(1), fmt.Sprint(i)))
	}
	for range 100 {
		h.Publish(event.Typing{User: user(2), Channel: channel(1)})
	}
	close(wire.gate)
	wire.count(t, 7)
	if st := h.Stats(); st.Dropped != 100 || st.Sockets != 1 {
		t.Errorf("stats %+v", st)
	}
}

// The byte limit closes a socket too; but a single event over the limit is sent.
func TestHub_ByteLimit(t *testing.T) {
	w := newWorld()
	w.publish(joined(user(1), channel(1)))
	h := start(t, w, func(c *Config) { c.Limits.QueueBytes = 4 << 10 })
	wire := newWire()
	registerWire(t, h, client(user(1)), wire, Resume{})
	wire.count(t, 1)
	big := posted(channel(1), string(make([]byte, 8<<10)))
	h.Publish(big)
	wire.count(t, 2)
	wire.gate = make(chan struct{})
	for range 3 {
		h.Publish(big)
	}
	wire.await(t, "the cut", func() bool { return wire.aborted })
}

// The end of a session closes its sockets and no others, including one that is just registering.
func TestHub_SessionEnded(t *testing.T) {
	w := newWorld()
	h := start(t, w, nil)
	c, other := client(user(1)), client(user(1))
	other.Session = core.DeriveID[core.Session]("other")
	_, a := register(t, h, c, Resume{})
	_, b := register(t, h, other, Resume{})
	w.publish(event.SessionEnded{User: user(1), Session: c.Session}, made{name: "fence"})
	a.ended(t, EndSession)
	b.count(t, 2)
	_, err := h.Register(context.Background(), c, newWire(), Resume{})
	if core.KindOf(err) != core.KindUnauthorized {
		t.Errorf("registering with the ended session: %v", err)
	}
}

// After a session has expired, its socket gets nothing more.
func TestHub_SessionExpires(t *testing.T) {
	w := newWorld()
	var mu sync.Mutex
	now := time.Now()
	h := start(t, w, func(c *Config) {
		c.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	})
	c := client(user(1))
	c.ExpiresAt = now.Add(time.Hour).UnixMilli()
	_, wire := register(t, h, c, Resume{})
	w.publish(made{name: "fence"})
	wire.count(t, 2)
	mu.Lock()
	now = now.Add(2 * time.Hour)
	mu.Unlock()
	w.publish(made{name: "fence"})
	wire.ended(t, EndSession)
	wire.count(t, 2)
}

// When history is replaced, every socket is closed, and new ones follow the new history.
func TestHub_Reset(t *testing.T) {
	w := newWorld()
	w.publish(joined(user(1), channel(1)))
	h := start(t, w, nil)
	_, a := register(t, h, client(user(1)), Resume{})
	a.count(t, 1)
	w.mu.Lock()
	w.at, w.channels = core.Position{Epoch: 2, Index: 1}, map[core.UserID]map[core.ChannelID]bool{}
	w.mu.Unlock()
	w.tail.Reset()
	a.ended(t, EndReset)
	eventually.Nil(t, func() error {
		if n := h.Stats().Sockets; n != 0 {
			return fmt.Errorf("%d sockets", n)
		}
		return nil
	})
	_, b := register(t, h, client(user(1)), Resume{})
	w.publish(posted(channel(1), "not a member any more"), made{name: "fence"})
	if g := b.count(t, 2); g[1].Event != "fence" {
		t.Errorf("got %v", g)
	}
}

// A socket that registers while history is replaced is refused.
func TestHub_ResetWhileRegistering(t *testing.T) {
	w := newWorld()
	w.delay, w.reading = make(chan struct{}), make(chan struct{})
	h := start(t, w, nil)
	failed := make(chan error)
	go func() {
		_, err := h.Register(context.Background(), client(user(1)), newWire(), Resume{})
		failed <- err
	}()
	<-w.reading
	w.tail.Reset()
	eventually.Nil(t, func() error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if len(h.joining) > 0 {
			return errors.New("no reset yet")
		}
		return nil
	})
	close(w.delay)
	if err := <-failed; core.KindOf(err) != core.KindUnavailable {
		t.Errorf("Register: %v", err)
	}
}

// Every socket gets a ping in each round.
func TestHub_Pings(t *testing.T) {
	h := start(t, newWorld(), func(c *Config) { c.Limits.PingEvery = 60 * time.Millisecond })
	_, a := register(t, h, client(user(1)), Resume{})
	_, b := register(t, h, client(user(2)), Resume{})
	for _, wire := range []*wired{a, b} {
		wire.await(t, "two pings", func() bool { return wire.pings >= 2 })
		wire.count(t, 1)
	}
}

// When home was not heard for too long, every socket is closed: its session may have been ended.
func TestHub_OutOfTouch(t *testing.T) {
	var lost atomic.Bool
	h := start(t, newWorld(), func(c *Config) {
		c.Limits.PingEvery, c.InTouch = 60*time.Millisecond, func() bool { return !lost.Load() }
	})
	_, wire := register(t, h, client(user(1)), Resume{})
	wire.await(t, "a ping", func() bool { return wire.pings > 0 })
	lost.Store(true)
	wire.await(t, "the end", func() bool { return wire.end == EndOutOfTouch })
}

// When Run ends, every socket is closed, even if its client does not read.
func TestHub_Shutdown(t *testing.T) {
	h, err := New(Config{View: newWorld(), Memberships: newWorld().Memberships, Limits: Limits{StopWithin: 20 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- h.Run(ctx) }()
	stuck, calm := newWire(), newWire()
	stuck.gate = make(chan struct{})
	eventually.Nil(t, func() error { _, err := h.Register(ctx, client(user(1)), calm, Resume{}); return err })
	registerWire(t, h, client(user(2)), stuck, Resume{})
	stuck.await(t, "hello on its way", func() bool { return stuck.begun == 1 })
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("Run did not end")
	}
	calm.ended(t, EndShutdown)
	stuck.await(t, "the cut", func() bool { return stuck.aborted })
	if _, err := h.Register(context.Background(), client(user(3)), newWire(), Resume{}); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("Register after the end: %v", err)
	}
}

// A user who leaves a team gets no more events of its channels, even before the channels' own
// events of leaving, and stays in channels of other teams.
func TestHub_LeavingATeamLeavesItsChannels(t *testing.T) {
	w := newWorld()
	h := start(t, w, nil)
	_, wire := register(t, h, client(user(1)), Resume{})
	in := func(ch, tm int) event.Event {
		return event.ChannelJoined{User: user(1), Channel: channel(ch), Team: team(tm)}
	}
	w.tail.Publish([]event.Batch{
		w.apply(in(1, 1), in(2, 1), in(3, 2)),
		w.apply(posted(channel(1), "member")),
		w.apply(event.TeamLeft{User: user(1), Team: team(1)}, posted(channel(1), "gone"), posted(channel(2), "gone too")),
		w.apply(posted(channel(3), "elsewhere"), fence(user(1))),
	})
	var texts []string
	for _, g := range wire.count(t, 5) {
		if g.Event == "posted" {
			texts = append(texts, g.post(t).Message)
		}
	}
	if diff := cmp.Diff([]string{"member", "elsewhere"}, texts); diff != "" {
		t.Error(diff)
	}
}

// forOthers is an event that its cause is not told.
type forOthers struct{ event.ChannelUpdated }

func (forOthers) ForOthers() {}

// An event for others leaves out the socket that its entry names, if it belongs to the session
// that caused the entry; everybody is told which one it was.
func TestHub_ForOthers(t *testing.T) {
	w := newWorld()
	w.publish(joined(user(1), channel(1)), joined(user(2), channel(1)))
	h := start(t, w, nil)
	ada, bob := client(user(1)), client(user(2))
	ada.Session, bob.Session = core.DeriveID[core.Session]("a"), core.DeriveID[core.Session]("b")
	origin, silent := register(t, h, ada, Resume{})
	_, tab := register(t, h, ada, Resume{})
	_, other := register(t, h, bob, Resume{})
	id, _ := core.ParseID[core.Connection](origin.ID())
	hidden := forOthers{event.ChannelUpdated{Channel: core.Channel{ID: channel(1)}}}
	for _, from := range []core.SessionID{ada.Session, bob.Session} {
		b := w.apply(hidden, posted(channel(1), "x"))
		b.Session, b.Connection = from, id
		w.tail.Publish([]event.Batch{b})
	}
	names := func(list []got) (out []string) {
		for _, g := range list {
			out = append(out, g.Event)
		}
		return out
	}
	if diff := cmp.Diff([]string{"hello", "posted", hidden.Name(), "posted"}, names(silent.count(t, 4))); diff != "" {
		t.Errorf("the origin: %s", diff)
	}
	for _, wire := range []*wired{tab, other} {
		if list := wire.count(t, 5); list[1].Event != hidden.Name() || list[1].Cast["omit_connection_id"] != origin.ID() || list[2].Cast["omit_connection_id"] != "" {
			t.Errorf("another socket: %v", list)
		}
	}
}
