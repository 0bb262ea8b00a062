// Package node is the composition root: it makes all parts and connects them. A Node is one process of a
// deployment, with the roles home, edge or both. The nodes of `nearside serve`, of `nearside demo` and of
// a real deployment differ only in their Config.
//
// It decides nothing about messages, order or links: such rules belong to the parts.
//
// # Lifecycle
//
// New validates and starts nothing. Run starts the stages from the inside out (PostgreSQL,
// replica, link, home or follower, gossip, edge) and stops them from the outside in, each with
// its own limit, so that nothing outlives what it uses. The administration is the
// exception: it starts first and stops last, because it shows the state of the others. If a stage fails,
// the rest is stopped, and Run returns its error.
//
// # Files
//
// cdn/origin and cdn/tier keep blobs; here they are opened, connected and started. The API gets one place
// to keep bytes, whatever the roles of the node are. cmd/admin has the handlers for operators, and
// cmd/doctor tries a configuration.
//
// # Concurrency
//
// Every goroutine belongs to a stage and every stage to Run. The administration handlers read parts, which
// the stages replace as a whole.
//
// # Invariants
//
// Two processes never share a data directory (lock). A replica that differs from its history
// answers no client (gate). Nothing here asks whether it is at home once the parts are chosen.
package node
