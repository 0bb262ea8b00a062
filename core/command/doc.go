// Package command has all commands: one struct for each, with a number that is never reused, and
// their encoding as CBOR with integer keys. Logs keep what is declared here for ever.
//
// A command says who asks (Caller) and what for. It never says when (the leader does) and
// never carries a secret: passwords and tokens come as hashes only.
//
// Invariants: numbers and keys are append-only; encoding is deterministic; a command that
// cannot be decoded stops the replica (core.KindUpgrade), it is never skipped.
package command
