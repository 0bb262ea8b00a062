package files

import (
	"errors"
	"io"
	"math"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/api"
)

// Limits of uploads. A body may take any time while it makes progress: the limits of other
// requests are too short for a large file on a slow connection.
const (
	uploadsOfUser = 16  // running at this edge
	uploadsOfEdge = 256 // running
	minPace       = 64 << 10
	paceWindow    = 30 * time.Second // in each window minPace bytes, or the rest of the body, must arrive
	answerWindow  = 60 * time.Second // for the client to read the answer
	leftoverLimit = 5 * time.Second  // for the rest of a body that is not needed
	slowStore     = 256 << 10        // bytes per second that a store accepts at least
)

// gate bounds the running uploads and their minimum rate.
type gate struct {
	*places
	window time.Duration // paceWindow
	pace   int64         // minPace
}

func newGate() *gate {
	return &gate{places: newPlaces(uploadsOfUser, uploadsOfEdge, uploadsOfUserUsed, uploadsBusy), window: paceWindow, pace: minPace}
}

// incoming is the body of a request, which may be large and slow. The request's goroutine reads
// it; stop and silent may be called by others.
type incoming struct {
	call    *api.Call
	gate    *gate
	control *http.ResponseController
	body    io.Reader
	due     int64 // bytes that must arrive before the deadlines are renewed
	room    int64 // bytes that may still be read
	err     error // the error with which the body ended

	stopped atomic.Bool   // stop was called
	over    atomic.Bool   // the body has ended, with or without an error
	reading atomic.Bool   // a read is waiting for bytes
	heard   atomic.Int64  // when bytes last arrived, or a read began to wait, in Unix milliseconds
	bytes   atomic.Int64  // number that arrived
	taken   chan struct{} // closed by settled; only for uploads of several requests

	mu   sync.Mutex // guards gone, and is held by stop: after end, the connection may belong to another request
	gone bool
}

// receive begins to read a request's body: from here on the request may last while the body makes
// progress, and each later step has its own limit (see api.Call.Within). The caller must call end
// when everything except the answer is done: the deadlines that end sets could interrupt the
// work.
func (s *Service) receive(c *api.Call) (*incoming, error) {
	if !s.Local.Linked() { // refuse before the client has sent everything for nothing
		return nil, core.E(core.KindUnavailable, "")
	}
	g := s.gate
	if err := g.enter(c.User.ID); err != nil {
		return nil, err
	}
	c.Context = c.Request.Context()
	in := &incoming{
		call: c, gate: g, control: http.NewResponseController(c.Writer), body: c.Request.Body, room: math.MaxInt64, taken: make(chan struct{}),
	}
	return in, nil
}

// Read implements io.Reader. Its errors, other than io.EOF, are for the client.
func (in *incoming) Read(b []byte) (int, error) {
	switch {
	case in.err != nil:
		return 0, in.err
	case in.room <= 0:
		return 0, badForm.With("reason", "fields")
	case in.due <= 0:
		in.extend()
	}
	if in.stopped.Load() { // after extend, whose deadline could be later than that of stop
		return 0, in.fail(os.ErrDeadlineExceeded)
	}
	in.heard.Store(time.Now().UnixMilli()) // the time before this read does not count as silence of the client
	in.reading.Store(true)
	begin := time.Now()
	n, err := in.body.Read(b[:min(int64(len(b)), in.room)])
	in.reading.Store(false)
	if in.call != nil {
		in.call.Spent.Body += time.Since(begin)
	}
	in.due -= int64(n)
	in.room -= int64(n)
	in.bytes.Add(int64(n))
	if err != nil {
		err = in.fail(err)
	}
	return n, err
}

// extend renews the deadlines after progress.
func (in *incoming) extend() {
	in.due = in.gate.pace
	by := time.Now().Add(in.gate.window)
	_ = in.control.SetReadDeadline(by)
	_ = in.control.SetWriteDeadline(by.Add(answerWindow)) // for "100 Continue", and for an early answer
}

// pause ends the current window: while we did not read, the client could not send.
func (in *incoming) pause() { in.due = 0 }

func (in *incoming) fail(err error) error {
	in.over.Store(true)
	switch {
	case errors.Is(err, io.EOF):
		in.err = io.EOF
		in.free()
	case errors.Is(err, os.ErrDeadlineExceeded):
		in.err = tooSlow.WithCause(err)
	default:
		in.err = cutShort(err)
	}
	return in.err
}

// free removes the deadlines while the body is processed. The read deadline would end the
// request: after the body, the server reads on, to notice that the client disconnects.
func (in *incoming) free() {
	_ = in.control.SetReadDeadline(time.Time{})
	_ = in.control.SetWriteDeadline(time.Time{})
}

// settled signals that what arrived is stored, or never will be.
func (in *incoming) settled() { close(in.taken) }

// end gives the client time to read the answer, but only a moment for what it still sends.
func (in *incoming) end() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.gone = true
	leftover := leftoverLimit
	if core.KindOf(in.err) == core.KindTimeout { // it already had its time
		leftover = 0
	}
	_ = in.control.SetReadDeadline(time.Now().Add(leftover))
	_ = in.control.SetWriteDeadline(time.Now().Add(answerWindow))
	if !errors.Is(in.err, io.EOF) {
		in.call.Header().Set("Connection", "close")
	}
	in.gate.leave(in.call.User.ID)
}

// stop ends a waiting read, and every later one.
func (in *incoming) stop() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.stopped.Store(true); !in.gone {
		_ = in.control.SetReadDeadline(time.Unix(1, 0))
	}
}

// silent reports whether a read has waited for bytes this long.
func (in *incoming) silent(d time.Duration) bool {
	return in.reading.Load() && time.Since(time.UnixMilli(in.heard.Load())) >= d
}

// storeLimit is how long storing this many bytes may take.
func storeLimit(size int64) time.Duration {
	return 2*time.Minute + time.Duration(size/slowStore)*time.Second
}

func cutShort(cause error) error {
	if errors.Is(cause, io.EOF) {
		cause = io.ErrUnexpectedEOF // otherwise it would look like a proper end
	}
	return requestCut.WithCause(cause)
}

// What uploads can be refused for.
var (
	tooSlow    = core.Refusal{Kind: core.KindTimeout, ID: "api.nearside.upload_slow.app_error"}
	requestCut = core.Refusal{Kind: core.KindInvalid, ID: "api.file.upload_file.read_request.app_error"}
	badForm    = core.Refusal{Kind: core.KindInvalid, ID: "api.file.upload_file.read_form.app_error"}
)

// bodyError maps an error from reading a body to one for the client.
func bodyError(err error) error {
	var ours *core.Error
	if errors.As(err, &ours) {
		return ours
	}
	return cutShort(err)
}
