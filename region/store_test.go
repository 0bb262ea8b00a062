package region

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/eventually"
)

// sick is a store whose writes fail on demand.
type sick struct {
	logStore
	ill *illness
}

type illness struct {
	logs, stable atomic.Bool
	half         atomic.Bool // a failing append is on the disk although it fails
}

func (s sick) StoreLogs(logs []*raft.Log) error {
	if s.ill.logs.Load() {
		if s.ill.half.Load() {
			_ = s.logStore.StoreLogs(logs)
		}
		return syscall.ENOSPC
	}
	return s.logStore.StoreLogs(logs)
}

func (s sick) Set(k, v []byte) error {
	if s.ill.stable.Load() {
		return syscall.ENOSPC
	}
	return s.logStore.Set(k, v)
}

func (s sick) SetUint64(k []byte, v uint64) error {
	if s.ill.stable.Load() {
		return syscall.ENOSPC
	}
	return s.logStore.SetUint64(k, v)
}

func (s sick) Reopen() (logStore, error) {
	in, err := s.logStore.Reopen()
	return sick{in, s.ill}, err
}

// sickWorld gives a world whose nodes' disks fail on demand.
func sickWorld(t *testing.T, voters int) (*world, map[string]*illness) {
	var mu sync.Mutex
	ills := map[string]*illness{}
	w := startWorld(t, voters, func(c *Config) {
		mu.Lock()
		defer mu.Unlock()
		ill := &illness{}
		ills[c.Node] = ill
		c.openLog = func(dir string) (logStore, error) {
			s, err := openWAL(dir, 4096)
			return sick{s, ill}, err
		}
	})
	return w, ills
}

func TestStore_FailingAppend(t *testing.T) {
	for _, half := range []bool{false, true} {
		t.Run(fmt.Sprintf("OneVoter/ReachedTheDisk=%v", half), func(t *testing.T) {
			// While the disk fails, proposals fail and Status says so. When it works again the node
			// goes on by itself, and after a restart nothing is lost or doubled.
			w, ills := sickWorld(t, 1)
			n, ill := w.nodes[0], ills["h1"]
			n.propose(0, 10)
			ill.half.Store(half)
			ill.logs.Store(true)
			n.cfg.ProposeTimeout = 200 * time.Millisecond
			if _, err := n.Propose(t.Context(), proposal(10)); !core.KindOf(err).Temporary() {
				t.Errorf("got %v, want a temporary error", err)
			}
			eventually.Nil(t, func() error { // the time of the proposal may end before it is written
				if st := n.Status(); !strings.Contains(st.Trouble, "no space") {
					return fmt.Errorf("status says %q", st.Trouble)
				}
				return nil
			})
			ill.logs.Store(false)
			n.cfg.ProposeTimeout = eventually.Limit
			n.propose(10, 200)
			eventually.Nil(t, func() error {
				if st := n.Status(); st.Trouble != "" {
					return errors.New(st.Trouble)
				}
				return nil
			})
			at := n.Position()
			if err := n.stop(); err != nil {
				t.Fatal(err)
			}
			n.machine = newChain()
			n.start()
			eventually.Nil(t, func() error {
				if got := n.Position(); got != at {
					return fmt.Errorf("at %s, want %s", got, at)
				}
				return nil
			})
			if ids := n.machine.ids(); len(ids) != 200 {
				t.Errorf("%d applied, want 200", len(ids))
			}
		})
	}
	t.Run("LeaderOfThreeStepsDown", func(t *testing.T) {
		// A leader whose disk fails does not stop the others from ordering.
		w, ills := sickWorld(t, 3)
		old := w.leader()
		old.propose(0, 10)
		ills[old.name].logs.Store(true)
		ills[old.name].stable.Store(true)
		for _, n := range w.nodes {
			if n != old {
				n.propose(10, 20)
				break
			}
		}
		ills[old.name].logs.Store(false)
		ills[old.name].stable.Store(false)
		w.agree()
		if ids := old.machine.ids(); len(ids) != 20 {
			t.Errorf("%d applied, want 20", len(ids))
		}
	})
	t.Run("StableValueWaits", func(t *testing.T) {
		// Raft panics when a term cannot be saved, so saving waits for the disk, also if the node is
		// stopped meanwhile.
		w, ills := sickWorld(t, 1)
		n, ill := w.nodes[0], ills["h1"]
		n.propose(0, 3)
		ill.stable.Store(true)
		ill.logs.Store(true)
		n.cfg.ProposeTimeout = 100 * time.Millisecond
		_, _ = n.Propose(t.Context(), proposal(3)) // steps down, then cannot save the next term
		eventually.Nil(t, func() error {
			if n.IsLeader() {
				return errors.New("still leads")
			}
			return nil
		})
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestStore_OwedSuffixWaits(t *testing.T) {
	// After a conflicting suffix was deleted, the append that replaces it waits for the disk, because
	// Raft would still believe in the suffix.
	stop := t.Context()
	in, err := openWAL(t.TempDir(), 4096)
	if err != nil {
		t.Fatal(err)
	}
	ill := &illness{}
	g, err := newGuard(stop, sick{in, ill})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	logs := func(from, to uint64, term uint64) (out []*raft.Log) {
		for i := from; i <= to; i++ {
			out = append(out, &raft.Log{Index: i, Term: term})
		}
		return out
	}
	if err := g.StoreLogs(logs(1, 10, 1)); err != nil {
		t.Fatal(err)
	}
	if err := g.DeleteRange(6, 10); err != nil {
		t.Fatal(err)
	}
	ill.logs.Store(true)
	done := make(chan error, 1)
	go func() { done <- g.StoreLogs(logs(6, 8, 2)) }()
	eventually.Nil(t, func() error {
		if g.Trouble() == "" {
			return errors.New("no trouble yet")
		}
		return nil
	})
	ill.logs.Store(false)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	last, _ := g.LastIndex()
	var l raft.Log
	if err := g.GetLog(6, &l); err != nil || l.Term != 2 || last != 8 {
		t.Errorf("log 6 has term %d, the log ends at %d: %v", l.Term, last, err)
	}
}

func TestDisk_LowIsRefused(t *testing.T) {
	// While little space is left, proposals are refused with a message that says so, and the
	// feed goes on.
	var free atomic.Uint64
	free.Store(1 << 40)
	w := startWorld(t, 1, func(c *Config) {
		c.free = func(string) (uint64, error) { return free.Load(), nil }
		c.DiskEvery = 5 * time.Millisecond
	})
	n := w.nodes[0]
	n.propose(0, 3)
	free.Store(10 << 20)
	var err error
	eventually.Nil(t, func() error {
		if _, err = n.Propose(t.Context(), proposal(3)); err == nil {
			return errors.New("accepted")
		}
		return nil
	})
	if core.KindOf(err) != core.KindUnavailable || !strings.Contains(err.Error(), diskFull.ID) {
		t.Errorf("got %v", err)
	}
	if st := n.Status(); !strings.Contains(st.Trouble, "full") {
		t.Errorf("status says %q", st.Trouble)
	}
	if ids, _ := n.follow(core.Position{}, 3, 1<<20); len(ids) < 3 {
		t.Errorf("%d entries fed", len(ids))
	}
	free.Store(1 << 40)
	eventually.Nil(t, func() error { _, err := n.Propose(t.Context(), proposal(4)); return err })
}

func TestDisk_LowLeaderYields(t *testing.T) {
	// A leader with a full disk gives leadership to a home node that can still write.
	var full sync.Map
	w := startWorld(t, 3, func(c *Config) {
		node := c.Node
		c.free = func(string) (uint64, error) {
			if _, yes := full.Load(node); yes {
				return 0, nil
			}
			return 1 << 40, nil
		}
		c.DiskEvery = 5 * time.Millisecond
	})
	old := w.leader()
	full.Store(old.name, true)
	eventually.Nil(t, func() error {
		if old.IsLeader() {
			return errors.New("still leads")
		}
		return nil
	})
	eventually.Nil(t, func() error { _, err := old.Propose(t.Context(), proposal(0)); return err })
}

func TestDisk_ReallyFull(t *testing.T) {
	// A full disk stops writes but not the node; with free space, writes work again.
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skip("cannot mount a small tmpfs: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	w := newWorld(t, 1, func(c *Config) {
		c.free = func(string) (uint64, error) { return 1 << 40, nil } // so that the disk itself refuses
		c.openLog = func(dir string) (logStore, error) { return openWAL(dir, 64<<10) }
		c.ProposeTimeout = 2 * time.Second
	})
	n := w.nodes[0]
	n.dir = filepath.Join(dir, "h1")
	if err := Initialise(n.dir, n.config().Voters); err != nil {
		t.Fatal(err)
	}
	n.start()
	w.leader()
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	acked := 0
	eventually.Nil(t, func() error { // on a slow disk a proposal's time may end before the disk is full
		p := proposal(acked)
		p.Data = make([]byte, 16<<10)
		_, err := n.Propose(t.Context(), p)
		switch {
		case err == nil:
			acked++
		case !core.KindOf(err).Temporary():
			t.Fatalf("after %d: %v", acked, err)
		case n.Status().Trouble != "":
			return nil
		}
		return fmt.Errorf("after %d: %v, status %+v", acked, err, n.Status())
	})
	t.Log("full after", acked, "proposals:", n.Status().Trouble)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	n.cfg.ProposeTimeout = eventually.Limit
	n.propose(acked, acked+5)
	at := n.Position()
	n.stop()
	n.machine = newChain()
	n.start()
	eventually.Nil(t, func() error {
		if got := n.Position(); got != at {
			return fmt.Errorf("at %s, want %s", got, at)
		}
		return nil
	})
	if ids := n.machine.ids(); len(ids) != acked+5 {
		t.Errorf("%d applied, want %d", len(ids), acked+5)
	}
	n.stop()
}
