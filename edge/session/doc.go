// Package session is how an edge knows who asks: tokens and cookies, the CSRF rule, password
// hashes and wrong passwords, and the sessions of the local replica kept at hand.
//
// It is not the authority over sessions: apply looks a caller's session up again when it
// decides. It writes nothing.
//
// A token has 128 random bits and exists only at its client. The log, the database and this
// package's memory know its SHA-256.
//
// Concurrency: Store, Hasher and Attempts are safe for concurrent use and start no goroutines.
//
// Invariant: a session that an ordered event ended is not found by any request that comes
// after the event was given to Learn.
package session
