// Package apply is the state machine: a function of (state, entry). It decides everything
// that depends on state (existence, membership, permission, uniqueness, limits, counters) and
// says what changed, to the state as row writes and to clients as events.
//
// It is a function: no clock (an entry carries its time), no randomness (ids come with the
// command or are derived from it), no goroutine, no network, no environment, no map order.
// Every replica runs it over the same entries and must come to the same rows and outcomes.
//
// State is reached through the tables of State. A read that fails in the database gives "not
// there" and is remembered by the implementation, which then throws the whole batch away; so
// handlers need no error paths for storage.
//
// Invariants: a refusal changes nothing (the machine reverts the entry); a repeated proposal
// changes nothing and gives its first outcome; an unknown command stops the replica.
package apply
