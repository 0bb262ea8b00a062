// Package presence knows which users are online: from the sockets of this edge, and from the
// signals of other edges. It answers "what is the status of these users" from memory.
//
// It is not replicated state: nothing here is logged, the next refresh replaces a lost signal,
// and a node that restarts learns the users of other edges within RefreshEvery. A status that a
// user sets manually (do not disturb) must survive restarts, so it does not belong here.
//
// A Map starts no goroutine and reads no clock except Config.Now. Its owner, the fan-out hub,
// calls Opened, Closed, Receive and, every few seconds, Tick; each returns the statuses that
// changed.
//
// Concurrency: a Map is safe for concurrent use. Config.Send is called under its lock, so it must
// neither block nor call the Map.
//
// Invariants: a user's status is the highest of all edges; the record of another edge is removed
// after ExpireAfter; at most MaxRemote records of other edges are kept, and further ones are
// dropped.
package presence
