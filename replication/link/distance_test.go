package link_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/nearside/nearside/core/eventually"
	"github.com/nearside/nearside/replication/link"
)

func TestDistance_RTT(t *testing.T) {
	// A delay on both sides doubles in the round trip. A blackout stops everything; after a short
	// one the same connection continues.
	ca := newCA(t, "dep")
	dh, de := link.NewDistance(1), link.NewDistance(2)
	h, _ := start(t, link.Config{Credentials: issue(t, ca, "h", link.RoleHome), Distance: dh, Handlers: map[link.Class]link.Handler{link.ClassForward: echo}})
	e, _ := start(t, link.Config{Credentials: issue(t, ca, "e", link.RoleEdge), Distance: de})
	ctx := within(t, eventually.Limit)
	conn, err := e.Dial(ctx, h.Addr(), link.ClassForward)
	if err != nil {
		t.Fatal(err)
	}
	set := func(p link.Path) {
		dh.Set(netip.MustParseAddrPort(e.Addr()), p)
		de.Set(netip.MustParseAddrPort(h.Addr()), p)
	}
	trip := func(ctx context.Context) (time.Duration, error) {
		at := time.Now()
		_, err := ask(ctx, conn, "ping")
		return time.Since(at), err
	}
	near, err := trip(ctx)
	if err != nil || near > 110*time.Millisecond {
		t.Fatal(near, err)
	}
	set(link.Path{Delay: 60 * time.Millisecond})
	far, err := trip(ctx)
	if err != nil || far < 120*time.Millisecond || far > near+600*time.Millisecond {
		t.Fatal(far, err)
	}
	set(link.Path{Blackout: true})
	if took, err := trip(within(t, 300*time.Millisecond)); err == nil {
		t.Fatalf("answer after %s in the dark", took)
	}
	set(link.Path{})
	if _, err := trip(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestDistance_BlackoutAtOneEnd(t *testing.T) {
	// A blackout at one end is enough: that end receives nothing either, although the other end
	// keeps sending.
	ca := newCA(t, "dep")
	de := link.NewDistance(1)
	speak := func(ctx context.Context, conn *link.Conn) {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for conn.SendDatagram([]byte("tick")) == nil {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}
	h, _ := start(t, link.Config{Credentials: issue(t, ca, "h", link.RoleHome), Handlers: map[link.Class]link.Handler{link.ClassForward: speak}})
	e, _ := start(t, link.Config{Credentials: issue(t, ca, "e", link.RoleEdge), Distance: de})
	conn, err := e.Dial(within(t, eventually.Limit), h.Addr(), link.ClassForward)
	if err != nil {
		t.Fatal(err)
	}
	hears := func(d time.Duration) bool {
		_, err := conn.ReceiveDatagram(within(t, d))
		return err == nil
	}
	if !hears(10 * time.Second) {
		t.Fatal("nothing is sent")
	}
	de.Set(netip.MustParseAddrPort(h.Addr()), link.Path{Blackout: true})
	for i := 0; hears(300 * time.Millisecond); i++ { // packets that were already on their way
		if i > 20 {
			t.Fatal("it still hears")
		}
	}
	de.Set(netip.MustParseAddrPort(h.Addr()), link.Path{})
	if !hears(10 * time.Second) {
		t.Fatal("it does not hear again")
	}
}

func TestDistance_LossAndBandwidth(t *testing.T) {
	// Over a lossy, reordering, narrow path everything still arrives complete, at the path's
	// rate.
	ca := newCA(t, "dep")
	de := link.NewDistance(3)
	h, _ := start(t, link.Config{Credentials: issue(t, ca, "h", link.RoleHome), Handlers: map[link.Class]link.Handler{link.ClassForward: echo}})
	e, _ := start(t, link.Config{Credentials: issue(t, ca, "e", link.RoleEdge), Distance: de})
	de.SetDefault(link.Path{Delay: 2 * time.Millisecond, Jitter: time.Millisecond, Loss: 0.02, Reorder: 0.02, Bandwidth: 1 << 20})
	ctx := within(t, eventually.Limit)
	conn, err := e.Dial(ctx, h.Addr(), link.ClassForward)
	if err != nil {
		t.Fatal(err)
	}
	what := strings.Repeat("0123456789abcdef", 16<<10) // 256 KB: a quarter of a second
	at := time.Now()
	got, err := ask(ctx, conn, what)
	if got != what || err != nil {
		t.Fatal(len(got), err)
	}
	if took := time.Since(at); took < 200*time.Millisecond {
		t.Fatalf("took %s", took)
	}
}
