package fanout

import (
	"runtime"
	"sync"
	"time"
)

// writers send what is queued. A few goroutines take the sockets that have something to send, one
// after another; they end when there is none, so idle sockets have no goroutine. One that must wait
// for its client no longer counts, and another takes its place: a slow client delays nobody.
type writers struct {
	limit   int            // of count
	running sync.WaitGroup // all of them; grows only while one runs, or under the mu of a socket that is not closed

	mu    sync.Mutex // guards everything below
	count int        // those that do not wait for a client
	turns []turn     // the longest waiting first; each socket is in it at most once
}

// turn is a socket that has something to send, and the connection to send it on.
type turn struct {
	socket *Socket
	wire   Wire
}

func (ws *writers) add(t turn) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.turns = append(ws.turns, t)
	ws.start()
}

// halfOfProcessors is the limit of writers: an event for hundreds of sockets must not hold up the
// answer to the request that caused it, nor clients on the same machine.
func halfOfProcessors() int { return (runtime.GOMAXPROCS(0) + 1) / 2 }

// start starts a writer if there is work for it.
func (ws *writers) start() {
	if len(ws.turns) > 0 && ws.count < ws.limit {
		ws.count++
		ws.running.Go(func() { (&writer{of: ws}).run() })
	}
}

// writer is one of them.
type writer struct {
	of   *writers
	buf  []byte
	left bool // it has waited for a client, and another has its place
}

func (w *writer) run() {
	for {
		t, ok := w.next()
		if !ok {
			return
		}
		t.socket.write(t.wire, w)
	}
}

func (w *writer) next() (t turn, ok bool) {
	ws := w.of
	ws.mu.Lock()
	defer ws.mu.Unlock()
	switch {
	case w.left:
		return t, false
	case len(ws.turns) == 0:
		ws.count--
		return t, false
	}
	t = ws.turns[0]
	ws.turns[0] = turn{}
	ws.turns = ws.turns[1:]
	return t, true
}

// waits gives the writer's place to another, because its client keeps it waiting.
func (w *writer) waits() {
	if w.left {
		return
	}
	w.left = true
	w.of.mu.Lock()
	defer w.of.mu.Unlock()
	w.of.count--
	w.of.start()
}

// write sends until the queue is empty, the connection fails, or the socket is closed.
func (s *Socket) write(wire Wire, w *writer) {
	for {
		f, seq, why, more := s.next()
		if why != 0 {
			wire.Close(why, w.waits)
		}
		if !more {
			return
		}
		var err error
		if f.msg == nil {
			err = wire.Ping(w.waits)
		} else {
			w.buf = f.append(w.buf[:0], s.client.User, seq)
			began := time.Now()
			err = wire.Write(w.buf, w.waits)
			took := time.Since(began)
			s.hub.metrics.write.Observe(took.Seconds())
			if took > slowWrite { // checked here: the arguments of Note would be allocated for every write
				s.hub.metrics.sticky.Note("its client to read", took, "user", s.client.User, "bytes", len(w.buf))
			}
		}
		if err != nil {
			s.broken(wire)
			return
		}
	}
}
