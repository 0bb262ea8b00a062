// Package api is Mattermost's REST API, version 4, over the local replica: reads are answered
// here, writes are proposed and answered from their outcome once this edge has applied them.
//
// It decides nothing: core/apply does, when the command is ordered. What it checks before
// (form, permission to read) is what apply cannot check or what would only waste a proposal.
//
// # Adding an operation
//
// One row in the table in routes.go and one short handler in the noun's file. Decoding, ids in
// the path, paging, the session, proposing, waiting and encoding are the call's.
//
// # Files that arrive
//
// incoming.go has the rule that a large and slow body lives by: it lasts as long as it gets on.
// What arrives waits in a spool file without a name (spool.go), whole, until it has been looked
// at; then its bytes are stored, and only then is it proposed. An upload of several requests
// (upload_session.go) is stored and proposed part by part, so that any edge can go on with it.
//
// # Concurrency and lifecycle
//
// An API serves any number of requests at once. New subscribes to the replica's events; Run
// keeps the caches true while nobody asks, and returns when its context ends.
//
// # Invariants
//
// Before a request is handled, every event published by then has been taken in, so a cached
// value is never older than what this edge has already shown. No input makes a 500.
package api
