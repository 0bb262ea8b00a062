// Package gossip tells nodes who else is alive, how far away, and how far their logs are. It
// runs hashicorp's memberlist over the class gossip of the node's links: packets as datagrams,
// exchanges of state as streams.
//
// What it is not: truth. Membership of the home and everything else that must be agreed is in the
// log; what is said here may be late or wrong, and serves distance, load and display only.
//
// Concurrency: Members may be called at any time; Run once.
//
// Lifecycle: New before the endpoint runs (it takes the class's handler), then Run(ctx); when
// ctx ends the node says that it leaves. memberlist's own goroutines end soon after Run returns.
package gossip
