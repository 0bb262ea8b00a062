package nodetest

import (
	"context"
	"sync"
	"testing"

	"github.com/nearside/nearside/replication/forward"
	"github.com/nearside/nearside/replication/link"
)

// Impersonate gives a client with the certificate of a stopped node, which proposes at home whatever it likes.
func (n *Node) Impersonate(t testing.TB) *forward.Client {
	t.Helper()
	cred, err := link.LoadCredentials(n.cfg.PKI)
	n.w.must(err)
	socket, err := link.Bind("127.0.0.1:0")
	n.w.must(err)
	ep, err := link.New(link.Config{Conn: socket, Credentials: cred})
	n.w.must(err)
	var homes []string
	for _, h := range n.cfg.Home {
		homes = append(homes, h.Addr)
	}
	fwd, err := forward.New(forward.Config{Endpoint: ep, Candidates: func() []string { return homes }})
	n.w.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- ep.Run(ctx) }()
	n.freed = sync.OnceFunc(func() {
		_ = fwd.Close()
		cancel()
		<-ended
	})
	t.Cleanup(n.freed)
	return fwd
}
