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

// Limits of what arrives. A body may take as long as it gets on: the limits of other requests
// are too short for a large file on a slow line.
const (
	uploadsOfUser = 16  // under way at this edge
	uploadsOfEdge = 256 // under way
	minPace       = 64 << 10
	paceWindow    = 30 * time.Second // minPace bytes must come in each, or the rest of the body
	answerWindow  = 60 * time.Second // for the client to take the answer
	leftoverLimit = 5 * time.Second  // for the rest of a body that nobody wants
	slowStore     = 256 << 10        // bytes in a second that a store takes at the very least
)

// gate says who may send now, and how fast at least.
type gate struct {
	*places
	window time.Duration // paceWindow
	pace   int64         // minPace
}

func newGate() *gate {
	return &gate{places: newPlaces(uploadsOfUser, uploadsOfEdge, uploadsOfUserUsed, uploadsBusy), window: paceWindow, pace: minPace}
}

// incoming is the body of a request that may be large and slow. Its reader is the goroutine of
// the request; stop and silent may be called by others.
type incoming struct {
	call    *api.Call
	gate    *gate
	control *http.ResponseController
	body    io.Reader
	due     int64 // bytes that have to come before the deadlines move on
	room    int64 // bytes that may still be read
	err     error // how the body ended

	stopped atomic.Bool   // nobody waits for more
	over    atomic.Bool   // the body has ended, however
	reading atomic.Bool   // somebody waits for bytes
	heard   atomic.Int64  // when bytes came last, or somebody began to wait for them, in Unix milliseconds
	bytes   atomic.Int64  // that came
	taken   chan struct{} // closed by settled; of an upload of several requests only

	mu   sync.Mutex // guards gone, and is held by stop: the connection may be another request's after end
	gone bool
}

// receive begins to take the body of a request in: from here on the request lasts as long as the
// body gets on, and each step after it has a limit of its own (see api.Call.Within). end must follow when
// everything is done but the answer: the deadlines that it sets could end the work.
func (s *Service) receive(c *api.Call) (*incoming, error) {
	if !s.Local.Linked() { // before the client has sent it all in vain
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
	if in.stopped.Load() { // after extend, whose deadline could be later than stop's
		return 0, in.fail(os.ErrDeadlineExceeded)
	}
	in.heard.Store(time.Now().UnixMilli()) // what was not listened to was not silence
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

// extend moves the deadlines on: there was progress.
func (in *incoming) extend() {
	in.due = in.gate.pace
	by := time.Now().Add(in.gate.window)
	_ = in.control.SetReadDeadline(by)
	_ = in.control.SetWriteDeadline(by.Add(answerWindow)) // of "100 Continue", and of an early answer
}

// pause says that the client was not waited for: what it did not send meanwhile is not its fault.
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

// free lifts the deadlines while the body is made use of. The read deadline would end the
// request: once the body has been read, the server reads on to notice that its client went.
func (in *incoming) free() {
	_ = in.control.SetReadDeadline(time.Time{})
	_ = in.control.SetWriteDeadline(time.Time{})
}

// settled says that what came is stored, or never will be.
func (in *incoming) settled() { close(in.taken) }

// end gives the client time for the answer, and no more than a moment for what it still sends.
func (in *incoming) end() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.gone = true
	leftover := leftoverLimit
	if core.KindOf(in.err) == core.KindTimeout { // it has had its time
		leftover = 0
	}
	_ = in.control.SetReadDeadline(time.Now().Add(leftover))
	_ = in.control.SetWriteDeadline(time.Now().Add(answerWindow))
	if !errors.Is(in.err, io.EOF) {
		in.call.Header().Set("Connection", "close")
	}
	in.gate.leave(in.call.User.ID)
}

// stop ends a read that waits, and every later one.
func (in *incoming) stop() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.stopped.Store(true); !in.gone {
		_ = in.control.SetReadDeadline(time.Unix(1, 0))
	}
}

// silent reports whether bytes have been waited for so long.
func (in *incoming) silent(d time.Duration) bool {
	return in.reading.Load() && time.Since(time.UnixMilli(in.heard.Load())) >= d
}

// storeLimit is how long storing so many bytes may take.
func storeLimit(size int64) time.Duration {
	return 2*time.Minute + time.Duration(size/slowStore)*time.Second
}

func cutShort(cause error) error {
	if errors.Is(cause, io.EOF) {
		cause = io.ErrUnexpectedEOF // or it would pass for a proper end
	}
	return requestCut.WithCause(cause)
}

// What is wrong with what arrives.
var (
	tooSlow    = core.Refusal{Kind: core.KindTimeout, ID: "api.nearside.upload_slow.app_error"}
	requestCut = core.Refusal{Kind: core.KindInvalid, ID: "api.file.upload_file.read_request.app_error"}
	badForm    = core.Refusal{Kind: core.KindInvalid, ID: "api.file.upload_file.read_form.app_error"}
)

// bodyError gives the error that reading a body ended with as one for the client.
func bodyError(err error) error {
	var ours *core.Error
	if errors.As(err, &ours) {
		return ours
	}
	return cutShort(err)
}
