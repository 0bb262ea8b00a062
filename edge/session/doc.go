// Package session finds out which user sends a request. It has tokens and cookies, the CSRF rule,
// and a cache of the local replica's sessions.
//
// It is not the authority over sessions: apply reads the caller's session again when it decides.
// It writes nothing.
//
// A token has 128 random bits and is stored only by its client. The log, the database and this
// package's memory have its SHA-256.
//
// Concurrency: a Store is safe for concurrent use and starts no goroutines.
//
// Invariant: once an ordered event that ends a session has been passed to the Store, no later
// request finds that session.
package session
