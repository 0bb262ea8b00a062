// Package gossip tells nodes which other nodes are alive, how far away they are, and the
// positions of their logs. It runs hashicorp's memberlist over class gossip of the node's links:
// packets as datagrams, exchanges of state as streams.
//
// What it is not: authoritative. The members of home and everything else that must be agreed on
// are in the log. Gossip may be late or wrong; it is used only for distance, load and display.
//
// Concurrency: Members may be called at any time; Run once.
//
// Lifecycle: New before the endpoint runs (it sets the class's handler), then Run(ctx). When ctx
// ends, the node announces that it leaves. memberlist's own goroutines end soon after Run
// returns.
package gossip
