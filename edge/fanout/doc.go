// Package fanout delivers events to sockets: the replica's events in log order, and the
// short-lived ones (typing, status) of this edge and the others. DESIGN.md in this folder
// explains how.
//
// It knows users, memberships and queues of encoded events. It knows nothing about HTTP,
// WebSocket frames or authentication. A Wire carries the bytes (edge/ws), Memberships reads the
// replica, MayPost decides about typing.
//
// Concurrency: a Hub is safe for concurrent use. One lock guards the indexes, and each socket has
// one for its queue. Lock order: Hub.mu, then Socket.mu or the presence map's. Nobody waits for a
// network or a database while holding one.
//
// Lifecycle: New starts nothing; Run reads the event cursor, sends pings, removes expired
// sockets, and owns the writers. When its ctx ends, it closes every socket and returns after the
// last writer. Register fails before Run has subscribed and after it has ended.
//
// Invariants: a socket's events are numbered from 0 without gaps, hello first; they are in log
// order; a user gets a channel's or team's events exactly from the entry in which they joined up
// to the one in which they left; no queue exceeds its bound: its socket is closed instead.
package fanout
