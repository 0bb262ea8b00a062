// Package follower keeps a replica at the end of a log: it connects to a hub, sends its position,
// applies what it receives, and restores a snapshot if the log is no longer enough.
//
// Two loops run. The keeper holds one connection to the best home node it can reach, receives its
// status, acknowledges positions, and moves to the leader. The applier uses the current
// connection to follow from the sink's position, or to restore. If a connection breaks, the
// applier only has to wait for the next one: it continues from the sink's position, and a
// snapshot continues at the byte where it stopped.
//
// What it is not: it holds no log, and no queue beyond a few batches; the position in the sink is
// its only memory.
//
// Concurrency: Status may be called at any time; Run once.
//
// Lifecycle: New, then Run(ctx) until ctx ends or the sink returns core.KindUpgrade.
package follower
