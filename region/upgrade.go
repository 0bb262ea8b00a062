package region

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nearside/nearside/core"
)

// rememberFor is how long a node that is away counts. If it comes back later it may have to be upgraded
// first. If it was removed for good, the operator need not tell.
const rememberFor = 7 * 24 * time.Hour

// Member is what is known of a node.
type Member struct {
	Node       string
	Seen       time.Time // the present time, if it is online
	LogVersion int64     // the newest that it understands; 0: not known
}

// UpgradeConfig configures an Upgrade. The zero value of each optional field means its default.
type UpgradeConfig struct {
	Voters     []string                                  // required: they count even if they were never online
	Members    func() []Member                           // required: the nodes that are known, this one included
	LogVersion func() int64                              // required: the present version of the log
	Leads      func() bool                               // required: whether this node leads and so decides
	Raise      func(ctx context.Context, to int64) error // required: orders the version entry
	File       string                                    // required: keeps the nodes that were seen, for the next start
	After      time.Duration                             // how long all must have understood the next version; default 24 h
	Every      time.Duration                             // how often to look; default 5 s
	Logger     *slog.Logger                              // default: discard

	// For tests.
	now        func() time.Time
	understood int64
}

// Upgrade decides when the next version of the log begins: when every node that was seen in the last days
// has understood it for so long that nobody will want to roll back, or when an operator says so.
type Upgrade struct {
	cfg UpgradeConfig

	mu    sync.Mutex // guards all below
	seen  map[string]*Seen
	since time.Time // since when all nodes understand the next version; zero: some do not
}

// Seen is a node that counts.
type Seen struct {
	Node        string    `json:"node"`
	Understands int64     `json:"understands"` // newest version of the log; 0: not known
	At          time.Time `json:"seen_at"`     // zero: never
}

// UpgradeStatus says where the deployment stands between two versions of the log.
type UpgradeStatus struct {
	LogVersion  int64     `json:"log_version"`
	Understands int64     `json:"understands"` // this program
	Leads       bool      `json:"leads"`
	Nodes       []Seen    `json:"nodes"`
	Waiting     []string  `json:"waiting"`            // nodes that do not understand the next version
	RaisedAt    time.Time `json:"raised_at,omitzero"` // when the version will be raised if nothing changes
}

// NewUpgrade makes an Upgrade, with what an earlier process remembered.
func NewUpgrade(cfg UpgradeConfig) (*Upgrade, error) {
	if len(cfg.Voters) == 0 || cfg.Members == nil || cfg.LogVersion == nil || cfg.Leads == nil || cfg.Raise == nil || cfg.File == "" {
		return nil, errors.New("region: an upgrade needs voters, members, the log's version, who leads, how to raise it, and a file")
	}
	def(&cfg.After, 24*time.Hour)
	def(&cfg.Every, 5*time.Second)
	def(&cfg.Logger, slog.New(slog.DiscardHandler))
	def(&cfg.understood, core.LogVersion)
	if cfg.now == nil {
		cfg.now = time.Now
	}
	u := &Upgrade{cfg: cfg, seen: map[string]*Seen{}}
	raw, err := os.ReadFile(cfg.File)
	if errors.Is(err, fs.ErrNotExist) {
		return u, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &u.seen)
	}
	if err != nil {
		return nil, fmt.Errorf("reading who was seen: %w", err)
	}
	return u, nil
}

// Run checks again and again until ctx ends.
func (u *Upgrade) Run(ctx context.Context) error {
	tick := time.NewTicker(u.cfg.Every)
	defer tick.Stop()
	for {
		if err := u.look(ctx); err != nil && ctx.Err() == nil {
			u.cfg.Logger.Warn("the version of the log was not raised", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look raises the version if that has been possible for long enough.
func (u *Upgrade) look(ctx context.Context) error {
	err := u.note()
	if st := u.Status(); err != nil || !st.Leads || st.RaisedAt.IsZero() || u.cfg.now().Before(st.RaisedAt) {
		return err
	}
	return u.Raise(ctx, nil)
}

// note records what is known of the nodes now.
func (u *Upgrade) note() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	now, changed := u.cfg.now(), false
	for _, m := range u.cfg.Members() {
		s := u.seen[m.Node]
		if s == nil {
			s = &Seen{Node: m.Node}
			u.seen[m.Node] = s
		}
		if m.Seen.Before(s.At) {
			continue
		}
		if m.LogVersion != s.Understands || m.Seen.Sub(s.At) > time.Hour {
			changed = true // writing it more often would only wear the disk
		}
		s.Understands, s.At = m.LogVersion, m.Seen
	}
	for node, s := range u.seen {
		if now.Sub(s.At) > rememberFor {
			delete(u.seen, node)
			changed = true
		}
	}
	switch {
	case len(u.waiting(nil)) > 0 || u.cfg.LogVersion() >= u.cfg.understood || !u.cfg.Leads():
		u.since = time.Time{}
	case u.since.IsZero():
		u.since = now
	}
	if !changed {
		return nil
	}
	raw, err := json.Marshal(u.seen)
	if err != nil {
		return err
	}
	if err := os.WriteFile(u.cfg.File+".new", raw, 0o600); err != nil {
		return fmt.Errorf("remembering who was seen: %w", err)
	}
	return os.Rename(u.cfg.File+".new", u.cfg.File)
}

// waiting names the nodes that do not understand the next version. It is called with mu held.
func (u *Upgrade) waiting(without []string) []string {
	next, out := u.cfg.LogVersion()+1, []string{}
	for _, s := range u.nodes() {
		if s.Understands < next && !slices.Contains(without, s.Node) {
			out = append(out, s.Node)
		}
	}
	return out
}

// nodes gives all nodes that count. It is called with mu held.
func (u *Upgrade) nodes() []Seen {
	out := []Seen{}
	for _, s := range u.seen {
		out = append(out, *s)
	}
	for _, v := range u.cfg.Voters {
		if u.seen[v] == nil {
			out = append(out, Seen{Node: v})
		}
	}
	slices.SortFunc(out, func(a, b Seen) int { return cmp.Compare(a.Node, b.Node) })
	return out
}

// Status gives the state of the upgrade.
func (u *Upgrade) Status() UpgradeStatus {
	u.mu.Lock()
	defer u.mu.Unlock()
	st := UpgradeStatus{
		LogVersion: u.cfg.LogVersion(), Understands: u.cfg.understood, Leads: u.cfg.Leads(), Nodes: u.nodes(), Waiting: u.waiting(nil),
	}
	if !u.since.IsZero() {
		st.RaisedAt = u.since.Add(u.cfg.After)
	}
	return st
}

// Raise begins the next version at once. Nodes that the operator excludes need not understand it; they
// stop applying at that entry, until they are upgraded.
func (u *Upgrade) Raise(ctx context.Context, without []string) error {
	if err := u.note(); err != nil {
		return err
	}
	u.mu.Lock()
	version, waiting := u.cfg.LogVersion(), u.waiting(without)
	u.mu.Unlock()
	switch {
	case !u.cfg.Leads():
		return core.E(core.KindConflict, "only the home node that leads can raise the version")
	case version >= u.cfg.understood:
		return core.E(core.KindConflict, "the log is in version %d already, the newest that this program understands", version)
	case len(waiting) > 0:
		return core.E(core.KindConflict, "not every node understands version %d: upgrade or exclude %s", version+1, strings.Join(waiting, ", "))
	}
	if err := u.cfg.Raise(ctx, version+1); err != nil {
		return err
	}
	u.cfg.Logger.Info("the next version of the log has begun", "version", version+1, "without", without)
	return nil
}
