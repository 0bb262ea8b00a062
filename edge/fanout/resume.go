package fanout

import (
	"slices"
	"time"
)

// Leave reports that the client's connection has ended. A socket that may be resumed is parked:
// it stays in the indexes and its events are queued for a while.
func (s *Socket) Leave(resumable bool) {
	h := s.hub
	h.mu.Lock()
	defer h.unlock()
	if s.place != nil || !h.open || !resumable || !s.client.Resumable {
		h.drop(s, EndLeft)
		return
	}
	if !s.detach() {
		return
	}
	s.parkedAt = h.now()
	s.place = h.parked.PushBack(s)
	delete(h.pings[s.slot], s)
	h.uncount(s)
	if h.parked.Len() > h.lim.Parked {
		h.drop(h.parked.Front().Value.(*Socket), EndLeft)
	}
}

// detach removes the connection, and the queued replies, which belong to its requests.
func (s *Socket) detach() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != 0 {
		return false
	}
	s.wire = nil
	s.queue = slices.DeleteFunc(s.queue[s.head:], func(f frame) bool { return !f.numbered() })
	s.head = 0
	s.recount()
	return true
}

func (h *Hub) unpark(s *Socket) {
	if s.place != nil {
		h.parked.Remove(s.place)
		s.place = nil
	}
}

func (h *Hub) unparkOld(now time.Time) {
	for e := h.parked.Front(); e != nil; e = e.Next() {
		s := e.Value.(*Socket)
		if now.Sub(s.parkedAt) < h.lim.ParkFor {
			return
		}
		h.drop(s, EndLeft)
	}
}

// resume returns the client's parked socket, to continue at the number that it expects. If that
// is no longer possible, the socket is closed; the client gets a new one, and hello.
func (h *Hub) resume(c *Client, w Wire, r Resume) *Socket {
	s := h.byID[r.ConnectionID]
	if s == nil || s.place == nil || s.client.User != c.User || s.client.Session != c.Session {
		return nil
	}
	if !s.attach(w, r.Next) {
		h.drop(s, EndLeft)
		return nil
	}
	h.unpark(s)
	s.client.ExpiresAt, s.client.Resumable = c.ExpiresAt, c.Resumable // writers read the user without the lock
	h.pings[s.slot][s] = struct{}{}
	h.stats.Resumed++
	h.count(s)
	return s
}

// attach continues at a number over a new connection: what was written since is queued again.
func (s *Socket) attach(w Wire, next int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	again := s.seq - next
	// A writer that has not yet noticed the end of the old connection would number events too.
	if s.end != 0 || s.writing || again < 0 || again > int64(len(s.ring)) {
		return false
	}
	cut := len(s.ring) - int(again)
	s.queue = append(slices.Clone(s.ring[cut:]), s.queue[s.head:]...)
	s.head = 0
	s.ring = s.ring[:cut]
	s.seq = next
	s.recount()
	s.wire = w
	if len(s.queue) > 0 {
		s.wake()
	}
	return true
}

// keep stores a written event for a resume.
func (s *Socket) keep(f frame) {
	lim := &s.hub.lim
	s.ring = append(s.ring, f)
	s.ringBytes += f.size()
	for len(s.ring) > lim.RingEvents || s.ringBytes > lim.RingBytes {
		s.ringBytes -= s.ring[0].size()
		s.ring[0] = frame{}
		s.ring = s.ring[1:]
	}
}

func (s *Socket) recount() {
	s.bytes, s.ringBytes = 0, 0
	for _, f := range s.queue {
		s.bytes += f.size()
	}
	for _, f := range s.ring {
		s.ringBytes += f.size()
	}
}
