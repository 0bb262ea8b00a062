// Package follower keeps a replica at the end of a log: it connects to a hub, says its
// position, applies what comes, and takes a snapshot when only that can help.
//
// Two loops run. The keeper holds one connection to the best home node it can reach, hears its
// status, acknowledges positions and moves when the leader is elsewhere. The applier uses
// whatever connection there is: follow from the sink's position, or restore. A connection that
// breaks costs the applier nothing but the wait for the next one: it begins again from what the
// sink says, and a snapshot goes on at the byte where it stopped.
//
// What it is not: it holds no log and no queue beyond a few batches; the position in the sink
// is its only memory.
//
// Concurrency: Status may be called at any time; Run once.
//
// Lifecycle: New, then Run(ctx) until ctx ends or the sink says core.KindUpgrade.
package follower
