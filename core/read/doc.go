// Package read answers clients' questions from the local replica: one file per noun, every list
// paged or bounded, and filtered by what the asker may see where the filter belongs into the
// query. Whether the asker may ask at all is the caller's question to core/authz.
//
// It writes nothing and decides nothing that must be alike on every replica, so its queries
// may change with any version.
//
// Concurrency: a Store is safe for concurrent use; it holds a pool and nothing else.
//
// Invariant: what a query returns is at least as new as the replica's position when it began.
package read
