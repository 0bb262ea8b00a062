// Package forward carries proposals and questions to home, and the answers back.
//
// A Client is an Orderer for nodes that do not order themselves. It opens one QUIC stream per
// proposal to the best home node, and tries the others with the same proposal if one does not
// answer; the proposal's id makes that harmless. A Server passes proposals to the region's
// Orderer. A home node that is not the leader passes a proposal to the leader with ProposeTo; the
// proposal is marked so that it is not passed on again.
//
// The same streams carry questions (Ask): opaque requests of a numbered kind, for reads that only
// home can answer. A question may be repeated, so it must not change anything.
//
// What it is not: it keeps no proposal after its caller's context has ended.
//
// Concurrency: Client and Server are safe for concurrent use.
//
// Lifecycle: a Client only has Close; Server.Serve is the handler of link.ClassForward.
//
// Errors: every error is a core.Error with all the fields that home set. After a Temporary error
// the effect is unknown.
package forward
