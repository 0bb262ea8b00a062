// Package presence knows who is online: the sockets of this edge, and what other edges say of
// theirs. It answers "what is the status of these users" from memory.
//
// It is not replicated state: nothing here is logged, a lost signal is healed by the next
// refresh, and a node that restarts learns the others' users within RefreshEvery. A status that
// somebody sets by hand (do not disturb) has to survive restarts, so it does not belong here.
//
// A Map is passive: it starts no goroutine and reads no clock but Config.Now. Its owner, the
// fan-out hub, calls Opened, Closed, Receive and, every few seconds, Tick; each tells which
// statuses changed.
//
// Concurrency: a Map is safe for concurrent use. Config.Send is called under its lock, so it must
// not block nor call back.
//
// Invariants: a user's status is the most present one of all edges; what another edge said is
// forgotten after ExpireAfter; at most MaxRemote records of other edges are kept, and what comes
// beyond is dropped.
package presence
