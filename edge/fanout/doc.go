// Package fanout brings events to sockets: the replica's, in log order, and the short-lived ones
// (typing, status) of this edge and the others. DESIGN.md beside this file explains how.
//
// It knows users, memberships and queues of encoded events; it knows nothing of HTTP, of
// WebSocket frames or of authentication. A Wire carries the bytes (edge/ws), Memberships reads
// the replica, MayPost decides about typing.
//
// Concurrency: a Hub is safe for concurrent use. One lock guards the indexes, and each socket
// has one for its queue. Lock order: Hub.mu, then Socket.mu or the presence map's. Nothing
// under either waits for a network or a database.
//
// Lifecycle: New starts nothing; Run drains the event cursor, pings, sweeps, and owns the
// writers of all sockets. When its ctx ends it closes every socket and returns after the last
// writer. Register fails before Run has subscribed and after it has ended.
//
// Invariants: a socket's events are numbered from 0 without gaps, hello first; they are in log
// order; a user gets a channel's or team's events from the entry in which they joined up to the
// one in which they left, exactly; no queue grows over its bound: its socket is closed instead.
package fanout
