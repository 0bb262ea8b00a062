// Package ws is the WebSocket side of an edge: upgrade, authentication, the clients' requests,
// and the connection under each of the hub's sockets. It is the only package that knows
// gorilla/websocket.
//
// It decides nothing about who gets which event: that is edge/fanout. It looks no session up:
// Authenticate and TokenFromRequest are the API's.
//
// Concurrency: a Handler is safe for concurrent use. Each connection has one reading goroutine
// here; what is written to it comes from the hub's writers. The goroutine of the HTTP server
// ends with the upgrade, so an idle connection keeps neither its stack nor its buffers.
//
// Lifecycle: New starts nothing. Upgrades are refused before Run has begun and after its ctx
// has ended; then Run closes all connections and returns after the last reader. It does not
// matter whether the hub is stopped before or after.
//
// Invariants: a connection that is not authenticated gets no byte and is closed after
// AuthWithin; replies carry no event number; a frame that cannot be decoded, or is over 8 KiB, ends
// the connection.
package ws
