// Package hub is the home side of the log class: it gives followers the log from their
// position, snapshots from an offset, and its own state a few times a second.
//
// A follower's connection has streams of three kinds, told apart by their first frame:
//
//   - log: Hello with the follower's position, answered by Welcome; then batches for as long as
//     the stream lives, or a Turn when only a snapshot can help.
//   - pulse: Status every Heartbeat down, applied positions up. It has a stream of its own so
//     that a follower which is busy applying still knows that home is there.
//   - snapshot: Fetch with id and offset; head, chunks, end.
//
// Signals are datagrams on the same connection, handed to the Relay.
//
// What it is not: it keeps no queue per follower, only the position of each; a slow follower
// costs flow-control windows and nothing else.
//
// Concurrency: Serve is called per connection, Peers at any time.
//
// Lifecycle: New, then Serve as the handler of link.ClassLog; Serve returns after the last
// goroutine of its connection.
package hub
