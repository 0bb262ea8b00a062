// Package region is the home: it puts proposals into one order with Raft, gives each its
// time, applies the order to this node's replica, and offers the committed log as a feed.
//
// It is the only importer of hashicorp/raft. It does not know what an entry means, does not import the
// link (it gets a Network), and does not talk to clients.
//
// Concurrency: every method of a Region may be called by many goroutines. Run starts the
// loops (see DESIGN.md for the table); Raft starts its own and they end with Run.
//
// Lifecycle: New validates, Run opens the log under Config.Dir, takes part in the region
// until its context ends, and returns when every goroutine it started has ended. A Region
// runs once. Tail and Propose wait for a Run that has not begun and refuse after it ended.
//
// Invariants: the index of an entry is its index in the Raft log; stamps grow strictly along
// the log; the log is never truncated past what the machine has flushed; an entry that this
// node cannot decode stops the node.
package region
