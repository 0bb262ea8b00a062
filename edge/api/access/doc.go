// Package access decides which user may do what: it identifies the caller, knows the memberships,
// and has the policies that several areas of the API need. It answers no operation.
//
// Its data is cached and invalidated by ordered events, so a change takes effect at once.
//
// An Access is safe for concurrent use. It imports edge/api, and no area.
package access
