// Package ws is the WebSocket side of an edge: upgrade, authentication, the clients' requests,
// and the connection of each of the hub's sockets. It is the only package that imports
// gorilla/websocket.
//
// It does not decide which client gets which event: edge/fanout does. It does not look up
// sessions: Authenticate and TokenFromRequest belong to the API.
//
// Concurrency: a Handler is safe for concurrent use. Each connection has one reading goroutine
// here; the hub's writers write to it. The HTTP server's goroutine ends after the upgrade, so an
// idle connection keeps neither its stack nor its buffers.
//
// Lifecycle: New starts nothing. Upgrades are refused before Run has begun and after its ctx has
// ended; then Run closes all connections and returns after the last reader. The hub may be
// stopped before or after.
//
// Invariants: an unauthenticated connection gets no byte and is closed after AuthWithin; replies
// have no event number; a frame that cannot be decoded, or is over 8 KiB, ends the connection.
package ws
