package region

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/trace"
)

// Machine is what the log is applied to: the replica of this node. Ordering, the feed and compaction use
// different parts of it, so it has six methods.
type Machine interface {
	// Position says how far the machine has come.
	Position() core.Position
	// LastAt is the time of the last applied entry, zero when there is none.
	LastAt() time.Time
	// Apply applies entries in order and gives a receipt for each. Entries at or below
	// Position are skipped and their receipts may be zero. An error means that none of the
	// entries was applied. KindUpgrade and KindDiverged stop the node; after any other error
	// the same entries are given again.
	Apply(ctx context.Context, entries []core.Entry) ([]core.Receipt, error)
	// Flush makes everything applied so far survive a crash and says how far that is.
	Flush(ctx context.Context) (core.Position, error)
	// DigestAt gives the digest that the machine had after an entry, if it still remembers it.
	DigestAt(ctx context.Context, i core.Index) (core.Digest, bool, error)
	// Snapshot gives the snapshot with an id while it is kept, else a recent one; with the sealed values, or
	// without them.
	Snapshot(ctx context.Context, id string, sealed bool) (core.Snapshot, error)
}

// Network carries Raft's streams between the voters. Run closes it.
type Network interface {
	Dial(ctx context.Context, addr string) (net.Conn, error)
	// Accept gives the next incoming stream; Close makes it return an error.
	Accept() (net.Conn, error)
	Close() error
}

// Voter is a home node that votes.
type Voter struct {
	Node string `json:"node"`
	Addr string `json:"addr"` // where its Network is dialed
}

// Config configures a Region. The zero value of an optional field means its default.
type Config struct {
	Node    string  // this node's name; required, one of Voters
	Dir     string  // where the log lives; required
	Voters  []Voter // the home nodes, this one included; required. All of them must be in the log: see Initialise and SetMembers
	Machine Machine // required
	Network Network // required

	// Handover gives a proposal to the leader at addr, whose side calls Region.Order.
	// Required with more than one voter.
	Handover func(ctx context.Context, addr string, p core.Proposal) (core.Receipt, error)
	// Check refuses proposals of other nodes that must not be in the log, and gives the others as they are to be
	// ordered. The leader calls it once for each of them. Default: nothing is refused.
	Check func(ctx context.Context, p core.Proposal) (core.Proposal, error)
	// Fetch restores the machine from the home node at addr to at or beyond a position, when
	// the entries in between are no longer in the log. Required with more than one voter.
	Fetch func(ctx context.Context, addr string, at core.Position) error
	// Ask puts a question to the home node at addr, whose side calls Region.Answer. Required
	// with more than one voter.
	Ask          func(ctx context.Context, addr string, question []byte) ([]byte, error)
	CompareEvery time.Duration // how often the home nodes compare their digests; default 1 s

	Epoch core.Epoch // of the history this region orders; default 1

	ElectionTimeout time.Duration // silence of the leader before an election; default 300 ms
	CommitTimeout   time.Duration // how soon idle followers learn of a commit; default 10 ms
	ProposeTimeout  time.Duration // how long Propose tries across elections; default 10 s

	NoMajorityAfter time.Duration // how long no leader may be known before proposals are refused at once; default 1.5 s
	WitnessDir      string        // where a note of the log's end outlives the process but not the machine; default /dev/shm, "-" for none

	SnapshotEvery     time.Duration // how often the machine is flushed and the log compacted; default 10 s
	SnapshotThreshold uint64        // fewer entries since the last time are not worth it; default 4096
	TrailingLogs      uint64        // entries kept behind for lagging replicas; default 100,000
	TailBytes         int           // bytes of recent entries kept in memory for followers; default 16 MiB

	MaxInFlight      int   // proposals at once; default 8192
	MaxInFlightBytes int64 // their bytes at once; default 64 MiB

	MachineLate time.Duration // how long the machine of a leader may take for one batch before another node should lead; default 3 s

	MinFreeBytes uint64        // free disk space below which proposals are refused; default 64 MiB
	DiskEvery    time.Duration // how often the free space is read; default 1 s

	Metrics prometheus.Registerer // default: nothing is registered
	Tracer  *trace.Tracer         // default: nothing is traced
	Logger  *slog.Logger          // default: discard

	// For tests.
	now     func() time.Time
	free    func(dir string) (uint64, error)
	openLog func(dir string) (logStore, error)
	// credulous takes part with whatever disk there is, as if it were the one of before.
	credulous bool
}

func (c Config) withDefaults() (Config, error) {
	if err := c.check(); err != nil {
		return c, err
	}
	def(&c.Epoch, 1)
	def(&c.ElectionTimeout, 300*time.Millisecond)
	def(&c.CommitTimeout, 10*time.Millisecond)
	def(&c.ProposeTimeout, 10*time.Second)
	def(&c.NoMajorityAfter, max(1500*time.Millisecond, 3*c.ElectionTimeout))
	def(&c.WitnessDir, defaultWitnessDir)
	if c.WitnessDir == "-" {
		c.WitnessDir = ""
	}
	def(&c.SnapshotEvery, 10*time.Second)
	def(&c.SnapshotThreshold, 4096)
	def(&c.TrailingLogs, 100_000)
	def(&c.TailBytes, 16<<20)
	def(&c.MaxInFlight, 8192)
	def(&c.MaxInFlightBytes, 64<<20)
	def(&c.CompareEvery, time.Second)
	def(&c.MachineLate, 3*time.Second)
	def(&c.MinFreeBytes, 64<<20)
	def(&c.DiskEvery, time.Second)
	def(&c.Logger, slog.New(slog.DiscardHandler))
	if c.Check == nil {
		c.Check = func(_ context.Context, p core.Proposal) (core.Proposal, error) { return p, nil }
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.free == nil {
		c.free = freeBytes
	}
	if c.openLog == nil {
		c.openLog = func(dir string) (logStore, error) { return openWAL(dir, segmentBytes) }
	}
	c.Voters = append([]Voter(nil), c.Voters...)
	return c, nil
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func (c *Config) check() error {
	if err := checkVoters(c.Voters); err != nil {
		return fmt.Errorf("region: %w", err)
	}
	switch {
	case c.Node == "" || c.addrOf(c.Node) == "":
		return fmt.Errorf("region: node %q is not one of the voters", c.Node)
	case c.Dir == "":
		return errors.New("region: no directory for the log")
	case c.Machine == nil || c.Network == nil:
		return errors.New("region: a machine and a network are required")
	case len(c.Voters) > 1 && (c.Handover == nil || c.Fetch == nil || c.Ask == nil):
		return errors.New("region: several voters need Handover, Fetch and Ask")
	case c.ElectionTimeout != 0 && c.ElectionTimeout < 10*time.Millisecond:
		return fmt.Errorf("region: election timeout %s is under 10ms", c.ElectionTimeout)
	case c.CommitTimeout != 0 && c.CommitTimeout < time.Millisecond:
		return fmt.Errorf("region: commit timeout %s is under 1ms", c.CommitTimeout)
	}
	return nil
}

// addrOf gives a voter's address. The configuration is asked, not Raft's own record, so that
// a node may come back at another address.
func (c *Config) addrOf(node string) string {
	for _, v := range c.Voters {
		if v.Node == node {
			return v.Addr
		}
	}
	return ""
}
