// Package load holds clients that measure without getting in the way: they share two cores
// with the server that they drive.
//
// Conn speaks HTTP/1.1 over one kept connection and Socket the WebSocket protocol; both reuse
// their buffers. Person signs up through the API and posts. Closed and Open drive load and
// give every latency they saw.
//
// It is no general client: it understands exactly what the servers of this project answer.
//
// Concurrency: a Conn or a Socket belongs to one goroutine; Person is immutable after SignUp.
package load
