package blob_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nearside/nearside/replication/blob"
	"github.com/nearside/nearside/replication/link"
	"github.com/nearside/nearside/replication/simtest"
)

// A link between continents, and the promised times for a blob of 10 MB.
const (
	farRTT   = 200 * time.Millisecond
	farRate  = 12_500_000 // bytes a second: 100 Mbit/s
	farBytes = 10_000_000
	farFirst = farRTT + 30*time.Millisecond
	farWhole = 10*farRTT + farBytes*time.Second/farRate
)

// far is an edge at the end of a long link.
type far struct {
	*blob.Client
	t    testing.TB
	m    *memory
	e, h *node
	name [32]byte // of a blob at home
	b    []byte

	conns *sync.Map // the connections that home serves
}

// newFar returns one with open connections; without Run they are not renewed.
func newFar(t testing.TB, w *world, run bool) *far {
	t.Helper()
	m := newMemory()
	f := &far{t: t, m: m, b: random(farBytes)}
	f.name = m.add(f.b)
	f.Client, f.e, f.h = w.pair(m)
	f.conns = &w.conns
	path(f.h, f.e, link.Path{Delay: farRTT / 2, Bandwidth: farRate})
	if run {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		t.Cleanup(func() { cancel(); <-done })
	}
	for range 10 { // Run has its two connections after four round trips
		if _, err := f.Stat(within(t, 10*time.Second), f.name); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// get reads a blob and returns the times to its first byte and to its end.
func (f *far) get() (first, whole time.Duration) {
	at := time.Now()
	r, _, err := f.Get(within(f.t, 2*time.Minute), f.name, 0, -1)
	if err != nil {
		f.t.Error(err)
		return 0, 0
	}
	defer r.Close()
	got := make([]byte, 1, farBytes)
	if _, err := io.ReadFull(r, got); err != nil {
		f.t.Error(err)
	}
	first = time.Since(at)
	buf := bytes.NewBuffer(got)
	_, err = io.Copy(buf, r)
	wantBytes(f.t, "far", buf.Bytes(), f.b, err)
	return first, time.Since(at)
}

func (f *far) put() time.Duration {
	at := time.Now()
	b := append([]byte(at.String()), f.b...)
	if err := f.Put(within(f.t, time.Minute), sha256.Sum256(b), int64(len(b)), bytes.NewReader(b)); err != nil {
		f.t.Error(err)
	}
	return time.Since(at)
}

// trips returns the longest round trip of a small message on a separate connection while busy
// runs.
func (f *far) trips(busy func()) (longest time.Duration) {
	conn, err := f.e.Dial(within(f.t, 10*time.Second), f.h.Addr(), link.ClassLog)
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close(link.CodeDone, "")
	st, err := conn.OpenStream(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { busy(); close(done) }()
	msg := make([]byte, 300)
	for {
		select {
		case <-done:
			return longest
		default:
		}
		at := time.Now()
		if _, err := st.Write(msg); err != nil {
			f.t.Fatal(err)
		}
		if _, err := io.ReadFull(st, msg); err != nil {
			f.t.Fatal(err)
		}
		longest = max(longest, time.Since(at))
	}
}

func inBubble(t *testing.T, run bool, test func(t *testing.T, f *far)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.net = simtest.NewNet()
		test(t, newFar(t, w, run))
	})
}

func TestFar_Get(t *testing.T) {
	// A cold read of 10 MB over 200 ms and 100 Mbit/s has its first byte after a round trip and
	// 30 ms, and ends after ten round trips and the time that its bytes need; so does the first
	// read after a long silence.
	inBubble(t, true, func(t *testing.T, f *far) {
		for range 3 {
			first, whole := f.get()
			t.Logf("first byte %s, whole %s", first, whole)
			if first > farFirst || whole > farWhole {
				t.Errorf("first byte %s, whole %s; want %s and %s", first, whole, farFirst, farWhole)
			}
			time.Sleep(20 * time.Second)
		}
	})
}

func TestFar_Put(t *testing.T) {
	// The same holds for storing 10 MB, also on connections over which much was read before.
	inBubble(t, true, func(t *testing.T, f *far) {
		f.get()
		for range 2 {
			took := f.put()
			t.Logf("put %s", took)
			if took > farWhole {
				t.Errorf("put %s, want %s", took, farWhole)
			}
		}
		if _, whole := f.get(); whole > farWhole {
			t.Errorf("get after put %s, want %s", whole, farWhole)
		}
	})
}

func TestFar_LogBeside(t *testing.T) {
	// Transfers in both directions delay the log's messages by at most one queue of a round trip
	// and a half; idle lanes do not delay them at all.
	inBubble(t, true, func(t *testing.T, f *far) {
		if idle := f.trips(func() { time.Sleep(time.Second) }); idle > farRTT+5*time.Millisecond {
			t.Errorf("idle: %s", idle)
		}
		busy := f.trips(func() {
			var wg sync.WaitGroup
			wg.Go(func() { f.get() })
			wg.Go(func() { f.get() })
			wg.Go(func() { f.put() })
			wg.Wait()
		})
		t.Logf("busy: %s", busy)
		if busy > 5*farRTT/2 {
			t.Errorf("busy: %s", busy)
		}
	})
}

// nearer opens the connections over a shorter path than the one that the transfers use.
func nearer(t *testing.T, f *far, test func()) {
	t.Helper()
	path(f.h, f.e, link.Path{Delay: farRTT / 4, Bandwidth: farRate})
	if err := f.Put(t.Context(), sha256.Sum256(nil), 0, bytes.NewReader(nil)); err != nil { // without Run this lane has no connection yet
		t.Fatal(err)
	}
	if _, err := f.Stat(t.Context(), f.name); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Second)
	path(f.h, f.e, link.Path{Delay: farRTT / 2, Bandwidth: farRate})
	test()
}

func TestFar_PathBecomesLonger(t *testing.T) {
	// If round trips grow while connections are open, Run replaces these before a transfer
	// crawls.
	inBubble(t, true, func(t *testing.T, f *far) {
		nearer(t, f, func() {
			time.Sleep(10 * time.Second)
			if _, took := f.get(); took > farWhole {
				t.Errorf("get %s, want %s", took, farWhole)
			}
			if took := f.put(); took > farWhole {
				t.Errorf("put %s, want %s", took, farWhole)
			}
		})
	})
}

func TestFar_Crawl(t *testing.T) {
	// A transfer on such a connection, before Run has replaced it, continues over a new one, in
	// either direction; otherwise it would take twenty seconds.
	inBubble(t, false, func(t *testing.T, f *far) {
		nearer(t, f, func() {
			took := f.put()
			t.Logf("put %s", took)
			if took > 2*farWhole {
				t.Errorf("put %s", took)
			}
		})
	})
	inBubble(t, false, func(t *testing.T, f *far) {
		nearer(t, f, func() {
			_, took := f.get()
			t.Logf("get %s", took)
			if took > 2*farWhole {
				t.Errorf("get %s", took)
			}
			if n := f.m.opened.Load(); n != 3 { // the empty put, and this one in two parts
				t.Errorf("the store was asked %d times", n)
			}
		})
	})
}

func TestFar_SlowLink(t *testing.T) {
	// On a slow link no new connection is tried: a queue that the transfer itself causes is no
	// reason. The slower the link, the later the reader learns how long round trips have become.
	for _, rate := range []int64{250_000, 150_000} {
		inBubble(t, true, func(t *testing.T, f *far) {
			path(f.h, f.e, link.Path{Delay: farRTT / 2, Bandwidth: rate})
			for i := range 2 {
				if _, took := f.get(); took > farBytes*9/8*time.Second/time.Duration(rate) {
					t.Errorf("get %s at %d bytes a second", took, rate)
				}
				if n := f.m.opened.Load(); n != int64(1+i) {
					t.Errorf("the store was asked %d times at %d bytes a second", n, rate)
				}
			}
		})
	}
}

func TestFar_Renewed(t *testing.T) {
	// A connection that has moved much is replaced after a while; a running transfer does not
	// notice, and the old connection ends with its last transfer.
	inBubble(t, true, func(t *testing.T, f *far) {
		conns := func() (n int) { f.conns.Range(func(any, any) bool { n++; return true }); return n }
		if n := conns(); n != 2 {
			t.Fatalf("%d connections at the beginning", n)
		}
		r, _, err := f.Get(t.Context(), f.name, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, farBytes)
		for n := 0; n < len(got); n += 100_000 {
			if _, err := io.ReadFull(r, got[n:n+100_000]); err != nil {
				t.Fatal(err)
			}
			time.Sleep(200 * time.Millisecond)
		}
		wantBytes(t, "slow read", got, f.b, nil)
		if n := conns(); n != 3 {
			t.Errorf("%d connections while it is read", n)
		}
		if n := f.m.opened.Load(); n != 1 {
			t.Errorf("the store was asked %d times", n)
		}
		_ = r.Close()
		time.Sleep(time.Second)
		if n := conns(); n != 2 {
			t.Errorf("%d connections at the end", n)
		}
	})
}

func BenchmarkFar(b *testing.B) {
	// The same over real sockets on loopback, in real time.
	f := newFar(b, newWorld(b), true)
	for b.Loop() {
		first, whole := f.get()
		b.ReportMetric(float64(first.Milliseconds()), "first-ms")
		b.ReportMetric(float64(whole.Milliseconds()), "get-ms")
		b.ReportMetric(float64(f.put().Milliseconds()), "put-ms")
	}
}
