// Package read answers clients' questions from the local replica: one file per noun. Every list is
// paged or bounded. A query filters by what the user may see where only SQL can do that; whether the
// user may ask at all is decided by its caller with core/authz.
//
// It writes nothing and decides nothing that must be the same on every replica, so its queries may
// change in any version.
//
// Concurrency: a Store is safe for concurrent use; it holds a pool and nothing else.
//
// Invariant: what a query returns is at least as new as the replica's position when it began.
package read
