// Package hub is the home side of class log: it sends followers the log from their position,
// snapshots from an offset, and its own status a few times a second.
//
// A follower's connection has three kinds of streams, which differ in their first frame:
//
//   - log: Hello with the follower's position, answered by Welcome; then batches until the stream
//     ends, or a Turn if the follower needs a snapshot.
//   - pulse: Status every Heartbeat from the hub, applied positions from the follower. It is a
//     separate stream, so that a follower that is busy applying still knows that home is alive.
//   - snapshot: Fetch with id and offset; then head, chunks, end.
//
// Signals are datagrams on the same connection, passed to the Relay.
//
// What it is not: it keeps no queue per follower, only a position; a slow follower costs
// flow-control windows and nothing else.
//
// Concurrency: Serve is called per connection, Peers at any time.
//
// Lifecycle: New, then Serve as the handler of link.ClassLog. Serve returns after the last
// goroutine of its connection has ended.
package hub
