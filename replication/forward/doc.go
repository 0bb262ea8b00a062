// Package forward carries proposals and questions to home and the answers back.
//
// A Client is an Orderer for nodes that do not order themselves: it opens one QUIC stream per
// proposal to the best home node, and tries the others, with the same proposal, when one does
// not answer; the proposal's id makes that harmless. A Server puts what comes into the region's
// Orderer. A home node that is not the leader hands a proposal on with ProposeTo, which is
// marked so that it is never handed on twice.
//
// The same streams carry questions (Ask): opaque requests of a numbered kind, for reads that
// only home can answer. Asking must not change anything, since a question may be repeated.
//
// What it is not: it keeps no proposal after its caller's context has ended.
//
// Concurrency: Client and Server are safe for concurrent use.
//
// Lifecycle: a Client has none beyond Close; Server.Serve is the handler of link.ClassForward.
//
// Errors: every error is a core.Error with all its fields as home gave it. A Temporary one
// means that the effect is unknown.
package forward
