package fanout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/core/eventually"
	"github.com/nearside/nearside/edge"
	"github.com/nearside/nearside/edge/presence"
)

const patience = eventually.Limit

// world is a replica in memory: its state changes first, its events follow.
type world struct {
	tail *event.Tail

	mu       sync.Mutex
	at       core.Position
	channels map[core.UserID]map[core.ChannelID]bool
	teams    map[core.UserID]map[core.TeamID]bool
	admins   map[core.UserID]bool
	delay    chan struct{} // if set, Memberships waits for it after reading
	reading  chan struct{} // if set, receives a value after each reading of Memberships
}

func newWorld() *world {
	return &world{
		tail: event.NewTail(), at: core.Position{Epoch: 1}, channels: map[core.UserID]map[core.ChannelID]bool{},
		teams: map[core.UserID]map[core.TeamID]bool{}, admins: map[core.UserID]bool{},
	}
}

func (w *world) Position() core.Position {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}
func (w *world) WaitApplied(context.Context, core.Index) error { return nil }
func (w *world) Subscribe() *event.Cursor                      { return w.tail.Subscribe() }
func (w *world) Link() edge.Link                               { return edge.Link{Connected: true} }

func (w *world) Memberships(ctx context.Context, u core.UserID) (Memberships, error) {
	w.mu.Lock()
	got := Memberships{At: w.at, Admin: w.admins[u], Channels: map[core.ChannelID]core.TeamID{}}
	for ch := range w.channels[u] {
		got.Channels[ch] = core.TeamID{}
	}
	for t := range w.teams[u] {
		got.Teams = append(got.Teams, t)
	}
	delay, reading := w.delay, w.reading
	w.mu.Unlock()
	if reading != nil {
		reading <- struct{}{}
	}
	if delay != nil {
		select {
		case <-delay:
		case <-ctx.Done():
			return got, ctx.Err()
		}
	}
	return got, nil
}

// apply applies one entry to the state and returns the batch to publish.
func (w *world) apply(evs ...event.Event) event.Batch {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at.Index += 2 // an index may be skipped
	for _, e := range evs {
		e, ok := e.(event.MembershipChanged)
		if !ok {
			continue
		}
		m := e.MembershipChanged()
		if w.channels[m.User] == nil {
			w.channels[m.User], w.teams[m.User] = map[core.ChannelID]bool{}, map[core.TeamID]bool{}
		}
		switch {
		case m.Channel.IsZero() && m.Joined:
			w.teams[m.User][m.Team] = true
		case m.Channel.IsZero():
			delete(w.teams[m.User], m.Team)
		case m.Joined:
			w.channels[m.User][m.Channel] = true
		default:
			delete(w.channels[m.User], m.Channel)
		}
	}
	return event.Batch{Index: w.at.Index, Events: evs}
}

func (w *world) publish(evs ...event.Event) core.Index {
	b := w.apply(evs...)
	w.tail.Publish([]event.Batch{b})
	return b.Index
}

func user(n int) core.UserID       { return core.DeriveID[core.User]("u", fmt.Sprint(n)) }
func channel(n int) core.ChannelID { return core.DeriveID[core.Channel]("c", fmt.Sprint(n)) }
func team(n int) core.TeamID       { return core.DeriveID[core.Team]("t", fmt.Sprint(n)) }

func joined(u core.UserID, ch core.ChannelID) event.Event {
	return event.ChannelJoined{User: u, Channel: ch}
}

func left(u core.UserID, ch core.ChannelID) event.Event {
	return event.ChannelLeft{User: u, Channel: ch}
}

func posted(ch core.ChannelID, text string) event.Event {
	return event.Posted{Channel: core.Channel{ID: ch}, Post: core.Post{ChannelID: ch, Message: text}}
}

// made is a test's own event.
type made struct {
	name  string
	to    event.Audience
	write func(*event.Data)
}

func (e made) Name() string         { return e.name }
func (e made) To() []event.Audience { return []event.Audience{e.to} }
func (e made) Write(d *event.Data, _ *event.Audience) {
	if e.write != nil {
		e.write(d)
	}
}

// start runs a hub over a world until the test ends.
func start(t *testing.T, w *world, change func(*Config)) *Hub {
	t.Helper()
	cfg := Config{
		View: w, Memberships: w.Memberships, Version: "11.6.0.test", Hostname: "here",
		MayPost: func(context.Context, core.UserID, core.ChannelID) error { return nil },
	}
	if change != nil {
		change(&cfg)
	}
	before := runtime.NumGoroutine()
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Fatal("Run did not end")
		}
		eventually.Nil(t, func() error {
			if n := runtime.NumGoroutine(); n > before {
				return fmt.Errorf("%d goroutines, %d before Run", n, before)
			}
			return nil
		})
	})
	eventually.Nil(t, func() error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if !h.open {
			return errors.New("hub not open")
		}
		return nil
	})
	return h
}

// wired is a Wire that stores what is written to it.
type wired struct {
	gate chan struct{} // if set, a Write waits for it
	cut  chan struct{}

	mu      sync.Mutex
	news    chan struct{} // closed when something changes
	begun   int           // Writes
	texts   []string
	pings   int
	end     End
	aborted bool
}

func newWire() *wired { return &wired{cut: make(chan struct{}), news: make(chan struct{})} }

func (w *wired) changed(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
	close(w.news)
	w.news = make(chan struct{})
}

func (w *wired) Write(b []byte, waits func()) error {
	w.changed(func() { w.begun++ })
	if w.gate != nil {
		waits()
		select {
		case <-w.gate:
		case <-w.cut:
			return errors.New("aborted")
		}
	}
	w.changed(func() { w.texts = append(w.texts, string(b)) })
	return nil
}

func (w *wired) Ping(func()) error { w.changed(func() { w.pings++ }); return nil }

func (w *wired) Close(why End, _ func()) { w.changed(func() { w.end = why }) }

func (w *wired) Abort() {
	w.changed(func() {
		if !w.aborted {
			w.aborted = true
			close(w.cut)
		}
	})
}

// await waits until ok returns true.
func (w *wired) await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	end := time.After(patience)
	for {
		w.mu.Lock()
		done, news := ok(), w.news
		w.mu.Unlock()
		if done {
			return
		}
		select {
		case <-news:
		case <-end:
			w.mu.Lock()
			defer w.mu.Unlock()
			t.Fatalf("waiting for %s: %d texts, end %d: %.2000q", what, len(w.texts), w.end, w.texts)
		}
	}
}

func (w *wired) count(t *testing.T, n int) []got {
	t.Helper()
	w.await(t, fmt.Sprintf("%d texts", n), func() bool { return len(w.texts) >= n })
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.texts) != n {
		t.Fatalf("%d texts, want %d: %q", len(w.texts), n, w.texts)
	}
	out := make([]got, n)
	for i, s := range w.texts {
		out[i] = parse(t, s)
	}
	return out
}

func (w *wired) ended(t *testing.T, why End) {
	t.Helper()
	w.await(t, fmt.Sprintf("end %d", why), func() bool { return w.end == why })
}

// got is a message as a client receives it.
type got struct {
	Event string         `json:"event"`
	Data  map[string]any `json:"data"`
	Cast  map[string]any `json:"broadcast"`
	Seq   int64          `json:"seq"`
}

func (g got) post(t *testing.T) core.Post {
	t.Helper()
	var p core.Post
	s, _ := g.Data["post"].(string)
	if err := json.Unmarshal([]byte(s), &p); err != nil {
		t.Fatalf("post of %v: %v", g, err)
	}
	return p
}

func parse(t *testing.T, s string) got {
	t.Helper()
	var g got
	if err := json.Unmarshal([]byte(s), &g); err != nil {
		t.Fatalf("not JSON: %v: %q", err, s)
	}
	return g
}

func client(u core.UserID) Client {
	return Client{User: u, Session: core.DeriveID[core.Session]("s", u.String()), Resumable: true}
}

func register(t *testing.T, h *Hub, c Client, r Resume) (*Socket, *wired) {
	t.Helper()
	w := newWire()
	return registerWire(t, h, c, w, r), w
}

func registerWire(t *testing.T, h *Hub, c Client, w *wired, r Resume) *Socket {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := h.Register(ctx, c, w, r)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newPresence(t *testing.T, send func([]byte)) *presence.Map {
	t.Helper()
	p, err := presence.New(presence.Config{Send: send})
	if err != nil {
		t.Fatal(err)
	}
	return p
}
