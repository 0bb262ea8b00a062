// Package hot caches what an edge reads often: rows and encoded pages of the local replica. A
// value is dropped when an ordered event says that it changed, never after a time.
//
// It knows nothing about events: its owner calls Forget, in log order, before it answers any
// request that must see the change.
//
// Concurrency: a Cache is safe for concurrent use. Callers of one key share its load, which runs
// on the goroutine of the first caller, outside the lock.
//
// Invariant: the result of a load that began before a Forget of its group is neither stored nor
// given to a caller that came after that Forget.
package hot
