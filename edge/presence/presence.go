package presence

import (
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/nearside/nearside/core"
)

// The statuses, as clients know them.
const (
	Online  = "online"
	Away    = "away"
	Offline = "offline"
)

// Limits.
const (
	// AwayAfter is how long a user must be inactive to count as away.
	AwayAfter = 5 * time.Minute
	// RefreshEvery is how often an edge repeats its users' statuses, in case signals were lost.
	RefreshEvery = time.Minute
	// ExpireAfter is how long another edge's record is valid: longer than two lost refreshes.
	ExpireAfter = 150 * time.Second
	// MaxRemote is the default of Config.MaxRemote, about 20 MB.
	MaxRemote = 200_000
)

// level orders the statuses: the highest of all edges counts.
type level uint8

const (
	offline level = iota
	away
	online
	levels
)

var levelNames = [levels]string{Offline, Away, Online}

// Status is a user's status as clients see it; offline with zero times if nothing is known.
type Status struct {
	UserID         core.UserID `json:"user_id"`
	Status         string      `json:"status"`
	Manual         bool        `json:"manual"`
	LastActivityAt int64       `json:"last_activity_at"` // Unix milliseconds
	DNDEndTime     int64       `json:"dnd_end_time"`
}

// Change is a new status of a user.
type Change struct {
	User   core.UserID
	Status string
}

// Config configures a Map.
type Config struct {
	Send      func(signal []byte) // offers a signal to the other edges; nil if there are none
	Now       func() time.Time    // default: time.Now
	MaxRemote int                 // records of other edges; default MaxRemote
}

// Map knows which users are online. Use New.
type Map struct {
	// Immutable after New.
	send      func([]byte)
	now       func() time.Time
	maxRemote int
	self      edgeID

	mu          sync.Mutex // guards everything below
	local       map[core.UserID]*local
	remote      map[core.UserID][]remote
	remotes     int // records in remote
	dropped     int64
	refreshNext time.Time
	sweepNext   time.Time
}

// edgeID identifies an edge. It is new at each start, so the records of a restarted edge's
// previous run expire.
type edgeID [8]byte

type local struct {
	sockets  int
	level    level // online or away
	activity int64 // Unix milliseconds
}

type remote struct {
	edge     edgeID
	level    level
	activity int64
	expires  time.Time
}

// New makes an empty Map.
func New(cfg Config) (*Map, error) {
	if cfg.MaxRemote < 0 {
		return nil, errors.New("presence: MaxRemote is negative")
	}
	m := &Map{
		send: cfg.Send, now: cfg.Now, maxRemote: cfg.MaxRemote,
		local: map[core.UserID]*local{}, remote: map[core.UserID][]remote{},
	}
	if m.send == nil {
		m.send = func([]byte) {}
	}
	if m.now == nil {
		m.now = time.Now
	}
	if m.maxRemote == 0 {
		m.maxRemote = MaxRemote
	}
	_, _ = rand.Read(m.self[:]) // never returns an error
	return m, nil
}

// Opened counts one more socket of a user, who is then online.
func (m *Map) Opened(u core.UserID) (Change, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.levelOf(u)
	l := m.local[u]
	if l == nil {
		l = &local{}
		m.local[u] = l
	}
	l.sockets++
	m.set(u, l, online)
	return m.changed(u, was)
}

// Closed counts one socket less; after the last one the user is offline at this edge.
func (m *Map) Closed(u core.UserID) (Change, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.local[u]
	if l == nil {
		return Change{}, false
	}
	was := m.levelOf(u)
	if l.sockets--; l.sockets <= 0 {
		delete(m.local, u)
		m.tell(u, offline, l.activity)
	}
	return m.changed(u, was)
}

// Active records whether a connected user is active. An inactive user becomes away: at once if
// byHand, otherwise if the last activity is longer ago than AwayAfter.
func (m *Map) Active(u core.UserID, active, byHand bool) (Change, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.local[u]
	if l == nil {
		return Change{}, false
	}
	was := m.levelOf(u)
	idle := m.now().UnixMilli()-l.activity >= AwayAfter.Milliseconds()
	switch {
	case active:
		m.set(u, l, online)
	case l.level == online && (byHand || idle):
		l.level = away
		m.tell(u, away, l.activity)
	}
	return m.changed(u, was)
}

// Status returns one status for each id, in the same order.
func (m *Map) Status(ids []core.UserID) []Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]Status, len(ids))
	for i, u := range ids {
		l, at := m.levelOf(u), int64(0)
		if here := m.local[u]; here != nil {
			at = here.activity
		}
		for _, r := range m.remote[u] {
			at = max(at, r.activity)
		}
		out[i] = Status{UserID: u, Status: levelNames[l], LastActivityAt: at}
	}
	return out
}

// Present returns the status of every user who is not offline, of at most limit users.
func (m *Map) Present(limit int) map[core.UserID]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make(map[core.UserID]string, min(limit, len(m.local)+len(m.remote)))
	add := func(u core.UserID) {
		if l := m.levelOf(u); l != offline && len(out) < limit {
			out[u] = levelNames[l]
		}
	}
	for u := range m.local {
		add(u)
	}
	for u := range m.remote {
		add(u)
	}
	return out
}

// Dropped counts the records of other edges that were dropped at MaxRemote.
func (m *Map) Dropped() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dropped
}

// set records activity, and sends a signal if the level changed.
func (m *Map) set(u core.UserID, l *local, to level) {
	fresh := l.level != to
	l.level, l.activity = to, m.now().UnixMilli()
	if fresh {
		m.tell(u, to, l.activity)
	}
}

func (m *Map) levelOf(u core.UserID) level {
	best := offline
	if l := m.local[u]; l != nil {
		best = l.level
	}
	for _, r := range m.remote[u] {
		best = max(best, r.level)
	}
	return best
}

func (m *Map) changed(u core.UserID, was level) (Change, bool) {
	is := m.levelOf(u)
	return Change{User: u, Status: levelNames[is]}, is != was
}
