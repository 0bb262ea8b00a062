// Package api is the kernel of Mattermost's REST API, version 4, over the local replica: reads are
// answered here, writes are proposed and answered once this edge has applied them. It knows what a
// request, a row and an answer are, and no noun; the areas beside it (accounts, teams, channels,
// posts, files, system) answer the operations. Package access has what several areas need, package
// areas puts all together.
//
// It decides nothing: core/apply does, when the command is ordered. What an edge checks before
// (form, permission to read) is what apply cannot check or what would only waste a proposal.
//
// # Adding an operation
//
// One row in the Routes of an area: path, policy, handler. The policy reads the path, decides who
// may ask, and hands the handler the object; the handler returns a value or an error. Decoding,
// paging, the session, proposing, waiting, status, headers and encoding are the kernel's.
//
// # Concurrency and lifecycle
//
// An API serves any number of requests at once; a Call belongs to the goroutine of its request.
// NewLocal subscribes to the replica's events; its Run keeps the caches true while nobody asks, and
// returns when its context ends.
//
// # Invariants
//
// Before a request is handled, every event published by then has been taken in, so a cached
// value is never older than what this edge has already shown. No input makes a 500. No handler runs
// without its policy.
package api
