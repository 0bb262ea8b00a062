package fanout

import (
	"context"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/event"
)

// What Register can refuse for.
var (
	unavailable   = core.Refusal{Kind: core.KindUnavailable, ID: "api.nearside.unavailable.app_error"}
	notRunning    = unavailable.With("reason", "not_running")
	manySockets   = unavailable.With("reason", "sockets")
	stateReplaced = unavailable.With("reason", "state_replaced")
	sessionOver   = core.Refusal{Kind: core.KindUnauthorized, ID: "api.context.session_expired.app_error"}
)

// Resume is where a reconnecting client wants to continue.
type Resume struct {
	ConnectionID string
	Next         int64 // the number of the next event it expects
}

// Register makes a socket for an authenticated client, or resumes the one that it left. A new
// socket's first event is hello; then come the events of every entry after the state that the
// client can read when it has received hello, each once.
//
// Errors: KindUnavailable if the hub does not run or is full, KindUnauthorized if the session has
// ended.
func (h *Hub) Register(ctx context.Context, c Client, w Wire, r Resume) (*Socket, error) {
	h.mu.Lock()
	defer h.unlock()
	if err := h.admit(&c); err != nil {
		return nil, err
	}
	if s := h.resume(&c, w, r); s != nil {
		return s, nil
	}
	m := h.users[c.User]
	if m == nil {
		got, since, err := h.read(ctx, c.User)
		if err != nil {
			return nil, err
		}
		if err := h.admit(&c); err != nil {
			return nil, err
		}
		if m = h.users[c.User]; m == nil {
			m = h.add(c.User, got, since)
		}
	}
	return h.join(m, c, w), nil
}

func (h *Hub) admit(c *Client) error {
	switch {
	case !h.open:
		return notRunning
	case len(h.byID)-h.parked.Len() >= h.lim.Sockets:
		return manySockets
	case c.User.IsZero() || c.Session.IsZero() || c.expired(h.now()) || h.ended.has(c.Session):
		return sessionOver
	}
	return nil
}

// read reads a user's memberships without the lock, and returns the changes since the reading
// began. Every change is in one of the two or in both: what an event announces can be read before
// the hub gets the event, so the reading includes everything that the hub got before it.
func (h *Hub) read(ctx context.Context, u core.UserID) (Memberships, []placed, error) {
	j := h.joining[u]
	if j == nil {
		j = &joining{}
		h.joining[u] = j
	}
	j.readers++
	h.unlock()
	got, err := h.cfg.Memberships(ctx, u)
	h.mu.Lock()
	// A reset has replaced the whole map, maybe with j in it.
	if j.readers--; j.readers == 0 && h.joining[u] == j {
		delete(h.joining, u)
	}
	if err == nil && j.void {
		err = stateReplaced
	}
	return got, j.effects, err
}

func (h *Hub) join(m *member, c Client, w Wire) *Socket {
	s := &Socket{
		hub: h, id: core.NewID[Socket](h.now()).String(), slot: h.nextSlot,
		client: c, member: m, after: m.at, wire: w,
	}
	h.nextSlot = (h.nextSlot + 1) % pingSlots
	if len(m.sockets) >= h.lim.PerUser { // one account must not occupy all sockets
		h.drop(m.sockets[0], EndSlow)
	}
	m.sockets = append(m.sockets, s)
	h.byID[s.id] = s
	h.pings[s.slot][s] = struct{}{}
	hello := event.Hello{User: c.User, Connection: s.id, Hostname: h.cfg.Hostname, Version: h.cfg.Version}
	if msg, err := encode(hello, &hello.To()[0]); err == nil { // three strings can always be encoded
		h.push(s, frame{msg: msg})
	}
	h.count(s)
	return s
}
