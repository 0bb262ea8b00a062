package presence

import (
	"encoding/binary"
	"time"

	"github.com/nearside/nearside/core"
)

// SignalKind is the first byte of every presence signal. The numbers of signals are
// append-only; 1 is typing (edge/fanout).
const SignalKind = 2

// A signal is its kind, the sending edge (8 bytes), and records of 25 bytes: user, level,
// last activity in Unix milliseconds.
const (
	headBytes   = 1 + 8
	recordBytes = 16 + 1 + 8
	maxRecords  = (1000 - headBytes) / recordBytes // a signal has at most 1000 bytes
)

type record struct {
	user     core.UserID
	level    level
	activity int64
}

func appendRecord(b []byte, r record) []byte {
	b = append(b, r.user[:]...)
	b = append(b, byte(r.level))
	return binary.BigEndian.AppendUint64(b, uint64(r.activity))
}

func (m *Map) head() []byte {
	return append([]byte{SignalKind}, m.self[:]...)
}

func (m *Map) tell(u core.UserID, l level, activity int64) {
	m.send(appendRecord(m.head(), record{u, l, activity}))
}

// Receive processes another edge's signal. A malformed one, and our own, is ignored.
func (m *Map) Receive(signal []byte) []Change {
	from, recs, ok := parse(signal)
	if !ok || from == m.self {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Change
	now := m.now()
	for _, r := range recs {
		was := m.levelOf(r.user)
		// A peer's clock may be wrong: activity cannot be in the future.
		m.learn(from, r.user, r.level, min(r.activity, now.UnixMilli()), now.Add(ExpireAfter))
		if c, ok := m.changed(r.user, was); ok {
			out = append(out, c)
		}
	}
	return out
}

func parse(signal []byte) (edgeID, []record, bool) {
	body := len(signal) - headBytes
	if body <= 0 || body%recordBytes != 0 || body/recordBytes > maxRecords || signal[0] != SignalKind {
		return edgeID{}, nil, false
	}
	from := edgeID(signal[1:headBytes])
	recs := make([]record, 0, body/recordBytes)
	for b := signal[headBytes:]; len(b) > 0; b = b[recordBytes:] {
		r := record{core.UserID(b[:16]), level(b[16]), int64(binary.BigEndian.Uint64(b[17:]))}
		if r.user.IsZero() || r.level >= levels || r.activity < 0 {
			return edgeID{}, nil, false
		}
		recs = append(recs, r)
	}
	return from, recs, true
}

// learn replaces another edge's record of a user.
func (m *Map) learn(from edgeID, u core.UserID, l level, activity int64, expires time.Time) {
	rs := m.remote[u]
	for i := range rs {
		if rs[i].edge == from {
			if l == offline {
				m.forget(u, i)
				return
			}
			rs[i] = remote{from, l, activity, expires}
			return
		}
	}
	switch {
	case l == offline:
	case m.remotes >= m.maxRemote:
		m.dropped++
	default:
		m.remote[u] = append(rs, remote{from, l, activity, expires})
		m.remotes++
	}
}

func (m *Map) forget(u core.UserID, i int) {
	rs := m.remote[u]
	rs[i] = rs[len(rs)-1]
	rs = rs[:len(rs)-1]
	m.remotes--
	if len(rs) == 0 {
		delete(m.remote, u)
		return
	}
	m.remote[u] = rs
}

// Tick removes expired records and repeats our statuses when it is time. Call it every few
// seconds.
func (m *Map) Tick() []Change {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	if !now.Before(m.refreshNext) {
		m.refreshNext = now.Add(RefreshEvery)
		m.refresh(false)
	}
	if now.Before(m.sweepNext) {
		return nil
	}
	m.sweepNext = now.Add(ExpireAfter / 10)
	var out []Change
	for u := range m.remote {
		was := m.levelOf(u)
		for i := len(m.remote[u]) - 1; i >= 0; i-- {
			if now.After(m.remote[u][i].expires) {
				m.forget(u, i)
			}
		}
		if c, ok := m.changed(u, was); ok {
			out = append(out, c)
		}
	}
	return out
}

// Leave tells the other edges that all users of this edge are gone. Call it when the edge stops.
func (m *Map) Leave() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refresh(true)
}

// refresh sends the statuses of all users of this edge, in as few signals as possible.
func (m *Map) refresh(gone bool) {
	b := m.head()
	for u, l := range m.local {
		r := record{u, l.level, l.activity}
		if gone {
			r.level = offline
		}
		if b = appendRecord(b, r); len(b)+recordBytes > 1000 {
			m.send(b)
			b = m.head()
		}
	}
	if len(b) > headBytes {
		m.send(b)
	}
}
