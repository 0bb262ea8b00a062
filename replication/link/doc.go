// Package link connects nodes: one UDP socket, QUIC, and on both sides a certificate of the
// deployment's own authority. It is the only package that imports quic-go.
//
// An Endpoint both listens and dials on its socket. ALPN separates the traffic into classes
// (raft, log, forward, blob, gossip). Each class has its own connections, so that a snapshot
// never delays a heartbeat. A certificate names deployment, region, node and roles; each class
// defines which roles may use and serve it, and everything else is refused in the handshake.
// 0-RTT is off, so nothing that a peer sends can be replayed.
//
// A Distance before the socket imitates a far peer: delay, jitter, loss, reordering, bandwidth,
// blackout.
//
// What it is not: it does not reconnect (its users do) and knows no frames.
//
// Concurrency: every type is safe for concurrent use, a Stream like a net.Conn.
//
// Lifecycle: New, then Run(ctx), which owns the socket and all handlers, and closes all
// connections when ctx ends. Dial waits until Run listens.
//
// Invariants: no byte reaches a handler before the peer's certificate is verified; a dead peer is
// noticed within seconds (keep-alive, idle timeout, stateless reset).
package link
