// Package guard finds out, at home, whether a secret that somebody shows is right: a password now,
// and other things that could be guessed. It reserves, checks and settles.
//
// Reserve: the attempt is counted by an entry of the log before anything is checked, so the count is
// the same at whichever home node and after any change of leader, and guesses that arrive together are
// no more than guesses one after another. Check: home compares the secret with what it has. Settle: if
// it was right, a second entry gives the attempts back. A wrong one needs no second entry.
//
// The subject is the account that home finds for a login, so every spelling and every edge counts
// together. A login that no account has is counted in the same way, costs the same work and gets the
// same answers.
//
// A token names nobody until it is found, so a guess at one is a guess at all: the attempts are counted for each
// address (a /64 with IPv6), and for all addresses of the deployment together.
//
// Entries are shared: while some are under way, attempts gather for the next one. Asking is safe to
// repeat: an attempt has an id, and counts once at however many home nodes it is asked.
//
// Concurrency: a Guard is safe for concurrent use and starts no goroutines.
package guard
