// Package api is the kernel of Mattermost's REST API, version 4, over the local replica: reads
// are answered here; writes are proposed, and answered when this edge has applied them. It knows
// requests, routes and answers, but no nouns: the areas in the folders below (accounts, teams,
// channels, posts, files, system) answer the operations. Package access has what several areas
// need, package areas assembles everything.
//
// It decides nothing about state: core/apply does, when the command is ordered. An edge checks
// only what apply cannot check (form, permission to read), or what would waste a proposal.
//
// # Adding an operation
//
// One row in the Routes of an area: path, policy, handler. The policy reads the path, decides
// whether the caller is allowed, and passes the object to the handler; the handler returns a
// value or an error. The kernel does decoding, paging, the session, proposing, waiting, status,
// headers and encoding.
//
// # Concurrency and lifecycle
//
// An API serves any number of requests at once; a Call belongs to the goroutine of its request.
// NewLocal subscribes to the replica's events; its Run processes them while there are no
// requests, and returns when its context ends.
//
// # Invariants
//
// Before a request is handled, all events published so far have been processed, so a cached value
// is never older than what this edge has already shown. No input causes a 500. No handler runs
// without its policy.
package api
