// Package load has clients for measurements. They use little CPU, because they run on the same machine as
// the server.
//
// Conn speaks HTTP/1.1 over one kept connection and Socket the WebSocket protocol; both reuse
// their buffers. Person signs up through the API and posts. Closed and Open drive load and
// give every latency they saw.
//
// It is not a general client: it understands only the answers of this project's servers.
//
// Concurrency: a Conn or a Socket belongs to one goroutine; Person is immutable after SignUp.
package load
