package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/nearside/nearside/core"
)

// How long answers under way may take when the node stops.
const (
	drainLimit = 8 * time.Second
	adminDrain = 2 * time.Second
)

// Listen opens a TCP listener with an error that says which key to change.
func Listen(key, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, core.E(core.KindUnavailable, "%s: cannot listen on %s", key, addr).WithCause(err)
	}
	return l, nil
}

// serveHTTP serves until ctx ends and then lets answers under way be finished.
func serveHTTP(ctx context.Context, l net.Listener, srv *http.Server, drain time.Duration) error {
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	if err := srv.Shutdown(wait); err != nil {
		_ = srv.Close()
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
