// Package hot keeps what an edge reads over and over: rows and encoded pages of the local
// replica. A value stays until an ordered event says that it changed, never for a time.
//
// It knows nothing of events: its owner calls Forget, in log order, before it answers any
// request that must see the change.
//
// Concurrency: a Cache is safe for concurrent use. Loads of one key are shared; they run on
// the goroutine of the first caller, outside the lock.
//
// Invariant: a load that began before a Forget of its group is neither kept nor given to a
// caller who came after that Forget.
package hot
