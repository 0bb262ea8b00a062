package signal

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/nearside/nearside/core/backoff"
	"github.com/nearside/nearside/replication/link"
	"github.com/nearside/nearside/replication/wire"
)

const (
	meshCheck   = time.Second // how often the list of home nodes is read
	dialTimeout = 5 * time.Second
)

// MeshConfig configures a Mesh.
type MeshConfig struct {
	Endpoint *link.Endpoint  // required
	Relay    *Relay          // required
	Homes    func() []string // required: link addresses of the other home nodes
	Logger   *slog.Logger    // default: discard
}

// Mesh keeps a connection from a home node to every other one, for signals only.
type Mesh struct{ cfg MeshConfig }

// NewMesh validates; it starts nothing.
func NewMesh(cfg MeshConfig) (*Mesh, error) {
	if cfg.Endpoint == nil || cfg.Relay == nil || cfg.Homes == nil {
		return nil, errNoHomes
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Mesh{cfg}, nil
}

// Run keeps the connections until ctx ends.
func (m *Mesh) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	running := map[string]context.CancelFunc{}
	tick := time.NewTicker(meshCheck)
	defer tick.Stop()
	for {
		want := map[string]bool{}
		for _, addr := range m.cfg.Homes() {
			want[addr] = true
			if running[addr] == nil {
				one, cancel := context.WithCancel(ctx)
				running[addr] = cancel
				wg.Go(func() { m.keep(one, addr) })
			}
		}
		for addr, cancel := range running {
			if !want[addr] {
				cancel()
				delete(running, addr)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			for _, cancel := range running {
				cancel()
			}
			return nil
		}
	}
}

// keep holds one connection. Signals that arrive while there is none are lost.
func (m *Mesh) keep(ctx context.Context, addr string) {
	for ctx.Err() == nil {
		if conn, err := m.dial(ctx, addr); err != nil {
			m.cfg.Logger.Debug("signals to home node", "addr", addr, "err", err)
		} else {
			m.cfg.Relay.Serve(ctx, conn, ToHome)
			conn.Close(link.CodeDone, "signals done")
		}
		backoff.Pause(ctx, meshCheck)
	}
}

func (m *Mesh) dial(ctx context.Context, addr string) (*link.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := m.cfg.Endpoint.Dial(ctx, addr, link.ClassLog)
	if err != nil {
		return nil, err
	}
	st, err := conn.OpenStream(ctx)
	if err == nil {
		err = wire.NewWriter(st).Write(wire.KindSignals, nil)
	}
	if err != nil {
		conn.Close(link.CodeDone, "signals refused")
		return nil, err
	}
	return conn, nil
}
