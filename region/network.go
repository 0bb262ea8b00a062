package region

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// streams is Raft's stream layer over a Network. It has a list of open streams, so that closing it ends
// Raft's readers, which the library does not end itself.
type streams struct {
	network Network
	addr    raftAddr
	hello   hello           // what this node says of itself when it opens a stream; To is empty
	ctx     context.Context // of dials
	cancel  context.CancelFunc

	mu       sync.Mutex // guards all below
	open     map[*stream]struct{}
	closed   bool
	accepted sync.WaitGroup // one per accepted stream until its reader closes it
}

type stream struct {
	net.Conn
	owner    *streams
	accepted bool
	met      bool // the opening exchange is done; only the reader of an accepted stream uses it
	once     sync.Once
}

// hello opens a stream: who calls whom. A node with another disk is not the one that is called, and must
// neither vote nor acknowledge in its name.
type hello struct {
	Deployment string        `json:"deployment"`
	From       raft.ServerID `json:"from"`
	To         raft.ServerID `json:"to"`
}

const maxHelloBytes = 2 << 10

// helloAccepted is the answer to a hello; anything else, or the end of the stream, refuses it.
const helloAccepted byte = 1

// calling gives the address under which Raft knows a server here: its id and where it is reached.
func calling(id raft.ServerID, addr string) raft.ServerAddress {
	return raft.ServerAddress(string(id) + "|" + addr)
}

type raftAddr string

func (a raftAddr) Network() string { return "nearside" }
func (a raftAddr) String() string  { return string(a) }

func newStreams(ctx context.Context, n Network) *streams {
	s := &streams{network: n, open: map[*stream]struct{}{}}
	s.ctx, s.cancel = context.WithCancel(ctx)
	return s
}

// Addr implements net.Listener.
func (s *streams) Addr() net.Addr { return s.addr }

// introduce sets who this node is, before the first stream.
func (s *streams) introduce(deployment string, id raft.ServerID, addr string) {
	s.addr = raftAddr(calling(id, addr))
	s.hello = hello{Deployment: deployment, From: id}
}

// Dial implements raft.StreamLayer.
func (s *streams) Dial(addr raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(s.ctx, timeout)
	defer cancel()
	to, at, ok := strings.Cut(string(addr), "|")
	if !ok || at == "" {
		return nil, fmt.Errorf("%q is no address of a home node", addr)
	}
	c, err := s.network.Dial(ctx, at)
	if err != nil {
		return nil, err
	}
	call := s.hello
	call.To = raft.ServerID(to)
	_ = c.SetDeadline(time.Now().Add(timeout))
	if err := call.send(c); err != nil {
		return nil, errors.Join(fmt.Errorf("%s does not answer as %s: %w", at, to, err), c.Close())
	}
	_ = c.SetDeadline(time.Time{})
	return s.track(c, false)
}

func (h hello) send(c net.Conn) error {
	raw, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(raw))), raw...)); err != nil {
		return err
	}
	var answer [1]byte
	if _, err := io.ReadFull(c, answer[:]); err != nil {
		return err
	}
	if answer[0] != helloAccepted {
		return errors.New("it refuses")
	}
	return nil
}

// Read implements net.Conn. The first one of an accepted stream reads its hello.
func (st *stream) Read(b []byte) (int, error) {
	if st.accepted && !st.met {
		if err := st.owner.meet(st.Conn); err != nil {
			return 0, err
		}
		st.met = true
	}
	return st.Conn.Read(b)
}

// meet reads and answers a hello.
func (s *streams) meet(c net.Conn) error {
	_ = c.SetDeadline(time.Now().Add(rpcTimeout))
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return err
	}
	n := int(binary.BigEndian.Uint16(size[:]))
	if n > maxHelloBytes {
		return errors.New("the hello of a stream is too long")
	}
	raw := make([]byte, n)
	if _, err := io.ReadFull(c, raw); err != nil {
		return err
	}
	var h hello
	if err := json.Unmarshal(raw, &h); err != nil {
		return fmt.Errorf("reading the hello of a stream: %w", err)
	}
	if h.To != s.hello.From || h.Deployment != s.hello.Deployment {
		return fmt.Errorf("%s calls %s of deployment %.8s, but this is %s of %.8s", h.From, h.To, h.Deployment, s.hello.From, s.hello.Deployment)
	}
	if _, err := c.Write([]byte{helloAccepted}); err != nil {
		return err
	}
	return c.SetDeadline(time.Time{})
}

// Accept implements net.Listener.
func (s *streams) Accept() (net.Conn, error) {
	c, err := s.network.Accept()
	if err != nil {
		return nil, err
	}
	return s.track(c, true)
}

func (s *streams) track(c net.Conn, accepted bool) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = c.Close() // no reader may start any more
		return nil, net.ErrClosed
	}
	st := &stream{Conn: c, owner: s, accepted: accepted}
	if accepted {
		s.accepted.Add(1)
	}
	s.open[st] = struct{}{}
	return st, nil
}

// Close closes the network and every stream, once.
func (s *streams) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	open := make([]*stream, 0, len(s.open))
	for st := range s.open {
		open = append(open, st)
	}
	s.mu.Unlock()
	s.cancel()
	err := s.network.Close()
	for _, st := range open {
		_ = st.Conn.Close() // its reader sees the end and closes the stream itself
	}
	return err
}

// Close implements net.Conn.
func (st *stream) Close() error {
	err := st.Conn.Close()
	st.once.Do(func() {
		st.owner.mu.Lock()
		delete(st.owner.open, st)
		st.owner.mu.Unlock()
		if st.accepted {
			st.owner.accepted.Done()
		}
	})
	return err
}

// shut closes the network and waits for Raft's readers of accepted streams.
func (s *streams) shut() error {
	err := s.Close()
	done := make(chan struct{})
	go func() { s.accepted.Wait(); close(done) }()
	select {
	case <-done:
		return err
	case <-time.After(closeTimeout):
		return errors.Join(err, errors.New("raft streams did not close"))
	}
}

// voterAddrs tells Raft the present address of a voter.
type voterAddrs struct{ addrOf func(node string) string }

// ServerAddr implements raft.ServerAddressProvider.
func (v voterAddrs) ServerAddr(id raft.ServerID) (raft.ServerAddress, error) {
	node, _ := splitID(id)
	return calling(id, v.addrOf(node)), nil
}
