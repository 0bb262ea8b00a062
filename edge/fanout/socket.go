package fanout

import (
	"container/list"
	"sync"
	"time"

	"github.com/nearside/nearside/core"
)

// Wire carries a socket's bytes. The hub calls Write, Ping and Close from one goroutine at a
// time; they call waits before they wait for the client. Abort may be called at any time, must not
// block, and makes the others return.
type Wire interface {
	Write(text []byte, waits func()) error
	Ping(waits func()) error
	Close(why End, waits func())
	Abort()
}

// End is the reason why a socket was closed.
type End uint8

// The reasons.
const (
	EndLeft       End = iota + 1 // the client left, or came back on another connection
	EndSlow                      // it did not read its events: reconnect and read the state again
	EndSession                   // the session ended or expired
	EndReset                     // history was replaced: read the state again
	EndShutdown                  // this edge stops: reconnect elsewhere
	EndOutOfTouch                // home was not heard for so long that sessions are no longer honoured: reconnect elsewhere
)

// Client is the owner of a socket.
type Client struct {
	User      core.UserID
	Session   core.SessionID
	ExpiresAt int64 // Unix milliseconds; 0 = never
	Resumable bool  // may be parked if the connection breaks
}

func (c *Client) expired(now time.Time) bool {
	return c.ExpiresAt != 0 && now.UnixMilli() >= c.ExpiresAt
}

// Socket is one client's stream of events.
type Socket struct {
	// Immutable after Register.
	hub  *Hub
	id   string
	slot int

	// Guarded by Hub.mu.
	client   Client // its ids never change
	member   *member
	after    core.Index    // events up to here are not for it
	place    *list.Element // in Hub.parked while it is parked
	parkedAt time.Time
	counted  bool // included in presence

	mu        sync.Mutex // guards everything below
	wire      Wire       // nil while parked
	queue     []frame    // valid from head on
	head      int
	bytes     int
	ring      []frame // the last written events
	ringBytes int
	seq       int64 // of the next event
	writing   bool  // a writer has it, or will take it
	end       End
}

// ID is the connection id in the client's hello.
func (s *Socket) ID() string { return s.id }

type pushed uint8

const (
	queued pushed = iota
	skipped
	full
	gone
)

// push queues a frame; if the queue is full, the socket is closed. Called with Hub.mu held.
func (h *Hub) push(s *Socket, f frame) {
	switch s.enqueue(f) {
	case queued:
		h.stats.Delivered++
	case skipped:
		h.stats.Dropped++
	case full:
		if w := h.drop(s, EndSlow); w != nil {
			h.stats.Slow++
			w.Abort() // its writer hangs in a Write
			h.log.Debug("closed a socket whose queue was full", "user", s.client.User)
		}
	}
}

func (s *Socket) enqueue(f frame) pushed {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != 0 {
		return gone
	}
	lim, waiting := &s.hub.lim, len(s.queue)-s.head
	maxBytes := lim.QueueBytes
	if s.wire == nil {
		maxBytes = lim.ParkedBytes
	}
	switch {
	case f.msg.droppable && (waiting*2 >= lim.QueueEvents || s.bytes*2 >= maxBytes):
		return skipped
	case waiting >= lim.QueueEvents || waiting > 0 && s.bytes+f.size() > maxBytes:
		return full
	}
	s.add(f)
	return queued
}

func (s *Socket) add(f frame) {
	if s.head > 0 && len(s.queue) == cap(s.queue) { // use the space at the front before growing
		n := copy(s.queue, s.queue[s.head:])
		clear(s.queue[n:])
		s.queue, s.head = s.queue[:n], 0
	}
	s.queue = append(s.queue, f)
	s.bytes += f.size()
	s.wake()
}

// wake hands the socket to the writers, if they do not have it.
func (s *Socket) wake() {
	if w := s.wire; w != nil && !s.writing {
		s.writing = true
		s.hub.writers.add(turn{s, w})
	}
}

// ping queues a ping; its answer renews the connection's read deadline.
func (s *Socket) ping() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end == 0 && s.wire != nil && len(s.queue)-s.head < s.hub.lim.QueueEvents {
		s.add(frame{})
	}
}

// Reply queues the answer to a request. It has no number, and a resume does not repeat it.
func (s *Socket) Reply(text []byte) {
	if s.enqueue(frame{msg: &message{reply: text}}) != full {
		return
	}
	h := s.hub
	h.mu.Lock()
	defer h.unlock()
	if w := h.drop(s, EndSlow); w != nil {
		h.stats.Slow++
		w.Abort()
	}
}

// Close closes the socket and its connection; it cannot be resumed.
func (s *Socket) Close(why End) {
	s.hub.mu.Lock()
	defer s.hub.unlock()
	s.hub.drop(s, why)
}

// next takes a frame from the queue. An event gets its number here: after all filters, and in the
// order of sending.
func (s *Socket) next() (f frame, seq int64, why End, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != 0 || s.head == len(s.queue) {
		s.rest()
		return f, 0, s.end, false
	}
	f = s.queue[s.head]
	s.queue[s.head] = frame{}
	s.head++
	s.bytes -= f.size()
	if f.numbered() {
		seq = s.seq
		s.seq++
		s.keep(f)
	}
	return f, seq, 0, true
}

// rest ends the turn, and releases a queue that has grown.
func (s *Socket) rest() {
	s.writing = false
	s.head = 0
	if s.queue = s.queue[:0]; cap(s.queue) > 8 {
		s.queue = nil
	}
}

// broken records that the connection failed. Its reader notices it too, and calls Leave.
func (s *Socket) broken(w Wire) {
	w.Abort()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing = false
	if s.wire == w {
		s.wire = nil
	}
}

// drop closes a socket and returns its wire, if it was open until now. The indexes follow when
// the lock is released. Called with Hub.mu held.
func (h *Hub) drop(s *Socket, why End) Wire {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != 0 {
		return nil
	}
	w := s.wire
	s.wake() // before end is set: the writer closes the connection
	s.end, s.wire = why, nil
	s.queue, s.ring, s.head, s.bytes = nil, nil, 0, 0
	h.dying = append(h.dying, s)
	return w
}

// unlock removes closed sockets from the indexes and releases the lock. This is done here because
// sockets are closed while the indexes are being iterated.
func (h *Hub) unlock() {
	for len(h.dying) > 0 {
		dying := h.dying
		h.dying = nil
		for _, s := range dying {
			delete(h.byID, s.id)
			delete(h.pings[s.slot], s)
			h.unpark(s)
			h.remove(s)
			h.uncount(s)
		}
	}
	h.mu.Unlock()
}
