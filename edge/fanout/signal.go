package fanout

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/edge/presence"
)

// signalTyping is the first byte of a typing signal: kind, user, channel, parent post. The
// numbers of signals are append-only; 2 is presence.SignalKind.
const (
	signalTyping = 1
	typingBytes  = 1 + 3*16
)

// What Typing can refuse for.
var (
	badTyping = core.Refusal{Kind: core.KindInvalid, ID: "api.context.invalid_body_param.app_error"}
	noTyping  = core.Refusal{Kind: core.KindForbidden, ID: "api.context.permissions.app_error"}
)

// Typing shows the members of a channel, here and at other edges, that a user is writing. More
// than TypingPerSecond of one user are dropped without an error.
func (h *Hub) Typing(ctx context.Context, u core.UserID, ch core.ChannelID, parent core.PostID) error {
	if u.IsZero() || ch.IsZero() {
		return badTyping
	}
	if h.cfg.MayPost == nil {
		return noTyping
	}
	if !h.typing.allow(u, h.now()) {
		return nil
	}
	if err := h.cfg.MayPost(ctx, u, ch); err != nil {
		return err
	}
	h.Publish(event.Typing{User: u, Channel: ch, Parent: parent})
	if h.cfg.Signals != nil {
		b := append(make([]byte, 0, typingBytes), signalTyping)
		b = append(append(append(b, u[:]...), ch[:]...), parent[:]...)
		h.cfg.Signals.Send(b)
	}
	return nil
}

// receive processes the other edges' signals. A malformed signal is ignored, and the rate of
// typing is limited like here.
func (h *Hub) receive(ctx context.Context) {
	for ctx.Err() == nil {
		b, err := h.cfg.Signals.Receive(ctx)
		if err != nil {
			if ctx.Err() == nil {
				h.log.Warn("no more signals from other edges", "err", err)
			}
			return
		}
		h.signal(b)
	}
}

func (h *Hub) signal(b []byte) {
	switch {
	case len(b) == typingBytes && b[0] == signalTyping:
		u, ch, parent := core.UserID(b[1:17]), core.ChannelID(b[17:33]), core.PostID(b[33:49])
		if !u.IsZero() && !ch.IsZero() && h.foreign.allow(u, h.now()) {
			h.Publish(event.Typing{User: u, Channel: ch, Parent: parent})
		}
	case len(b) > 0 && b[0] == presence.SignalKind && h.cfg.Presence != nil:
		changes := h.cfg.Presence.Receive(b)
		h.mu.Lock()
		defer h.unlock()
		h.statuses(changes)
	}
}

// Active records whether a connected user is active.
func (h *Hub) Active(u core.UserID, active, byHand bool) {
	if h.cfg.Presence == nil {
		return
	}
	h.mu.Lock()
	defer h.unlock()
	if c, ok := h.cfg.Presence.Active(u, active, byHand); ok {
		h.statuses([]presence.Change{c})
	}
}

// count and uncount report a connection to presence, once each. Called with Hub.mu held.
func (h *Hub) count(s *Socket) {
	if h.cfg.Presence == nil || s.counted {
		return
	}
	s.counted = true
	if c, ok := h.cfg.Presence.Opened(s.client.User); ok {
		h.statuses([]presence.Change{c})
	}
}

func (h *Hub) uncount(s *Socket) {
	if h.cfg.Presence == nil || !s.counted {
		return
	}
	s.counted = false
	if c, ok := h.cfg.Presence.Closed(s.client.User); ok {
		h.statuses([]presence.Change{c})
	}
}

// statuses sends users their own new status; others request it. Called with Hub.mu held.
func (h *Hub) statuses(changes []presence.Change) {
	for _, c := range changes {
		h.deliver(&event.Batch{}, event.StatusChanged{User: c.User, Status: c.Status}, h.now())
	}
}

// TypingPerSecond is how often per second one user's typing is passed on.
const TypingPerSecond = 4

// limiter counts per user and second in a table of fixed size: users in the same slot share its
// allowance, and memory does not grow.
type limiter struct {
	mu    sync.Mutex // guards slots
	seed  maphash.Seed
	slots [1024]struct {
		second int64
		used   int
	}
}

func (l *limiter) allow(u core.UserID, now time.Time) bool {
	s := &l.slots[maphash.Bytes(l.seed, u[:])%uint64(len(l.slots))]
	l.mu.Lock()
	defer l.mu.Unlock()
	if at := now.Unix(); s.second != at {
		s.second, s.used = at, 0
	}
	s.used++
	return s.used <= TypingPerSecond
}
