package region

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// streams is Raft's stream layer over a Network. It has a list of open streams, so that closing it ends
// Raft's readers, which the library does not end itself.
type streams struct {
	network Network
	addr    raftAddr
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
	once     sync.Once
}

type raftAddr string

func (a raftAddr) Network() string { return "nearside" }
func (a raftAddr) String() string  { return string(a) }

func newStreams(ctx context.Context, n Network, addr string) *streams {
	s := &streams{network: n, addr: raftAddr(addr), open: map[*stream]struct{}{}}
	s.ctx, s.cancel = context.WithCancel(ctx)
	return s
}

// Addr implements net.Listener.
func (s *streams) Addr() net.Addr { return s.addr }

// Dial implements raft.StreamLayer.
func (s *streams) Dial(addr raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(s.ctx, timeout)
	defer cancel()
	c, err := s.network.Dial(ctx, string(addr))
	if err != nil {
		return nil, err
	}
	return s.track(c, false)
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
type voterAddrs struct{ cfg *Config }

// ServerAddr implements raft.ServerAddressProvider.
func (v voterAddrs) ServerAddr(id raft.ServerID) (raft.ServerAddress, error) {
	return raft.ServerAddress(v.cfg.addrOf(string(id))), nil
}
